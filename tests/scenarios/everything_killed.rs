//! Everything dies at once: at the next start the unfinished session is closed properly, and verifies.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::Duration;

use nix::sys::signal::Signal;
use scenarios::running::Running;
use xtask::process::{alive, signal};

#[test]
fn an_unfinished_session_is_closed_at_the_next_start_and_verifies() {
    let mut stack = Running::start("everything-killed", 2).unwrap();
    let status = stack.on_record().unwrap();
    stack.record_for(Duration::from_secs(5)).unwrap();
    let archive = status.archive.unwrap();
    let pids = stack.summary().unwrap().pids;
    for name in stack.program_names() {
        stack.supervisor().hold(&name);
    }
    let boxes = pids.agents.values().flat_map(|at_box| [at_box.agent, at_box.media]);
    let all: Vec<u32> = [pids.server, pids.conference, pids.broker].into_iter().chain(boxes).flatten().collect();
    for pid in &all {
        let _ = signal(*pid, Signal::SIGKILL);
    }
    stack.wait("all dead", Duration::from_secs(5), || Ok(!all.iter().any(|pid| alive(*pid)))).unwrap();
    assert_ne!(stack.verify_folder(&archive), "intact", "an open record must not pass for a finished one");

    stack.keep_broker().unwrap();
    stack.keep_server().unwrap();
    stack
        .wait("the record closed and sealed", Duration::from_secs(20), || Ok(stack.verify_folder(&archive) == "intact"))
        .unwrap();
    stack.end_all();
}
