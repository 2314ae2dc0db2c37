//! `status.json` in the runtime folder: what scripts and the demo need to know of a running agent.

use std::path::PathBuf;

use bridgepoint_wire::{ApplianceId, SessionId, SiteCode};
use serde::Serialize;

/// The file's content; all `*_ms` are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The control process.
    pub pid: u32,
    /// The media child.
    pub media_pid: Option<u32>,
    /// Who the box is.
    pub appliance: ApplianceId,
    /// Where it stands.
    pub site: SiteCode,
    /// The session that it takes part in.
    pub session: Option<SessionId>,
    /// What the centre said last.
    pub on_record: bool,
    /// The microphone is muted.
    pub muted: bool,
    /// When the clip's first frame was captured.
    pub clip_started_at_ms: Option<u64>,
    /// When the program's first frame was shown.
    pub program_shown_at_ms: Option<u64>,
    /// Picture and sound flow to and from the centre.
    pub link_up: bool,
}

/// Keeps the file true. Only written when something has changed: the runtime folder may be on a disk.
pub struct StatusFile {
    file: PathBuf,
    written: Option<Status>,
}

impl StatusFile {
    /// `status.json` in a folder; what a killed agent has left there is removed.
    pub fn new(runtime_dir: &std::path::Path) -> Self {
        let file = runtime_dir.join("status.json");
        let _ = std::fs::remove_file(&file);
        Self { file, written: None }
    }

    /// Readers see the old or the new file, never half of one. Not synced: it means nothing after a power cut.
    pub fn show(&mut self, status: &Status) {
        if self.written.as_ref() == Some(status) {
            return;
        }
        let aside = self.file.with_extension("new");
        let json = serde_json::to_vec(status).expect("plain fields serialise");
        match std::fs::write(&aside, json).and_then(|()| std::fs::rename(&aside, &self.file)) {
            Ok(()) => self.written = Some(status.clone()),
            Err(error) => tracing::warn!(%error, file = %self.file.display(), "status"),
        }
    }

    /// The program ends: nobody shall take its last word for the truth.
    pub fn remove(self) {
        let _ = std::fs::remove_file(self.file);
    }
}
