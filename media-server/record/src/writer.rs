//! Turns what the cutters say into files and journal entries. One thread, no clock of its own.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::media::{AccessUnit, OpusPacket};
use serde::Serialize;
use serde_json::{Value, json};

use crate::body::{self, CloseWhy, GapWhy};
use crate::boxes::{self, Seek};
use crate::cutter::{Closing, Cut, Cutter, FRAGMENT_MS, Fragment, Millis, Opening, Refusal};
use crate::disk::Disk;
use crate::error::RecordError;
use crate::journal::{self, Chain, Kind, sha256};
use crate::recorder::{Closed, RecordEvent};
use crate::session::{self, Session, Stream};

const HEAD_MS: u64 = 10_000;
const SYNC_MS: u64 = 1_000;
/// After a failure the disk is left alone for so long.
const RETRY_MS: u64 = 2_000;
/// So much of the journal may wait for a disk that refuses.
const PENDING_BYTES: usize = 64 << 20;

/// Both clocks at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub mono: Millis,
    /// ms since 1970.
    pub utc_ms: u64,
}

struct OpenFile<F> {
    name: String,
    file: F,
    len: u64,
    seeks: Vec<Seek>,
}

struct StreamState<F> {
    cutter: Cutter,
    file: Option<OpenFile<F>>,
    /// How the next fragment's file begins.
    opening: Option<Opening>,
    next_part: u32,
    last_index: Option<u64>,
    gap_why: GapWhy,
    retry_at: Option<Millis>,
    /// Samples refused since it was last said.
    refused: u64,
}

struct JournalFile<F> {
    file: F,
    len: u64,
    chain: Chain,
    /// Lines that are not in the file yet, with what is announced once they are.
    pending: VecDeque<(Vec<u8>, Option<RecordEvent>)>,
    pending_bytes: usize,
    /// The last write failed: something half may stand after `len`.
    torn: bool,
    retried: Millis,
    unsynced: bool,
    last_sync: Millis,
    last_head_ms: u64,
    /// Entries since the last head.
    unsigned: bool,
}

/// Writes one session's folder.
pub(crate) struct Writer<D: Disk, E> {
    disk: D,
    folder: PathBuf,
    key: Signer,
    session: Session,
    journal: JournalFile<D::File>,
    streams: BTreeMap<Stream, StreamState<D::File>>,
    /// Where each stream of an earlier recorder stood: next part, last fragment.
    before: BTreeMap<Stream, (u32, Option<u64>)>,
    /// What the disk refused to clean up.
    mess: Vec<Mess<D::File>>,
    events: E,
}

/// Something unfinished that no entry of the journal covers.
enum Mess<F> {
    /// A file's end.
    Tail(OpenFile<F>),
    /// A whole file.
    File(PathBuf),
}

/// Whether a disk that has just refused is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    AtOnce,
    AfterRest,
}

impl<D: Disk, E: Fn(RecordEvent)> Writer<D, E> {
    /// Goes on with `chain` in the open `journal` file of `len` bytes; the first entry is `kind` and `start`.
    #[expect(clippy::too_many_arguments, reason = "one caller, which has just made each of them")]
    pub fn new(
        disk: D,
        folder: PathBuf,
        key: Signer,
        session: Session,
        (file, len, chain): (D::File, u64, Chain),
        before: BTreeMap<Stream, (u32, Option<u64>)>,
        events: E,
        now: Now,
    ) -> Self {
        let journal = JournalFile {
            file,
            len,
            chain,
            pending: VecDeque::new(),
            pending_bytes: 0,
            torn: false,
            retried: now.mono,
            unsynced: false,
            last_sync: now.mono,
            last_head_ms: now.utc_ms,
            unsigned: false,
        };
        Self { disk, folder, key, session, journal, streams: BTreeMap::new(), before, mess: Vec::new(), events }
    }

    /// The first words of this recorder.
    ///
    /// # Errors
    /// [`RecordError::Io`]: nothing can be recorded here.
    pub fn begin(&mut self, kind: Kind, start: &body::Start, now: Now) -> Result<(), RecordError> {
        self.write_session()?;
        self.entry(now.utc_ms, kind, start, None);
        self.flush(now, Retry::AtOnce).map_err(RecordError::io(self.folder.join(journal::FILE), "write"))?;
        self.disk.sync_folder(&self.folder).map_err(RecordError::io(&self.folder, "sync"))
    }

    /// A picture of `stream` came.
    pub fn handle_video(&mut self, stream: &Stream, unit: &AccessUnit, now: Now) {
        self.state(stream).cutter.handle_video(unit, now.mono);
        self.run(stream, now);
    }

    /// An Opus packet of `stream` came.
    pub fn handle_audio(&mut self, stream: &Stream, packet: &OpusPacket, now: Now) {
        self.state(stream).cutter.handle_audio(packet, now.mono);
        self.run(stream, now);
    }

    /// The user's own entry.
    pub fn handle_note(&mut self, at_ms: u64, kind: &str, body: Value, now: Now) {
        // What RFC 8785 cannot hold (numbers beyond 2⁵³) is kept as text.
        let body =
            if serde_json_canonicalizer::to_vec(&body).is_ok() { body } else { json!({ "text": body.to_string() }) };
        if kind.parse::<Kind>().is_ok() {
            // Only the recorder itself says what is in its files.
            self.line(at_ms, "note", json!({ "kind": kind, "body": body }), None);
        } else {
            self.line(at_ms, kind, body, None);
        }
        self.flush_or_say(now);
    }

    /// The stream ended.
    pub fn handle_close(&mut self, stream: &Stream, now: Now) {
        if let Some(state) = self.streams.get_mut(stream) {
            state.cutter.handle_end();
            self.run(stream, now);
        }
    }

    /// Samples were dropped before they came here: the queue was full.
    pub fn handle_overrun(&mut self, lost: u64, now: Now) {
        self.failed("", format!("the disk is too slow: {lost} samples or notes lost"), now);
    }

    /// When [`Writer::handle_timeout`] has something to do at the latest.
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.streams.values().filter_map(|state| state.cutter.poll_timeout()).min()
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Now) {
        let due: Vec<Stream> = self
            .streams
            .iter()
            .filter(|(_, state)| state.cutter.poll_timeout().is_some_and(|at| at <= now.mono))
            .map(|(stream, _)| stream.clone())
            .collect();
        for stream in due {
            self.state(&stream).cutter.handle_timeout(now.mono);
            self.run(&stream, now);
        }
        self.say_refused(now);
        if self.journal.unsigned && now.utc_ms >= self.journal.last_head_ms + HEAD_MS {
            self.head(now);
        }
        self.flush_or_say(now);
        if self.journal.unsynced && now.mono.0 >= self.journal.last_sync.0 + SYNC_MS {
            self.sync_journal(now);
        }
    }

    /// Closes everything; the journal's last line is a signed head.
    ///
    /// # Errors
    /// [`RecordError::Io`] when the journal's end is not on the disk.
    pub fn finish(mut self, now: Now) -> Result<Closed, RecordError> {
        let streams: Vec<Stream> = self.streams.keys().cloned().collect();
        for stream in &streams {
            self.state(stream).cutter.handle_end();
            self.run(stream, now);
        }
        self.say_refused(now);
        for mess in std::mem::take(&mut self.mess) {
            let (path, cleaned) = match mess {
                Mess::Tail(open) => (self.folder.join(&open.name), self.disk.cut(&open.file, open.len)),
                Mess::File(path) => {
                    let removed = self.disk.remove(&path);
                    (path, removed)
                }
            };
            cleaned.map_err(RecordError::io(path, "clean up"))?;
        }
        self.write_session()?;
        let end = body::End { session_sha256: sha256(&self.session.bytes()), why: body::EndWhy::Finished };
        self.entry(now.utc_ms, Kind::End, &end, None);
        self.head(now);
        let path = self.folder.join(journal::FILE);
        self.flush(now, Retry::AtOnce).map_err(RecordError::io(&path, "write"))?;
        self.disk.sync(&self.journal.file).map_err(RecordError::io(&path, "fdatasync"))?;
        Ok(Closed { head: self.journal.chain.head })
    }

    fn state(&mut self, stream: &Stream) -> &mut StreamState<D::File> {
        if !self.streams.contains_key(stream) {
            let (next_part, last_index) = self.before.remove(stream).unwrap_or((1, None));
            let state = StreamState {
                cutter: Cutter::new(),
                file: None,
                opening: None,
                next_part,
                last_index,
                gap_why: GapWhy::Restart,
                retry_at: None,
                refused: 0,
            };
            self.streams.insert(stream.clone(), state);
        }
        self.streams.get_mut(stream).expect("it was inserted above")
    }

    /// Does what the stream's cutter has decided.
    fn run(&mut self, stream: &Stream, now: Now) {
        while let Some(cut) = self.state(stream).cutter.poll() {
            match cut {
                Cut::Open(opening) => {
                    let state = self.state(stream);
                    if state.retry_at.is_some_and(|at| now.mono < at) {
                        state.cutter.handle_file_lost();
                    } else {
                        state.opening = Some(opening);
                    }
                }
                Cut::Fragment(fragment) => self.fragment(stream, &fragment, now),
                Cut::Close(why) => self.close(stream, why.into(), now),
                Cut::Refused { track, ticks, why } => {
                    tracing::debug!(?stream, ?track, ticks, ?why, "refused");
                    let state = self.state(stream);
                    state.refused += u64::from(why == Refusal::Old);
                    if why == Refusal::NoFormat {
                        let name = stream.file(self.state(stream).next_part);
                        self.failed(&name, "a key frame without readable parameter sets".into(), now);
                    }
                }
            }
        }
        self.flush_or_say(now);
    }

    fn fragment(&mut self, stream: &Stream, fragment: &Fragment, now: Now) {
        let written = match self.state(stream).opening.take() {
            Some(opening) => self.open_with(stream, &opening, fragment, now),
            None => self.append(stream, fragment),
        };
        if let Err((name, error)) = written {
            self.file_failed(stream, &name, &error, now);
            return;
        }
        let sha256 = sha256(&fragment.bytes);
        let state = self.state(stream);
        let Some(open) = state.file.as_mut() else { return };
        let bytes = fragment.bytes.len() as u64;
        let offset = open.len - bytes;
        open.seeks.extend(fragment.keys.iter().map(|key| Seek { offset, key: *key }));
        let entry = body::Fragment {
            file: open.name.clone(),
            index: fragment.index,
            offset,
            bytes,
            sha256: sha256.clone(),
            video: fragment.video as u64,
            audio: fragment.audio as u64,
        };
        let gap = state.last_index.filter(|last| fragment.index > last + 1).map(|last| body::Gap {
            kind: stream.kind().into(),
            site: stream.site().cloned(),
            from_ms: (last + 1) * FRAGMENT_MS,
            to_ms: fragment.index * FRAGMENT_MS,
            why: state.gap_why,
        });
        state.last_index = Some(fragment.index);
        state.gap_why = GapWhy::NothingCame;
        if let Some(gap) = gap {
            self.entry(now.utc_ms, Kind::Gap, &gap, None);
        }
        let announced = RecordEvent::Written { file: entry.file.clone(), index: fragment.index, sha256, bytes };
        self.entry(now.utc_ms, Kind::Fragment, &entry, Some(announced));
    }

    /// A new file with its first fragment, on the disk as a whole or not at all.
    fn open_with(
        &mut self,
        stream: &Stream,
        opening: &Opening,
        fragment: &Fragment,
        now: Now,
    ) -> Result<(), (String, std::io::Error)> {
        let state = self.state(stream);
        let name = stream.file(state.next_part);
        let path = self.folder.join(&name);
        let mut file = self.disk.create(&path).map_err(|e| (name.clone(), e))?;
        let on_disk = self
            .disk
            .write(&mut file, &opening.bytes)
            .and_then(|()| self.disk.write(&mut file, &fragment.bytes))
            .and_then(|()| self.disk.sync(&file))
            .and_then(|()| self.disk.sync_folder(&self.folder));
        if let Err(error) = on_disk {
            // Nothing of it was announced: half a file helps nobody.
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "an unfinished file stays for now");
                self.state(stream).next_part += 1;
                self.mess.push(Mess::File(path));
            }
            return Err((name, error));
        }
        let len = (opening.bytes.len() + fragment.bytes.len()) as u64;
        let state = self.state(stream);
        state.next_part += 1;
        state.retry_at = None;
        state.file = Some(OpenFile { name: name.clone(), file, len, seeks: Vec::new() });
        self.session.add(&name, stream, opening.starts_ms);
        if let Err(error) = self.write_session() {
            // The journal holds all of it; the session's end writes it again.
            self.failed(session::FILE, error.to_string(), now);
        }
        let entry = body::Opened {
            file: name.clone(),
            bytes: opening.bytes.len() as u64,
            sha256: sha256(&opening.bytes),
            starts_ms: opening.starts_ms,
            width: opening.format.width,
            height: opening.format.height,
            channels: opening.channels,
        };
        self.entry(now.utc_ms, Kind::Opened, &entry, Some(RecordEvent::Opened { file: name }));
        Ok(())
    }

    fn append(&mut self, stream: &Stream, fragment: &Fragment) -> Result<(), (String, std::io::Error)> {
        let Some(state) = self.streams.get_mut(stream) else { return Ok(()) };
        // Without a file the cutter has been told, and this fragment's loss with it.
        let Some(open) = state.file.as_mut() else { return Ok(()) };
        let written = self.disk.write(&mut open.file, &fragment.bytes).and_then(|()| self.disk.sync(&open.file));
        written.map_err(|e| (open.name.clone(), e))?;
        open.len += fragment.bytes.len() as u64;
        Ok(())
    }

    /// The stream goes on in a new file, at its next key frame and not before the disk had a rest.
    fn file_failed(&mut self, stream: &Stream, name: &str, error: &std::io::Error, now: Now) {
        let state = self.state(stream);
        state.retry_at = Some(Millis(now.mono.0 + RETRY_MS));
        state.gap_why = GapWhy::Disk;
        state.opening = None;
        state.cutter.handle_file_lost();
        if let Some(open) = state.file.take() {
            self.abandon(open, now);
        }
        self.failed(name, error.to_string(), now);
    }

    /// Leaves a file as it was after its last whole fragment.
    fn abandon(&mut self, open: OpenFile<D::File>, now: Now) {
        let entry = body::Closed {
            file: open.name.clone(),
            offset: open.len,
            bytes: 0,
            sha256: sha256(&[]),
            why: CloseWhy::Failed,
        };
        self.entry(now.utc_ms, Kind::Closed, &entry, Some(RecordEvent::Closed { file: open.name.clone() }));
        if let Err(error) = self.disk.cut(&open.file, open.len) {
            self.failed(&open.name, format!("the unfinished end could not be cut off yet: {error}"), now);
            self.mess.push(Mess::Tail(open));
        }
    }

    fn close(&mut self, stream: &Stream, why: CloseWhy, now: Now) {
        let state = self.state(stream);
        if why == CloseWhy::End {
            state.gap_why = GapWhy::Left;
        }
        let Some(mut open) = state.file.take() else { return };
        let index = boxes::index(&open.seeks);
        let written = self.disk.write(&mut open.file, &index).and_then(|()| self.disk.sync(&open.file));
        if let Err(error) = written {
            self.failed(&open.name, format!("the seek index: {error}"), now);
            self.abandon(open, now);
            return;
        }
        let entry = body::Closed {
            file: open.name.clone(),
            offset: open.len,
            bytes: index.len() as u64,
            sha256: sha256(&index),
            why,
        };
        self.entry(now.utc_ms, Kind::Closed, &entry, Some(RecordEvent::Closed { file: open.name }));
    }

    fn say_refused(&mut self, now: Now) {
        let refused: Vec<(String, u64)> = self
            .streams
            .iter_mut()
            .filter(|(_, state)| state.refused > 0)
            .map(|(stream, state)| {
                let name = state.file.as_ref().map_or_else(|| stream.file(state.next_part), |open| open.name.clone());
                (name, std::mem::take(&mut state.refused))
            })
            .collect();
        for (name, count) in refused {
            self.failed(&name, format!("{count} samples not recorded: older than what was written"), now);
        }
    }

    fn failed(&mut self, file: &str, error: String, now: Now) {
        let entry = body::Failed { file: file.into(), error: error.clone() };
        self.entry(now.utc_ms, Kind::Failed, &entry, None);
        (self.events)(RecordEvent::Failed { file: file.into(), error });
    }

    fn write_session(&self) -> Result<(), RecordError> {
        let path = self.folder.join(session::FILE);
        self.disk.replace(&path, &self.session.bytes()).map_err(RecordError::io(&path, "write"))
    }

    fn entry(&mut self, at_ms: u64, kind: Kind, body: &impl Serialize, announced: Option<RecordEvent>) {
        let body = serde_json::to_value(body).expect("bodies are structs with text keys");
        self.line(at_ms, kind.as_str(), body, announced);
    }

    fn line(&mut self, at_ms: u64, kind: &str, body: Value, announced: Option<RecordEvent>) {
        if self.journal.pending_bytes > PENDING_BYTES {
            return; // said by every failed flush; what is not in the journal is not announced either
        }
        let line = self.journal.chain.line(at_ms, kind, body);
        self.journal.unsigned = true;
        self.push(line, announced);
    }

    fn push(&mut self, line: Vec<u8>, announced: Option<RecordEvent>) {
        self.journal.pending_bytes += line.len();
        self.journal.pending.push_back((line, announced));
    }

    fn head(&mut self, now: Now) {
        self.journal.last_head_ms = now.utc_ms;
        match self.journal.chain.head_line(now.utc_ms, &self.key) {
            Ok(line) => {
                self.push(line, None);
                self.journal.unsigned = false;
            }
            Err(error) => self.failed(journal::FILE, error.to_string(), now),
        }
        self.journal.unsynced = true;
    }

    fn flush_or_say(&mut self, now: Now) {
        let was_torn = self.journal.torn;
        if let Err(error) = self.flush(now, Retry::AfterRest)
            && !was_torn
        {
            // No entry: it would wait behind what could not be written.
            (self.events)(RecordEvent::Failed { file: journal::FILE.into(), error: error.to_string() });
        }
    }

    /// Writes what waits, then announces it.
    fn flush(&mut self, now: Now, retry: Retry) -> std::io::Result<()> {
        let journal = &mut self.journal;
        if journal.pending.is_empty() {
            return Ok(());
        }
        if journal.torn {
            if retry == Retry::AfterRest && now.mono.0 < journal.retried.0 + RETRY_MS {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            journal.retried = now.mono;
            self.disk.cut(&journal.file, journal.len)?;
        }
        let bytes: Vec<u8> = journal.pending.iter().flat_map(|(line, _)| line).copied().collect();
        if let Err(error) = self.disk.write(&mut journal.file, &bytes) {
            journal.torn = true;
            journal.retried = now.mono;
            if let Err(error) = self.disk.cut(&journal.file, journal.len) {
                tracing::warn!(%error, "the journal's unfinished line stays for now");
            }
            return Err(error);
        }
        journal.torn = false;
        journal.len += bytes.len() as u64;
        journal.pending_bytes = 0;
        journal.unsynced = true;
        for (_, announced) in journal.pending.drain(..) {
            if let Some(event) = announced {
                (self.events)(event);
            }
        }
        Ok(())
    }

    fn sync_journal(&mut self, now: Now) {
        self.journal.last_sync = now.mono;
        self.journal.unsynced = false;
        if let Err(error) = self.disk.sync(&self.journal.file) {
            self.failed(journal::FILE, error.to_string(), now);
        }
    }
}

impl From<Closing> for CloseWhy {
    fn from(why: Closing) -> Self {
        match why {
            Closing::End => Self::End,
            Closing::Format => Self::Format,
            Closing::StepBack => Self::StepBack,
        }
    }
}
