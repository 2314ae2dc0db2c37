//! An operator hides a site, gives the floor, turns a site down, and lets a site speak again, while the session is on
//! record: each shows and is heard within 200 ms and is written down. What cannot be ordered is refused.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::Duration;

use scenarios::measure::{Part, beeps, colour, longest_step, sound, times};
use scenarios::running::{Running, journal};
use serde_json::Value;
use xtask::clips::Marks;

/// Between two orders: some four marks of each site fall into it, of which a busy machine's camera may miss two.
const HOLD: Duration = Duration::from_secs(5);
/// An order must take effect within this time after it was written down, seconds.
const EFFECT_S: f64 = 0.2;

#[test]
fn orders_take_effect_at_once_and_are_written_down() {
    let mut stack = Running::start("orders-live", 3).unwrap();
    let id = stack.on_record().unwrap().session.unwrap();
    let [first, second, third] = [0, 1, 2].map(|n| stack.code(n).to_owned());
    stack.record_for(HOLD).unwrap();
    let refused = stack.bpctl(&["session", "gain", &id, &first, "30"]).unwrap_err().to_string();
    assert!(refused.contains("-60 to 12"), "{refused}");
    let refused = stack.bpctl(&["session", "floor", &id, "99999"]).unwrap_err().to_string();
    assert!(refused.contains("99999"), "{refused}");
    for order in [
        vec!["floor", &id, &first],
        vec!["floor", &id],
        vec!["gain", &id, &second, "-60"],
        vec!["gain", &id, &second, "0"],
        vec!["hide", &id, &third, "on"],
    ] {
        stack.bpctl(&[&["session"], &order[..]].concat()).unwrap();
        stack.record_for(HOLD).unwrap();
    }
    let session = stack.bpctl(&["session", "show", &id]).unwrap();
    assert_eq!(session["sites"][2]["hidden"], true, "{session}");
    let archive = stack.finish().unwrap();

    let about: Value = serde_json::from_slice(&std::fs::read(archive.join("session.json")).unwrap()).unwrap();
    let origin_ms = about["origin_ms"].as_f64().unwrap();
    let entries: Vec<Value> = journal(&archive)
        .unwrap()
        .into_iter()
        .filter(|entry| entry["kind"] == "floor" || entry["kind"] == "site-stage")
        .collect();
    assert_eq!(entries.len(), 5, "{entries:?}");
    assert!(entries.iter().all(|entry| entry["body"]["by"]["kind"] == "bpctl"), "{entries:?}");
    let at: Vec<f64> = entries.iter().map(|entry| (entry["at_ms"].as_f64().unwrap() - origin_ms) / 1e3).collect();

    let program = archive.join("program.mp4");
    let step = longest_step(&times(&program, "v").unwrap());
    assert!(step <= 0.0405, "a step of {step} s between program frames");
    let samples = sound(&program).unwrap();
    let heard = Marks::THREE.map(|marks| beeps(&samples, marks.tone));
    // When a busy machine mixes a block late, the next order is in it already.
    let count = |site: usize, from: f64, until: f64| {
        heard[site].iter().filter(|beep| (from + EFFECT_S..until - EFFECT_S).contains(beep)).count()
    };
    for (n, expected) in [[true, false, false], [true; 3], [true, false, true], [true; 3]].iter().enumerate() {
        for (site, expected) in expected.iter().enumerate() {
            let found = count(site, at[n], at[n + 1]);
            assert_eq!(found >= 2, *expected, "site {site} is heard {found} times after order {n}: {:?}", heard[site]);
            assert!(*expected || found == 0, "site {site} is heard after order {n}: {:?}, orders {at:?}", heard[site]);
        }
    }
    // Hidden: two tiles side by side instead of four, and the third site is heard on.
    let [a, b, _] = Marks::THREE;
    for (left, marks) in [(0.0, a), (0.5, b)] {
        let tile = Part { x: left, y: 0.25, w: 0.5, h: 0.5 };
        let wanted = [16, 8, 0].map(|shift| (marks.colour >> shift) as u8);
        let seen = colour(&program, Part::PLAIN.within(tile), at[4] + EFFECT_S).unwrap();
        assert!(seen.iter().zip(wanted).all(|(seen, wanted)| seen.abs_diff(wanted) <= 25), "{seen:?}, not {wanted:?}");
    }
    assert!(count(2, at[4], at[4] + 5.0) >= 2);
}
