//! What a conference costs at the centre.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use xtask::workspace::{bin_dir, target};

use super::Line;

/// Which conference.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sites in the conference, 1 to 25.
    #[arg(long, default_value_t = 4)]
    sites: usize,
    /// Each *.mp4 of this folder (H.264) is a site's main stream; leaves the alternative out.
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// Where both records go.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Outcome {
    ours: Figures,
    gstreamer: Option<Figures>,
}

#[derive(Deserialize)]
struct Figures {
    cpu_median: f64,
    fps_median: f64,
    delay_ms_median: Option<f64>,
    delay_ms_p95: Option<f64>,
    memory_mib: f64,
}

/// CPU seconds per second that four sites may cost.
const FOUR_SITES: f64 = 0.55;
/// Of what the plain pipeline costs.
const RATIO: f64 = 0.75;

pub fn measure(args: &Args) -> Result<Vec<Line>> {
    let programs = bin_dir()?;
    let mut sim = Command::new(programs.join("site-sim"));
    sim.arg("--sites").arg(args.sites.to_string());
    sim.arg("--server").arg(programs.join("bridgepoint-server"));
    sim.arg("--clips").arg(target()?.join("bench").join("clips"));
    sim.arg("--out").arg(args.out.clone().map_or_else(|| target().map(|t| t.join("bench").join("mix")), Ok)?);
    if let Some(media) = &args.media {
        sim.arg("--alone").arg("--media").arg(media);
    }
    let output = sim.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("site-sim")?;
    ensure!(output.status.success(), "site-sim ended with {}", output.status);
    let Outcome { ours, gstreamer } = serde_json::from_slice(&output.stdout).context("site-sim's figures")?;
    let cpu_target = (args.sites <= 4).then_some(FOUR_SITES);
    let mut lines =
        lines(["mix_cpu", "mix_frames_missing", "mix_delay_p50", "mix_delay_p95", "mix_memory"], &ours, cpu_target);
    if let Some(theirs) = gstreamer {
        let ratio = ours.cpu_median / theirs.cpu_median;
        let names = ["gst_cpu", "gst_frames_missing", "gst_delay_p50", "gst_delay_p95", "gst_memory"];
        lines.extend(self::lines(names, &theirs, None));
        lines.push(Line { name: "mix_cpu_of_gst", value: ratio, unit: "ratio", target: Some(RATIO) });
    }
    Ok(lines)
}

fn lines(names: [&'static str; 5], figures: &Figures, cpu: Option<f64>) -> Vec<Line> {
    let ours = cpu.is_some();
    let [cpu_name, missing, p50, p95, memory] = names;
    let mut lines = vec![
        Line { name: cpu_name, value: figures.cpu_median, unit: "CPU s/s", target: cpu },
        Line { name: missing, value: 25.0 - figures.fps_median, unit: "1/s", target: ours.then_some(0.25) },
    ];
    for (name, delay) in [(p50, figures.delay_ms_median), (p95, figures.delay_ms_p95)] {
        lines.extend(delay.map(|value| Line { name, value, unit: "ms", target: None }));
    }
    lines.push(Line { name: memory, value: figures.memory_mib, unit: "MiB", target: None });
    lines
}
