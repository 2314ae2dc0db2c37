//! A site's decoder is killed, and another one stands still: each costs its own tile alone, which is back within 2 s.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::Duration;

use nix::sys::signal::Signal;
use scenarios::measure::{Part, counters, longest_freeze, longest_step, times};
use scenarios::running::{Running, decoders, journal, tile_of};
use xtask::clips::Marks;
use xtask::process::signal;

/// A tile that did not freeze longer has lost nothing; a busy machine's camera may miss two frames.
const GOES_ON_S: f64 = 0.2;

#[test]
fn a_lost_decoder_costs_its_own_tile_alone() {
    let mut stack = Running::start("decoder-killed", 3).unwrap();
    stack.on_record().unwrap();
    stack.record_for(Duration::from_secs(4)).unwrap();
    let worker = stack.server_status().conference_pid.unwrap();
    let first = decoders(worker);
    assert_eq!(first.len(), 3, "one for each site in sight");
    signal(first[0], Signal::SIGKILL).unwrap();
    stack.record_for(Duration::from_secs(4)).unwrap();
    signal(first[1], Signal::SIGSTOP).unwrap();
    stack.record_for(Duration::from_secs(5)).unwrap();
    let last = decoders(worker);
    assert_eq!(last.len(), 3);
    assert_eq!(first.iter().filter(|pid| last.contains(pid)).collect::<Vec<_>>(), [&first[2]], "two were replaced");
    assert_eq!(stack.server_status().conference_pid, Some(worker));
    let archive = stack.finish().unwrap();

    let program = archive.join("program.mp4");
    assert!(longest_step(&times(&program, "v").unwrap()) <= 0.0405);
    assert!(longest_step(&times(&program, "a").unwrap()) <= 0.0205);
    let end = times(&program, "v").unwrap().last().copied().unwrap() - 0.5;
    let mut frozen = Marks::THREE.map(|marks| {
        let tile = tile_of(&program, marks, 3.5).unwrap();
        let count = counters(&program, Part::COUNTER.within(tile)).unwrap();
        longest_freeze(&count.into_iter().filter(|(at, _)| (3.0..end).contains(at)).collect::<Vec<_>>())
    });
    println!("the longest time for which each tile stood still: {frozen:.2?} s");
    frozen.sort_by(f64::total_cmp);
    assert!(frozen[0] <= GOES_ON_S, "whose decoder was left alone: {frozen:?}");
    assert!(frozen[1] <= 1.0, "whose decoder was killed: {frozen:?}");
    assert!((1.0..=2.0).contains(&frozen[2]), "whose decoder stood still: {frozen:?}");
    let lost: Vec<String> = journal(&archive)
        .unwrap()
        .into_iter()
        .filter(|entry| entry["kind"] == "decoder-lost")
        .map(|entry| entry["body"]["why"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lost, ["ended", "stalled"]);
}
