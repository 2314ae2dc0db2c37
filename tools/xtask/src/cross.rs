//! Compiles for other processors: with the target that `rustup` installs where that works, else with Debian's compiler in
//! a folder of its own.
//!
//! A processor without a system gets a standard library that is built for it; a Linux gets Debian's, and links against
//! the files of a Debian for that processor. All folders are made once and lie below `target/cross/`.
//! `BRIDGEPOINT_CROSS=rustup` or `=debian` leaves no choice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

use crate::debian::{Depth, Tree};
use crate::workspace::{cargo, output, root, run, target};

/// The compilers: Debian's release whose Rust is new enough for `rust-version`.
const COMPILERS: Tree = Tree {
    name: "debian",
    purpose: ["trình biên dịch của Debian", "Debian's compilers"],
    suite: "sid",
    depth: Depth::Installed,
    architectures: "amd64,arm64",
    packages: "ca-certificates,cargo,cmake,gcc,gcc-aarch64-linux-gnu,libc6-dev,libstd-rust-dev:arm64,lld,make,pkgconf,\
               rust-src,rustc",
    mounts: &["src", "build", "cargo", "sysroot"],
};

/// What a program for an arm64 Linux is linked against. Older than what it will meet there: a program that was linked
/// with a newer C library does not start with an older one.
const ARM64: Tree = Tree {
    name: "sysroot-arm64",
    purpose: ["thư viện arm64", "libraries for arm64"],
    suite: "trixie",
    depth: Depth::Files,
    architectures: "arm64",
    packages: "libc6-dev,libgcc-14-dev,libgstreamer1.0-dev,libgstreamer-plugins-base1.0-dev",
    mounts: &[],
};

/// What to compile for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As rustc calls it.
    pub triple: &'static str,
    /// What is there beside the processor.
    system: System,
}

#[derive(Debug, Clone, Copy)]
enum System {
    /// Nothing. The crates of the standard library, for `-Zbuild-std`.
    None(&'static str),
    /// Linux with the GNU C library.
    Linux {
        /// As Debian's compilers and folders of libraries are called.
        gnu: &'static str,
        sysroot: &'static Tree,
    },
}

/// The front panel's.
pub const CORTEX_M4F: Target =
    Target { triple: "thumbv7em-none-eabihf", system: System::None("core,compiler_builtins") };
/// The box's.
pub const AARCH64: Target =
    Target { triple: "aarch64-unknown-linux-gnu", system: System::Linux { gnu: "aarch64-linux-gnu", sysroot: &ARM64 } };

/// How to compile for a target.
#[derive(Debug, Clone)]
pub struct Cross {
    target: Target,
    way: Way,
    /// Libraries and headers of the target's system.
    sysroot: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Way {
    /// The compiler that compiles everything else, with the target's standard library.
    Rustup,
    /// Debian's, in this folder.
    Debian(PathBuf),
}

impl Cross {
    /// Makes ready what is needed. The first time, it takes a few seconds with `rustup` and some minutes with Debian.
    pub fn ready(target: Target) -> Result<Self> {
        let debian = || COMPILERS.ready().map(Way::Debian);
        let way = match std::env::var("BRIDGEPOINT_CROSS").as_deref() {
            Ok("rustup") if !by_rustup(target)? => {
                bail!("rustup cannot install {}, or its linker is missing", target.triple)
            }
            Ok("rustup") => Way::Rustup,
            Ok("debian") => debian()?,
            Ok(other) => bail!("BRIDGEPOINT_CROSS is {other}: neither rustup nor debian"),
            Err(_) if by_rustup(target)? => Way::Rustup,
            Err(_) => debian()?,
        };
        let sysroot = match target.system {
            System::None(_) => None,
            System::Linux { sysroot, .. } => Some(sysroot.ready()?),
        };
        Ok(Self { target, way, sysroot })
    }

    /// `cargo build` of the workspace in `folder` (relative to the clone) with these arguments and variables. Returns the
    /// folder of what was built with `--release`.
    pub fn build(&self, folder: &str, args: &[&str], env: &[(&str, &str)]) -> Result<PathBuf> {
        let manifest = Path::new(folder).join("Cargo.toml");
        let into = match &self.way {
            Way::Rustup => {
                let into = target()?.join("cross/rustup");
                let mut cargo = cargo()?;
                cargo.args(["build", "--locked", "--target", self.target.triple, "--manifest-path"]);
                cargo.arg(root().join(&manifest)).args(args).envs(env.iter().copied());
                cargo.envs(self.linking(self.sysroot.as_deref()));
                run(cargo.env("CARGO_TARGET_DIR", &into))?;
                into
            }
            Way::Debian(compilers) => {
                // The folder has no network: sources come through the host's cargo.
                run(cargo()?.args(["fetch", "--locked", "--manifest-path"]).arg(root().join(&manifest)))?;
                let into = target()?.join("cross/debian-build");
                fs::create_dir_all(&into).with_context(|| into.display().to_string())?;
                let mut inside = self.inside(compilers, &into)?;
                inside.args(env.iter().map(|(name, value)| format!("{name}={value}")));
                inside.args(["cargo", "build", "--locked", "--offline", "--target", self.target.triple]);
                if let System::None(std) = self.target.system {
                    inside.arg(format!("-Zbuild-std={std}")).arg("-Zbuild-std-features=compiler-builtins-mem");
                }
                run(inside.arg("--manifest-path").arg(Path::new("/src").join(&manifest)).args(args))?;
                into
            }
        };
        Ok(into.join(self.target.triple).join("release"))
    }

    /// Variables that make cargo, build scripts and compilers find the target's linker and its libraries in `sysroot`.
    fn linking(&self, sysroot: Option<&Path>) -> Vec<(String, String)> {
        let triple = self.target.triple.replace('-', "_");
        let of_cargo = |key: &str| format!("CARGO_TARGET_{}_{key}", triple.to_uppercase());
        match (self.target.system, sysroot) {
            (System::Linux { gnu, .. }, Some(sysroot)) => {
                let sysroot = sysroot.display();
                let libraries = format!("{sysroot}/usr/lib/{gnu}/pkgconfig:{sysroot}/usr/share/pkgconfig");
                vec![
                    (of_cargo("LINKER"), format!("{gnu}-gcc")),
                    (of_cargo("RUSTFLAGS"), format!("-Clink-arg=--sysroot={sysroot}")),
                    (format!("CC_{triple}"), format!("{gnu}-gcc")),
                    (format!("AR_{triple}"), format!("{gnu}-ar")),
                    (format!("CFLAGS_{triple}"), format!("--sysroot={sysroot}")),
                    (format!("PKG_CONFIG_SYSROOT_DIR_{triple}"), sysroot.to_string()),
                    (format!("PKG_CONFIG_LIBDIR_{triple}"), libraries),
                    ("PKG_CONFIG_ALLOW_CROSS".into(), "1".into()),
                ]
            }
            // Debian has no rust-lld.
            (System::None(_), _) if matches!(self.way, Way::Debian(_)) => vec![
                (of_cargo("LINKER"), "ld.lld".into()),
                (of_cargo("RUSTFLAGS"), "-Clinker-flavor=ld.lld".into()),
                ("RUSTC_BOOTSTRAP".into(), "1".into()),
            ],
            _ => Vec::new(),
        }
    }

    /// A command in the folder of compilers, with the clone read-only at `/src`, cargo's sources at `/cargo`, the target's
    /// libraries at `/sysroot` and `into` at `/build`. The mounts are seen by this command alone, and gone with it.
    /// Variables follow as `NAME=value`, then the program.
    fn inside(&self, compilers: &Path, into: &Path) -> Result<Command> {
        const MOUNT: &str = r#"
            set -e
            root=$1; src=$2; build=$3; cargo=$4; sysroot=$5; shift 5
            mount --bind "$src" "$root/src"
            mount -o remount,bind,ro "$root/src"
            mount --bind "$build" "$root/build"
            mount --bind "$cargo" "$root/cargo"
            mount --bind "$sysroot" "$root/sysroot"
            mount --rbind /dev "$root/dev"
            mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
            exec chroot "$root" /usr/bin/env -i HOME=/tmp PATH=/usr/bin:/bin CARGO_HOME=/cargo CARGO_TARGET_DIR=/build "$@"
        "#;
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
        let cargo_home =
            std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home).context("cargo has no home folder")?;
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", MOUNT, "cross"]).arg(compilers).arg(root()).arg(into).arg(cargo_home);
        // A target without a system has nothing to be mounted there.
        command.arg(self.sysroot.as_deref().unwrap_or(&compilers.join("sysroot")));
        command.env_remove("LD_LIBRARY_PATH");
        let linking = self.linking(Some(Path::new("/sysroot")));
        command.args(linking.into_iter().map(|(name, value)| format!("{name}={value}")));
        Ok(command)
    }
}

/// Whether the usual compiler has the target's standard library, now or after having asked rustup for it, and this machine
/// a linker for it.
fn by_rustup(target: Target) -> Result<bool> {
    if let System::Linux { gnu, .. } = target.system
        && Command::new(format!("{gnu}-gcc")).arg("--version").stdout(Stdio::null()).status().is_err()
    {
        return Ok(false);
    }
    let mut ask = Command::new("rustc");
    ask.args(["--print", "target-libdir", "--target", target.triple]);
    let libdir = PathBuf::from(output(&mut ask)?.trim());
    if libdir.is_dir() {
        return Ok(true);
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", target.triple]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(add.status().is_ok_and(|status| status.success()) && libdir.is_dir())
}
