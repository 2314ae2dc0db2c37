//! Compiles for other processors: with the target that `rustup` installs where that works, else with Debian's compiler in
//! a folder of its own, which builds the standard library for the target itself.
//!
//! The folder is made once, from the package source that this machine already uses, and lies below `target/cross/`.
//! `BRIDGEPOINT_CROSS=rustup` or `=debian` leaves no choice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

use crate::words::say;
use crate::workspace::{cargo, output, root, run, target};

/// Debian's release whose Rust is new enough for `rust-version`.
const SUITE: &str = "sid";
/// What is installed into the folder: the compiler, the standard library's source, linkers for host and target.
const PACKAGES: &str = "ca-certificates,cargo,gcc,libc6-dev,lld,rust-src,rustc";

/// A processor without an operating system, and what its standard library consists of.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As rustc calls it.
    pub triple: &'static str,
    /// The crates of the standard library, for `-Zbuild-std`.
    pub std: &'static str,
}

/// The front panel's.
pub const CORTEX_M4F: Target = Target { triple: "thumbv7em-none-eabihf", std: "core,compiler_builtins" };

/// How to compile for a target.
#[derive(Debug, Clone)]
pub enum Cross {
    /// The compiler that compiles everything else, with the target's standard library.
    Rustup(Target),
    /// Debian's, in a folder.
    Debian {
        /// The target.
        target: Target,
        /// The folder.
        rootfs: PathBuf,
    },
}

impl Cross {
    /// Makes ready what is needed. The first time, it takes a few seconds with `rustup` and some minutes with Debian.
    pub fn ready(target: Target) -> Result<Self> {
        match std::env::var("BRIDGEPOINT_CROSS").as_deref() {
            Ok("rustup") if !by_rustup(target)? => bail!("rustup cannot install {}", target.triple),
            Ok("rustup") => Ok(Self::Rustup(target)),
            Ok("debian") => Ok(Self::Debian { target, rootfs: rootfs()? }),
            Ok(other) => bail!("BRIDGEPOINT_CROSS is {other}: neither rustup nor debian"),
            Err(_) if by_rustup(target)? => Ok(Self::Rustup(target)),
            Err(_) => Ok(Self::Debian { target, rootfs: rootfs()? }),
        }
    }

    /// `cargo build` of the workspace in `folder` (relative to the clone) with these arguments and variables. Results lie
    /// below the returned folder, by triple and profile.
    pub fn build(&self, folder: &str, args: &[&str], env: &[(&str, &str)]) -> Result<PathBuf> {
        let manifest = Path::new(folder).join("Cargo.toml");
        match self {
            Self::Rustup(of) => {
                let into = target()?.join("cross/rustup");
                let mut cargo = cargo()?;
                cargo.args(["build", "--locked", "--target", of.triple, "--manifest-path"]).arg(root().join(&manifest));
                run(cargo.args(args).envs(env.iter().copied()).env("CARGO_TARGET_DIR", &into))?;
                Ok(into)
            }
            Self::Debian { target: of, rootfs } => {
                // The folder has no network: sources come through the host's cargo.
                run(cargo()?.args(["fetch", "--locked", "--manifest-path"]).arg(root().join(&manifest)))?;
                let into = target()?.join("cross/debian-build");
                fs::create_dir_all(&into).with_context(|| into.display().to_string())?;
                let mut inside = inside(rootfs, &into)?;
                inside.args(env.iter().map(|(name, value)| format!("{name}={value}")));
                inside.args(["RUSTC_BOOTSTRAP=1", "cargo", "build", "--locked", "--offline", "--target", of.triple]);
                inside.arg(format!("-Zbuild-std={}", of.std)).arg("-Zbuild-std-features=compiler-builtins-mem");
                run(inside.arg("--manifest-path").arg(Path::new("/src").join(&manifest)).args(args))?;
                Ok(into)
            }
        }
    }
}

/// Whether the usual compiler has the target's standard library, now or after having asked rustup for it.
fn by_rustup(target: Target) -> Result<bool> {
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

/// The folder with Debian's compiler, made when it is missing.
fn rootfs() -> Result<PathBuf> {
    let rootfs = target()?.join("cross/debian");
    let whole = rootfs.join("bridgepoint-complete");
    if whole.is_file() {
        return Ok(rootfs);
    }
    if !Path::new("/usr/bin/mmdebstrap").exists() {
        bail!("rustup cannot install the target, and mmdebstrap is not installed: cargo xtask setup --image");
    }
    say(
        "Chuẩn bị trình biên dịch của Debian (vài phút, một lần)",
        "Installing Debian's compiler into target/cross (some minutes, once)",
    );
    if rootfs.exists() {
        let mut remove = Command::new("rm");
        run(remove.args(["-r", "-f", "--one-file-system"]).arg(&rootfs))?;
    }
    fs::create_dir_all(target()?.join("cross"))?;
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--variant=apt", &format!("--include={PACKAGES}")]);
    // A mirror that is a little behind has a list that is no longer “valid”; its signature is checked all the same.
    make.args(["--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=APT::Install-Recommends \"false\""]);
    for unread in ["doc", "man", "locale"] {
        make.arg(format!("--dpkgopt=path-exclude=/usr/share/{unread}/*"));
    }
    make.arg("--customize-hook=mkdir \"$1/src\" \"$1/build\" \"$1/cargo\"");
    make.arg("--customize-hook=touch \"$1/bridgepoint-complete\"");
    run(make.arg(SUITE).arg(&rootfs).arg(format!("deb {} {SUITE} main", mirror()?)))?;
    Ok(rootfs)
}

/// Where this machine gets its Debian packages from.
fn mirror() -> Result<String> {
    let mut list = Command::new("apt-get");
    list.args(["indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", "Component: main"]);
    let list = output(&mut list)?;
    let sources = list.lines().filter_map(|line| line.split_once(' '));
    let mut debian = sources.filter(|(uri, codename)| uri.contains("debian") && !codename.contains('-'));
    let (uri, _) = debian.next_back().context("apt knows no source of Debian packages")?;
    Ok(uri.trim_end_matches('/').to_owned())
}

/// A command in the folder, with the clone read-only at `/src`, cargo's sources at `/cargo`, and `into` at `/build`. The
/// mounts are seen by this command alone, and gone with it. Variables follow as `NAME=value`, then the program.
fn inside(rootfs: &Path, into: &Path) -> Result<Command> {
    const MOUNT: &str = r#"
        set -e
        root=$1; src=$2; build=$3; cargo=$4; shift 4
        mount --bind "$src" "$root/src"
        mount -o remount,bind,ro "$root/src"
        mount --bind "$build" "$root/build"
        mount --bind "$cargo" "$root/cargo"
        mount --rbind /dev "$root/dev"
        mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
        exec chroot "$root" /usr/bin/env -i HOME=/tmp PATH=/usr/bin:/bin CARGO_HOME=/cargo CARGO_TARGET_DIR=/build "$@"
    "#;
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home).context("cargo has no home folder")?;
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", MOUNT, "cross"]).arg(rootfs).arg(root()).arg(into).arg(cargo_home);
    command.env_remove("LD_LIBRARY_PATH");
    // Debian has no rust-lld; a target with an operating system will need its own linker here.
    command.arg("CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER=ld.lld");
    command.arg("CARGO_TARGET_THUMBV7EM_NONE_EABIHF_RUSTFLAGS=-Clinker-flavor=ld.lld");
    Ok(command)
}
