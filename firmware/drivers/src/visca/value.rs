//! The ranges of the protocol as types: what was constructed can be sent.

/// A number that the protocol has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value} is not between {min} and {max}")]
pub struct ValueError {
    /// What the number was meant to be.
    pub what: &'static str,
    /// The number.
    pub value: i32,
    /// The smallest that is allowed.
    pub min: i32,
    /// The largest that is allowed.
    pub max: i32,
}

const fn check(what: &'static str, value: i32, min: i32, max: i32) -> Result<(), ValueError> {
    if value < min || value > max { Err(ValueError { what, value, min, max }) } else { Ok(()) }
}

/// A byte within a range, with its constructor.
macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident, $what:literal, $min:literal ..= $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(u8);

        impl $name {
            /// The smallest.
            pub const MIN: Self = Self($min);
            /// The largest.
            pub const MAX: Self = Self($max);

            /// # Errors
            /// [`ValueError`] outside of `MIN` to `MAX`.
            pub const fn new(value: u8) -> Result<Self, ValueError> {
                match check($what, value as i32, $min, $max) {
                    Ok(()) => Ok(Self(value)),
                    Err(error) => Err(error),
                }
            }

            /// The number as it is sent.
            pub const fn get(self) -> u8 {
                self.0
            }
        }
    };
}

ranged!(
    /// A camera's place in the daisy chain. Always 1 over IP (SRG-300H, *VISCA over IP*).
    Address, "address", 1..=7
);
ranged!(
    /// How fast a pan is, from slow to fast; how many degrees per second that is depends on the model (EVI-D70).
    PanSpeed, "pan speed", 1..=0x18
);
ranged!(
    /// How fast a tilt is. Sony's cameras end at 17h, others at 14h: ask with [`Inquiry::MaxSpeed`].
    ///
    /// [`Inquiry::MaxSpeed`]: super::Inquiry::MaxSpeed
    TiltSpeed, "tilt speed", 1..=0x17
);
ranged!(
    /// How fast the zoom is, from slow to fast (EVI-D70, `CAM_Zoom`).
    ZoomSpeed, "zoom speed", 0..=7
);
ranged!(
    /// How fast the focus is, from slow to fast (EVI-D70, `CAM_Focus`).
    FocusSpeed, "focus speed", 0..=7
);
ranged!(
    /// The number of a memory, called preset here. Sony's older cameras have 6 or 16 of them; `FFh` would end the packet.
    Preset, "preset", 0..=0xFE
);

/// One of the camera's command buffers, as it says in its replies.
///
/// The standard has 1 and 2, and 0 in replies that belong to none; some cameras say other numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket(u8);

impl Socket {
    /// The low digit of a reply's second byte.
    pub const fn from_reply(byte: u8) -> Self {
        Self(byte & 0x0F)
    }

    /// The number, 0 to 15.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The zoom as the camera counts it: 0 is wide; 4000h is the optical end, digital zoom goes on (EVI-D70).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoomPosition(pub u16);

/// The focus as the camera counts it; 1000h is far (EVI-D70).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FocusPosition(pub u16);

/// With how many hexadecimal digits a camera says its pan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Digits {
    /// EVI, SRG, and nearly all cameras of other makers.
    #[default]
    Four,
    /// BRC-H700, BRC-Z700 and their successors.
    Five,
}

/// Where the head looks, in the camera's own steps; 0, 0 is straight ahead.
///
/// It keeps the number of digits that it is sent with, so that what a camera has said can be sent back to it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    digits: Digits,
    pan: i32,
    tilt: i32,
}

impl Position {
    /// Tilt grows upwards; which way the pan grows depends on the model: the BRC-H700 counts it to the left.
    ///
    /// # Errors
    /// [`ValueError`] when a number does not fit into its digits (two's complement; tilt always has four).
    pub const fn new(digits: Digits, pan: i32, tilt: i32) -> Result<Self, ValueError> {
        let limit = match digits {
            Digits::Four => 0x8000,
            Digits::Five => 0x8_0000,
        };
        if let Err(error) = check("pan", pan, -limit, limit - 1) {
            return Err(error);
        }
        match check("tilt", tilt, -0x8000, 0x7FFF) {
            Ok(()) => Ok(Self { digits, pan, tilt }),
            Err(error) => Err(error),
        }
    }

    /// How the pan is written.
    pub const fn digits(self) -> Digits {
        self.digits
    }

    /// Steps from the middle.
    pub const fn pan(self) -> i32 {
        self.pan
    }

    /// Steps from the horizon.
    pub const fn tilt(self) -> i32 {
        self.tilt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_ends_and_nothing_beyond() {
        assert_eq!(PanSpeed::new(0x18), Ok(PanSpeed::MAX));
        assert!(PanSpeed::new(0).is_err());
        assert!(TiltSpeed::new(0x18).is_err());
        assert!(Preset::new(0xFF).is_err());
        assert!(Address::new(8).is_err());
        assert_eq!(ZoomSpeed::new(8).unwrap_err().to_string(), "zoom speed 8 is not between 0 and 7");
    }

    #[test]
    fn a_position_fits_into_its_digits() {
        assert!(Position::new(Digits::Four, 0x7FFF, -0x8000).is_ok());
        assert!(Position::new(Digits::Four, 0x8000, 0).is_err());
        assert!(Position::new(Digits::Five, 0x8A58, 0x493D).is_ok());
        assert!(Position::new(Digits::Five, -0x8_0001, 0).is_err());
        assert!(Position::new(Digits::Five, 0, 0x8000).is_err());
    }
}
