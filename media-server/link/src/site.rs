//! A site's end: one session at a time towards the centre, made anew whenever nothing valid comes; it never gives up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use bridgepoint_wire::command::Join;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};

use crate::batch::{Inbox, Outbox, Waker, Wakes, prepare, raise_priority, waker};
use crate::clock::Origin;
use crate::h264::packetize;
use crate::meter::Volume;
use crate::plan::{self, End, Parties};
use crate::seat::{Now, Seat, SeatEvent, Streams, Track};
use crate::{Encoding, Identity, LinkError, LinkHealth, Sight, Wish};

/// Nothing valid for so long: the centre may be a new process that knows nothing of our session.
const SILENCE: Duration = Duration::from_secs(1);
/// How long a new session may take while nobody answers at all.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long the first handshake may take. DTLS repeats a lost datagram after a second only, so beginning anew is
/// quicker; each handshake that fails gives the next twice the time, for slow lines.
const HANDSHAKE: Duration = Duration::from_millis(400);
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(4);
/// Between the begins of two sessions, at least: a centre that refuses at once is not asked all the time.
const APART: Duration = Duration::from_millis(300);
const SECOND: Duration = Duration::from_secs(1);
/// Pictures and blocks of sound that may wait for the thread, some 5 s; then new ones are dropped.
const MEDIA_QUEUE: usize = 512;
/// Batches of datagrams between two looks at the rest of the work.
const BATCHES: usize = 8;

/// What comes from the link, on its own thread: the receiver must not block.
#[derive(Debug)]
pub enum BoxEvent {
    /// Picture and sound flow.
    Up,
    /// They no longer do; the link is already trying again.
    Down,
    /// A program picture, in order; the first is a key frame.
    Program(AccessUnit),
    /// A block of program sound (or of this site's own mix), in order.
    Sound(OpusPacket),
    /// The centre needs a key frame of an encoding.
    KeyWanted(Encoding),
    /// What the centre wants of [`Encoding::Thumb`] has changed (or the link was made anew).
    ThumbWished(Wish),
    /// Once a second.
    Stats(LinkHealth),
}

/// A site's end of its link. The thread ends when this is dropped.
pub struct BoxLink {
    queue: Option<SyncSender<ToLink>>,
    waker: Waker,
}

pub(crate) enum ToLink {
    Video(Track, AccessUnit, SystemTime),
    Audio(OpusPacket, SystemTime),
    Sight(Sight),
}

impl ToLink {
    pub(crate) const fn video(encoding: Encoding, unit: AccessUnit, captured: SystemTime) -> Self {
        let track = match encoding {
            Encoding::Main => Track::Main,
            Encoding::Thumb => Track::Thumb,
        };
        Self::Video(track, unit, captured)
    }
}

/// Where a site's events go.
pub(crate) type Events = Box<dyn FnMut(BoxEvent) + Send>;

impl BoxLink {
    /// Starts the link's thread. `local` may have port 0 and the address of all interfaces.
    ///
    /// # Errors
    /// [`LinkError::Socket`] when the system has no thread or descriptor left. A network that is not there is none:
    /// the link waits for it.
    pub fn start(
        local: SocketAddr,
        join: &Join,
        identity: Identity,
        events: impl FnMut(BoxEvent) + Send + 'static,
    ) -> Result<Self, LinkError> {
        let (waker, wakes) = waker().map_err(LinkError::Socket)?;
        let (queue, incoming) = sync_channel(MEDIA_QUEUE);
        let site = Site::new(local, join, identity, Box::new(events));
        std::thread::Builder::new()
            .name("link-box".to_owned())
            .spawn(move || site.run(wakes, &incoming))
            .map_err(LinkError::Socket)?;
        Ok(Self { queue: Some(queue), waker })
    }

    /// Sends a picture; after a connection or a reconnection, from the next key frame on.
    pub fn send_video(&self, encoding: Encoding, unit: AccessUnit, captured: SystemTime) {
        self.send(ToLink::video(encoding, unit, captured));
    }

    /// Sends a block of sound.
    pub fn send_audio(&self, packet: OpusPacket, captured: SystemTime) {
        self.send(ToLink::Audio(packet, captured));
    }

    /// Tells the centre whether there is a picture to send, now and whenever the link is made anew.
    pub fn tell(&self, sight: Sight) {
        self.send(ToLink::Sight(sight));
    }

    fn send(&self, media: ToLink) {
        // A full queue means that the thread has not run for seconds: what is late is worth nothing.
        if self.queue.as_ref().is_some_and(|queue| queue.try_send(media).is_err()) {
            tracing::warn!("the media link is behind; something was not sent");
        }
        self.waker.wake();
    }
}

impl Drop for BoxLink {
    fn drop(&mut self) {
        self.queue = None;
        self.waker.wake();
    }
}

enum State {
    /// No session; the next begins then.
    Idle { again_at: Instant },
    /// A session that has proven nothing yet.
    Trying { seat: Box<Seat>, begun: Instant, path_at: Option<Instant> },
    /// A session of which something valid came.
    Up { seat: Box<Seat>, begun: Instant },
}

impl State {
    fn seat(&mut self) -> Option<&mut Seat> {
        match self {
            Self::Idle { .. } => None,
            Self::Trying { seat, .. } | Self::Up { seat, .. } => Some(seat),
        }
    }
}

pub(crate) struct Site {
    local: SocketAddr,
    media: Vec<String>,
    parties: Parties,
    identity: Identity,
    origin: Origin,
    socket: Option<UdpSocket>,
    /// The address that we were last seen to send from.
    source: Option<IpAddr>,
    remotes: Vec<SocketAddr>,
    out: Outbox,
    scratch: Vec<SeatEvent>,
    state: State,
    sight: Sight,
    /// Handshakes that failed since the last that did not.
    failures: u32,
    /// Of sessions that were replaced since the last report.
    volume: Volume,
    last_stats: Instant,
    program_began: bool,
    events: Events,
}

impl Site {
    pub(crate) fn new(local: SocketAddr, join: &Join, identity: Identity, events: Events) -> Self {
        let now = Instant::now();
        Self {
            local,
            media: join.media.clone(),
            parties: Parties {
                own: join.ice_box.clone(),
                other: join.ice_centre.clone(),
                fingerprint: join.dtls_fingerprint.clone(),
            },
            identity,
            origin: Origin::from_ms(join.origin_ms),
            socket: None,
            source: None,
            remotes: Vec::new(),
            out: Outbox::new(),
            scratch: Vec::new(),
            state: State::Idle { again_at: now },
            sight: Sight::default(),
            failures: 0,
            volume: Volume::default(),
            last_stats: now,
            program_began: false,
            events,
        }
    }

    fn run(mut self, mut wakes: Wakes, incoming: &Receiver<ToLink>) {
        raise_priority();
        let mut inbox = Inbox::new();
        loop {
            let until = self.poll_timeout();
            wakes.wait(self.socket.as_ref(), until);
            self.receive(&mut inbox);
            let now = Now::read();
            loop {
                match incoming.try_recv() {
                    Ok(media) => self.write(media, now),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        self.close(now);
                        return;
                    }
                }
            }
            self.finish(now);
        }
    }

    /// The end of a turn: what became due is done, and what is to be sent goes out.
    pub(crate) fn finish(&mut self, now: Now) {
        self.advance(now);
        if let Some(socket) = &self.socket {
            self.out.flush(socket);
        }
    }

    /// Where datagrams come in, as soon as there is something to listen to.
    pub(crate) const fn socket(&self) -> Option<&UdpSocket> {
        self.socket.as_ref()
    }

    pub(crate) fn close(&mut self, now: Now) {
        if let Some(seat) = self.state.seat() {
            seat.close(now, &mut self.out);
        }
        if let Some(socket) = &self.socket {
            self.out.flush(socket);
        }
    }

    pub(crate) fn receive(&mut self, inbox: &mut Inbox) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        for _ in 0..BATCHES {
            let now = Now::read();
            let more = inbox.receive(&socket, |from, datagram| {
                // Only the centre has anything to say here; what it says is then checked by the session.
                if self.remotes.contains(&from)
                    && let Some(seat) = self.state.seat()
                {
                    seat.receive(from, datagram, now, &mut self.out, &mut self.scratch);
                }
                self.dispatch(now);
            });
            if !more {
                break;
            }
        }
        self.socket = Some(socket);
    }

    fn dispatch(&mut self, now: Now) {
        for event in self.scratch.drain(..) {
            match event {
                SeatEvent::Path => {
                    if let State::Trying { seat, path_at: path_at @ None, .. } = &mut self.state {
                        *path_at = Some(now.mono);
                        seat.start_dtls(true);
                    }
                }
                SeatEvent::Unit { unit, .. } => {
                    self.program_began |= unit.key;
                    if self.program_began {
                        (self.events)(BoxEvent::Program(unit));
                    }
                }
                SeatEvent::Sound(packet) => (self.events)(BoxEvent::Sound(packet)),
                SeatEvent::KeyWanted(Track::Main) => {
                    (self.events)(BoxEvent::KeyWanted(Encoding::Main));
                }
                SeatEvent::KeyWanted(Track::Thumb) => {
                    (self.events)(BoxEvent::KeyWanted(Encoding::Thumb));
                }
                SeatEvent::Wish(wish) => (self.events)(BoxEvent::ThumbWished(wish)),
                SeatEvent::Connected | SeatEvent::KeyWanted(Track::Program) | SeatEvent::Sight(_) => {}
            }
        }
    }

    pub(crate) fn write(&mut self, media: ToLink, now: Now) {
        let captured = |at: SystemTime| {
            let age = now.wall.duration_since(at).unwrap_or_default();
            now.mono.checked_sub(age).unwrap_or(now.mono)
        };
        if let ToLink::Sight(sight) = media {
            self.sight = sight;
        }
        // From the end of DTLS on: the key frame that was then asked for must not be lost to a late first beat.
        let Some(seat) = self.state.seat() else {
            return;
        };
        match media {
            ToLink::Video(track, unit, at) => {
                seat.write_video(track, &packetize(&unit), unit.key, unit.ticks, captured(at), now.mono);
            }
            ToLink::Audio(packet, at) => seat.write_audio(&packet, captured(at), now.mono),
            ToLink::Sight(sight) => seat.tell(sight, now.mono),
        }
    }

    fn poll_timeout(&self) -> Instant {
        let stats = self.last_stats + SECOND;
        match &self.state {
            State::Idle { again_at } => stats.min(*again_at),
            State::Trying { seat, .. } | State::Up { seat, .. } => {
                stats.min(seat.poll_timeout()).min(self.give_up_at(&self.state))
            }
        }
    }

    /// When the session in use has failed, should nothing come until then.
    fn give_up_at(&self, state: &State) -> Instant {
        match state {
            State::Idle { again_at } => *again_at,
            State::Trying { begun, path_at: None, .. } => *begun + ATTEMPT,
            State::Trying { path_at: Some(at), .. } => {
                *at + (HANDSHAKE * 2_u32.pow(self.failures.min(4))).min(LONGEST_HANDSHAKE)
            }
            State::Up { seat, begun } => seat.heard().unwrap_or(*begun) + SILENCE,
        }
    }

    fn advance(&mut self, now: Now) {
        if let Some(seat) = self.state.seat()
            && seat.poll_timeout() <= now.mono
        {
            seat.advance(now, &mut self.out, &mut self.scratch);
        }
        self.dispatch(now);
        let give_up = now.mono >= self.give_up_at(&self.state);
        self.state = match std::mem::replace(&mut self.state, State::Idle { again_at: now.mono }) {
            idle @ State::Idle { .. } => idle,
            State::Trying { seat, begun, .. } if seat.heard().is_some() && seat.is_connected() => {
                self.failures = 0;
                (self.events)(BoxEvent::Up);
                State::Up { seat, begun }
            }
            State::Trying { seat, begun, path_at } if give_up || !seat.is_alive() => {
                self.failures += u32::from(path_at.is_some());
                self.end(&seat, begun, now)
            }
            State::Up { seat, begun } if give_up || !seat.is_alive() => {
                (self.events)(BoxEvent::Down);
                self.end(&seat, begun, now)
            }
            going_on => going_on,
        };
        if let State::Idle { again_at } = self.state
            && again_at <= now.mono
        {
            self.state = self.begin(now);
        }
        if now.mono >= self.last_stats + SECOND {
            self.report(now);
        }
    }

    fn end(&mut self, seat: &Seat, begun: Instant, now: Now) -> State {
        self.volume.up += seat.volume.up;
        self.volume.down += seat.volume.down;
        State::Idle { again_at: now.mono.max(begun + APART + jitter()) }
    }

    /// A new session, on the socket of before.
    fn begin(&mut self, now: Now) -> State {
        match self.try_begin(now) {
            Ok(seat) => State::Trying { seat: Box::new(seat), begun: now.mono, path_at: None },
            Err(error) => {
                tracing::debug!(%error, "no media session for now");
                State::Idle { again_at: now.mono + APART + jitter() }
            }
        }
    }

    fn try_begin(&mut self, now: Now) -> Result<Seat, LinkError> {
        let resolved = self.media.iter().flat_map(|name| name.to_socket_addrs().into_iter().flatten());
        self.remotes = resolved.collect();
        let first = *self
            .remotes
            .first()
            .ok_or_else(|| LinkError::Socket(std::io::Error::other("no address of the centre can be resolved")))?;
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => bind(self.local, first).map_err(LinkError::Socket)?,
        };
        let port = socket.local_addr().map_err(LinkError::Socket)?.port();
        self.socket = Some(socket);
        // A confined process may make no further socket to ask by; then the answer of before must do.
        let source = source_towards(self.local, first).or_else(|error| self.source.ok_or(error));
        let source = source.map_err(LinkError::Socket)?;
        self.source = Some(source);
        let local = SocketAddr::new(source, port);
        self.remotes.retain(|remote| remote.is_ipv4() == local.is_ipv4());
        let rtc = plan::build(End::Box, &self.identity, &self.parties, local, &self.remotes, now.mono)?;
        let mut seat = Seat::new(rtc, local, self.origin, Streams::of_box(), now.mono).with_beats(now.mono);
        seat.tell(self.sight, now.mono);
        seat.advance(now, &mut self.out, &mut self.scratch);
        Ok(seat)
    }

    fn report(&mut self, now: Now) {
        let span = now.mono - self.last_stats;
        self.last_stats = now.mono;
        let up = matches!(self.state, State::Up { .. });
        let mut volume = std::mem::take(&mut self.volume);
        let (mut rtt, mut counts) = (None, (0, 0));
        if let Some(seat) = self.state.seat() {
            let own = std::mem::take(&mut seat.volume);
            volume = Volume { up: volume.up + own.up, down: volume.down + own.down };
            (rtt, counts) = (seat.rtt(), seat.take_counts());
        }
        (self.events)(BoxEvent::Stats(volume.report(span, up, rtt, counts)));
    }
}

fn bind(local: SocketAddr, towards: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = local.ip().is_unspecified() && local.is_ipv4() != towards.is_ipv4();
    let local = if any { SocketAddr::new(unspecified(towards), local.port()) } else { local };
    let socket = UdpSocket::bind(local)?;
    prepare(&socket)?;
    Ok(socket)
}

fn unspecified(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// The address that datagrams towards `remote` leave from: ICE wants to know.
fn source_towards(local: SocketAddr, remote: SocketAddr) -> std::io::Result<IpAddr> {
    if !local.ip().is_unspecified() {
        return Ok(local.ip());
    }
    let probe = UdpSocket::bind((unspecified(remote), 0))?;
    probe.connect(remote)?;
    Ok(probe.local_addr()?.ip())
}

/// So that the boxes of a whole province do not come back in step: up to 100 ms.
fn jitter() -> Duration {
    let mut byte = [0];
    let _ = aws_lc_rs::rand::fill(&mut byte);
    Duration::from_micros(u64::from(byte[0]) * 390)
}
