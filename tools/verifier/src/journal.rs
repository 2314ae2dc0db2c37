//! `journal.jsonl`: the chain of its lines, and what they say should be in the files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::folder::Finding;
use crate::shape;
use crate::signer::{self, Certificate, Key, sha256};

/// What a stretch of a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Header,
    Fragment(u64),
    Index,
}

/// A stretch of a file, and the hash that it must have.
pub struct Piece {
    pub part: Part,
    pub offset: u64,
    pub bytes: u64,
    pub sha256: String,
    /// Since the session's origin.
    pub ms: u64,
}

/// What the journal says about one file.
#[derive(Default)]
pub struct Listed {
    pub pieces: Vec<Piece>,
    pub fragments: Vec<u64>,
    pub closed: bool,
}

/// A journal, read.
#[derive(Default)]
pub struct Journal {
    pub session: String,
    pub origin_ms: u64,
    pub role: String,
    pub files: BTreeMap<String, Listed>,
    /// Certificates that stand for the keys of the heads.
    pub vouchers: Vec<Certificate>,
    /// Hash of the last line.
    pub head: String,
    pub lines: u64,
    /// Lines after the last good head.
    pub unsigned: u64,
    /// Hash of `session.json`, once the record was closed.
    pub end: Option<String>,
    pub findings: Vec<Finding>,
    /// Time of the last entry, since the origin.
    pub ms: u64,
    key: Option<Key>,
    started: bool,
}

/// Reads the journal in `folder`.
pub fn read(folder: &Path) -> anyhow::Result<Journal> {
    let path = folder.join("journal.jsonl");
    let mut journal = Journal { head: "0".repeat(64), ..Journal::default() };
    if !path.exists() {
        anyhow::ensure!(folder.join("session.json").exists(), "there is no record in {}", folder.display());
        journal.find("the journal is missing");
        return Ok(journal);
    }
    let mut reader = BufReader::new(File::open(&path).with_context(|| path.display().to_string())?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).with_context(|| path.display().to_string())? > 0 {
        if line.pop() != Some(b'\n') {
            journal.unsigned += 1;
            journal.find("the last entry is cut short");
            break;
        }
        journal.line(&line);
        line.clear();
    }
    Ok(journal)
}

impl Journal {
    fn find(&mut self, what: &str) {
        self.findings.push(Finding { file: "journal.jsonl".into(), second: self.ms / 1_000, what: what.into() });
    }

    fn line(&mut self, line: &[u8]) {
        let entry = serde_json::from_slice::<Value>(line).ok().filter(is_entry);
        let whole = match &entry {
            None => Err("cannot be read"),
            Some(entry) if entry["v"] != 1 => Err("is of a version that is not known"),
            Some(entry) if entry["n"] != self.lines => Err("has another number than its place"),
            Some(entry) if entry["prev"] != self.head.as_str() => Err("does not follow the one before"),
            // What a head signs is the canonical form: nothing else may stand there.
            Some(entry) if entry["kind"] == "head" && !is_canonical(entry, line) => Err("is not in canonical form"),
            Some(_) => Ok(()),
        };
        if let Err(why) = whole {
            self.find(&format!("entry {}: it {why}", self.lines));
        }
        self.head = sha256(line);
        self.unsigned += 1;
        if let Some(entry) = entry {
            if self.started {
                self.ms = entry["at_ms"].as_u64().unwrap_or(0).saturating_sub(self.origin_ms);
            }
            if let Err(why) = self.take(&entry) {
                self.find(&format!("entry {}: {why}", self.lines));
            }
        }
        self.lines += 1;
    }

    fn take(&mut self, entry: &Value) -> Result<(), String> {
        const OWN: [&str; 10] =
            ["start", "resumed", "opened", "fragment", "closed", "gap", "failed", "recovered", "head", "end"];
        let kind = entry["kind"].as_str().unwrap_or("");
        let body = &entry["body"];
        if self.end.is_some() && kind != "head" {
            return Err("it stands after the record's end".into());
        }
        if !self.started && kind != "start" && OWN.contains(&kind) {
            return Err("the journal does not begin with its start".into());
        }
        if let Some(name) = shape::lacks(kind, body) {
            return Err(format!("it has no {name}"));
        }
        match kind {
            "start" if self.started => Err("a second start".into()),
            "start" | "resumed" => self.start(body),
            "opened" => {
                let name = text(body, "file")?;
                stream_of(&name).ok_or("a file name that no stream has")?;
                let piece = piece(body, Part::Header, 0, number(body, "starts_ms")?)?;
                let listed = Listed { pieces: vec![piece], ..Listed::default() };
                let before = self.files.insert(name, listed);
                before.map_or(Ok(()), |_| Err("a file that is opened twice".into()))
            }
            "fragment" => {
                let (index, offset) = (number(body, "index")?, number(body, "offset")?);
                let piece = piece(body, Part::Fragment(index), offset, index * 500)?;
                let listed = self.open_file(body)?;
                if listed.fragments.last().is_some_and(|last| index <= *last) {
                    return Err(format!("fragment {index} is out of order"));
                }
                listed.fragments.push(index);
                listed.pieces.push(piece);
                Ok(())
            }
            "closed" => {
                let offset = number(body, "offset")?;
                let listed = self.open_file(body)?;
                let ms = listed.fragments.last().map_or(0, |last| last * 500);
                listed.pieces.push(piece(body, Part::Index, offset, ms)?);
                listed.closed = true;
                Ok(())
            }
            "head" => {
                let key = self.key.as_ref().ok_or("a head without a session key")?;
                let signature = body["signature"].clone();
                let mut signed = entry.clone();
                signed["body"] = json!({});
                signed["signature"] = signature;
                signer::check(&signed, "bridgepoint journal head 1\n", key)?;
                self.unsigned = 0;
                Ok(())
            }
            "end" => {
                self.end = Some(text(body, "session_sha256")?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, body: &Value) -> Result<(), String> {
        let (session, role) = (text(body, "session")?, text(body, "role")?);
        let origin_ms = number(body, "origin_ms")?;
        if self.started && (session != self.session || role != self.role || origin_ms != self.origin_ms) {
            return Err("a recorder of another session went on here".into());
        }
        (self.session, self.role, self.origin_ms, self.started) = (session, role, origin_ms, true);
        let (key, by) = signer::session_key(&body["statement"], &self.session)?;
        self.key = Some(key);
        if !self.vouchers.contains(&by) {
            self.vouchers.push(by);
        }
        Ok(())
    }

    fn open_file(&mut self, body: &Value) -> Result<&mut Listed, String> {
        let listed = self.files.get_mut(&text(body, "file")?).filter(|listed| !listed.closed);
        listed.ok_or_else(|| "a file that is not open".into())
    }
}

fn is_entry(value: &Value) -> bool {
    let numbers = ["v", "n", "at_ms"].iter().all(|name| value[*name].is_u64());
    numbers && ["kind", "prev"].iter().all(|name| value[*name].is_string())
}

fn is_canonical(entry: &Value, line: &[u8]) -> bool {
    serde_json_canonicalizer::to_vec(entry).is_ok_and(|canonical| canonical == line)
}

fn piece(body: &Value, part: Part, offset: u64, ms: u64) -> Result<Piece, String> {
    Ok(Piece { part, offset, bytes: number(body, "bytes")?, sha256: text(body, "sha256")?, ms })
}

fn number(body: &Value, name: &str) -> Result<u64, String> {
    body[name].as_u64().ok_or_else(|| format!("it has no {name}"))
}

fn text(body: &Value, name: &str) -> Result<String, String> {
    body[name].as_str().map(str::to_owned).ok_or_else(|| format!("it has no {name}"))
}

/// The stream whose file `name` is: `program` or `site-<code>`; `None` for other files.
pub fn stream_of(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".mp4")?;
    let (stream, part) = stem.split_once('.').map_or((stem, None), |(stream, part)| (stream, Some(part)));
    let good_part = part.is_none_or(|part| {
        part.parse::<u32>().is_ok_and(|n| n > 1) && part.bytes().all(|b| b.is_ascii_digit()) && !part.starts_with('0')
    });
    let good_name = stream == "program"
        || stream.strip_prefix("site-").is_some_and(|code| {
            (1..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    (good_part && good_name).then_some(stream)
}
