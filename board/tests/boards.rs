//! The folders under `board/`: each has the same files, which hold and fit together, and no code knows their names.
#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bridgepoint_board::{
    Alsa, Audio, Board, Bootloader, Bus, Control, Display, Panel, SOFTWARE_DECODERS, SOFTWARE_ENCODERS, Source,
};

const FILES: [&str; 4] = ["board.toml", "boot.env", "bring-up.md", "kernel.cfg"];
/// Folders of this crate that are no boards.
const OWN: [&str; 2] = ["src", "tests"];

fn board_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All boards: name and folder.
fn boards() -> Vec<(String, PathBuf)> {
    let folders = fs::read_dir(board_dir()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut boards: Vec<_> =
        folders.map(|folder| (folder.file_name().unwrap().to_string_lossy().into_owned(), folder)).collect();
    boards.retain(|(name, _)| !OWN.contains(&name.as_str()));
    boards.sort();
    boards
}

fn parsed() -> Vec<(Board, PathBuf)> {
    boards()
        .into_iter()
        .map(|(name, dir)| (Board::parse(&dir).unwrap_or_else(|e| panic!("{name}:\n{e}")), dir))
        .collect()
}

#[test]
fn the_boards_are_there_and_each_has_the_same_files() {
    let names: Vec<_> = boards().into_iter().map(|(name, _)| name).collect();
    for wanted in ["sim", "pc", "qemu-arm64", "rpi-cm4", "sk-am62p"] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} among {names:?}");
    }
    for (name, folder) in boards() {
        let mut files: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        files.sort();
        assert_eq!(files, FILES, "{name}");
    }
}

#[test]
fn each_profile_holds_is_named_as_its_folder_and_falls_back_to_software() {
    for (board, folder) in parsed() {
        assert_eq!(folder.file_name().unwrap().to_string_lossy(), board.name);
        let falls_back =
            |order: &[String], software: &[&str]| order.iter().any(|name| software.contains(&name.as_str()));
        assert!(falls_back(&board.encoder.order, SOFTWARE_ENCODERS), "{}", board.name);
        assert!(falls_back(&board.decoder.order, SOFTWARE_DECODERS), "{}", board.name);
    }
}

#[test]
fn a_kernel_fragment_is_one_and_has_what_the_profile_needs() {
    for (board, folder) in parsed() {
        let text = fs::read_to_string(folder.join("kernel.cfg")).unwrap();
        let mut options = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            let (option, value) = line.split_once('=').unwrap_or_else(|| panic!("{}: {line}", board.name));
            let is_option = option
                .strip_prefix("CONFIG_")
                .is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
            assert!(is_option && matches!(value, "y" | "m"), "{}: {line}", board.name);
            assert!(options.insert(option), "{}: {option} twice", board.name);
        }
        for needed in kernel_needs(&board) {
            assert!(options.contains(needed), "{}: kernel.cfg lacks {needed}", board.name);
        }
    }
}

/// Options without which a device of the profile cannot be there.
fn kernel_needs(board: &Board) -> Vec<&'static str> {
    let mut needs = vec!["CONFIG_SECURITY_LANDLOCK", "CONFIG_SECCOMP_FILTER"];
    let mut need = |condition: bool, options: &[&'static str]| {
        if condition {
            needs.extend(options);
        }
    };
    need(matches!(board.camera.source, Source::Device { .. }), &["CONFIG_VIDEO_DEV"]);
    need(board.camera.control == Control::Uvc, &["CONFIG_USB_VIDEO_CLASS"]);
    need(matches!(board.display, Display::Kms { .. }), &["CONFIG_DRM"]);
    need(matches!(board.audio, Audio::Alsa(_)), &["CONFIG_SND"]);
    need(matches!(board.panel, Panel::Gpio { .. }), &["CONFIG_GPIO_CDEV"]);
    need(matches!(board.panel, Panel::Expander { bus: Bus::I2c { .. }, .. }), &["CONFIG_I2C_CHARDEV"]);
    need(matches!(board.panel, Panel::Expander { bus: Bus::Spi { .. }, .. }), &["CONFIG_SPI_SPIDEV"]);
    need(board.watchdog.is_some(), &["CONFIG_WATCHDOG"]);
    let has_zone = board.thermal.iter().any(|zone| matches!(zone.zone, bridgepoint_board::Locator::Name(_)));
    need(has_zone, &["CONFIG_THERMAL"]);
    need(board.leds.health.is_some() || board.leds.tally.is_some(), &["CONFIG_LEDS_CLASS"]);
    need(board.storage.is_some(), &["CONFIG_DM_VERITY", "CONFIG_SQUASHFS", "CONFIG_BLK_DEV_LOOP"]);
    needs
}

/// `NAME=value` lines; a line that is neither that nor a comment fails.
fn boot_variables(folder: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(folder.join("boot.env")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("{}: {line}", folder.display())))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn boot_variables_are_there_where_u_boot_is_and_elsewhere_it_is_said_what_is_in_its_place() {
    let mut choices = BTreeSet::new();
    for (board, folder) in parsed() {
        let variables = boot_variables(&folder);
        let value = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match &board.storage {
            Some(storage) if storage.bootloader == Bootloader::Uboot => {
                let counters = ["BOOT_ORDER", "BOOT_A_LEFT", "BOOT_B_LEFT"].map(|name| value(name).unwrap_or_default());
                assert_eq!(counters, ["A B", "3", "3"], "{}", board.name);
                let all = variables.iter().fold(String::new(), |all, (_, value)| all + value);
                for slot in &storage.slots {
                    let label = slot.file_name().unwrap().to_string_lossy().into_owned();
                    assert!(all.contains(&label), "{}: boot.env knows no partition {label}", board.name);
                }
                choices.insert(value("bp_choose").unwrap().to_owned());
            }
            Some(_) | None => {
                assert_eq!(variables, [], "{} has no U-Boot", board.name);
                let text = fs::read_to_string(folder.join("boot.env")).unwrap();
                assert!(text.starts_with("# Boot variables: none") && text.contains("storage."), "{}", board.name);
            }
        }
    }
    assert_eq!(choices.len(), 1, "every board with U-Boot chooses its slot in the same way");
}

/// What the variables' script does, with U-Boot's commands as functions of a POSIX shell: hush has the same grammar for
/// what is used here. Prints slot and counters after each start.
fn play_boots(counters: (u8, u8), starts: usize) -> String {
    let (_, folder) = boards().into_iter().find(|(name, _)| name == "rpi-cm4").unwrap();
    let choose = boot_variables(&folder).into_iter().find(|(name, _)| name == "bp_choose").unwrap().1;
    let mut script = format!("BOOT_ORDER='A B'; BOOT_A_LEFT={}; BOOT_B_LEFT={}\n", counters.0, counters.1);
    script += "setenv() { name=$1; shift; eval \"$name=\\$*\"; }\n";
    script += "setexpr() { eval \"$1=$(($2 $3 $4))\"; }\n";
    script += "saveenv() { saved=\"$BOOT_A_LEFT$BOOT_B_LEFT\"; }\n";
    script += "reset() { echo \"reset $saved\"; exit; }\n";
    for _ in 0..starts {
        writeln!(script, "{choose}\necho \"$bp_slot $bp_part $saved\"").unwrap();
    }
    let output = Command::new("sh").arg("-euc").arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_slot_that_never_becomes_good_is_left_after_three_starts() {
    // Each try is saved before the slot is started.
    assert_eq!(play_boots((3, 3), 5), "A root-a 23\nA root-a 13\nA root-a 03\nB root-b 02\nB root-b 01\n");
}

#[test]
fn when_no_slot_has_tries_left_both_get_them_back() {
    assert_eq!(play_boots((1, 1), 3), "A root-a 01\nB root-b 00\nreset 33\n");
}

#[test]
fn bring_up_notes_say_how_to_flash_what_is_known_and_what_was_not_tried() {
    for (name, folder) in boards() {
        let text = fs::read_to_string(folder.join("bring-up.md")).unwrap();
        let parts: Vec<_> = text.split("\n## ").collect();
        let heads: Vec<_> = parts.iter().map(|part| part.lines().next().unwrap()).collect();
        assert!(heads[0].starts_with(&format!("# {name}: ")), "{name}: {}", heads[0]);
        assert_eq!(heads[1..], ["Flash", "Known", "Not tried"], "{name}");
        for part in &parts[1..] {
            assert!(part.lines().skip(1).any(|line| !line.trim().is_empty()), "{name}: an empty part");
        }
    }
}

#[test]
fn what_no_board_was_there_for_is_said_of_every_hardware_encoder() {
    for (board, folder) in parsed() {
        let notes = fs::read_to_string(folder.join("bring-up.md")).unwrap();
        let untried = notes.split("\n## Not tried\n").nth(1).unwrap();
        for element in board.encoder.order.iter().filter(|name| !SOFTWARE_ENCODERS.contains(&name.as_str())) {
            assert!(untried.contains(element.as_str()), "{}: whether {element} was tried", board.name);
        }
        if let Audio::Alsa(Alsa { processed: Some(_), .. }) = &board.audio {
            assert!(untried.contains("mic array"), "{}", board.name);
        }
    }
}

// ---- No board's name in code ----

/// Where code is. Tests are left out: they choose boards by name.
const CODE: [&str; 5] = ["appliance-agent", "media-server", "firmware", "board/src", "tools"];
/// Who may name one nevertheless, and why.
const ALLOWED: [(&str, &str); 2] = [
    ("tools/xtask/src/stack/boxes.rs", "starts boxes in software: it plays the technician who writes agent.toml"),
    ("tools/xtask/src/guest.rs", "packs the machine that QEMU plays, which is that board"),
];

/// A place in a text where a board is named: its line, counted from 1.
///
/// A name that is no English word counts in every spelling, also as an identifier; one such as `pc` only as a whole string
/// or as part of a path.
fn names_board(text: &str, board: &str) -> Option<usize> {
    let is_word = !board.contains('-');
    let squeeze = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let quoted = [("\"", "\""), ("/", "\""), ("/", "/"), ("\\\"", "\\\""), ("/", "\\\"")];
    let quoted: Vec<String> = quoted.iter().map(|(before, after)| format!("{before}{board}{after}")).collect();
    let found = |line: &str| {
        quoted.iter().any(|spelling| line.contains(spelling)) || (!is_word && squeeze(line).contains(&squeeze(board)))
    };
    // In-file tests are at a file's end.
    let code = ["mod ", "#[path"].iter().fold(text, |code, tests| {
        code.split_once(&format!("#[cfg(test)]\n{tests}")).map_or(code, |(before, _)| before)
    });
    code.lines().enumerate().find(|(_, line)| !line.trim_start().starts_with("//") && found(line)).map(|(n, _)| n + 1)
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["tests", "target", "examples"].contains(&name.as_str()) {
                rust_files(&path, into);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && !name.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

#[test]
fn no_boards_name_occurs_in_code() {
    let root = board_dir().parent().unwrap();
    let mut files = Vec::new();
    for folder in CODE {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 50, "only {} files were searched", files.len());
    let mut found = String::new();
    let mut used = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (name, _) in boards() {
            let Some(line) = names_board(&text, &name) else { continue };
            match ALLOWED.iter().find(|(allowed, _)| file == root.join(allowed)) {
                Some((allowed, _)) => drop(used.insert(*allowed)),
                None => writeln!(found, "{}:{line}: the board {name}", file.display()).unwrap(),
            }
        }
    }
    assert_eq!(used.len(), ALLOWED.len(), "an exception that nobody needs any more: {ALLOWED:?}");
    assert!(found.is_empty(), "boards differ in board.toml, not in code:\n{found}");
}

#[test]
fn a_name_in_code_is_found_in_every_spelling_and_a_word_is_not_taken_for_one() {
    for code in [
        "if board.name == \"rpi-cm4\" {",
        "fn init_rpi_cm4() {}",
        "struct RpiCm4;",
        "const RPI_CM4: u8 = 1;",
        "#[cfg(feature = \"rpi-cm4\")]",
        "let folder = \"/usr/share/bridgepoint/board/rpi-cm4\";",
    ] {
        assert_eq!(names_board(&format!("\n{code}"), "rpi-cm4"), Some(2), "{code}");
    }
    for code in ["if name == \"pc\" {", "\"board/pc\"", "\"board/pc/board.toml\"", "\"\\\"/usr/share/board/pc\\\"\""] {
        assert_eq!(names_board(code, "pc"), Some(1), "{code}");
    }
    assert_eq!(names_board("#[cfg(test)]\nuse x;\nlet board = \"pc\";", "pc"), Some(3), "only tests are left out");
    for other in ["let pc = 1;", "\"pcm\"", "// \"pc\"", "\"http://\"", "#[cfg(test)]\nmod tests {\n\"pc\""] {
        assert_eq!(names_board(other, "pc"), None, "{other}");
    }
}
