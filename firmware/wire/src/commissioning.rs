//! The commissioning report: what a box proved of itself when a technician put it up, exchanged or moved it.
//!
//! It is said as [`crate::event::Event::Commissioned`]: enveloped, signed by the box's key and kept in its outbox like
//! every event. A report exists only when every proof does, so none of them is optional.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{ApplianceId, SiteCode};

/// What was put up, by whom it is attested (the box), and how each step was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommissioningReport {
    /// Why a technician was here.
    pub occasion: Occasion,
    /// Where the box stands.
    pub site: SiteCode,
    /// Who the box is.
    pub appliance: ApplianceId,
    /// The device's serial number, as on its label.
    pub serial: String,
    /// Software version.
    pub version: String,
    /// From the first picture on the screen to the last proof, seconds.
    pub took_s: u64,
    /// Failures that were shown on the way, of all steps: how hard it was.
    pub failures: u32,
    /// How each step was proved.
    pub proofs: Proofs,
}

/// Why a technician was here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occasion {
    /// The site's first box.
    First,
    /// The site had a box already, which this one replaces.
    Exchange {
        /// The one that is replaced: its certificate is worth nothing any more.
        replaces: ApplianceId,
    },
    /// The box stood at another site before.
    Move {
        /// There.
        from: SiteCode,
        /// The box that stood here until now.
        replaces: Option<ApplianceId>,
    },
}

/// One proof for each step that leaves figures. The order is that of the steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proofs {
    /// The address on the site's network.
    pub address: Addressing,
    /// Own clock minus a trusted one, milliseconds.
    pub clock_offset_ms: i64,
    /// Round trip to the centre's enrolment listener, milliseconds.
    pub centre_rtt_ms: u32,
    /// How the code came in.
    pub code_from: CodeFrom,
    /// What the camera sees.
    pub picture: PictureProof,
    /// What each channel of the microphones hears, in the channels' order.
    pub sound: Vec<ChannelProof>,
    /// What the encoder delivers.
    pub encoder: EncoderProof,
    /// The line, measured both ways.
    pub line: LineProof,
    /// The test call to the centre's loopback.
    pub call: CallProof,
    /// What was recorded and played back, and found right by the technician.
    pub playback: PlaybackProof,
}

/// The address on the site's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressing {
    /// Who gave it.
    pub how: AddressFrom,
    /// With prefix length, such as `10.20.30.40/24`.
    pub address: String,
}

/// Who gave the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressFrom {
    /// The site's router.
    Dhcp,
    /// A file on a USB stick.
    UsbStick,
}

/// How the enrolment code came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodeFrom {
    /// Typed on a USB keyboard.
    Keyboard,
    /// A file on a USB stick.
    UsbStick,
    /// Seen by the camera.
    QrCode,
    /// The box had its identity before this installation began.
    Kept,
}

/// What the camera sees. Luma is full range, 0 (black) to 255 (white).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureProof {
    /// Mean luma.
    pub mean: u8,
    /// Standard deviation of luma.
    pub spread: u8,
}

/// What one channel of the microphones hears while somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelProof {
    /// RMS, dBFS, −127 to 0.
    pub dbfs: i8,
    /// Highest sample, dBFS, −127 to 0.
    pub peak_dbfs: i8,
}

/// What the encoder delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderProof {
    /// Which one was chosen.
    pub name: String,
    /// Pictures that were put in.
    pub pictures_in: u32,
    /// Pictures that came out in time.
    pub pictures_out: u32,
}

/// The line to the centre, measured both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineProof {
    /// How long each way was measured, seconds.
    pub seconds: u32,
    /// To the centre, kbit/s.
    pub up_kbps: u32,
    /// From the centre, kbit/s.
    pub down_kbps: u32,
    /// The worse way's loss, packets of 1 000.
    pub loss_permille: u16,
    /// Round trip under load, milliseconds.
    pub rtt_ms: u32,
}

/// The test call: what the box sent came back from the centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallProof {
    /// How long.
    pub seconds: u32,
    /// Pictures that came back.
    pub pictures: u32,
    /// 20 ms packets of sound that came back.
    pub sounds: u32,
    /// From capture to return, milliseconds.
    pub delay_ms: u32,
}

/// What was recorded and played back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybackProof {
    /// Length of the recording, milliseconds.
    pub recorded_ms: u32,
    /// Its size, bytes.
    pub bytes: u64,
}
