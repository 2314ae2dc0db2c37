//! The conference worker dies: the session goes on under the same name, and the record says what is missing.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scenarios::measure::times;
use scenarios::running::{Running, journal};
use xtask::process::signal;

#[test]
fn the_session_goes_on_and_the_gap_is_an_entry() {
    let mut stack = Running::start("worker-killed", 3).unwrap();
    let before = stack.on_record().unwrap();
    stack.record_for(Duration::from_secs(5)).unwrap();
    let worker = stack.server_status().conference_pid.unwrap();
    let killed = Instant::now();
    signal(worker, Signal::SIGKILL).unwrap();
    stack
        .wait("a new worker", Duration::from_secs(5), || {
            Ok(stack.server_status().conference_pid.is_some_and(|pid| pid != worker))
        })
        .unwrap();
    for code in stack.codes() {
        stack.wait_up(code, Duration::from_secs(10)).unwrap();
    }
    println!("everybody back after {} ms", killed.elapsed().as_millis());
    assert!(killed.elapsed() < Duration::from_secs(10));
    assert_eq!(stack.server_status().session, before.session);
    stack.record_for(Duration::from_secs(4)).unwrap();
    let archive = stack.finish().unwrap();

    let first = times(&archive.join("program.mp4"), "v").unwrap();
    assert!(first.last().unwrap() - first.first().unwrap() > 4.0, "the record before the kill: {} frames", first.len());
    assert!(times(&archive.join("program.2.mp4"), "v").unwrap().len() > 50);
    let kinds: Vec<String> =
        journal(&archive).unwrap().iter().filter_map(|entry| Some(entry["kind"].as_str()?.to_owned())).collect();
    assert!(kinds.iter().any(|kind| kind.contains("gap")), "{kinds:?}");
}
