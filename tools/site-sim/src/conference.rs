//! One conference: a real worker, N sites with the real link, and what a site sees of the program.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bridgepoint_link::{BoxEvent, BoxLink, Encoding, Identity, fresh_ice};
use bridgepoint_wire::command::{Join, VideoOrder};
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::local::{Conference, ConferenceSite, FromWorker, ToWorker};
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use bridgepoint_wire::{SessionId, SiteCode};

use crate::clip::{Clip, FPS};
use crate::measure::{Flash, Received};
use crate::worker::Worker;

/// Every site sends its first frame of a round at its own part of a frame's time: real cameras are not in step.
const STAGGER: Duration = Duration::from_millis(7);

/// A running conference.
pub struct Running {
    /// The worker.
    pub worker: Worker,
    /// What the first site received of the program.
    pub received: Arc<Mutex<Vec<Received>>>,
    links: Vec<BoxLink>,
    origin_ms: u64,
}

/// Starts a worker with `sites` sites in it, recording into `archive`.
pub fn start(server: &Path, archive: &Path, sites: usize, thumb: (u16, u16)) -> anyhow::Result<Running> {
    let origin_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let centre = Identity::generate();
    let boxes: Vec<Identity> = (0..sites).map(|_| Identity::generate()).collect();
    let places: Vec<ConferenceSite> = boxes.iter().enumerate().map(place).collect::<Result<_, _>>()?;
    let mut worker = Worker::start(server, &archive.join("worker.sock"))?;
    worker.say(&ToWorker::Open(Box::new(opening(archive, origin_ms, &centre, &places)?)))?;
    let port = worker.wait_for(|message| match message {
        FromWorker::Opened { port } => Some(port),
        _ => None,
    })?;
    let received = Arc::new(Mutex::new(Vec::new()));
    let mut links = Vec::new();
    for (n, (identity, place)) in boxes.into_iter().zip(&places).enumerate() {
        let join = joining(origin_ms, port, &centre, place, thumb)?;
        let program = (n == 0).then(|| Arc::clone(&received));
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        links.push(BoxLink::start(local, &join, identity, move |event| {
            if let (BoxEvent::Program(unit), Some(program)) = (event, &program) {
                let at = Instant::now();
                program.lock().unwrap_or_else(PoisonError::into_inner).push(Received { at, unit });
            }
        })?);
    }
    Ok(Running { worker, received, links, origin_ms })
}

impl Running {
    /// Sends every site's clip, paced, until `length` is over. Returns when the first site's flashes were sent.
    pub fn send(&self, clips: &[Clip], length: Duration) -> Vec<Flash> {
        let start = Instant::now();
        let mut flashes = Vec::new();
        for frame in 0..length.as_secs() * FPS {
            for (n, (link, clip)) in self.links.iter().zip(clips).enumerate() {
                let due = start + Duration::from_millis(frame * 40) + STAGGER * (n as u32 % 5);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if n == 0 && frame % FPS == 0 {
                    flashes.push(Flash { at: Instant::now(), long: frame % (5 * FPS) == 0 });
                }
                self.send_frame(link, clip, frame);
            }
        }
        flashes
    }

    fn send_frame(&self, link: &BoxLink, clip: &Clip, frame: u64) {
        let captured = SystemTime::now();
        let since = captured.duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = (since.as_micros() as u64).saturating_sub(self.origin_ms * 1_000);
        let at = frame as usize % clip.main.len();
        for (encoding, unit) in [(Encoding::Main, &clip.main[at]), (Encoding::Thumb, &clip.thumb[at])] {
            link.send_video(encoding, AccessUnit { ticks: micros * 9 / 100, ..unit.clone() }, captured);
        }
        for block in [0, 1] {
            let data = &clip.sound[(frame as usize * 2 + block) % clip.sound.len()];
            let ticks = (micros * 48 / 1_000 / 960 + block as u64) * 960;
            link.send_audio(OpusPacket { ticks, data: Arc::clone(data), level: 30 }, captured);
        }
    }
}

fn place((n, identity): (usize, &Identity)) -> anyhow::Result<ConferenceSite> {
    Ok(ConferenceSite {
        code: code(n)?,
        name: format!("Điểm cầu {}", n + 1),
        dtls_fingerprint: identity.fingerprint(),
        ice_centre: fresh_ice(),
        ice_box: fresh_ice(),
    })
}

fn code(n: usize) -> anyhow::Result<SiteCode> {
    Ok(format!("{}", 20_000 + n).parse()?)
}

fn opening(archive: &Path, origin_ms: u64, centre: &Identity, sites: &[ConferenceSite]) -> anyhow::Result<Conference> {
    let key = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
        .ok()
        .context("a session key")?;
    let session: SessionId = "bench-mix".parse()?;
    // Certified by itself: the bench's record has no authority behind it, and its verification says so.
    let signer = Signer::from_pkcs8(key.as_ref())?;
    let session_cert =
        bridgepoint_record::certify_session_key(&signer, &self_signed(key.as_ref())?, &session, &signer.public())?;
    Ok(Conference {
        session,
        origin_ms,
        archive: archive.to_str().context("paths are UTF-8")?.into(),
        part: 1,
        listen: "127.0.0.1:0".into(),
        dtls_cert: BASE64.encode(&centre.cert_der),
        dtls_key: BASE64.encode(&centre.key_der),
        session_key: BASE64.encode(key.as_ref()),
        session_cert,
        about: serde_json::json!({}),
        sites: sites.to_vec(),
        program: VideoOrder { width: 1280, height: 720, fps: 25, kbps: 2_000 },
        program_audio_kbps: 64,
        layout: "grid".into(),
        front: None,
    })
}

fn self_signed(key: &[u8]) -> anyhow::Result<String> {
    let key = rcgen::KeyPair::try_from(key)?;
    Ok(rcgen::CertificateParams::new(Vec::<String>::new())?.self_signed(&key)?.pem())
}

fn joining(
    origin_ms: u64,
    port: u16,
    centre: &Identity,
    place: &ConferenceSite,
    (width, height): (u16, u16),
) -> anyhow::Result<Join> {
    Ok(Join {
        session: "bench-mix".parse()?,
        origin_ms,
        caller: code(0)?,
        media: vec![format!("127.0.0.1:{port}")],
        dtls_fingerprint: centre.fingerprint(),
        ice_centre: place.ice_centre.clone(),
        ice_box: place.ice_box.clone(),
        main: VideoOrder { width: 1280, height: 720, fps: 25, kbps: 1_500 },
        thumb: VideoOrder { width, height, fps: 25, kbps: 500 },
        audio_kbps: 48,
    })
}
