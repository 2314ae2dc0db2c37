//! The box's systemd units: correct by `systemd-analyze verify`, and confined by `systemd-analyze security`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use xtask::words::note;
use xtask::workspace::{root, target};

/// Exposure that no service may exceed, in tenths: below 2.5 of 10.
const THRESHOLD: &str = "24";

/// What our units start.
const PROGRAMS: [&str; 7] = [
    "usr/bin/bridgepoint-agent",
    "usr/bin/install",
    "usr/bin/networkctl",
    "usr/bin/rauc",
    "usr/bin/systemctl",
    "usr/bin/systemd-tmpfiles",
    "bin/true",
];

/// Every unit is verified, every service is judged; all faults are named.
pub fn check() -> Result<()> {
    if !there("systemd-analyze") {
        if std::env::var_os("CI").is_some() {
            bail!("systemd-analyze is missing: cargo xtask setup");
        }
        note("SKIPPED: systemd-analyze is missing (Debian package systemd). The units were NOT checked");
        return Ok(());
    }
    let units = listed(&root().join("appliance-agent/os/systemd/system"))?;
    let stage = stage(&units)?;
    let mut faults = Vec::new();
    for unit in &units {
        let name = unit.file_name().context("a unit has a name")?.to_string_lossy().into_owned();
        // Instances of a template, such as of slot A, are what is verified.
        let instance = name.replace("@.", "@A.");
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=one"]).arg(format!("--root={}", stage.display()));
        faults.extend(said(verify.arg(&instance))?);
        if name.ends_with(".service") {
            let mut security = Command::new("systemd-analyze");
            security.args(["security", "--offline=true", "--no-pager", &format!("--threshold={THRESHOLD}")]).arg(unit);
            let out = security.stdin(Stdio::null()).output().context("systemd-analyze")?;
            let verdict = String::from_utf8_lossy(&out.stdout);
            let verdict = verdict.lines().last().unwrap_or("no verdict").trim_start_matches("→ ").to_owned();
            note(&verdict);
            if !out.status.success() {
                faults.push(format!("{name}: {verdict}, more than {THRESHOLD} tenths"));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n  ")) }
}

fn there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut units = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    units.sort();
    if units.is_empty() {
        bail!("no unit in {}", folder.display());
    }
    Ok(units)
}

/// A root folder with our units and the programs that they start: those of this machine say nothing about a box.
fn stage(units: &[PathBuf]) -> Result<PathBuf> {
    let stage = target()?.join("units");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    let folder = stage.join("usr/lib/systemd/system");
    fs::create_dir_all(&folder)?;
    // systemd's own targets, which every unit needs, are the same everywhere; its services are the image's.
    let own = listed(Path::new("/usr/lib/systemd/system"))?;
    let targets = own.iter().filter(|unit| unit.extension().is_some_and(|end| end == "target"));
    for unit in targets.chain(units) {
        fs::copy(unit, folder.join(unit.file_name().context("a unit has a name")?))?;
    }
    for program in PROGRAMS {
        let program = stage.join(program);
        fs::create_dir_all(program.parent().context("below the stage")?)?;
        fs::write(&program, "#!/bin/sh\n")?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    }
    Ok(stage)
}

/// What a command complains about; it may do so and still succeed.
fn said(command: &mut Command) -> Result<Vec<String>> {
    let out = command.stdin(Stdio::null()).output().context("systemd-analyze")?;
    let mut faults: Vec<String> = String::from_utf8_lossy(&out.stderr).lines().map(str::to_owned).collect();
    if !out.status.success() && faults.is_empty() {
        faults.push(format!("systemd-analyze verify ended with {}", out.status));
    }
    Ok(faults)
}
