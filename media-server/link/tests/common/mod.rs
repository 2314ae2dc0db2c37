//! Two ends of a link over real sockets, with synthetic access units.
#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "helpers of tests; each test uses a part of them")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use bridgepoint_link::{BoxEvent, BoxLink, CentreEvent, CentreLink, Encoding, Identity, fresh_ice};
use bridgepoint_wire::command::{IceCredentials, Join, VideoOrder};
use bridgepoint_wire::local::Program;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use bridgepoint_wire::{SessionId, SiteCode};

pub fn code(n: usize) -> SiteCode {
    format!("site{n}").parse().unwrap()
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// An access unit whose content follows from its place, with a key frame every second.
pub fn unit(salt: u8, n: u64, ticks: u64) -> AccessUnit {
    let key = n.is_multiple_of(25);
    let body = |kind: u8, len: usize| -> Vec<u8> {
        let byte = |i: usize| (i as u64).wrapping_mul(2_654_435_761).wrapping_add(n * 97 + u64::from(salt)) as u8;
        std::iter::once(kind).chain((0..len).map(byte)).collect()
    };
    let nals = if key {
        vec![body(0x67, 12), body(0x68, 4), body(0x65, 12_000)]
    } else {
        vec![body(0x06, 20), body(0x41, 1_500 + (n % 7) as usize * 300)]
    };
    AccessUnit::from_nals(ticks, nals.iter().map(Vec::as_slice)).unwrap()
}

pub fn sound(salt: u8, n: u64, ticks: u64) -> OpusPacket {
    OpusPacket { ticks, data: vec![salt, n as u8, (n >> 8) as u8, 7, 7].into(), level: (n % 120) as u8 }
}

/// A conference's centre.
pub struct Centre {
    pub link: CentreLink,
    pub events: Receiver<(Instant, CentreEvent)>,
    pub address: SocketAddr,
}

pub fn stamped<T: Send + 'static>() -> (impl FnMut(T) + Send + 'static, Receiver<(Instant, T)>) {
    let (tx, rx): (Sender<(Instant, T)>, _) = channel();
    (
        move |event| {
            let _ = tx.send((Instant::now(), event));
        },
        rx,
    )
}

pub fn centre(address: SocketAddr, identity: &Identity, origin_ms: u64) -> Centre {
    let end = Instant::now() + Duration::from_secs(5);
    // The thread of an earlier centre on this port may still be closing its socket.
    let socket = loop {
        match UdpSocket::bind(address) {
            Ok(socket) => break socket,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    };
    let address = socket.local_addr().unwrap();
    let (sink, events) = stamped();
    let link = CentreLink::start(socket, identity.clone(), origin_ms, sink).unwrap();
    Centre { link, events, address }
}

pub fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// What a box and the centre know of each other.
#[derive(Clone)]
pub struct Pairing {
    pub code: SiteCode,
    pub ice_centre: IceCredentials,
    pub ice_box: IceCredentials,
    pub identity: Identity,
}

impl Pairing {
    pub fn new(n: usize) -> Self {
        Self { code: code(n), ice_centre: fresh_ice(), ice_box: fresh_ice(), identity: Identity::generate() }
    }

    pub fn admit(&self, link: &CentreLink) {
        let fingerprint = self.identity.fingerprint();
        link.add_site(self.code.clone(), self.ice_centre.clone(), self.ice_box.clone(), fingerprint);
    }

    pub fn join(&self, media: SocketAddr, centre: &Identity, origin_ms: u64) -> Join {
        let order = VideoOrder { width: 1280, height: 720, fps: 25, kbps: 700 };
        Join {
            session: SessionId::try_from("s".to_owned()).unwrap(),
            origin_ms,
            caller: self.code.clone(),
            media: vec![media.to_string()],
            dtls_fingerprint: centre.fingerprint(),
            ice_centre: self.ice_centre.clone(),
            ice_box: self.ice_box.clone(),
            main: order,
            thumb: order,
            audio_kbps: 32,
        }
    }

    pub fn start(&self, local: SocketAddr, join: &Join) -> Site {
        let (sink, events) = stamped();
        let link = BoxLink::start(local, join, self.identity.clone(), sink).unwrap();
        Site { link, events, code: self.code.clone() }
    }
}

pub struct Site {
    pub link: BoxLink,
    pub events: Receiver<(Instant, BoxEvent)>,
    pub code: SiteCode,
}

/// Waits for the first event that `pick` takes.
pub fn wait<T, R>(
    events: &Receiver<(Instant, T)>,
    limit: Duration,
    mut pick: impl FnMut(Instant, T) -> Option<R>,
) -> R {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let (at, event) = events.recv_timeout(left).expect("the event came in time");
        if let Some(found) = pick(at, event) {
            return found;
        }
    }
}

/// Calls `tick(n)` every 40 ms, `count` times.
pub fn paced(count: u64, mut tick: impl FnMut(u64)) {
    let begin = Instant::now();
    for n in 0..count {
        let due = begin + Duration::from_millis(40) * n as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        tick(n);
    }
}

pub fn send_as_box(site: &Site, salt: u8, n: u64, base: u64) {
    let at = SystemTime::now();
    site.link.send_video(Encoding::Main, unit(salt, n, base * 90 + n * 3_600), at);
    site.link.send_video(Encoding::Thumb, unit(salt + 100, n, base * 90 + n * 3_600), at);
    for half in 0..2 {
        site.link.send_audio(sound(salt, n * 2 + half, base * 48 + (n * 2 + half) * 960), at);
    }
}

pub fn send_as_centre(centre: &CentreLink, n: u64, base: u64) {
    centre.send_program(Program::Main, unit(50, n, base * 90 + n * 3_600));
    for half in 0..2 {
        centre.send_audio(sound(50, n * 2 + half, base * 48 + (n * 2 + half) * 960), &[]);
    }
}

/// Stands between one box and the centre: loses datagrams, cuts the line, and shows the centre the same source
/// address for whatever box comes.
pub struct Relay {
    /// Where the box sends.
    pub address: SocketAddr,
    /// Where the centre sees it.
    pub outside: SocketAddr,
    shared: std::sync::Arc<std::sync::Mutex<RelayState>>,
    pub out: UdpSocket,
    pub inner: UdpSocket,
}

struct RelayState {
    site: Option<SocketAddr>,
    dead: Vec<SocketAddr>,
    cut: bool,
    loss: u64,
    random: u64,
    stop: bool,
}

impl RelayState {
    fn loses(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.cut || self.random % 100 < self.loss
    }
}

impl Relay {
    pub fn start(centre: SocketAddr, outside: SocketAddr) -> Self {
        Self::with_loss(centre, outside, 0, 1)
    }

    /// Loses `percent` of the datagrams each way.
    pub fn with_loss(centre: SocketAddr, outside: SocketAddr, percent: u64, seed: u64) -> Self {
        let inner = UdpSocket::bind(anywhere()).unwrap();
        let outer = UdpSocket::bind(outside).unwrap();
        let (address, outside) = (inner.local_addr().unwrap(), outer.local_addr().unwrap());
        let state = RelayState { site: None, dead: Vec::new(), cut: false, loss: percent, random: seed, stop: false };
        let shared = std::sync::Arc::new(std::sync::Mutex::new(state));
        let limit = Some(Duration::from_millis(100));
        for (from, to, inward) in [(&inner, &outer, true), (&outer, &inner, false)] {
            let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), shared.clone());
            from.set_read_timeout(limit).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 2_048];
                loop {
                    let received = from.recv_from(&mut buffer);
                    let mut state = shared.lock().unwrap();
                    if state.stop {
                        return;
                    }
                    let Ok((len, source)) = received else {
                        continue;
                    };
                    if inward {
                        if state.dead.contains(&source) {
                            continue;
                        }
                        state.site = Some(source);
                    }
                    let target = if inward { Some(centre) } else { state.site };
                    if let Some(target) = target.filter(|_| !state.loses()) {
                        drop(state);
                        let _ = to.send_to(&buffer[..len], target);
                    }
                }
            });
        }
        Self { address, outside, shared, out: outer, inner }
    }

    /// From now on the box that is there is dead to the world.
    pub fn forget_box(&self) {
        let mut state = self.shared.lock().unwrap();
        if let Some(site) = state.site.take() {
            state.dead.push(site);
        }
    }

    /// The box that is there.
    pub fn site(&self) -> SocketAddr {
        self.shared.lock().unwrap().site.unwrap()
    }

    pub fn cut(&self, cut: bool) {
        self.shared.lock().unwrap().cut = cut;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.lock().unwrap().stop = true;
    }
}

/// CPU seconds that this process's threads of a name have used.
pub fn cpu_of(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let ticks = stats.filter(|stat| stat.contains(&format!("({name})"))).map(|stat| {
        let after = stat.rsplit_once(')').unwrap().1;
        let field = |n: usize| after.split_whitespace().nth(n).unwrap().parse::<f64>().unwrap();
        field(11) + field(12)
    });
    ticks.sum::<f64>() / 100.0
}
