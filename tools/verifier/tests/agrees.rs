//! The stand-alone verifier and the server's own come to the same judgement, on good records and on damaged ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../../media-server/record/tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use bridgepoint_record::{Role, Stream, Verdict, recover, verify};
use common::{Case, case, clip, feed, pki, site};

/// Exit status, judgement, where something was found.
type Judgement = (i32, String, BTreeSet<(String, u64)>);

fn stand_alone(folder: &Path, trust: Option<&str>) -> Judgement {
    let root = tempfile::tempdir().unwrap();
    let pem = root.path().join("trust.pem");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridgepoint-verifier"));
    command.arg(folder).arg("--json");
    if let Some(trust) = trust {
        fs::write(&pem, trust).unwrap();
        command.arg("--trust").arg(&pem);
    }
    let output = command.output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.map(|f| (f["file"].as_str().unwrap().into(), f["second"].as_u64().unwrap()));
    (output.status.code().unwrap(), report["verdict"].as_str().unwrap().into(), findings.collect())
}

fn own(folder: &Path, trust: Option<&str>) -> Judgement {
    let report = verify(folder, trust).unwrap();
    let (status, verdict) = match report.verdict {
        Verdict::Intact => (0, "intact"),
        Verdict::NotAnchored { .. } => (3, "not-anchored"),
        Verdict::Unfinished { .. } => (3, "unfinished"),
        Verdict::Damaged => (1, "damaged"),
    };
    (status, verdict.into(), report.findings.into_iter().map(|f| (f.file, f.second)).collect())
}

fn both(folder: &Path, trust: Option<&str>, what: &str) -> Judgement {
    let judgement = own(folder, trust);
    assert_eq!(stand_alone(folder, trust), judgement, "{what}");
    judgement
}

fn record(role: Role) -> Case {
    let case = case();
    let (recorder, _) = case.start(role, 1);
    let small = clip("96x64", 3, 1_000);
    for stream in [Stream::Program, site("17611")] {
        feed(&recorder, &stream, &small);
    }
    let head = recorder.finish().unwrap().head;
    if role == Role::Centre {
        case.seal(&head);
    }
    case
}

#[test]
fn on_records_that_nobody_touched() {
    for role in [Role::Centre, Role::Box] {
        let case = record(role);
        assert_eq!(both(&case.folder, Some(&case.pki.ca_pem), "trusted").0, 0);
        assert_eq!(both(&case.folder, None, "no trust"), (3, "not-anchored".into(), BTreeSet::new()));
        assert_eq!(both(&case.folder, Some(&pki().ca_pem), "other trust").1, "not-anchored");
    }
    let case = record(Role::Centre);
    fs::remove_file(case.folder.join("seal.json")).unwrap();
    assert_eq!(both(&case.folder, Some(&case.pki.ca_pem), "no seal").1, "unfinished");
}

#[test]
fn on_a_record_that_is_being_written_and_on_one_that_was_killed() {
    let case = case();
    let (recorder, _) = case.start(Role::Centre, 1);
    feed(&recorder, &Stream::Program, &clip("96x64", 3, 1_000));
    let copy = case.root.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["journal.jsonl", "session.json"] {
        fs::copy(case.folder.join(name), copy.join(name)).unwrap();
    }
    recorder.finish().unwrap();
    fs::copy(case.folder.join("program.mp4"), copy.join("program.mp4")).unwrap();
    both(&copy, Some(&case.pki.ca_pem), "while it is written");
    recover(&copy).unwrap();
    assert_eq!(both(&copy, Some(&case.pki.ca_pem), "recovered").1, "unfinished");
}

#[test]
fn on_records_with_a_flipped_bit_anywhere() {
    for role in [Role::Centre, Role::Box] {
        let case = record(role);
        for entry in fs::read_dir(&case.folder).unwrap() {
            let path = entry.unwrap().path();
            let original = fs::read(&path).unwrap();
            let last = original.len() - 1;
            for at in (0..last).step_by(original.len() / 19 + 1).chain([last, last - 1]) {
                let mut bytes = original.clone();
                bytes[at] ^= 1 << (at % 8);
                fs::write(&path, &bytes).unwrap();
                let what = format!("{} byte {at}", path.display());
                assert_eq!(both(&case.folder, Some(&case.pki.ca_pem), &what).0, 1, "{what}");
            }
            fs::write(&path, &original[..last]).unwrap();
            both(&case.folder, Some(&case.pki.ca_pem), "the last byte is missing");
            fs::remove_file(&path).unwrap();
            both(&case.folder, Some(&case.pki.ca_pem), "the file is missing");
            fs::write(&path, &original).unwrap();
        }
    }
}

#[test]
fn on_journals_whose_entries_lack_a_part() {
    let case = record(Role::Centre);
    let path = case.folder.join("journal.jsonl");
    let original = fs::read_to_string(&path).unwrap();
    let mut seen = BTreeSet::new();
    for line in original.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let kind = entry["kind"].as_str().unwrap();
        let body = entry["body"].as_object().unwrap();
        for (name, value) in body.iter().filter(|(name, _)| seen.insert(format!("{kind} {name}"))) {
            // Another name, and another kind of value.
            let named = format!("\"{name}\":");
            let other = if value.is_number() { "\"x\"" } else { "7" };
            let valued = format!("{named}{}", serde_json::to_string(value).unwrap());
            for (from, to) in [(&named, format!("\"x{name}\":")), (&valued, format!("{named}{other}"))] {
                assert!(line.contains(from.as_str()), "{from} in {line}");
                fs::write(&path, original.replace(line, &line.replace(from.as_str(), &to))).unwrap();
                let what = format!("{kind}: {from} for {to}");
                assert_eq!(both(&case.folder, Some(&case.pki.ca_pem), &what).0, 1, "{what}");
            }
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn a_folder_without_a_record_cannot_be_verified() {
    let root = tempfile::tempdir().unwrap();
    for folder in [root.path().to_owned(), root.path().join("nothing")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridgepoint-verifier"));
        let output = command.arg(&folder).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("cannot be verified: "));
        assert!(verify(&folder, None).is_err());
    }
}
