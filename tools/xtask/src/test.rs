//! `cargo xtask test`: everything that can be tested on this machine.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _, stdout};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use xtask::firmware::Firmware;
use xtask::guard::Guard;
use xtask::guest::Guest;
use xtask::panel_qemu;
use xtask::words::say;
use xtask::workspace::{cargo, gst_registry, root, run, target};

use crate::setup::{Scope, setup};

/// The variable in the environment of everything that the tests start.
const MARK: &str = "BRIDGEPOINT_TESTS";
/// How long processes have to end by themselves when all tests are over.
const BREATH: Duration = Duration::from_secs(10);

/// Results so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    passed: u32,
    failed: u32,
}

impl Count {
    /// Takes a line such as `test result: ok. 7 passed; 0 failed; 0 ignored; …`.
    fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        for part in rest.split(['.', ';']) {
            let mut words = part.split_whitespace();
            match (words.next().and_then(|n| n.parse::<u32>().ok()), words.next()) {
                (Some(n), Some("passed")) => self.passed += n,
                (Some(n), Some("failed")) => self.failed += n,
                _ => {}
            }
        }
    }
}

/// Where tests and the programs that they start (browsers above all) leave what they leave: gone with the tests.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: PathBuf) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Sets up, builds, tests. The last line is `N passed, N failed`.
pub fn test(filter: Option<&str>) -> Result<ExitCode> {
    setup(Scope::All, false)?;
    say("Dựng chương trình và các bài kiểm thử", "Building programs and tests");
    build_all()?;
    run_tests(&selection(filter))
}

/// Scenarios run the real programs: those must be there before. With the tests in one go: apart from them, the programs'
/// dependencies would have other features, and half of them would be compiled a second time for the tests.
fn build_all() -> Result<()> {
    run(cargo()?.args(["build", "--release", "--workspace", "--all-targets"]))
}

/// The tests in QEMU: `tests/image/<filter>.rs`, or all of them. The last line is `N passed, N failed`.
pub fn image(filter: Option<&str>) -> Result<ExitCode> {
    setup(Scope::Image, false)?;
    let test = match filter {
        Some(name) if root().join("tests/image").join(format!("{name}.rs")).is_file() => format!("image_{name}"),
        Some(name) => bail!("tests/image has no {name}.rs"),
        None => "image_*".to_owned(),
    };
    let is_wanted = |name| filter.is_none_or(|wanted| wanted == name);
    if is_wanted("panel") {
        say("Dựng chương trình của bảng nút", "Building the front panel's program");
        Firmware::build(panel_qemu::BOARD)?;
    }
    if is_wanted("appliance") || is_wanted("update") {
        Guest::build()?;
    }
    say("Dựng chương trình và các bài kiểm thử", "Building programs and tests");
    build_all()?;
    // The whole workspace: a part of it would be built with other features, and both anew each time.
    let tests = ["--workspace", "--features", "scenarios/image", "--test", &test].map(str::to_owned).to_vec();
    // One after the other: these tests take the whole machine.
    run_tests(&[tests, ["--", "--nocapture", "--test-threads=1"].map(str::to_owned).to_vec()])
}

/// Builds and runs tests; `which` are cargo's arguments, then those of the tests.
fn run_tests(which: &[Vec<String>; 2]) -> Result<ExitCode> {
    run(cargo()?.args(["test", "--release", "--no-run"]).args(&which[0]))?;
    say("Chạy các bài kiểm thử", "Running the tests");
    let mut command = cargo()?;
    command.args(["test", "--release", "--no-fail-fast"]).args(&which[0]).args(&which[1]);
    let scratch = Scratch::new(target()?.join("test-scratch"))?;
    for variable in ["TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env(variable, &scratch.0);
    }
    let mut guard = Guard::start(MARK, None)?;
    let (variable, value) = guard.mark();
    command.env(variable, value).env("GST_REGISTRY", gst_registry()?);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let results = child.stdout.take().context("cargo has no output")?;
    // What a test has left behind holds this pipe open: its end is no sign that the tests have ended.
    let results = std::thread::spawn(move || count(results));
    let status = child.wait()?;
    for left in guard.left_after(BREATH) {
        say(
            "Một bài kiểm thử để lại tiến trình, nay bị kết thúc:",
            format_args!("A test left this, ended now: {left}"),
        );
    }
    guard.end();
    let mut count = results.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    // A test program that crashed has no result line.
    if !status.success() && count.failed == 0 {
        count.failed = 1;
    }
    println!("\n{} passed, {} failed", count.passed, count.failed);
    Ok(if status.success() && count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Passes on what is printed, and adds up the results in it.
fn count(printed: impl Read) -> Result<Count> {
    let mut count = Count::default();
    for line in BufReader::new(printed).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        count.read(&line);
        writeln!(stdout(), "{line}")?;
    }
    Ok(count)
}

/// Arguments before and after the name filter: a scenario's file is named whole, anything else is part of a test's name.
fn selection(filter: Option<&str>) -> [Vec<String>; 2] {
    let all = || vec!["--workspace".to_owned()];
    match filter {
        None => [all(), vec![]],
        Some(name) if root().join("tests/scenarios").join(format!("{name}.rs")).is_file() => {
            [["--workspace", "--test", name].map(str::to_owned).to_vec(), vec![]]
        }
        Some(name) => [all(), vec!["--".to_owned(), name.to_owned()]],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_add_up() {
        let mut count = Count::default();
        count.read("test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.68s");
        count.read("test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s");
        count.read("running 4 tests: 9 passed");
        assert_eq!(count, Count { passed: 19, failed: 3 });
    }
}
