//! An operator changes the layout while the session is on record: it shows at once, no frame is lost, and it is written
//! down. A new worker goes on with it.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use scenarios::measure::{Part, colour, counters, longest_freeze, longest_step, times};
use scenarios::running::{Running, journal, replay};
use serde_json::Value;
use xtask::clips::Marks;
use xtask::process::signal;

/// Between two changes.
const HOLD: Duration = Duration::from_secs(3);
/// A change must show within this time after it was written down, seconds; a frame lasts 0.04.
const EFFECT_S: f64 = 0.2;
const LARGE: Part = Part { x: 0.0, y: 0.0, w: 2.0 / 3.0, h: 2.0 / 3.0 };

#[test]
fn a_change_of_layout_shows_at_once_and_costs_no_frame() {
    let mut stack = Running::start("layout-live", 3).unwrap();
    let id = stack.on_record().unwrap().session.unwrap();
    stack.record_for(HOLD).unwrap();
    let refused = stack.bpctl(&["session", "layout", &id, "cinema"]).unwrap_err().to_string();
    assert!(refused.contains("no layout cinema") && refused.contains("lecture-5"), "{refused}");
    // Voices would choose who is large.
    stack.bpctl(&["session", "follow", &id, "off"]).unwrap();
    stack.bpctl(&["session", "layout", &id, "lecture-5"]).unwrap();
    stack.record_for(HOLD).unwrap();
    stack.bpctl(&["session", "pin", &id, stack.code(2)]).unwrap();
    stack.record_for(HOLD).unwrap();
    let session = stack.bpctl(&["session", "layout", &id, "single"]).unwrap();
    assert_eq!((&session["layout"], &session["front"]), (&"single".into(), &stack.code(2).into()));
    stack.record_for(HOLD).unwrap();
    let worker = stack.server_status().conference_pid.unwrap();
    signal(worker, Signal::SIGKILL).unwrap();
    stack
        .wait("a new worker", Duration::from_secs(5), || {
            Ok(stack.server_status().conference_pid.is_some_and(|pid| pid != worker))
        })
        .unwrap();
    stack.wait_up(stack.code(2), Duration::from_secs(10)).unwrap();
    stack.record_for(HOLD).unwrap();
    let pinned = stack.code(2).to_owned();
    let archive = stack.finish().unwrap();

    let origin_ms =
        serde_json::from_slice::<Value>(&std::fs::read(archive.join("session.json")).unwrap()).unwrap()["origin_ms"]
            .as_f64()
            .unwrap();
    let entries: Vec<Value> =
        journal(&archive).unwrap().into_iter().filter(|entry| entry["kind"] == "layout").collect();
    let said: Vec<(&str, Option<&str>)> = entries
        .iter()
        .map(|entry| (entry["body"]["layout"].as_str().unwrap(), entry["body"]["front"].as_str()))
        .collect();
    let front = Some(pinned.as_str());
    assert_eq!(said, [("grid", None), ("lecture-5", None), ("lecture-5", front), ("single", front)]);
    assert!(entries.iter().all(|entry| entry["body"]["by"]["kind"] == "bpctl"), "{entries:?}");
    let at: Vec<f64> = entries[1..].iter().map(|entry| (entry["at_ms"].as_f64().unwrap() - origin_ms) / 1e3).collect();

    let program = archive.join("program.mp4");
    let step = longest_step(&times(&program, "v").unwrap());
    assert!(step <= 0.0405, "a step of {step} s between program frames");
    let small = |row: f64| Part { x: 2.0 / 3.0, y: row / 3.0, w: 1.0 / 3.0, h: 1.0 / 3.0 };
    let [a, b, c] = Marks::THREE;
    for (at, shown) in [
        (at[0], vec![(LARGE, a), (small(0.0), b), (small(1.0), c)]),
        (at[1], vec![(LARGE, c), (small(0.0), a), (small(1.0), b)]),
        (at[2], vec![(Part::WHOLE, c)]),
    ] {
        for (tile, marks) in shown {
            assert_shows(&program, tile, marks, at + EFFECT_S);
            assert_shows(&program, tile, marks, at + 2.0);
        }
    }
    // The large tile is fed from another encoding: the change between the two shows no old picture for long.
    for (tile, from, until) in [(LARGE, at[0], at[1]), (LARGE, at[1], at[2]), (Part::WHOLE, at[2], at[2] + 2.5)] {
        let within = |(t, _): &(f64, Option<u8>)| (from + EFFECT_S + 0.1..until - 0.1).contains(t);
        let count: Vec<_> =
            counters(&program, Part::COUNTER.within(tile)).unwrap().into_iter().filter(within).collect();
        let frozen = longest_freeze(&count);
        assert!(count.len() > 40 && frozen <= 0.2, "the large picture stood still for {frozen} s after {from}");
    }
    assert_shows(&archive.join("program.2.mp4"), Part::WHOLE, c, 3.0);
    let (decisions, logs) = replay(&archive).unwrap();
    assert!(decisions >= 4 && logs == 2, "{decisions} decisions in {logs} logs");
    // A log that somebody has changed is noticed.
    let log = archive.join("director.2.jsonl");
    let changed = std::fs::read_to_string(&log).unwrap().replacen("[[", "[[1,\"16681\",3],[", 1);
    std::fs::write(&log, changed).unwrap();
    assert!(replay(&archive).is_err());
}

fn assert_shows(program: &Path, tile: Part, marks: Marks, at_s: f64) {
    let wanted = [16, 8, 0].map(|shift| (marks.colour >> shift) as u8);
    let seen = colour(program, Part::PLAIN.within(tile), at_s).unwrap();
    let far = seen.iter().zip(wanted).map(|(seen, wanted)| seen.abs_diff(wanted)).max().unwrap();
    assert!(far <= 25, "{tile:?} at {at_s:.2} s is {seen:?}, not {wanted:?}");
}
