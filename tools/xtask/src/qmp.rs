//! QEMU's monitor: orders to a machine that it plays.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// QEMU's own loop waits for the disk, and for its turn.
const PATIENCE: Duration = Duration::from_mins(1);

/// Pushes the reset button of the machine whose monitor is this socket. No program of it hears of that before.
pub fn reset(monitor: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(monitor).context("QEMU's monitor")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    for order in ["qmp_capabilities", "system_reset"] {
        writeln!(stream, "{{\"execute\":\"{order}\"}}")?;
        let mut answer = String::new();
        while !answer.contains("\"return\"") {
            answer.clear();
            if answers.read_line(&mut answer)? == 0 || answer.contains("\"error\"") {
                bail!("QEMU's monitor does not {order}: {answer}");
            }
        }
    }
    Ok(())
}
