//! What a device really does: found out by moving it a little and looking where it says that it is.
//!
//! Devices claim `AbsoluteMove` and stay where they are, acknowledge `Stop` and go on, list presets that do nothing. So
//! each thing is tried once, towards the middle of the range, and believed when the position shows it. At the end the
//! camera is back where it was, and what was stored for the trial is removed. A device that says no position cannot be
//! looked at: then moving and stopping, and its own presets, are taken on trust, and nothing else.

use agent_core::Millis;
use serde::{Deserialize, Serialize};

use crate::ptz::{Position, Speeds};

/// How a device stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopWay {
    /// By `Stop`.
    Stop,
    /// By `ContinuousMove` at no speed.
    NoSpeed,
    /// Only by the timeout of `ContinuousMove`.
    Timeout,
}

/// What the device says that it can do.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that a device does or does not")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claims {
    /// `ContinuousMove`.
    pub continuous: bool,
    /// `AbsoluteMove`.
    pub absolute: bool,
    /// `RelativeMove`.
    pub relative: bool,
    /// Presets.
    pub presets: bool,
    /// A zoom.
    pub zoom: bool,
}

/// What it does.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that a device does or does not")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// It says where it looks.
    pub position: bool,
    /// `ContinuousMove` moves it, and this stops it again. `None`: it must not be driven.
    pub stop: Option<StopWay>,
    /// `AbsoluteMove` arrives.
    pub absolute: bool,
    /// `RelativeMove` moves it.
    pub relative: bool,
    /// Presets bring it back.
    pub presets: bool,
    /// The zoom moves.
    pub zoom: bool,
}

impl Found {
    /// Before it was tried: everything as claimed.
    pub const fn claimed(claims: Claims) -> Self {
        Self {
            position: true,
            stop: if claims.continuous { Some(StopWay::Stop) } else { None },
            absolute: claims.absolute,
            relative: claims.relative,
            presets: claims.presets,
            zoom: claims.zoom,
        }
    }
}

/// What the shell has to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// Ask for the position.
    Read,
    /// Do nothing until then.
    Wait(Millis),
    /// Move at these speeds; with this timeout, milliseconds.
    Drive(Speeds, u64),
    /// Stop in this way. ([`StopWay::Timeout`]: nothing to send.)
    Stop(StopWay),
    /// `AbsoluteMove`.
    Goto(Position),
    /// `RelativeMove` of the pan, as part of its range.
    Step(f32),
    /// Store the trial's preset.
    Store,
    /// Recall it.
    Recall,
    /// Remove it.
    Remove,
    /// Go there by driving and looking.
    Approach(Position),
    /// That was all.
    Done(Found),
}

/// What came of an [`Act`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The device acknowledged.
    Done,
    /// The device refused.
    Refused,
    /// Where it says that it looks, if it does.
    Position(Option<Position>),
}

/// A trial of one device. Needs about ten seconds.
#[derive(Debug)]
pub struct Trial {
    claims: Claims,
    seen: Seen,
    /// Where it looked before.
    origin: Position,
    here: Position,
    stored: bool,
    tried_back: bool,
    state: State,
}

/// What is known; `None` is not tried yet.
#[derive(Debug, Default)]
struct Seen {
    continuous: Option<bool>,
    stop: Option<StopWay>,
    absolute: Option<bool>,
    relative: Option<bool>,
    presets: Option<bool>,
    zoom: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Begin,
    Acting(Deed),
    Watching(Deed, Watch),
    Over { position: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Axis {
    Pan,
    Zoom,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Store,
    Drive(Run),
    Stop(Run, StopWay),
    Recall,
    Goto(Position),
    Step { from: Position },
    Back,
    Remove,
}

/// One try of `ContinuousMove`.
#[derive(Debug, Clone, Copy)]
struct Run {
    axis: Axis,
    /// -1 or 1.
    direction: f32,
    from: Position,
    /// The other direction was tried before: it may have stood at an end that it does not know.
    second: bool,
}

#[derive(Debug, Clone, Copy)]
struct Watch {
    goal: Goal,
    next: Millis,
    until: Millis,
    rests: Option<(Position, Millis)>,
}

#[derive(Debug, Clone, Copy)]
enum Goal {
    /// By more than this.
    Leaves(Position, f32),
    Reaches(Position),
    Rests,
}

impl Trial {
    /// Slow enough to watch, fast enough to see.
    const SPEED: f32 = 0.3;
    /// A movement: more than any noise of an encoder, less than the slowest camera does in the time.
    const MOVED: f32 = 0.006;
    /// As near as this is there.
    const NEAR: f32 = 0.02;
    /// How far a trial goes to a position, in parts of the half range.
    const AWAY: f32 = 0.08;
    /// Between two questions for the position.
    const LOOK_MS: u64 = 150;
    /// A device's status may be as old as this.
    const REST_MS: u64 = 600;
    const LEAVE_MS: u64 = 1_500;
    const REST_WITHIN_MS: u64 = 2_000;
    const ARRIVE_MS: u64 = 5_000;
    /// The device's own dead-man timer during the trial.
    pub const TIMEOUT_MS: u64 = 4_000;

    /// Nothing is done yet.
    pub fn new(claims: Claims) -> Self {
        let untried = |claimed: bool| (!claimed).then_some(false);
        let seen = Seen {
            continuous: untried(claims.continuous),
            stop: None,
            absolute: untried(claims.absolute),
            relative: untried(claims.relative),
            presets: untried(claims.presets),
            zoom: untried(claims.zoom && claims.continuous),
        };
        let nowhere = Position::default();
        Self { claims, seen, origin: nowhere, here: nowhere, stored: false, tried_back: false, state: State::Begin }
    }

    /// What to do now.
    pub fn poll(&self, now: Millis) -> Act {
        match self.state {
            State::Watching(_, watch) if now < watch.next => Act::Wait(watch.next),
            State::Begin | State::Watching(..) => Act::Read,
            State::Acting(deed) => self.act(deed),
            State::Over { position } => Act::Done(self.found(position)),
        }
    }

    fn act(&self, deed: Deed) -> Act {
        match deed {
            Deed::Store => Act::Store,
            Deed::Drive(Run { axis: Axis::Pan, direction, .. }) => {
                Act::Drive(Speeds::new(direction * Self::SPEED, 0.0, 0.0), Self::TIMEOUT_MS)
            }
            Deed::Drive(Run { axis: Axis::Zoom, direction, .. }) => {
                Act::Drive(Speeds::new(0.0, 0.0, direction * Self::SPEED), Self::TIMEOUT_MS)
            }
            Deed::Stop(_, way) => Act::Stop(way),
            Deed::Recall => Act::Recall,
            Deed::Goto(position) => Act::Goto(position),
            Deed::Step { from } => Act::Step(Self::AWAY / 2.0 * inwards(from.pan())),
            Deed::Back if self.seen.absolute == Some(true) => Act::Goto(self.origin),
            Deed::Back if self.seen.presets == Some(true) => Act::Recall,
            Deed::Back => Act::Approach(self.origin),
            Deed::Remove => Act::Remove,
        }
    }

    /// The last act is done.
    pub fn handle(&mut self, now: Millis, outcome: Outcome) {
        if let Outcome::Position(Some(position)) = outcome {
            self.here = position;
        }
        match (self.state, outcome) {
            (State::Begin, Outcome::Position(Some(position))) => {
                self.origin = position;
                if self.claims.presets {
                    self.state = State::Acting(Deed::Store);
                } else {
                    self.choose();
                }
            }
            (State::Begin, _) => self.state = State::Over { position: false },
            (State::Acting(deed), Outcome::Refused) => self.conclude(deed, false),
            (State::Acting(deed), _) => match self.goal(deed) {
                Some((goal, within)) => self.state = State::Watching(deed, Watch::new(goal, now, within)),
                None => self.conclude(deed, true),
            },
            (State::Watching(deed, mut watch), Outcome::Position(position)) => match watch.see(now, position) {
                Some(reached) => self.conclude(deed, reached),
                None => self.state = State::Watching(deed, watch),
            },
            (State::Watching(..) | State::Over { .. }, _) => {}
        }
    }

    /// What shows that a deed worked, and within which time; `None` where there is nothing to see.
    fn goal(&self, deed: Deed) -> Option<(Goal, u64)> {
        match deed {
            Deed::Store | Deed::Remove => None,
            Deed::Drive(run) => Some((Goal::Leaves(run.from, 2.0 * Self::NEAR), Self::LEAVE_MS)),
            Deed::Stop(_, StopWay::Timeout) => Some((Goal::Rests, Self::TIMEOUT_MS + Self::REST_WITHIN_MS)),
            Deed::Stop(..) => Some((Goal::Rests, Self::REST_WITHIN_MS)),
            Deed::Recall | Deed::Back => Some((Goal::Reaches(self.origin), Self::ARRIVE_MS)),
            Deed::Goto(target) => Some((Goal::Reaches(target), Self::ARRIVE_MS)),
            Deed::Step { from } => Some((Goal::Leaves(from, Self::MOVED), Self::LEAVE_MS)),
        }
    }

    fn conclude(&mut self, deed: Deed, worked: bool) {
        match deed {
            Deed::Store => {
                self.stored = worked;
                self.seen.presets = if worked { None } else { Some(false) };
            }
            // Also when it was not seen to move: its status may be late.
            Deed::Drive(run) => {
                let way = self.seen.stop.unwrap_or(StopWay::Stop);
                self.state = State::Acting(Deed::Stop(run, way));
                return;
            }
            Deed::Stop(run, way) => {
                if let Some(next) = self.stopped(run, way, worked) {
                    self.state = State::Acting(next);
                    return;
                }
            }
            Deed::Recall => self.seen.presets = Some(worked),
            Deed::Goto(_) => self.seen.absolute = Some(worked),
            Deed::Step { .. } => self.seen.relative = Some(worked),
            Deed::Back => self.tried_back = true,
            Deed::Remove => self.stored = false,
        }
        self.choose();
    }

    /// After a try to stop: what else to do about it, if anything.
    fn stopped(&mut self, run: Run, way: StopWay, rests: bool) -> Option<Deed> {
        let moved = run.moved(self.here);
        if !rests {
            let next = match way {
                StopWay::Stop => StopWay::NoSpeed,
                StopWay::NoSpeed => StopWay::Timeout,
                StopWay::Timeout => {
                    self.settle(run, false, None);
                    return None;
                }
            };
            return Some(Deed::Stop(run, next));
        }
        if !moved && !run.second {
            return Some(Deed::Drive(Run { direction: -run.direction, second: true, ..run }));
        }
        // At an end everything rests, stopped or not.
        let proven = !(run.axis == Axis::Pan && self.here.pan().abs() > 1.0 - Self::MOVED);
        self.settle(run, moved, proven.then_some(way));
        None
    }

    fn settle(&mut self, run: Run, moved: bool, way: Option<StopWay>) {
        match run.axis {
            Axis::Pan => {
                self.seen.continuous = Some(moved && way.is_some());
                self.seen.stop = way.filter(|_| moved);
            }
            Axis::Zoom => self.seen.zoom = Some(moved),
        }
    }

    fn drive(&self, axis: Axis) -> Deed {
        let direction = match axis {
            Axis::Pan => inwards(self.here.pan()),
            Axis::Zoom => inwards(self.here.zoom().mul_add(2.0, -1.0)),
        };
        Deed::Drive(Run { axis, direction, from: self.here, second: false })
    }

    /// The next thing that is not known yet and can be seen from here.
    fn choose(&mut self) {
        let away = self.here.distance(self.origin) > Self::NEAR;
        let deed = if self.seen.continuous.is_none() {
            self.drive(Axis::Pan)
        } else if self.seen.presets.is_none() && away {
            Deed::Recall
        } else if self.seen.absolute.is_none() {
            let pan = Self::AWAY.mul_add(inwards(self.here.pan()), self.origin.pan());
            let aside = Position::new(pan, self.origin.tilt(), self.origin.zoom());
            Deed::Goto(if away { self.origin } else { aside })
        } else if self.seen.relative.is_none() {
            Deed::Step { from: self.here }
        } else if self.seen.zoom.is_none() && self.seen.stop.is_some() {
            self.drive(Axis::Zoom)
        } else if away && !self.tried_back && self.can_go_back() {
            Deed::Back
        } else if self.stored {
            Deed::Remove
        } else {
            self.state = State::Over { position: true };
            return;
        };
        self.state = State::Acting(deed);
    }

    const fn can_go_back(&self) -> bool {
        matches!(self.seen.absolute, Some(true)) || matches!(self.seen.presets, Some(true)) || self.seen.stop.is_some()
    }

    fn found(&self, position: bool) -> Found {
        if !position {
            return Found { position: false, absolute: false, relative: false, ..Found::claimed(self.claims) };
        }
        Found {
            position,
            stop: self.seen.stop,
            absolute: self.seen.absolute == Some(true),
            relative: self.seen.relative == Some(true),
            presets: self.seen.presets == Some(true),
            zoom: self.seen.zoom == Some(true),
        }
    }
}

/// Towards the middle of a range from -1 to 1.
fn inwards(value: f32) -> f32 {
    if value > 0.0 { -1.0 } else { 1.0 }
}

impl Run {
    fn moved(&self, here: Position) -> bool {
        let way = match self.axis {
            Axis::Pan => here.pan() - self.from.pan(),
            Axis::Zoom => here.zoom() - self.from.zoom(),
        };
        way.abs() > Trial::MOVED
    }
}

impl Watch {
    fn new(goal: Goal, now: Millis, within_ms: u64) -> Self {
        Self { goal, next: now.after(Trial::LOOK_MS), until: now.after(within_ms), rests: None }
    }

    /// Whether the goal is reached; `None` while it may still be.
    fn see(&mut self, now: Millis, position: Option<Position>) -> Option<bool> {
        self.next = now.after(Trial::LOOK_MS);
        let reached = position.is_some_and(|position| match self.goal {
            Goal::Leaves(from, by) => position.distance(from) > by,
            Goal::Reaches(target) => position.distance(target) <= Trial::NEAR,
            Goal::Rests => self.rests_at(position, now),
        });
        if reached {
            return Some(true);
        }
        (now >= self.until).then_some(false)
    }

    fn rests_at(&mut self, position: Position, now: Millis) -> bool {
        match self.rests {
            Some((at, since)) if position.distance(at) < Trial::MOVED / 2.0 => since.after(Trial::REST_MS) <= now,
            _ => {
                self.rests = Some((position, now));
                false
            }
        }
    }
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
