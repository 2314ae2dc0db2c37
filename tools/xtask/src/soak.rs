//! What must hold for long and for many: measured here, for `cargo xtask soak` and for the scenarios' short samples.

pub mod joins;
pub mod lipsync;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use serde::de::DeserializeOwned;

use crate::site_sim::{self, About};
use crate::table::Line;
use crate::workspace::target;

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Write the table as JSON too.
    #[arg(long, value_name = "FILE", global = true)]
    pub json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Picture against sound of every site: slow and fast cameras, far away, with a clock that runs fast, sound that comes late.
    Lipsync {
        /// Sites in the conference, 2 to 25. Without this: 2, 4, 9, 16 and 25, one after the other.
        #[arg(long)]
        sites: Option<usize>,
        /// Length of each, minutes. Drift shows over 30.
        #[arg(long, default_value_t = 1)]
        minutes: u64,
    },
    /// Sites that join and leave while eight others talk: the program goes on, and nothing is left behind.
    Joins {
        /// How many join, and leave again.
        #[arg(long, default_value_t = 1_000)]
        count: usize,
        /// Decides who comes and goes when.
        #[arg(long, default_value_t = 4)]
        seed: u64,
    },
}

/// Shows it.
pub fn measure(args: &Args) -> Result<Vec<Line>> {
    let folder = target()?.join("soak");
    match &args.what {
        What::Lipsync { sites, minutes } => {
            let sizes = sites.map_or_else(|| lipsync::SIZES.to_vec(), |sites| vec![sites]);
            let length = Duration::from_mins(*minutes);
            let run = |sites| lipsync::measure(&folder.join(format!("lipsync-{sites}")), sites, length);
            let lines: Vec<_> = sizes.into_iter().map(run).collect::<Result<_>>()?;
            Ok(lines.into_iter().flatten().collect())
        }
        What::Joins { count, seed } => joins::measure(&folder.join("joins"), *count, *seed),
    }
}

/// Runs a job of `site-sim` in `folder` and gives what it says.
fn site_sim<T: DeserializeOwned>(job: &str, folder: &Path, args: &[(&str, u64)]) -> Result<T> {
    site_sim::run(job, About::Server, "soak", folder, |sim| {
        for (flag, value) in args {
            sim.arg(flag).arg(value.to_string());
        }
    })
}
