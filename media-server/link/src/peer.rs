//! A site's place at the centre: the session that lives, and those that may take its place.
//!
//! A box that comes back (new process, new address, or the same address) begins a new DTLS handshake under the same
//! ICE credentials. Anybody can send such a beginning with a live box's address, so it never touches the live
//! session: it gets a session of its own beside it, and that takes over only when its handshake has proven the box's
//! private key.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bridgepoint_wire::command::IceCredentials;

use crate::batch::Outbox;
use crate::clock::Origin;
use crate::dtls::{Datagram, inspect, is_dtls};
use crate::meter::Volume;
use crate::plan::{self, End, Parties};
use crate::seat::{Fate, Now, Seat, SeatEvent, Streams, Track};
use crate::stun;
use crate::wish::Wish;
use crate::{Identity, LinkHealth};

/// So many handshakes may be under way for one site.
const CHALLENGERS: usize = 4;
/// A handshake that takes longer has failed.
const HANDSHAKE: Duration = Duration::from_secs(12);
/// So many new handshakes per second may begin for one site: each costs some 0.2 ms.
const HELLOS_PER_SECOND: u32 = 20;
/// Paths (source addresses) that are remembered for one site.
const PATHS: usize = 8;

/// What a peer needs of the link around it.
pub(crate) struct Around<'a> {
    pub identity: &'a Identity,
    pub local: SocketAddr,
    pub origin: Origin,
    pub now: Now,
    pub out: &'a mut Outbox,
    pub events: &'a mut Vec<SeatEvent>,
}

/// Who may be at the other end.
pub(crate) enum Admission {
    /// A box, which may come again and again.
    Box(Parties),
    /// A browser: one offer, one session.
    Browser(IceCredentials),
}

/// An authenticated binding request was answered.
pub(crate) struct Admitted {
    /// The path that had to be forgotten for a new one.
    pub forgotten: Option<SocketAddr>,
}

/// A path by which an authenticated binding request came.
struct Path {
    address: SocketAddr,
    /// The last request that nominated it: a new session is told of it at once instead of waiting for the next.
    nomination: Option<Vec<u8>>,
    at: Instant,
}

struct Challenger {
    seat: Seat,
    address: SocketAddr,
    random: [u8; 32],
    /// Something came after the hello.
    answered: bool,
    begun: Instant,
}

/// A site, or a viewer.
pub(crate) struct Peer {
    admission: Admission,
    live: Option<Seat>,
    live_address: Option<SocketAddr>,
    live_since: Instant,
    challengers: Vec<Challenger>,
    paths: Vec<Path>,
    hellos: (Instant, u32),
    /// Of sessions that were replaced since the last report.
    volume: Volume,
    /// When the last authenticated STUN request came.
    pub stun_at: Instant,
    /// What its small encoding is to be; each session is told.
    wish: Option<Wish>,
}

impl Peer {
    pub(crate) fn for_box(parties: Parties, now: Instant) -> Self {
        Self::new(Admission::Box(parties), None, now)
    }

    pub(crate) fn for_browser(ice: IceCredentials, seat: Seat, now: Instant) -> Self {
        Self::new(Admission::Browser(ice), Some(seat), now)
    }

    fn new(admission: Admission, live: Option<Seat>, now: Instant) -> Self {
        Self {
            admission,
            live,
            live_address: None,
            live_since: now,
            challengers: Vec::new(),
            paths: Vec::new(),
            hellos: (now, 0),
            volume: Volume::default(),
            stun_at: now,
            wish: None,
        }
    }

    /// Our ICE user name towards this peer.
    pub(crate) fn ufrag(&self) -> &str {
        &self.ice().ufrag
    }

    fn ice(&self) -> &IceCredentials {
        match &self.admission {
            Admission::Box(parties) => &parties.own,
            Admission::Browser(ice) => ice,
        }
    }

    pub(crate) fn live(&mut self) -> Option<&mut Seat> {
        self.live.as_mut()
    }

    pub(crate) fn live_ref(&self) -> Option<&Seat> {
        self.live.as_ref()
    }

    /// When the session in use took over.
    pub(crate) fn live_since(&self) -> Instant {
        self.live_since
    }

    pub(crate) fn is_browser(&self) -> bool {
        matches!(self.admission, Admission::Browser(_))
    }

    /// Whether it is for exactly this box.
    pub(crate) fn is_for(&self, parties: &Parties) -> bool {
        matches!(&self.admission, Admission::Box(own) if own == parties)
    }

    /// Figures since the last call.
    pub(crate) fn health(&mut self, span: Duration, up: bool) -> LinkHealth {
        let mut volume = std::mem::take(&mut self.volume);
        let (mut rtt, mut counts) = (None, (0, 0));
        if let Some(seat) = &mut self.live {
            let own = std::mem::take(&mut seat.volume);
            volume = Volume { up: volume.up + own.up, down: volume.down + own.down };
            (rtt, counts) = (seat.rtt(), seat.take_counts());
        }
        volume.report(span, up, rtt, counts)
    }

    pub(crate) fn drop_live(&mut self) {
        self.live = None;
    }

    /// Whether `address` is in use by a session that was heard of lately: nobody else's request may take it over.
    pub(crate) fn holds(&self, address: SocketAddr, now: Instant) -> bool {
        let recent = |at: Option<Instant>| at.is_some_and(|at| now < at + Duration::from_secs(5));
        self.live_address == Some(address) && recent(self.live.as_ref().and_then(Seat::heard))
    }

    /// A binding request for this peer's user name. `None` when its integrity is wrong.
    pub(crate) fn handle_stun(
        &mut self,
        from: SocketAddr,
        other: &str,
        datagram: &[u8],
        around: &mut Around<'_>,
    ) -> Option<Admitted> {
        if let Admission::Box(parties) = &self.admission
            && parties.other.ufrag != other
        {
            return None;
        }
        let reply = stun::answer(datagram, &self.ice().pwd, from)?;
        around.out.push(from, reply);
        self.stun_at = around.now.mono;
        let forgotten = self.remember(from, datagram, around.now.mono);
        let elsewhere = matches!(self.admission, Admission::Box(_)) && self.live_address != Some(from);
        if let Some(seat) = self.live.as_mut().filter(|_| !elsewhere) {
            seat.receive(from, datagram, around.now, around.out, around.events);
        }
        for challenger in self.challengers.iter_mut().filter(|c| c.address == from) {
            challenger.seat.receive(from, datagram, around.now, around.out, around.events);
        }
        self.settle(around);
        Some(Admitted { forgotten })
    }

    fn remember(&mut self, address: SocketAddr, datagram: &[u8], now: Instant) -> Option<SocketAddr> {
        let nomination = stun::nominates(datagram).then(|| datagram.to_vec());
        if let Some(path) = self.paths.iter_mut().find(|path| path.address == address) {
            path.at = now;
            path.nomination = nomination.or(path.nomination.take());
            return None;
        }
        self.paths.push(Path { address, nomination, at: now });
        if self.paths.len() <= PATHS {
            return None;
        }
        let live = self.live_address;
        let oldest = self.paths.iter().enumerate().filter(|(_, path)| Some(path.address) != live);
        let (oldest, _) = oldest.min_by_key(|(_, path)| path.at)?;
        Some(self.paths.swap_remove(oldest).address)
    }

    /// Any other datagram from one of this peer's addresses.
    pub(crate) fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], around: &mut Around<'_>) -> Fate {
        let fate = if matches!(self.admission, Admission::Box(_)) && is_dtls(datagram) {
            self.handle_dtls(from, datagram, around)
        } else {
            self.give_live(from, datagram, around)
        };
        self.settle(around);
        fate
    }

    fn give_live(&mut self, from: SocketAddr, datagram: &[u8], around: &mut Around<'_>) -> Fate {
        let expected = match self.admission {
            Admission::Box(_) => self.live_address == Some(from),
            Admission::Browser(_) => true,
        };
        match self.live.as_mut().filter(|_| expected) {
            Some(seat) => seat.receive(from, datagram, around.now, around.out, around.events),
            None => Fate::Dropped,
        }
    }

    fn handle_dtls(&mut self, from: SocketAddr, datagram: &[u8], around: &mut Around<'_>) -> Fate {
        match inspect(datagram) {
            None => Fate::Dropped,
            Some(Datagram::ClientHello(random)) => self.handle_hello(from, random, datagram, around),
            Some(Datagram::Plain | Datagram::Protected) => {
                let mut fate = self.give_live(from, datagram, around);
                for challenger in self.challengers.iter_mut().filter(|c| c.address == from) {
                    challenger.answered = true;
                    challenger.seat.receive(from, datagram, around.now, around.out, around.events);
                    fate = Fate::Taken;
                }
                fate
            }
        }
    }

    fn handle_hello(&mut self, from: SocketAddr, random: [u8; 32], datagram: &[u8], around: &mut Around<'_>) -> Fate {
        let known = self.challengers.iter_mut().find(|c| c.address == from && c.random == random);
        if let Some(challenger) = known {
            return challenger.seat.receive(from, datagram, around.now, around.out, around.events);
        }
        let Some(mut seat) = self.challenge(from, around) else {
            return Fate::Dropped;
        };
        let fate = seat.receive(from, datagram, around.now, around.out, around.events);
        self.challengers.push(Challenger { seat, address: from, random, answered: false, begun: around.now.mono });
        fate
    }

    /// A session for a new handshake from a path that the box has nominated.
    fn challenge(&mut self, from: SocketAddr, around: &mut Around<'_>) -> Option<Seat> {
        let now = around.now.mono;
        let Admission::Box(parties) = &self.admission else {
            return None;
        };
        let nomination = self.paths.iter().find(|path| path.address == from)?.nomination.as_ref()?;
        if now > self.hellos.0 + Duration::from_secs(1) {
            self.hellos = (now, 0);
        }
        if self.hellos.1 >= HELLOS_PER_SECOND {
            return None;
        }
        if self.challengers.len() >= CHALLENGERS {
            // One that has gone on after its hello has somebody at its address; the others may be made up. They are
            // in the order in which they began.
            let made_up = self.challengers.iter().position(|c| !c.answered).unwrap_or(0);
            self.challengers.remove(made_up);
        }
        self.hellos.1 += 1;
        let rtc = plan::build(End::Centre, around.identity, parties, around.local, &[], now).ok()?;
        let mut seat =
            Seat::new(rtc, around.local, around.origin, Streams::of_centre(), now).with_beats(now).without_stun();
        seat.start_dtls(false);
        seat.receive(from, nomination, around.now, around.out, around.events);
        Some(seat)
    }

    /// Lets a session that has proven itself take over, and forgets those that failed.
    fn settle(&mut self, around: &Around<'_>) {
        if let Some(winner) = self.challengers.iter().position(|c| c.seat.is_connected()) {
            let winner = self.challengers.remove(winner);
            if let Some(old) = &self.live {
                self.volume.up += old.volume.up;
                self.volume.down += old.volume.down;
            }
            let mut seat = winner.seat;
            if let Some(wish) = self.wish {
                seat.wish(wish, around.now.mono);
            }
            self.live = Some(seat);
            self.live_address = Some(winner.address);
            self.live_since = around.now.mono;
        }
        let now = around.now.mono;
        self.challengers.retain(|c| c.seat.is_alive() && now < c.begun + HANDSHAKE);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let challengers = self.challengers.iter().map(|c| c.seat.poll_timeout());
        self.live.iter().map(Seat::poll_timeout).chain(challengers).min()
    }

    /// Time passed, or packets were written.
    pub(crate) fn advance(&mut self, around: &mut Around<'_>) {
        let now = around.now.mono;
        if let Some(seat) = self.live.as_mut().filter(|seat| seat.poll_timeout() <= now) {
            seat.advance(around.now, around.out, around.events);
        }
        for challenger in &mut self.challengers {
            if challenger.seat.poll_timeout() <= now {
                challenger.seat.advance(around.now, around.out, around.events);
            }
        }
        self.settle(around);
    }

    pub(crate) fn wish(&mut self, wish: Wish, now: Instant) {
        self.wish = Some(wish);
        if let Some(seat) = &mut self.live {
            seat.wish(wish, now);
        }
    }

    pub(crate) fn want_key(&mut self, track: Track) {
        if let Some(seat) = &mut self.live {
            seat.want_key(track);
        }
    }
}
