//! Camera to screen, mouth to ear: marks that one box films are looked for in what another one showed and played.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::clips::Marks;
use xtask::measure::{Part, RATE, beeps, flashes, sound};
use xtask::table::{Line, percentile};
use xtask::words::{note, say};

use super::three_boxes;

const MEASURED: Duration = Duration::from_secs(30);
/// Until everybody has joined and the play-out has settled.
const SETTLE_MS: f64 = 3_000.0;

pub fn measure() -> Result<Vec<Line>> {
    let mut stack = three_boxes("latency")?;
    let codes = stack.codes();
    stack.press(&codes[0], 1_700)?;
    stack.wait_on_record(Duration::from_secs(45))?;
    say(format_args!("Đo trong {} giây", MEASURED.as_secs()), format_args!("Measuring for {} s", MEASURED.as_secs()));
    std::thread::sleep(MEASURED);
    let began: Vec<Option<u64>> =
        codes.iter().map(|code| Ok(stack.box_status(code)?.clip_started_at_ms)).collect::<Result<_>>()?;
    stack.end_session(Duration::from_secs(30))?;
    let folders = codes.iter().map(|code| Ok(stack.at(code)?.returns.clone())).collect::<Result<Vec<_>>>()?;
    stack.end();

    let (mut glass, mut ear) = (Vec::new(), Vec::new());
    for (from, marks) in Marks::THREE.into_iter().enumerate() {
        let began = began[from].with_context(|| format!("{}: no clip began", codes[from]))? as f64;
        let first = began + f64::from(marks.at_ms);
        // The sites' tiles in the grid of 2×2.
        let tile = Part { x: [0.0, 0.5, 0.0][from], y: [0.0, 0.0, 0.5][from], w: 0.5, h: 0.5 };
        for (_, folder) in folders.iter().enumerate().filter(|(to, _)| *to != from) {
            let late = |at_ms: &f64| (at_ms - first).rem_euclid(1_000.0);
            let settled = |at_ms: &f64| *at_ms > began + SETTLE_MS;
            glass.extend(shown(folder, tile)?.iter().filter(|at| settled(at)).map(late));
            ear.extend(heard(folder, marks.tone)?.iter().filter(|at| settled(at)).map(late));
        }
    }
    note(format_args!("{} flashes, {} beeps", glass.len(), ear.len()));
    Ok(vec![
        Line {
            name: "camera to screen, median".into(),
            value: percentile(&glass, 0.5),
            unit: "ms",
            target: Some(400.0),
        },
        Line { name: "camera to screen, 95 %".into(), value: percentile(&glass, 0.95), unit: "ms", target: None },
        Line { name: "mouth to ear, median".into(), value: percentile(&ear, 0.5), unit: "ms", target: Some(400.0) },
        Line { name: "mouth to ear, 95 %".into(), value: percentile(&ear, 0.95), unit: "ms", target: None },
    ])
}

fn json(folder: &Path) -> Result<Value> {
    let file = folder.join("return.json");
    serde_json::from_slice(&fs::read(&file)?).with_context(|| file.display().to_string())
}

/// When flashes of a tile were shown at a box, ms since 1970.
fn shown(folder: &Path, tile: Part) -> Result<Vec<f64>> {
    let starts = json(folder)?["program"][0]["starts_at_ms"].as_f64().context("return.json: no program")?;
    let csv = fs::read_to_string(folder.join("shown.csv"))?;
    let line = |line: &str| {
        let mut fields = line.split(',').skip(1).map(str::parse::<f64>);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    let frames: Vec<(f64, f64)> = csv.lines().skip(1).filter_map(line).collect();
    let first = xtask::measure::times(&folder.join("program.mp4"), "v")?.first().copied().unwrap_or_default();
    let begun = frames.first().map_or(starts, |(program_ms, _)| *program_ms) - first * 1_000.0;
    let at = |flash: f64| {
        let program_ms = begun + flash * 1_000.0;
        let nearest = frames.iter().min_by(|a, b| (a.0 - program_ms).abs().total_cmp(&(b.0 - program_ms).abs()))?;
        ((nearest.0 - program_ms).abs() < 20.0).then_some(nearest.1)
    };
    let flashes = flashes(&folder.join("program.mp4"), Part::FLASH.within(tile))?;
    Ok(flashes.into_iter().filter_map(at).collect())
}

/// When beeps were heard at a box, ms since 1970.
fn heard(folder: &Path, tone: u32) -> Result<Vec<f64>> {
    let begun = json(folder)?["heard_started_at_ms"].as_f64().context("return.json: nothing was heard")?;
    let samples = sound(&folder.join("heard.wav"))?;
    anyhow::ensure!(samples.len() > RATE as usize, "heard.wav is empty");
    Ok(beeps(&samples, tone).into_iter().map(|at| begun + at * 1_000.0).collect())
}
