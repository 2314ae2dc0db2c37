//! Checks a folder: every byte of every file against the journal, the journal against its signatures.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use bridgepoint_wire::SiteCode;
use serde::{Deserialize, Serialize};

use crate::body::{self, GapWhy};
use crate::cutter::FRAGMENT_MS;
use crate::error::RecordError;
use crate::journal::{self, Chain, Entry, Kind, check_head, sha256};
use crate::replay::parse;
use crate::seal;
use crate::session::{self, Role, Session, Stream};
use crate::statement::{Certificate, SessionKey};

/// No report gets longer: a destroyed folder needs no list of all that is wrong.
const MAX_FINDINGS: usize = 1_000;

/// What a folder is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Complete, unaltered, and signed by somebody whom the given trust stands for.
    Intact,
    /// It fits together, but nobody says whose key signed it.
    NotAnchored {
        /// SHA-256 of the sealing key (`SubjectPublicKeyInfo`), hex.
        key: String,
    },
    /// What is there fits together, but the record was not closed, or not sealed.
    Unfinished {
        /// What is missing.
        why: String,
    },
    /// See the findings.
    Damaged,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// In which file.
    pub file: String,
    /// Seconds since the session's origin.
    pub second: u64,
    /// What.
    pub what: String,
}

/// Nothing recorded of a stream for a while. No damage: the journal is honest about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// `program` or `site`.
    pub kind: String,
    /// The site's code.
    pub site: Option<SiteCode>,
    /// ms since the origin.
    pub from_ms: u64,
    /// ms since the origin.
    pub to_ms: u64,
    /// Why, as the journal says.
    pub why: GapWhy,
}

/// One media file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// `program` or `site`.
    pub kind: String,
    /// The site's code.
    pub site: Option<SiteCode>,
    /// Its length.
    pub bytes: u64,
    /// How many fragments.
    pub fragments: u64,
    /// Begin of its first fragment, ms since the origin.
    pub from_ms: u64,
    /// End of its last fragment.
    pub to_ms: u64,
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Format version, 1.
    pub v: u16,
    /// Which session.
    pub session: String,
    /// Time zero, ms since 1970.
    pub origin_ms: u64,
    /// The judgement.
    pub verdict: Verdict,
    /// The judgement in words.
    pub text: String,
    /// Who signed: subject of the certificate.
    pub by: Option<String>,
    /// What is wrong, by second.
    pub findings: Vec<Finding>,
    /// What is missing, honestly.
    pub gaps: Vec<Gap>,
    /// The media files.
    pub files: Vec<FileReport>,
    /// Lines of the journal.
    pub entries: u64,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

impl Report {
    /// Nothing is wrong, and the given trust stands for it.
    pub fn is_intact(&self) -> bool {
        self.verdict == Verdict::Intact
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Checks the record in `folder`. `trust` is PEM text: the fleet's certificate authority, or the sealing certificate.
///
/// # Errors
/// [`RecordError`] when there is no record to check, or it cannot be read.
pub fn verify(folder: &Path, trust: Option<&str>) -> Result<Report, RecordError> {
    let mut check = Check::default();
    check.journal(folder)?;
    check.session(folder)?;
    check.seal(folder)?;
    check.media(folder)?;
    check.strangers(folder)?;
    Ok(check.report(trust))
}

struct Piece {
    offset: u64,
    bytes: u64,
    sha256: String,
    ms: u64,
    what: String,
}

struct MediaFile {
    stream: Stream,
    pieces: Vec<Piece>,
    indices: Vec<u64>,
    closed: bool,
}

#[derive(Default)]
struct Check {
    origin_ms: Option<u64>,
    session: String,
    role: Option<Role>,
    key: Option<SessionKey>,
    statements: Vec<Certificate>,
    chain: Chain,
    /// Entries after the last good head.
    unsigned: u64,
    end: Option<body::End>,
    files: BTreeMap<String, MediaFile>,
    said_gaps: Vec<body::Gap>,
    sealed_by: Option<Certificate>,
    findings: Vec<Finding>,
    notes: Vec<String>,
    /// Where in the session the check is, ms since the origin.
    ms: u64,
}

impl Check {
    fn find(&mut self, file: &str, ms: u64, what: impl Into<String>) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { file: file.into(), second: ms / 1_000, what: what.into() });
        }
    }

    fn journal(&mut self, folder: &Path) -> Result<(), RecordError> {
        let path = folder.join(journal::FILE);
        if !path.exists() {
            if folder.join(session::FILE).exists() {
                self.find(journal::FILE, 0, "the journal is missing");
                return Ok(());
            }
            return Err(RecordError::Unfit { path: folder.into(), why: "there is no record in this folder".into() });
        }
        let file = File::open(&path).map_err(RecordError::io(&path, "open"))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(RecordError::io(&path, "read"))? == 0 {
                return Ok(());
            }
            let Some(text) = line.strip_suffix(b"\n") else {
                self.unsigned += 1;
                self.find(journal::FILE, self.ms, "the last entry is cut short");
                return Ok(());
            };
            let n = self.chain.next;
            match self.chain.accept(text) {
                Ok(entry) => self.entry(n, &entry),
                Err(why) => {
                    self.find(journal::FILE, self.ms, format!("entry {n}: {why}"));
                    // The lines after it still say what should be in the files.
                    if let Ok(entry) = serde_json::from_slice::<Entry>(text) {
                        self.entry(n, &entry);
                    }
                    self.chain = Chain { next: n + 1, head: sha256(text) };
                }
            }
        }
    }

    fn entry(&mut self, n: u64, entry: &Entry) {
        self.unsigned += 1;
        if let Some(origin) = self.origin_ms {
            self.ms = entry.at_ms.saturating_sub(origin);
        }
        if let Err(why) = self.take(entry) {
            self.find(journal::FILE, self.ms, format!("entry {n}: {why}"));
        }
    }

    fn take(&mut self, entry: &Entry) -> Result<(), String> {
        if self.end.is_some() && entry.kind != Kind::Head.as_str() {
            return Err("it stands after the record's end".into());
        }
        let Ok(kind) = entry.kind.parse() else { return Ok(()) };
        if self.origin_ms.is_none() && kind != Kind::Start {
            return Err("the journal does not begin with its start".into());
        }
        match kind {
            Kind::Start if self.origin_ms.is_some() => return Err("a second start".into()),
            Kind::Start | Kind::Resumed => self.start(&parse(&entry.body)?)?,
            Kind::Opened => self.opened(parse(&entry.body)?)?,
            Kind::Fragment => {
                let body::Fragment { file, index, offset, bytes, sha256, .. } = parse(&entry.body)?;
                let media = self.files.get_mut(&file).filter(|media| !media.closed);
                let media = media.ok_or("a fragment of a file that is not open")?;
                if media.indices.last().is_some_and(|last| index <= *last) {
                    return Err(format!("fragment {index} of {file} is out of order"));
                }
                media.indices.push(index);
                let what = format!("fragment {index}");
                media.pieces.push(Piece { offset, bytes, sha256, ms: index * FRAGMENT_MS, what });
            }
            Kind::Closed => {
                let body::Closed { file, offset, bytes, sha256, .. } = parse(&entry.body)?;
                let media = self.files.get_mut(&file).filter(|media| !media.closed);
                let media = media.ok_or("the end of a file that is not open")?;
                media.closed = true;
                let ms = media.indices.last().map_or(0, |last| last * FRAGMENT_MS);
                media.pieces.push(Piece { offset, bytes, sha256, ms, what: "the seek index".into() });
            }
            Kind::Gap => self.said_gaps.push(parse(&entry.body)?),
            Kind::Failed | Kind::Recovered => {}
            Kind::Head => {
                let key = self.key.as_ref().ok_or("a head without a session key")?;
                check_head(entry, &key.key)?;
                self.unsigned = 0;
            }
            Kind::End => self.end = Some(parse(&entry.body)?),
        }
        Ok(())
    }

    fn start(&mut self, start: &body::Start) -> Result<(), String> {
        if self.origin_ms.is_some_and(|origin| origin != start.origin_ms)
            || self.role.is_some_and(|role| role != start.role)
            || !self.session.is_empty() && self.session != start.session.as_str()
        {
            return Err("a recorder of another session went on here".into());
        }
        self.origin_ms = Some(start.origin_ms);
        self.role = Some(start.role);
        self.session = start.session.to_string();
        let key = SessionKey::of(&start.statement, &self.session).map_err(|e| format!("the key's statement: {e}"))?;
        if !self.statements.contains(&key.by) {
            self.statements.push(key.by.clone());
        }
        self.key = Some(key);
        Ok(())
    }

    fn opened(&mut self, opened: body::Opened) -> Result<(), String> {
        let body::Opened { file, bytes, sha256, starts_ms, .. } = opened;
        let (stream, _) = Stream::of_file(&file).ok_or("a file name that no stream has")?;
        let init = Piece { offset: 0, bytes, sha256, ms: starts_ms, what: "the header".into() };
        let media = MediaFile { stream, pieces: vec![init], indices: Vec::new(), closed: false };
        match self.files.insert(file.clone(), media) {
            Some(_) => Err(format!("{file} is opened twice")),
            None => Ok(()),
        }
    }

    fn session(&mut self, folder: &Path) -> Result<(), RecordError> {
        let path = folder.join(session::FILE);
        let Some(bytes) = read_if_there(&path)? else {
            self.find(session::FILE, 0, "it is missing");
            return Ok(());
        };
        if let Some(end) = &self.end
            && end.session_sha256 != sha256(&bytes)
        {
            self.find(session::FILE, 0, "it is not what the journal's end says: it was altered");
        } else if serde_json::from_slice::<Session>(&bytes)
            .is_ok_and(|s| s.session.as_str() != self.session || Some(s.origin_ms) != self.origin_ms)
        {
            self.find(session::FILE, 0, "it belongs to another session");
        }
        Ok(())
    }

    fn seal(&mut self, folder: &Path) -> Result<(), RecordError> {
        let Some(bytes) = read_if_there(&folder.join(seal::FILE))? else { return Ok(()) };
        let (seal, by) = match seal::read(&bytes) {
            Ok(read) => read,
            Err(why) => {
                self.find(seal::FILE, 0, why);
                return Ok(());
            }
        };
        if seal.session.as_str() != self.session {
            self.find(seal::FILE, 0, "it belongs to another session");
        } else if seal.head != self.chain.head || seal.entries != self.chain.next {
            self.find(seal::FILE, self.ms, "the journal does not end where it was sealed: it was altered or cut");
        } else if self.end.as_ref().is_some_and(|end| end.session_sha256 != seal.session_sha256) {
            self.find(seal::FILE, 0, "it was made over another session.json");
        }
        if self.statements.iter().any(|statement| statement.key_id != by.key_id) {
            self.find(seal::FILE, 0, "another key sealed than the one that stands for the session's key");
        }
        self.sealed_by = Some(by);
        Ok(())
    }

    fn media(&mut self, folder: &Path) -> Result<(), RecordError> {
        for (name, media) in std::mem::take(&mut self.files) {
            self.media_file(folder, &name, &media)?;
            self.files.insert(name, media);
        }
        Ok(())
    }

    fn media_file(&mut self, folder: &Path, name: &str, media: &MediaFile) -> Result<(), RecordError> {
        let path = folder.join(name);
        let first_ms = media.pieces[0].ms;
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.find(name, first_ms, "the file is missing");
                return Ok(());
            }
            other => other.map_err(RecordError::io(&path, "open"))?,
        };
        let len = file.metadata().map_err(RecordError::io(&path, "stat"))?.len();
        let mut at = 0;
        let mut buffer = Vec::new();
        for piece in &media.pieces {
            let what = &piece.what;
            if piece.offset != at {
                self.find(name, piece.ms, format!("{what} is not where the one before ends"));
                return Ok(());
            }
            at += piece.bytes;
            if at > len {
                self.find(name, piece.ms, format!("the file ends within {what}"));
                return Ok(());
            }
            buffer.resize(piece.bytes as usize, 0);
            file.read_exact(&mut buffer).map_err(RecordError::io(&path, "read"))?;
            if sha256(&buffer) != piece.sha256 {
                self.find(name, piece.ms, format!("{what} was altered"));
            }
        }
        if len > at && (media.closed || self.end.is_some()) {
            let ms = media.pieces.last().map_or(0, |last| last.ms);
            self.find(name, ms, format!("{} bytes at the end that the journal does not know", len - at));
        } else if len > at {
            self.notes.push(format!("{name}: {} bytes that are not in the journal yet", len - at));
        }
        Ok(())
    }

    /// Files that the journal has no word of.
    fn strangers(&mut self, folder: &Path) -> Result<(), RecordError> {
        const KNOWN: [&str; 7] =
            [journal::FILE, session::FILE, seal::FILE, "access.jsonl", "repair", "sealed", "tokens"];
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(RecordError::io(folder, "list"))? {
            let entry = entry.map_err(RecordError::io(folder, "list"))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        for name in names {
            if self.files.contains_key(&name) || KNOWN.contains(&name.as_str()) {
                continue;
            }
            if Stream::of_file(&name).is_some() && self.end.is_some() {
                self.find(&name, 0, "the journal does not know this file");
            } else {
                self.notes.push(format!("{name} does not belong to the record"));
            }
        }
        Ok(())
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut streams: BTreeMap<&Stream, Vec<u64>> = BTreeMap::new();
        for media in self.files.values() {
            streams.entry(&media.stream).or_default().extend(&media.indices);
        }
        let mut gaps = Vec::new();
        for (stream, mut indices) in streams {
            indices.sort_unstable();
            for pair in indices.windows(2).filter(|pair| pair[1] > pair[0] + 1) {
                let (from_ms, to_ms) = ((pair[0] + 1) * FRAGMENT_MS, pair[1] * FRAGMENT_MS);
                let said = self.said_gaps.iter().find(|gap| {
                    gap.kind == stream.kind() && gap.site.as_ref() == stream.site() && gap.from_ms == from_ms
                });
                let why = said.map_or(GapWhy::Unknown, |gap| gap.why);
                gaps.push(Gap { kind: stream.kind().into(), site: stream.site().cloned(), from_ms, to_ms, why });
            }
        }
        gaps
    }

    fn report(mut self, trust: Option<&str>) -> Report {
        self.findings.sort_by_key(|finding| finding.second);
        let verdict = self.verdict(trust);
        let gaps = self.gaps();
        let text = match &verdict {
            Verdict::Intact => "intact".to_owned(),
            Verdict::NotAnchored { key } => format!("self-consistent, key {key}, not anchored"),
            Verdict::Unfinished { why } => format!("unfinished: {why}"),
            Verdict::Damaged => self.findings.first().map_or_else(
                || "damaged".to_owned(),
                |first| format!("damaged: {} at second {}: {}", first.file, first.second, first.what),
            ),
        };
        let files = self
            .files
            .iter()
            .map(|(name, media)| FileReport {
                name: name.clone(),
                kind: media.stream.kind().into(),
                site: media.stream.site().cloned(),
                bytes: media.pieces.iter().map(|piece| piece.bytes).sum(),
                fragments: media.indices.len() as u64,
                from_ms: media.indices.first().map_or(0, |first| first * FRAGMENT_MS),
                to_ms: media.indices.last().map_or(0, |last| (last + 1) * FRAGMENT_MS),
            })
            .collect();
        Report {
            v: 1,
            session: self.session,
            origin_ms: self.origin_ms.unwrap_or(0),
            verdict,
            text,
            by: self.sealed_by.as_ref().or(self.statements.last()).map(|by| by.subject.clone()),
            findings: self.findings,
            gaps,
            files,
            entries: self.chain.next,
            notes: self.notes,
        }
    }

    fn verdict(&mut self, trust: Option<&str>) -> Verdict {
        if !self.findings.is_empty() {
            return Verdict::Damaged;
        }
        let unfinished = |why: &str| Verdict::Unfinished { why: why.into() };
        if self.end.is_none() {
            return unfinished("the record was not closed");
        }
        let Some(by) = self.sealed_by.clone().or_else(|| self.statements.last().cloned()) else {
            return unfinished("nobody has signed");
        };
        if self.sealed_by.is_none() && self.role == Some(Role::Centre) {
            return unfinished("the record was closed, but not sealed");
        }
        if self.sealed_by.is_none() && self.unsigned > 0 {
            return unfinished("the record was closed after a crash, and its end is not signed");
        }
        let not_anchored = Verdict::NotAnchored { key: by.key_id.clone() };
        let Some(trust) = trust else { return not_anchored };
        let origin = self.origin_ms.unwrap_or(0);
        for certificate in self.statements.iter().chain([&by]) {
            // Every box holds a certificate of the fleet: it may vouch for its own record, not for the centre's.
            let vouches = if self.role == Some(Role::Centre) && certificate.is_box {
                Err(format!("the certificate {} is a box's and cannot stand for the centre", certificate.subject))
            } else {
                certificate.anchored(trust, origin)
            };
            if let Err(why) = vouches {
                self.notes.push(why);
                return not_anchored;
            }
        }
        Verdict::Intact
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::io(path, "read")(error)),
    }
}
