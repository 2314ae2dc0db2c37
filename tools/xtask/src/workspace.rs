//! Where things are: the clone, its target folder, the programs that were built.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The clone's root.
pub fn root() -> &'static Path {
    const MANIFEST: &str = env!("CARGO_MANIFEST_DIR");
    Path::new(MANIFEST).ancestors().nth(2).expect("this crate lies two folders below the root")
}

/// The folder that this very program was built into, such as `target/release`.
pub fn bin_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("where this program lies")?;
    let folder = exe.parent().context("this program lies in no folder")?;
    // Tests lie one deeper than programs.
    Ok(if folder.file_name() == Some(OsStr::new("deps")) { folder.parent().unwrap_or(folder) } else { folder }
        .to_path_buf())
}

/// The target folder: everything that is made on the way goes below it.
pub fn target() -> Result<PathBuf> {
    let bin = bin_dir()?;
    Ok(bin.parent().unwrap_or(&bin).to_path_buf())
}

/// The programs that a stack is made of.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `bridgepoint-server`.
    pub server: PathBuf,
    /// `bridgepoint-agent`.
    pub agent: PathBuf,
    /// `panel-sim`.
    pub panel: PathBuf,
    /// `camera-sim`.
    pub camera: PathBuf,
    /// `bpctl`.
    pub bpctl: PathBuf,
    /// `mosquitto`, from the Debian package.
    pub broker: PathBuf,
}

impl Programs {
    /// The programs, or what is missing and how to get it.
    pub fn find() -> Result<Self> {
        let bin = bin_dir()?;
        let built = |name: &str| {
            let path = bin.join(name);
            if path.is_file() { Ok(path) } else { bail!("{} is not built yet: cargo build --release", path.display()) }
        };
        let broker = [Path::new("/usr/sbin/mosquitto"), Path::new("/usr/bin/mosquitto")];
        let broker = broker.into_iter().find(|path| path.is_file());
        Ok(Self {
            server: built("bridgepoint-server")?,
            agent: built("bridgepoint-agent")?,
            panel: built("panel-sim")?,
            camera: built("camera-sim")?,
            bpctl: built("bpctl")?,
            broker: broker.context("mosquitto is not installed: cargo xtask setup")?.to_path_buf(),
        })
    }
}

/// `cargo` in the clone, quiet about where the caller's environment points, the target folder of this program.
pub fn cargo() -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("CARGO_TARGET_DIR", target()?).env_remove("CARGO_MANIFEST_DIR");
    Ok(command)
}

/// GStreamer's registry: made under the target folder, so that no run leaves a cache in the home folder.
pub fn gst_registry() -> Result<PathBuf> {
    Ok(target()?.join("gstreamer-registry.bin"))
}

/// Runs to the end; an exit status other than 0 is an error that names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs to the end and gives what it printed; on failure the error holds what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        bail!("{} ended with {}:\n{}", shown(command), out.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The command line, for messages.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
