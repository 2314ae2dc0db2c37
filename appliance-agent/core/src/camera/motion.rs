//! What a camera does now, and about where it looks.

use std::collections::VecDeque;

use bridgepoint_wire::camera::{Drive, Mover, Position};

use super::driver::{Axis, Capabilities, Ticket};
use super::limits::ByAxis;
use crate::Millis;

/// Every state but `Still` has a time at which something else is tried.
#[derive(Debug)]
pub(super) enum Motion {
    /// Confirmed by the camera, or by its having arrived.
    Still,
    Driving(Driving),
    /// Under way to a place.
    Going {
        by: Mover,
        ticket: Ticket,
        /// Where it will be; `None`: only the camera knows.
        to: Option<Position>,
        give_up_at: Millis,
    },
    /// Told to stop, not confirmed.
    Stopping {
        /// The newest stops, without a motion between them: one that is confirmed is enough, however late.
        tickets: VecDeque<Ticket>,
        repeat_at: Millis,
        tries: u32,
    },
}

#[derive(Debug)]
pub(super) struct Driving {
    pub by: Mover,
    /// What the mover asked for.
    pub wanted: Drive,
    /// What the limits left of it.
    pub sent: Drive,
    /// The dead-man timer.
    pub renew_by: Millis,
    /// Something must be done about a limit.
    pub limit_at: Option<Millis>,
    pub how: How,
}

#[derive(Debug)]
pub(super) enum How {
    /// The camera moves by itself.
    Speed {
        /// The last drive, while it is not answered.
        open: Option<(Ticket, Millis)>,
    },
    /// A camera that knows no speeds is moved in small steps, so it stops by itself when nobody asks on.
    Steps {
        next_at: Millis,
        open: Option<(Ticket, Millis)>,
        /// The last step's end, for a camera that takes places.
        aim: Option<Position>,
    },
}

impl Motion {
    /// Whose motion it is.
    pub fn mover(&self) -> Option<&Mover> {
        match self {
            Self::Driving(driving) => Some(&driving.by),
            Self::Going { by, .. } => Some(by),
            Self::Still | Self::Stopping { .. } => None,
        }
    }

    pub fn poll_timeout(&self) -> Option<Millis> {
        match self {
            Self::Still => None,
            Self::Driving(driving) => Some(driving.poll_timeout()),
            Self::Going { give_up_at: at, .. } | Self::Stopping { repeat_at: at, .. } => Some(*at),
        }
    }
}

impl Driving {
    fn poll_timeout(&self) -> Millis {
        let how = match &self.how {
            How::Speed { open } => open.map(|(_, answer_by)| answer_by),
            How::Steps { open: Some((_, answer_by)), .. } => Some(*answer_by),
            How::Steps { next_at, .. } => Some(*next_at),
        };
        [self.limit_at, how].into_iter().flatten().fold(self.renew_by, Ord::min)
    }

    /// The driver has not answered in time.
    pub fn is_unanswered(&self, now: Millis) -> bool {
        let (How::Speed { open } | How::Steps { open, .. }) = &self.how;
        open.is_some_and(|(_, answer_by)| now >= answer_by)
    }

    /// The driver has answered `ticket`. Returns whether that was of this drive.
    pub fn answered(&mut self, ticket: Ticket) -> bool {
        let (How::Speed { open } | How::Steps { open, .. }) = &mut self.how;
        open.take_if(|(of, _)| *of == ticket).is_some()
    }
}

/// Where the camera looks: as it said last, carried on by dead reckoning while it is driven.
#[derive(Debug)]
pub(super) struct Place {
    /// On each axis.
    reckoned: Option<[f64; 3]>,
    at: Millis,
    /// A question that is not answered, and until when that is waited for.
    pub open: Option<(Ticket, Millis)>,
    pub ask_at: Millis,
}

impl Place {
    pub const fn unknown(now: Millis) -> Self {
        Self { reckoned: None, at: now, open: None, ask_at: now }
    }

    pub fn get(&self) -> Option<Position> {
        self.reckoned.map(|axes| Position::from_axes(axes.map(|on| on.round() as i32)))
    }

    pub fn set(&mut self, now: Millis, position: Option<Position>) {
        self.reckoned = position.map(|position| Axis::ALL.map(|axis| f64::from(position.on(axis))));
        self.at = now;
    }

    /// Time passed, while the camera was driven like this.
    pub fn carry(&mut self, now: Millis, drive: Drive, camera: &Capabilities) {
        let seconds = now.0.saturating_sub(self.at.0) as f64 / 1_000.0;
        self.at = self.at.max(now);
        let Some(reckoned) = &mut self.reckoned else { return };
        let ends = [(-10_000.0, 10_000.0), (-10_000.0, 10_000.0), (0.0, 10_000.0)];
        for ((axis, on), (low, high)) in Axis::ALL.into_iter().zip(reckoned).zip(ends) {
            let units_a_second = f64::from(camera.full_speed(axis)) * f64::from(drive.on(axis)) / 100.0;
            *on = (*on + units_a_second * seconds).clamp(low, high);
        }
    }
}
