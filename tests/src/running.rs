//! A system for a scenario: boxes that film marks, everything below `target/scenarios/<name>`.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::clips::Marks;
use xtask::sites;
use xtask::stack::{Plan, Stack, free_tcp_ports, site};
use xtask::summary::ServerStatus;
use xtask::workspace::{bin_dir, target};

use crate::https;
use crate::measure::{Part, colour};
use crate::mqtt::Intruder;

/// A long press.
pub const LONG_PRESS_MS: u32 = 1_700;

/// A running system of up to four boxes.
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
    /// Starts a centre and `boxes` (2 to 4) boxes and waits until all are online.
    pub fn start(name: &str, boxes: usize) -> Result<Self> {
        Self::start_with(name, boxes, None)
    }

    /// The same, and an intruder sits in the broker: see [`Plan::open_listener`].
    pub fn start_with_intruder(name: &str, boxes: usize) -> Result<(Self, Intruder)> {
        let [port, ..] = free_tcp_ports()?;
        Ok((Self::start_with(name, boxes, Some(port))?, Intruder { port }))
    }

    /// A centre alone, for programs that a test starts itself.
    pub fn centre_alone(name: &str) -> Result<Self> {
        let plan = Self::plan(name, 2, None)?;
        let codes = plan.sites.iter().map(|site| site.code.clone()).collect();
        Ok(Self { stack: Stack::start(plan)?, codes })
    }

    fn start_with(name: &str, boxes: usize, open_listener: Option<u16>) -> Result<Self> {
        let plan = Self::plan(name, boxes, open_listener)?;
        let codes = plan.sites.iter().map(|site| site.code.clone()).collect();
        let mut stack = Stack::start(plan)?;
        stack.add_boxes(|_| {})?;
        stack.wait_online(Duration::from_mins(1))?;
        Ok(Self { stack, codes })
    }

    fn plan(name: &str, boxes: usize, open_listener: Option<u16>) -> Result<Plan> {
        let dir = target()?.join("scenarios").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
        let sites = sites::defaults(boxes)?;
        let clips =
            Marks::THREE.iter().cycle().take(boxes).map(|marks| marks.clip()).collect::<Result<Vec<PathBuf>>>()?;
        let spare = Some(sites::spare(&sites));
        Ok(Plan { dir, sites, clips, layout: None, spare, open_listener, emulated: false })
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

    /// Lets time pass while recording; everything must stay alive.
    pub fn record_for(&self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        self.wait("time to pass", time + Duration::from_secs(5), || Ok(Instant::now() >= until))
    }

    /// The newest events that the centre has stored.
    pub fn events(&self) -> Result<Vec<Value>> {
        let events = self.api("/api/events?limit=200")?;
        events.as_array().cloned().with_context(|| format!("events: {events}"))
    }

    /// What the API answers to a GET, with the operator's token.
    pub fn api(&self, path: &str) -> Result<Value> {
        let centre = self.stack.centre();
        let pem = fs::read(&centre.trust)?;
        let token: Value = serde_json::from_slice(&fs::read(&centre.token_file)?)?;
        let token = token["token"].as_str().context("no token")?;
        let url = format!("{}{}", centre.url.trim_end_matches('/'), path);
        https::get(&pem, token, &url)
    }

    /// Ends everything without a session.
    pub fn end_all(mut self) {
        self.stack.end();
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
pub fn journal(archive: &Path) -> Result<Vec<Value>> {
    let file = archive.join("journal.jsonl");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    text.lines().map(|line| serde_json::from_str(line).context("a line of the journal")).collect()
}

/// The decoder processes of a conference worker: children of its fork server.
pub fn decoders(worker: u32) -> Vec<u32> {
    children(worker).into_iter().flat_map(children).collect()
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Lets the directors of a session decide again; it must be what its journal says. How many decisions of how many logs.
pub fn replay(archive: &Path) -> Result<(usize, usize)> {
    let out = Command::new(bin_dir()?.join("bpctl")).args(["--json", "replay"]).arg(archive).output()?;
    let said = String::from_utf8_lossy(&out.stdout);
    ensure!(out.status.success(), "replay: {said}{}", String::from_utf8_lossy(&out.stderr));
    let said: Value = serde_json::from_str(&said)?;
    let logs = said["logs"].as_array().context("logs")?;
    Ok((logs.iter().filter_map(|log| log["decisions"].as_array()).map(Vec::len).sum(), logs.len()))
}

/// Where in the program a site's colour is, at that second.
pub fn tile_of(program: &Path, marks: Marks, at_s: f64) -> Result<Part> {
    let wanted = [16, 8, 0].map(|shift| (marks.colour >> shift) as u8);
    let mut best: Option<(u32, Part)> = None;
    for (x, y) in [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.25, 0.5), (0.0, 0.25), (0.5, 0.25)] {
        let tile = Part { x, y, w: 0.5, h: 0.5 };
        let seen = colour(program, Part::PLAIN.within(tile), at_s)?;
        let far = seen.iter().zip(wanted).map(|(a, b)| u32::from(a.abs_diff(b))).sum::<u32>();
        if best.is_none_or(|(least, _)| far < least) {
            best = Some((far, tile));
        }
    }
    let (far, tile) = best.context("no tile")?;
    ensure!(far < 60, "no tile of {} has the colour {:06x}: {far} off", program.display(), marks.colour);
    Ok(tile)
}
