//! One box's media process dies: nobody else notices, and it is back within 5 s.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scenarios::measure::{Part, RATE, beeps, counters, longest_freeze, longest_step, sound, times};
use scenarios::running::{Running, tile_of};
use xtask::clips::Marks;
use xtask::process::{alive, signal};

#[test]
fn the_others_go_on_and_the_box_is_back_within_five_seconds() {
    let mut stack = Running::start("box-media-killed", 3).unwrap();
    stack.on_record().unwrap();
    stack.record_for(Duration::from_secs(5)).unwrap();
    let victim = stack.code(1).to_owned();
    let media = stack.box_status(&victim).unwrap().media_pid.unwrap();
    let killed = Instant::now();
    signal(media, Signal::SIGKILL).unwrap();
    stack.wait("the old media process is gone", Duration::from_secs(2), || Ok(!alive(media))).unwrap();
    stack
        .wait("a new media process with a link", Duration::from_secs(5), || {
            let status = stack.box_status(&victim)?;
            Ok(status.media_pid.is_some_and(|pid| pid != media) && status.link_up)
        })
        .unwrap();
    stack.wait_up(&victim, Duration::from_secs(5)).unwrap();
    let back = killed.elapsed();
    println!("back after {} ms", back.as_millis());
    assert!(back < Duration::from_secs(5), "{back:?}");
    stack.record_for(Duration::from_secs(5)).unwrap();
    let archive = stack.finish().unwrap();

    let program = archive.join("program.mp4");
    assert!(longest_step(&times(&program, "v").unwrap()) <= 0.0405);
    let heard = sound(&program).unwrap();
    let seconds = heard.len() / RATE as usize;
    for other in [0, 2] {
        let tile = tile_of(&program, Marks::THREE[other], 3.0).unwrap();
        let count = counters(&program, Part::COUNTER.within(tile)).unwrap();
        let count: Vec<_> = count.into_iter().filter(|(at, _)| *at > 3.0).collect();
        let frozen = longest_freeze(&count);
        assert!(frozen <= 0.2, "the tile of site {other} stood still for {frozen} s");
        let found = beeps(&heard, Marks::THREE[other].tone).len();
        assert!(found + 4 >= seconds, "{found} beeps of site {other} in {seconds} s");
    }
    // What came before and after is recorded, in two parts or one.
    assert!(archive.join(format!("site-{victim}.mp4")).is_file());
}
