//! Officials get a program of their own, made only while there is somebody who gets it. Which one is recorded is chosen
//! while the session is on record, and is written down. Nobody loses a frame by it.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use scenarios::measure::{Part, colour, longest_step, times};
use scenarios::running::{Running, journal, replay};
use serde_json::{Value, json};
use xtask::clips::Marks;

/// Between two orders.
const HOLD: Duration = Duration::from_secs(4);
/// When an order that was written down must show, seconds after it.
const EFFECT_S: f64 = 0.5;

#[test]
fn officials_get_a_program_of_their_own_and_the_recorded_one_is_named() {
    let mut stack = Running::start("two-programs", 2).unwrap();
    let id = stack.on_record().unwrap().session.unwrap();
    let [plain, official] = [0, 1].map(|n| stack.code(n).to_owned());
    let returns: Vec<PathBuf> =
        stack.codes().iter().map(|code| stack.at(code).unwrap().returns.join("program.mp4")).collect();
    let worker = stack.server_status().conference_pid.unwrap();
    let order = |args: &[&str]| stack.bpctl(&[&["session"], args].concat());
    let refused = |args: &[&str]| order(args).unwrap_err().to_string();

    order(&["follow", &id, "off"]).unwrap();
    order(&["layout", &id, "single"]).unwrap();
    order(&["pin", &id, &plain]).unwrap();
    let said = refused(&["pin", "--program", "officials", &id, &official]);
    assert!(said.contains("no program officials"), "{said}");
    // On, and nobody is an official.
    let session = order(&["program", &id, "officials", "on"]).unwrap();
    assert_eq!((&session["recorded"], &session["most_programs"]), (&json!("main"), &json!(2)));
    order(&["pin", "--program", "officials", &id, &official]).unwrap();
    stack.record_for(HOLD).unwrap();
    assert_eq!(encoders(worker), 1);
    let said = refused(&["program", &id, "interpreters", "on"]);
    assert!(said.contains("2 programs in a session at most") && said.contains("media.programs"), "{said}");

    order(&["role", &id, &official, "official"]).unwrap();
    stack.record_for(HOLD).unwrap();
    assert_eq!(encoders(worker), 2);
    order(&["recorded", &id, "officials"]).unwrap();
    stack.record_for(HOLD).unwrap();
    let said = refused(&["program", &id, "officials", "off"]);
    assert!(said.contains("cannot be switched off"), "{said}");
    order(&["recorded", &id, "main"]).unwrap();
    let session = order(&["program", &id, "officials", "off"]).unwrap();
    assert_eq!((&session["recorded"], &session["programs"]), (&json!("main"), &json!({})));
    stack.record_for(HOLD).unwrap();
    assert_eq!(encoders(worker), 1);
    let archive = stack.finish().unwrap();

    let about: Value = serde_json::from_slice(&std::fs::read(archive.join("session.json")).unwrap()).unwrap();
    let origin_ms = about["origin_ms"].as_f64().unwrap();
    let entries = journal(&archive).unwrap();
    let of = |kind: &str| -> Vec<(f64, &Value)> {
        let is = entries.iter().filter(|entry| entry["kind"] == kind);
        is.map(|entry| ((entry["at_ms"].as_f64().unwrap() - origin_ms) / 1e3, &entry["body"])).collect()
    };
    let recorded = of("recorded");
    let named: Vec<&Value> = recorded.iter().map(|(_, body)| &body["program"]).collect();
    assert_eq!(named, ["main", "officials", "main"]);
    let orders = of("programs");
    let made: Vec<_> = orders.iter().map(|(_, body)| (body["programs"].clone(), body["recorded"].clone())).collect();
    let (both, one) = (json!(["main", "officials"]), json!(["main"]));
    let all = [(&both, "main"), (&both, "officials"), (&both, "main"), (&one, "main")];
    assert_eq!(made, all.map(|(made, recorded)| (made.clone(), json!(recorded))));
    assert!(orders.iter().all(|(_, body)| body["by"]["kind"] == "bpctl"), "{orders:?}");
    let seen = of("seen").into_iter().filter(|(_, body)| body["program"] == "officials").collect::<Vec<_>>();
    assert_eq!(seen.last().unwrap().1["sites"], json!([official]), "{seen:?}");

    let role_at = of("site-stage")[0].0;
    let [first, second] = Marks::THREE[..2] else { panic!("two sites") };
    let program = archive.join("program.mp4");
    // When, and what the record, the plain site and the official get from then on until the next change.
    let phases = [
        (orders[0].0 + 1.0, [first, first, first]),
        (role_at, [first, first, second]),
        (recorded[1].0, [second, first, second]),
        (orders[3].0, [first, first, first]),
    ];
    for (at, shown) in phases {
        for (file, marks) in [&program, &returns[0], &returns[1]].into_iter().zip(shown) {
            for at in [at + EFFECT_S, at + 2.5] {
                assert_shows(file, marks, at);
            }
        }
    }
    // The record changes exactly where the journal says so.
    assert_shows(&program, first, recorded[1].0 - 0.06);
    assert_shows(&program, second, recorded[1].0 + 0.02);
    for file in [&program, &returns[0], &returns[1]] {
        let step = longest_step(&times(file, "v").unwrap());
        assert!(step <= 0.0405, "a step of {step} s between frames of {}", file.display());
    }
    assert!(!archive.join("program.2.mp4").exists());
    let (decisions, logs) = replay(&archive).unwrap();
    assert!(decisions >= 3 && logs == 1, "{decisions} decisions in {logs} logs");
}

/// Threads of a worker that encode a program.
fn encoders(worker: u32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{worker}/task")).unwrap().map(Result::unwrap);
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    threads.map(name).filter(|name| name.trim() == "encode program").count()
}

/// The whole picture is that site's, at that second of the session.
fn assert_shows(file: &Path, marks: Marks, at_s: f64) {
    let wanted = [16, 8, 0].map(|shift| (marks.colour >> shift) as u8);
    // ffmpeg seeks from the file's first picture on.
    let begin = times(file, "v").unwrap()[0];
    let seen = colour(file, Part::PLAIN, at_s - begin).unwrap();
    let far = seen.iter().zip(wanted).map(|(seen, wanted)| seen.abs_diff(wanted)).max().unwrap();
    assert!(far <= 25, "{} at {at_s:.2} s is {seen:?}, not {wanted:?}", file.display());
}
