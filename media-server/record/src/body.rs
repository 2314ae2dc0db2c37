//! Bodies of the journal's own entries. Times called `…_ms` without `at` are since the session's origin.

use bridgepoint_wire::{SessionId, SiteCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::session::Role;

/// Of `start` and `resumed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Start {
    pub session: SessionId,
    pub origin_ms: u64,
    pub role: Role,
    /// Which recorder of the session: 1, after a restart 2 …
    pub part: u32,
    /// Version of the writing software.
    pub software: String,
    /// The sealing (or device) key's statement about the key that signs the heads from here on.
    pub statement: Value,
}

/// Of `opened`: the file's first bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
    pub starts_ms: u64,
    pub width: u16,
    pub height: u16,
    pub channels: u8,
}

/// Of `fragment`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fragment {
    pub file: String,
    pub index: u64,
    pub offset: u64,
    pub bytes: u64,
    pub sha256: String,
    pub video: u64,
    pub audio: u64,
}

/// Of `closed`: the file's last bytes; none when the index could not be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Closed {
    pub file: String,
    pub offset: u64,
    pub bytes: u64,
    pub sha256: String,
    pub why: CloseWhy,
}

/// Why a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CloseWhy {
    /// The site left, or the session ended.
    End,
    /// The picture's format changed.
    Format,
    /// The sender's time stepped back.
    StepBack,
    /// It could not be written.
    Failed,
    /// The recorder was killed.
    Crash,
}

/// Of `gap`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub kind: String,
    pub site: Option<SiteCode>,
    pub from_ms: u64,
    pub to_ms: u64,
    pub why: GapWhy,
}

/// Why nothing of a stream is recorded for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapWhy {
    /// Nothing came: the site was silent or its line was down.
    NothingCame,
    /// The site had left.
    Left,
    /// The recorder was killed or restarted.
    Restart,
    /// The disk refused.
    Disk,
    /// The journal does not say.
    Unknown,
}

/// Of `failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub file: String,
    pub error: String,
}

/// Of `recovered`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recovered {
    /// Bytes of an unfinished journal line that were cut off.
    pub journal_cut: u64,
    /// Per unfinished file.
    pub files: Vec<RecoveredFile>,
}

/// One file after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredFile {
    /// Its name.
    pub file: String,
    /// Whole fragments on the disk that the journal had not noted yet.
    pub found: u64,
    /// Bytes of an unfinished fragment that were cut off.
    pub cut: u64,
    /// Nothing whole was in it: it was removed.
    pub removed: bool,
}

/// Of `end`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Of `session.json` as it is then.
    pub session_sha256: String,
    pub why: EndWhy,
}

/// How a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EndWhy {
    /// Properly.
    Finished,
    /// Closed afterwards: the recorder had been killed.
    Crash,
}
