//! When to report health.

use crate::Millis;

/// Every 5 s, and soon after each change that somebody looks at.
#[derive(Debug)]
pub struct HealthSchedule {
    due: Millis,
    last: Option<Millis>,
}

impl HealthSchedule {
    /// Between two reports without a change.
    pub const PERIOD_MS: u64 = 5_000;
    /// Between two reports, whatever changes.
    pub const AT_LEAST_MS: u64 = 500;

    /// The first report is due at once.
    pub const fn new(now: Millis) -> Self {
        Self { due: now, last: None }
    }

    /// The link, the media child or the connection changed: report soon.
    pub fn handle_change(&mut self, now: Millis) {
        let soon = self.last.map_or(now, |last| last.after(Self::AT_LEAST_MS).max(now));
        self.due = self.due.min(soon);
    }

    /// When [`HealthSchedule::handle_timeout`] has something to do.
    pub const fn poll_timeout(&self) -> Millis {
        self.due
    }

    /// Whether to report now.
    pub fn handle_timeout(&mut self, now: Millis) -> bool {
        if now < self.due {
            return false;
        }
        self.last = Some(now);
        self.due = now.after(Self::PERIOD_MS);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_five_seconds_and_at_once_on_a_change_but_not_more_than_twice_a_second() {
        let mut schedule = HealthSchedule::new(Millis(0));
        let mut reports = Vec::new();
        for now in 0..12_000 {
            if (6_000..6_100).contains(&now) {
                schedule.handle_change(Millis(now));
            }
            if schedule.handle_timeout(Millis(now)) {
                reports.push(now);
            }
        }
        assert_eq!(reports, [0, 5_000, 6_000, 6_500, 11_500]);
    }
}
