//! The session's time axis on this machine: a monotonic clock that was anchored to UTC once.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use server_core::Micros;

/// Reads *now* since the session's origin. Never steps, whatever happens to the wall clock after the anchor.
#[derive(Debug, Clone, Copy)]
pub struct SessionClock {
    anchor: Instant,
    /// The anchor since origin; negative when the wall clock is behind the origin.
    at_anchor: i64,
    origin_ms: u64,
}

impl SessionClock {
    /// Anchors the session that began at `origin_ms` (ms since 1970).
    pub fn new(origin_ms: u64) -> Self {
        let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { anchor: Instant::now(), at_anchor: utc.as_micros() as i64 - origin_ms as i64 * 1_000, origin_ms }
    }

    /// Since origin.
    pub fn now(&self) -> Micros {
        Micros(self.at_anchor + self.anchor.elapsed().as_micros() as i64)
    }

    /// ms since 1970.
    pub fn utc_ms(&self, at: Micros) -> u64 {
        (self.origin_ms as i64 + at.0 / 1_000).max(0) as u64
    }

    /// How long until `at`; zero when it is over.
    pub fn until(&self, at: Micros) -> Duration {
        Duration::from_micros((at - self.now()).0.max(0) as u64)
    }
}
