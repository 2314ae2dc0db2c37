//! Checks a session's folder without any of the server's code, from `docs/ref/record.md` alone.
//!
//! `bridgepoint-verifier FOLDER [--trust PEM] [--json]` ends with status 0 (intact), 1 (damaged), 2 (cannot be read)
//! or 3 (fits together, but is not anchored or not finished).

mod boxes;
mod folder;
mod journal;
mod shape;
mod signer;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

/// Checks the record of a session.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The session's folder: `journal.jsonl`, `session.json`, `seal.json`, the mp4 files.
    folder: PathBuf,
    /// Certificates (PEM) that are trusted: the fleet's authority, or the sealing certificate itself.
    #[arg(long, value_name = "PEM")]
    trust: Option<PathBuf>,
    /// The whole report, as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match check(&arguments) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("cannot be verified: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn check(arguments: &Arguments) -> anyhow::Result<u8> {
    let trust = match &arguments.trust {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("--trust {}", path.display()))?;
            Some(text)
        }
        None => None,
    };
    let report = folder::verify(&arguments.folder, trust.as_deref())?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(match report.verdict {
        folder::Verdict::Intact => 0,
        folder::Verdict::Damaged => 1,
        folder::Verdict::NotAnchored | folder::Verdict::Unfinished => 3,
    })
}

fn print(report: &folder::Report) {
    println!("{}", report.text);
    println!("session {}, {} journal entries, signed by {}", report.session, report.entries, report.by);
    for file in &report.files {
        println!("  {}: {} bytes, {} fragments", file.name, file.bytes, file.fragments);
    }
    for gap in &report.gaps {
        println!("  nothing of {} from {} ms to {} ms", gap.stream, gap.from_ms, gap.to_ms);
    }
    for finding in &report.findings {
        println!("  DAMAGED {} at second {}: {}", finding.file, finding.second, finding.what);
    }
    for note in &report.notes {
        println!("  note: {note}");
    }
}
