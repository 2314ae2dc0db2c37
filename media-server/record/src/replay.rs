//! Reads a journal and the tail of its files back into the state that a recorder had.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use mp4_atom::{Any, DecodeMaybe as _};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::body::{self, CloseWhy};
use crate::boxes::{KeySample, Seek, VIDEO_TRACK};
use crate::error::RecordError;
use crate::journal::{self, Chain, Entry, Kind, sha256};
use crate::session::Stream;

/// A file as the journal knows it.
#[derive(Debug, Clone)]
pub(crate) struct FileState {
    pub stream: Stream,
    /// Bytes that the journal covers.
    pub len: u64,
    /// Bytes of the init segment.
    pub init: u64,
    pub starts_ms: u64,
    pub last_index: Option<u64>,
    pub closed: bool,
    /// Closed because the disk refused: something unfinished may stand behind it.
    pub failed: bool,
}

/// What a journal says.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub chain: Chain,
    /// Bytes of whole, chained lines.
    pub len: u64,
    /// Bytes after them: a line that a crash cut short.
    pub torn: u64,
    pub start: Option<body::Start>,
    pub files: BTreeMap<String, FileState>,
    pub ended: bool,
}

impl Replay {
    /// Reads the journal of `folder`; an empty one where there is none.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join(journal::FILE);
        let mut replay = Self::default();
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(replay),
            other => other.map_err(RecordError::io(&path, "open"))?,
        };
        let total = file.metadata().map_err(RecordError::io(&path, "stat"))?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(RecordError::io(&path, "read"))?;
            if read == 0 {
                return Ok(replay);
            }
            let before = replay.chain.clone();
            let taken = line.strip_suffix(b"\n").ok_or_else(|| "cut short".to_owned()).and_then(|text| {
                let entry = replay.chain.accept(text)?;
                replay.take(&entry)
            });
            if let Err(why) = taken {
                // A crash tears the end only. Whole signed heads after the break mean something else happened.
                replay.chain = before;
                replay.torn = total - replay.len;
                let mut rest = String::new();
                let _ = reader.take(1 << 24).read_to_string(&mut rest);
                if rest.lines().any(|line| line.contains("\"kind\":\"head\"")) {
                    return Err(RecordError::Damaged { path, entry: replay.chain.next, why });
                }
                return Ok(replay);
            }
            replay.len += read as u64;
        }
    }

    fn take(&mut self, entry: &Entry) -> Result<(), String> {
        match entry.kind.parse() {
            Ok(Kind::Start | Kind::Resumed) => self.start = Some(parse(&entry.body)?),
            Ok(Kind::Opened) => {
                let opened: body::Opened = parse(&entry.body)?;
                let (stream, _) = Stream::of_file(&opened.file).ok_or("a file name that no stream has")?;
                let state = FileState {
                    stream,
                    len: opened.bytes,
                    init: opened.bytes,
                    starts_ms: opened.starts_ms,
                    last_index: None,
                    closed: false,
                    failed: false,
                };
                self.files.insert(opened.file, state);
            }
            Ok(Kind::Fragment) => {
                let fragment: body::Fragment = parse(&entry.body)?;
                let state = self.files.get_mut(&fragment.file).ok_or("a fragment of a file that was not opened")?;
                state.len = fragment.offset + fragment.bytes;
                state.last_index = Some(fragment.index);
            }
            Ok(Kind::Closed) => {
                let closed: body::Closed = parse(&entry.body)?;
                let state = self.files.get_mut(&closed.file).ok_or("the end of a file that was not opened")?;
                state.len = closed.offset + closed.bytes;
                state.closed = true;
                state.failed = closed.why == CloseWhy::Failed;
            }
            Ok(Kind::End) => self.ended = true,
            Ok(Kind::Gap | Kind::Failed | Kind::Recovered | Kind::Head) | Err(()) => {}
        }
        Ok(())
    }
}

/// The body of an entry.
pub(crate) fn parse<T: DeserializeOwned>(body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|e| format!("an entry whose content cannot be read ({e})"))
}

/// A whole fragment found in a file.
#[derive(Debug)]
pub(crate) struct Found {
    pub index: u64,
    pub offset: u64,
    pub bytes: u64,
    pub sha256: String,
    pub video: u64,
    pub audio: u64,
    pub keys: Vec<KeySample>,
    /// Time of its first picture, 90 kHz ticks.
    pub first_video: Option<u64>,
}

/// Whole fragments of `path` from byte `from` on, hashed; stops at the first that is cut short.
pub(crate) fn whole_fragments(path: &Path, from: u64) -> Result<Vec<Found>, RecordError> {
    let mut walk = Walk::open(path, from)?;
    let mut found = Vec::new();
    while let Some(mut fragment) = walk.fragment()? {
        let bytes = walk.read(fragment.offset, fragment.bytes)?;
        fragment.sha256 = sha256(&bytes);
        found.push(fragment);
    }
    Ok(found)
}

/// Key frames of all fragments between `from` and `to`, for the seek index; reads headers only.
pub(crate) fn seeks(path: &Path, from: u64, to: u64) -> Result<Vec<Seek>, RecordError> {
    let mut walk = Walk::open(path, from)?;
    let mut seeks = Vec::new();
    while walk.at < to
        && let Some(fragment) = walk.fragment()?
    {
        seeks.extend(fragment.keys.iter().map(|key| Seek { offset: fragment.offset, key: *key }));
    }
    Ok(seeks)
}

/// Length of `ftyp` and `moov` at the start of `path`, hashed; `None` when they are not whole.
pub(crate) fn init_segment(path: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    let mut walk = Walk::open(path, 0)?;
    let Some((b"ftyp", first)) = walk.header(0)?.as_ref().map(|(kind, len)| (kind, *len)) else { return Ok(None) };
    let Some((b"moov", second)) = walk.header(first)?.as_ref().map(|(kind, len)| (kind, *len)) else { return Ok(None) };
    walk.read(0, first + second).map(Some)
}

struct Walk {
    path: PathBuf,
    file: File,
    len: u64,
    at: u64,
}

impl Walk {
    fn open(path: &Path, at: u64) -> Result<Self, RecordError> {
        let file = File::open(path).map_err(RecordError::io(path, "open"))?;
        let len = file.metadata().map_err(RecordError::io(path, "stat"))?.len();
        Ok(Self { path: path.into(), file, len, at })
    }

    /// Kind and length of the box at `at`; `None` unless it lies in the file as a whole.
    fn header(&mut self, at: u64) -> Result<Option<([u8; 4], u64)>, RecordError> {
        if at + 8 > self.len {
            return Ok(None);
        }
        let bytes = self.read(at, 8)?;
        let len = u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let whole = len >= 8 && at + len <= self.len;
        Ok(whole.then_some(([bytes[4], bytes[5], bytes[6], bytes[7]], len)))
    }

    fn read(&mut self, at: u64, len: u64) -> Result<Vec<u8>, RecordError> {
        let mut bytes = vec![0; len as usize];
        self.file.seek(SeekFrom::Start(at)).map_err(RecordError::io(&self.path, "seek"))?;
        self.file.read_exact(&mut bytes).map_err(RecordError::io(&self.path, "read"))?;
        Ok(bytes)
    }

    /// The next fragment, not hashed.
    fn fragment(&mut self) -> Result<Option<Found>, RecordError> {
        let Some((kind, moof_len)) = self.header(self.at)? else { return Ok(None) };
        if &kind != b"moof" {
            return Ok(None);
        }
        let Some((kind, mdat_len)) = self.header(self.at + moof_len)? else { return Ok(None) };
        if &kind != b"mdat" {
            return Ok(None);
        }
        let moof = self.read(self.at, moof_len)?;
        let Ok(Some(Any::Moof(moof))) = Any::decode_maybe(&mut moof.as_slice()) else { return Ok(None) };
        let mut found = Found {
            index: u64::from(moof.mfhd.sequence_number).saturating_sub(1),
            offset: self.at,
            bytes: moof_len + mdat_len,
            sha256: String::new(),
            video: 0,
            audio: 0,
            keys: Vec::new(),
            first_video: None,
        };
        for traf in &moof.traf {
            let mut time = traf.tfdt.as_ref().map_or(0, |tfdt| tfdt.base_media_decode_time);
            let samples: u64 = traf.trun.iter().map(|run| run.samples.len() as u64).sum();
            if traf.tfhd.track_id != VIDEO_TRACK {
                found.audio += samples;
                continue;
            }
            found.video += samples;
            found.first_video.get_or_insert(time);
            for (n, sample) in traf.trun.iter().flat_map(|run| run.samples.iter()).enumerate() {
                if sample.flags.is_some_and(|flags| flags & 0x0001_0000 == 0) {
                    found.keys.push(KeySample { time, number: n as u32 + 1 });
                }
                time += u64::from(sample.duration.unwrap_or(0));
            }
        }
        self.at += found.bytes;
        Ok(Some(found))
    }
}
