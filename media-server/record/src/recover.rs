//! After a crash: files are cut to their last whole fragment and get their seek index, and the journal says so.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use mp4_atom::{Any, DecodeMaybe as _, Moov};
use serde::Serialize;

use crate::body::{self, CloseWhy, RecoveredFile};
use crate::boxes;
use crate::disk::{Disk, RealDisk};
use crate::error::RecordError;
use crate::journal::{self, Chain, Kind, sha256};
use crate::recorder::utc_ms;
use crate::replay::{self, FileState, Found, Replay};
use crate::session::{self, Session, Stream};

/// What [`recover`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// SHA-256 of the journal's last line, hex: what gets sealed.
    pub head: String,
    /// The record was closed already: nothing was done.
    pub already_closed: bool,
    /// Bytes of an unfinished journal line that were cut off.
    pub journal_cut: u64,
    /// The unfinished files.
    pub files: Vec<RecoveredFile>,
}

/// Closes a record whose recorder was killed. Harmless for one that is closed.
///
/// # Errors
/// [`RecordError::Busy`] while it is still being written; [`RecordError::Unfit`] when there is no record;
/// [`RecordError::Damaged`] when more is wrong than a crash can explain (nothing is touched then).
pub fn recover(folder: &Path) -> Result<Recovered, RecordError> {
    let disk = RealDisk;
    let path = folder.join(journal::FILE);
    if !path.exists() {
        return Err(RecordError::Unfit { path, why: "there is no journal".into() });
    }
    let mut file = disk.append(&path).map_err(RecordError::io(&path, "open"))?;
    tidy(folder);
    let replay = Replay::read(folder)?;
    let Some(start) = replay.start.clone() else {
        return Err(RecordError::Unfit { path, why: "the journal is empty".into() });
    };
    if replay.ended && replay.torn == 0 {
        let head = replay.chain.head;
        return Ok(Recovered { head, already_closed: true, journal_cut: 0, files: Vec::new() });
    }
    let blank = Session {
        v: 1,
        session: start.session,
        origin_ms: start.origin_ms,
        role: start.role,
        about: serde_json::Value::Null,
        files: BTreeMap::new(),
    };
    let mut session = Session::read(folder).unwrap_or(blank);
    let ended = replay.ended;
    let mut repair = Repair::new(&disk, folder, replay, utc_ms());
    if !ended {
        repair.files(&mut session)?;
        disk.replace(&folder.join(session::FILE), &session.bytes())
            .map_err(RecordError::io(folder.join(session::FILE), "write"))?;
        let end = body::End { session_sha256: sha256(&session.bytes()), why: body::EndWhy::Crash };
        repair.entry(Kind::End, &end);
    }
    repair.write(&mut file).map_err(RecordError::io(&path, "write"))?;
    let Repair { chain, journal_cut, done, .. } = repair;
    Ok(Recovered { head: chain.head, already_closed: false, journal_cut, files: done })
}

/// Removes what a crash left of a file that was about to be replaced; the old one still stands.
fn tidy(folder: &Path) {
    for name in [session::FILE, crate::seal::FILE] {
        // Mostly there is nothing to remove; where it cannot be, `verify` only mentions it.
        let _ = std::fs::remove_file(folder.join(name).with_extension("new"));
    }
}

/// A folder made ready for the next recorder.
pub(crate) struct Reopened<F> {
    pub file: F,
    pub len: u64,
    pub chain: Chain,
    pub session: Session,
    /// Last fragment of each stream.
    pub last_indices: BTreeMap<Stream, u64>,
}

/// Repairs what an earlier recorder left, if there was one, and goes on from there.
pub(crate) fn reopen<D: Disk>(
    disk: &D,
    folder: &Path,
    mut file: D::File,
    fresh: Session,
    at_ms: u64,
) -> Result<Reopened<D::File>, RecordError> {
    let path = folder.join(journal::FILE);
    let unfit = |why: &str| RecordError::Unfit { path: path.clone(), why: why.into() };
    tidy(folder);
    let replay = Replay::read(folder)?;
    if replay.ended {
        return Err(unfit("this record is closed"));
    }
    let mut session = fresh;
    if let Some(start) = &replay.start {
        if start.session != session.session || start.origin_ms != session.origin_ms || start.role != session.role {
            return Err(unfit("this is the record of another session"));
        }
        if let Ok(known) = Session::read(folder) {
            session.files = known.files;
        }
    }
    let mut repair = Repair::new(disk, folder, replay, at_ms);
    if repair.chain.next > 0 {
        repair.files(&mut session)?;
    }
    repair.write(&mut file).map_err(RecordError::io(&path, "write"))?;
    let Repair { len, chain, last_indices, .. } = repair;
    Ok(Reopened { file, len, chain, session, last_indices })
}

struct Repair<'a, D: Disk> {
    disk: &'a D,
    folder: &'a Path,
    at_ms: u64,
    chain: Chain,
    /// Good bytes of the journal.
    len: u64,
    journal_cut: u64,
    known: BTreeMap<String, FileState>,
    last_indices: BTreeMap<Stream, u64>,
    lines: Vec<u8>,
    done: Vec<RecoveredFile>,
}

impl<'a, D: Disk> Repair<'a, D> {
    fn new(disk: &'a D, folder: &'a Path, replay: Replay, at_ms: u64) -> Self {
        let Replay { chain, len, torn, files, .. } = replay;
        Self {
            disk,
            folder,
            at_ms,
            chain,
            len,
            journal_cut: torn,
            known: files,
            last_indices: BTreeMap::new(),
            lines: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Every unfinished file: what is whole in it, then its end.
    fn files(&mut self, session: &mut Session) -> Result<(), RecordError> {
        let mut ends = Vec::new();
        for (name, state) in self.known.clone() {
            if let Some(index) = state.last_index {
                self.reached(&state.stream, index);
            }
            if state.failed {
                self.cut_tail(&name, state.len)?;
            } else if !state.closed {
                ends.extend(self.end_of(&name, &state, None)?);
            }
        }
        for (name, stream) in self.unknown()? {
            ends.extend(self.adopt(&name, &stream)?);
        }
        let recovered = body::Recovered { journal_cut: self.journal_cut, files: self.done.clone() };
        self.entry(Kind::Recovered, &recovered);
        for FileEnd { name, stream, opened, found, closed } in ends {
            if let Some(opened) = opened {
                session.add(&name, &stream, opened.starts_ms);
                self.entry(Kind::Opened, &opened);
            }
            for fragment in found {
                self.reached(&stream, fragment.index);
                let entry = body::Fragment {
                    file: name.clone(),
                    index: fragment.index,
                    offset: fragment.offset,
                    bytes: fragment.bytes,
                    sha256: fragment.sha256,
                    video: fragment.video,
                    audio: fragment.audio,
                };
                self.entry(Kind::Fragment, &entry);
            }
            self.entry(Kind::Closed, &closed);
        }
        for (name, state) in self.known.clone() {
            session.add(&name, &state.stream, state.starts_ms);
        }
        Ok(())
    }

    fn reached(&mut self, stream: &Stream, index: u64) {
        let last = self.last_indices.entry(stream.clone()).or_insert(index);
        *last = index.max(*last);
    }

    /// Files of streams that the journal has no word of: the crash came before it.
    fn unknown(&self) -> Result<Vec<(String, Stream)>, RecordError> {
        let mut unknown = Vec::new();
        for entry in std::fs::read_dir(self.folder).map_err(RecordError::io(self.folder, "list"))? {
            let name = entry.map_err(RecordError::io(self.folder, "list"))?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some((stream, _)) = Stream::of_file(name)
                && !self.known.contains_key(name)
            {
                unknown.push((name.to_owned(), stream));
            }
        }
        unknown.sort();
        Ok(unknown)
    }

    /// What a disk that refused had let through of a last fragment.
    fn cut_tail(&mut self, name: &str, len: u64) -> Result<(), RecordError> {
        let path = self.folder.join(name);
        let on_disk = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if on_disk > len {
            let file = self.disk.append(&path).map_err(RecordError::io(&path, "open"))?;
            self.disk.cut(&file, len).map_err(RecordError::io(&path, "cut"))?;
            self.done.push(RecoveredFile { file: name.into(), found: 0, cut: on_disk - len, removed: false });
        }
        Ok(())
    }

    fn adopt(&mut self, name: &str, stream: &Stream) -> Result<Option<FileEnd>, RecordError> {
        let path = self.folder.join(name);
        let whole = match replay::init_segment(&path)? {
            Some(init) => {
                let found = replay::whole_fragments(&path, init.len() as u64)?;
                opened(name, &init, &found).map(|opened| (init.len() as u64, opened))
            }
            None => None,
        };
        let Some((init, opened)) = whole else {
            self.disk.remove(&path).map_err(RecordError::io(&path, "remove"))?;
            self.done.push(RecoveredFile { file: name.into(), found: 0, cut: 0, removed: true });
            return Ok(None);
        };
        let state = FileState {
            stream: stream.clone(),
            len: init,
            init,
            starts_ms: opened.starts_ms,
            last_index: None,
            closed: false,
            failed: false,
        };
        self.end_of(name, &state, Some(opened))
    }

    /// Cuts off what is not whole and writes the seek index.
    fn end_of(
        &mut self,
        name: &str,
        state: &FileState,
        opened: Option<body::Opened>,
    ) -> Result<Option<FileEnd>, RecordError> {
        let path = self.folder.join(name);
        let on_disk = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            // Gone, or shorter than announced: no crash does that. It stays as it is; `verify` names it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecordError::io(&path, "stat")(error)),
        };
        if on_disk < state.len {
            return Ok(None);
        }
        let found = replay::whole_fragments(&path, state.len)?;
        let end = found.last().map_or(state.len, |last| last.offset + last.bytes);
        let index = boxes::index(&replay::seeks(&path, state.init, end)?);
        let mut file = self.disk.append(&path).map_err(RecordError::io(&path, "open"))?;
        self.disk
            .cut(&file, end)
            .and_then(|()| self.disk.write(&mut file, &index))
            .and_then(|()| self.disk.sync(&file))
            .map_err(RecordError::io(&path, "write"))?;
        self.done.push(RecoveredFile {
            file: name.into(),
            found: found.len() as u64,
            cut: on_disk - end,
            removed: false,
        });
        let closed = body::Closed {
            file: name.into(),
            offset: end,
            bytes: index.len() as u64,
            sha256: sha256(&index),
            why: CloseWhy::Crash,
        };
        Ok(Some(FileEnd { name: name.into(), stream: state.stream.clone(), opened, found, closed }))
    }

    fn entry(&mut self, kind: Kind, body: &impl Serialize) {
        let body = serde_json::to_value(body).expect("bodies are structs with text keys");
        self.lines.extend(self.chain.line(self.at_ms, kind.as_str(), body));
    }

    /// Puts the new lines behind the good ones.
    fn write(&mut self, file: &mut D::File) -> io::Result<()> {
        if self.journal_cut > 0 {
            self.disk.cut(file, self.len)?;
        }
        if self.lines.is_empty() {
            return Ok(());
        }
        self.disk.write(file, &self.lines)?;
        self.len += self.lines.len() as u64;
        self.disk.sync(file)?;
        self.disk.sync_folder(self.folder)
    }
}

struct FileEnd {
    name: String,
    stream: Stream,
    opened: Option<body::Opened>,
    found: Vec<Found>,
    closed: body::Closed,
}

/// The entry that the crash prevented.
fn opened(name: &str, init: &[u8], found: &[Found]) -> Option<body::Opened> {
    let first = found.first()?;
    let mut rest = init;
    let moov: Moov = loop {
        match Any::decode_maybe(&mut rest) {
            Ok(Some(Any::Moov(moov))) => break moov,
            Ok(Some(_)) => {}
            _ => return None,
        }
    };
    let video = moov.trak.first()?;
    let sound = moov.trak.get(1)?.mdia.minf.stbl.stsd.codecs.first()?.audio()?;
    Some(body::Opened {
        file: name.into(),
        bytes: init.len() as u64,
        sha256: sha256(init),
        starts_ms: first.first_video? / 90,
        width: video.tkhd.width.integer(),
        height: video.tkhd.height.integer(),
        channels: sound.channel_count as u8,
    })
}
