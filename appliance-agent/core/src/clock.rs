//! What the server's clock says, as far as signed messages allow to know.

use std::collections::VecDeque;

use crate::Millis;

/// Estimates *own clock minus server's clock* from the times in signed messages.
///
/// A message is never received before it was sent, so each gives `offset + delay` with `delay ≥ 0`: the smallest of
/// the newest samples is the best, and a broker that holds messages back cannot make an expired command young again.
#[derive(Debug, Default)]
pub struct ServerClock {
    samples: VecDeque<(Millis, i64)>,
    /// Wall clock minus monotonic clock when last seen: jumps when somebody sets the clock.
    anchor: Option<i64>,
}

impl ServerClock {
    const SAMPLES: usize = 16;
    /// Quartz drifts by up to 0.1 s in an hour (±30 ppm); older samples are worth less than none.
    const MAX_AGE_MS: u64 = 3_600_000;
    /// More than network time keeps correcting, less than matters to a command's expiry.
    const STEP_MS: u64 = 1_000;

    /// A message whose signature holds, sent at `at_ms`, came now. Not for retained messages: they are of any age.
    pub fn handle_message(&mut self, now: Millis, own_ms: u64, at_ms: u64) {
        self.notice_step(now, own_ms);
        self.samples.push_back((now, own_ms as i64 - at_ms as i64));
        while self.samples.len() > Self::SAMPLES
            || self.samples.front().is_some_and(|(at, _)| at.after(Self::MAX_AGE_MS) < now)
        {
            self.samples.pop_front();
        }
    }

    fn notice_step(&mut self, now: Millis, own_ms: u64) {
        let anchor = own_ms as i64 - now.0 as i64;
        if self.anchor.is_some_and(|before| before.abs_diff(anchor) > Self::STEP_MS) {
            self.samples.clear();
        }
        self.anchor = Some(anchor);
    }

    /// Own clock minus the server's, milliseconds.
    pub fn offset_ms(&self) -> Option<i64> {
        self.samples.iter().map(|(_, offset)| *offset).min()
    }

    /// The server's time now; one's own until something is known.
    pub fn server_ms(&mut self, now: Millis, own_ms: u64) -> u64 {
        self.notice_step(now, own_ms);
        (own_ms as i64 - self.offset_ms().unwrap_or(0)).max(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_does_not_count() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.server_ms(Millis(0), 1_000_000), 1_000_000);
        for (now, delay) in [(10, 900), (20, 30), (30, 60_000), (40, 31)] {
            clock.handle_message(Millis(now), 5_000_000 + now, 4_000_000 + now - delay);
        }
        assert_eq!(clock.offset_ms(), Some(1_000_030));
        assert_eq!(clock.server_ms(Millis(50), 5_000_050), 4_000_020);
    }

    #[test]
    fn a_clock_that_was_set_starts_anew() {
        let mut clock = ServerClock::default();
        clock.handle_message(Millis(0), 1_000_000, 1_000_000);
        assert_eq!(clock.server_ms(Millis(1_000), 4_601_000), 4_601_000);
        assert_eq!(clock.offset_ms(), None);
    }
}
