//! What the lamps say.

use bridgepoint_wire::panel::{Lamp, Lamps};

use crate::press::Millis;

/// What the box is doing, as far as its panel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Showing {
    /// The centre cannot be reached and no session runs: a press would come to nothing.
    Alone,
    /// Ready for a call.
    Ready,
    /// Has called, waits for the centre.
    Calling,
    /// Takes part in a session.
    Session {
        /// The centre said that the session is on record.
        on_record: bool,
        /// The microphone is muted.
        muted: bool,
    },
}

/// How long a refused press is shown.
pub const REFUSAL_MS: u64 = 1_000;

/// The lamps for a state. Red says *on record* and nothing else, whatever else is the matter.
pub const fn lamps(showing: Showing, refused: bool) -> Lamps {
    let (record, mute, ready) = match showing {
        Showing::Alone => (Lamp::Off, Lamp::Off, Lamp::Off),
        Showing::Ready => (Lamp::Off, Lamp::Off, Lamp::On),
        Showing::Calling => (Lamp::Off, Lamp::Off, Lamp::Slow),
        Showing::Session { on_record, muted } => (on(on_record), on(muted), Lamp::On),
    };
    Lamps { record, mute, ready: if refused { Lamp::Fast } else { ready } }
}

const fn on(lit: bool) -> Lamp {
    if lit { Lamp::On } else { Lamp::Off }
}

/// Whether a lamp gives light at this instant. All blinking lamps begin lit and in step.
pub const fn lit(lamp: Lamp, since: Millis) -> bool {
    match lamp {
        Lamp::Off => false,
        Lamp::On => true,
        Lamp::Slow => since.0 % 1_000 < 500,
        Lamp::Fast => since.0 % 250 < 125,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn red_is_lit_exactly_while_on_record() {
        for muted in [false, true] {
            for refused in [false, true] {
                for on_record in [false, true] {
                    let shown = lamps(Showing::Session { on_record, muted }, refused);
                    assert_eq!(shown.record == Lamp::On, on_record);
                }
                for showing in [Showing::Alone, Showing::Ready, Showing::Calling] {
                    assert_eq!(lamps(showing, refused).record, Lamp::Off);
                }
            }
        }
    }

    #[test]
    fn every_state_and_a_refusal_can_be_told_apart() {
        let session = |on_record, muted| Showing::Session { on_record, muted };
        let all = [Showing::Alone, Showing::Ready, Showing::Calling, session(true, false), session(true, true)];
        for (n, a) in all.iter().enumerate() {
            for b in &all[n + 1..] {
                assert_ne!(lamps(*a, false), lamps(*b, false));
            }
            assert_ne!(lamps(*a, false), lamps(*a, true));
        }
    }

    #[test]
    fn slow_is_one_hertz_and_fast_four() {
        let blinks = |lamp| (1..10_000).filter(|ms| lit(lamp, Millis(*ms)) && !lit(lamp, Millis(*ms - 1))).count();
        assert_eq!((blinks(Lamp::Off), blinks(Lamp::On)), (0, 0));
        assert_eq!((blinks(Lamp::Slow), blinks(Lamp::Fast)), (9, 39));
        assert!(lit(Lamp::Slow, Millis(0)) && lit(Lamp::Fast, Millis(0)));
    }
}
