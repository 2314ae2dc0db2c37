//! How full a second was, by the kernel's own account of this process's threads and its children (`schedstat`: time run
//! and time kept waiting for a processor, ns).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use server_core::Micros;

/// What was used since the reading before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Share of the time in which the busiest thread ran or was kept waiting; 0 to 1.
    pub busy: f32,
    /// Processors that ran for us, all threads and children.
    pub cpu: f32,
}

/// Time run and time waited, ns since the thread began.
type Account = (u64, u64);

/// Remembers the reading before.
#[derive(Debug, Default)]
pub struct Meter {
    before: BTreeMap<PathBuf, Account>,
}

impl Meter {
    /// The figures since the last call, `elapsed` ago. A kernel without these files has nothing to say: all zero.
    pub fn read(&mut self, elapsed: Micros) -> Used {
        let threads = entries(Path::new("/proc/self/task"));
        let mut others: Vec<PathBuf> = threads.iter().flat_map(|thread| children(thread)).collect();
        let mut at = 0;
        // Theirs, and so on: decoders are children of the fork server. All of them have one thread.
        while let Some(process) = others.get(at) {
            let own = process.file_name().map(|pid| children(&process.join("task").join(pid))).unwrap_or_default();
            others.extend(own);
            at += 1;
        }
        let account = |(path, own): (PathBuf, bool)| Some((account(&path)?, path, own));
        let threads = threads.into_iter().map(|path| (path, true));
        let now = threads.chain(others.into_iter().map(|path| (path, false))).filter_map(account);

        let span = (elapsed.0.max(1) * 1_000) as f32;
        let (mut used, mut after) = (Used::default(), BTreeMap::new());
        for ((run, waited), path, own) in now {
            // One that began since is counted from the next time on.
            if let Some((run_before, waited_before)) = self.before.get(&path) {
                let ran = run.saturating_sub(*run_before) as f32 / span;
                let kept = waited.saturating_sub(*waited_before) as f32 / span;
                used.cpu += ran;
                if own {
                    used.busy = used.busy.max((ran + kept).min(1.0));
                }
            }
            after.insert(path, (run, waited));
        }
        self.before = after;
        used
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The processes that a thread has started.
fn children(thread: &Path) -> Vec<PathBuf> {
    let pids = fs::read_to_string(thread.join("children")).unwrap_or_default();
    pids.split_whitespace().map(|pid| Path::new("/proc").join(pid)).collect()
}

fn account(thread: &Path) -> Option<Account> {
    let line = fs::read_to_string(thread.join("schedstat")).ok()?;
    let mut words = line.split_whitespace().map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn a_thread_that_never_rests_and_a_childs_work_are_seen() {
        // A shell in a shell: a child of a child works.
        let within = "sh -c 'echo; while :; do :; done'; exit";
        let mut child = Command::new("sh").args(["-c", within]).stdout(Stdio::null()).process_group(0).spawn().unwrap();
        let busy = std::thread::spawn(|| {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(800) {}
        });
        let mut meter = Meter::default();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(meter.read(Micros::from_millis(100)), Used::default(), "nothing to compare with");
        let since = Instant::now();
        std::thread::sleep(Duration::from_millis(500));
        let used = meter.read(Micros(since.elapsed().as_micros() as i64));
        kill(Pid::from_raw(-(child.id() as i32)), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        busy.join().unwrap();
        assert!(used.busy > 0.9, "{used:?}");
        // However busy the machine is, both had a part of it.
        assert!(used.cpu > 0.02, "{used:?}");
        let since = Instant::now();
        std::thread::sleep(Duration::from_millis(200));
        assert!(meter.read(Micros(since.elapsed().as_micros() as i64)).busy < 0.9, "both have ended");
    }
}
