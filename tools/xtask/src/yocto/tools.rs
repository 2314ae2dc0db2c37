//! kas, oelint-adv and yamllint: pinned Python packages in a folder of their own below the target folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use xtask::words::say;
use xtask::workspace::{run, target};

/// Versions and checksums of everything that comes along.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The folder with the programs; installed when it is not there in these versions.
pub fn bin() -> Result<PathBuf> {
    let folder = target()?.join("tools/yocto");
    let stamp = folder.join("requirements.txt");
    let bin = folder.join("bin");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == REQUIREMENTS) && bin.join("python").is_file() {
        return Ok(bin);
    }
    say("Cài kas, oelint-adv, yamllint (một lần)", "Installing kas, oelint-adv, yamllint (once)");
    let _ = fs::remove_dir_all(&folder);
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context("python3-venv: cargo xtask setup")?;
    let pins = folder.join("pins.txt");
    fs::write(&pins, REQUIREMENTS).with_context(|| pins.display().to_string())?;
    let mut pip = Command::new(bin.join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r"]);
    run(pip.arg(&pins)).context("pip cannot fetch the checks of yocto/")?;
    // Last: an installation that was cut short is made again.
    fs::rename(&pins, &stamp)?;
    Ok(bin)
}
