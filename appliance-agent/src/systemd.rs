//! The service manager: told when the program is ready, that it makes progress, and when it ends. Silent without one.

use std::time::Duration;

use sd_notify::NotifyState;

/// How long the manager waits for a feed before it takes the program for hung; `None` when nobody watches.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Whether a manager has started this program.
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The program does its work from now on.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Feeds the watchdog.
pub fn feed() {
    tell(&[NotifyState::Watchdog]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// The program has begun to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A manager that is not there is no fault; one that cannot be told will say so itself, by ending this program.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
