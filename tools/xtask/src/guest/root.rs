//! Lays out the guest's root file system: Debian's files as far as they are used, ours as on a box, the bench's.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::modules::{LATER, Modules};
use super::{BOARD, SLOT_A, SLOT_B, libraries};
use crate::debian::remove;
use crate::workspace::{root, run};

/// Debian's libraries for this processor.
const LIBRARIES: &str = "usr/lib/aarch64-linux-gnu";
/// Debian's files that the guest has. Of the libraries, those that these ask for.
const KEPT: [&str; 20] = [
    "etc/dbus-1",
    "etc/pam.d",
    "etc/security",
    "etc/systemd",
    "etc/udev",
    "usr/bin",
    "usr/lib/aarch64-linux-gnu/gstreamer1.0",
    "usr/lib/aarch64-linux-gnu/systemd",
    "usr/lib/ld-linux-aarch64.so.1",
    "usr/lib/modprobe.d",
    "usr/lib/os-release",
    "usr/lib/sysctl.d",
    "usr/lib/systemd",
    "usr/lib/sysusers.d",
    "usr/lib/tmpfiles.d",
    "usr/lib/udev",
    "usr/libexec",
    "usr/sbin",
    "usr/share/alsa",
    "usr/share/dbus-1",
];
/// Plugins whose package has another name than they have.
const CORE_PLUGINS: [&str; 1] = ["coreelements"];
/// Where our files go: `docs/ref/os.md`.
const OURS: [(&str, &str); 7] = [
    ("systemd/system", "usr/lib/systemd/system"),
    ("systemd/system.conf.d", "usr/lib/systemd/system.conf.d"),
    ("systemd/journald.conf.d", "usr/lib/systemd/journald.conf.d"),
    ("systemd/tmpfiles.d", "usr/lib/tmpfiles.d"),
    ("systemd/sysusers.d", "usr/lib/sysusers.d"),
    ("udev", "usr/lib/udev/rules.d"),
    ("dbus", "usr/share/dbus-1/system.d"),
];

/// What Debian's systemd does at a start and a box's own does not: it is built without (systemd_%.bbappend).
const ABSENT: [&str; 19] = [
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "getty.target",
    "ldconfig.service",
    "modprobe@drm.service",
    "modprobe@fuse.service",
    "proc-sys-fs-binfmt_misc.automount",
    "rauc-mark-good.service",
    "run-lock.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-logind.service",
    "systemd-network-generator.service",
    "systemd-networkd-persistent-storage.service",
    "systemd-random-seed.service",
    "systemd-tpm2-setup-early.service",
    "systemd-udev-load-credentials.service",
    "systemd-user-sessions.service",
];
/// The only generator that has something to generate from.
const GENERATOR: &str = "systemd-fstab-generator";

/// Makes the folder anew. `newer`: what of a newer Debian belongs to its kernel.
pub fn lay_out(tree: &Path, system: &Path, newer: &Path, modules: &Modules, agent: &Path) -> Result<()> {
    remove(tree)?;
    for folder in ["dev", "etc/bridgepoint", "etc/rauc", "proc", "run", "sys", "tmp", "usr/lib", "var"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    for (link, to) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")] {
        symlink(to, tree.join(link))?;
    }
    for path in KEPT {
        lay(&system.join(path), &tree.join(path))?;
    }
    place(agent, &tree.join("usr/bin/bridgepoint-agent"), 0o755)?;
    place(&newer.join("usr/bin/rauc"), &tree.join("usr/bin/rauc"), 0o755)?;
    plugins(system, tree)?;
    let wanted = libraries::needed(&programs(tree)?, &system.join(LIBRARIES))?;
    for library in wanted {
        // Its name is a link, and what it asks for is this name.
        super::copy(&system.join(LIBRARIES).join(&library), &tree.join(LIBRARIES).join(&library))?;
    }
    modules.install(&LATER, tree)?;
    ours(tree)?;
    overlay(&root().join("tests/image/guest"), tree)?;
    users(tree)?;
    enable(tree)?;
    leave_out(tree)
}

/// Files and links below a folder (or one file) as they are, without copying their bytes.
fn lay(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("it lies in a folder")?)?;
    run(Command::new("cp").args(["--archive", "--link"]).arg(from).arg(to))
}

/// The plugins that a box's image has: the same list (docs/guide/image.md).
fn plugins(system: &Path, tree: &Path) -> Result<()> {
    let recipe = root().join("yocto/meta-bridgepoint/recipes-core/packagegroups/packagegroup-bridgepoint-media.bb");
    let text = fs::read_to_string(&recipe).with_context(|| recipe.display().to_string())?;
    let packages = text.split_whitespace().filter_map(|word| word.strip_prefix("gstreamer1.0-plugins-"));
    let named = packages.filter_map(|package| package.split_once('-')).map(|(_, name)| name);
    let folder = Path::new(LIBRARIES).join("gstreamer-1.0");
    fs::create_dir_all(tree.join(&folder))?;
    for name in named.chain(CORE_PLUGINS) {
        let file = folder.join(format!("libgst{name}.so"));
        super::copy(&system.join(&file), &tree.join(&file))?;
    }
    Ok(())
}

/// All that may be a program: regular files with the right to be run, and everything that is loaded by one.
fn programs(tree: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["usr/bin", "usr/sbin", "usr/lib", "usr/libexec"].map(|folder| tree.join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type()))?;
            let kind = kind?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// What `appliance-agent/os` and `board` have, filled in for this board.
fn ours(tree: &Path) -> Result<()> {
    let os = root().join("appliance-agent/os");
    for (from, to) in OURS {
        for entry in fs::read_dir(os.join(from)).with_context(|| from.to_owned())? {
            let entry = entry?;
            place(&entry.path(), &tree.join(to).join(entry.file_name()), 0o644)?;
        }
    }
    place(&os.join("rauc/rauc-boot"), &tree.join("usr/lib/bridgepoint/rauc-boot"), 0o755)?;
    for entry in fs::read_dir(root().join("board"))? {
        let profile = entry?.path().join("board.toml");
        if profile.is_file() {
            let to = tree.join("usr/share/bridgepoint").join(profile.strip_prefix(root())?);
            place(&profile, &to, 0o644)?;
        }
    }
    Ok(())
}

/// `agent.toml` of a box with this board, which enrols there (`host:port`).
pub fn agent_toml(broker: &str) -> Result<String> {
    let file = root().join("appliance-agent/os/agent.toml");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(text.replace("@BOARD@", BOARD).replace("@BROKER@", broker))
}

/// RAUC's configuration of a box with this board, whose boot loader is the first root's script.
pub fn rauc_conf() -> Result<String> {
    let file = root().join("appliance-agent/os/rauc/system.conf.in");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let filled = [("@BOARD@", BOARD), ("@BOOTLOADER@", "custom"), ("@SLOT_A@", SLOT_A), ("@SLOT_B@", SLOT_B)];
    Ok(filled.into_iter().fold(text, |text, (place, value)| text.replace(place, value)))
}

/// Everything below a folder to the same place below the root; what is in a folder `bench` is run.
fn overlay(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("an entry has a name")?);
        if path.is_dir() {
            overlay(&path, &target)?;
        } else {
            let is_program = from.file_name().is_some_and(|name| name == "bench");
            place(&path, &target, if is_program { 0o755 } else { 0o644 })?;
        }
    }
    Ok(())
}

/// A file of its own: never written through a link into Debian's files.
fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    let _ = fs::remove_file(to);
    super::copy(from, to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(|| to.display().to_string())
}

/// The users that packages and ours ask for. Made here, for the root is read-only in the guest.
fn users(tree: &Path) -> Result<()> {
    let folder = tree.join("usr/lib/sysusers.d");
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        // A user that cannot be logged in: an older systemd than the guest's does not know the mark.
        fs::remove_file(&path)?;
        fs::write(&path, text.replace("u! ", "u  ").replace("u!\t", "u\t"))?;
    }
    let mut sysusers = Command::new("systemd-sysusers");
    crate::workspace::output(sysusers.arg(format!("--root={}", tree.display()))).map(drop)
}

fn leave_out(tree: &Path) -> Result<()> {
    let system = tree.join("etc/systemd/system");
    for unit in ABSENT {
        symlink("/dev/null", system.join(unit)).with_context(|| unit.to_owned())?;
    }
    for entry in fs::read_dir(tree.join("usr/lib/systemd/system-generators"))? {
        let generator = entry?;
        if generator.file_name() != GENERATOR {
            fs::remove_file(generator.path())?;
        }
    }
    Ok(())
}

/// Units of ours that have a section `[Install]`, and what every system needs.
fn enable(tree: &Path) -> Result<()> {
    let mut units: BTreeSet<String> = BTreeSet::from(["systemd-networkd.service".to_owned()]);
    for folder in ["appliance-agent/os/systemd/system", "tests/image/guest/usr/lib/systemd/system"] {
        for entry in fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            let is_wanted = path.is_file() && fs::read_to_string(&path)?.contains("\n[Install]\n");
            if let (true, Some(name)) = (is_wanted, path.file_name()) {
                units.insert(name.to_string_lossy().into_owned());
            }
        }
    }
    let mut systemctl = Command::new("systemctl");
    systemctl.arg(format!("--root={}", tree.display())).args(["--quiet", "enable"]).args(&units);
    crate::workspace::output(&mut systemctl).map(drop)
}
