//! `cargo xtask demo`: a whole reception on this machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::process::{ending, on_interrupt, take_interrupt};
use xtask::sites::{self, Site};
use xtask::stack::{Plan, SMALL_FROM, Stack, main_size};
use xtask::summary::{self, Summary};
use xtask::words::{note, say};
use xtask::workspace::{cargo, run, target};
use xtask::{clips, films, words};

use crate::setup::{Scope, setup};

/// How long the finger stays on the button.
const LONG_PRESS_MS: u32 = 1_700;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What the demo is asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many sites (2 to 9) when none are given by --site.
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "site")]
    sites: usize,
    /// End by itself so many seconds after the session is on record.
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Do not open the console in a browser.
    #[arg(long)]
    headless: bool,
    /// Install missing packages without asking.
    #[arg(long)]
    yes: bool,
    /// Where everything is kept; target/demo when absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A site, and the film (or camera, /dev/video0) that its box sees: CODE[:NAME]=FILE; 2 to 9 times.
    #[arg(long, value_name = "CODE[:NAME]=FILE")]
    site: Vec<Site>,
    /// Layout of the program.
    #[arg(long, value_name = "NAME")]
    layout: Option<String>,
}

/// Runs it to its end. Success means that every record of it is intact.
pub fn demo(args: &Args) -> Result<ExitCode> {
    let sites = if args.site.is_empty() { sites::defaults(args.sites)? } else { args.site.clone() };
    sites::check(&sites)?;
    setup(Scope::Demo, args.yes)?;
    build()?;
    let dir = args.out.clone().map_or_else(|| Ok(target()?.join("demo")), anyhow::Ok)?;
    let _lock = clear(&dir, args.out.is_none())?;
    let mut clips = clips::of_sites(&sites)?;
    films::lighten(&sites, &mut clips, main_size(sites.len()), args.seconds, &dir.join("films"))?;
    let spare = Some(sites::spare(&sites));
    on_interrupt()?;
    say(
        format_args!("Khởi động trung tâm và {} điểm cầu", sites.len()),
        format_args!("Starting the centre and {} sites", sites.len()),
    );
    if sites.len() >= SMALL_FROM {
        say(
            "Từ 5 điểm cầu, mỗi thiết bị gửi hình 640×360, mã hoá nhanh nhất, để máy này gánh được",
            "With 5 and more sites each box sends 640×360, encoded the fastest way, so that this machine can carry it",
        );
    }
    let first = sites[0].clone();
    let plan = Plan {
        dir: dir.clone(),
        sites,
        clips,
        layout: args.layout.clone(),
        spare,
        open_listener: None,
        emulated: false,
    };
    let mut stack = Stack::start(plan)?;
    let ended = act(&mut stack, &first, args, &dir);
    let closed = close(&mut stack, &dir);
    // What went wrong first is what a person needs to know.
    ended.and(closed)
}

/// Enrols, calls, and stays until told to end.
fn act(stack: &mut Stack, first: &Site, args: &Args, dir: &Path) -> Result<()> {
    say("Đăng ký từng thiết bị bằng mã dùng một lần", "Enrolling each box with its one-time code");
    stack.add_boxes(|site| note(format_args!("{} {}", site.code, site.name)))?;
    stack.wait_online(Duration::from_mins(1))?;
    say("Mọi thiết bị đã trực tuyến", "Every box is online");
    say(
        format_args!("Giữ nút ở {}: gọi các điểm cầu còn lại", first.name),
        format_args!("The button at {} is held: it calls all other sites", first.name),
    );
    stack.press(&first.code, LONG_PRESS_MS)?;
    let status = stack.wait_on_record(Duration::from_mins(1))?;
    let since = Instant::now();
    let summary_file = dir.join("summary.json");
    let mut written = stack.summary()?;
    summary::write(&summary_file, &written)?;
    say(
        "ĐANG GHI HÌNH: trung tâm và ít nhất một thiết bị đã ghi xuống đĩa",
        "ON RECORD: the centre and at least one box have confirmed bytes on disk",
    );
    invite(stack, &written, &summary_file, first, args);
    let program = status.archive.map(|archive| archive.join("program.mp4"));
    let mut told = Instant::now();
    let mut deaths = Deaths::default();
    while !take_interrupt() && args.seconds.is_none_or(|seconds| since.elapsed() < Duration::from_secs(seconds)) {
        std::thread::sleep(LOOK_EVERY);
        deaths.tell(stack);
        let now = stack.summary()?;
        if now != written {
            summary::write(&summary_file, &now)?;
            written = now;
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let kib = program.as_deref().and_then(|file| fs::metadata(file).ok()).map_or(0, |file| file.len() / 1024);
            let s = since.elapsed().as_secs();
            note(format_args!("{:02}:{:02}  program.mp4 {kib} KiB", s / 60, s % 60));
        }
    }
    Ok(())
}

fn invite(stack: &Stack, summary: &Summary, file: &Path, first: &Site, args: &Args) {
    note(format_args!("Bảng điều khiển · Console  {}", summary.console));
    note(format_args!("Đăng nhập · Login          {}  /  {}", summary.user, summary.password));
    note(format_args!("Cho chương trình · Scripts {}", file.display()));
    if let Some(panel) = summary.panels.get(&first.code) {
        let press = stack.programs().panel.display().to_string();
        note(format_args!("Nút bấm · Button           {press} press {} --ms 1700", panel.display()));
    }
    match args.seconds {
        Some(seconds) => say(
            format_args!("Tự kết thúc sau {seconds} giây (hoặc Ctrl-C)"),
            format_args!("Ends by itself after {seconds} s (or Ctrl-C)"),
        ),
        None => say("Ctrl-C để kết thúc", "Ctrl-C to end"),
    }
    let screen = std::env::var_os("DISPLAY").or_else(|| std::env::var_os("WAYLAND_DISPLAY"));
    if !args.headless && screen.is_some() {
        let _ = Command::new("xdg-open").arg(&summary.console).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    }
}

/// Ends session and system, checks the records, completes the summary.
fn close(stack: &mut Stack, dir: &Path) -> Result<ExitCode> {
    let _ = take_interrupt();
    say("Kết thúc phiên, đóng và niêm phong bản ghi", "Ending the session, closing and sealing the record");
    let ended = stack.end_session(Duration::from_secs(30));
    let mut summary = stack.summary();
    stack.end();
    let verdicts = stack.verify_all()?;
    if let Ok(summary) = &mut summary
        && summary.session.is_some()
    {
        let done = stack.summary()?;
        summary.verify = done.verify;
        summary.ended_at_ms = done.ended_at_ms.or(summary.ended_at_ms);
        summary.pids = done.pids;
        summary::write(&dir.join("summary.json"), summary)?;
    }
    if let Err(error) = ended {
        // The server closes and seals what is open when it is told to end: the verdict below is what counts.
        note(format_args!("{error:#}"));
    }
    if verdicts.is_empty() {
        bail!("nothing was recorded. Logs: {}", dir.join("log").display());
    }
    let mut intact = true;
    for (folder, verdict) in &verdicts {
        intact &= verdict == "intact";
        say(format_args!("Bản ghi: {}", folder.display()), format_args!("The record is in {}", folder.display()));
        let words = if verdict == "intact" { "toàn vẹn · intact" } else { verdict };
        note(format_args!("Kiểm tra · Verification: {words}"));
    }
    Ok(if intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says when a program died and was started again.
#[derive(Default)]
struct Deaths(std::collections::BTreeMap<String, u32>);

impl Deaths {
    fn tell(&mut self, stack: &Stack) {
        for name in stack.program_names() {
            let kept = stack.supervisor().kept(&name);
            let known = self.0.insert(name.clone(), kept.starts);
            if known.is_some_and(|known| known < kept.starts) {
                let how = ending(kept.ended);
                say(
                    format_args!("{name} đã dừng ({how}) và được khởi động lại"),
                    format_args!("{name} ended ({how}) and was started again"),
                );
            }
        }
    }
}

/// Builds the programs that a stack is made of.
pub fn build() -> Result<()> {
    say("Dựng chương trình (lần đầu mất vài phút)", "Building the programs (some minutes the first time)");
    // The whole workspace, as the tests build it: another choice of packages would be other features of the same
    // libraries, built once more.
    run(cargo()?.args(["build", "--release", "--workspace"]))
}

/// An empty folder that is ours alone: an earlier demo in it is put aside (or removed, in the default place); a folder
/// with anything else in it is refused.
fn clear(dir: &Path, default: bool) -> Result<File> {
    let failed = || format!("cannot use {}", dir.display());
    fs::create_dir_all(dir).with_context(failed)?;
    let lock_file = dir.join("demo.lock");
    let entries: Vec<PathBuf> =
        fs::read_dir(dir).with_context(failed)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    if !entries.is_empty() && !lock_file.exists() {
        bail!("{} is not empty and holds no earlier demo: choose another folder by --out", dir.display());
    }
    let lock = File::create(&lock_file).with_context(failed)?;
    if lock.try_lock().is_err() {
        bail!("a demo runs already in {}: end it first, or choose another folder by --out", dir.display());
    }
    let earlier = dir.join(format!("earlier-{}", words::now_ms()));
    for entry in entries.iter().filter(|entry| **entry != lock_file) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if default {
            if entry.is_dir() { fs::remove_dir_all(entry) } else { fs::remove_file(entry) }.with_context(failed)?;
        } else if !name.starts_with("earlier-") {
            fs::create_dir_all(&earlier).with_context(failed)?;
            fs::rename(entry, earlier.join(&*name)).with_context(failed)?;
        }
    }
    Ok(lock)
}
