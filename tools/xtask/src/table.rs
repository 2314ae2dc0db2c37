//! Figures with their targets, as people and programs read them.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What was measured.
    pub name: String,
    /// Its value, in `unit`.
    pub value: f64,
    /// Such as `ms`.
    pub unit: &'static str,
    /// The value must be below; nothing is asked when absent.
    pub target: Option<f64>,
}

impl Line {
    /// Whether the value is below its target.
    pub fn reached(&self) -> bool {
        self.target.is_none_or(|target| self.value < target)
    }
}

/// Prints the table, and writes it as JSON into `json`. Success means that every target was reached.
pub fn print(lines: &[Line], json: Option<&Path>) -> Result<ExitCode> {
    for line in lines {
        let Line { name, value, unit, target } = line;
        let target = target.map_or_else(|| "-".to_owned(), |target| target.to_string());
        println!("{name:<36} {value:>9.3} {unit:<8} {target:>6} {}", if line.reached() { "PASS" } else { "FAIL" });
    }
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_vec_pretty(lines)?).with_context(|| file.display().to_string())?;
    }
    Ok(if lines.iter().all(Line::reached) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The value below which that share of all values lies.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
