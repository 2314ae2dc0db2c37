//! The conference worker: one process that mixes, sends and records one conference.
//!
//! It listens on a named Unix socket, so that it outlives its control process and is adopted by the next one.
//! It parses what comes from the network, so it holds no keys but its own session's.

mod clock;
mod conference;
pub mod decoders;
mod director_log;
mod echo;
mod line;
mod load;
mod mixing;
mod paths;
mod programs;
mod slot;
mod wanted;

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;
use bridgepoint_wire::local::ToWorker;

use self::conference::Conference;
use self::decoders::Decoders;
use self::line::{FromLine, Line};

/// A worker that nobody gives a conference, or that nobody adopts before it has one, ends after this.
const UNCLAIMED: Duration = Duration::from_secs(30);

/// Runs a worker until its conference is closed.
///
/// # Errors
/// When the socket cannot be had, or GStreamer does not start.
pub fn run(socket: &Path) -> anyhow::Result<()> {
    let (inputs, from_line) = mpsc::channel();
    let line = Line::listen(socket, inputs).with_context(|| format!("worker socket {}", socket.display()))?;
    // Before the first message: a warm worker, and what its decoders are forked from, have their plugins loaded when the
    // conference comes.
    server_media::init().context("GStreamer")?;
    let decoders = Decoders::new()?;
    let outcome = serve(&line, &from_line, decoders);
    line.close();
    let _ = std::fs::remove_file(socket);
    outcome
}

fn serve(line: &Line, from_line: &mpsc::Receiver<FromLine>, decoders: Decoders) -> anyhow::Result<()> {
    let opening = loop {
        match from_line.recv_timeout(UNCLAIMED) {
            Ok(FromLine::Message(ToWorker::Open(opening))) => break opening,
            Ok(FromLine::Message(ToWorker::Echo(opening))) => return echo::serve(*opening, line, from_line),
            Ok(FromLine::Message(ToWorker::Close) | FromLine::Gone) => return Ok(()),
            Ok(FromLine::Message(other)) => tracing::warn!(?other, "before the conference is open"),
            Err(_) if line.is_connected() => {}
            Err(_) => return Ok(()),
        }
    };
    let mut conference = Conference::open(*opening, line.sender(), decoders)?;
    loop {
        match from_line.recv() {
            Ok(FromLine::Message(ToWorker::Close)) => {
                line.sender().say(conference.close());
                return Ok(());
            }
            Ok(FromLine::Message(message)) => conference.handle(message),
            // The conference goes on without its control process; the next one connects and adopts it.
            Ok(FromLine::Gone) => tracing::warn!("control process has gone; the conference goes on"),
            Err(_) => anyhow::bail!("the line's thread has ended"),
        }
    }
}
