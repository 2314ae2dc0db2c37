//! `cargo xtask check`: what every submission must pass besides its tests.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use xtask::words::{note, say};
use xtask::workspace::{cargo, root, run, target};

use crate::setup::{Scope, setup};
use crate::{deny, links, rules, units, yocto};

type Step = (&'static str, &'static str, fn() -> Result<()>);

const STEPS: [Step; 9] = [
    ("Định dạng mã nguồn", "Format (cargo fmt)", format),
    ("Luật phụ thuộc", "Dependency rules", rules::check),
    ("Chứng minh no_std", "Proof of no_std", no_std),
    ("Phân tích mã (clippy)", "Lints (cargo clippy)", clippy),
    ("Đơn vị systemd của thiết bị", "The box's units (systemd-analyze)", units::check),
    ("Tài liệu mã nguồn", "Documentation (cargo doc)", docs),
    ("Liên kết trong tài liệu", "Links of the documents", links::check),
    ("Giấy phép, nguồn, thư viện bị cấm (cargo deny)", "Licences, sources, bans (cargo deny)", deny::check),
    ("Ảnh hệ thống (Yocto)", "The image's recipes (yocto/)", yocto::check),
];

/// Runs every step, also after one has failed, and names those that did.
pub fn check() -> Result<ExitCode> {
    setup(Scope::All, false)?;
    let mut failed = Vec::new();
    for (vi, en, step) in STEPS {
        say(vi, en);
        let begun = Instant::now();
        match step() {
            Ok(()) => note(format_args!("ok, {:.0} s", begun.elapsed().as_secs_f32())),
            Err(error) => {
                note(format_args!("FAILED: {error:#}"));
                failed.push(en);
            }
        }
    }
    if failed.is_empty() {
        say("Mọi kiểm tra đều đạt", "Every check passed");
        return Ok(ExitCode::SUCCESS);
    }
    say("Không đạt:", format_args!("Failed: {}", failed.join(", ")));
    Ok(ExitCode::FAILURE)
}

fn format() -> Result<()> {
    run(cargo()?.args(["fmt", "--all", "--check"]))?;
    run(cargo()?.args(["fmt", "--all", "--check", "--manifest-path", "firmware/mcu/Cargo.toml"]))
}

fn clippy() -> Result<()> {
    let all = ["--release", "--workspace", "--all-targets", "--features", "scenarios/image", "--quiet"];
    run(cargo()?.arg("clippy").args(all).args(["--", "-D", "warnings"]))
}

fn docs() -> Result<()> {
    let mut doc = cargo()?;
    doc.args(["doc", "--release", "--workspace", "--no-deps", "--quiet"]);
    // A link to a private item is for those who read the source.
    run(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
}

/// Builds what a microcontroller must be able to run as a static library with a panic handler of its own: a
/// dependency that brings std along has a second one, and the build fails (E0152).
fn no_std() -> Result<()> {
    let manifest = root().join("tools/no-std-proof/Cargo.toml");
    let mut build = cargo()?;
    build.args(["build", "--quiet", "--locked", "--release", "--manifest-path"]).arg(&manifest);
    build.env("CARGO_TARGET_DIR", target()?.join("no-std-proof"));
    run(&mut build).context("firmware/ needs something that a microcontroller has not")
}
