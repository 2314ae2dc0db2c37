//! One camera, whatever it speaks: who may move it, how far, and that it always comes to a stop.
//!
//! * One mover at a time, by rank, with a lease ([`ownership`]).
//! * A drive must be asked for again within [`DEAD_MAN_MS`], or the camera is stopped.
//! * It is also stopped when its mover is lost, when the line to it comes back, at a soft limit, and when the agent
//!   ends; and told so again until it confirms.
//! * Each start, stop and preset is an event with its mover.

use std::collections::VecDeque;
use std::sync::Arc;

use bridgepoint_wire::camera::{
    CameraAction, CameraEvent, CameraRefusal, DEAD_MAN_MS, Drive, Motion as Purpose, Mover, Position, PresetName,
    PresetNumber, Rank, StopReason,
};

use crate::{Millis, earlier};

mod driver;
mod driving;
mod errands;
mod going;
pub mod limits;
mod motion;
pub mod ownership;
pub mod presets;

pub use driver::{Action, Axis, Call, Capabilities, Displacement, DriverFault, Means, Ticket};
pub use limits::Limits;
pub use presets::{Preset, Presets};

use errands::Errand;
use motion::{Driving, Motion, Place};
use ownership::Ownership;

/// One camera. Feed it what happens, carry out what [`Camera::poll_action`] says, wake it at [`Camera::poll_timeout`].
#[derive(Debug)]
pub struct Camera {
    limits: Limits,
    presets: Presets,
    ownership: Ownership,
    line: Line,
    motion: Motion,
    place: Place,
    errand: Option<Errand>,
    ending: Option<Millis>,
    tickets: u32,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
enum Line {
    Away,
    Here(Arc<Capabilities>),
}

impl Camera {
    /// A stop that is not confirmed is said again after this long; after [`Camera::STOP_TRIES`], at this pace for ever.
    pub const STOP_REPEAT_MS: u64 = 200;
    /// So many stops without an answer are worth an event, and nothing else is asked of the camera until it answers.
    pub const STOP_TRIES: u32 = 5;
    /// So many of the last stops may be confirmed: a camera that takes longer is as good as silent.
    const STOPS_KNOWN: usize = 8;
    /// The driver answers a drive, a step or an errand within this time.
    pub const ANSWER_MS: u64 = 1_500;
    /// A camera is at a place within this time: the slowest take 10 s from end to end.
    pub const GOING_MS: u64 = 15_000;
    /// At the end of the agent a stop is waited for this long.
    pub const ENDING_MS: u64 = 2_000;
    /// Between two questions where a moving camera looks.
    pub const ASK_MOVING_MS: u64 = 200;
    /// The same, standing still: somebody may turn it with its own remote control.
    pub const ASK_STILL_MS: u64 = 5_000;
    /// An unanswered question is waited for this long.
    pub const ASK_PATIENCE_MS: u64 = 500;

    /// A camera that is not there yet, with the presets that were stored before.
    pub fn new(now: Millis, limits: Limits, presets: Presets) -> Self {
        Self {
            limits,
            presets,
            ownership: Ownership::default(),
            line: Line::Away,
            motion: Motion::Still,
            place: Place::unknown(now),
            errand: None,
            ending: None,
            tickets: 0,
            actions: VecDeque::new(),
        }
    }

    /// Who has the camera.
    pub fn owner(&self) -> Option<&Mover> {
        self.ownership.owner()
    }

    /// About where it looks.
    pub fn position(&self) -> Option<Position> {
        self.place.get()
    }

    /// To be stored on [`Action::Keep`].
    pub const fn presets(&self) -> &Presets {
        &self.presets
    }

    /// The next thing to carry out.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The driver has found the camera, or found it again. Whatever it did, it is stopped first.
    pub fn handle_connected(&mut self, now: Millis, capabilities: Capabilities) {
        self.handle_timeout(now);
        self.end_motion(StopReason::LineLost);
        self.fail_errand(CameraRefusal::NoCamera);
        if matches!(self.line, Line::Away) {
            self.say(CameraEvent::Back);
        }
        self.line = Line::Here(Arc::new(capabilities));
        self.place = Place::unknown(now);
        // What the former line has been told is not confirmed by this one.
        self.motion = Motion::Still;
        self.stop(now, 0);
    }

    /// The line to the camera is lost.
    pub fn handle_disconnected(&mut self, now: Millis) {
        self.handle_timeout(now);
        if matches!(self.line, Line::Away) {
            return;
        }
        self.end_motion(StopReason::LineLost);
        self.fail_errand(CameraRefusal::NoCamera);
        self.line = Line::Away;
        // Nothing can be done until the line is back, and then a stop is the first thing.
        self.motion = Motion::Still;
        self.place = Place::unknown(now);
        self.say(CameraEvent::Lost);
    }

    /// Nobody of this rank can ask for anything any more: the centre cannot be reached, the panel is away.
    pub fn handle_mover_lost(&mut self, now: Millis, rank: Rank) {
        self.handle_timeout(now);
        if self.owner().is_some_and(|owner| owner.rank() == rank) {
            self.halt(now, StopReason::MoverLost);
            self.ownership.free();
        }
    }

    /// The agent ends: a last stop, and nothing more. Go on until [`Camera::has_ended`].
    pub fn handle_shutdown(&mut self, now: Millis) {
        self.handle_timeout(now);
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(now.after(Self::ENDING_MS));
        self.fail_errand(CameraRefusal::Ending);
        self.end_motion(StopReason::Ending);
        if matches!(self.line, Line::Here(_)) {
            self.stop(now, 0);
        }
    }

    /// After [`Camera::handle_shutdown`]: the camera has confirmed its stop, or cannot.
    pub fn has_ended(&self, now: Millis) -> bool {
        self.ending.is_some_and(|until| now >= until || matches!(self.motion, Motion::Still))
    }

    /// Somebody wants something of the camera. A command of the centre has passed [`crate::gate::CommandGate`], which
    /// lets no stale drive through.
    ///
    /// # Errors
    /// Why it is not begun. What fails later is a [`CameraEvent`].
    pub fn handle_request(&mut self, now: Millis, by: &Mover, action: CameraAction) -> Result<(), CameraRefusal> {
        self.handle_timeout(now);
        let begun = self.begin(now, by, action);
        if begun.is_err() && self.motion.mover() == Some(by) {
            // They want something else than what the camera does.
            self.halt(now, StopReason::Next);
        }
        begun
    }

    fn begin(&mut self, now: Millis, by: &Mover, action: CameraAction) -> Result<(), CameraRefusal> {
        if self.ending.is_some() {
            return Err(CameraRefusal::Ending);
        }
        let camera = self.camera()?;
        match action {
            CameraAction::Stop => return self.ask_stop(now, by),
            CameraAction::Drive(drive) if drive == Drive::default() => return self.ask_stop(now, by),
            CameraAction::Release => {
                if self.owner() == Some(by) {
                    self.halt(now, StopReason::Asked);
                    self.ownership.free();
                }
                return Ok(());
            }
            _ => self.ownership.may(by)?,
        }
        if matches!(self.motion, Motion::Stopping { tries, .. } if tries >= Self::STOP_TRIES) {
            return Err(CameraRefusal::NotAnswering);
        }
        match action {
            CameraAction::Drive(drive) => self.drive(now, by, drive, &camera),
            CameraAction::GoTo(position) => self.go_to(now, by, position, Purpose::GoTo(position), &camera),
            CameraAction::Recall { preset } => self.recall(now, by, preset, &camera),
            CameraAction::Store { preset, name } => self.store(now, by, preset, name, &camera),
            CameraAction::Clear { preset } => self.clear(now, by, preset, &camera),
            CameraAction::Stop | CameraAction::Release => Ok(()),
        }
    }

    fn camera(&self) -> Result<Arc<Capabilities>, CameraRefusal> {
        match &self.line {
            Line::Here(capabilities) => Ok(Arc::clone(capabilities)),
            Line::Away => Err(CameraRefusal::NoCamera),
        }
    }

    /// A stop is refused only to those whom the owner outranks, and is sent even to a camera that should stand still.
    fn ask_stop(&mut self, now: Millis, by: &Mover) -> Result<(), CameraRefusal> {
        let outranks = match self.owner() {
            None => false,
            Some(owner) if owner.rank() > by.rank() => return Err(CameraRefusal::Held(owner.rank())),
            Some(owner) => owner.rank() < by.rank(),
        };
        if self.motion.mover().is_some() {
            self.halt(now, if outranks { StopReason::TakenBy(by.rank()) } else { StopReason::Asked });
        } else if matches!(self.motion, Motion::Still) {
            self.stop(now, 0);
        }
        if outranks {
            self.ownership.claim(now, by);
        }
        Ok(())
    }

    /// The driver has done it.
    pub fn handle_done(&mut self, now: Millis, ticket: Ticket) {
        self.handle_timeout(now);
        match &mut self.motion {
            Motion::Driving(driving) => {
                driving.answered(ticket);
            }
            Motion::Going { ticket: of, to, .. } if *of == ticket => {
                self.place.set(now, *to);
                self.end_motion(StopReason::Arrived);
                self.motion = Motion::Still;
                self.ownership.extend(now);
                self.ask_within(now, 0);
            }
            Motion::Stopping { tickets, tries, .. } if tickets.contains(&ticket) => {
                let silent = *tries >= Self::STOP_TRIES;
                self.motion = Motion::Still;
                if silent {
                    self.say(CameraEvent::Back);
                }
                self.ask_within(now, 0);
            }
            Motion::Going { .. } | Motion::Stopping { .. } | Motion::Still => {}
        }
        self.errand_done(ticket);
    }

    /// The driver could not do it.
    pub fn handle_failed(&mut self, now: Millis, ticket: Ticket, fault: DriverFault) {
        self.handle_timeout(now);
        self.place.open.take_if(|(of, _)| *of == ticket);
        let reason = match fault {
            DriverFault::Silent => CameraRefusal::NotAnswering,
            DriverFault::Refused | DriverFault::Unsupported => CameraRefusal::Unsupported,
        };
        if self.errand.as_ref().is_some_and(|errand| errand.ticket == ticket) {
            self.fail_errand(reason);
        }
        let failed = match &mut self.motion {
            Motion::Driving(driving) => driving.answered(ticket),
            Motion::Going { ticket: of, .. } => *of == ticket,
            // Said again at its time: at once would flood a camera that refuses at once.
            Motion::Stopping { .. } | Motion::Still => false,
        };
        if failed && let Some(by) = self.motion.mover().cloned() {
            self.say(CameraEvent::Failed { by, reason });
            // It may have begun to move all the same.
            match fault {
                DriverFault::Silent => self.halt_silent(now),
                DriverFault::Refused | DriverFault::Unsupported => self.halt(now, StopReason::Failed),
            }
        }
    }

    /// The camera says where it looks, as the answer to [`Call::AskPosition`] or by itself (`None`).
    pub fn handle_position(&mut self, now: Millis, ticket: Option<Ticket>, position: Position) {
        self.handle_timeout(now);
        if let Some(ticket) = ticket {
            self.place.open.take_if(|(of, _)| *of == ticket);
        }
        self.place.set(now, Some(position));
        self.errand_answered(ticket, position);
        self.mind_limits(now);
    }

    /// When [`Camera::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let lease = self.ownership.until().filter(|_| self.motion.mover().is_none());
        let line = match &self.line {
            Line::Away => None,
            Line::Here(camera) => {
                let asking = camera.can(Means::Position) && self.ending.is_none();
                let ask = asking.then(|| self.place.open.map_or(self.place.ask_at, |(_, until)| until));
                let errand = self.errand.as_ref().map(|errand| errand.give_up_at);
                earlier(earlier(ask, errand), self.motion.poll_timeout())
            }
        };
        earlier(lease, line)
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        if let Ok(camera) = self.camera() {
            self.handle_motion_timeout(now, &camera);
            if self.errand.as_ref().is_some_and(|errand| now >= errand.give_up_at) {
                self.fail_errand(CameraRefusal::NotAnswering);
            }
            if camera.can(Means::Position) && self.ending.is_none() {
                self.ask_in_time(now);
            }
        }
        // While it moves it has an owner: the motion's end comes first, and begins the lease anew.
        let over = self.ownership.until().is_some_and(|until| now >= until);
        if over && self.motion.mover().is_none() {
            self.ownership.free();
        }
    }

    fn handle_motion_timeout(&mut self, now: Millis, camera: &Capabilities) {
        match &self.motion {
            Motion::Still => {}
            Motion::Driving(Driving { renew_by, .. }) if now >= *renew_by => {
                let sent = self.sent();
                self.place.carry(now, sent, camera);
                self.halt(now, StopReason::DeadMan);
            }
            Motion::Driving(driving) if driving.is_unanswered(now) => {
                let by = driving.by.clone();
                self.say(CameraEvent::Failed { by, reason: CameraRefusal::NotAnswering });
                self.halt_silent(now);
            }
            Motion::Driving(_) => self.drive_on(now, camera),
            Motion::Going { give_up_at, .. } => {
                if now >= *give_up_at {
                    self.halt(now, StopReason::TooLong);
                }
            }
            Motion::Stopping { repeat_at, tries, .. } => {
                if now >= *repeat_at {
                    let tries = *tries + 1;
                    if tries == Self::STOP_TRIES {
                        self.say(CameraEvent::NotAnswering);
                    }
                    self.stop(now, tries);
                }
            }
        }
    }

    fn ask_in_time(&mut self, now: Millis) {
        self.place.open.take_if(|(_, until)| now >= *until);
        if self.place.open.is_none() && now >= self.place.ask_at {
            let ticket = self.call(Call::AskPosition);
            self.place.open = Some((ticket, now.after(Self::ASK_PATIENCE_MS)));
            let moving = self.motion.mover().is_some();
            self.place.ask_at = now.after(if moving { Self::ASK_MOVING_MS } else { Self::ASK_STILL_MS });
        }
    }

    /// The place is asked for in at most `ms`.
    fn ask_within(&mut self, now: Millis, ms: u64) {
        self.place.ask_at = self.place.ask_at.min(now.after(ms));
    }

    /// `by` has the camera from now on; what somebody else does with it ends.
    fn take(&mut self, now: Millis, by: &Mover) {
        if self.motion.mover().is_some_and(|mover| mover != by) {
            self.halt(now, StopReason::TakenBy(by.rank()));
        }
        self.ownership.claim(now, by);
    }

    /// The same, for a new motion: what `by` itself does with it ends, too.
    fn take_for_motion(&mut self, now: Millis, by: &Mover) {
        self.take(now, by);
        self.halt(now, StopReason::Next);
    }

    /// Ends the motion, if there is one, and stops the camera.
    fn halt(&mut self, now: Millis, why: StopReason) {
        if self.motion.mover().is_some() {
            self.end_motion(why);
            self.stop(now, 0);
            self.ownership.extend(now);
        }
    }

    /// The camera took no notice of a motion: before the next one it has to confirm a stop.
    fn halt_silent(&mut self, now: Millis) {
        self.end_motion(StopReason::Failed);
        self.say(CameraEvent::NotAnswering);
        self.stop(now, Self::STOP_TRIES);
        self.ownership.extend(now);
    }

    fn end_motion(&mut self, why: StopReason) {
        if let Some(by) = self.motion.mover().cloned() {
            let at = self.place.get();
            self.say(CameraEvent::Stopped { by, why, at });
            self.motion = Motion::Still;
        }
    }

    fn stop(&mut self, now: Millis, tries: u32) {
        let ticket = self.call(Call::Stop);
        let wait = if tries < Self::STOP_TRIES { Self::STOP_REPEAT_MS } else { 5 * Self::STOP_REPEAT_MS };
        let mut tickets = match std::mem::replace(&mut self.motion, Motion::Still) {
            Motion::Stopping { tickets, .. } => tickets,
            Motion::Still | Motion::Driving(_) | Motion::Going { .. } => VecDeque::new(),
        };
        if tickets.len() == Self::STOPS_KNOWN {
            tickets.pop_front();
        }
        tickets.push_back(ticket);
        self.motion = Motion::Stopping { tickets, repeat_at: now.after(wait), tries };
    }

    fn started(&mut self, by: &Mover, motion: Purpose) {
        let from = self.place.get();
        self.say(CameraEvent::Started { by: by.clone(), motion, from });
    }

    fn call(&mut self, call: Call) -> Ticket {
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = Ticket(self.tickets);
        self.actions.push_back(Action::Call { ticket, call });
        ticket
    }

    fn say(&mut self, event: CameraEvent) {
        self.actions.push_back(Action::Say(event));
    }
}

#[cfg(test)]
#[path = "camera/properties.rs"]
mod properties;
#[cfg(test)]
#[path = "camera/tests.rs"]
mod tests;
