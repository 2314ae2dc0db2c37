//! From press to picture.

use std::time::Duration;

use anyhow::Result;
use xtask::process::wait_for;
use xtask::table::{Line, percentile};
use xtask::words::{note, now_ms, say};

use super::three_boxes;

const ROUNDS: usize = 7;
/// A press is long from here on; what comes before is the finger's time, not ours.
const HOLD_MS: u64 = 1_500;

pub fn measure() -> Result<Vec<Line>> {
    let mut stack = three_boxes("start")?;
    let codes: Vec<String> = stack.codes();
    let mut all = Vec::new();
    for round in 1..=ROUNDS {
        say(format_args!("Lần {round} / {ROUNDS}"), format_args!("Round {round} of {ROUNDS}"));
        let long_at = now_ms() + HOLD_MS;
        stack.press(&codes[0], 1_600)?;
        let shown = wait_for("every box showing the program", Duration::from_secs(20), || {
            let mut last = 0;
            for code in &codes {
                match stack.box_status(code)?.program_shown_at_ms {
                    Some(at) if at >= long_at => last = last.max(at),
                    _ => return Ok(None),
                }
            }
            Ok(Some(last))
        })?;
        all.push(shown.saturating_sub(long_at) as f64);
        note(format_args!("{} ms", shown.saturating_sub(long_at)));
        stack.wait_on_record(Duration::from_secs(20))?;
        stack.end_session(Duration::from_secs(30))?;
        wait_for("every box has left", Duration::from_secs(20), || {
            let mut left = true;
            for code in &codes {
                left &= stack.box_status(code)?.session.is_none();
            }
            Ok(left.then_some(()))
        })?;
    }
    stack.end();
    Ok(vec![
        Line {
            name: "press to every box, median".into(),
            value: percentile(&all, 0.5),
            unit: "ms",
            target: Some(1_500.0),
        },
        Line { name: "press to every box, worst".into(), value: percentile(&all, 1.0), unit: "ms", target: None },
    ])
}
