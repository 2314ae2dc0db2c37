//! One conference: a real worker, N sites with the real link, and what a site sees of the program.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bridgepoint_link::{BoxEvent, BoxLink, Crowd, Encoding, Identity, Member, Wish, fresh_ice};
use bridgepoint_wire::command::{Join, VideoOrder};
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::local::{Conference, ConferenceSite, FromWorker, Stage, ToWorker};
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use bridgepoint_wire::{SessionId, SiteCode};

use crate::clip::{Clip, FPS};
use crate::measure::{Flash, Received};
use crate::worker::Worker;

const FRAME: Duration = Duration::from_millis(40);
const BLOCK: Duration = Duration::from_millis(20);

/// The sites' links.
struct Links {
    /// The first site's, in which delays are measured, has a thread of its own.
    first: BoxLink,
    others: Crowd,
    /// Whether the server wants a site's small encoding.
    thumb_wished: Vec<Arc<AtomicBool>>,
}

impl Links {
    fn send_video(&self, site: usize, encoding: Encoding, unit: AccessUnit, captured: SystemTime) {
        match site.checked_sub(1) {
            None => self.first.send_video(encoding, unit, captured),
            Some(member) => self.others.send_video(member, encoding, unit, captured),
        }
    }

    fn send_audio(&self, site: usize, packet: OpusPacket, captured: SystemTime) {
        match site.checked_sub(1) {
            None => self.first.send_audio(packet, captured),
            Some(member) => self.others.send_audio(member, packet, captured),
        }
    }
}

/// A running conference.
pub struct Running {
    /// The worker.
    pub worker: Worker,
    /// What the first site received of the program.
    pub received: Arc<Mutex<Vec<Received>>>,
    links: Links,
    origin_ms: u64,
}

/// Starts a worker with `sites` sites in it, recording into `archive`.
pub fn start(server: &Path, archive: &Path, sites: usize, layout: &str, thumb: (u16, u16)) -> anyhow::Result<Running> {
    let origin_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let centre = Identity::generate();
    let boxes: Vec<Identity> = (0..sites).map(|_| Identity::generate()).collect();
    let places: Vec<ConferenceSite> = boxes.iter().enumerate().map(place).collect::<Result<_, _>>()?;
    let mut worker = Worker::start(server, &archive.join("worker.sock"))?;
    worker.say(&ToWorker::Open(Box::new(opening(archive, origin_ms, &centre, &places, layout)?)))?;
    let port = worker.wait_for(|message| match message {
        FromWorker::Opened { port } => Some(port),
        _ => None,
    })?;
    let received = Arc::new(Mutex::new(Vec::new()));
    let (mut members, mut thumb_wished) = (Vec::new(), Vec::new());
    for (n, (identity, place)) in boxes.into_iter().zip(&places).enumerate() {
        let join = joining(origin_ms, port, &centre, place, thumb)?;
        let program = (n == 0).then(|| Arc::clone(&received));
        let wished = Arc::new(AtomicBool::new(true));
        thumb_wished.push(Arc::clone(&wished));
        let events = Box::new(move |event| match (event, &program) {
            (BoxEvent::Program(unit), Some(program)) => {
                let at = Instant::now();
                program.lock().unwrap_or_else(PoisonError::into_inner).push(Received { at, unit });
            }
            (BoxEvent::ThumbWished(wish), _) => wished.store(wish != Wish::Nothing, Ordering::Relaxed),
            _ => {}
        });
        members.push(Member { local: SocketAddr::from(([127, 0, 0, 1], 0)), join, identity, events });
    }
    let Member { local, join, identity, events } = members.remove(0);
    let first = BoxLink::start(local, &join, identity, events)?;
    let links = Links { first, others: Crowd::start(members)?, thumb_wished };
    Ok(Running { worker, received, links, origin_ms })
}

/// One site's way through its clip.
struct Sending<'a> {
    links: &'a Links,
    site: usize,
    clip: &'a Clip,
    /// When its first frame is captured, after the start.
    offset: Duration,
    frame: u64,
    block: u64,
    /// The small encoding goes out: it begins with a key frame.
    thumb: bool,
}

impl Sending<'_> {
    /// When the next frame or block is there, after the start: a block of sound when it is complete.
    fn due(&self) -> Duration {
        self.offset + self.clip.frame_time(self.frame).min(BLOCK * (self.block as u32 + 1))
    }

    /// Sends what is due; `begin` is the wall clock at the start.
    fn step(&mut self, begin: SystemTime, origin_ms: u64) {
        let clip = self.clip;
        let micros = |captured: SystemTime| {
            let since = captured.duration_since(UNIX_EPOCH).unwrap_or_default();
            (since.as_micros() as u64).saturating_sub(origin_ms * 1_000)
        };
        if clip.frame_time(self.frame) > BLOCK * (self.block as u32 + 1) {
            let captured = begin + self.offset + BLOCK * self.block as u32;
            // A decoder gives the first sample after its pre-skip (RFC 7845 §4.2).
            let ticks = (micros(captured) * 48 / 1_000).saturating_sub(clip.pre_skip);
            let (data, level) = clip.block(self.block);
            self.links.send_audio(self.site, OpusPacket { ticks, data, level }, captured);
            self.block += 1;
            return;
        }
        let captured = begin + self.offset + clip.frame_time(self.frame);
        let ticks = micros(captured) * 9 / 100;
        let (main, thumb) = clip.frame(self.frame);
        self.links.send_video(self.site, Encoding::Main, AccessUnit { ticks, ..main.clone() }, captured);
        self.thumb = self.links.thumb_wished[self.site].load(Ordering::Relaxed) && (self.thumb || thumb.key);
        if self.thumb {
            self.links.send_video(self.site, Encoding::Thumb, AccessUnit { ticks, ..thumb.clone() }, captured);
        }
        self.frame += 1;
    }
}

impl Running {
    /// Sends every site's clip, paced, until `length` is over. Returns when the first site's flashes were sent.
    pub fn send(&self, clips: &[Arc<Clip>], length: Duration) -> Vec<Flash> {
        let (start, begin) = (Instant::now(), SystemTime::now());
        let count = clips.len() as u32;
        // Real cameras are not in step: each site has its own part of a frame's time.
        let site = |(site, clip)| {
            let offset = FRAME * site as u32 / count;
            Sending { links: &self.links, site, clip, offset, frame: 0, block: 0, thumb: true }
        };
        let mut sites: Vec<Sending<'_>> = clips.iter().map(Arc::as_ref).enumerate().map(site).collect();
        let mut queue: BinaryHeap<Reverse<(Duration, usize)>> =
            sites.iter().enumerate().map(|(n, site)| Reverse((site.due(), n))).collect();
        let mut flashes = Vec::new();
        while let Some(Reverse((due, n))) = queue.pop().filter(|Reverse((due, _))| *due < length) {
            std::thread::sleep((start + due).saturating_duration_since(Instant::now()));
            let site = &mut sites[n];
            let frame = site.frame;
            site.step(begin, self.origin_ms);
            if n == 0 && site.frame > frame && frame.is_multiple_of(FPS) {
                flashes.push(Flash { at: Instant::now(), long: frame.is_multiple_of(5 * FPS) });
            }
            queue.push(Reverse((site.due(), n)));
        }
        flashes
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

fn opening(
    archive: &Path,
    origin_ms: u64,
    centre: &Identity,
    sites: &[ConferenceSite],
    layout: &str,
) -> anyhow::Result<Conference> {
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
        layouts: String::new(),
        // The first site is measured: it is in the first place, whoever comes first.
        stage: Stage { layout: layout.into(), front: Some(code(0)?), follow: true, ..Stage::default() },
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
