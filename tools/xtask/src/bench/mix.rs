//! What a conference costs at the centre.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use xtask::site_sim::{self, About};
use xtask::table::Line;
use xtask::workspace::{root, target};

use super::plot::{Series, plot};

/// Which conference.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Sites in the conference, 1 to 200; beyond 16 the others are heard and recorded, but not seen.
    #[arg(long, default_value_t = 4)]
    sites: usize,
    /// Each *.mp4 of this folder (H.264 without B-frames) is a site's main stream; leaves the alternative out.
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// Where both records go, and `summary.json` with the worker's pid while it runs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Length of each of the three windows, seconds.
    #[arg(long, default_value_t = 20)]
    window: u64,
    /// 4, 9, 16, 32, 64 and 132 sites one after the other (some 15 minutes), the cost model's coefficients, and the plot
    /// docs/pictures/mixer-cpu.svg.
    #[arg(long, conflicts_with_all = ["sites", "media"])]
    sweep: bool,
}

#[derive(Deserialize)]
struct Outcome {
    sites: usize,
    ours: Figures,
    gstreamer: Option<Figures>,
    gstreamer_thumbs: Option<Figures>,
}

#[derive(Deserialize)]
struct Figures {
    cpu_median: f64,
    fps_median: f64,
    delay_ms_median: Option<f64>,
    delay_ms_p95: Option<f64>,
    memory_mib: f64,
}

impl Figures {
    /// The program comes at its rate, near enough.
    fn keeps_up(&self) -> bool {
        self.fps_median > 24.0
    }
}

/// CPU seconds per second that so many sites may cost.
const MOST_CPU: [(usize, f64); 6] = [(4, 0.40), (9, 0.45), (16, 0.50), (32, 0.60), (64, 0.75), (132, 1.10)];
/// Of what the plain pipeline costs.
const RATIO: f64 = 0.75;
/// Memory of a whole province, MiB.
const MOST_MEMORY: f64 = 700.0;

pub fn measure(args: &Args) -> Result<Vec<Line>> {
    if args.sweep {
        return sweep(args);
    }
    let outcome = run(args, args.sites)?;
    Ok(lines(&outcome, ""))
}

fn run(args: &Args, sites: usize) -> Result<Outcome> {
    let out = args.out.clone().map_or_else(|| target().map(|t| t.join("bench").join("mix")), Ok)?;
    site_sim::run("mix", About::Server, "bench", &out, |sim| {
        sim.arg("--sites").arg(sites.to_string()).arg("--window").arg(args.window.to_string());
        if let Some(media) = &args.media {
            sim.arg("--alone").arg("--media").arg(media);
        }
    })
}

fn sweep(args: &Args) -> Result<Vec<Line>> {
    let outcomes: Vec<Outcome> = MOST_CPU.iter().map(|(sites, _)| run(args, *sites)).collect::<Result<_>>()?;
    let series = |name, pick: fn(&Outcome) -> Option<&Figures>| {
        let point = |outcome: &Outcome| {
            let figures = pick(outcome).filter(|figures| figures.keeps_up())?;
            Some((outcome.sites as f64, figures.cpu_median))
        };
        Series { name, points: outcomes.iter().filter_map(point).collect() }
    };
    let all = [
        series("Bridgepoint", |outcome| Some(&outcome.ours)),
        series("GStreamer, every site decoded", |outcome| outcome.gstreamer.as_ref()),
        series("GStreamer, small pictures of 16 decoded", |outcome| outcome.gstreamer_thumbs.as_ref()),
    ];
    let file = root().join("docs/pictures/mixer-cpu.svg");
    std::fs::write(&file, plot("Sites", "CPU seconds per second", &all)).context("docs/pictures/mixer-cpu.svg")?;
    let mut table: Vec<Line> =
        outcomes.iter().flat_map(|outcome| lines(outcome, &format!("{}: ", outcome.sites))).collect();
    // From 16 sites on nothing grows but the number of those that are neither seen nor heard.
    let unseen: Vec<(f64, f64)> = all[0].points.iter().copied().filter(|(sites, _)| *sites >= 16.0).collect();
    let (slope, rest) = least_squares(&unseen);
    table.push(Line {
        name: "a site neither seen nor heard".into(),
        value: slope,
        unit: "CPU s/s",
        target: Some(0.005),
    });
    table.push(Line { name: "program, 16 tiles, 3 speakers".into(), value: rest, unit: "CPU s/s", target: None });
    Ok(table)
}

/// Slope and value at zero of the line nearest to the points.
fn least_squares(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x / count, sy + y / count));
    let (above, below) =
        points.iter().fold((0.0, 0.0), |(a, b), (px, py)| (a + (px - x) * (py - y), b + (px - x).powi(2)));
    let slope = above / below;
    (slope, y - slope * x)
}

fn lines(outcome: &Outcome, before: &str) -> Vec<Line> {
    let Outcome { sites, ours, gstreamer, gstreamer_thumbs } = outcome;
    let most = MOST_CPU.iter().find(|(most, _)| sites <= most).map(|(_, cpu)| *cpu);
    let mut lines = of(ours, &format!("{before}mix"), most);
    for (name, theirs) in [("gst", gstreamer), ("gst_thumbs", gstreamer_thumbs)] {
        let Some(theirs) = theirs else { continue };
        lines.extend(of(theirs, &format!("{before}{name}"), None));
        // Against one that does not do the job a ratio says nothing.
        if !theirs.keeps_up() {
            continue;
        }
        let name = format!("{before}mix_cpu_of_{name}");
        lines.push(Line { name, value: ours.cpu_median / theirs.cpu_median, unit: "ratio", target: Some(RATIO) });
    }
    lines
}

fn of(figures: &Figures, name: &str, cpu: Option<f64>) -> Vec<Line> {
    let Figures { cpu_median, fps_median, delay_ms_median, delay_ms_p95, memory_mib } = figures;
    let line = |what: &str, value, unit, target| Line { name: format!("{name}_{what}"), value, unit, target };
    let mut lines = vec![
        line("cpu", *cpu_median, "CPU s/s", cpu),
        line("frames_missing", 25.0 - fps_median, "1/s", cpu.map(|_| 0.25)),
    ];
    for (what, delay) in [("delay_p50", delay_ms_median), ("delay_p95", delay_ms_p95)] {
        lines.extend(delay.map(|value| line(what, value, "ms", None)));
    }
    lines.push(line("memory", *memory_mib, "MiB", cpu.map(|_| MOST_MEMORY)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_points_is_found_again() {
        let (slope, rest) = least_squares(&[(16.0, 0.48), (32.0, 0.56), (64.0, 0.72), (132.0, 1.06)]);
        assert!((slope - 0.005).abs() < 1e-9 && (rest - 0.4).abs() < 1e-9, "{slope} {rest}");
    }
}
