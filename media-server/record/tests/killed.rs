//! `kill -9` at any moment: what was announced is there, the rest is cut cleanly, the journal says so.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bridgepoint_record::{GapWhy, RecordEvent, Recorder, Role, Stream, Verdict, journal, recover};
use common::{Case, Clip, case, feed, quiet, site, standard};

const FOLDER: &str = "RECORD_KILLED_FOLDER";

/// Not a test: the process that gets killed. Records three streams again and again, eight times as fast as life.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut case = case();
    case.folder = folder.into();
    let recorder = Recorder::start(case.config(Role::Centre, 1), |event| {
        if let RecordEvent::Written { file, index, sha256, .. } = event {
            println!("written {file} {index} {sha256}");
        }
    })
    .unwrap();
    let clip = standard();
    for round in 0.. {
        for n in 0..clip.video.len() {
            for stream in [Stream::Program, site("17611"), site("16681")] {
                let mut unit = clip.video[n].clone();
                unit.ticks += round * 6 * 90_000;
                recorder.video(&stream, unit);
                for packet in &clip.audio[2 * n..2 * n + 2] {
                    let mut packet = packet.clone();
                    packet.ticks += round * 6 * 48_000;
                    recorder.audio(&stream, packet);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Kills a recorder after it has announced `count` fragments; gives what it had announced.
fn killed_after(folder: &Path, count: usize) -> Vec<[String; 3]> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut announced = Vec::new();
    let mut take = |line: String| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if let [first, file, index, hash] = words.as_slice()
            && first.ends_with("written")
        {
            announced.push([file.clone(), index.clone(), hash.clone()]);
        }
        announced.len()
    };
    for line in lines.by_ref() {
        if take(line.unwrap()) >= count {
            child.kill().unwrap();
            break;
        }
    }
    for line in lines.map_while(Result::ok) {
        take(line); // what it had said before it died
    }
    child.wait().unwrap();
    announced
}

fn check_announced(folder: &Path, announced: &[[String; 3]]) {
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    let entries: Vec<serde_json::Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for [file, index, hash] in announced {
        let entry = entries
            .iter()
            .map(|entry| &entry["body"])
            .find(|body| body["file"] == file.as_str() && body["index"].as_u64() == index.parse().ok())
            .unwrap_or_else(|| panic!("{file} {index} is not in the journal"));
        let (offset, bytes) = (entry["offset"].as_u64().unwrap() as usize, entry["bytes"].as_u64().unwrap() as usize);
        let content = std::fs::read(folder.join(file)).unwrap();
        assert_eq!(&journal::sha256(&content[offset..offset + bytes]), hash, "{file} {index}");
    }
}

fn plays(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mp4") {
            quiet("ffprobe", &["-show_entries", "packet=pts"], &path);
            quiet("ffmpeg", &[], &path);
        }
    }
}

/// The same clip, `seconds` later.
fn later(clip: &Clip, seconds: u64) -> Clip {
    let mut video = clip.video.clone();
    let mut audio = clip.audio.clone();
    for unit in &mut video {
        unit.ticks += seconds * 90_000;
    }
    for packet in &mut audio {
        packet.ticks += seconds * 48_000;
    }
    Clip { video, audio }
}

#[test]
fn after_kill_9_the_record_closes_whole_and_plays() {
    for count in [1, 2, 4, 7, 15] {
        let case = case();
        let announced = killed_after(&case.folder, count);
        assert!(announced.len() >= count);
        let done = recover(&case.folder).unwrap();
        assert!(!done.already_closed);
        check_announced(&case.folder, &announced);
        plays(&case.folder);
        assert_eq!(recover(&case.folder).unwrap().head, done.head, "a second recovery does nothing");
    }
}

#[test]
fn a_torn_fragment_and_a_torn_journal_line_are_cut_off() {
    let case = case();
    let announced = killed_after(&case.folder, 6);
    for name in ["program.mp4", "journal.jsonl"] {
        let path = case.folder.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        // As if the next fragment and the next line had been cut short by the kill.
        let piece = bytes[bytes.len() / 2..bytes.len() / 2 + 40].to_vec();
        bytes.extend_from_slice(if name == "program.mp4" { b"\0\0\x20\0moof\0\0" } else { &piece[..20] });
        std::fs::write(&path, bytes).unwrap();
    }
    // A file whose first fragment never became whole.
    std::fs::write(case.folder.join("site-99999.mp4"), b"\0\0\0\x18ftypiso6").unwrap();
    let done = recover(&case.folder).unwrap();
    assert!(done.journal_cut >= 20);
    assert!(done.files.iter().any(|file| file.file == "program.mp4" && file.cut >= 10), "{done:?}");
    assert!(done.files.iter().any(|file| file.file == "site-99999.mp4" && file.removed));
    assert!(!case.folder.join("site-99999.mp4").exists());
    check_announced(&case.folder, &announced);
    plays(&case.folder);
}

fn interrupted() -> (Case, Clip) {
    let case = case();
    let clip = standard();
    let (recorder, _) = case.start(Role::Centre, 1);
    feed(&recorder, &Stream::Program, clip);
    feed(&recorder, &site("17611"), clip);
    // Its process dies: the files stay as they are at this moment. A copy is what the next process finds.
    let copy = case.root.path().join("copy");
    for _ in 0..500 {
        let journal = std::fs::read_to_string(case.folder.join("journal.jsonl")).unwrap();
        if journal.matches("\"kind\":\"fragment\"").count() >= 20 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::create_dir(&copy).unwrap();
    // The journal first: what it says is in the files already.
    for name in ["journal.jsonl", "session.json", "program.mp4", "site-17611.mp4"] {
        std::fs::copy(case.folder.join(name), copy.join(name)).unwrap();
    }
    recorder.finish().unwrap();
    (Case { folder: copy, ..case }, later(clip, 20))
}

#[test]
fn the_next_recorder_goes_on_in_new_files_and_the_journal_names_the_gap() {
    let (case, clip) = interrupted();
    let (recorder, events) = case.start(Role::Centre, 2);
    for stream in [Stream::Program, site("17611")] {
        feed(&recorder, &stream, &clip);
    }
    let head = recorder.finish().unwrap().head;
    case.seal(&head);
    let report = case.verdict();
    assert_eq!(report.verdict, Verdict::Intact, "{report:#?}");
    let names: Vec<&str> = report.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["program.2.mp4", "program.mp4", "site-17611.2.mp4", "site-17611.mp4"]);
    assert_eq!(report.gaps.len(), 2);
    for gap in &report.gaps {
        assert_eq!(gap.why, GapWhy::Restart, "{gap:?}");
        assert_eq!(gap.to_ms, 23_000);
        assert!((4_000..=9_500).contains(&gap.from_ms), "{gap:?}");
    }
    assert!(events.lock().unwrap().contains(&RecordEvent::Opened { file: "program.2.mp4".into() }));
    plays(&case.folder);
}

#[test]
fn a_record_closed_after_a_crash_is_intact_once_it_is_sealed() {
    let (case, _) = interrupted();
    assert!(matches!(case.verdict().verdict, Verdict::Unfinished { .. }));
    let head = recover(&case.folder).unwrap().head;
    assert!(matches!(case.verdict().verdict, Verdict::Unfinished { .. }));
    case.seal(&head);
    assert_eq!(case.verdict().verdict, Verdict::Intact, "{:#?}", case.verdict());
}

#[test]
fn two_recorders_never_write_one_folder() {
    let case = case();
    let (recorder, _) = case.start(Role::Box, 1);
    assert!(Recorder::start(case.config(Role::Box, 2), |_| {}).is_err());
    assert!(recover(&case.folder).is_err());
    recorder.finish().unwrap();
    assert!(Recorder::start(case.config(Role::Box, 2), |_| {}).is_err(), "the record is closed");
}
