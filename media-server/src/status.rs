//! `status.json` in the runtime folder: what scripts may know without asking the API. True within a second.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use server_core::session::Session;

use crate::config::Config;

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Content {
    pid: u32,
    conference_pid: Option<i32>,
    console: String,
    session: Option<String>,
    on_record: bool,
    on_record_at_ms: Option<u64>,
    first_program_frame_ms: Option<u64>,
    archive: Option<PathBuf>,
    ended_at_ms: Option<u64>,
}

/// Keeps the file.
#[derive(Debug)]
pub struct Status {
    file: PathBuf,
    content: Content,
    written: Option<Content>,
}

impl Status {
    /// For a server that has just started.
    pub fn new(config: &Config) -> Self {
        let content = Content {
            pid: std::process::id(),
            conference_pid: None,
            console: config.console(),
            session: None,
            on_record: false,
            on_record_at_ms: None,
            first_program_frame_ms: None,
            archive: None,
            ended_at_ms: None,
        };
        Self { file: config.runtime_dir.join("status.json"), content, written: None }
    }

    /// The session that matters now: the newest that runs, or the last one.
    pub fn show(&mut self, session: &Session, archive: &Path, conference_pid: Option<i32>, ended_at_ms: Option<u64>) {
        self.content = Content {
            conference_pid: conference_pid.filter(|_| ended_at_ms.is_none()),
            session: Some(session.id.to_string()),
            on_record: session.on_record(),
            on_record_at_ms: session.on_record_at_ms,
            first_program_frame_ms: session.first_program_frame_ms,
            archive: Some(archive.to_owned()),
            ended_at_ms,
            ..self.content.clone()
        };
    }

    /// Writes the file if it is not true any more; whoever reads it sees the old or the new one, never half of one.
    pub fn write(&mut self) {
        if self.written.as_ref() == Some(&self.content) {
            return;
        }
        let part = self.file.with_extension("json.part");
        let bytes = serde_json::json!(self.content).to_string();
        match fs::write(&part, bytes).and_then(|()| fs::rename(&part, &self.file)) {
            Ok(()) => self.written = Some(self.content.clone()),
            Err(error) => tracing::error!(file = %self.file.display(), %error, "status not written"),
        }
    }
}
