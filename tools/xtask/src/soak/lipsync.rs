//! Lip sync: each site's flash against its beep, in the program as sites receive it and as the centre records it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::measure::{Part, beep_near, flashes_in, sound, times};
use crate::table::{Line, percentile};

use super::site_sim;

/// Sizes of conferences that are shown one after the other.
pub const SIZES: [usize; 5] = [2, 4, 9, 16, 25];
/// Picture against sound: the median, …
const MEDIAN_MS: f64 = 40.0;
/// … where 95 % of all marks are, …
const RANGE_MS: f64 = 60.0;
/// … and the last quarter's median against the first's.
const DRIFT_MS: f64 = 10.0;
/// In less time a clock that is 200 ppm fast has not gone once over the program's frames (40 ms): no median stands still.
const DRIFTS: Duration = Duration::from_mins(10);
/// What the centre adds for a calm site, packet in to packet out.
const ADDED_MS: f64 = 120.0;
/// Share of the marks of which picture or sound is not found again.
const MISSED: f64 = 0.01;
/// Until everybody has joined and the playout has settled.
const SETTLED_MS: f64 = 5_000.0;
/// A beep further from its flash than this is not its own.
const NEAR_S: f64 = 0.5;

#[derive(Deserialize)]
struct Outcome {
    received: Vec<PathBuf>,
    record: PathBuf,
    arrivals: Vec<(u64, f64)>,
    sites: Vec<Site>,
}

#[derive(Deserialize)]
struct Site {
    what: String,
    calm: bool,
    tone: u32,
    heard_by: usize,
    tile: [f64; 4],
    sent_ms: Vec<f64>,
}

impl Site {
    /// How many marks are not looked at, because not everybody has joined and settled.
    fn unsettled(&self) -> usize {
        let begin = self.sent_ms.first().copied().unwrap_or_default();
        self.sent_ms.iter().filter(|at| **at < begin + SETTLED_MS).count()
    }

    /// How many marks are looked at: also not the last, which the end may have cut off.
    fn expected(&self) -> usize {
        self.sent_ms.len().saturating_sub(self.unsettled() + 1)
    }
}

/// Runs a conference of so many sites for so long below `folder`, and measures it. Sites of one weakness are one line: the
/// worst.
pub fn measure(folder: &Path, sites: usize, length: Duration) -> Result<Vec<Line>> {
    let args = [("--sites", sites as u64), ("--seconds", length.as_secs())];
    let outcome: Outcome = site_sim("lipsync", folder, &args)?;
    let received = outcome.received.iter().map(|file| Copy::read(file, &outcome.sites)).collect::<Result<Vec<_>>>()?;
    let record = Copy::read(&outcome.record, &outcome.sites)?;
    let drift = (length >= DRIFTS).then_some(DRIFT_MS);
    let mut lines = Lines { sites, drift, worst: BTreeMap::new() };
    let mut added = Vec::new();
    for (n, site) in outcome.sites.iter().enumerate() {
        let heard = &received[site.heard_by];
        for (copy, name) in [(heard, "received"), (&record, "record")] {
            lines.add(site, name, &copy.late(n, site));
        }
        if site.calm {
            added.extend(delays(&received[0], n, &outcome.arrivals, &site.sent_ms));
        }
    }
    let mut lines = lines.finish();
    let name = format!("{sites}: added by the centre, median");
    lines.push(Line { name, value: percentile(&added, 0.5), unit: "ms", target: Some(ADDED_MS) });
    Ok(lines)
}

/// A copy of the program, with all that is looked for in it. Times are seconds on the file's axis.
struct Copy {
    /// When each site's flashes begin.
    flashes: Vec<Vec<f64>>,
    sound: Vec<f32>,
    /// The first picture.
    begin: f64,
}

impl Copy {
    fn read(file: &Path, sites: &[Site]) -> Result<Self> {
        let flashing = |site: &Site| {
            let [x, y, w, h] = site.tile;
            Part::FLASH.within(Part { x, y, w, h })
        };
        let parts: Vec<Part> = sites.iter().map(flashing).collect();
        let times = times(file, "v")?;
        let begin = *times.first().context("a program without a picture")?;
        Ok(Self { flashes: flashes_in(file, &parts, &times)?, sound: sound(file)?, begin })
    }

    /// How much later than its flash each of a site's beeps is, ms.
    fn late(&self, n: usize, site: &Site) -> Vec<f64> {
        let late = |flash: &f64| Some((beep_near(&self.sound, *flash, NEAR_S, site.tone)? - flash) * 1e3);
        self.flashes[n].iter().skip(site.unsettled()).take(site.expected()).filter_map(late).collect()
    }
}

/// How long after it left each flash came back, ms.
fn delays(received: &Copy, n: usize, arrivals: &[(u64, f64)], sent: &[f64]) -> Vec<f64> {
    let Some((first, _)) = arrivals.first() else { return Vec::new() };
    let delay = |flash: &f64| {
        let ticks = ((flash - received.begin) * 90_000.0).round() as u64 + first;
        let (_, arrived) = arrivals.iter().min_by_key(|(at, _)| at.abs_diff(ticks))?;
        let left = sent.iter().rev().find(|left| *left < arrived)?;
        Some(arrived - left)
    };
    received.flashes[n].iter().filter_map(delay).collect()
}

struct Lines {
    sites: usize,
    /// The most that is allowed.
    drift: Option<f64>,
    worst: BTreeMap<(String, &'static str), [Line; 4]>,
}

impl Lines {
    fn add(&mut self, site: &Site, name: &'static str, late: &[f64]) {
        let (low, high) = (percentile(late, 0.025), percentile(late, 0.975));
        let quarter = late.len() / 4;
        let drift = percentile(&late[late.len() - quarter..], 0.5) - percentile(&late[..quarter], 0.5);
        let missed = 1.0 - late.len() as f64 / site.expected() as f64;
        let line = |what: &str, value: f64, unit, target| Line {
            name: format!("{}: {name}, {}: {what}", self.sites, site.what),
            value,
            unit,
            target,
        };
        let new = [
            line("median", percentile(late, 0.5).abs(), "ms", Some(MEDIAN_MS)),
            line("95 %", low.abs().max(high.abs()), "ms", Some(RANGE_MS)),
            line("drift", drift.abs(), "ms", self.drift),
            line("missed", missed, "of all", Some(MISSED)),
        ];
        let worst = self.worst.entry((site.what.clone(), name)).or_insert_with(|| new.clone());
        for (worst, new) in worst.iter_mut().zip(new) {
            if new.value > worst.value || new.value.is_nan() {
                *worst = new;
            }
        }
    }

    fn finish(self) -> Vec<Line> {
        self.worst.into_values().flatten().collect()
    }
}
