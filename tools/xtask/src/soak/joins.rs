//! Joins and leaves: what those that stay notice of them, and what is left behind.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use crate::table::Line;

use super::site_sim;

/// What memory may have grown by: allocators keep some, and records of sites that are known grow.
const MEMORY_MIB: f64 = 10.0;
/// What the centre's delay may have grown by.
const DELAY_MS: f64 = 20.0;

#[derive(Deserialize)]
struct Outcome {
    refused: f64,
    program: Continuity,
    held: [Held; 2],
    delay_ms: [Option<f64>; 2],
}

#[derive(Deserialize)]
struct Continuity {
    frames: f64,
    frames_broken: f64,
    frames_late: f64,
    blocks: f64,
    blocks_broken: f64,
    blocks_repeated: f64,
}

#[derive(Deserialize)]
struct Held {
    memory_mib: f64,
    threads: f64,
    descriptors: f64,
}

/// Lets sites come and go so often below `folder`, and measures it. The same `seed` is the same guests.
pub fn measure(folder: &Path, count: usize, seed: u64) -> Result<Vec<Line>> {
    let Outcome { refused, program, held: [tenth, end], delay_ms } =
        site_sim("joins", folder, &[("--count", count as u64), ("--seed", seed)])?;
    let line = |name: &str, value, unit, target| Line { name: name.into(), value, unit, target };
    let none = |name: &str, value| line(name, value, "of all", Some(1.0));
    let [first, last] = delay_ms.map(|delay| delay.unwrap_or(f64::NAN));
    Ok(vec![
        none("joins refused", refused),
        line("program: frames received", program.frames, "", None),
        none("program: frames missing or doubled", program.frames_broken),
        none("program: frames a frame late", program.frames_late),
        line("program: blocks of sound received", program.blocks, "", None),
        none("program: blocks missing or doubled", program.blocks_broken),
        none("program: blocks repeated", program.blocks_repeated),
        line("threads after a tenth", tenth.threads, "", None),
        line("threads left behind", end.threads - tenth.threads, "", Some(1.0)),
        line("descriptors after a tenth", tenth.descriptors, "", None),
        line("descriptors left behind", end.descriptors - tenth.descriptors, "", Some(1.0)),
        line("memory after a tenth", tenth.memory_mib, "MiB", None),
        line("memory left behind", end.memory_mib - tenth.memory_mib, "MiB", Some(MEMORY_MIB)),
        line("delay at first, median", first, "ms", None),
        line("delay grown by", last - first, "ms", Some(DELAY_MS)),
    ])
}
