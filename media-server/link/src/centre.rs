//! The centre's end: a whole conference on one UDP socket and one thread.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::command::IceCredentials;
use bridgepoint_wire::local::{Program, Routes};
use bridgepoint_wire::media::{AUDIO_RATE, AccessUnit, OpusPacket, VIDEO_RATE};

use crate::batch::{Inbox, Outbox, Waker, Wakes, prepare, raise_priority, waker};
use crate::clock::Origin;
use crate::h264::packetize;
use crate::peer::{Admitted, Around, Peer};
use crate::plan::Parties;
use crate::seat::{Fate, Now, Seat, SeatEvent, Track};
use crate::viewer::{Direction, Home, answer};
use crate::{Encoding, Identity, LinkError, LinkHealth, Sight, Wish, stun};

/// A site of which nothing valid came for so long is down. Twice the time after which a box begins anew by itself.
const DOWN_AFTER: Duration = Duration::from_secs(2);
/// A session that has been silent for so long is forgotten (the box's next one is let in all the same).
const FORGET_AFTER: Duration = Duration::from_secs(10);
/// A browser that has not renewed its consent (RFC 7675) for so long has gone.
const GONE_AFTER: Duration = Duration::from_secs(15);
/// No two requests for a program key frame within this time: each costs everybody's bandwidth.
const KEY_APART: Duration = Duration::from_millis(300);
const TICK: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
/// Program frames and sound blocks that may wait for the thread, some 5 s; then new ones are dropped.
const MEDIA_QUEUE: usize = 1_024;
/// Batches of datagrams between two looks at the rest of the work.
const BATCHES: usize = 8;
/// Two turns begin at least so far apart: what arrives meanwhile is one turn's work. With many sites there are ten times
/// fewer turns for it.
const APART: Duration = Duration::from_millis(2);

/// Why a site is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// Nothing was heard of it for some seconds.
    Silent,
    /// It ended its session, or was taken out.
    Left,
}

/// What comes from the link, on its own thread: the receiver must not block.
#[derive(Debug)]
pub enum CentreEvent {
    /// A site's media arrive.
    SiteUp(SiteCode),
    /// They no longer do, for 2 s, or the site has said goodbye.
    SiteDown(SiteCode, Down),
    /// It was taken out ([`CentreLink::whip_end`]): nothing comes from it any more.
    Removed(SiteCode),
    /// A complete access unit of a site, in order.
    Video {
        /// From where.
        site: SiteCode,
        /// Which encoding.
        encoding: Encoding,
        /// The access unit.
        unit: AccessUnit,
        /// Something that it may refer to was lost; a key frame has been asked for.
        after_loss: bool,
    },
    /// A block of sound of a site, in order.
    Audio {
        /// From where.
        site: SiteCode,
        /// The block.
        packet: OpusPacket,
    },
    /// What a box says of its own picture; said anew with each session of its.
    Sight(SiteCode, Sight),
    /// Somebody who receives this program needs a key frame.
    KeyWanted(Program),
    /// Once a second.
    Stats(CentreStats),
}

/// Figures of the last second.
#[derive(Debug, Clone, Default)]
pub struct CentreStats {
    /// Datagrams dropped in the last second: from strangers, malformed, forged, or repeated.
    pub dropped: u64,
    /// The same since the start.
    pub dropped_total: u64,
    /// Browsers that watch.
    pub viewers: usize,
    /// Per site; sent and received as seen from the centre.
    pub sites: Vec<(SiteCode, LinkHealth)>,
}

/// The centre's end of all links of a conference. Clones are handles to the same; the thread ends with the last.
#[derive(Clone)]
pub struct CentreLink(Arc<Handle>);

struct Handle {
    commands: Sender<Command>,
    media: SyncSender<Media>,
    waker: Waker,
    identity: Identity,
    addresses: Vec<SocketAddr>,
    origin: Origin,
}

enum Command {
    Add { code: SiteCode, parties: Parties },
    Remove(SiteCode),
    Key(SiteCode, Encoding),
    Wish(SiteCode, Wish),
    Browser { role: Role, ice: IceCredentials, seat: Box<Seat> },
    EndViewer(u64),
    Stop,
}

enum Media {
    Program(Program, AccessUnit),
    Routes(Routes),
    Shared(OpusPacket, Vec<SiteCode>),
    Own(SiteCode, OpusPacket),
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        self.waker.wake();
    }
}

impl CentreLink {
    /// Starts the link's thread. Browsers are told the socket's own address, or every interface's when it is bound
    /// to all.
    ///
    /// # Errors
    /// [`LinkError::Socket`], [`LinkError::Address`].
    pub fn start(
        socket: UdpSocket,
        identity: Identity,
        origin_ms: u64,
        events: impl FnMut(CentreEvent) + Send + 'static,
    ) -> Result<Self, LinkError> {
        let addresses = reachable(socket.local_addr().map_err(LinkError::Socket)?)?;
        Self::start_at(socket, identity, origin_ms, addresses, events)
    }

    /// Starts the link's thread; browsers are told `addresses` (a forwarded port, say).
    ///
    /// # Errors
    /// [`LinkError::Socket`], [`LinkError::Address`].
    pub fn start_at(
        socket: UdpSocket,
        identity: Identity,
        origin_ms: u64,
        addresses: Vec<SocketAddr>,
        events: impl FnMut(CentreEvent) + Send + 'static,
    ) -> Result<Self, LinkError> {
        prepare(&socket).map_err(LinkError::Socket)?;
        let bound = socket.local_addr().map_err(LinkError::Socket)?;
        let local = *addresses.first().unwrap_or(&bound);
        crate::plan::host(local)?;
        let (waker, wakes) = waker().map_err(LinkError::Socket)?;
        let (commands, command_queue) = channel();
        let (media, media_queue) = sync_channel(MEDIA_QUEUE);
        let origin = Origin::from_ms(origin_ms);
        let now = Instant::now();
        let centre = Centre {
            socket,
            identity: identity.clone(),
            local,
            origin,
            peers: HashMap::new(),
            by_site: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            next_id: 0,
            out: Outbox::new(),
            scratch: Vec::new(),
            dropped: 0,
            dropped_total: 0,
            routes: Routes::default(),
            keys: BTreeMap::new(),
            next_tick: now,
            last_stats: now,
            events: Box::new(events),
        };
        std::thread::Builder::new()
            .name("link-centre".to_owned())
            .spawn(move || centre.run(wakes, &command_queue, &media_queue))
            .map_err(LinkError::Socket)?;
        Ok(Self(Arc::new(Handle { commands, media, waker, identity, addresses, origin })))
    }

    fn command(&self, command: Command) {
        let _ = self.0.commands.send(command);
        self.0.waker.wake();
    }

    fn media(&self, media: Media) {
        // A full queue means that the thread has not run for seconds: what is late is worth nothing.
        if self.0.media.try_send(media).is_err() {
            tracing::warn!("the media link is behind; something was not sent");
        }
        self.0.waker.wake();
    }

    /// Lets a box in. The same again changes nothing; new credentials end its session.
    pub fn add_site(
        &self,
        code: SiteCode,
        ice_centre: IceCredentials,
        ice_box: IceCredentials,
        dtls_fingerprint: String,
    ) {
        let parties = Parties { own: ice_centre, other: ice_box, fingerprint: dtls_fingerprint };
        self.command(Command::Add { code, parties });
    }

    /// Ends a site's session, whether box or browser.
    pub fn remove_site(&self, code: &SiteCode) {
        self.command(Command::Remove(code.clone()));
    }

    /// Sends a program's picture to those who get it. A receiver that has come new gets the first key frame and what
    /// follows.
    pub fn send_program(&self, program: Program, unit: AccessUnit) {
        self.media(Media::Program(program, unit));
    }

    /// Says who gets which program, from the next picture on (so it begins: everybody the main one). Viewers get the
    /// recorded one. Who changes gets the first key frame of the new one and what follows.
    pub fn route(&self, routes: Routes) {
        self.media(Media::Routes(routes));
    }

    /// Sends a block of the shared mix to everybody but `except`.
    pub fn send_audio(&self, packet: OpusPacket, except: &[SiteCode]) {
        self.media(Media::Shared(packet, except.to_vec()));
    }

    /// Sends one site its own mix, in the place of the shared one.
    pub fn send_audio_to(&self, site: &SiteCode, packet: OpusPacket) {
        self.media(Media::Own(site.clone(), packet));
    }

    /// Asks a site for a key frame.
    pub fn request_key(&self, site: &SiteCode, encoding: Encoding) {
        self.command(Command::Key(site.clone(), encoding));
    }

    /// Tells a box what its small encoding is to be, until it is told otherwise. Browsers have none.
    pub fn wish(&self, site: &SiteCode, wish: Wish) {
        self.command(Command::Wish(site.clone(), wish));
    }

    /// A browser wants to watch: answers its SDP offer (WHEP).
    ///
    /// # Errors
    /// [`LinkError::Offer`] when it takes no H.264 in packetization mode 1.
    pub fn whep(&self, viewer: u64, offer: &str) -> Result<String, LinkError> {
        self.browser(Direction::Watch, Role::Viewer(viewer), offer)
    }

    /// The viewer has gone.
    pub fn whep_end(&self, viewer: u64) {
        self.command(Command::EndViewer(viewer));
    }

    /// A browser or a WHIP encoder is a site with one encoding, [`Encoding::Main`]: answers its SDP offer.
    ///
    /// # Errors
    /// [`LinkError::Offer`] when it offers no H.264.
    pub fn whip(&self, site: SiteCode, offer: &str) -> Result<String, LinkError> {
        self.browser(Direction::Contribute, Role::Site { code: site, up: false }, offer)
    }

    /// The WHIP site leaves.
    pub fn whip_end(&self, site: &SiteCode) {
        self.remove_site(site);
    }

    fn browser(&self, direction: Direction, role: Role, offer: &str) -> Result<String, LinkError> {
        let Handle { identity, addresses, origin, .. } = &*self.0;
        let home = Home { identity, addresses, origin: *origin };
        let answered = answer(direction, offer, &home, Instant::now())?;
        self.command(Command::Browser { role, ice: answered.ice, seat: Box::new(answered.seat) });
        Ok(answered.answer)
    }
}

/// Addresses at which a socket bound to `bound` can be reached.
fn reachable(bound: SocketAddr) -> Result<Vec<SocketAddr>, LinkError> {
    if !bound.ip().is_unspecified() {
        return Ok(vec![bound]);
    }
    let interfaces = nix::ifaddrs::getifaddrs().map_err(|errno| LinkError::Socket(errno.into()))?;
    let of = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    };
    let mut addresses: Vec<_> = interfaces
        .filter_map(of)
        .filter(|ip| ip.is_ipv4() == bound.is_ipv4())
        .map(|ip| SocketAddr::new(ip, bound.port()))
        .filter(|address| crate::plan::host(*address).is_ok())
        .collect();
    // The way out first; loopback serves only who is on this machine.
    addresses.sort_by_key(|address| address.ip().is_loopback());
    Ok(addresses)
}

/// What a peer is in the conference.
#[derive(Debug, Clone)]
enum Role {
    Site { code: SiteCode, up: bool },
    Viewer(u64),
}

impl Role {
    fn program(&self, routes: &Routes) -> Program {
        match self {
            Self::Site { code, .. } => routes.of(code),
            Self::Viewer(_) => routes.recorded,
        }
    }
}

/// A program's key frame, as receivers ask for it.
#[derive(Default)]
struct KeyWish {
    wanted: bool,
    /// When the encoder was asked last.
    at: Option<Instant>,
}

struct Entry {
    peer: Peer,
    role: Role,
}

struct Centre {
    socket: UdpSocket,
    identity: Identity,
    local: SocketAddr,
    origin: Origin,
    peers: HashMap<u64, Entry>,
    by_site: HashMap<SiteCode, u64>,
    by_ufrag: HashMap<String, u64>,
    by_address: HashMap<SocketAddr, u64>,
    next_id: u64,
    out: Outbox,
    scratch: Vec<SeatEvent>,
    dropped: u64,
    dropped_total: u64,
    routes: Routes,
    keys: BTreeMap<Program, KeyWish>,
    next_tick: Instant,
    last_stats: Instant,
    events: Box<dyn FnMut(CentreEvent) + Send>,
}

macro_rules! around {
    ($centre:expr, $now:expr) => {
        Around {
            identity: &$centre.identity,
            local: $centre.local,
            origin: $centre.origin,
            now: $now,
            out: &mut $centre.out,
            events: &mut $centre.scratch,
        }
    };
}

impl Centre {
    fn run(mut self, mut wakes: Wakes, commands: &Receiver<Command>, media: &Receiver<Media>) {
        raise_priority();
        let mut inbox = Inbox::new();
        let Ok(socket) = self.socket.try_clone() else {
            return;
        };
        let mut turn = Instant::now();
        loop {
            wakes.wait(Some(&socket), self.poll_timeout());
            std::thread::sleep((turn + APART).saturating_duration_since(Instant::now()));
            turn = Instant::now();
            let mut more = 0..BATCHES;
            while more.next().is_some() {
                let now = Now::read();
                if !inbox.receive(&socket, |from, datagram| {
                    self.handle_datagram(from, datagram, now);
                }) {
                    break;
                }
            }
            let now = Now::read();
            while let Ok(command) = commands.try_recv() {
                if matches!(command, Command::Stop) {
                    self.close(now);
                    return;
                }
                self.handle_command(command, now);
            }
            while let Ok(media) = media.try_recv() {
                self.handle_media(media, now);
            }
            self.advance(now);
            self.out.flush(&socket);
        }
    }

    fn close(&mut self, now: Now) {
        for entry in self.peers.values_mut() {
            if let Some(seat) = entry.peer.live() {
                seat.close(now, &mut self.out);
            }
        }
        self.out.flush(&self.socket);
    }

    fn poll_timeout(&self) -> Instant {
        let peers = self.peers.values().filter_map(|entry| entry.peer.poll_timeout());
        peers.fold(self.next_tick, Instant::min)
    }

    fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Now) {
        let fate = if stun::is_stun(datagram) {
            self.handle_stun(from, datagram, now)
        } else {
            self.handle_other(from, datagram, now)
        };
        if fate == Fate::Dropped {
            self.dropped += 1;
        }
    }

    fn handle_other(&mut self, from: SocketAddr, datagram: &[u8], now: Now) -> Fate {
        let Some(&id) = self.by_address.get(&from) else {
            return Fate::Dropped;
        };
        let Some(entry) = self.peers.get_mut(&id) else {
            return Fate::Dropped;
        };
        let fate = entry.peer.handle_datagram(from, datagram, &mut around!(self, now));
        self.dispatch(id, now);
        fate
    }

    fn handle_stun(&mut self, from: SocketAddr, datagram: &[u8], now: Now) -> Fate {
        let Some((own, other)) = stun::request_users(datagram) else {
            return Fate::Dropped;
        };
        let Some(&id) = self.by_ufrag.get(&own) else {
            return Fate::Dropped;
        };
        let holder = self.by_address.get(&from).filter(|holder| **holder != id);
        if holder.and_then(|holder| self.peers.get(holder)).is_some_and(|entry| entry.peer.holds(from, now.mono)) {
            return Fate::Dropped;
        }
        let Some(entry) = self.peers.get_mut(&id) else {
            return Fate::Dropped;
        };
        let Some(Admitted { forgotten }) = entry.peer.handle_stun(from, &other, datagram, &mut around!(self, now))
        else {
            return Fate::Dropped;
        };
        if let Some(forgotten) = forgotten {
            self.by_address.remove(&forgotten);
        }
        self.by_address.insert(from, id);
        self.dispatch(id, now);
        Fate::Taken
    }

    /// Passes on what came of a peer's sessions.
    fn dispatch(&mut self, id: u64, now: Now) {
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        let heard = entry.peer.live_ref().is_some_and(|seat| seat.heard() == Some(now.mono));
        if let Role::Site { code, up } = &mut entry.role
            && heard
            && !*up
        {
            *up = true;
            (self.events)(CentreEvent::SiteUp(code.clone()));
        }
        for event in self.scratch.drain(..) {
            match (event, &entry.role) {
                (SeatEvent::KeyWanted(_), role) => {
                    self.keys.entry(role.program(&self.routes)).or_default().wanted = true;
                }
                (SeatEvent::Unit { track, unit, after_loss }, Role::Site { code, .. }) => {
                    let encoding = match track {
                        Track::Main => Encoding::Main,
                        Track::Thumb => Encoding::Thumb,
                        Track::Program => continue,
                    };
                    (self.events)(CentreEvent::Video { site: code.clone(), encoding, unit, after_loss });
                }
                (SeatEvent::Sound(packet), Role::Site { code, .. }) => {
                    (self.events)(CentreEvent::Audio { site: code.clone(), packet });
                }
                (SeatEvent::Sight(sight), Role::Site { code, .. }) => {
                    (self.events)(CentreEvent::Sight(code.clone(), sight));
                }
                (SeatEvent::Unit { .. } | SeatEvent::Sound(_) | SeatEvent::Sight(_), Role::Viewer(_))
                | (SeatEvent::Path | SeatEvent::Connected | SeatEvent::Wish(_), _) => {}
            }
        }
    }

    fn handle_command(&mut self, command: Command, now: Now) {
        match command {
            Command::Add { code, parties } => {
                if let Some(entry) = self.by_site.get(&code).and_then(|id| self.peers.get(id))
                    && entry.peer.is_for(&parties)
                {
                    return;
                }
                self.insert(Peer::for_box(parties, now.mono), Role::Site { code, up: false }, now);
            }
            Command::Browser { role, ice, seat } => {
                self.insert(Peer::for_browser(ice, *seat, now.mono), role, now);
            }
            Command::Remove(code) => {
                if let Some(id) = self.by_site.get(&code) {
                    self.remove(*id, now);
                }
                (self.events)(CentreEvent::Removed(code));
            }
            Command::EndViewer(viewer) => {
                if let Some(id) = self.viewer(viewer) {
                    self.remove(id, now);
                }
            }
            Command::Key(code, encoding) => {
                let track = match encoding {
                    Encoding::Main => Track::Main,
                    Encoding::Thumb => Track::Thumb,
                };
                if let Some(entry) = self.by_site.get(&code).and_then(|id| self.peers.get_mut(id)) {
                    entry.peer.want_key(track);
                }
            }
            Command::Wish(code, wish) => {
                if let Some(entry) = self.by_site.get(&code).and_then(|id| self.peers.get_mut(id)) {
                    entry.peer.wish(wish, now.mono);
                }
            }
            Command::Stop => {}
        }
    }

    fn viewer(&self, viewer: u64) -> Option<u64> {
        let is = |entry: &Entry| matches!(entry.role, Role::Viewer(v) if v == viewer);
        self.peers.iter().find(|(_, entry)| is(entry)).map(|(id, _)| *id)
    }

    fn insert(&mut self, peer: Peer, role: Role, now: Now) {
        let before = match &role {
            Role::Site { code, .. } => self.by_site.get(code).copied(),
            Role::Viewer(viewer) => self.viewer(*viewer),
        };
        if let Some(before) = before {
            self.remove(before, now);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.by_ufrag.insert(peer.ufrag().to_owned(), id);
        if let Role::Site { code, .. } = &role {
            self.by_site.insert(code.clone(), id);
        }
        self.peers.insert(id, Entry { peer, role });
    }

    fn remove(&mut self, id: u64, now: Now) {
        let Some(mut entry) = self.peers.remove(&id) else {
            return;
        };
        if let Some(seat) = entry.peer.live() {
            seat.close(now, &mut self.out);
        }
        self.by_ufrag.retain(|_, peer| *peer != id);
        self.by_address.retain(|_, peer| *peer != id);
        self.by_site.retain(|_, peer| *peer != id);
        if let Role::Site { code, up: true } = entry.role {
            (self.events)(CentreEvent::SiteDown(code, Down::Left));
        }
    }

    /// The program's capture instants are its ticks.
    fn captured(&self, ticks: u64, rate: u64, now: Now) -> Instant {
        let age = self.origin.age(ticks, rate, now.wall);
        now.mono.checked_sub(age).unwrap_or(now.mono)
    }

    fn handle_media(&mut self, media: Media, now: Now) {
        match media {
            Media::Program(program, unit) => {
                let payloads = packetize(&unit);
                let captured = self.captured(unit.ticks, VIDEO_RATE, now);
                if unit.key {
                    self.keys.entry(program).or_default().wanted = false;
                }
                for entry in self.peers.values_mut().filter(|entry| entry.role.program(&self.routes) == program) {
                    if let Some(seat) = entry.peer.live() {
                        seat.write_video(Track::Program, &payloads, unit.key, unit.ticks, captured, now.mono);
                    }
                }
            }
            Media::Routes(routes) => {
                for entry in self.peers.values_mut() {
                    let program = entry.role.program(&routes);
                    if program != entry.role.program(&self.routes) {
                        self.keys.entry(program).or_default().wanted = true;
                        if let Some(seat) = entry.peer.live() {
                            seat.begin_again(Track::Program);
                        }
                    }
                }
                self.routes = routes;
            }
            Media::Shared(packet, except) => {
                let captured = self.captured(packet.ticks, AUDIO_RATE, now);
                for entry in self.peers.values_mut() {
                    let excepted = matches!(&entry.role, Role::Site { code, .. } if except.contains(code));
                    if let Some(seat) = entry.peer.live().filter(|_| !excepted) {
                        seat.write_audio(&packet, captured, now.mono);
                    }
                }
            }
            Media::Own(code, packet) => {
                let captured = self.captured(packet.ticks, AUDIO_RATE, now);
                let entry = self.by_site.get(&code).and_then(|id| self.peers.get_mut(id));
                if let Some(seat) = entry.and_then(|entry| entry.peer.live()) {
                    seat.write_audio(&packet, captured, now.mono);
                }
            }
        }
    }

    fn advance(&mut self, now: Now) {
        let due: Vec<u64> = self
            .peers
            .iter()
            .filter(|(_, entry)| entry.peer.poll_timeout().is_some_and(|at| at <= now.mono))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            if let Some(entry) = self.peers.get_mut(&id) {
                entry.peer.advance(&mut around!(self, now));
                self.dispatch(id, now);
            }
        }
        for (program, key) in &mut self.keys {
            if key.wanted && key.at.is_none_or(|at| now.mono >= at + KEY_APART) {
                *key = KeyWish { wanted: false, at: Some(now.mono) };
                (self.events)(CentreEvent::KeyWanted(*program));
            }
        }
        if now.mono >= self.next_tick {
            self.next_tick = now.mono + TICK;
            self.look_for_silence(now);
        }
        if now.mono >= self.last_stats + SECOND {
            let span = now.mono - self.last_stats;
            self.last_stats = now.mono;
            self.report(span);
        }
    }

    fn look_for_silence(&mut self, now: Now) {
        let mut gone = Vec::new();
        for (id, entry) in &mut self.peers {
            let silent = |limit: Duration| move |seat: &Seat| seat.heard().is_none_or(|at| now.mono > at + limit);
            let dead = entry.peer.live_ref().is_some_and(|seat| !seat.is_alive());
            let down = dead || entry.peer.live_ref().is_none_or(silent(DOWN_AFTER));
            if let Role::Site { code, up } = &mut entry.role
                && *up
                && down
            {
                *up = false;
                let why = if dead { Down::Left } else { Down::Silent };
                (self.events)(CentreEvent::SiteDown(code.clone(), why));
            }
            if entry.peer.is_browser() {
                if dead || now.mono > entry.peer.stun_at + GONE_AFTER {
                    gone.push(*id);
                }
            } else if dead
                || (now.mono > entry.peer.live_since() + FORGET_AFTER
                    && entry.peer.live_ref().is_some_and(silent(FORGET_AFTER)))
            {
                entry.peer.drop_live();
            }
        }
        for id in gone {
            self.remove(id, now);
        }
    }

    fn report(&mut self, span: Duration) {
        self.dropped_total += self.dropped;
        let mut stats = CentreStats {
            dropped: std::mem::take(&mut self.dropped),
            dropped_total: self.dropped_total,
            ..CentreStats::default()
        };
        for entry in self.peers.values_mut() {
            match &entry.role {
                Role::Viewer(_) => stats.viewers += 1,
                Role::Site { code, up } => {
                    let (code, up) = (code.clone(), *up);
                    stats.sites.push((code, entry.peer.health(span, up)));
                }
            }
        }
        stats.sites.sort_by(|a, b| a.0.cmp(&b.0));
        (self.events)(CentreEvent::Stats(stats));
    }
}
