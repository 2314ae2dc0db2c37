//! What a confined process can still do, tried by a process that confines itself.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use bridgepoint_link::confine::{Confinement, Limits, Sockets, confine};

/// Names the folder, in the process that is to be confined.
const FOLDER: &str = "CONFINE_TRIAL";
const UDP: &str = "CONFINE_TRIAL_UDP";

/// Runs the test of that name once more, as a process of its own, and gives what it printed.
fn trial(name: &str, folder: &Path, udp: bool) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(FOLDER, folder);
    if udp {
        command.env(UDP, "yes");
    }
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// What the confined process does; prints what worked.
fn act(folder: &Path) {
    let open = UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = folder.join("own");
    let read = folder.join("read");
    let limits = Limits {
        read: &[&read],
        write: &[&own],
        devices: false,
        sockets: if std::env::var_os(UDP).is_some() { Sockets::UDP } else { Sockets::None },
    };
    assert_eq!(confine(&limits), Confinement { files: true, sockets: true });
    let worked = [
        (
            "writes its own",
            fs::write(own.join("a"), "a").and_then(|()| fs::rename(own.join("a"), own.join("b"))).is_ok(),
        ),
        ("reads what it may", fs::read(read.join("film")).is_ok()),
        ("writes what it may read", fs::write(read.join("film"), "x").is_ok()),
        ("writes elsewhere", fs::write(folder.join("elsewhere"), "x").is_ok()),
        ("reads elsewhere", fs::read(folder.join("secret")).is_ok()),
        ("sends on the socket it has", open.send_to(b"x", open.local_addr().unwrap()).is_ok()),
        ("opens UDP", UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.connect("127.0.0.1:9")).is_ok()),
        ("opens TCP", !denied(TcpStream::connect("127.0.0.1:1").err())),
        ("opens a Unix socket", !denied(UnixStream::connect(own.join("no.sock")).err())),
        ("sees the processors", std::thread::available_parallelism().is_ok()),
    ];
    for (what, _) in worked.iter().filter(|(_, worked)| *worked) {
        println!("= {what}");
    }
}

fn denied(error: Option<std::io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

#[test]
fn a_confined_process_keeps_its_folders_and_its_sockets_and_nothing_else() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return act(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    for own in ["own", "read"] {
        fs::create_dir(folder.path().join(own)).unwrap();
    }
    for file in ["secret", "read/film"] {
        fs::write(folder.path().join(file), "old").unwrap();
    }
    let name = "a_confined_process_keeps_its_folders_and_its_sockets_and_nothing_else";
    let worked = |udp| {
        let said = trial(name, folder.path(), udp);
        said.lines().filter_map(|line| line.split_once("= ").map(|(_, what)| what.to_owned())).collect::<Vec<_>>()
    };
    let always = ["writes its own", "reads what it may", "sends on the socket it has", "sees the processors"];
    assert_eq!(worked(false), always);
    let [a, b, c, d] = always;
    assert_eq!(worked(true), [a, b, c, "opens UDP", d]);
}
