//! The folder as a whole: every file against the journal, the journal against the seal, the seal against the trust.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::boxes;
use crate::journal::{self, Journal, Listed, Part, stream_of};
use crate::signer::{self, Certificate, sha256};

/// The judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Complete, unaltered, signed by somebody whom the trust stands for.
    Intact,
    /// It fits together; nobody says whose key signed it.
    NotAnchored,
    /// It fits together, but was not closed or not sealed.
    Unfinished,
    /// See the findings.
    Damaged,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub file: String,
    /// Since the session's origin.
    pub second: u64,
    pub what: String,
}

/// Nothing of a stream between two of its fragments.
#[derive(Debug, Serialize)]
pub struct Gap {
    pub stream: String,
    pub from_ms: u64,
    pub to_ms: u64,
}

/// One media file.
#[derive(Debug, Serialize)]
pub struct Checked {
    pub name: String,
    pub bytes: u64,
    pub fragments: usize,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub v: u16,
    pub session: String,
    pub verdict: Verdict,
    pub text: String,
    pub by: String,
    pub findings: Vec<Finding>,
    pub gaps: Vec<Gap>,
    pub files: Vec<Checked>,
    pub entries: u64,
    pub notes: Vec<String>,
}

/// Checks `folder`.
pub fn verify(folder: &Path, trust: Option<&str>) -> anyhow::Result<Report> {
    let mut journal = journal::read(folder)?;
    let mut findings = std::mem::take(&mut journal.findings);
    let mut notes = Vec::new();
    check_session(folder, &journal, &mut findings)?;
    let sealed_by = check_seal(folder, &journal, &mut findings)?;
    for (name, listed) in &journal.files {
        check_media(folder, name, listed, journal.end.is_some(), &mut findings, &mut notes)?;
    }
    check_others(folder, &journal, &mut findings, &mut notes)?;
    findings.sort_by_key(|finding| finding.second);
    let by = sealed_by.as_ref().or(journal.vouchers.last());
    let (verdict, text) = judge(&journal, sealed_by.as_ref(), &findings, trust, &mut notes);
    Ok(Report {
        v: 1,
        verdict,
        text,
        by: by.map_or_else(|| "nobody".to_owned(), |by| by.subject.clone()),
        gaps: gaps(&journal),
        files: journal
            .files
            .iter()
            .map(|(name, listed)| Checked {
                name: name.clone(),
                bytes: listed.pieces.iter().map(|piece| piece.bytes).sum(),
                fragments: listed.fragments.len(),
            })
            .collect(),
        entries: journal.lines,
        session: journal.session,
        findings,
        notes,
    })
}

fn judge(
    journal: &Journal,
    sealed_by: Option<&Certificate>,
    findings: &[Finding],
    trust: Option<&str>,
    notes: &mut Vec<String>,
) -> (Verdict, String) {
    if let Some(first) = findings.first() {
        return (Verdict::Damaged, format!("damaged: {} at second {}: {}", first.file, first.second, first.what));
    }
    let unfinished = |why: &str| (Verdict::Unfinished, format!("unfinished: {why}"));
    if journal.end.is_none() {
        return unfinished("the record was not closed");
    }
    let Some(by) = sealed_by.or(journal.vouchers.last()) else { return unfinished("nobody has signed") };
    if sealed_by.is_none() && journal.role == "centre" {
        return unfinished("the record was closed, but not sealed");
    }
    if sealed_by.is_none() && journal.unsigned > 0 {
        return unfinished("the record was closed after a crash, and its end is not signed");
    }
    let trusted = trust.is_some_and(|trust| {
        journal.vouchers.iter().chain([by]).all(|certificate| {
            // A box's certificate stands for the box's own record only.
            let fits = !(journal.role == "centre" && certificate.is_box);
            let trusted = fits && certificate.is_trusted(trust, journal.origin_ms);
            if !trusted {
                notes.push(format!("the given trust does not stand for {}", certificate.subject));
            }
            trusted
        })
    });
    if trusted {
        (Verdict::Intact, "intact".into())
    } else {
        (Verdict::NotAnchored, format!("self-consistent, key {}, not anchored", by.key_id))
    }
}

fn check_session(folder: &Path, journal: &Journal, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let mut find = |what: &str| findings.push(Finding { file: "session.json".into(), second: 0, what: what.into() });
    let Some(bytes) = read(&folder.join("session.json"))? else {
        find("it is missing");
        return Ok(());
    };
    if journal.end.as_ref().is_some_and(|end| *end != sha256(&bytes)) {
        find("it is not what the journal's end says: it was altered");
    } else if serde_json::from_slice::<Value>(&bytes)
        .is_ok_and(|session| session["session"] != journal.session.as_str())
    {
        find("it belongs to another session");
    }
    Ok(())
}

fn check_seal(folder: &Path, journal: &Journal, findings: &mut Vec<Finding>) -> anyhow::Result<Option<Certificate>> {
    let Some(bytes) = read(&folder.join("seal.json"))? else { return Ok(None) };
    let mut find = |second: u64, what: &str| {
        findings.push(Finding { file: "seal.json".into(), second, what: what.into() });
    };
    let (seal, by) = match open_seal(&bytes) {
        Ok(opened) => opened,
        Err(why) => {
            find(0, &why);
            return Ok(None);
        }
    };
    if seal["session"] != journal.session.as_str() {
        find(0, "it belongs to another session");
    } else if seal["head"] != journal.head.as_str() || seal["entries"] != journal.lines {
        find(journal.ms / 1_000, "the journal does not end where it was sealed: it was altered or cut");
    } else if journal.end.as_ref().is_some_and(|end| seal["session_sha256"] != end.as_str()) {
        find(0, "it was made over another session.json");
    }
    if journal.vouchers.iter().any(|voucher| voucher.key_id != by.key_id) {
        find(0, "another key sealed than the one that stands for the session's key");
    }
    Ok(Some(by))
}

fn open_seal(bytes: &[u8]) -> Result<(Value, Certificate), String> {
    let seal: Value = serde_json::from_slice(bytes).map_err(|_| "it cannot be read")?;
    let canonical = serde_json_canonicalizer::to_vec(&seal).map_err(|_| "it cannot be read")?;
    if bytes.strip_suffix(b"\n") != Some(&canonical) || seal["v"] != 1 {
        return Err("it is not in its canonical form".into());
    }
    let by = Certificate::parse(seal["by"].as_str().ok_or("it has no certificate")?)?;
    signer::check(&seal, "bridgepoint seal 1\n", &by.key)?;
    Ok((seal, by))
}

fn check_media(
    folder: &Path,
    name: &str,
    listed: &Listed,
    ended: bool,
    findings: &mut Vec<Finding>,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut find = |ms: u64, what: String| findings.push(Finding { file: name.into(), second: ms / 1_000, what });
    let path = folder.join(name);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            find(listed.pieces[0].ms, "the file is missing".into());
            return Ok(());
        }
        other => other.with_context(|| path.display().to_string())?,
    };
    let length = file.metadata()?.len();
    let mut at = 0;
    for piece in &listed.pieces {
        let what = match piece.part {
            Part::Header => "the header".to_owned(),
            Part::Fragment(index) => format!("fragment {index}"),
            Part::Index => "the seek index".to_owned(),
        };
        if piece.offset != at {
            find(piece.ms, format!("{what} is not where the one before ends"));
            return Ok(());
        }
        at += piece.bytes;
        if at > length {
            find(piece.ms, format!("the file ends within {what}"));
            return Ok(());
        }
        let mut bytes = vec![0; piece.bytes as usize];
        file.read_exact(&mut bytes).with_context(|| path.display().to_string())?;
        if sha256(&bytes) != piece.sha256 {
            find(piece.ms, format!("{what} was altered"));
            continue;
        }
        let is_what_it_says = match piece.part {
            Part::Header => boxes::is_header(&bytes),
            Part::Fragment(index) => boxes::fragment_index(&bytes) == Some(index),
            Part::Index => boxes::is_index(&bytes),
        };
        if !is_what_it_says {
            find(piece.ms, format!("{what} is not what the journal calls it"));
        }
    }
    if length > at && (listed.closed || ended) {
        let ms = listed.pieces.last().map_or(0, |last| last.ms);
        find(ms, format!("{} bytes at the end that the journal does not know", length - at));
    } else if length > at {
        notes.push(format!("{name}: {} bytes that are not in the journal yet", length - at));
    }
    Ok(())
}

fn check_others(
    folder: &Path,
    journal: &Journal,
    findings: &mut Vec<Finding>,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    const KNOWN: [&str; 7] =
        ["journal.jsonl", "session.json", "seal.json", "access.jsonl", "repair", "sealed", "tokens"];
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names {
        if journal.files.contains_key(&name) || KNOWN.contains(&name.as_str()) {
            continue;
        }
        if stream_of(&name).is_some() && journal.end.is_some() {
            findings.push(Finding { file: name, second: 0, what: "the journal does not know this file".into() });
        } else {
            notes.push(format!("{name} does not belong to the record"));
        }
    }
    Ok(())
}

fn gaps(journal: &Journal) -> Vec<Gap> {
    let mut streams: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (name, listed) in &journal.files {
        streams.entry(stream_of(name).unwrap_or(name)).or_default().extend(&listed.fragments);
    }
    let mut gaps = Vec::new();
    for (stream, mut fragments) in streams {
        fragments.sort_unstable();
        for pair in fragments.windows(2).filter(|pair| pair[1] > pair[0] + 1) {
            gaps.push(Gap { stream: stream.into(), from_ms: (pair[0] + 1) * 500, to_ms: pair[1] * 500 });
        }
    }
    gaps
}

fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => Ok(Some(other.with_context(|| path.display().to_string())?)),
    }
}
