//! The camera: what may be asked of it and what a box says of it.
//!
//! Places are shares of the camera's own travel, because not every protocol knows degrees: what is left of the middle or
//! below it is negative. One unit is 1/10 000 of the way from the middle to an end (zoom: from wide to tele), finer than
//! any camera of this class steps. Speeds are percent of the camera's fastest. A camera that hangs from the ceiling is
//! turned by its driver: *up* is up in the picture.

use alloc::borrow::ToOwned;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// A drive that is not asked for again within this time ends in a stop; and a drive that was said longer ago is not
/// begun at all.
pub const DEAD_MAN_MS: u64 = 1_000;

/// Any other request that was said longer ago than this is not begun.
pub const REQUEST_MS: u64 = 5_000;

/// A number outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{got} is no {kind}: {low} to {high} are allowed")]
pub struct OutOfRange {
    /// What it should have been.
    pub kind: &'static str,
    /// What came.
    pub got: i32,
    /// The least.
    pub low: i32,
    /// The most.
    pub high: i32,
}

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident($int:ident), $kind:literal, $low:literal..=$high:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(try_from = "i32", into = "i32")]
        pub struct $name($int);

        impl $name {
            /// The least.
            pub const LOW: Self = Self($low);
            /// The most.
            pub const HIGH: Self = Self($high);

            /// The number.
            pub const fn get(self) -> $int {
                self.0
            }

            /// `number`, or the end of the range that it lies beyond.
            pub fn clamped(number: i32) -> Self {
                Self(number.clamp($low, $high) as $int)
            }
        }
        impl TryFrom<i32> for $name {
            type Error = OutOfRange;
            fn try_from(got: i32) -> Result<Self, OutOfRange> {
                if ($low..=$high).contains(&got) {
                    Ok(Self(got as $int))
                } else {
                    Err(OutOfRange { kind: $kind, got, low: $low, high: $high })
                }
            }
        }
        impl From<$name> for i32 {
            fn from(number: $name) -> Self {
                Self::from(number.0)
            }
        }
    };
}

ranged!(
    /// A place on the pan or tilt axis: −10 000 is the left or lowest end, 0 the middle, 10 000 the right or highest end.
    Travel(i16), "place of pan or tilt", -10_000..=10_000
);
ranged!(
    /// A focal length between wide (0) and tele (10 000), linear in the unit that the camera itself counts in.
    Zoom(i16), "zoom", 0..=10_000
);
ranged!(
    /// Percent of the fastest: negative to the left, down, or wide.
    Speed(i8), "speed", -100..=100
);
ranged!(
    /// A preset's number. 0 is *home*.
    PresetNumber(u8), "preset", 0..=99
);

impl PresetNumber {
    /// Where the camera looks when nobody wants anything of it.
    pub const HOME: Self = Self(0);
}

/// What a preset is called: at most [`PresetName::MAX`] characters, such as `Bàn chủ trì`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PresetName(String);

/// A name that is too long or holds control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no preset's name: at most 40 characters, no control characters")]
pub struct BadName(String);

impl PresetName {
    /// Longest name, characters.
    pub const MAX: usize = 40;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PresetName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        let fits = text.chars().count() <= Self::MAX && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(BadName(text)) }
    }
}

impl TryFrom<&str> for PresetName {
    type Error = BadName;
    fn try_from(text: &str) -> Result<Self, BadName> {
        Self::try_from(text.to_owned())
    }
}

impl From<PresetName> for String {
    fn from(name: PresetName) -> Self {
        name.0
    }
}

/// Where a camera looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// To the right is positive.
    pub pan: Travel,
    /// Up is positive.
    pub tilt: Travel,
    /// Towards tele is more.
    pub zoom: Zoom,
}

/// How fast a camera moves on each axis, until it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drive {
    /// To the right is positive.
    pub pan: Speed,
    /// Up is positive.
    pub tilt: Speed,
    /// Towards tele is positive.
    pub zoom: Speed,
}

/// What can be asked of a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CameraAction {
    /// Move at these speeds. Must be asked for again within [`DEAD_MAN_MS`], else the camera stops. All zero is a stop.
    Drive(Drive),
    /// Stand still.
    Stop,
    /// Go there and stop.
    GoTo(Position),
    /// Go to a preset and stop.
    Recall {
        /// Which.
        preset: PresetNumber,
    },
    /// Keep where the camera looks now.
    Store {
        /// Under which number.
        preset: PresetNumber,
        /// Its name; may be empty.
        name: PresetName,
    },
    /// Forget a preset.
    Clear {
        /// Which.
        preset: PresetNumber,
    },
    /// Let others have the camera before the lease is over; it stops.
    Release,
}

impl CameraAction {
    /// How long after it was said it may still be begun, ms. A stop is never too late, so it has the longest time.
    pub const fn lifetime_ms(&self) -> u64 {
        match self {
            Self::Drive(_) => DEAD_MAN_MS,
            Self::GoTo(_) | Self::Recall { .. } | Self::Store { .. } | Self::Clear { .. } => REQUEST_MS,
            Self::Stop | Self::Release => 10 * REQUEST_MS,
        }
    }
}

/// An operator's request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraOrder {
    /// The operator's account at the centre.
    pub operator: String,
    /// What is asked.
    pub action: CameraAction,
}

/// Ranks of those who move a camera. A later one takes it from an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rank {
    /// The box itself: who speaks is shown.
    Voice,
    /// A person in the room.
    Room,
    /// An operator at the centre.
    Operator,
}

/// Who moves a camera.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mover {
    /// The box itself: who speaks is shown.
    Voice,
    /// A person in the room, at the panel or the remote control.
    Room,
    /// An operator at the centre, by the account's name.
    Operator(String),
}

impl Mover {
    /// The mover's rank.
    pub const fn rank(&self) -> Rank {
        match self {
            Self::Voice => Rank::Voice,
            Self::Room => Rank::Room,
            Self::Operator(_) => Rank::Operator,
        }
    }
}

/// What a camera was set in motion for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Motion {
    /// These speeds, at first.
    Drive(Drive),
    /// This place.
    GoTo(Position),
    /// This preset.
    Preset(PresetNumber),
}

/// Why a camera was stopped, or stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// Its mover said so, or somebody of the same rank.
    Asked,
    /// It is where it should go.
    Arrived,
    /// Its mover has not asked for the drive again in time.
    DeadMan,
    /// Its mover is gone: the centre cannot be reached, or the panel is away.
    MoverLost,
    /// Somebody else took it.
    TakenBy(Rank),
    /// Its mover wants something else.
    Next,
    /// It would leave the soft limits.
    Limit,
    /// The camera refused the motion or did not answer.
    Failed,
    /// It was under way for too long.
    TooLong,
    /// The line to the camera is lost; it is stopped when the line is back.
    LineLost,
    /// The agent ends.
    Ending,
}

/// What happened with a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CameraEvent {
    /// It was set in motion.
    Started {
        /// By whom.
        by: Mover,
        /// What for.
        motion: Motion,
        /// Where it stood, where that is known.
        from: Option<Position>,
    },
    /// It was stopped.
    Stopped {
        /// Whose motion ended.
        by: Mover,
        /// Why.
        why: StopReason,
        /// About where, where that is known.
        at: Option<Position>,
    },
    /// A preset was stored.
    PresetStored {
        /// By whom.
        by: Mover,
        /// Which.
        preset: PresetNumber,
        /// Its name.
        name: PresetName,
        /// Where it is, where that is known.
        at: Option<Position>,
    },
    /// A preset was forgotten.
    PresetCleared {
        /// By whom.
        by: Mover,
        /// Which.
        preset: PresetNumber,
    },
    /// What was begun could not be done.
    Failed {
        /// Who wanted it.
        by: Mover,
        /// Why not.
        reason: CameraRefusal,
    },
    /// The camera does not confirm that it stands still. It is told again and again.
    NotAnswering,
    /// The line to the camera is lost.
    Lost,
    /// The camera is there, or answers again.
    Back,
}

/// Why a request for the camera did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CameraRefusal {
    /// Somebody of this rank has it.
    Held(Rank),
    /// There is none, or its line is down.
    NoCamera,
    /// It does not answer.
    NotAnswering,
    /// It cannot do that.
    Unsupported,
    /// The place lies outside the soft limits.
    OutsideLimits,
    /// It stands at the soft limit in this direction.
    AtLimit,
    /// Where it looks is not known, and that is needed here.
    PositionUnknown,
    /// There is no such preset.
    PresetUnknown,
    /// It must stand still for that.
    Moving,
    /// The same kind of request is under way.
    Busy,
    /// The agent ends.
    Ending,
}

impl CameraRefusal {
    /// What a person is told.
    pub const fn text(self) -> Text {
        match self {
            Self::Held(Rank::Operator) => Text::CameraHeldByOperator,
            Self::Held(Rank::Room) => Text::CameraHeldByRoom,
            Self::Held(Rank::Voice) => Text::CameraHeldByVoice,
            Self::NoCamera => Text::CameraAway,
            Self::NotAnswering => Text::CameraNotAnswering,
            Self::Unsupported => Text::CameraUnsupported,
            Self::OutsideLimits => Text::CameraOutsideLimits,
            Self::AtLimit => Text::CameraAtLimit,
            Self::PositionUnknown => Text::CameraPositionUnknown,
            Self::PresetUnknown => Text::CameraPresetUnknown,
            Self::Moving => Text::CameraMoving,
            Self::Busy => Text::CameraBusy,
            Self::Ending => Text::CameraEnding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_number_outside_its_range_is_refused_with_the_range() {
        assert_eq!(Travel::try_from(-10_000).unwrap(), Travel::LOW);
        let error = Zoom::try_from(-1).unwrap_err();
        assert_eq!(format!("{error}"), "-1 is no zoom: 0 to 10000 are allowed");
        assert!(serde_json::from_str::<Drive>(r#"{"pan":101,"tilt":0,"zoom":0}"#).is_err());
        assert_eq!(Speed::clamped(-400), Speed::LOW);
    }

    #[test]
    fn a_preset_name_is_short_and_printable() {
        assert_eq!(PresetName::try_from("Bàn chủ trì").unwrap().as_str(), "Bàn chủ trì");
        assert!(PresetName::try_from("a\nb").is_err());
        assert!(PresetName::try_from("ư".repeat(40)).is_ok() && PresetName::try_from("ư".repeat(41)).is_err());
    }

    #[test]
    fn an_operator_goes_before_the_room_and_the_room_before_the_box_itself() {
        let operator = Mover::Operator("lan".to_owned());
        assert!(operator.rank() > Mover::Room.rank() && Mover::Room.rank() > Mover::Voice.rank());
    }
}
