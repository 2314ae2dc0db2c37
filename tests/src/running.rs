//! A system for a scenario: boxes that film marks, everything below `target/scenarios/<name>`.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::clips::Marks;
use xtask::sites;
use xtask::stack::{Plan, Stack, site};
use xtask::summary::ServerStatus;
use xtask::workspace::target;

/// A long press.
pub const LONG_PRESS_MS: u32 = 1_700;

/// A running system of up to three boxes.
pub struct Running {
    stack: Stack,
    codes: Vec<String>,
}

impl Deref for Running {
    type Target = Stack;
    fn deref(&self) -> &Stack {
        &self.stack
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }
}

impl Running {
    /// Starts a centre and `boxes` (2 or 3) boxes and waits until all are online.
    pub fn start(name: &str, boxes: usize) -> Result<Self> {
        let dir = target()?.join("scenarios").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
        let sites = sites::defaults(boxes)?;
        let clips = Marks::THREE.iter().take(boxes).map(|marks| marks.clip()).collect::<Result<Vec<PathBuf>>>()?;
        let codes = sites.iter().map(|site| site.code.clone()).collect();
        let spare = Some(sites::spare(&sites));
        let mut stack = Stack::start(Plan { dir, sites, clips, layout: None, spare })?;
        stack.add_boxes(|_| {})?;
        stack.wait_online(Duration::from_secs(60))?;
        Ok(Self { stack, codes })
    }

    /// The sites' codes; the first one calls.
    pub fn codes(&self) -> Vec<&str> {
        self.codes.iter().map(String::as_str).collect()
    }

    /// The code of the n-th site.
    pub fn code(&self, n: usize) -> &str {
        &self.codes[n]
    }

    /// Presses the first site's button and waits until the session is on record and every box is in it.
    pub fn on_record(&mut self) -> Result<ServerStatus> {
        let first = self.codes[0].clone();
        self.stack.press(&first, LONG_PRESS_MS)?;
        let status = self.stack.wait_on_record(Duration::from_secs(45))?;
        for code in self.codes.clone() {
            self.wait_up(&code, Duration::from_secs(20))?;
        }
        Ok(status)
    }

    /// Waits until a site's picture and sound flow.
    pub fn wait_up(&self, code: &str, patience: Duration) -> Result<()> {
        let id = self.stack.server_status().session.context("no session")?;
        self.wait(&format!("{code} in the session"), patience, || {
            let session = self.stack.bpctl(&["session", "show", &id])?;
            Ok(site(&session["sites"], code).is_some_and(|site| site["up"] == true))
        })
    }

    /// Waits for a condition.
    pub fn wait(&self, what: &str, patience: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
        let waited = xtask::process::wait_for(what, patience, || Ok(done()?.then_some(())));
        waited.with_context(|| format!("logs: {}", self.stack.log("*")))
    }

    /// Ends the session, then everything; the record must be intact. Returns its folder.
    pub fn finish(mut self) -> Result<PathBuf> {
        self.stack.end_session(Duration::from_secs(30))?;
        let archive = self.stack.summary()?.archive.context("nothing was on record")?;
        self.stack.end();
        let verdict = self.stack.verify_folder(&archive);
        ensure!(verdict == "intact", "{}: {verdict}", archive.display());
        Ok(archive)
    }
}

/// The entries of a session's journal.
pub fn journal(archive: &std::path::Path) -> Result<Vec<Value>> {
    let file = archive.join("journal.jsonl");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    text.lines().map(|line| serde_json::from_str(line).context("a line of the journal")).collect()
}
