//! Whatever is changed in a closed record is noticed and named; what was not vouched for is never called intact.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::Path;

use bridgepoint_record::{Report, Role, Stream, Verdict, verify};
use common::{Case, case, clip, feed, pki, site};
use serde_json::json;

/// A small sealed record of two sites and the program, from 1 s to 5 s after the origin.
fn record() -> Case {
    let case = case();
    let (recorder, _) = case.start(Role::Centre, 1);
    let small = clip("96x64", 4, 1_000);
    for stream in [Stream::Program, site("17611"), site("16681")] {
        feed(&recorder, &stream, &small);
    }
    recorder.note(common::ORIGIN_MS + 1_500, "press", json!({ "site": "17611" }));
    let head = recorder.finish().unwrap().head;
    case.seal(&head);
    case
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn changed(case: &Case, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Report {
    let path = case.folder.join(name);
    let original = fs::read(&path).unwrap();
    let mut bytes = original.clone();
    change(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let report = case.verdict();
    fs::write(&path, &original).unwrap();
    report
}

#[test]
fn any_flipped_bit_in_any_file_is_named_with_its_file_and_second() {
    let case = record();
    assert_eq!(case.verdict().text, "intact");
    assert_eq!(names(&case.folder).len(), 6);
    for name in names(&case.folder) {
        let len = fs::metadata(case.folder.join(&name)).unwrap().len() as usize;
        // Every byte of the small ones would be minutes; a step that is odd to every structure of the files.
        let step = len / 97 + 1;
        for at in (0..len).step_by(step).chain([len - 1, len - 2]) {
            let report = changed(&case, &name, |bytes| bytes[at] ^= 1 << (at % 8));
            assert_eq!(report.verdict, Verdict::Damaged, "{name} byte {at}");
            assert!(report.findings.iter().any(|finding| finding.file == name), "{name} byte {at}: {report:#?}");
            if Stream::of_file(&name).is_some() {
                let [finding] = report.findings.as_slice() else { panic!("{name} byte {at}: {report:#?}") };
                // The bytes lie in the file about as the seconds do.
                assert!((1..=5).contains(&finding.second), "{finding:?}");
                if at > len * 9 / 10 {
                    assert!(finding.second >= 4, "{at} of {len}: {finding:?}");
                }
                if at < len / 10 {
                    assert_eq!(finding.second, 1, "{at} of {len}: {finding:?}");
                }
            }
        }
    }
}

#[test]
fn pieces_taken_out_put_in_or_exchanged_are_noticed() {
    let case = record();
    let damaged = |report: &Report, what: &str| assert_eq!(report.verdict, Verdict::Damaged, "{what}: {report:#?}");
    damaged(&changed(&case, "program.mp4", |bytes| bytes.truncate(bytes.len() - 1)), "end cut");
    damaged(&changed(&case, "program.mp4", |bytes| bytes.push(0)), "end grown");
    damaged(&changed(&case, "program.mp4", Vec::clear), "emptied");
    damaged(&changed(&case, "program.mp4", |bytes| drop(bytes.drain(2_000..2_100))), "middle cut");
    let other = fs::read(case.folder.join("site-17611.mp4")).unwrap();
    // The two sites were fed the same clip: their files are equal, and that is right.
    assert_eq!(changed(&case, "site-16681.mp4", |bytes| *bytes = other).verdict, Verdict::Intact);
    let lines = fs::read_to_string(case.folder.join("journal.jsonl")).unwrap();
    let lines: Vec<&str> = lines.split_inclusive('\n').collect();
    let joined = |keep: &dyn Fn(usize) -> bool| -> Vec<u8> {
        lines.iter().enumerate().filter(|(n, _)| keep(*n)).flat_map(|(_, line)| line.bytes()).collect()
    };
    for n in 0..lines.len() {
        let report = changed(&case, "journal.jsonl", |bytes| *bytes = joined(&|m| m != n));
        damaged(&report, &format!("entry {n} removed"));
        let report = changed(&case, "journal.jsonl", |bytes| *bytes = joined(&|m| m < n));
        assert_ne!(report.verdict, Verdict::Intact, "journal cut before entry {n}");
    }
    for name in names(&case.folder) {
        let (path, aside) = (case.folder.join(&name), case.root.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        assert_ne!(case.verdict().verdict, Verdict::Intact, "without {name}");
        fs::rename(&aside, &path).unwrap();
    }
    fs::write(case.folder.join("site-17611.2.mp4"), b"more").unwrap();
    damaged(&case.verdict(), "a file from elsewhere");
}

#[test]
fn only_the_given_trust_makes_a_record_intact() {
    let case = record();
    let with = |trust: Option<&str>| verify(&case.folder, trust).unwrap();
    assert_eq!(with(Some(&case.pki.ca_pem)).verdict, Verdict::Intact);
    assert_eq!(with(Some(&case.pki.sealing_pem)).verdict, Verdict::Intact);
    let both = format!("{}{}", pki().ca_pem, case.pki.ca_pem);
    assert_eq!(with(Some(&both)).verdict, Verdict::Intact);
    for other in [None, Some(pki().ca_pem), Some(case.pki.device_pem.clone()), Some("nothing".into())] {
        let report = with(other.as_deref());
        assert!(matches!(report.verdict, Verdict::NotAnchored { .. }), "{report:#?}");
        assert!(report.text.starts_with("self-consistent, key ") && report.text.ends_with(", not anchored"));
    }
}

#[test]
fn a_record_made_again_by_somebody_else_is_not_anchored_and_a_mixed_one_is_damaged() {
    let genuine = record();
    let forged = record();
    let trust = Some(genuine.pki.ca_pem.as_str());
    assert!(matches!(verify(&forged.folder, trust).unwrap().verdict, Verdict::NotAnchored { .. }));
    // The two sessions say the same of themselves: their session.json are equal.
    for name in ["journal.jsonl", "seal.json"] {
        fs::copy(forged.folder.join(name), genuine.root.path().join("kept")).unwrap();
        fs::copy(genuine.folder.join(name), forged.folder.join(name)).unwrap();
        let report = verify(&forged.folder, trust).unwrap();
        assert_eq!(report.verdict, Verdict::Damaged, "{name} of another record: {report:#?}");
        fs::copy(genuine.root.path().join("kept"), forged.folder.join(name)).unwrap();
    }
}

#[test]
fn a_box_vouches_for_its_own_record_but_not_for_the_centres() {
    let mut own = case();
    let (recorder, _) = own.start(Role::Box, 1);
    feed(&recorder, &site("17611"), &clip("96x64", 2, 1_000));
    recorder.finish().unwrap();
    let report = own.verdict();
    assert_eq!(report.verdict, Verdict::Intact, "{report:#?}");
    assert_eq!(report.by.as_deref(), Some("CN=bp-000123"));

    own.folder = own.root.path().join("as the centre");
    own.pki.sealing = own.pki.device;
    own.pki.sealing_pem = own.pki.device_pem.clone();
    own.pki.device = pki().device;
    let (recorder, _) = own.start(Role::Centre, 1);
    feed(&recorder, &Stream::Program, &clip("96x64", 2, 1_000));
    let head = recorder.finish().unwrap().head;
    own.seal(&head);
    assert!(matches!(own.verdict().verdict, Verdict::NotAnchored { .. }), "{:#?}", own.verdict());
}

#[test]
fn the_stream_that_was_silent_for_a_while_has_a_gap_and_no_damage() {
    let case = case();
    let (recorder, _) = case.start(Role::Centre, 1);
    let (first, second) = (clip("96x64", 2, 1_000), clip("96x64", 2, 6_000));
    feed(&recorder, &site("17611"), &first);
    feed(&recorder, &site("17611"), &second);
    feed(&recorder, &site("16681"), &first);
    recorder.close_stream(&site("16681"));
    feed(&recorder, &site("16681"), &second);
    let head = recorder.finish().unwrap().head;
    case.seal(&head);
    let report = case.verdict();
    assert_eq!(report.verdict, Verdict::Intact, "{report:#?}");
    let gaps: Vec<String> = report
        .gaps
        .iter()
        .map(|g| format!("{} {}-{} {:?}", g.site.as_ref().unwrap(), g.from_ms, g.to_ms, g.why))
        .collect();
    assert_eq!(gaps, ["16681 3500-6000 Left", "17611 3500-6000 NothingCame"]);
    let files: Vec<&str> = report.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(files, ["site-16681.2.mp4", "site-16681.mp4", "site-17611.mp4"]);
}
