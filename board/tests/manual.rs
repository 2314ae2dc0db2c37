//! `docs/ref/board.md` has every key that the parser knows, and no other.
#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bridgepoint_board::Board;
use bridgepoint_board::keys::{Fault, FaultKind};

const MANUAL: &str = include_str!("../../docs/ref/board.md");
/// No key of any section.
const STRANGE: &str = "zzz";

fn faults_of(text: &str) -> Vec<Fault> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("board.toml"), text).unwrap();
    Board::parse(folder.path()).unwrap_err().0
}

/// The keys beside a strange one, as the parser tells them.
fn beside_strange(text: &str, section: &str) -> Vec<String> {
    let key = if section.is_empty() { STRANGE.to_owned() } else { format!("{section}.{STRANGE}") };
    let found = faults_of(text).into_iter().find(|fault| fault.key == key);
    match found.map(|fault| fault.kind) {
        Some(FaultKind::Unknown { known }) => known.into_iter().map(str::to_owned).collect(),
        other => panic!("{key} in\n{text}\n{other:?}"),
    }
}

/// The words that a key takes, as the parser tells them.
fn words(text: &str, key: &str) -> Vec<&'static str> {
    let found = faults_of(text).into_iter().find(|fault| fault.key == key);
    match found.map(|fault| fault.kind) {
        Some(FaultKind::Choice { of, .. }) => of,
        other => panic!("{key} in\n{text}\n{other:?}"),
    }
}

/// Sections that say of which kind they are.
const OF_KINDS: [&str; 8] =
    ["camera", "camera.control", "display", "audio", "audio.directions", "panel", "watchdog", "storage"];
/// The others: name, and what makes the parser look into them.
const PLAIN: [(&str, &str); 16] = [
    ("", ""),
    ("camera.stream", "[camera]\nkind = \"rtsp\"\n[camera.stream]\n"),
    (
        "camera.control.travel",
        "[camera]\nkind = \"clip\"\n[camera.control]\nkind = \"visca-ip\"\n[camera.control.travel]\n",
    ),
    ("encoder", "[encoder]\norder = [\"v4l2h264enc\"]\n"),
    ("decoder", "[decoder]\norder = [\"v4l2h264dec\"]\n"),
    ("audio.microphones[0]", "[audio]\nkind = \"alsa\"\n[[audio.microphones]]\n"),
    ("audio.spare", "[audio]\nkind = \"alsa\"\n[audio.spare]\n"),
    ("panel.button", "[panel]\nkind = \"gpio\"\n[panel.button]\n"),
    ("panel.record", "[panel]\nkind = \"gpio\"\n[panel.record]\n"),
    ("panel.mute", "[panel]\nkind = \"gpio\"\n[panel.mute]\n"),
    ("panel.ready", "[panel]\nkind = \"gpio\"\n[panel.ready]\n"),
    ("serial", "[serial]\n"),
    ("serial.camera", "[serial.camera]\n"),
    ("serial.panel", "[serial.panel]\n"),
    ("serial.console", "[serial.console]\n"),
    ("thermal[0]", "[[thermal]]\n"),
];

/// What the parser is shown of a section of a kind. A part of something is looked at only where that is known.
fn of_kind(section: &str, kind: &str) -> String {
    let around = match section {
        "camera.control" => "[camera]\nkind = \"clip\"\n",
        "audio.directions" => "[audio]\nkind = \"alsa\"\n",
        _ => "",
    };
    format!("{around}[{section}]\nkind = \"{kind}\"\n")
}

fn known_keys() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let mut add = |section: &str, keys: Vec<String>| {
        let prefix = if section.is_empty() { String::new() } else { format!("{section}.") };
        known.extend(keys.into_iter().map(|key| format!("{prefix}{key}").replace("[0]", "[]")));
    };
    for section in OF_KINDS {
        for kind in words(&of_kind(section, STRANGE), &format!("{section}.kind")) {
            add(section, beside_strange(&format!("{}{STRANGE} = 1\n", of_kind(section, kind)), section));
        }
    }
    for (section, text) in PLAIN {
        add(section, beside_strange(&format!("{text}{STRANGE} = 1\n"), section));
    }
    for leds in beside_strange("[leds]\nzzz = 1\n", "leds") {
        known.insert(format!("leds.{leds}"));
    }
    // A section is not explained but what is in it.
    let is_section = |key: &String| {
        let inside = [format!("{key}."), format!("{key}[]")];
        known.iter().any(|other| inside.iter().any(|inside| other.starts_with(inside)))
    };
    known.iter().filter(|key| !is_section(key)).cloned().collect()
}

/// First column of the table of keys.
fn explained_keys() -> BTreeSet<String> {
    let table = MANUAL.split("\n## Keys\n").nth(1).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let keys: Vec<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    let all = keys.len();
    let once: BTreeSet<_> = keys.into_iter().collect();
    assert_eq!(once.len(), all, "a key is explained twice");
    once
}

#[test]
fn every_key_is_explained_and_no_other() {
    let (known, explained) = (known_keys(), explained_keys());
    let missing: Vec<_> = known.difference(&explained).collect();
    let strange: Vec<_> = explained.difference(&known).collect();
    assert!(missing.is_empty() && strange.is_empty(), "not explained: {missing:?}\nnot known: {strange:?}");
    assert!(known.len() > 50, "{known:?}");
}

#[test]
fn every_word_of_every_choice_is_explained() {
    let row = |key: &str| MANUAL.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
    let others = [
        (
            "camera.control.transport",
            "[camera]\nkind = \"clip\"\ncontrol = { kind = \"visca-raw\", transport = \"zzz\" }\n",
        ),
        ("panel.expander", "[panel]\nkind = \"i2c\"\nexpander = \"zzz\"\n"),
        ("panel.expander", "[panel]\nkind = \"spi\"\nexpander = \"zzz\"\n"),
        ("storage.bootloader", "[storage]\nkind = \"ab\"\nbootloader = \"zzz\"\n"),
        ("encoder.order", "[encoder]\norder = [\"zzz\"]\n"),
        ("decoder.order", "[decoder]\norder = [\"zzz\"]\n"),
    ];
    let kinds = OF_KINDS.map(|section| (format!("{section}.kind"), of_kind(section, STRANGE)));
    for (key, text) in kinds.into_iter().chain(others.map(|(key, text)| (key.to_owned(), text.to_owned()))) {
        for word in words(&text, &key) {
            assert!(row(&key).contains(&format!("\"{word}\"")), "{key} = \"{word}\" in: {}", row(&key));
        }
    }
}

#[test]
fn the_example_of_a_board_that_inherits_holds() {
    let example = MANUAL.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join("rpi-cm4");
    std::os::unix::fs::symlink(&parent, folder.path().join("rpi-cm4")).unwrap();
    fs::create_dir(folder.path().join("our-carrier")).unwrap();
    fs::write(folder.path().join("our-carrier/board.toml"), example).unwrap();
    let board = Board::parse(&folder.path().join("our-carrier")).unwrap();
    assert_eq!((board.name.as_str(), board.inherited[0].board.as_str()), ("our-carrier", "rpi-cm4"));
    assert_eq!(board.camera, Board::parse(&parent).unwrap().camera);
}
