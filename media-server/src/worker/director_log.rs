//! The directors' log beside the record: who was seen, and out of what that was decided. Written by a thread of its own;
//! a disk that fails costs the log, and nothing else.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use aws_lc_rs::digest::{Context, SHA256};
use bridgepoint_record::journal::hex;
use serde_json::{Value, json};
use server_core::director::log::{Told, file_name, lines};

/// The log of one part of a session.
pub struct DirectorLog {
    name: String,
    entries: Sender<Vec<Told>>,
    writing: JoinHandle<std::io::Result<(u64, String)>>,
}

impl DirectorLog {
    /// Begins `director.jsonl`, or `director.2.jsonl` and so on for a part that is not the first. `failed` is told when it
    /// cannot be written, from the log's own thread.
    ///
    /// # Errors
    /// Without a thread.
    pub fn start(
        archive: &Path,
        part: u32,
        failed: impl FnOnce(&str, &std::io::Error) + Send + 'static,
    ) -> std::io::Result<Self> {
        let name = file_name(part);
        let path = archive.join(&name);
        let (entries, from_mixing) = channel();
        let file = name.clone();
        let writing = std::thread::Builder::new().name("director log".into()).spawn(move || {
            let written = write(&path, &from_mixing);
            if let Err(error) = &written {
                failed(&file, error);
            }
            written
        })?;
        Ok(Self { name, entries, writing })
    }

    /// Where entries go. When all of these are dropped the log can end.
    pub fn entries(&self) -> Sender<Vec<Told>> {
        self.entries.clone()
    }

    /// Ends it. What the journal says of it: its name, length and hash; `None` when it could not be written.
    pub fn finish(self) -> Option<Value> {
        let Self { name, entries, writing } = self;
        drop(entries);
        let (bytes, sha256) = writing.join().ok()?.ok()?;
        Some(json!({ "file": name, "bytes": bytes, "sha256": sha256 }))
    }
}

/// Until nobody has anything to say any more; length and hash.
fn write(path: &Path, entries: &Receiver<Vec<Told>>) -> std::io::Result<(u64, String)> {
    let mut file = OpenOptions::new().create_new(true).append(true).open(path)?;
    let (mut hash, mut bytes) = (Context::new(&SHA256), 0);
    while let Ok(told) = entries.recv() {
        let text = lines(&told);
        file.write_all(text.as_bytes())?;
        hash.update(text.as_bytes());
        bytes += text.len() as u64;
    }
    file.sync_data()?;
    let hex = hex(hash.finish().as_ref());
    Ok((bytes, hex))
}
