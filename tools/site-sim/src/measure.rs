//! What a receiver of the program sees: frames per second, and the delay from a site's camera to it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bridgepoint_wire::media::AccessUnit;
use serde::Serialize;

/// A picture of the program and when it was there.
pub struct Received {
    /// When its last packet came.
    pub at: Instant,
    /// The picture.
    pub unit: AccessUnit,
}

/// A rectangle of the program, pixels.
#[derive(Clone, Copy)]
pub struct Area {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Figures of one window of time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Window {
    /// CPU seconds per second of the process and its children.
    pub cpu: f64,
    /// Program frames received per second.
    pub fps: f64,
}

/// A flash that was sent, or seen.
#[derive(Clone, Copy)]
pub struct Flash {
    /// When its first picture was.
    pub at: Instant,
    /// One of those that are seen for six frames, every five seconds: they tell a delay of some seconds from none.
    pub long: bool,
}

/// The flashes in an area: where its mean goes from dark to light.
pub fn flashes(received: &[Received], area: Area) -> anyhow::Result<Vec<Flash>> {
    let levels = levels(received, area)?;
    let light = |n: usize| levels.get(n).is_some_and(|level| *level >= 120);
    let risen = (1..levels.len()).filter(|n| light(*n) && !light(n - 1));
    let flash = |n: usize| Some(Flash { at: received.get(n)?.at, long: (n..n + 4).all(light) });
    Ok(risen.filter_map(flash).collect())
}

/// Seen flashes against sent ones, milliseconds.
pub fn delays(seen: &[Flash], sent: &[Flash]) -> Vec<f64> {
    let delay = |Flash { at, long }: &Flash| {
        let before = sent.iter().rev().find(|flash| flash.at <= *at && (flash.long || !long))?;
        Some((*long, (*at - before.at).as_secs_f64() * 1e3))
    };
    let found: Vec<(bool, f64)> = seen.iter().filter_map(delay).collect();
    let long: Vec<f64> = found.iter().filter(|(long, _)| *long).map(|(_, delay)| *delay).collect();
    let whole_seconds = percentile(&long, 0.5).map_or(0.0, |delay| (delay / 1e3).floor() * 1e3);
    found.into_iter().map(|(long, delay)| if long { delay } else { delay + whole_seconds }).collect()
}

/// Mean luma of `area` in each picture.
fn levels(received: &[Received], area: Area) -> anyhow::Result<Vec<u8>> {
    let Area { x, y, width, height } = area;
    let filter = format!("crop={width}:{height}:{x}:{y},scale=1:1:flags=area,format=gray");
    let mut decoder = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "h264", "-i", "pipe:0", "-vsync", "passthrough", "-vf", &filter])
        .args(["-f", "rawvideo", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("ffmpeg")?;
    let mut stdin = decoder.stdin.take().context("ffmpeg's input")?;
    let stream: Vec<u8> = received.iter().flat_map(|r| r.unit.to_annex_b()).collect();
    let feeding = std::thread::spawn(move || stdin.write_all(&stream));
    let output = decoder.wait_with_output()?;
    ensure!(feeding.join().is_ok() && output.status.success(), "ffmpeg could not decode the program");
    Ok(output.stdout)
}

/// Value at a share (0 to 1) of the sorted values.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * (sorted.len().checked_sub(1)?) as f64).round() as usize;
    sorted.get(at).copied()
}

/// Frames that came between two instants, per second.
pub fn fps(received: &[Received], from: Instant, length: Duration) -> f64 {
    let within = received.iter().filter(|r| r.at >= from && r.at < from + length).count();
    within as f64 / length.as_secs_f64()
}

/// CPU time that a process and its living descendants have used so far.
pub fn cpu_of_tree(root: u32) -> Duration {
    tree(root).into_iter().filter_map(cpu_of).sum()
}

/// What a process and its living descendants hold.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Held {
    /// Resident memory, and memory files that nobody has mapped.
    pub memory_mib: f64,
    /// Threads.
    pub threads: usize,
    /// Open files, sockets and the like.
    pub descriptors: usize,
}

/// What a process and its living descendants hold now.
pub fn held(root: u32) -> Held {
    let pids = tree(root);
    let entries = |folder: &str| {
        let count = |pid: &u32| std::fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
        pids.iter().map(count).sum()
    };
    let memory_mib = pids.iter().copied().filter_map(memory_mib).sum::<f64>() + memory_files_mib(&pids);
    Held { memory_mib, threads: entries("task"), descriptors: entries("fd") }
}

/// A process and its living descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children(*pid));
        next += 1;
    }
    found
}

/// Living children of all of a process's threads.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Resident memory, MiB; what processes share is divided among them (`Pss` of `/proc/<pid>/smaps_rollup`).
fn memory_mib(pid: u32) -> Option<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// What the processes' `memfd`s hold, each counted once, MiB: `Pss` knows only what is mapped.
fn memory_files_mib(pids: &[u32]) -> f64 {
    let open = pids.iter().filter_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).ok()).flatten().flatten();
    let is_memory = |path: &Path| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:"));
    let files = open.map(|entry| entry.path()).filter(|path| is_memory(path)).filter_map(|path| path.metadata().ok());
    let blocks: BTreeMap<u64, u64> = files.map(|file| (file.ino(), file.blocks())).collect();
    // `st_blocks` counts 512 bytes, whatever the file system's own are.
    blocks.values().sum::<u64>() as f64 / 2_048.0
}

/// `utime` and `stime` of `/proc/<pid>/stat`, which counts in 1/100 s on Linux (`USER_HZ`).
fn cpu_of(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}
