//! What is said to the person at the terminal: Vietnamese first, English beside it.

use std::fmt::Display;
use std::io::{Write as _, stdout};
use std::time::{SystemTime, UNIX_EPOCH};

/// One line of progress, in both languages. A closed terminal is no reason to end the demo.
pub fn say(vi: impl Display, en: impl Display) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "▸ {vi}\n  {en}");
    let _ = out.flush();
}

/// One line that reads the same in both languages.
pub fn note(line: impl Display) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "  {line}");
    let _ = out.flush();
}

/// Milliseconds since 1970, by this machine's clock.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
