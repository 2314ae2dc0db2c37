//! `summary.json` of a running system, and the status files that it is made from.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a script needs to act on a running system. Keys are there from the start; `null` until known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The session on record.
    pub session: Option<String>,
    /// Its folder.
    pub archive: Option<PathBuf>,
    /// The console's address.
    pub console: String,
    /// Login.
    pub user: String,
    /// Login.
    pub password: String,
    /// What `bpctl --token-file` takes.
    pub token_file: PathBuf,
    /// The fleet's listener, `host:port`, TLS.
    pub broker: String,
    /// The fleet's CA, PEM.
    pub trust: PathBuf,
    /// Credentials of each box, and of one that is enrolled but has no box running (`spare`).
    pub identities: BTreeMap<String, Identity>,
    /// The credential that reaches the enrolment listener.
    pub bootstrap: Bootstrap,
    /// Who runs now.
    pub pids: Pids,
    /// What `panel-sim press` takes.
    pub panels: BTreeMap<String, PathBuf>,
    /// How each box's camera in software stands, as JSON.
    pub cameras: BTreeMap<String, PathBuf>,
    /// Each box's own records.
    pub box_records: BTreeMap<String, PathBuf>,
    /// What each box received, played and showed.
    pub returns: BTreeMap<String, PathBuf>,
    /// When each box's clip began.
    pub clip_started_at_ms: BTreeMap<String, Option<u64>>,
    /// Since when the session is on record.
    pub on_record_at_ms: Option<u64>,
    /// When the first program frame was mixed.
    pub first_program_frame_ms: Option<u64>,
    /// When the session ended.
    pub ended_at_ms: Option<u64>,
    /// `intact`, or what is wrong.
    pub verify: Option<String>,
}

/// One box's credentials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Identity {
    /// Its name on the broker.
    pub appliance: String,
    /// Whom it trusts, PEM.
    pub ca: PathBuf,
    /// Its certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// The bootstrap credential.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bootstrap {
    /// The enrolment listener, `host:port`, TLS.
    pub broker: String,
    /// Whom a new box trusts, PEM.
    pub ca: PathBuf,
    /// The shared certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// Process ids of the moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Pids {
    /// Control process of the centre.
    pub server: Option<u32>,
    /// Conference worker.
    pub conference: Option<u32>,
    /// mosquitto.
    pub broker: Option<u32>,
    /// Boxes.
    pub agents: BTreeMap<String, BoxPids>,
}

/// Process ids of one box.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct BoxPids {
    /// Control process.
    pub agent: Option<u32>,
    /// Media child.
    pub media: Option<u32>,
}

/// `status.json` of the server.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct ServerStatus {
    /// Control process.
    pub pid: Option<u32>,
    /// Worker of the newest session.
    pub conference_pid: Option<u32>,
    /// The console's address.
    pub console: Option<String>,
    /// The newest session.
    pub session: Option<String>,
    /// Since when it is on record.
    pub on_record_at_ms: Option<u64>,
    /// When its first program frame was mixed.
    pub first_program_frame_ms: Option<u64>,
    /// Its folder.
    pub archive: Option<PathBuf>,
    /// When it ended.
    pub ended_at_ms: Option<u64>,
}

/// `status.json` of a box.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct BoxStatus {
    /// Control process.
    pub pid: Option<u32>,
    /// Media child.
    pub media_pid: Option<u32>,
    /// Name on the broker.
    pub appliance: Option<String>,
    /// Its site.
    pub site: Option<String>,
    /// The session that it takes part in.
    pub session: Option<String>,
    /// What its tally says.
    pub on_record: bool,
    /// Muted.
    pub muted: bool,
    /// When its clip began.
    pub clip_started_at_ms: Option<u64>,
    /// When it first showed the program.
    pub program_shown_at_ms: Option<u64>,
    /// Picture and sound flow.
    pub link_up: bool,
}

/// A JSON file, when it is there and whole.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Replaces a file as a whole: a reader sees the old or the new one, never a part. Private, for it holds a password.
pub fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let aside = path.with_extension("json.new");
    let failed = || format!("cannot write {}", path.display());
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside).with_context(failed)?;
    file.write_all(&serde_json::to_vec_pretty(value)?).with_context(failed)?;
    file.write_all(b"\n").with_context(failed)?;
    fs::rename(&aside, path).with_context(failed)
}
