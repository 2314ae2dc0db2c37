//! One contact, read as presses.

/// Milliseconds on the caller's own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// `ms` later.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Where a contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Let go: the contact is open.
    Up,
    /// Pressed: the contact is closed.
    Down,
}

/// What a person meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// Pressed and let go within the hold time; said on release.
    Short,
    /// Held for the hold time; said while the button is still down, so that the finger feels the answer.
    Long,
}

/// Turns the edges of one contact into [`Press`]es. Reads no pin and no clock.
#[derive(Debug, Clone)]
pub struct PressReader {
    contact: Contact,
    raw: Level,
    settle_at: Option<Millis>,
}

#[derive(Debug, Clone, Copy)]
enum Contact {
    Open,
    Closed {
        long_at: Millis,
    },
    /// `Long` is out, or the button was down at boot: the release means nothing.
    Spent,
}

impl PressReader {
    /// A level counts once it has been quiet for this long: contacts of this size bounce for 1 to 10 ms.
    pub const SETTLE_MS: u64 = 20;
    /// Held for this long after it settled, a press is long.
    pub const HOLD_MS: u64 = 1_500;

    /// A reader for a contact that is at `level` now. A button that is down at boot is stuck or leant upon: it means
    /// nothing until it has been released.
    pub const fn new(level: Level) -> Self {
        let contact = match level {
            Level::Up => Contact::Open,
            Level::Down => Contact::Spent,
        };
        Self { contact, raw: level, settle_at: None }
    }

    /// The contact changed. Harmless when it did not.
    pub fn handle_edge(&mut self, now: Millis, level: Level) {
        if level != self.raw {
            self.raw = level;
            self.settle_at = Some(now.after(Self::SETTLE_MS));
        }
    }

    /// Where the contact is now, settled or not.
    pub const fn level(&self) -> Level {
        self.raw
    }

    /// When [`PressReader::handle_timeout`] has something to do.
    pub const fn poll_timeout(&self) -> Option<Millis> {
        match (self.settle_at, self.contact) {
            // While the contact moves nobody knows whether it is still held: the hold time waits for it to settle.
            (Some(at), _) | (None, Contact::Closed { long_at: at }) => Some(at),
            (None, Contact::Open | Contact::Spent) => None,
        }
    }

    /// Time passed. Harmless when called early; call again while [`PressReader::poll_timeout`] is not in the future.
    pub fn handle_timeout(&mut self, now: Millis) -> Option<Press> {
        let due = self.poll_timeout().filter(|at| now >= *at)?;
        let settled = self.settle_at.take().is_some();
        let (next, press) = match (self.contact, self.raw) {
            (Contact::Open, Level::Down) => (Contact::Closed { long_at: due.after(Self::HOLD_MS) }, None),
            (Contact::Closed { .. }, Level::Up) => (Contact::Open, Some(Press::Short)),
            (Contact::Closed { .. }, Level::Down) if !settled => (Contact::Spent, Some(Press::Long)),
            (Contact::Spent, Level::Up) => (Contact::Open, None),
            (unchanged, _) => (unchanged, None),
        };
        self.contact = next;
        press
    }
}

#[cfg(test)]
mod tests {
    use super::Level::{Down, Up};
    use super::Press::{Long, Short};
    use super::*;
    use std::vec::Vec;

    /// Plays edges and every timeout between them; returns when which press came.
    fn play(boot: Level, edges: &[(u64, Level)], until: u64) -> Vec<(u64, Press)> {
        let mut reader = PressReader::new(boot);
        let mut presses = Vec::new();
        let mut now = Millis(0);
        for (at, edge) in edges.iter().map(|(at, level)| (*at, Some(*level))).chain([(until, None)]) {
            while let Some(due) = reader.poll_timeout().filter(|due| due.0 <= at) {
                now = now.max(due);
                presses.extend(reader.handle_timeout(now).map(|press| (now.0, press)));
            }
            if let Some(level) = edge {
                reader.handle_edge(Millis(at), level);
            }
        }
        presses
    }

    #[test]
    fn a_press_is_short_on_release_and_long_while_still_held() {
        assert_eq!(play(Up, &[(100, Down), (300, Up)], 9_000), [(320, Short)]);
        assert_eq!(play(Up, &[(100, Down), (5_000, Up)], 9_000), [(1_620, Long)]);
        assert_eq!(play(Up, &[(100, Down)], 60_000), [(1_620, Long)]);
    }

    #[test]
    fn the_hold_time_decides_to_the_millisecond() {
        assert_eq!(play(Up, &[(0, Down), (1_519, Up)], 9_000), [(1_539, Short)]);
        assert_eq!(play(Up, &[(0, Down), (1_521, Up)], 9_000), [(1_520, Long)]);
    }

    #[test]
    fn bouncing_is_one_press() {
        let edges = [(0, Down), (3, Up), (5, Down), (9, Up), (11, Down), (400, Up), (404, Down), (409, Up)];
        assert_eq!(play(Up, &edges, 9_000), [(429, Short)]);
    }

    #[test]
    fn a_spark_is_no_press() {
        assert_eq!(play(Up, &[(100, Down), (119, Up)], 9_000), []);
    }

    #[test]
    fn a_release_that_bounces_around_the_hold_time_gives_one_press() {
        for release in 1_500..1_540 {
            let edges = [(0, Down), (release, Up), (release + 4, Down), (release + 7, Up)];
            assert_eq!(play(Up, &edges, 9_000).len(), 1, "released at {release}");
        }
    }

    #[test]
    fn a_contact_that_flickers_while_held_still_gives_one_long_press() {
        let edges = [(0, Down), (1_515, Up), (1_525, Down), (4_000, Up)];
        assert_eq!(play(Up, &edges, 9_000), [(1_545, Long)]);
    }

    #[test]
    fn button_stuck_down_at_boot_starts_nothing_until_released() {
        let edges = [(9_000, Up), (9_500, Down), (9_600, Up)];
        assert_eq!(play(Down, &edges, 20_000), [(9_620, Short)]);
        assert_eq!(play(Down, &[], 600_000), []);
    }

    #[test]
    fn late_timeouts_lose_nothing() {
        let mut reader = PressReader::new(Up);
        reader.handle_edge(Millis(0), Down);
        assert_eq!(reader.handle_timeout(Millis(10_000)), None);
        assert_eq!(reader.handle_timeout(Millis(10_000)), Some(Long));
        assert_eq!(reader.poll_timeout(), None);
    }
}
