//! Decisions of the appliance: session, twin, outbox, health, supervision. No I/O, no clock, no `async`.
//!
//! Each core takes what happened (`handle_*`, at `now`), says when it wants to be woken (`poll_timeout`) and what the
//! shell has to carry out. `now` is monotonic; wall clock times are named `*_ms`.

pub mod camera;
pub mod chime;
pub mod clock;
pub mod commissioning;
pub mod direction;
pub mod factory_reset;
pub mod gate;
pub mod health;
pub mod listening;
pub mod microphones;
pub mod outbox;
pub mod panel_update;
pub mod progress;
pub mod screen;
pub mod selftest;
pub mod session;
pub mod supervise;
pub mod twin;
pub mod update;
pub mod voice_preset;

pub use bridgepoint_panel::Millis;

/// The earlier of two wishes to be woken.
pub fn earlier(a: Option<Millis>, b: Option<Millis>) -> Option<Millis> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}
