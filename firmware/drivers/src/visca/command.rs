//! What is said to a camera, and its bytes.
//!
//! Bytes follow the EVI-D70's *Command List*, which the later lists extend; where a later one differs it is named.

use super::packet::{END, Packet};
use super::{
    Address, Digits, FocusPosition, FocusSpeed, PanSpeed, Position, Preset, Socket, TiltSpeed, ZoomPosition, ZoomSpeed,
};

/// On, or standby; in standby a camera moves nothing and still answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Power {
    On,
    Standby,
}

/// What can move by itself, and is stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Axis {
    PanTilt,
    Zoom,
    Focus,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PanTilt, Self::Zoom, Self::Focus];

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// A set of [`Axis`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axes(u8);

impl Axes {
    const ALL: Self = Self(0b111);

    const fn of(axis: Axis) -> Self {
        Self(1 << axis as u8)
    }

    /// Whether `axis` is one of them.
    pub const fn has(self, axis: Axis) -> bool {
        self.0 & Self::of(axis).0 != 0
    }

    const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a command does to what moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// Ends the motion of one axis.
    Stop(Axis),
    /// Sets out for a place or in a direction, whatever the axes did before.
    Start(Axes),
    /// Moves by an amount from where it is: two of them are not one.
    Step(Axes),
}

impl Motion {
    /// Whether a waiting command with motion `older` has no use any more once this one has been asked for.
    pub const fn supersedes(self, older: Self) -> bool {
        match (self, older) {
            (Self::Stop(axis), Self::Start(axes) | Self::Step(axes)) => axes.has(axis),
            (Self::Stop(axis), Self::Stop(before)) => axis as u8 == before as u8,
            (Self::Start(axes), Self::Start(before) | Self::Step(before)) => axes.covers(before),
            // A stop is never replaced by a motion.
            (Self::Start(_), Self::Stop(_)) | (Self::Step(_), _) => false,
        }
    }
}

/// Where to, as the operator sees it (EVI-D70, `Pan-tiltDrive`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Direction {
    Up,
    Down,
    Left,
    Right,
    UpLeft,
    UpRight,
    DownLeft,
    DownRight,
}

/// Pan and tilt until stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drive {
    /// Where to.
    pub direction: Direction,
    /// Sent also when only the tilt moves.
    pub pan: PanSpeed,
    /// Sent also when only the pan moves.
    pub tilt: TiltSpeed,
}

/// Zoom until stopped; without a speed, at the camera's standard one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Zoom {
    Tele(Option<ZoomSpeed>),
    Wide(Option<ZoomSpeed>),
}

/// Focus until stopped; without a speed, at the camera's standard one. Only in manual focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Focus {
    Near(Option<FocusSpeed>),
    Far(Option<FocusSpeed>),
}

/// Who focuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FocusMode {
    Auto,
    Manual,
}

/// Which corner of the permitted area a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Corner {
    DownLeft,
    UpRight,
}

/// What a camera is told to do. It says ACK when it begins and *completion* when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `CAM_Power`. Takes some 10 s, in which a camera says *not executable* to nearly everything.
    Power(Power),
    /// Ends the motion of an axis: `Pan-tiltDrive` Stop, `CAM_Zoom` Stop, `CAM_Focus` Stop.
    Stop(Axis),
    /// `Pan-tiltDrive`.
    Drive(Drive),
    /// `Pan-tiltDrive` `AbsolutePosition`.
    MoveTo {
        /// Where to look.
        to: Position,
        /// The BRC-H700 and SRG-X400 use it for both axes.
        pan: PanSpeed,
        /// `None` sends 00h, as BRC-H700 and SRG-X400 want it; EVI-D70 wants a speed.
        tilt: Option<TiltSpeed>,
    },
    /// `Pan-tiltDrive` `RelativePosition`.
    MoveBy {
        /// By how much.
        by: Position,
        /// As in [`Command::MoveTo`].
        pan: PanSpeed,
        /// As in [`Command::MoveTo`].
        tilt: Option<TiltSpeed>,
    },
    /// `Pan-tiltDrive` Home.
    Home,
    /// `Pan-tiltDrive` Reset: finds its zero again, by moving to its ends.
    PanTiltReset,
    /// `Pan-tiltLimitSet` `LimitSet`.
    LimitSet(Corner, Position),
    /// `Pan-tiltLimitSet` `LimitClear`; the digits are those of the camera's positions.
    LimitClear(Corner, Digits),
    /// `CAM_Zoom` Tele, Wide.
    Zoom(Zoom),
    /// `CAM_Zoom` Direct.
    ZoomTo(ZoomPosition),
    /// `CAM_Focus` Near, Far.
    Focus(Focus),
    /// `CAM_Focus` Direct. Only in manual focus.
    FocusTo(FocusPosition),
    /// `CAM_Focus` Auto, Manual.
    FocusMode(FocusMode),
    /// `CAM_Focus` One Push Trigger: focuses once, then stays.
    FocusOnePush,
    /// `CAM_Memory` Set.
    PresetSet(Preset),
    /// `CAM_Memory` Recall: moves pan, tilt, zoom and focus.
    PresetRecall(Preset),
    /// `CAM_Memory` Reset: back to the factory's.
    PresetReset(Preset),
}

impl Command {
    /// What it does to what moves.
    pub const fn motion(&self) -> Option<Motion> {
        let pan_tilt = Axes::of(Axis::PanTilt);
        match self {
            Self::Stop(axis) => Some(Motion::Stop(*axis)),
            Self::Drive(_) | Self::MoveTo { .. } | Self::Home | Self::PanTiltReset => Some(Motion::Start(pan_tilt)),
            Self::MoveBy { .. } => Some(Motion::Step(pan_tilt)),
            Self::Zoom(_) | Self::ZoomTo(_) => Some(Motion::Start(Axes::of(Axis::Zoom))),
            Self::Focus(_) | Self::FocusTo(_) | Self::FocusOnePush => Some(Motion::Start(Axes::of(Axis::Focus))),
            Self::PresetRecall(_) => Some(Motion::Start(Axes::ALL)),
            Self::Power(_)
            | Self::LimitSet(..)
            | Self::LimitClear(..)
            | Self::FocusMode(_)
            | Self::PresetSet(_)
            | Self::PresetReset(_) => None,
        }
    }

    /// Whether it may be said again when nobody knows whether it was heard.
    pub const fn repeatable(&self) -> bool {
        !matches!(self, Self::MoveBy { .. })
    }

    /// Whether a camera says its completion together with the ACK: it is a setting, or goes on until it is stopped.
    ///
    /// Sony's cameras of the X400 family keep a drive in its socket until it ends, so this is what to expect, not what
    /// to rely on.
    pub(super) const fn instant(&self) -> bool {
        self.brief() || matches!(self, Self::Drive(_) | Self::Zoom(_) | Self::Focus(_))
    }

    /// Whether it has ended soon, whatever the camera.
    pub(super) const fn brief(&self) -> bool {
        matches!(self, Self::Stop(_) | Self::FocusMode(_) | Self::LimitSet(..) | Self::LimitClear(..))
    }

    /// Its bytes for one camera.
    pub fn encode(&self, to: Address) -> Packet {
        let mut bytes = Builder::new(to, 0x01);
        match *self {
            Self::Power(Power::On) => bytes.put(&[0x04, 0x00, 0x02]),
            Self::Power(Power::Standby) => bytes.put(&[0x04, 0x00, 0x03]),
            // The speeds of a stop mean nothing, but cameras refuse those out of their range.
            Self::Stop(Axis::PanTilt) => bytes.put(&[0x06, 0x01, 0x01, 0x01, 0x03, 0x03]),
            Self::Stop(Axis::Zoom) => bytes.put(&[0x04, 0x07, 0x00]),
            Self::Stop(Axis::Focus) => bytes.put(&[0x04, 0x08, 0x00]),
            Self::Drive(Drive { direction, pan, tilt }) => {
                bytes.put(&[0x06, 0x01, pan.get(), tilt.get()]);
                bytes.put(&direction.bytes());
            }
            Self::MoveTo { to, pan, tilt } => {
                bytes.put(&[0x06, 0x02, pan.get(), tilt.map_or(0, TiltSpeed::get)]);
                bytes.put_position(to);
            }
            Self::MoveBy { by, pan, tilt } => {
                bytes.put(&[0x06, 0x03, pan.get(), tilt.map_or(0, TiltSpeed::get)]);
                bytes.put_position(by);
            }
            Self::Home => bytes.put(&[0x06, 0x04]),
            Self::PanTiltReset => bytes.put(&[0x06, 0x05]),
            Self::LimitSet(corner, position) => {
                bytes.put(&[0x06, 0x07, 0x00, corner as u8]);
                bytes.put_position(position);
            }
            Self::LimitClear(corner, digits) => {
                bytes.put(&[0x06, 0x07, 0x01, corner as u8, 0x07, 0x0F, 0x0F, 0x0F]);
                if digits == Digits::Five {
                    bytes.put(&[0x0F]);
                }
                bytes.put(&[0x07, 0x0F, 0x0F, 0x0F]);
            }
            Self::Zoom(Zoom::Tele(speed)) => bytes.put(&[0x04, 0x07, speed.map_or(0x02, |s| 0x20 | s.get())]),
            Self::Zoom(Zoom::Wide(speed)) => bytes.put(&[0x04, 0x07, speed.map_or(0x03, |s| 0x30 | s.get())]),
            Self::ZoomTo(ZoomPosition(to)) => {
                bytes.put(&[0x04, 0x47]);
                bytes.put_digits(i32::from(to), 4);
            }
            Self::Focus(Focus::Far(speed)) => bytes.put(&[0x04, 0x08, speed.map_or(0x02, |s| 0x20 | s.get())]),
            Self::Focus(Focus::Near(speed)) => bytes.put(&[0x04, 0x08, speed.map_or(0x03, |s| 0x30 | s.get())]),
            Self::FocusTo(FocusPosition(to)) => {
                bytes.put(&[0x04, 0x48]);
                bytes.put_digits(i32::from(to), 4);
            }
            Self::FocusMode(FocusMode::Auto) => bytes.put(&[0x04, 0x38, 0x02]),
            Self::FocusMode(FocusMode::Manual) => bytes.put(&[0x04, 0x38, 0x03]),
            Self::FocusOnePush => bytes.put(&[0x04, 0x18, 0x01]),
            Self::PresetReset(preset) => bytes.put(&[0x04, 0x3F, 0x00, preset.get()]),
            Self::PresetSet(preset) => bytes.put(&[0x04, 0x3F, 0x01, preset.get()]),
            Self::PresetRecall(preset) => bytes.put(&[0x04, 0x3F, 0x02, preset.get()]),
        }
        bytes.end()
    }
}

impl Direction {
    const fn bytes(self) -> [u8; 2] {
        match self {
            Self::Up => [0x03, 0x01],
            Self::Down => [0x03, 0x02],
            Self::Left => [0x01, 0x03],
            Self::Right => [0x02, 0x03],
            Self::UpLeft => [0x01, 0x01],
            Self::UpRight => [0x02, 0x01],
            Self::DownLeft => [0x01, 0x02],
            Self::DownRight => [0x02, 0x02],
        }
    }
}

/// What a camera is asked. It answers at once, without ACK, also while both sockets are busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Inquiry {
    Power,
    Zoom,
    FocusMode,
    Focus,
    Position,
    /// The fastest pan and tilt; later cameras answer with a syntax error.
    MaxSpeed,
    Version,
}

impl Inquiry {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Power, Self::Zoom, Self::FocusMode, Self::Focus, Self::Position, Self::MaxSpeed, Self::Version];

    /// Its bytes for one camera.
    pub fn encode(self, to: Address) -> Packet {
        let mut bytes = Builder::new(to, 0x09);
        bytes.put(match self {
            Self::Power => &[0x04, 0x00],
            Self::Zoom => &[0x04, 0x47],
            Self::FocusMode => &[0x04, 0x38],
            Self::Focus => &[0x04, 0x48],
            Self::Position => &[0x06, 0x12],
            Self::MaxSpeed => &[0x06, 0x11],
            Self::Version => &[0x00, 0x02],
        });
        bytes.end()
    }
}

/// What a program asks of a [`Session`].
///
/// [`Session`]: super::Session
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Request {
    Command(Command),
    Inquiry(Inquiry),
}

impl Request {
    /// What it does to what moves.
    pub const fn motion(&self) -> Option<Motion> {
        match self {
            Self::Command(command) => command.motion(),
            Self::Inquiry(_) => None,
        }
    }

    pub(super) fn encode(&self, to: Address) -> Packet {
        match self {
            Self::Command(command) => command.encode(to),
            Self::Inquiry(inquiry) => inquiry.encode(to),
        }
    }
}

impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

impl From<Inquiry> for Request {
    fn from(inquiry: Inquiry) -> Self {
        Self::Inquiry(inquiry)
    }
}

/// `AddressSet`, to all: each camera takes the number that arrives and passes on one more (EVI-D70, *Address*).
pub(super) fn address_set() -> Packet {
    raw(&[0x88, 0x30, 0x01, END])
}

/// `IF_Clear`: forgets all commands, to one camera or, with no address, to all (EVI-D70).
pub(super) fn if_clear(to: Option<Address>) -> Packet {
    raw(&[to.map_or(0x88, header), 0x01, 0x00, 0x01, END])
}

/// `CommandCancel` of what a socket executes (EVI-D70, *Command Cancel*).
pub(super) fn cancel(to: Address, socket: Socket) -> Packet {
    raw(&[header(to), 0x20 | socket.get(), END])
}

const fn header(to: Address) -> u8 {
    0x80 | to.get()
}

fn raw(bytes: &[u8]) -> Packet {
    // All of the above are shorter than a packet may be.
    Packet::from_slice(bytes).unwrap_or_default()
}

/// Collects the bytes of a packet. The longest are `LimitSet` and the like with five digits: exactly 16 bytes.
struct Builder(Packet);

impl Builder {
    fn new(to: Address, kind: u8) -> Self {
        Self(raw(&[header(to), kind]))
    }

    fn put(&mut self, bytes: &[u8]) {
        let fits = self.0.extend_from_slice(bytes);
        debug_assert!(fits.is_ok(), "a packet has at most 16 bytes");
    }

    /// The lowest `digits` hexadecimal digits, one a byte, highest first.
    fn put_digits(&mut self, value: i32, digits: u32) {
        for digit in (0..digits).rev() {
            self.put(&[(value >> (4 * digit)) as u8 & 0x0F]);
        }
    }

    fn put_position(&mut self, position: Position) {
        let pan_digits = match position.digits() {
            Digits::Four => 4,
            Digits::Five => 5,
        };
        self.put_digits(position.pan(), pan_digits);
        self.put_digits(position.tilt(), 4);
    }

    fn end(mut self) -> Packet {
        self.put(&[END]);
        self.0
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
