//! An arm64 system for QEMU: a Debian with the box's own program, units and files, laid out as `docs/ref/os.md` says.
//!
//! Nothing of it is run while it is made: packages are unpacked, and the file systems are written as files.

mod initrd;
mod libraries;
mod modules;
mod root;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

pub use root::{agent_toml, rauc_conf};

use crate::cross::{AARCH64, Cross};
use crate::debian::{Depth, Tree};
use crate::words::say;
use crate::workspace::{run, target};

/// The board's name, as in `board/<name>`.
pub const BOARD: &str = "qemu-arm64";

/// The guest's disks.
pub const SLOT_A: &str = "/dev/vda";
/// Where keys, store and records are.
pub const DATA: &str = "/dev/vdb";
/// The other slot: of a new box, empty.
pub const SLOT_B: &str = "/dev/vdc";

/// What runs in the guest.
const SYSTEM: Tree = Tree {
    name: "guest-arm64",
    purpose: ["hệ thống arm64", "an arm64 system"],
    suite: "trixie",
    depth: Depth::Files,
    architectures: "arm64",
    packages: "alsa-utils,base-files,coreutils,dash,dbus,e2fsprogs,findutils,grep,gstreamer1.0-alsa,\
               gstreamer1.0-plugins-bad,gstreamer1.0-plugins-base,gstreamer1.0-plugins-good,gstreamer1.0-plugins-ugly,\
               hostname,kmod,libc-bin,mount,rauc,rauc-service,sed,systemd-sysv,udev,usbip,util-linux",
    mounts: &[],
};

/// Its kernel: the oldest release of Debian whose kernel has gpio-sim. And RAUC: from Linux 6.19 on, one older than 1.15.2 does
/// not understand what the kernel says of a verity bundle (rauc#1842).
const KERNEL: Tree = Tree {
    name: "kernel-arm64",
    purpose: ["nhân arm64", "an arm64 kernel"],
    suite: "sid",
    depth: Depth::Files,
    architectures: "arm64",
    packages: "busybox-static,linux-image-arm64,rauc",
    mounts: &[],
};

/// Files of the guest.
#[derive(Debug, Clone)]
pub struct Guest {
    /// For QEMU's `-kernel`.
    pub kernel: PathBuf,
    /// For QEMU's `-initrd`.
    pub initrd: PathBuf,
    /// The root file system, ext4. Never written to: tests take a copy.
    pub root: PathBuf,
}

impl Guest {
    /// Compiles the agent and packs everything anew. The first time it takes some minutes.
    pub fn build() -> Result<Self> {
        say("Dựng chương trình của thiết bị cho arm64", "Building the box's program for arm64");
        let agent = build_agent()?;
        let (system, kernel) = (SYSTEM.ready()?, KERNEL.ready()?);
        say("Đóng gói hệ thống arm64", "Packing the arm64 system");
        let guest = Self::named()?;
        let modules = modules::Modules::of(&kernel)?;
        copy(&modules.folder.join("vmlinuz"), &guest.kernel)?;
        initrd::write(&guest.initrd, &kernel, &modules)?;
        let tree = target()?.join("guest/tree");
        root::lay_out(&tree, &system, &kernel, &modules, &agent)?;
        pack(&tree, &guest.root)?;
        Ok(guest)
    }

    /// What [`Guest::build`] made before.
    pub fn find() -> Result<Self> {
        let guest = Self::named()?;
        if !guest.root.is_file() {
            bail!("{} is not built yet: cargo xtask image", guest.root.display());
        }
        Ok(guest)
    }

    fn named() -> Result<Self> {
        let folder = target()?.join("guest");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { kernel: folder.join("Image"), initrd: folder.join("initrd.img"), root: folder.join("root.ext4") })
    }
}

/// Without what only a debugger reads: the guest's disk is small, and so is a box's.
fn build_agent() -> Result<PathBuf> {
    let stripped = [("CARGO_PROFILE_RELEASE_DEBUG", "none"), ("CARGO_PROFILE_RELEASE_STRIP", "symbols")];
    let built = Cross::ready(AARCH64)?.build(".", &["--release", "--package", "bridgepoint-agent"], &stripped)?;
    Ok(built.join("bridgepoint-agent"))
}

/// A folder as an ext4 file system in a file, with a quarter of it free.
fn pack(tree: &Path, image: &Path) -> Result<()> {
    let mut size = Command::new("du");
    let size = crate::workspace::output(size.args(["-s", "--block-size=1M"]).arg(tree))?;
    let used: u64 = size.split_whitespace().next().and_then(|mib| mib.parse().ok()).context("du")?;
    make_ext4(image, "root", used * 5 / 4 + 16, Some(tree))
}

/// A file with an ext4 file system of so many MiB, with a folder's content or empty.
pub fn make_ext4(image: &Path, label: &str, mib: u64, content: Option<&Path>) -> Result<()> {
    let _ = fs::remove_file(image);
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-m", "0", "-L", label]);
    if let Some(content) = content {
        make.arg("-d").arg(content);
    }
    run(make.arg(image).arg(format!("{mib}M")))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display())).map(drop)
}
