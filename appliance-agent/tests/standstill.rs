//! A box that cannot work: it writes nothing where it must not, and says on its screen why, for as long as its service
//! manager lets it.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bridgepoint_wire::text::Text;
use centre::{CODE, Centre, agent, end_of, until};
use nix::sys::signal::Signal;

const SIZE: usize = 640 * 360 * 4;
/// The screen's red (`appliance-agent/screen/src/theme.rs`): blue, green, red.
const RED: [u8; 3] = [142, 152, 255];

/// A configuration with a disk of its own, and a screen.
fn configured(centre: &Centre, disk: &Path) -> PathBuf {
    let config = centre.config(&format!("data_disk = {:?}", disk.display().to_string()));
    let screen = format!(
        "[screen]\nfile = {:?}\nwidth = 640\nheight = 360\n",
        centre.dir().join("screen").display().to_string()
    );
    std::fs::write(&config, format!("{}{screen}", std::fs::read_to_string(&config).unwrap())).unwrap();
    config
}

#[test]
fn a_box_whose_data_disk_is_not_mounted_neither_enrols_nor_runs_nor_resets_and_writes_nothing() {
    let centre = Centre::new();
    let disk = centre.dir().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let config = configured(&centre, &disk);
    for arguments in [&["run"][..], &["enrol", "--code", CODE], &["run", "--code", CODE], &["factory-reset"]] {
        let (status, said) = end_of(&mut agent(arguments, &config));
        assert_eq!(status.code(), Some(1), "{said}");
        let what = Text::DataDiskMissing.both(&[&disk.display().to_string()]);
        assert!(said.contains(&what), "{arguments:?}: {said}");
    }
    assert!(!centre.dir().join("data").exists() && !centre.dir().join("records").exists());
}

#[test]
fn a_disk_that_is_mounted_is_enough() {
    let mut centre = Centre::new();
    // Mounted everywhere.
    let config = configured(&centre, Path::new("/proc"));
    let mut enrolling = agent(&["enrol", "--code", CODE], &config);
    centre.answer_enrolment(None);
    let (status, said) = end_of(&mut enrolling);
    assert!(status.success(), "{said}");
}

#[test]
fn under_a_service_manager_the_screen_says_why_until_it_is_told_to_end() {
    let centre = Centre::new();
    let disk = centre.dir().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let config = configured(&centre, &disk);
    let manager = UnixDatagram::bind(centre.dir().join("notify")).unwrap();
    let socket = manager.local_addr().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_bridgepoint-agent"));
    run.args(["run", "--config"]).arg(&config);
    run.env("NOTIFY_SOCKET", socket.as_pathname().unwrap()).stdin(Stdio::null());
    let mut agent = centre::Agent(run.spawn().unwrap());
    let mut said = Vec::new();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    while !said.iter().any(|line: &String| line == "WATCHDOG=1") {
        let mut bytes = [0; 4096];
        let read = manager.recv(&mut bytes).unwrap();
        said.extend(String::from_utf8_lossy(&bytes[..read]).lines().map(str::to_owned));
    }
    assert!(said.iter().any(|line| line == "READY=1"), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("STATUS=The storage")), "{said:?}");
    // A cross and a title, as soon as they are drawn.
    let is_red = |picture: &Vec<u8>| picture.chunks_exact(4).filter(|pixel| pixel[..3] == RED).count() > 500;
    let picture = || std::fs::read(centre.dir().join("screen")).ok().filter(|bytes| bytes.len() == SIZE);
    until("a picture that says why", || picture().filter(is_red));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(agent.0.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(end_of(&mut agent).0.code(), Some(1));
}
