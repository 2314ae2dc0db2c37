//! `cargo xtask bench`: figures of the real system on this machine, against their targets.

mod agent;
mod camera;
mod latency;
mod mix;
mod plot;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use xtask::clips::Marks;
use xtask::sites;
use xtask::stack::{Plan, Stack};
use xtask::table;
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
    /// CPU and memory of a box's media process, beside its encoders alone.
    Agent,
    /// From a request for a box's camera to its first byte on the line.
    Camera,
    /// CPU of the conference worker, beside the same job done by a plain GStreamer pipeline.
    Mix(mix::Args),
}

/// Measures, prints the table. Success means that every target was reached.
pub fn bench(args: &Args) -> Result<ExitCode> {
    setup(Scope::All, false)?;
    build()?;
    let lines = match &args.what {
        What::Start => start::measure()?,
        What::Latency => latency::measure()?,
        What::Agent => agent::measure()?,
        What::Camera => camera::measure()?,
        What::Mix(args) => mix::measure(args)?,
    };
    table::print(&lines, args.json.as_deref())
}

/// Three boxes that film marks, online.
fn three_boxes(name: &str) -> Result<Stack> {
    let dir = target()?.join("bench").join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    }
    let sites = sites::defaults(3)?;
    let clips = Marks::THREE.iter().map(|marks| marks.clip()).collect::<Result<Vec<_>>>()?;
    let mut stack =
        Stack::start(Plan { dir, sites, clips, layout: None, spare: None, open_listener: None, emulated: false })?;
    stack.add_boxes(|_| {})?;
    stack.wait_online(std::time::Duration::from_mins(1))?;
    Ok(stack)
}
