//! `verify`: checks a session's folder; needs no server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bridgepoint_record::Verdict;

use crate::show::Lang;

/// Ends with 0 (intact), 1 (damaged) or 3 (fits together, but is not anchored or not finished).
pub fn run(folder: &Path, trust: &[PathBuf], json: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    let mut pem = String::new();
    for path in trust {
        pem += &fs::read_to_string(path).with_context(|| path.display().to_string())?;
        pem.push('\n');
    }
    let report = bridgepoint_record::verify(folder, (!trust.is_empty()).then_some(pem.as_str()))?;
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        let word = match &report.verdict {
            Verdict::Intact => lang.pick("nguyên vẹn", "intact").to_owned(),
            Verdict::NotAnchored { key } => match lang {
                Lang::Vi => format!("tự nhất quán, khoá {key}, chưa được neo vào một chứng thư tin cậy"),
                Lang::En => format!("self-consistent, key {key}, not anchored"),
            },
            Verdict::Unfinished { why } => match lang {
                Lang::Vi => format!("chưa hoàn tất ({why})"),
                Lang::En => format!("not finished ({why})"),
            },
            Verdict::Damaged => lang.pick("HƯ HỎNG", "DAMAGED").to_owned(),
        };
        println!("{}: {word}", report.session);
        for finding in &report.findings {
            println!("  {} {} s: {}", finding.file, finding.second, finding.what);
        }
        for note in &report.notes {
            println!("  {note}");
        }
    }
    Ok(match report.verdict {
        Verdict::Intact => ExitCode::SUCCESS,
        Verdict::Damaged => ExitCode::FAILURE,
        Verdict::NotAnchored { .. } | Verdict::Unfinished { .. } => ExitCode::from(3),
    })
}
