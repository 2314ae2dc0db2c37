//! The main job: a button is pressed, three sites talk, the centre mixes, sends back and records.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::path::Path;
use std::time::{Duration, Instant};

use scenarios::measure::{
    Part, beeps, counters, flashes, longest_freeze, longest_step, median, sound, sound_after_picture, times,
};
use scenarios::running::{Running, decoders, journal, tile_of};
use xtask::clips::Marks;
use xtask::summary::Pids;

/// The recorders need a moment until everybody has joined.
const SETTLE_S: f64 = 3.0;
const RECORD_S: u64 = 12;

#[test]
fn every_site_is_seen_heard_sent_back_and_recorded_in_sync() {
    let mut stack = Running::start("main-job", 3).unwrap();
    let pressed = Instant::now();
    let status = stack.on_record().unwrap();
    println!("on record and all there after {} ms", pressed.elapsed().as_millis());
    stack
        .wait("the tally at every box", Duration::from_secs(5), || {
            Ok(stack.codes().iter().all(|code| stack.box_status(code).is_ok_and(|box_status| box_status.on_record)))
        })
        .unwrap();
    what_parses_the_network_is_confined(&stack.summary().unwrap().pids);
    stack.record_for(Duration::from_secs(RECORD_S)).unwrap();
    let returns: Vec<_> = stack.codes().iter().map(|code| stack.at(code).unwrap().returns.clone()).collect();
    let codes: Vec<String> = stack.codes().iter().map(|code| (*code).to_owned()).collect();
    let archive = stack.finish().unwrap();

    let program = archive.join("program.mp4");
    the_program_is_whole(&program);
    for (code, marks) in codes.iter().zip(Marks::THREE) {
        a_site_is_in_the_program(&program, code, marks);
        a_site_is_recorded(&archive.join(format!("site-{code}.mp4")), code, marks);
    }
    for (n, folder) in returns.iter().enumerate() {
        a_box_hears_the_others(&folder.join("heard.wav"), n);
        assert!(folder.join("program.mp4").is_file() && folder.join("shown.csv").is_file());
    }
    let kinds: Vec<String> =
        journal(&archive).unwrap().iter().filter_map(|entry| Some(entry["kind"].as_str()?.to_owned())).collect();
    println!("{kinds:?}, session {:?}", status.session);
    assert!(kinds.len() > 10);
}

/// As the kernel says it (proc(5)): a seccomp filter, and no way to gain privileges.
fn what_parses_the_network_is_confined(pids: &Pids) {
    let media = pids.agents.values().map(|pids| pids.media);
    let worker = pids.conference.unwrap();
    let decoders = decoders(worker);
    assert_eq!(decoders.len(), 3, "one for each site");
    for pid in media.map(Option::unwrap).chain([worker]).chain(decoders) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let says = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        assert_eq!((says("Seccomp:"), says("NoNewPrivs:")), (Some("2"), Some("1")), "{status}");
    }
}

fn the_program_is_whole(program: &Path) {
    let (picture, packets) = (times(program, "v").unwrap(), times(program, "a").unwrap());
    let step = longest_step(&picture);
    assert!(step <= 0.0405, "a step of {step} s between program frames");
    let step = longest_step(&packets);
    assert!(step <= 0.0205, "a step of {step} s between program sound packets");
}

fn a_site_is_in_the_program(program: &Path, code: &str, marks: Marks) {
    let tile = tile_of(program, marks, SETTLE_S + 2.0).unwrap();
    let end = times(program, "v").unwrap().last().copied().unwrap() - 0.5;
    let within = |at: &f64| (SETTLE_S..end).contains(at);
    let seen: Vec<f64> = flashes(program, Part::FLASH.within(tile)).unwrap().into_iter().filter(within).collect();
    let heard = beeps(&sound(program).unwrap(), marks.tone);
    assert!(seen.len() as f64 >= end - SETTLE_S - 1.5, "{code}: {} flashes in {} s", seen.len(), end - SETTLE_S);
    let late = sound_after_picture(&seen, &heard);
    println!("{code} in the program: sound after picture, ms: {late:.1?}");
    assert!(median(&late).abs() <= 40.0, "{code}: {late:?}");
    assert!(late.iter().all(|ms| ms.abs() <= 80.0), "{code}: {late:?}");
    let count = counters(program, Part::COUNTER.within(tile)).unwrap();
    let count: Vec<_> = count.into_iter().filter(|(at, _)| within(at)).collect();
    let frozen = longest_freeze(&count);
    assert!(frozen < 0.2001, "{code}: the picture stood still for {frozen} s");
}

fn a_site_is_recorded(file: &Path, code: &str, marks: Marks) {
    let picture: Vec<f64> = times(file, "v").unwrap().into_iter().filter(|at| *at >= SETTLE_S).collect();
    let step = longest_step(&picture);
    assert!(step <= 0.2, "{code} on its own: a step of {step} s between frames");
    let seen = flashes(file, Part::FLASH).unwrap();
    // The first and the last mark may be cut.
    let seen = &seen[1..seen.len() - 1];
    let whole = begun_in_sight(seen, &picture);
    assert!(whole.len() + 2 >= seen.len(), "{code} on its own: of {} flashes {} are whole", seen.len(), whole.len());
    let late = sound_after_picture(&whole, &beeps(&sound(file).unwrap(), marks.tone));
    println!("{code} on its own: sound after picture, ms: {late:.1?}");
    assert!(late.iter().all(|ms| ms.abs() <= 20.0), "{code}: {late:?}");
}

/// The flashes whose first frame was filmed: a box that shares its processors with all others may miss a frame now and
/// then, and a flash that is seen from its second frame on says nothing about sound and picture.
fn begun_in_sight(flashes: &[f64], frames: &[f64]) -> Vec<f64> {
    let missed = |at: &f64| frames.windows(2).any(|pair| (pair[1] - at).abs() < 1e-6 && pair[1] - pair[0] > 0.06);
    flashes.iter().copied().filter(|at| !missed(at)).collect()
}

fn a_box_hears_the_others(heard: &Path, own: usize) {
    let samples = sound(heard).unwrap();
    let seconds = samples.len() / scenarios::measure::RATE as usize;
    for (n, marks) in Marks::THREE.iter().enumerate() {
        let found = beeps(&samples, marks.tone).len();
        if n == own {
            assert!(found <= 1, "box {own} hears itself: {found} beeps");
        } else {
            assert!(found + 4 >= seconds, "box {own} hears {found} of box {n}'s beeps in {seconds} s");
        }
    }
}
