//! `cargo xtask bench`: figures of the real system on this machine, against their targets.

mod latency;
mod mix;
mod plot;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde::Serialize;
use xtask::clips::Marks;
use xtask::sites;
use xtask::stack::{Plan, Stack};
use xtask::workspace::target;

use crate::demo::build;
use crate::setup::{Scope, setup};

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Write the table as JSON too.
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// From the press of a button to every box showing the program.
    Start,
    /// From camera to screen and from mouth to ear, through the centre.
    Latency,
    /// CPU of the conference worker, beside the same job done by a plain GStreamer pipeline.
    Mix(mix::Args),
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
struct Line {
    name: String,
    value: f64,
    unit: &'static str,
    /// The value must be below; nothing is asked when absent.
    target: Option<f64>,
}

impl Line {
    fn reached(&self) -> bool {
        self.target.is_none_or(|target| self.value < target)
    }
}

/// Measures, prints the table. Success means that every target was reached.
pub fn bench(args: &Args) -> Result<ExitCode> {
    setup(Scope::All, false)?;
    build()?;
    let lines = match &args.what {
        What::Start => start::measure()?,
        What::Latency => latency::measure()?,
        What::Mix(args) => mix::measure(args)?,
    };
    for line in &lines {
        let Line { name, value, unit, target } = line;
        let target = target.map_or_else(|| "-".to_owned(), |target| target.to_string());
        println!("{name:<36} {value:>9.3} {unit:<8} {target:>6} {}", if line.reached() { "PASS" } else { "FAIL" });
    }
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&lines)?).with_context(|| file.display().to_string())?;
    }
    Ok(if lines.iter().all(Line::reached) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Three boxes that film marks, online.
fn three_boxes(name: &str) -> Result<Stack> {
    let dir = target()?.join("bench").join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    }
    let sites = sites::defaults(3)?;
    let clips = Marks::THREE.iter().map(|marks| marks.clip()).collect::<Result<Vec<_>>>()?;
    let mut stack = Stack::start(Plan { dir, sites, clips, layout: None, spare: None, open_listener: None })?;
    stack.add_boxes(|_| {})?;
    stack.wait_online(std::time::Duration::from_mins(1))?;
    Ok(stack)
}

/// The value below which that share of all values lies.
fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
