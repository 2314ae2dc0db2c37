//! The media child's entry: connects to its control process and serves it until that is gone, or until SIGTERM.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use agent_media::child::{Child, Stopper};
use nix::sys::signal::{SigSet, Signal};

/// Runs the media child until its control process hangs up.
pub fn run(socket: &Path) -> ExitCode {
    match serve(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The control process has been told already, as far as it listens: this is for the journal.
            tracing::error!("media child: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(socket: &Path) -> anyhow::Result<()> {
    one_heap();
    // Before any thread starts: all inherit the mask, and the signals wait for the one thread that asks for them.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let (child, stopper) = Child::new(UnixStream::connect(socket)?)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || end_on(&signals, &stopper))?;
    child.confined().run()?;
    Ok(())
}

/// Pictures are made in one thread and freed in another: glibc, which gives each thread a heap of its own, keeps 50 MB of
/// them that way, and gains nothing (`bench agent`).
fn one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator; no other thread has been started yet.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

fn end_on(signals: &SigSet, stopper: &Stopper) {
    match signals.wait() {
        Ok(signal) => tracing::info!("{signal}: ends"),
        Err(error) => tracing::error!("signals cannot be waited for: {error}"),
    }
    stopper.stop();
}
