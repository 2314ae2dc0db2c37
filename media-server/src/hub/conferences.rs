//! Sessions and their workers: opened, carried on, sealed, taken over.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_record::RecordError;
use bridgepoint_wire::command::{IceCredentials, Join, Order, VideoOrder};
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::local::{Conference, ConferenceSite, FromWorker, ProgramStage, Stage, ToWorker};
use bridgepoint_wire::text::{Lang, Text};
use bridgepoint_wire::{SessionId, SiteCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use server_core::capacity::{NoRoom, room};
use server_core::session::{Act, By, Phase, Session};

use super::{Done, Hub, Running, SHOWN_ENDED};
use crate::clock::{now_ms, stamp};
use crate::workers::FromWorkers;
use crate::{archive, pki, secret};

/// How long a record may be held by a worker that is said to be dead, and how often it is asked for.
const SEAL_PATIENCE: Duration = Duration::from_secs(5);
const SEAL_AGAIN: Duration = Duration::from_millis(50);

/// What the next control process must know of a running session and the store must not: keys. Mode 0600, in the
/// runtime folder, gone when the session is.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    conference: Conference,
    socket: Option<PathBuf>,
}

/// Why a session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server is about to end.
    #[error("the server is shutting down")]
    Closing,
    /// The archive.
    #[error(transparent)]
    Archive(#[from] archive::ArchiveError),
    /// No UDP port.
    #[error("all media ports from {first} to {last} are taken: wait for a session to end, or raise media.ports")]
    Ports {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// Too many sites in all sessions.
    #[error(
        "{running} sites are in sessions, and this server takes {most} at a time (media.max_sites): end a session, or call \
         fewer sites"
    )]
    TooMany {
        /// In sessions now.
        running: usize,
        /// The most.
        most: usize,
    },
    /// The machine.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Keys.
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    /// The record's certificate.
    #[error("session certificate: {0}")]
    Record(#[from] RecordError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// A folder or file of the session.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Random numbers.
    #[error(transparent)]
    Random(#[from] secret::NoRandom),
    /// A key just made cannot sign.
    #[error(transparent)]
    Signing(#[from] bridgepoint_wire::WireError),
    /// A name that is too long for an identity.
    #[error(transparent)]
    Id(#[from] bridgepoint_wire::id::BadId),
}

impl Hub {
    /// Starts a session with these sites.
    pub(super) fn open_session(
        &mut self,
        caller: SiteCode,
        by: By,
        sites: &[SiteCode],
    ) -> Result<SessionId, OpenError> {
        if self.closing {
            return Err(OpenError::Closing);
        }
        // Before anything: who takes part already must not notice.
        let (running, most) = (self.in_sessions(), self.config.media.max_sites);
        if running + sites.len() > most {
            return Err(OpenError::TooMany { running, most });
        }
        self.room(sites.len(), false)?;
        archive::check(&self.config.archive_dir, self.config.min_free_mib)?;
        let now = now_ms();
        let (id, folder) = self.new_folder(now, &caller)?;
        let conference = self.conference(&id, now, &caller, &by, sites, &folder)?;
        let online = sites.iter().map(|site| (site.clone(), self.online(site)));
        let session = Session::start(id.clone(), now, caller, by, online);
        self.store.put_session(&session, &folder, None)?;
        let saved = Some(session.clone());
        let running = Running { session, conference, archive: folder, worker: None, socket: None, saved };
        self.write_keys(&running)?;
        tracing::info!(session = %id, "session starts");
        self.running.insert(id.clone(), running);
        self.act();
        Ok(id)
    }

    /// Whether this machine has room for so many sites more; see [`server_core::capacity::room`].
    pub(super) fn room(&self, sites: usize, joining: bool) -> Result<(), NoRoom> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        room(self.running.values().map(|running| &running.session), processors, sites, joining)
    }

    /// Sites in all sessions that are not over.
    fn in_sessions(&self) -> usize {
        self.running.values().filter(|running| running.session.is_live()).map(|r| r.session.members().len()).sum()
    }

    fn new_folder(&self, now: u64, caller: &SiteCode) -> Result<(SessionId, PathBuf), OpenError> {
        let mut at = now;
        loop {
            let id: SessionId = format!("{}-{caller}", stamp(at)).parse()?;
            let folder = self.config.archive_dir.join(id.as_str());
            match fs::create_dir(&folder) {
                Ok(()) => return Ok((id, folder)),
                // Two sessions of one caller within a second: the later one gets the next second's name.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && at < now + 60_000 => at += 1_000,
                Err(source) => return Err(OpenError::File { path: folder, source }),
            }
        }
    }

    fn conference(
        &self,
        id: &SessionId,
        now: u64,
        caller: &SiteCode,
        by: &By,
        sites: &[SiteCode],
        folder: &Path,
    ) -> Result<Conference, OpenError> {
        let media = &self.config.media;
        let (cert, key) = pki::conference_identity()?;
        let session_key = pki::session_key()?;
        let public = Signer::from_pkcs8(&session_key)?.public();
        let session_cert =
            bridgepoint_record::certify_session_key(&self.pki.sealing, &self.pki.sealing_pem, id, &public)?;
        let named: Vec<_> = sites.iter().map(|code| json!({ "code": code, "name": self.name(code) })).collect();
        let site = |code: &SiteCode| {
            Ok::<_, OpenError>(ConferenceSite {
                code: code.clone(),
                name: self.name(code).unwrap_or_default(),
                dtls_fingerprint: self.online(code).map(|online| online.dtls_fingerprint).unwrap_or_default(),
                ice_centre: fresh_ice()?,
                ice_box: fresh_ice()?,
            })
        };
        Ok(Conference {
            session: id.clone(),
            origin_ms: now,
            archive: folder.to_string_lossy().into_owned(),
            part: 1,
            listen: SocketAddr::from((media.listen, self.free_port()?)).to_string(),
            dtls_cert: B64.encode(&cert),
            dtls_key: B64.encode(&key),
            session_key: B64.encode(&session_key),
            session_cert,
            about: json!({
                "caller": caller,
                "started_by": by,
                "sites": named,
                "server": env!("CARGO_PKG_VERSION"),
            }),
            sites: sites.iter().map(site).collect::<Result<_, _>>()?,
            program: media.program,
            program_audio_kbps: media.program_audio_kbps,
            layouts: media.custom_layouts.clone(),
            stage: Stage {
                main: ProgramStage { layout: media.layout.clone(), follow: true, ..ProgramStage::default() },
                ..Stage::default()
            },
        })
    }

    pub(super) fn free_port(&self) -> Result<u16, OpenError> {
        let media = &self.config.media;
        let calls = self.test_calls.values().map(|call| call.port);
        let taken: Vec<u16> =
            self.running.values().filter_map(|running| port(&running.conference)).chain(calls).collect();
        let mut ports = media.port..media.port.saturating_add(media.ports);
        let free = |port: &u16| !taken.contains(port) && UdpSocket::bind((media.listen, *port)).is_ok();
        let none = OpenError::Ports { first: media.port, last: media.port + media.ports - 1 };
        ports.find(free).ok_or(none)
    }

    /// Does what the sessions ask for.
    pub(super) fn act(&mut self) {
        let mut orders = Vec::new();
        let ids: Vec<SessionId> = self.running.keys().cloned().collect();
        for id in ids {
            while let Some(act) = self.running.get_mut(&id).and_then(|running| running.session.poll()) {
                self.dirty = true;
                match act {
                    Act::Join(site) => {
                        if let Some(order) = self.join(&id, &site) {
                            orders.push((site, order));
                        }
                    }
                    Act::Leave(site) => orders.push((site, Order::Leave { session: id.clone() })),
                    Act::Tally(site, on_record) => orders.push((site, Order::Tally { session: id.clone(), on_record })),
                    Act::Mute(site, on) => orders.push((site, Order::Mute { on })),
                    Act::Refuse(site, reason) => orders.push((site, Order::CallRefused { reason })),
                    Act::Open { part } => self.open_worker(&id, part),
                    Act::Site(site) => self.tell_site(&id, &site),
                    Act::Worker(message) => self.tell_worker(&id, message),
                    Act::Kill => {
                        if let Some(worker) = self.running.get(&id).and_then(|running| running.worker.as_ref()) {
                            tracing::error!(session = %id, "the conference worker hangs and is ended");
                            worker.kill();
                        }
                    }
                    Act::Seal { head } => self.seal(&id, head),
                    Act::Ended => self.end(&id),
                }
            }
        }
        if !orders.is_empty() {
            self.order(orders);
        }
    }

    fn join(&self, id: &SessionId, site: &SiteCode) -> Option<Order> {
        let running = self.running.get(id)?;
        let conference = &running.conference;
        let of_site = conference.sites.iter().find(|known| known.code == *site)?;
        let identity = B64.decode(&conference.dtls_cert).ok()?;
        let port = port(conference)?;
        let media = &self.config.media;
        Some(Order::Join(Box::new(Join {
            session: id.clone(),
            origin_ms: conference.origin_ms,
            caller: running.session.caller.clone(),
            media: media.public.iter().map(|ip| SocketAddr::from((*ip, port)).to_string()).collect(),
            dtls_fingerprint: bridgepoint_link::fingerprint(&identity),
            ice_centre: of_site.ice_centre.clone(),
            ice_box: of_site.ice_box.clone(),
            main: media.main,
            thumb: thumb(conference.sites.len(), media.program),
            audio_kbps: media.audio_kbps,
        })))
    }

    fn open_worker(&mut self, id: &SessionId, part: u32) {
        let Some(running) = self.running.get_mut(id) else { return };
        running.conference.part = part;
        let open = ToWorker::Open(Box::new(running.conference.clone()));
        // What the part before has left is repaired by the new worker's recorder, which goes on with the same journal.
        running.worker = Some(self.workers.open(id.clone(), part, open));
    }

    fn tell_site(&mut self, id: &SessionId, site: &SiteCode) {
        let Some(running) = self.running.get_mut(id) else { return };
        let fingerprint = running.session.members().get(site).and_then(|member| member.fingerprint.clone());
        let Some(known) = running.conference.sites.iter_mut().find(|known| known.code == *site) else { return };
        let Some(fingerprint) = fingerprint.filter(|fingerprint| *fingerprint != known.dtls_fingerprint) else {
            return;
        };
        known.dtls_fingerprint = fingerprint;
        let message = ToWorker::Site(known.clone());
        self.tell_worker(id, message);
        self.keep_keys(id);
    }

    pub(super) fn tell_worker(&mut self, id: &SessionId, message: ToWorker) {
        let Some(worker) = self.running.get(id).and_then(|running| running.worker.as_ref()) else { return };
        if !worker.say(message) {
            tracing::error!(session = %id, "the conference worker does not keep up; a message was dropped");
        }
    }

    pub(super) fn handle_worker(&mut self, input: FromWorkers) {
        if self.handle_echo(&input) {
            return;
        }
        let now = now_ms();
        match input {
            FromWorkers::Process { session, part, pid, socket } => {
                let Some(running) = self.running.get_mut(&session).filter(|r| r.session.part == part) else { return };
                if let Some(worker) = running.worker.as_mut() {
                    worker.pid = Some(pid);
                }
                running.socket = Some(socket);
                self.keep_keys(&session);
            }
            FromWorkers::Said { session, part, message } => {
                self.dirty = true;
                self.pass_answer(&message);
                if let FromWorker::Fault { text, details } = &message {
                    let details: Vec<&str> = details.iter().map(String::as_str).collect();
                    let text = Text::by_name(text).map_or_else(|| text.clone(), |key| key.fill(Lang::En, &details));
                    tracing::error!(%session, "{text}");
                }
                if let FromWorker::Stats(stats) = &message
                    && !self.mqtt.is_up()
                {
                    for site in stats.sites.iter().filter(|site| site.link.up) {
                        self.fleet.handle_media(&site.code, now);
                    }
                }
                let Some(running) = self.running.get_mut(&session).filter(|r| r.session.part == part) else { return };
                running.session.handle_worker(now, message);
            }
            FromWorkers::Gone { session, part, reason } => {
                let Some(running) = self.running.get_mut(&session).filter(|r| r.session.part == part) else { return };
                running.worker = None;
                running.socket = None;
                if running.session.is_live() {
                    let text = Text::WorkerRestarted.fill(Lang::En, &[session.as_str(), &reason]);
                    tracing::error!(%session, "{text}");
                }
                running.session.handle_worker_gone(now, &reason);
            }
        }
    }

    fn seal(&self, id: &SessionId, head: Option<String>) {
        let Some(running) = self.running.get(id) else { return };
        let (folder, pki, done, session) = (running.archive.clone(), self.pki.clone(), self.done.clone(), id.clone());
        self.runtime.spawn_blocking(move || {
            let outcome = seal(&folder, &pki, head).map_err(|error| error.to_string());
            let _ = done.blocking_send(Done::Sealed { session, outcome });
        });
    }

    pub(super) fn handle_sealed(&mut self, id: &SessionId, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => tracing::info!(session = %id, "record sealed"),
            Err(error) => tracing::error!(session = %id, error, "record not sealed"),
        }
        if let Some(running) = self.running.get_mut(id) {
            running.session.handle_sealed(now_ms());
        }
    }

    fn end(&mut self, id: &SessionId) {
        self.show_status();
        let Some(running) = self.running.remove(id) else { return };
        let ended = match running.session.phase() {
            Phase::Ended { at_ms } => *at_ms,
            Phase::Live | Phase::Closing { .. } | Phase::Sealing => now_ms(),
        };
        if let Err(error) = self.store.put_session(&running.session, &running.archive, Some(ended)) {
            tracing::error!(session = %id, %error, "the end of the session is not stored; the next start stores it");
        }
        let _ = fs::remove_file(self.key_file(id));
        self.ended.push_front(self.session_json(&running));
        self.ended.truncate(SHOWN_ENDED);
        tracing::info!(session = %id, "session ended");
    }

    /// Stores what has changed of the running sessions.
    pub(super) fn save(&mut self) {
        for running in self.running.values_mut() {
            if running.saved.as_ref().is_some_and(|saved| same(saved, &running.session)) {
                continue;
            }
            match self.store.put_session(&running.session, &running.archive, None) {
                Ok(()) => running.saved = Some(running.session.clone()),
                Err(error) => tracing::error!(session = %running.session.id, %error, "session not stored"),
            }
        }
    }

    /// Sessions that a control process before this one has left: those with a living worker go on.
    pub(super) fn take_over(&mut self) -> anyhow::Result<()> {
        let now = now_ms();
        for record in self.store.unfinished()? {
            let mut session = record.session;
            let id = session.id.clone();
            let keys =
                fs::read(self.key_file(&id)).ok().and_then(|bytes| serde_json::from_slice::<KeyFile>(&bytes).ok());
            let socket = keys.as_ref().and_then(|keys| keys.socket.clone());
            let worker = socket.as_ref().and_then(|socket| self.workers.adopt(id.clone(), session.part, socket));
            let alive = worker.is_some();
            tracing::warn!(session = %id, alive, "a session was not ended by the server that ran it");
            session.handle_adoption(now, alive);
            let conference = match keys {
                Some(keys) => keys.conference,
                None => lost_conference(&session, &record.archive),
            };
            let running = Running { session, conference, archive: record.archive, worker, socket, saved: None };
            self.running.insert(id, running);
        }
        Ok(())
    }

    fn key_file(&self, id: &SessionId) -> PathBuf {
        self.config.runtime_dir.join(format!("session-{id}.json"))
    }

    pub(super) fn keep_keys(&self, id: &SessionId) {
        let Some(running) = self.running.get(id) else { return };
        if let Err(error) = self.write_keys(running) {
            tracing::error!(session = %id, %error, "the next server could not take this session over");
        }
    }

    fn write_keys(&self, running: &Running) -> Result<(), OpenError> {
        let path = self.key_file(&running.session.id);
        let part = path.with_extension("part");
        let keys = KeyFile { conference: running.conference.clone(), socket: running.socket.clone() };
        let mut open = fs::OpenOptions::new();
        let written = open
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)
            .and_then(|mut file| file.write_all(json!(keys).to_string().as_bytes()))
            .and_then(|()| fs::rename(&part, &path));
        written.map_err(|source| OpenError::File { path, source })
    }
}

/// Nothing that the store must hold differs.
fn same(a: &Session, b: &Session) -> bool {
    let essence = |s: &Session| (s.part, s.on_record(), s.on_record_at_ms, s.first_program_frame_ms);
    let members = |s: &Session| s.members().iter().map(|(c, m)| (c.clone(), m.recording, m.muted)).collect::<Vec<_>>();
    essence(a) == essence(b) && a.phase() == b.phase() && members(a) == members(b)
}

/// A session whose keys are lost (the runtime folder is gone, as after a reboot) is only sealed.
fn lost_conference(session: &Session, folder: &Path) -> Conference {
    let none = VideoOrder { width: 0, height: 0, fps: 0, kbps: 0 };
    Conference {
        session: session.id.clone(),
        origin_ms: session.origin_ms,
        archive: folder.to_string_lossy().into_owned(),
        part: session.part,
        listen: String::new(),
        dtls_cert: String::new(),
        dtls_key: String::new(),
        session_key: String::new(),
        session_cert: serde_json::Value::Null,
        about: serde_json::Value::Null,
        sites: Vec::new(),
        program: none,
        program_audio_kbps: 0,
        layouts: String::new(),
        stage: Stage::default(),
    }
}

/// Seals the record. Without a head, or when the record does not end with it, the record is recovered before.
fn seal(folder: &Path, pki: &pki::Pki, head: Option<String>) -> Result<(), RecordError> {
    let seal = |head: &str| bridgepoint_record::seal(folder, &pki.sealing, &pki.sealing_pem, head);
    if let Some(head) = head {
        match seal(&head) {
            Err(error @ RecordError::Unfit { .. }) => tracing::warn!(%error, "record not sealed as it is"),
            sealed => return sealed,
        }
    }
    let begin = Instant::now();
    let recovered = loop {
        match bridgepoint_record::recover(folder) {
            // The worker that wrote it is about to end.
            Err(RecordError::Busy { .. }) if begin.elapsed() < SEAL_PATIENCE => std::thread::sleep(SEAL_AGAIN),
            recovered => break recovered?,
        }
    };
    seal(&recovered.head)
}

fn port(conference: &Conference) -> Option<u16> {
    conference.listen.parse::<SocketAddr>().ok().map(|address| address.port())
}

/// What a box's small encoding is until the worker asks for another: as for a grid of all.
fn thumb(sites: usize, program: VideoOrder) -> VideoOrder {
    let canvas = server_core::Size { width: usize::from(program.width), height: usize::from(program.height) };
    server_core::asking::thumb(server_core::tile_size(sites, canvas), program.fps)
}

pub(super) fn fresh_ice() -> Result<IceCredentials, secret::NoRandom> {
    Ok(IceCredentials { ufrag: secret::clear(8)?, pwd: secret::clear(32)? })
}
