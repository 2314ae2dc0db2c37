//! What passes between the camera's core and a driver, whatever the camera speaks.

use std::collections::BTreeSet;

use bridgepoint_wire::camera::{Drive, Position, PresetNumber};

/// Names one call; the driver's answer carries it, so that a late answer is not taken for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u32);

/// What a driver is asked to do.
///
/// Calls are carried out in order, except that a [`Call::Stop`] overtakes everything that still waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Move at these speeds until told otherwise. Done when the camera has taken it. Replaces a running drive.
    Drive(Drive),
    /// Stand still: pan, tilt *and* zoom. Done only when the camera has confirmed it.
    Stop,
    /// Go there. Done when the camera says that it is there, or at once where the protocol never says so.
    GoTo(Position),
    /// Move by so much on each axis, in units of [`Position`]. Done as [`Call::GoTo`].
    Step(Displacement),
    /// Go to a preset that the camera itself keeps. Done as [`Call::GoTo`].
    Recall(PresetNumber),
    /// Let the camera keep where it looks.
    Store(PresetNumber),
    /// Let the camera forget a preset.
    Clear(PresetNumber),
    /// Go to the camera's own home. Done as [`Call::GoTo`].
    Home,
    /// Where does it look? Answered by [`super::Camera::handle_position`].
    AskPosition,
}

/// So much on each axis, in units of [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Displacement {
    /// To the right is positive.
    pub pan: i32,
    /// Up is positive.
    pub tilt: i32,
    /// Towards tele is positive.
    pub zoom: i32,
}

/// One axis of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Axis {
    /// Left and right.
    Pan,
    /// Up and down.
    Tilt,
    /// Wide and tele.
    Zoom,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pan, Self::Tilt, Self::Zoom];
}

/// A thing that a camera can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// [`Call::Drive`].
    Speed,
    /// [`Call::Step`].
    Relative,
    /// [`Call::GoTo`].
    Absolute,
    /// [`Call::AskPosition`].
    Position,
    /// [`Call::Home`].
    Home,
}

/// What a camera can do, as its driver found out: queried or probed, never assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Which axes it has.
    pub axes: BTreeSet<Axis>,
    /// What it can.
    pub means: BTreeSet<Means>,
    /// How many presets it keeps itself, numbers 1 to this. 0: none; then they are kept here, where it can go to a
    /// place and tell its place.
    pub presets: u8,
    /// At full speed: units of [`Position`] a second on each axis, in the order of [`Axis::ALL`]. 0: not known.
    pub full_speed: [u32; 3],
}

impl Capabilities {
    /// Taken for a full speed that is not known: fast for a camera of this class, so that a limit is met early rather
    /// than late. Positions asked for on the way correct it.
    const FAST: u32 = 10_000;

    /// Whether the camera can do it.
    pub fn can(&self, means: Means) -> bool {
        self.means.contains(&means)
    }

    /// Units a second on `axis` at 100 %.
    pub fn full_speed(&self, axis: Axis) -> u32 {
        match self.full_speed[axis as usize] {
            0 => Self::FAST,
            known => known,
        }
    }

    /// Presets are kept here, as places.
    pub(super) fn presets_are_places(&self) -> bool {
        self.presets == 0 && self.can(Means::Absolute) && self.can(Means::Position)
    }
}

/// Why a driver could not do it. For the decision only; the driver logs what the camera said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DriverFault {
    /// No answer in the protocol's time.
    #[error("the camera did not answer")]
    Silent,
    /// The camera said no.
    #[error("the camera refused")]
    Refused,
    /// The camera does not know the command.
    #[error("the camera cannot do that")]
    Unsupported,
}

/// What the shell has to carry out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Give this to the driver.
    Call {
        /// To be named in the answer.
        ticket: Ticket,
        /// What to do.
        call: Call,
    },
    /// Put this event into the outbox.
    Say(bridgepoint_wire::camera::CameraEvent),
    /// Write [`super::Camera::presets`] to the store.
    Keep,
}
