//! A start that cannot be: one message with what happened, what it means and what to do, and nothing half-written.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};

use centre::{Centre, SERVER, init, ports};

fn run(config: &Path) -> Output {
    Command::new(SERVER).args(["run", "--config"]).arg(config).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn all_faults_of_the_configuration_are_told_at_once() {
    let centre = Centre::new();
    let file = centre.dir().join("server.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("hots = 1\n{config}main_width = \"x\"\n")).unwrap();
    let ended = run(&file);
    assert_eq!(ended.status.code(), Some(2));
    let said = text(&ended);
    assert!(said.contains("hots") && said.contains("media.main_width") && said.contains("server.toml"), "{said}");
    assert!(!centre.dir().join("run/status.json").exists());
}

#[test]
fn a_missing_file_and_a_second_init_are_told() {
    let centre = Centre::new();
    assert_eq!(run(&centre.dir().join("nothing.toml")).status.code(), Some(2));
    let before = fs::read(centre.pki("trust.pem")).unwrap();
    let again = init(&centre.dir(), &ports());
    assert!(!again.status.success() && text(&again).contains("holds a centre already"));
    assert_eq!(fs::read(centre.pki("trust.pem")).unwrap(), before);
}

#[test]
fn taken_ports_are_named_with_their_key() {
    let centre = Centre::new();
    let file = centre.dir().join("server.toml");
    let taken = TcpListener::bind(("127.0.0.1", centre.ports.http)).unwrap();
    let ended = run(&file);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended).contains("http.listen") && text(&ended).contains(&centre.ports.http.to_string()));
    drop(taken);
    let _taken = UdpSocket::bind(("127.0.0.1", centre.ports.media)).unwrap();
    let ended = run(&file);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended).contains("media.port"), "{}", text(&ended));
}

#[test]
fn an_archive_that_cannot_be_written_or_is_full_stops_the_start() {
    let centre = Centre::new();
    let file = centre.dir().join("server.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("min_free_mib = 512", "min_free_mib = 1000000000000")).unwrap();
    let ended = run(&file);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended).contains("MiB"), "{}", text(&ended));
    fs::write(&file, config).unwrap();
    fs::remove_dir(centre.dir().join("archive")).unwrap();
    fs::write(centre.dir().join("archive"), b"a file").unwrap();
    let ended = run(&file);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended).contains("cannot be written"), "{}", text(&ended));
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let mut centre = Centre::new();
    centre.start_server();
    let ended = run(&centre.dir().join("server.toml"));
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended).contains("another server"), "{}", text(&ended));
}
