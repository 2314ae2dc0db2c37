//! What a box's media process costs, beside its encoders alone.

use anyhow::Result;
use serde::Deserialize;
use xtask::site_sim::{self, About};
use xtask::table::Line;
use xtask::workspace::target;

#[derive(Deserialize)]
struct Outcome {
    ours: Figures,
    gstreamer: Figures,
    ratio: f64,
}

#[derive(Deserialize)]
struct Figures {
    windows: Vec<Window>,
    cpu_median: f64,
    memory_mib: f64,
}

#[derive(Deserialize)]
struct Window {
    fps: f64,
}

/// Of what the encoders alone cost: capture, sound, scaling, record, encryption and sending are the rest.
const RATIO: f64 = 1.10;
const MEMORY: f64 = 120.0;

pub fn measure() -> Result<Vec<Line>> {
    let out = target()?.join("bench").join("agent");
    let Outcome { ours, gstreamer, ratio } = site_sim::run::<Outcome>("agent", About::Agent, "bench", &out, |_| {})?;
    let slowest = ours.windows.iter().map(|window| window.fps).fold(f64::INFINITY, f64::min);
    let line = |name: &str, value, unit, target| Line { name: name.into(), value, unit, target };
    Ok(vec![
        line("media process", ours.cpu_median, "CPU s/s", None),
        line("its encoders alone (gst-launch)", gstreamer.cpu_median, "CPU s/s", None),
        line("media process, of its encoders", ratio, "ratio", Some(RATIO)),
        line("memory of the media process", ours.memory_mib, "MiB", Some(MEMORY)),
        line("pictures missing at the centre", 25.0 - slowest, "1/s", Some(0.25)),
    ])
}
