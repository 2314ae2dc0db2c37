//! Finding the camera: addresses, cleared buffers, numbers from the start.
//!
//! Sources: EVI-D70, *VISCA device setting command* (`AddressSet` and `IF_Clear` by broadcast before anything else);
//! SRG-300H, *VISCA over IP* (RESET; no `AddressSet`).

use super::super::command;
use super::super::{Event, Header, PayloadType};
use super::{Dialect, Session, Transmit};
use crate::Millis;

/// The control command that makes a camera count from the start.
const RESET: u8 = 0x01;
const FIRST_PAUSE_MS: u64 = 250;
/// A line between two devices has nobody to collide with: no jitter, and no end, since cameras are plugged in late.
const LONGEST_PAUSE_MS: u64 = 2_000;

/// Whether the camera is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link {
    Opening {
        step: Step,
        state: State,
        /// How often all steps were tried in vain.
        round: u32,
        cameras: Option<u8>,
    },
    Ready,
}

/// What is said to a camera before it is told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    AddressSet,
    ClearAll,
    Reset,
    Clear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Due(Millis),
    Said { until: Millis, number: Option<u32> },
}

impl Link {
    pub const fn open(dialect: Dialect, now: Millis) -> Self {
        Self::begin(first_step(dialect), now)
    }

    /// Only this camera's buffers: others of the chain go on.
    pub const fn resync(dialect: Dialect, now: Millis) -> Self {
        Self::begin(if matches!(dialect, Dialect::Ip) { Step::Reset } else { Step::Clear }, now)
    }

    const fn begin(step: Step, now: Millis) -> Self {
        Self::Opening { step, state: State::Due(now), round: 0, cameras: None }
    }

    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }

    /// Whether RESET is the next to be said.
    pub fn resets(&self, now: Millis) -> bool {
        matches!(self, Self::Opening { step: Step::Reset, state: State::Due(at), .. } if *at <= now)
    }

    pub const fn poll_timeout(&self) -> Option<Millis> {
        match self {
            Self::Opening { state: State::Due(at) | State::Said { until: at, .. }, .. } => Some(*at),
            Self::Ready => None,
        }
    }

    /// The step that was said and waits for its answer.
    pub const fn said(&self) -> Option<(Step, Option<u32>)> {
        match self {
            Self::Opening { step, state: State::Said { number, .. }, .. } => Some((*step, *number)),
            _ => None,
        }
    }

    /// Whether all steps were tried in vain before.
    pub const fn is_hard(&self) -> bool {
        matches!(self, Self::Opening { round: 1.., .. })
    }
}

const fn first_step(dialect: Dialect) -> Step {
    match dialect {
        Dialect::Serial => Step::AddressSet,
        Dialect::Raw => Step::Clear,
        Dialect::Ip => Step::Reset,
    }
}

impl Session {
    pub(super) fn say_opening(&mut self, now: Millis) -> Option<Transmit> {
        let Link::Opening { step, state: State::Due(at), .. } = self.link else { return None };
        if at > now {
            return None;
        }
        let (number, bytes) = match step {
            Step::AddressSet => (None, Self::wrap(PayloadType::DeviceSetting, None, &command::address_set())),
            Step::ClearAll => (None, Self::wrap(PayloadType::DeviceSetting, None, &command::if_clear(None))),
            Step::Reset => {
                self.next_number = self.first_number;
                (None, Header { payload: PayloadType::Control, number: 0 }.encode(&[RESET]))
            }
            Step::Clear => {
                let number = self.take_number();
                let packet = command::if_clear(Some(self.config.address));
                (number, Self::wrap(PayloadType::DeviceSetting, number, &packet))
            }
        };
        if let Link::Opening { state, .. } = &mut self.link {
            *state = State::Said { until: now.after(self.config.timing.reply_ms), number };
        }
        Some(bytes)
    }

    /// The step that was said has been answered.
    pub(super) fn opening_answered(&mut self, now: Millis, found: Option<u8>) {
        let Link::Opening { step, round, cameras, .. } = self.link else { return };
        let cameras = found.or(cameras);
        let next = match step {
            Step::AddressSet => Step::ClearAll,
            Step::Reset => Step::Clear,
            Step::ClearAll | Step::Clear => {
                self.link = Link::Ready;
                self.silent = false;
                // What was asked before and is answered only now can still arrive.
                self.doubt(now);
                self.sockets = Default::default();
                self.tell(Event::Ready { cameras });
                return;
            }
        };
        self.link = Link::Opening { step: next, state: State::Due(now), round, cameras };
    }

    /// A step may go unanswered: there are cameras that know no RESET, or have their address from a switch.
    pub(super) fn opening_timeout(&mut self, now: Millis) {
        let Link::Opening { step, state: State::Said { until, .. }, round, cameras } = self.link else { return };
        if until > now {
            return;
        }
        self.link = match step {
            Step::AddressSet => Link::Opening { step: Step::ClearAll, state: State::Due(now), round, cameras },
            Step::Reset => Link::Opening { step: Step::Clear, state: State::Due(now), round, cameras },
            Step::ClearAll | Step::Clear => {
                if !self.silent {
                    self.silent = true;
                    self.tell(Event::Silent);
                }
                let pause = (FIRST_PAUSE_MS << round.min(10)).min(LONGEST_PAUSE_MS);
                let state = State::Due(now.after(pause));
                Link::Opening {
                    step: first_step(self.config.dialect),
                    state,
                    round: round.saturating_add(1),
                    cameras: None,
                }
            }
        };
    }

    /// A camera was switched on, or the chain has changed.
    pub(super) fn network_changed(&mut self, now: Millis) {
        // Said twice, or said in answer to being addressed: it must not go round for ever.
        if let Link::Opening { step, .. } = self.link
            && (step == first_step(self.config.dialect) || self.link.is_hard())
        {
            return;
        }
        let round = u32::from(!self.link.is_ready());
        self.tell(Event::NetworkChange);
        self.forget(now);
        self.link =
            Link::Opening { step: first_step(self.config.dialect), state: State::Due(now), round, cameras: None };
        // What it had been told is gone with it.
        for stop in self.stops.iter_mut().flatten() {
            stop.due = now;
        }
    }
}
