//! Sound at a box: its microphones and its loudspeaker, and what it says of them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// Microphones on ALSA devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Microphones {
    /// The device, such as `hw:CARD=Array`.
    pub device: String,
    /// Its channels.
    pub channels: u8,
    /// Its microphones, in the order in which they may be heard. Channels are counted from 0.
    pub microphones: Vec<Microphone>,
    /// The channel that an array makes of its microphones with the loudspeaker's sound taken out: heard before any of
    /// them, and as it is.
    pub processed: Option<u8>,
    /// Heard when nothing else works.
    pub spare: Option<Spare>,
    /// What is wrong with a microphone, and what is not.
    pub limits: MicrophoneLimits,
    /// Say from where voices come, which needs the microphones' places.
    pub directions: bool,
}

/// One microphone of an array.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Microphone {
    /// Its channel.
    pub channel: u8,
    /// Where it is, seen from above: to the right and to the front of the array's middle, metres.
    pub place_m: Option<[f32; 2]>,
}

/// The microphone that stands in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spare {
    /// Its device, which may be the array's.
    pub device: String,
    /// Its channel there.
    pub channel: u8,
}

/// `[microphones]` of a site's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MicrophoneLimits {
    /// Below this a channel is silent: no room and no microphone are that quiet, dBFS.
    pub silent_dbfs: f32,
    /// So much below the others, while they hear something, a channel is weak, dB.
    pub weak_db: f32,
    /// The others hear something above this, dBFS.
    pub heard_dbfs: f32,
    /// A block is clipped when more than this share of its samples is at full scale.
    pub clipped_share: f32,
}

impl Default for MicrophoneLimits {
    fn default() -> Self {
        Self { silent_dbfs: -90.0, weak_db: 25.0, heard_dbfs: -60.0, clipped_share: 0.01 }
    }
}

/// What the microphones hear now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Heard {
    /// Nothing above the room's floor.
    Quiet,
    /// Something, but from no direction in particular.
    Unplaced,
    /// Something from there.
    From(Bearing),
    /// A voice from there, of an array that tells voices from noise itself.
    Voice {
        /// As [`Bearing::azimuth_deg`].
        azimuth_deg: f32,
    },
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bearing {
    /// 0 to the front, positive to the right, −180 to 180 degrees. An array on one line tells one side only, within 90°
    /// of its middle.
    pub azimuth_deg: f32,
    /// How much it is like one distant voice without a room around it: 0 to 1.
    pub confidence: f32,
    /// How loud it is in the band of speech, dB below full scale.
    pub level_dbfs: f32,
}

/// What is wrong with a microphone's channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MicrophoneFault {
    /// Nothing comes, not even the noise that every live microphone has.
    Silent,
    /// The same value again and again, or far off the middle: the line or the converter hangs.
    Stuck,
    /// The loudest parts are cut off, for seconds.
    Clipped,
    /// Far weaker than the others, which hear something.
    Weak,
}

impl MicrophoneFault {
    /// What a person is told; place {0} is the channel, counted from 1.
    pub const fn text(self) -> Text {
        match self {
            Self::Silent => Text::MicrophoneSilent,
            Self::Stuck => Text::MicrophoneStuck,
            Self::Clipped => Text::MicrophoneClipped,
            Self::Weak => Text::MicrophoneWeak,
        }
    }
}

/// What the self-test found of one microphone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// How loud the test was here, dBFS RMS over the sweep, without the room's noise.
    pub level_dbfs: f32,
    /// From the first sample played to the same sample captured by the direct way, ms.
    pub delay_ms: f32,
    /// Echo return loss: what was played, less what came back of it, dB.
    pub erl_db: f32,
    /// The test's level, less the noise before it, dB.
    pub snr_db: f32,
}

/// What one microphone's capture of the self-test is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Measured {
    /// The test was heard.
    Heard(Reading),
    /// Overdriven: levels mean nothing.
    Clipped,
    /// A live microphone that did not hear the test; its noise, dBFS.
    NotHeard {
        /// RMS before the test.
        noise_dbfs: f32,
    },
    /// Nothing at all, or one value.
    NoSignal,
}

/// What came of the self-test of loudspeaker and microphones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundTest {
    /// When the test was made that this one is compared with, ms since 1970; none: with nothing.
    pub compared_with_ms: Option<u64>,
    /// Later tests are compared with this one: it is that of the day of installation.
    pub kept: bool,
    /// Nothing is wrong.
    pub good: bool,
    /// What a person is told, the most important first.
    pub said: Vec<SoundTestSaid>,
    /// Of each microphone.
    pub microphones: Vec<SoundTestFigures>,
}

/// A sentence about a self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundTestSaid {
    /// Key of [`Text`], such as `SoundTestQuieter`.
    pub text: String,
    /// What fills the text's places.
    pub details: Vec<String>,
}

/// What the self-test measured of one microphone. Without figures it did not hear it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundTestFigures {
    /// Its channel, counted from 0; a spare on another device is one more after the last.
    pub channel: u8,
    /// As [`Reading::level_dbfs`], rounded.
    pub level_dbfs: Option<i16>,
    /// As [`Reading::delay_ms`], rounded.
    pub delay_ms: Option<i16>,
    /// As [`Reading::erl_db`], rounded.
    pub erl_db: Option<i16>,
    /// As [`Reading::snr_db`], rounded.
    pub snr_db: Option<i16>,
}

/// What happened with the microphones. Channels are counted from 0, as the capture device numbers them; a spare
/// microphone on another device is one more after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MicrophoneEvent {
    /// A channel is not fit to be heard.
    Faulty {
        /// Which.
        channel: u8,
        /// What is wrong.
        fault: MicrophoneFault,
    },
    /// A channel works again.
    Back {
        /// Which.
        channel: u8,
    },
    /// Another channel is heard from now on.
    Using {
        /// Which.
        channel: u8,
        /// Which one until now.
        instead_of: u8,
    },
    /// No channel works; the last one stays in use.
    NoneWorks,
}
