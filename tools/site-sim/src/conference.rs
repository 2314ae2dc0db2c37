//! One conference: a real worker, N sites with the real link, and what a site sees of the program.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bridgepoint_link::{BoxEvent, BoxLink, Crowd, Identity, Member, Wish, fresh_ice};
use bridgepoint_record::{Recorder, RecorderConfig, Role};
use bridgepoint_wire::command::{Join, VideoOrder};
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::local::{Conference, ConferenceSite, FromWorker, ProgramStage, Stage, ToWorker};
use bridgepoint_wire::{SessionId, SiteCode};
use serde_json::Value;

use crate::clip::small;
use crate::sending::{Sending, Source, Way, send};
use crate::worker::Worker;

/// A conference that is to be.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The server's program.
    pub server: &'a Path,
    /// Where the worker records; exists.
    pub archive: &'a Path,
    /// How many sites take part from the start, …
    pub sites: usize,
    /// … and how many more may come, which it knows.
    pub away: usize,
    /// Its layout.
    pub layout: &'a str,
    /// Small encodings are at most of this width and height.
    pub thumb: (u16, u16),
}

/// What a site does with its events, on its link's thread.
pub type Watch = Box<dyn FnMut(BoxEvent) + Send>;

/// What sites and worker have in common.
pub struct Session {
    /// Time zero of its media, ms since 1970.
    pub origin_ms: u64,
    /// Key of its records, PKCS #8, …
    pub key: Vec<u8>,
    /// … and the statement that it is.
    pub cert: Value,
}

/// A site that the conference lets in, and its certificate.
pub struct Place {
    /// As the worker knows it.
    pub site: ConferenceSite,
    identity: Identity,
}

impl Place {
    /// Site number `n`.
    pub fn new(n: usize) -> anyhow::Result<Self> {
        let identity = Identity::generate();
        let site = ConferenceSite {
            code: code(n)?,
            name: format!("Điểm cầu {}", n + 1),
            dtls_fingerprint: identity.fingerprint(),
            ice_centre: fresh_ice(),
            ice_box: fresh_ice(),
        };
        Ok(Self { site, identity })
    }
}

/// Where sites come in.
struct Door {
    port: u16,
    centre: Identity,
    thumb: (u16, u16),
}

/// A running conference.
pub struct Running {
    /// The worker.
    pub worker: Worker,
    /// What it has in common with its sites.
    pub session: Session,
    /// Those that it knows and that are not there.
    pub away: Vec<Place>,
    door: Door,
    /// The first site's link, in which delays are measured, has a thread of its own.
    first: BoxLink,
    others: Crowd,
    /// Whether the server wants a site's small encoding.
    thumb_wished: Vec<Arc<AtomicBool>>,
}

impl Running {
    /// Starts a worker with sites in it; `watch` says what each does with its events.
    pub fn start(
        opening: Opening<'_>,
        mut watch: impl FnMut(&Session, usize) -> anyhow::Result<Watch>,
    ) -> anyhow::Result<Self> {
        let session = Session::begin()?;
        let centre = Identity::generate();
        let mut places: Vec<Place> = (0..opening.sites + opening.away).map(Place::new).collect::<Result<_, _>>()?;
        let sites: Vec<ConferenceSite> = places.iter().map(|place| place.site.clone()).collect();
        let worker = Worker::start(opening.server, &opening.archive.join("worker.sock"))?;
        worker.say(&ToWorker::Open(Box::new(conference(opening, &session, &centre, &sites)?)))?;
        let port = worker.wait_for(|message| match message {
            FromWorker::Opened { port } => Some(port),
            _ => None,
        })?;
        let door = Door { port, centre, thumb: opening.thumb };
        let away = places.split_off(opening.sites);
        let (mut members, mut thumb_wished) = (Vec::new(), Vec::new());
        for (n, place) in places.iter().enumerate() {
            let wished = Arc::new(AtomicBool::new(true));
            thumb_wished.push(Arc::clone(&wished));
            members.push(door.member(session.origin_ms, place, noting(wished, watch(&session, n)?))?);
        }
        let Member { local, join, identity, events } = members.remove(0);
        let first = BoxLink::start(local, &join, identity, events)?;
        Ok(Self { worker, session, away, door, first, others: Crowd::start(members)?, thumb_wished })
    }

    /// A site comes; it leaves when the link is dropped.
    pub fn come(&self, place: &Place, wished: Arc<AtomicBool>, watch: Watch) -> anyhow::Result<BoxLink> {
        let Member { local, join, identity, events } =
            self.door.member(self.session.origin_ms, place, noting(wished, watch))?;
        Ok(BoxLink::start(local, &join, identity, events)?)
    }

    /// Sends every site's clip, paced, for as long as `go_on` says of the time since the start. `sent` is told the site and number of each frame that has
    /// just left.
    pub fn send<'s>(&'s self, sources: &'s [Source], go_on: impl Fn(Duration) -> bool, sent: impl FnMut(usize, u64)) {
        let sending = |(n, source): (usize, &'s Source)| {
            let way = n.checked_sub(1).map_or(Way::Alone(&self.first), |member| Way::Shared(&self.others, member));
            Sending::new(way, &self.thumb_wished[n], source, n, sources.len())
        };
        send(sources.iter().enumerate().map(sending).collect(), self.session.origin_ms, go_on, sent);
    }
}

/// Keeps in mind whether the small encoding is wanted, and passes everything on.
fn noting(wished: Arc<AtomicBool>, mut watch: Watch) -> Watch {
    Box::new(move |event| {
        if let BoxEvent::ThumbWished(wish) = &event {
            wished.store(*wish != Wish::Nothing, Ordering::Relaxed);
        }
        watch(event);
    })
}

impl Session {
    /// Certified by itself: such a record has no authority behind it, and its verification says so.
    pub fn begin() -> anyhow::Result<Self> {
        let key = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
            .ok()
            .context("a session key")?;
        let signer = Signer::from_pkcs8(key.as_ref())?;
        let pem = self_signed(key.as_ref())?;
        let cert = bridgepoint_record::certify_session_key(&signer, &pem, &name()?, &signer.public())?;
        let origin_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        Ok(Self { origin_ms, key: key.as_ref().to_vec(), cert })
    }

    /// Keeps what a site receives as the worker keeps what it sends.
    pub fn recorder(&self, folder: &Path) -> anyhow::Result<Recorder> {
        let config = RecorderConfig {
            folder: folder.to_owned(),
            session: name()?,
            origin_ms: self.origin_ms,
            part: 1,
            role: Role::Box,
            session_key: Signer::from_pkcs8(&self.key)?,
            session_cert: self.cert.clone(),
            about: Value::Null,
        };
        Ok(Recorder::start(config, |_| ())?)
    }
}

/// Of every session here.
pub fn name() -> anyhow::Result<SessionId> {
    Ok("bench-mix".parse()?)
}

fn code(n: usize) -> anyhow::Result<SiteCode> {
    Ok(format!("{}", 20_000 + n).parse()?)
}

fn conference(
    opening: Opening<'_>,
    session: &Session,
    centre: &Identity,
    sites: &[ConferenceSite],
) -> anyhow::Result<Conference> {
    Ok(Conference {
        session: name()?,
        origin_ms: session.origin_ms,
        archive: opening.archive.to_str().context("paths are UTF-8")?.into(),
        part: 1,
        listen: "127.0.0.1:0".into(),
        dtls_cert: BASE64.encode(&centre.cert_der),
        dtls_key: BASE64.encode(&centre.key_der),
        session_key: BASE64.encode(&session.key),
        session_cert: session.cert.clone(),
        about: serde_json::json!({}),
        sites: sites.to_vec(),
        program: VideoOrder { width: 1280, height: 720, fps: 25, kbps: 2_000 },
        program_audio_kbps: 64,
        layouts: String::new(),
        // The first site is measured: it is in the first place, whoever comes first.
        stage: Stage {
            main: ProgramStage { layout: opening.layout.into(), front: Some(code(0)?), follow: true, spotlight: None },
            ..Stage::default()
        },
    })
}

fn self_signed(key: &[u8]) -> anyhow::Result<String> {
    let key = rcgen::KeyPair::try_from(key)?;
    Ok(rcgen::CertificateParams::new(Vec::<String>::new())?.self_signed(&key)?.pem())
}

impl Door {
    fn member(&self, origin_ms: u64, place: &Place, events: Watch) -> anyhow::Result<Member> {
        let (width, height) = self.thumb;
        let join = Join {
            session: name()?,
            origin_ms,
            caller: code(0)?,
            media: vec![format!("127.0.0.1:{}", self.port)],
            dtls_fingerprint: self.centre.fingerprint(),
            ice_centre: place.site.ice_centre.clone(),
            ice_box: place.site.ice_box.clone(),
            main: VideoOrder { width: 1280, height: 720, fps: 25, kbps: 1_500 },
            thumb: small(width, height),
            audio_kbps: 48,
        };
        Ok(Member { local: SocketAddr::from(([127, 0, 0, 1], 0)), join, identity: place.identity.clone(), events })
    }
}
