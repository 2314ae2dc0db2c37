//! When the program's next frame and block are due: no drift, no gap, no burst.

use crate::time::Micros;

/// The rule after a stall of the process (suspended, starved):
///
/// * What was missed within [`Ticker::CATCH_UP`] is made up for one by one with its own time, so it holds what should
///   have been seen and heard then.
/// * Frames missed before that, back to [`Ticker::FILL`], are repeats of the last one: they cost next to nothing,
///   and the program's time stamps have no gap. Sound is made for all of that time.
/// * What was missed before that is left out and counted: the program has a gap there, and says so.
///
/// Every tick is given at most once, in order.
#[derive(Debug, Clone)]
pub struct Ticker {
    period: u64,
    rate: u64,
    /// A tick is due this long after its own time.
    after: Micros,
    next: u64,
    /// Ticks below this number are [`Due::repeat`].
    repeat_below: u64,
    skipped: u64,
}

/// A tick that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Time stamp since origin, in the ticker's own rate.
    pub ticks: u64,
    /// Too old to be made: fill it with what came before.
    pub repeat: bool,
}

impl Ticker {
    /// How far back a missed tick is made up for as if it had been in time.
    pub const CATCH_UP: Micros = Micros::from_millis(200);
    /// How far back it is filled at all.
    pub const FILL: Micros = Micros::from_millis(2_000);

    /// Ticks at multiples of `period` of a clock of `rate` per second since origin, the first one at or after `start`;
    /// each is due `after` its own time.
    pub fn new(rate: u64, period: u64, after: Micros, start: Micros) -> Self {
        let next = count_at(start - Micros(1), rate, period).map_or(0, |n| n + 1);
        Self { period, rate, after, next, repeat_below: 0, skipped: 0 }
    }

    /// When to call [`Ticker::due`] again.
    pub fn poll_timeout(&self) -> Micros {
        // Rounded up: a microsecond early would find nothing due.
        let at = (self.next as u128 * self.period as u128 * 1_000_000).div_ceil(self.rate.into());
        Micros(at as i64) + self.after
    }

    /// The next tick that is due at `now`; call it until `None`.
    pub fn due(&mut self, now: Micros) -> Option<Due> {
        let newest = self.newest(now)?;
        if newest < self.next {
            return None;
        }
        if let Some(oldest) = self.newest(now - Self::FILL).filter(|oldest| *oldest > self.next) {
            self.skipped += oldest - self.next;
            self.next = oldest;
        }
        if let Some(made) = self.newest(now - Self::CATCH_UP) {
            self.repeat_below = self.repeat_below.max(made);
        }
        let due = Due { ticks: self.next * self.period, repeat: self.next < self.repeat_below };
        self.next += 1;
        Some(due)
    }

    /// How many ticks were left out so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn newest(&self, now: Micros) -> Option<u64> {
        count_at(now - self.after, self.rate, self.period)
    }
}

/// Number of the last tick at or before `at`; `None` before the first.
fn count_at(at: Micros, rate: u64, period: u64) -> Option<u64> {
    u64::try_from(at.0 as i128 * rate as i128 / 1_000_000).ok().filter(|_| at.0 >= 0).map(|ticks| ticks / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(start_ms: i64) -> Ticker {
        Ticker::new(90_000, 3_600, Micros(0), Micros::from_millis(start_ms))
    }

    fn all(ticker: &mut Ticker, now: Micros) -> Vec<Due> {
        std::iter::from_fn(|| ticker.due(now)).collect()
    }

    #[test]
    fn ticks_do_not_drift_in_a_day_and_wake_up_times_are_exact() {
        let mut ticker = Ticker::new(48_000, 960, Micros::from_millis(20), Micros::from_millis(5));
        assert_eq!(ticker.poll_timeout(), Micros::from_millis(40));
        for n in 1..50 * 86_400 {
            let now = ticker.poll_timeout();
            assert_eq!(ticker.due(now - Micros(1)), None);
            assert_eq!(ticker.due(now), Some(Due { ticks: n * 960, repeat: false }));
        }
        assert_eq!(ticker.poll_timeout(), Micros(86_400_000_000 + 20_000));
        assert_eq!(ticker.skipped(), 0);
    }

    #[test]
    fn short_stall_is_made_up_for_longer_one_filled_longest_left_out_and_nothing_comes_twice() {
        let mut ticker = video(0);
        assert_eq!(all(&mut ticker, Micros(0)), [Due { ticks: 0, repeat: false }]);
        let short = all(&mut ticker, Micros::from_millis(200));
        assert_eq!(short.iter().map(|due| due.ticks / 3_600).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(short.iter().all(|due| !due.repeat));
        let long = all(&mut ticker, Micros::from_millis(1_400));
        assert_eq!(long.iter().map(|due| due.ticks / 3_600).collect::<Vec<_>>(), (6..=35).collect::<Vec<_>>());
        assert_eq!(long.iter().filter(|due| due.repeat).count(), 24);
        assert!(long[24..].iter().all(|due| !due.repeat));
        let longest = all(&mut ticker, Micros::from_millis(11_400));
        assert_eq!((longest.first().unwrap().ticks / 3_600, longest.last().unwrap().ticks / 3_600), (235, 285));
        assert_eq!(ticker.skipped(), 199);
        assert_eq!(all(&mut ticker, Micros::from_millis(5_000)), []);
    }
}
