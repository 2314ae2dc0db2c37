//! The recorder: one writer thread behind a bounded queue. Whoever records never waits for the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bridgepoint_wire::SessionId;
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use serde_json::Value;

use crate::body;
use crate::cutter::Millis;
use crate::disk::{Disk, RealDisk};
use crate::error::RecordError;
use crate::journal::{self, Kind};
use crate::recover::reopen;
use crate::session::{self, Role, Session, Stream};
use crate::statement::SessionKey;
use crate::writer::{Now, Writer};

/// Samples and notes that may wait for the disk; what comes on top is lost, and said so. 132 sites and the program
/// send 10,000 a second: a disk that hangs for 3 s loses nothing.
const QUEUE: u64 = 32_768;
/// How long [`Recorder::finish`] waits for the disk.
const FINISH: Duration = Duration::from_secs(30);
/// How long the writer sleeps at most: heads and syncs are due by the second.
const TICK_MS: u64 = 250;
/// The writer rests so long between two turns: what comes meanwhile wakes nobody and is one turn's work. A fragment is
/// 50 times as long.
const APART: Duration = Duration::from_millis(10);
/// Messages of one turn: a queue that never empties keeps heads and syncs waiting for no longer.
const TURN: usize = 1_024;

/// What a recorder needs to know.
pub struct RecorderConfig {
    /// The session's folder; made when missing.
    pub folder: PathBuf,
    /// Which session.
    pub session: SessionId,
    /// Time zero of its media, ms since 1970.
    pub origin_ms: u64,
    /// 1 for the session's first recorder, 2 after a restart …
    pub part: u32,
    /// Whose record.
    pub role: Role,
    /// Signs the journal's heads.
    pub session_key: Signer,
    /// From [`crate::certify_session_key`].
    pub session_cert: Value,
    /// What `session.json` says besides.
    pub about: Value,
}

/// What happened on the disk. Called on the writer's thread: be quick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordEvent {
    /// A file began; its first fragment is on the disk.
    Opened {
        /// Its name.
        file: String,
    },
    /// A fragment is on the disk and in the journal.
    Written {
        /// Name of its file.
        file: String,
        /// Which half second since the session's origin.
        index: u64,
        /// SHA-256 of its bytes, hex.
        sha256: String,
        /// How many bytes.
        bytes: u64,
    },
    /// A file is complete.
    Closed {
        /// Its name.
        file: String,
    },
    /// Something is not recorded. The other streams go on; this one tries again at its next key frame.
    Failed {
        /// Which file; empty when it concerns all.
        file: String,
        /// What the system said.
        error: String,
    },
}

/// A record that is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// SHA-256 of the journal's last line, hex: what gets sealed.
    pub head: String,
}

enum Message {
    Video(Stream, AccessUnit),
    Audio(Stream, OpusPacket),
    Note { at_ms: u64, kind: String, body: Value },
    Close(Stream),
    Finish(Sender<Result<Closed, RecordError>>),
}

#[derive(Default)]
struct Load {
    waiting: AtomicU64,
    lost: AtomicU64,
}

/// Records one session. Dropped without [`Recorder::finish`], its thread closes the files all the same, unobserved.
pub struct Recorder {
    queue: Sender<Message>,
    load: Arc<Load>,
}

impl Recorder {
    /// Begins a record in an empty folder, or goes on with one that a crash left (see [`crate::recover`]).
    ///
    /// # Errors
    /// [`RecordError`]: nothing is recorded.
    pub fn start(config: RecorderConfig, events: impl Fn(RecordEvent) + Send + 'static) -> Result<Self, RecordError> {
        let clock = Clock::new();
        let writer = open(RealDisk, config, events, clock.now())?;
        let (queue, messages) = channel();
        let load = Arc::new(Load::default());
        let shared = load.clone();
        std::thread::Builder::new()
            .name("record".into())
            .spawn(move || run(writer, &messages, &shared, &clock))
            .map_err(RecordError::io("thread", "spawn"))?;
        Ok(Self { queue, load })
    }

    /// A picture of `stream`.
    pub fn video(&self, stream: &Stream, unit: AccessUnit) {
        self.push(Message::Video(stream.clone(), unit));
    }

    /// An Opus packet of `stream`.
    pub fn audio(&self, stream: &Stream, packet: OpusPacket) {
        self.push(Message::Audio(stream.clone(), packet));
    }

    /// An entry of the journal; `at_ms` since 1970.
    pub fn note(&self, at_ms: u64, kind: &str, body: Value) {
        self.push(Message::Note { at_ms, kind: kind.into(), body });
    }

    /// The stream ended: its last fragment is written, its file gets its seek index. It may come back: in a new file.
    pub fn close_stream(&self, stream: &Stream) {
        // Not counted: a few per session, and they must not get lost.
        let _ = self.queue.send(Message::Close(stream.clone()));
    }

    /// Closes all files, signs the journal's end.
    ///
    /// # Errors
    /// [`RecordError::Io`] when the end is not on the disk; [`RecordError::Stuck`] when the disk does not answer.
    pub fn finish(self) -> Result<Closed, RecordError> {
        let (answer, closed) = channel();
        self.queue.send(Message::Finish(answer)).map_err(|_| RecordError::Gone)?;
        closed.recv_timeout(FINISH).map_err(|error| match error {
            RecvTimeoutError::Timeout => RecordError::Stuck { seconds: FINISH.as_secs() },
            RecvTimeoutError::Disconnected => RecordError::Gone,
        })?
    }

    fn push(&self, message: Message) {
        if self.load.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.load.waiting.fetch_sub(1, Ordering::Relaxed);
            self.load.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.queue.send(message).is_err() {
            tracing::error!("the recorder's thread is gone");
        }
    }
}

/// Opens the folder for writing. A record that cannot begin leaves nothing half-written behind.
pub(crate) fn open<D: Disk, E: Fn(RecordEvent)>(
    disk: D,
    config: RecorderConfig,
    events: E,
    now: Now,
) -> Result<Writer<D, E>, RecordError> {
    let stated = SessionKey::of(&config.session_cert, config.session.as_str()).map_err(RecordError::Key)?;
    if stated.key != config.session_key.public() {
        return Err(RecordError::Key("the statement is about another key than the session's".into()));
    }
    let folder = config.folder.clone();
    std::fs::create_dir_all(&folder).map_err(RecordError::io(&folder, "create"))?;
    let is_new = !folder.join(journal::FILE).exists();
    open_in(disk, config, events, now).inspect_err(|_| {
        for name in [journal::FILE, session::FILE].into_iter().filter(|_| is_new) {
            // What was not made cannot be removed; the caller hears of the first error.
            let _ = std::fs::remove_file(folder.join(name));
        }
    })
}

fn open_in<D: Disk, E: Fn(RecordEvent)>(
    disk: D,
    config: RecorderConfig,
    events: E,
    now: Now,
) -> Result<Writer<D, E>, RecordError> {
    let RecorderConfig { folder, session, origin_ms, part, role, session_key, session_cert, about } = config;
    let path = folder.join(journal::FILE);
    let file = disk.append(&path).map_err(RecordError::io(&path, "open"))?;
    let fresh = Session { v: 1, session: session.clone(), origin_ms, role, about, files: BTreeMap::new() };
    let reopened = reopen(&disk, &folder, file, fresh, now.utc_ms)?;
    let start = body::Start {
        session,
        origin_ms,
        role,
        part,
        software: concat!("bridgepoint ", env!("CARGO_PKG_VERSION")).into(),
        statement: session_cert,
    };
    let kind = if reopened.chain.next == 0 { Kind::Start } else { Kind::Resumed };
    let before = streams_before(&folder, &reopened.last_indices)?;
    let opened = (reopened.file, reopened.len, reopened.chain);
    let mut writer = Writer::new(disk, folder, session_key, reopened.session, opened, before, events, now);
    writer.begin(kind, &start, now)?;
    Ok(writer)
}

/// For each stream that has files: the next free part, its last fragment.
fn streams_before(
    folder: &Path,
    last_indices: &BTreeMap<Stream, u64>,
) -> Result<BTreeMap<Stream, (u32, Option<u64>)>, RecordError> {
    let mut before = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(RecordError::io(folder, "list"))? {
        let name = entry.map_err(RecordError::io(folder, "list"))?.file_name();
        if let Some((stream, part)) = name.to_str().and_then(Stream::of_file) {
            let last = last_indices.get(&stream).copied();
            let known: &mut (u32, Option<u64>) = before.entry(stream).or_insert((1, last));
            known.0 = known.0.max(part + 1);
        }
    }
    Ok(before)
}

fn run<D: Disk, E: Fn(RecordEvent)>(
    mut writer: Writer<D, E>,
    messages: &Receiver<Message>,
    load: &Load,
    clock: &Clock,
) {
    let mut tick_at = clock.now().mono.0 + TICK_MS;
    loop {
        let wake = writer.poll_timeout().map_or(tick_at, |at| at.0.min(tick_at));
        let first = match messages.recv_timeout(Duration::from_millis(wake.saturating_sub(clock.now().mono.0))) {
            Ok(first) => Some(first),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(error) = writer.finish(clock.now()) {
                    tracing::error!(%error, "the record was not closed");
                }
                return;
            }
        };
        for message in first.into_iter().chain(messages.try_iter().take(TURN)) {
            let now = clock.now();
            if let Some(answer) = handle(&mut writer, message, load, now) {
                say_lost(&mut writer, load, now);
                // Nobody waits any more when the answer came too late.
                let _ = answer.send(writer.finish(now));
                return;
            }
        }
        let now = clock.now();
        if now.mono.0 >= wake {
            tick_at = now.mono.0 + TICK_MS;
            say_lost(&mut writer, load, now);
            writer.handle_timeout(now);
        }
        std::thread::sleep(APART);
    }
}

/// Gives back who waits for the end, when that is what came.
fn handle<D: Disk, E: Fn(RecordEvent)>(
    writer: &mut Writer<D, E>,
    message: Message,
    load: &Load,
    now: Now,
) -> Option<Sender<Result<Closed, RecordError>>> {
    if matches!(message, Message::Video(..) | Message::Audio(..) | Message::Note { .. }) {
        load.waiting.fetch_sub(1, Ordering::Relaxed);
    }
    match message {
        Message::Video(stream, unit) => writer.handle_video(&stream, &unit, now),
        Message::Audio(stream, packet) => writer.handle_audio(&stream, &packet, now),
        Message::Note { at_ms, kind, body } => writer.handle_note(at_ms, &kind, body, now),
        Message::Close(stream) => {
            writer.handle_close(&stream, now);
        }
        Message::Finish(answer) => return Some(answer),
    }
    None
}

fn say_lost<D: Disk, E: Fn(RecordEvent)>(writer: &mut Writer<D, E>, load: &Load, now: Now) {
    let lost = load.lost.swap(0, Ordering::Relaxed);
    if lost > 0 {
        writer.handle_overrun(lost, now);
    }
}

/// UTC that cannot step: read once, then counted on the monotonic clock.
struct Clock {
    started: Instant,
    started_ms: u64,
}

impl Clock {
    fn new() -> Self {
        Self { started: Instant::now(), started_ms: utc_ms() }
    }

    fn now(&self) -> Now {
        let mono = self.started.elapsed().as_millis() as u64;
        Now { mono: Millis(mono), utc_ms: self.started_ms + mono }
    }
}

pub(crate) fn utc_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
