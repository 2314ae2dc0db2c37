//! The broker dies, and stands still for 20 s: picture, sound and record do not notice, no event is lost.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::Duration;

use nix::sys::signal::Signal;
use scenarios::measure::{longest_step, times};
use scenarios::running::Running;
use xtask::process::signal;

#[test]
fn media_does_not_notice_and_no_event_is_lost() {
    let mut stack = Running::start("broker", 2).unwrap();
    stack.on_record().unwrap();
    let guest = stack.code(1).to_owned();

    let broker = stack.supervisor().kept("broker").pid.unwrap();
    signal(broker, Signal::SIGKILL).unwrap();
    stack.press(&guest, 200).unwrap();
    stack
        .wait("the press of the time without a broker is stored", Duration::from_secs(15), || muted_events(&stack, 1))
        .unwrap();

    let broker = stack.supervisor().kept("broker").pid.unwrap();
    signal(broker, Signal::SIGSTOP).unwrap();
    stack.press(&guest, 200).unwrap();
    // The worker dies while the broker is away: the session recovers all the same.
    let worker = stack.server_status().conference_pid.unwrap();
    stack.record_for(Duration::from_secs(10)).unwrap();
    signal(worker, Signal::SIGKILL).unwrap();
    stack.record_for(Duration::from_secs(10)).unwrap();
    assert!(stack.box_status(&guest).unwrap().link_up, "the box found the new worker without the broker");
    signal(broker, Signal::SIGCONT).unwrap();
    stack.wait("the second press is stored", Duration::from_secs(30), || muted_events(&stack, 2)).unwrap();
    let archive = stack.finish().unwrap();

    for part in ["program.mp4", "program.2.mp4"] {
        let step = longest_step(&times(&archive.join(part), "v").unwrap());
        assert!(step <= 0.0405, "{part}: a step of {step} s");
    }
}

/// Each short press of the guest in a session mutes or opens its microphone, once.
fn muted_events(stack: &Running, wanted: usize) -> anyhow::Result<bool> {
    let id = stack.server_status().session.unwrap_or_default();
    let events = stack.events()?;
    let found =
        events.iter().filter(|event| event["site"] == *stack.code(1) && !event["event"]["Muted"].is_null()).count();
    anyhow::ensure!(found <= wanted, "session {id}: {found} events of {wanted} presses");
    Ok(found == wanted)
}
