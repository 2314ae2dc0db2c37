//! Whether this boot is good.

use bridgepoint_wire::update::UpdateFault;

use super::Updates;
use crate::{Millis, earlier};

/// What is known of this boot.
#[derive(Debug)]
pub enum Judgement {
    Open {
        /// The agent's start.
        since: Millis,
        tested: bool,
        centre: bool,
        working_since: Option<Millis>,
        /// The boot loader could not be told: not before then again.
        not_before: Millis,
    },
    /// The boot loader is being told.
    Marking {
        since: Millis,
    },
    Good,
}

impl Judgement {
    /// Before the boot loader is told again.
    const AGAIN_MS: u64 = 10_000;

    pub const fn new(now: Millis) -> Self {
        Self::Open { since: now, tested: false, centre: false, working_since: None, not_before: now }
    }

    pub const fn handle_self_test(&mut self, passed: bool) {
        if let Self::Open { tested, .. } = self {
            *tested = passed;
        }
    }

    pub const fn handle_centre(&mut self) {
        if let Self::Open { centre, .. } = self {
            *centre = true;
        }
    }

    pub const fn handle_working(&mut self, now: Millis, works: bool) {
        if let Self::Open { working_since, .. } = self {
            *working_since = match (*working_since, works) {
                (None, true) => Some(now),
                (since @ Some(_), true) => since,
                (_, false) => None,
            };
        }
    }

    /// It is good, and the boot loader shall know: said once per try.
    pub fn wants_mark(&mut self, now: Millis) -> bool {
        let Self::Open { since, .. } = *self else { return false };
        if self.mark_at().is_none_or(|at| now < at) {
            return false;
        }
        *self = Self::Marking { since };
        true
    }

    fn mark_at(&self) -> Option<Millis> {
        match *self {
            Self::Open { tested: true, centre: true, not_before, .. } => Some(not_before),
            Self::Open { tested: true, working_since: Some(since), not_before, .. } => {
                Some(since.after(Updates::ALONE_MS).max(not_before))
            }
            Self::Open { .. } | Self::Marking { .. } | Self::Good => None,
        }
    }

    pub fn handle_marked(&mut self, now: Millis, done: bool) {
        *self = match *self {
            Self::Marking { .. } if done => Self::Good,
            // What was good a moment ago is taken for good: only the boot loader did not listen.
            Self::Marking { since } => Self::Open {
                since,
                tested: true,
                centre: true,
                working_since: None,
                not_before: now.after(Self::AGAIN_MS),
            },
            Self::Open { since, tested, centre, working_since, not_before } => {
                Self::Open { since, tested, centre, working_since, not_before }
            }
            Self::Good => Self::Good,
        };
    }

    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Good)
    }

    /// Why a trial has failed, once its time is over.
    pub fn failed(&self, now: Millis) -> Option<UpdateFault> {
        match *self {
            Self::Open { since, tested, .. } if now >= since.after(Updates::TRIAL_MS) => {
                Some(if tested { UpdateFault::Unproven } else { UpdateFault::SelfTest })
            }
            Self::Open { .. } | Self::Marking { .. } | Self::Good => None,
        }
    }

    pub fn poll_timeout(&self, on_trial: bool) -> Option<Millis> {
        match *self {
            Self::Open { since, .. } => earlier(self.mark_at(), on_trial.then_some(since.after(Updates::TRIAL_MS))),
            Self::Marking { .. } | Self::Good => None,
        }
    }
}
