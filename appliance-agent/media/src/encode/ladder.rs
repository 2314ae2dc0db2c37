//! Which encoder an encoding has, and what follows a fault: it is reset once, then the next one takes its place.

use std::time::{Duration, Instant};

use super::element::Encoder;
use super::probe::Encoders;

/// One that has worked for so long since it was reset has recovered.
const RECOVERED: Duration = Duration::from_mins(1);
/// The last one rests so long before it is tried again: there is nobody after it.
const REST: Duration = Duration::from_secs(1);

/// Encoders, best first. No clock of its own.
#[derive(Debug)]
pub(super) struct Ladder {
    encoders: Encoders,
    at: usize,
    reset_at: Option<Instant>,
    rests_until: Option<Instant>,
}

/// What follows a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The same one begins anew.
    Reset,
    /// The next one takes its place, for as long as the encoding lasts.
    Replaced,
}

impl Ladder {
    pub(super) const fn new(encoders: Encoders) -> Self {
        Self { encoders, at: 0, reset_at: None, rests_until: None }
    }

    pub(super) fn encoder(&self) -> &Encoder {
        self.encoders.get(self.at)
    }

    /// Whether it may begin now.
    pub(super) fn may_start(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| now >= until)
    }

    /// It failed, or did not start.
    pub(super) fn handle_fault(&mut self, now: Instant) -> Step {
        let again = self.reset_at.replace(now).is_some_and(|at| now.saturating_duration_since(at) < RECOVERED);
        if again && self.at + 1 < self.encoders.len() {
            self.at += 1;
            self.reset_at = None;
            return Step::Replaced;
        }
        self.rests_until = again.then_some(now + REST);
        Step::Reset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder() -> Ladder {
        Ladder::new(Encoders::unproven(vec![Encoder::V4l2, Encoder::OpenH264]))
    }

    #[test]
    fn a_second_fault_within_a_minute_brings_the_next_encoder() {
        let (mut ladder, start) = (ladder(), Instant::now());
        assert_eq!(ladder.handle_fault(start), Step::Reset);
        assert!(ladder.may_start(start), "at once");
        assert_eq!(ladder.handle_fault(start + Duration::from_secs(59)), Step::Replaced);
        assert_eq!(ladder.encoder(), &Encoder::OpenH264);
        assert!(ladder.may_start(start + Duration::from_secs(59)));
    }

    #[test]
    fn one_that_recovered_is_reset_again() {
        let (mut ladder, start) = (ladder(), Instant::now());
        for minute in 0..10 {
            assert_eq!(ladder.handle_fault(start + RECOVERED * minute), Step::Reset);
        }
        assert_eq!(ladder.encoder(), &Encoder::V4l2);
    }

    #[test]
    fn the_last_one_is_tried_for_ever_and_once_a_second() {
        let (mut ladder, mut now) = (ladder(), Instant::now());
        ladder.at = 1;
        assert_eq!(ladder.handle_fault(now), Step::Reset);
        for _ in 0..5 {
            assert_eq!(ladder.handle_fault(now), Step::Reset);
            assert!(!ladder.may_start(now + REST / 2));
            now += REST;
            assert!(ladder.may_start(now));
        }
    }
}
