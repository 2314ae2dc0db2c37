//! Two conferences at once: one is flooded with garbage, stopped and killed. The other one's program, record and sites do
//! not notice.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::signal::Signal;
use scenarios::chance::Chance;
use scenarios::measure::{longest_step, times};
use scenarios::running::{LONG_PRESS_MS, Running, journal};
use xtask::process::signal;
use xtask::words::now_ms;

const FLOOD: u32 = 200_000;
/// Then a pause of a millisecond: the attacker's CPU is the centre's here.
const BURST: u32 = 50;

#[test]
fn what_befalls_one_conference_changes_nothing_in_another() {
    let mut stack = Running::start("apart", 4).unwrap();
    let codes: Vec<String> = stack.codes().into_iter().map(Into::into).collect();
    for (caller, called) in [(0, 1), (2, 3)] {
        stack.bpctl(&["site", "calls", "--", &codes[caller], &codes[called]]).unwrap();
    }
    stack.press(&codes[0], LONG_PRESS_MS).unwrap();
    let struck = stack.wait_on_record(Duration::from_secs(45)).unwrap();
    stack.press(&codes[2], LONG_PRESS_MS).unwrap();
    stack
        .wait("a second session", Duration::from_secs(20), || Ok(stack.server_status().session != struck.session))
        .unwrap();
    let spared = stack.wait_on_record(Duration::from_secs(45)).unwrap();
    for code in &codes[2..] {
        stack.wait_up(code, Duration::from_secs(20)).unwrap();
    }
    let (worker, from) = (struck.conference_pid.unwrap(), now_ms());
    assert_ne!(Some(worker), spared.conference_pid);

    // The first conference has the first port.
    flood(stack.centre().media_port);
    signal(worker, Signal::SIGSTOP).unwrap();
    stack.record_for(Duration::from_secs(2)).unwrap();
    signal(worker, Signal::SIGCONT).unwrap();
    stack.record_for(Duration::from_secs(1)).unwrap();
    signal(worker, Signal::SIGKILL).unwrap();
    let struck = struck.session.unwrap();
    stack
        .wait("the struck session's new worker", Duration::from_secs(15), || {
            let session = stack.bpctl(&["session", "show", &struck])?;
            Ok(session["sites"].as_array().is_some_and(|sites| sites.iter().all(|site| site["up"] == true)))
        })
        .unwrap();
    stack.record_for(Duration::from_secs(2)).unwrap();
    assert_eq!(stack.server_status().conference_pid, spared.conference_pid);
    let returns: Vec<_> = codes[2..].iter().map(|code| stack.at(code).unwrap().returns.clone()).collect();
    let until = now_ms();
    let archive = stack.finish().unwrap();

    for folder in returns.iter().chain([&archive]) {
        let program = folder.join("program.mp4");
        let (pictures, sound) = (times(&program, "v").unwrap(), times(&program, "a").unwrap());
        assert!(longest_step(&pictures) <= 0.0405, "{}", program.display());
        assert!(longest_step(&sound) <= 0.0205, "{}", program.display());
    }
    let lost = journal(&archive).unwrap().into_iter().find(|entry| {
        let at_ms = entry["at_ms"].as_u64().unwrap_or_default();
        entry["kind"] == "site-down" && (from..until).contains(&at_ms)
    });
    assert_eq!(lost, None);
}

fn flood(port: u16) {
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..FLOOD {
        let _ = stranger.send_to(&chance.datagram(), ("127.0.0.1", port));
        if n.is_multiple_of(BURST) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
