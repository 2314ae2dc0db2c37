//! The button at boot: held for 15 s it asks for a factory reset, and letting go of it afterwards confirms.
//!
//! A finger and a stuck button look alike while they press; only a finger lets go. So the reset happens on release,
//! between 15 s and 60 s: earlier cancels, later is a fault of the button, and the box starts as ever. The button must
//! be down within the first seconds: who presses later wants a session.
//!
//! Green and amber count down; red says *on record* and nothing else (see [`bridgepoint_panel::lamps`]).

use bridgepoint_panel::{Level, Millis};
use bridgepoint_wire::panel::{Lamp, Lamps};

use crate::earlier;

/// What comes of the button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start as ever.
    Start,
    /// Reset, then start.
    Reset,
    /// Start as ever, and report that the button is stuck.
    Stuck,
}

/// Watches the button of a box that has just started.
#[derive(Debug)]
pub struct ResetButton {
    /// An answer of the panel must come by then.
    heard_by: Millis,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Not pressed yet.
    Open {
        until: Millis,
    },
    Held {
        since: Millis,
        /// Let go of; a contact bounces, and a poor one flickers.
        open_since: Option<Millis>,
    },
    Decided(Decision),
}

impl ResetButton {
    /// The button must be down within this time. Every start of a box waits this long.
    pub const WITHIN_MS: u64 = 2_000;
    /// Held for this long it asks for a reset.
    pub const HOLD_MS: u64 = 15_000;
    /// Held for this long it is stuck.
    pub const STUCK_MS: u64 = 60_000;
    /// Open for this long it was let go of.
    pub const RELEASE_MS: u64 = 200;
    /// A panel that says nothing for this long is not there: nobody can ask for a reset.
    pub const SILENT_MS: u64 = 1_000;

    /// Nothing is known of the button yet.
    pub const fn new(now: Millis) -> Self {
        let until = now.after(Self::WITHIN_MS);
        Self { heard_by: until, state: State::Open { until } }
    }

    /// The panel says where the button is. To be asked several times a second.
    pub fn handle_level(&mut self, now: Millis, level: Level) {
        self.handle_timeout(now);
        self.heard_by = now.after(Self::SILENT_MS);
        self.state = match (self.state, level) {
            (State::Open { .. }, Level::Down) => State::Held { since: now, open_since: None },
            (State::Held { since, .. }, Level::Down) => State::Held { since, open_since: None },
            (State::Held { since, open_since }, Level::Up) => {
                State::Held { since, open_since: open_since.or(Some(now)) }
            }
            (unchanged @ (State::Open { .. } | State::Decided(_)), _) => unchanged,
        };
    }

    /// When [`ResetButton::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let due = match self.state {
            State::Open { until } => until,
            State::Held { open_since: Some(open), .. } => open.after(Self::RELEASE_MS),
            State::Held { since, open_since: None } => since.after(Self::STUCK_MS),
            State::Decided(_) => return None,
        };
        earlier(Some(due), Some(self.heard_by))
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        let decision = match self.state {
            State::Open { until } if now >= until => Decision::Start,
            State::Held { since, open_since: Some(open) } if now >= open.after(Self::RELEASE_MS) => {
                if open >= since.after(Self::STUCK_MS) {
                    Decision::Stuck
                } else if open >= since.after(Self::HOLD_MS) {
                    Decision::Reset
                } else {
                    Decision::Start
                }
            }
            State::Held { since, open_since: None } if now >= since.after(Self::STUCK_MS) => Decision::Stuck,
            State::Open { .. } | State::Held { .. } if now >= self.heard_by => Decision::Start,
            State::Open { .. } | State::Held { .. } | State::Decided(_) => return,
        };
        self.state = State::Decided(decision);
    }

    /// What comes of it, once that is known.
    pub const fn decision(&self) -> Option<Decision> {
        match self.state {
            State::Decided(decision) => Some(decision),
            State::Open { .. } | State::Held { .. } => None,
        }
    }

    /// The count-down: amber slowly for 10 s, amber and green fast for 5 s, then both lit: let go now.
    pub fn lamps(&self, now: Millis) -> Lamps {
        let State::Held { since, .. } = self.state else { return Lamps::default() };
        let (mute, ready) = match now.0.saturating_sub(since.0) {
            0..10_000 => (Lamp::Slow, Lamp::Off),
            10_000..Self::HOLD_MS => (Lamp::Fast, Lamp::Fast),
            _ => (Lamp::On, Lamp::On),
        };
        Lamps { record: Lamp::Off, mute, ready }
    }
}

#[cfg(test)]
mod tests {
    use super::Level::{Down, Up};
    use super::*;
    use proptest::prelude::*;

    /// Asks the panel every 100 ms until `silent_from`; the button follows `edges`, Up before the first.
    fn play_until(edges: &[(u64, Level)], silent_from: u64) -> (u64, Decision) {
        let mut button = ResetButton::new(Millis(0));
        for now in 0.. {
            if now % 100 == 0 && now < silent_from {
                let level = edges.iter().rfind(|(at, _)| *at <= now).map_or(Up, |(_, level)| *level);
                button.handle_level(Millis(now), level);
            }
            button.handle_timeout(Millis(now));
            if let Some(decision) = button.decision() {
                return (now, decision);
            }
            assert!(button.poll_timeout().is_some_and(|at| at > Millis(now)), "nothing would wake it at {now}");
        }
        unreachable!("the loop ends with a decision")
    }

    fn play(edges: &[(u64, Level)]) -> (u64, Decision) {
        play_until(edges, u64::MAX)
    }

    #[test]
    fn a_box_whose_button_nobody_touches_starts_after_two_seconds() {
        assert_eq!(play(&[]), (2_000, Decision::Start));
    }

    #[test]
    fn held_for_fifteen_seconds_and_let_go_it_resets() {
        assert_eq!(play(&[(0, Down), (15_000, Up)]), (15_200, Decision::Reset));
        assert_eq!(play(&[(1_900, Down), (40_000, Up)]), (40_200, Decision::Reset));
    }

    #[test]
    fn let_go_earlier_it_starts_as_ever() {
        assert_eq!(play(&[(0, Down), (14_900, Up)]), (15_100, Decision::Start));
        assert_eq!(play(&[(0, Down), (100, Up)]), (300, Decision::Start));
    }

    #[test]
    fn a_button_that_was_down_before_power_on_and_stays_down_is_a_fault_not_a_reset() {
        assert_eq!(play(&[(0, Down)]), (60_000, Decision::Stuck));
        assert_eq!(play(&[(500, Down), (60_500, Up)]), (60_500, Decision::Stuck));
    }

    #[test]
    fn pressed_after_the_first_seconds_it_is_no_reset() {
        assert_eq!(play(&[(2_100, Down), (30_000, Up)]), (2_000, Decision::Start));
    }

    #[test]
    fn a_contact_that_flickers_under_the_finger_is_still_held() {
        assert_eq!(play(&[(0, Down), (7_000, Up), (7_100, Down), (16_000, Up)]), (16_200, Decision::Reset));
    }

    #[test]
    fn a_panel_that_falls_silent_never_resets() {
        assert_eq!(play_until(&[(0, Down), (16_000, Up)], 10_000), (10_900, Decision::Start));
        assert_eq!(play_until(&[(0, Down), (20_000, Up)], 17_000), (17_900, Decision::Start));
        assert_eq!(play_until(&[], 0), (2_000, Decision::Start));
    }

    #[test]
    fn the_lamps_count_down_and_never_show_red() {
        let mut button = ResetButton::new(Millis(0));
        assert_eq!(button.lamps(Millis(0)), Lamps::default());
        button.handle_level(Millis(1_000), Down);
        let shown = |now| {
            let Lamps { record, mute, ready } = button.lamps(Millis(now));
            assert_eq!(record, Lamp::Off);
            (mute, ready)
        };
        assert_eq!(shown(1_000), (Lamp::Slow, Lamp::Off));
        assert_eq!(shown(10_999), (Lamp::Slow, Lamp::Off));
        assert_eq!(shown(11_000), (Lamp::Fast, Lamp::Fast));
        assert_eq!(shown(15_999), (Lamp::Fast, Lamp::Fast));
        assert_eq!(shown(16_000), (Lamp::On, Lamp::On));
    }

    proptest! {
        /// Whatever the finger does: no reset without one pause-less hold of 15 to 60 s that began in time.
        #[test]
        fn nothing_but_the_gesture_resets(holds in prop::collection::vec((0_u64..4_000, 0_u64..70_000), 0..6)) {
            let mut edges = Vec::new();
            let mut at = 0;
            for (pause, hold) in &holds {
                edges.push((at + pause, Down));
                at += pause + hold;
                edges.push((at, Up));
            }
            let (when, decision) = play(&edges);
            prop_assert!(when <= ResetButton::WITHIN_MS + ResetButton::STUCK_MS + ResetButton::RELEASE_MS);
            if decision == Decision::Reset {
                prop_assert!(when >= ResetButton::HOLD_MS + ResetButton::RELEASE_MS);
                // It was let go of when the last answer before the decision came.
                let asked = when - 100;
                prop_assert!(edges.iter().rfind(|(at, _)| *at <= asked).is_some_and(|(_, level)| *level == Up));
            }
        }
    }
}
