//! A box's picture: what becomes of its camera, and of the camera's own H.264.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// What happened with the picture of a box in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PictureEvent {
    /// No picture comes any more (or none yet): the camera is looked for, sound goes on.
    Lost {
        /// Its device or address.
        camera: String,
        /// What was seen.
        reason: String,
    },
    /// Pictures come again.
    Back {
        /// Its device or address.
        camera: String,
        /// How long there was none, ms.
        after_ms: u64,
    },
    /// The camera's own H.264 is sent and recorded as it is. What the centre ordered of the main encoding (size, rate,
    /// key frames) is the camera's to decide: it does not hear of it.
    Untouched {
        /// Its device or address.
        camera: String,
        /// What it sends.
        figures: Figures,
    },
    /// The camera's own H.264 cannot be used as it is: the box decodes it and encodes it again, as ordered.
    Transcoded {
        /// Its device or address.
        camera: String,
        /// Why.
        why: Unfit,
    },
}

/// A stream as it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Pictures a second.
    pub fps: u8,
    /// Bit rate.
    pub kbps: u32,
    /// From key frame to key frame, ms.
    pub key_every_ms: u32,
}

/// Why a camera's own H.264 is not contributed as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unfit {
    /// Its parameter sets cannot be read.
    NoFormat,
    /// Larger than receivers are prepared for.
    TooLarge {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// Not 4:2:0 with 8 bits.
    Colours,
    /// Fields instead of pictures.
    Interlaced,
    /// Pictures that refer to later ones: they are not in the order in which they are shown.
    BFrames,
    /// Who joins would wait too long for a picture.
    RareKeyFrames {
        /// So long there was none, ms.
        none_for_ms: u32,
    },
    /// More than a line can be expected to carry.
    RateTooHigh {
        /// Bit rate.
        kbps: u32,
        /// The most.
        most: u32,
    },
}

impl Unfit {
    /// What a person is told, and what to set at the camera; place {0} is the camera.
    pub const fn text(self) -> Text {
        match self {
            Self::NoFormat => Text::StreamNoFormat,
            Self::TooLarge { .. } => Text::StreamTooLarge,
            Self::Colours => Text::StreamColours,
            Self::Interlaced => Text::StreamInterlaced,
            Self::BFrames => Text::StreamBFrames,
            Self::RareKeyFrames { .. } => Text::StreamRareKeyFrames,
            Self::RateTooHigh { .. } => Text::StreamRateTooHigh,
        }
    }
}
