//! A running agent and a service manager's socket: it says that it is ready, feeds the watchdog while it makes progress
//! and only then, and says when it ends.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bridgepoint_wire::event::Event;
use centre::{Agent, Centre, SITE, end_of, join, until};
use nix::sys::signal::Signal;

/// `WatchdogSec=3s`: a feed every second.
const WATCHDOG_US: &str = "3000000";

/// The manager's end of `NOTIFY_SOCKET` (`sd_notify(3)`).
struct Manager(UnixDatagram);

impl Manager {
    fn new(centre: &Centre) -> Self {
        Self(UnixDatagram::bind(centre.dir().join("notify")).unwrap())
    }

    fn run(&self, config: &std::path::Path) -> Agent {
        let socket = self.0.local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bridgepoint-agent"))
            .args(["run", "--config"])
            .arg(config)
            .env("NOTIFY_SOCKET", socket.as_pathname().unwrap())
            .env("WATCHDOG_USEC", WATCHDOG_US)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Agent(child)
    }

    /// The next message; `None` when none comes in time.
    fn next(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut bytes = [0; 4096];
        match self.0.recv(&mut bytes) {
            Ok(read) => Some(String::from_utf8(bytes[..read].to_vec()).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn expect(&self, line: &str) {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            if self.next(Duration::from_secs(20)).is_some_and(|said| said.lines().any(|said| said == line)) {
                return;
            }
        }
        panic!("waited for {line} in vain");
    }

    /// Whether no feed comes for as long as a manager would wait.
    fn starves(&self) -> bool {
        let begin = Instant::now();
        let watchdog = Duration::from_secs(3);
        while let Some(left) = watchdog.checked_sub(begin.elapsed()) {
            match self.next(left.max(Duration::from_millis(1))) {
                Some(said) if said.contains("WATCHDOG=1") => return false,
                Some(_) | None => {}
            }
        }
        true
    }

    fn forget(&self) {
        while self.next(Duration::from_millis(1)).is_some() {}
    }
}

/// Also stopped; a dead one that nobody has asked about does not.
fn runs(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn signal(pid: i32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn it_is_ready_feeds_and_starves_the_watchdog_while_it_hangs_and_says_that_it_ends() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let manager = Manager::new(&centre);
    let mut agent = manager.run(&config);
    let pid = agent.0.id() as i32;
    manager.expect("READY=1");
    for _ in 0..3 {
        manager.expect("WATCHDOG=1");
    }
    // A hung process.
    signal(pid, Signal::SIGSTOP);
    manager.forget();
    assert!(manager.starves());
    signal(pid, Signal::SIGCONT);
    manager.expect("WATCHDOG=1");
    // Without its centre it goes on: offline is no hang.
    centre.kill_broker();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        manager.expect("WATCHDOG=1");
    }
    signal(pid, Signal::SIGTERM);
    manager.expect("STOPPING=1");
    assert!(end_of(&mut agent).0.success());
}

#[test]
fn a_session_whose_media_child_hangs_again_and_again_starves_the_watchdog() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let manager = Manager::new(&centre);
    let agent = manager.run(&config);
    centre.event_until("Started", |event| matches!(event, Event::Started { .. }));
    centre.command(join("s1", SITE));
    centre.event_until("recording", |event| matches!(event, Event::Recording { .. }));
    manager.expect("WATCHDOG=1");
    // The agent replaces each of them; nothing flows all the same.
    let hangs = Instant::now();
    let mut stopped = 0;
    loop {
        let child = centre.status().and_then(|status| status["media_pid"].as_i64());
        if let Some(pid) = child
            && pid != stopped
            && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), Signal::SIGSTOP).is_ok()
        {
            stopped = pid;
        }
        match manager.next(Duration::from_millis(100)) {
            Some(said) if said.starts_with("STATUS=a session runs, and no picture") => break,
            Some(_) | None => assert!(hangs.elapsed() < Duration::from_secs(80), "fed although nothing flows"),
        }
    }
    assert!(manager.starves());
    // A child that was stopped before it had come to anything is gone with its agent, too.
    drop(agent);
    until("the last child's end", || (!runs(stopped)).then_some(()));
}
