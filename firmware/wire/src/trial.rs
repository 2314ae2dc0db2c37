//! What a box's control process lets its media child try out during an installation, and what the child finds.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::command::Join;
use crate::commissioning::{CallProof, ChannelProof, EncoderProof, LineProof, PictureProof, PlaybackProof};
use crate::sound::Measured;

/// What is to be tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Trial {
    /// Tell every QR code that the camera sees, until stopped.
    WatchForCode,
    /// Measure a picture.
    LookAtPicture,
    /// Measure the microphones.
    Listen {
        /// How long.
        seconds: u32,
    },
    /// Encode what the camera sees.
    Encode {
        /// How long.
        seconds: u32,
    },
    /// Measure each way of the line to an echo.
    MeasureLine {
        /// The echo.
        order: Box<Join>,
        /// How long each way.
        seconds: u32,
        /// What is sent, kbit/s.
        up_kbps: u32,
        /// What is asked for, kbit/s.
        down_kbps: u32,
    },
    /// Send picture and sound to an echo, and count what comes back.
    Call {
        /// The echo.
        order: Box<Join>,
        /// How long.
        seconds: u32,
    },
    /// Play a test signal in the room, and measure what each microphone hears of it.
    TestSound,
    /// Record picture and sound, then play both from the disk.
    RecordAndPlay {
        /// How long.
        seconds: u32,
    },
}

/// What came of a trial. `None`: it did not come about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Found {
    /// It was stopped.
    Stopped,
    /// Of [`Trial::LookAtPicture`].
    Picture(Option<PictureProof>),
    /// Of [`Trial::LookAtPicture`]: pictures come, and all are the same to the last bit.
    Frozen,
    /// Of [`Trial::Listen`], a value per channel; empty without a microphone.
    Sound(Vec<ChannelProof>),
    /// Of [`Trial::Encode`].
    Encoder(Option<EncoderProof>),
    /// Of [`Trial::MeasureLine`].
    Line(Option<LineProof>),
    /// Of [`Trial::Call`].
    Call(Option<CallProof>),
    /// Of [`Trial::TestSound`]; empty without a loudspeaker, without a microphone, or when the loudspeaker is away.
    SoundTest(Vec<MeasuredMicrophone>),
    /// Of [`Trial::RecordAndPlay`].
    Playback(Option<PlaybackProof>),
}

/// What [`Trial::TestSound`] measured of one microphone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredMicrophone {
    /// Its channel, as [`crate::sound::MicrophoneEvent`] counts them.
    pub channel: u8,
    /// What its capture is.
    pub measured: Measured,
}

/// A screen, as whoever draws on it opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScreenAt {
    /// A connector of a display that the kernel sets up (KMS).
    Kms {
        /// DRM driver, such as `vc4`.
        driver: String,
        /// Such as `HDMI-A-1`.
        connector: String,
    },
    /// A framebuffer device such as `/dev/fb0`, 32 bits a pixel.
    Framebuffer {
        /// The device.
        device: String,
    },
    /// A file that holds what a framebuffer would: rows without gaps, four bytes a pixel (blue, green, red, 0).
    File {
        /// The file.
        file: String,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
}
