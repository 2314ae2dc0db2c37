//! A machine that is too slow for the session: picture is done without, step by step, never sound and never the record;
//! and it comes back.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use scenarios::measure::{longest_step, times};
use scenarios::running::{Running, journal};
use xtask::process::signal;

/// Of each tenth of a second the worker gets this much: as on a machine with that share of one processor.
const RUNS: Duration = Duration::from_millis(30);
const STANDS: Duration = Duration::from_millis(70);

#[test]
fn picture_gives_way_in_order_and_sound_and_record_do_not() {
    let mut stack = Running::start("overloaded", 2).unwrap();
    for (code, name) in [("77001", "Xã Một"), ("77002", "Xã Hai")] {
        stack.bpctl(&["site", "enrol", code, name]).unwrap();
    }
    let id = stack.on_record().unwrap().session.unwrap();
    let worker = stack.server_status().conference_pid.unwrap();
    stack.record_for(Duration::from_secs(3)).unwrap();

    let slow = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&slow);
    let slowing = thread::spawn(move || {
        while still.load(Ordering::Relaxed) {
            signal(worker, Signal::SIGSTOP).unwrap();
            thread::sleep(STANDS);
            signal(worker, Signal::SIGCONT).unwrap();
            thread::sleep(RUNS);
        }
    });
    let figures = |stack: &Running| stack.api(&format!("/api/sessions/{id}")).unwrap()["figures"].clone();
    stack.wait("all that can be shed", Duration::from_secs(20), || Ok(figures(&stack)["shed"] == "refresh")).unwrap();
    let refused = stack.bpctl(&["session", "start", "77001", "77002"]).unwrap_err().to_string();
    assert!(refused.contains("busy to its limit"), "{refused}");
    slow.store(false, Ordering::Relaxed);
    slowing.join().unwrap();
    stack.wait("the first step back", Duration::from_secs(20), || Ok(figures(&stack)["shed"] == "resolution")).unwrap();
    let archive = stack.finish().unwrap();

    let entries = journal(&archive).unwrap();
    let shed = entries.iter().filter(|entry| entry["kind"] == "shed");
    let steps: Vec<&str> = shed.map(|entry| entry["body"]["shed"].as_str().unwrap()).collect();
    assert_eq!(steps, ["small-pictures", "frame-rate", "resolution", "refresh", "resolution"]);
    let (whole, half) = (archive.join("program.mp4"), archive.join("program.2.mp4"));
    let mut sound = times(&whole, "a").unwrap();
    let pictures = [times(&whole, "v").unwrap(), times(&half, "v").unwrap()];
    println!("{:?} … {:?}", sound.last(), times(&half, "a").unwrap().first());
    sound.extend(times(&half, "a").unwrap());
    let step = longest_step(&sound);
    assert!(step <= 0.0205, "a step of {step} s in the program's sound");
    for pictures in pictures {
        let step = longest_step(&pictures);
        assert!(step <= 0.0805, "a step of {step} s between program frames");
    }
}
