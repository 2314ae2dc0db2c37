//! `session.json`: what a folder is, for people and for the catalogue. The journal's last word holds its hash.

use std::collections::BTreeMap;
use std::path::Path;

use bridgepoint_wire::{SessionId, SiteCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::RecordError;
use crate::journal::canonical;

/// The file's name.
pub const FILE: &str = "session.json";

/// Whose record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The media server's: program and all sites; sealed by the control process.
    Centre,
    /// A box's own: its contribution; certified by the device key.
    Box,
}

/// What is recorded into files of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// The mixed picture and sound.
    Program,
    /// One site's contribution.
    Site(SiteCode),
}

impl Stream {
    /// The name of its file number `part`, from 1.
    pub fn file(&self, part: u32) -> String {
        let stem = match self {
            Self::Program => "program".to_owned(),
            Self::Site(code) => format!("site-{code}"),
        };
        if part == 1 { format!("{stem}.mp4") } else { format!("{stem}.{part}.mp4") }
    }

    /// Which stream and part a file holds, by its name. `None` for other files.
    pub fn of_file(name: &str) -> Option<(Self, u32)> {
        let stem = name.strip_suffix(".mp4")?;
        let (stem, part) = match stem.split_once('.') {
            None => (stem, 1),
            Some((stem, part)) => (stem, part.parse().ok().filter(|n| *n > 1)?),
        };
        let stream = match stem.strip_prefix("site-") {
            Some(code) => Self::Site(code.parse().ok()?),
            None if stem == "program" => Self::Program,
            None => return None,
        };
        (stream.file(part) == name).then_some((stream, part))
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Site(_) => "site",
        }
    }

    pub(crate) fn site(&self) -> Option<&SiteCode> {
        match self {
            Self::Program => None,
            Self::Site(code) => Some(code),
        }
    }
}

/// One file of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAbout {
    /// First picture, ms since 1970.
    pub starts_at_ms: u64,
    /// `program` or `site`.
    pub kind: String,
    /// The site's code.
    pub site: Option<SiteCode>,
}

/// The content of `session.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Format version, 1.
    pub v: u16,
    /// Which session.
    pub session: SessionId,
    /// Time zero of its media, ms since 1970.
    pub origin_ms: u64,
    /// Whose record.
    pub role: Role,
    /// Whatever the caller wants to be read there: names, who called, how.
    pub about: Value,
    /// By name.
    pub files: BTreeMap<String, FileAbout>,
}

impl Session {
    /// Its bytes: canonical JSON and a line feed.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = canonical(self);
        bytes.push(b'\n');
        bytes
    }

    /// Reads it from `folder`.
    ///
    /// # Errors
    /// [`RecordError::Io`], [`RecordError::Unfit`].
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join(FILE);
        let bytes = std::fs::read(&path).map_err(RecordError::io(&path, "read"))?;
        let session: Self = serde_json::from_slice(&bytes)
            .map_err(|e| RecordError::Unfit { path: path.clone(), why: format!("not readable ({e})") })?;
        if session.v != 1 {
            return Err(RecordError::Unfit { path, why: format!("version {} is not known", session.v) });
        }
        Ok(session)
    }

    pub(crate) fn add(&mut self, name: &str, stream: &Stream, starts_ms: u64) {
        let about = FileAbout {
            starts_at_ms: self.origin_ms + starts_ms,
            kind: stream.kind().into(),
            site: stream.site().cloned(),
        };
        self.files.insert(name.into(), about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_and_streams_are_the_same_thing() {
        let site = Stream::Site("17611".parse().unwrap());
        for (stream, part, name) in [
            (Stream::Program, 1, "program.mp4"),
            (Stream::Program, 3, "program.3.mp4"),
            (site.clone(), 1, "site-17611.mp4"),
            (site, 2, "site-17611.2.mp4"),
        ] {
            assert_eq!(stream.file(part), name);
            assert_eq!(Stream::of_file(name), Some((stream, part)));
        }
        for other in [
            "x.mp4",
            "program.1.mp4",
            "program.02.mp4",
            "site-.mp4",
            "site-a_b.mp4",
            "program.mp4.part",
            "journal.jsonl",
        ] {
            assert_eq!(Stream::of_file(other), None, "{other}");
        }
    }
}
