//! Keeps a stack's programs running: starts each that dies again, at once, and leaves none behind.
//!
//! All children are started by one thread that lives as long as the [`Supervisor`], because Linux ties the death
//! signal (`PR_SET_PDEATHSIG`) to the *thread* that started a child. A [`Guard`] ends what is left, grandchildren too,
//! however this program ends.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;

use crate::guard::Guard;

/// How soon a dead child is seen.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A program that lived shorter than this is not started again at once, but after [`BREATH`]: it may fail for good.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const BREATH: Duration = Duration::from_millis(500);
/// The variable in the environment of everything that a stack starts.
const MARK: &str = "BRIDGEPOINT_STACK";

/// A program to keep running.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What it is called in the log folder and in messages.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Added to its environment.
    pub env: Vec<(String, OsString)>,
    /// Added to its niceness: work that may wait runs behind work that may not.
    pub nice: u8,
}

/// What is known of a kept program.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// How often it was started.
    pub starts: u32,
    /// How it ended last.
    pub ended: Option<ExitStatus>,
}

enum Order {
    Start(Spec, Sender<Result<u32>>),
    /// Not started again until it is started anew.
    Hold(String),
    Stop {
        names: Vec<String>,
        patience: Duration,
        done: Sender<Vec<String>>,
    },
}

type Table = Arc<Mutex<BTreeMap<String, Kept>>>;

/// Keeps programs running. One that is not ended in order (a test failed) has its guard do it, and nobody waits.
pub struct Supervisor {
    orders: Sender<Order>,
    table: Table,
    thread: Option<JoinHandle<()>>,
    guard: Guard,
}

impl Supervisor {
    /// Logs go to `logs`, one file a program; `short_lived` is removed when everything has ended.
    pub fn start(logs: &Path, short_lived: Option<&Path>) -> Result<Self> {
        std::fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let guard = Guard::start(MARK, short_lived)?;
        let mark = guard.mark().1.to_owned();
        let table = Table::default();
        let (orders, inbox) = channel();
        let keeper = Keeper { logs: logs.to_path_buf(), mark, table: Arc::clone(&table), running: BTreeMap::new() };
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || keeper.run(&inbox))?;
        Ok(Self { orders, table, thread: Some(thread), guard })
    }

    /// Starts a program (again) and keeps it running. Returns its process id.
    pub fn keep(&self, spec: Spec) -> Result<u32> {
        let (answer, pid) = channel();
        self.orders.send(Order::Start(spec, answer)).ok().context("the keeper has ended")?;
        pid.recv().context("the keeper has ended")?
    }

    /// What is known of a program.
    pub fn kept(&self, name: &str) -> Kept {
        lock(&self.table).get(name).cloned().unwrap_or_default()
    }

    /// From now on, a death of this program is final.
    pub fn hold(&self, name: &str) {
        let _ = self.orders.send(Order::Hold(name.into()));
    }

    /// Asks these programs to end (SIGTERM), waits, ends them (SIGKILL). Returns those that had to be.
    pub fn stop(&self, names: &[String], patience: Duration) -> Vec<String> {
        let (done, ended) = channel();
        let order = Order::Stop { names: names.to_vec(), patience, done };
        if self.orders.send(order).is_err() {
            return Vec::new();
        }
        ended.recv().unwrap_or_default()
    }

    /// Ends whatever still runs, grandchildren too, and waits for it. Idempotent.
    pub fn end(&mut self) {
        let names: Vec<String> = lock(&self.table).keys().cloned().collect();
        self.stop(&names, Duration::from_secs(10));
        self.orders = channel().0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.guard.end();
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(pid as i32), signal).with_context(|| format!("cannot send {signal} to process {pid}"))
}

/// Whether a process is there (a zombie is not).
pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupted(_: nix::libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on Ctrl-C, SIGTERM and SIGHUP are noted, and end every [`wait_for`] early.
pub fn on_interrupt() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(interrupted), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores into an atomic, which is async-signal-safe.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("cannot listen for {signal}"))?;
    }
    Ok(())
}

/// Whether an interrupt came since the last call.
pub fn take_interrupt() -> bool {
    INTERRUPTED.swap(false, Ordering::Relaxed)
}

/// Waits until `done` gives something; asks every 50 ms.
pub fn wait_for<T>(what: &str, patience: Duration, mut done: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = done()? {
            return Ok(found);
        }
        if INTERRUPTED.load(Ordering::Relaxed) {
            bail!("{what}: interrupted");
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {} s", patience.as_secs_f32());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn lock(table: &Table) -> MutexGuard<'_, BTreeMap<String, Kept>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Running {
    spec: Spec,
    state: State,
}

enum State {
    Up {
        child: Child,
        since: Instant,
    },
    /// Starts again at that instant.
    Down {
        again_at: Instant,
    },
    /// Runs, but will not be started again.
    Held {
        child: Child,
    },
    Over,
}

/// The thread's side of a [`Supervisor`].
struct Keeper {
    logs: PathBuf,
    mark: String,
    table: Table,
    running: BTreeMap<String, Running>,
}

impl Keeper {
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            match inbox.recv_timeout(LOOK_EVERY) {
                Ok(Order::Start(spec, answer)) => {
                    let _ = answer.send(self.start(spec));
                }
                Ok(Order::Hold(name)) => self.hold(&name),
                Ok(Order::Stop { names, patience, done }) => {
                    let _ = done.send(self.stop(&names, patience));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look();
        }
    }

    fn start(&mut self, spec: Spec) -> Result<u32> {
        if let Some(Running { state: State::Up { child, .. } | State::Held { child }, .. }) =
            self.running.get_mut(&spec.name)
            && child.try_wait()?.is_none()
        {
            bail!("{} runs already", spec.name);
        }
        let child = self.spawn(&spec)?;
        let pid = child.id();
        let state = State::Up { child, since: Instant::now() };
        self.running.insert(spec.name.clone(), Running { spec, state });
        Ok(pid)
    }

    fn spawn(&self, spec: &Spec) -> Result<Child> {
        let log = self.logs.join(format!("{}.log", spec.name));
        let out = OpenOptions::new().create(true).append(true).open(&log);
        let out: File = out.with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = if spec.nice > 0 {
            let mut nice = Command::new("nice");
            nice.args(["-n", &spec.nice.to_string()]).arg(&spec.program);
            nice
        } else {
            Command::new(&spec.program)
        };
        command.args(&spec.args).envs(spec.env.iter().cloned()).env(MARK, &self.mark);
        // A process group of its own: Ctrl-C in the terminal is for this program, which ends the session in order.
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        // SAFETY: between fork and exec only one system call is made, prctl, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| prctl::set_pdeathsig(Some(Signal::SIGTERM)).map_err(Into::into));
        }
        let child = command.spawn().with_context(|| format!("cannot start {}", spec.program.display()))?;
        let mut table = lock(&self.table);
        let kept = table.entry(spec.name.clone()).or_default();
        kept.pid = Some(child.id());
        kept.starts += 1;
        Ok(child)
    }

    /// Sees who died, and starts again who is due.
    fn look(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        for (name, running) in &mut self.running {
            let (ended, next) = match &mut running.state {
                State::Up { child, since } => {
                    let again_at = if now - *since < SHORT_LIFE { now + BREATH } else { now };
                    (child.try_wait().ok().flatten(), State::Down { again_at })
                }
                State::Held { child } => (child.try_wait().ok().flatten(), State::Over),
                State::Down { .. } | State::Over => (None, State::Over),
            };
            if let Some(status) = ended {
                running.state = next;
                let mut table = lock(&self.table);
                let kept = table.entry(name.clone()).or_default();
                kept.pid = None;
                kept.ended = Some(status);
            }
            if matches!(running.state, State::Down { again_at } if again_at <= now) {
                due.push(name.clone());
            }
        }
        for name in due {
            let Some(spec) = self.running.get(&name).map(|running| running.spec.clone()) else { continue };
            let state = match self.spawn(&spec) {
                Ok(child) => State::Up { child, since: now },
                Err(_) => State::Down { again_at: now + BREATH },
            };
            self.running.insert(name, Running { spec, state });
        }
    }

    fn hold(&mut self, name: &str) {
        if let Some(running) = self.running.get_mut(name) {
            running.state = match std::mem::replace(&mut running.state, State::Over) {
                State::Up { child, .. } | State::Held { child } => State::Held { child },
                State::Down { .. } | State::Over => State::Over,
            };
        }
    }

    fn stop(&mut self, names: &[String], patience: Duration) -> Vec<String> {
        for name in names {
            self.hold(name);
            if let Some(Running { state: State::Held { child }, .. }) = self.running.get(name) {
                let _ = signal(child.id(), Signal::SIGCONT);
                let _ = signal(child.id(), Signal::SIGTERM);
            }
        }
        let deadline = Instant::now() + patience;
        let left = loop {
            self.look();
            let left: Vec<String> = names.iter().filter(|name| self.is_up(name)).cloned().collect();
            if left.is_empty() || Instant::now() >= deadline {
                break left;
            }
            std::thread::sleep(LOOK_EVERY);
        };
        for name in &left {
            if let Some(Running { state: State::Held { child }, .. }) = self.running.get_mut(name) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        self.look();
        left
    }

    fn is_up(&self, name: &str) -> bool {
        matches!(self.running.get(name), Some(Running { state: State::Held { .. }, .. }))
    }
}

/// How a program ended, for messages.
pub fn ending(status: Option<ExitStatus>) -> String {
    match status {
        None => "it runs".into(),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(name: &str) -> Spec {
        Spec { name: name.into(), program: "sleep".into(), args: vec!["600".into()], env: Vec::new(), nice: 0 }
    }

    fn logs(name: &str) -> PathBuf {
        crate::workspace::target().unwrap().join("xtask-tests").join(name)
    }

    #[test]
    fn a_killed_program_is_started_again_and_nothing_is_left_at_the_end() {
        let mut supervisor = Supervisor::start(&logs("kept"), None).unwrap();
        let first = supervisor.keep(sleeper("a")).unwrap();
        signal(first, Signal::SIGKILL).unwrap();
        let again = || Ok(supervisor.kept("a").pid.filter(|pid| *pid != first));
        let second = wait_for("a second start", Duration::from_secs(5), again).unwrap();
        supervisor.end();
        assert!(!alive(first) && !alive(second));
    }

    #[test]
    fn a_held_program_stays_dead() {
        let mut supervisor = Supervisor::start(&logs("held"), None).unwrap();
        let first = supervisor.keep(sleeper("a")).unwrap();
        supervisor.hold("a");
        signal(first, Signal::SIGKILL).unwrap();
        let ended = || Ok(supervisor.kept("a").ended);
        wait_for("its end", Duration::from_secs(5), ended).unwrap();
        assert_eq!((supervisor.kept("a").pid, supervisor.kept("a").starts), (None, 1));
        supervisor.end();
    }

    #[test]
    fn grandchildren_that_left_their_parent_are_ended_too() {
        let mut supervisor = Supervisor::start(&logs("grand"), None).unwrap();
        let pid_file = logs("grand").join("pid");
        let script = format!("setsid sleep 600 & echo $! > {}; wait", pid_file.display());
        let spec = Spec {
            name: "a".into(),
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            env: Vec::new(),
            nice: 5,
        };
        let _ = std::fs::remove_file(&pid_file);
        supervisor.keep(spec).unwrap();
        let read = || Ok(std::fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse::<u32>().ok()));
        let grandchild = wait_for("its pid", Duration::from_secs(5), read).unwrap();
        assert!(alive(grandchild));
        supervisor.end();
        assert!(!alive(grandchild));
    }
}
