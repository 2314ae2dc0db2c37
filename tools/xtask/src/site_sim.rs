//! Runs a job of `site-sim` against a program that was built beside it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;

use crate::workspace::{bin_dir, target};

/// The program that a job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// `bridgepoint-server`
    Server,
    /// `bridgepoint-agent`
    Agent,
}

/// Gives what the job says. Clips are kept below the target's folder `kept`, records go into `out`; `more` adds the job's
/// own arguments.
pub fn run<T: DeserializeOwned>(
    job: &str,
    about: About,
    kept: &str,
    out: &Path,
    more: impl FnOnce(&mut Command),
) -> Result<T> {
    let programs = bin_dir()?;
    let mut sim = Command::new(programs.join("site-sim"));
    sim.arg(job);
    match about {
        About::Server => sim.arg("--server").arg(programs.join("bridgepoint-server")),
        About::Agent => sim.arg("--agent").arg(programs.join("bridgepoint-agent")),
    };
    sim.arg("--clips").arg(target()?.join(kept).join("clips")).arg("--out").arg(out);
    more(&mut sim);
    let output = sim.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("site-sim")?;
    ensure!(output.status.success(), "site-sim {job} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("site-sim's figures")
}
