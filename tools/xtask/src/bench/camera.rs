//! From an operator's request, at the box, to its first byte on the camera's line.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use xtask::table::Line;
use xtask::workspace::{bin_dir, cargo, output, run};

#[derive(Deserialize)]
struct Row {
    line: String,
    request: String,
    median_us: f64,
    p99_us: f64,
}

/// ms; a person takes what is quicker for at once.
const MOST: f64 = 5.0;

pub fn measure() -> Result<Vec<Line>> {
    run(cargo()?.args(["build", "--release", "--workspace", "--example", "command_to_wire"]))?;
    let said = output(&mut Command::new(bin_dir()?.join("examples/command_to_wire")))?;
    let rows: Vec<Row> = serde_json::from_str(&said).context("the example's figures")?;
    let lines = rows.into_iter().flat_map(|Row { line, request, median_us, p99_us }| {
        let figure = |what: &str, us: f64, target| Line {
            name: format!("{line}: {request} to byte, {what}"),
            value: us / 1e3,
            unit: "ms",
            target,
        };
        [figure("median", median_us, Some(MOST)), figure("99 %", p99_us, Some(MOST))]
    });
    Ok(lines.collect())
}
