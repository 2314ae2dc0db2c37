//! One box's control process dies: nobody else notices; the box is back within 5 s, without anybody's help.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scenarios::measure::{Part, counters, longest_freeze};
use scenarios::running::{Running, tile_of};
use xtask::clips::Marks;
use xtask::process::signal;
use xtask::stack::site;

#[test]
fn the_box_is_back_in_the_session_within_five_seconds() {
    let mut stack = Running::start("box-agent-killed", 3).unwrap();
    stack.on_record().unwrap();
    stack.record_for(Duration::from_secs(4)).unwrap();
    let victim = stack.code(2).to_owned();
    let agent = stack.box_status(&victim).unwrap().pid.unwrap();
    let killed = Instant::now();
    signal(agent, Signal::SIGKILL).unwrap();
    stack
        .wait("a new agent with a link", Duration::from_secs(5), || {
            let status = stack.box_status(&victim)?;
            Ok(status.pid.is_some_and(|pid| pid != agent) && status.link_up && status.session.is_some())
        })
        .unwrap();
    stack.wait_up(&victim, Duration::from_secs(5)).unwrap();
    println!("back after {} ms", killed.elapsed().as_millis());
    assert!(killed.elapsed() < Duration::from_secs(5));
    stack.record_for(Duration::from_secs(4)).unwrap();
    let archive = stack.finish().unwrap();
    let program = archive.join("program.mp4");
    let tile = tile_of(&program, Marks::THREE[0], 3.0).unwrap();
    let count: Vec<_> =
        counters(&program, Part::COUNTER.within(tile)).unwrap().into_iter().filter(|(at, _)| *at > 3.0).collect();
    assert!(longest_freeze(&count) <= 0.2);
}

#[test]
fn a_box_that_stays_dead_shows_as_lost_within_fifteen_seconds() {
    let stack = Running::start("box-dead", 2).unwrap();
    let victim = stack.code(1).to_owned();
    let name = stack.at(&victim).unwrap().agent_name();
    stack.supervisor().hold(&name);
    signal(stack.box_status(&victim).unwrap().pid.unwrap(), Signal::SIGKILL).unwrap();
    let state =
        |wanted: &str| Ok(site(&stack.bpctl(&["site", "list"])?, &victim).is_some_and(|site| site["state"] == wanted));
    stack.wait("the box shown as lost", Duration::from_secs(15), || state("lost")).unwrap();
    stack.keep_agent(&victim).unwrap();
    stack.wait("the box shown as online", Duration::from_secs(15), || state("online")).unwrap();
    stack.end_all();
}
