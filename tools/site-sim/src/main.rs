//! Runs many sites' media against a conference worker, cheaply, from pictures and sound that are encoded already.

mod agent;
mod clip;
mod conference;
mod joins;
mod lipsync;
mod measure;
mod mix;
mod rival;
mod sending;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;

/// What to do with them. Figures go to the standard output, as JSON.
#[derive(Parser)]
enum Job {
    /// Measure the conference worker and a plain GStreamer MCU on the same job, one after the other.
    Mix(mix::Options),
    /// Send marks in picture and sound, and keep the program as two sites received it.
    Lipsync(lipsync::Options),
    /// Let sites come and go while others talk, and look at the program and at what the worker holds.
    Joins(joins::Options),
    /// Measure a box's media process, and its encoders alone.
    Agent(agent::Options),
}

/// Where things are.
#[derive(clap::Args)]
struct Places {
    /// Where clips are kept between runs.
    #[arg(long)]
    clips: PathBuf,
    /// Where the records go.
    #[arg(long)]
    out: PathBuf,
    /// The server's program.
    #[arg(long)]
    server: PathBuf,
}

fn main() -> anyhow::Result<()> {
    match Job::parse() {
        Job::Mix(options) => mix::mix(&options),
        Job::Lipsync(options) => lipsync::lipsync(&options),
        Job::Joins(options) => joins::joins(&options),
        Job::Agent(options) => agent::agent(&options),
    }
}

fn fresh(folder: &Path) -> anyhow::Result<PathBuf> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    Ok(folder.canonicalize()?)
}
