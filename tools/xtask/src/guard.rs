//! Leaves no process behind: all that a program starts carries a mark in its environment, by which it is found again,
//! also when its parent is gone, it stands still or its own program is a stranger's.
//!
//! A process of its own (a few lines of `sh`) ends what is left, however the program that started it ends.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::words::now_ms;

/// The process that ends what carries its mark.
pub struct Guard {
    variable: &'static str,
    value: String,
    process: Child,
}

impl Guard {
    /// `variable` is the mark's name in the environment: marks of different names may be nested. `short_lived` is
    /// removed when everything has ended.
    pub fn start(variable: &'static str, short_lived: Option<&Path>) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let value = format!("{}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), now_ms());
        let process = Command::new("sh")
            .args(["-c", include_str!("guard.sh"), "bridgepoint-guard", &format!("{variable}={value}")])
            .args(short_lived)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        Ok(Self { variable, value, process })
    }

    /// What a guarded process must have in its environment; its children inherit it.
    pub fn mark(&self) -> (&'static str, &str) {
        (self.variable, &self.value)
    }

    /// Gives what still runs `patience` to end by itself; then the command lines of those that have not.
    pub fn left_after(&self, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = self.left();
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn left(&self) -> Vec<String> {
        let mark = format!("{}={}", self.variable, self.value);
        let folders = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
        let marked = folders.filter(|folder| {
            // Only numbers are processes, and one that has ended has no environment.
            let environment = fs::read(folder.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())
        });
        marked.filter_map(|folder| fs::read(folder.join("cmdline")).ok()).map(|line| words(&line)).collect()
    }

    /// Ends what is left, SIGTERM first, and waits for it.
    pub fn end(&mut self) {
        self.release();
        let _ = self.process.wait();
    }

    fn release(&mut self) {
        drop(self.process.stdin.take());
    }
}

impl Drop for Guard {
    /// The guard does its work, and nobody waits for it.
    fn drop(&mut self) {
        self.release();
    }
}

fn words(command_line: &[u8]) -> String {
    let words = command_line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_that_stands_still_is_named_and_ended() {
        let mut guard = Guard::start("BRIDGEPOINT_GUARD_TEST", None).unwrap();
        let (variable, value) = guard.mark();
        let script = "setsid sleep 599 & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!";
        assert!(Command::new("sh").args(["-c", script]).env(variable, value).status().unwrap().success());
        assert_eq!(guard.left_after(Duration::from_millis(300)), ["sleep 599"]);
        // SIGTERM waits for as long as the process stands still: only SIGKILL ends it.
        guard.end();
        assert_eq!(guard.left_after(Duration::ZERO), Vec::<String>::new());
    }
}
