//! Microphones and loudspeaker.

use std::path::PathBuf;

use crate::keys::{FaultKind, Keys, Resource};
use crate::panel::read_i2c_place;
use crate::reading::{Part, Reading};

/// Microphones and loudspeaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audio {
    /// The board has none; a clip brings its own sound.
    None,
    /// ALSA devices.
    Alsa(Alsa),
}

/// Sound through ALSA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alsa {
    /// Where sound is captured, such as `hw:CARD=Array`.
    pub capture: String,
    /// Channels of that device.
    pub channels: u8,
    /// Where the return is played; a board without a loudspeaker has none.
    pub playback: Option<String>,
    /// Microphones in the order of the array; none only where there is a processed channel.
    pub microphones: Vec<Microphone>,
    /// The channel that an array makes of its microphones with the loudspeaker's sound taken out: a second canceller
    /// would only do harm.
    pub processed: Option<u8>,
    /// The channel on which the array returns what the loudspeaker plays.
    pub reference: Option<u8>,
    /// Taken when all microphones are silent.
    pub spare: Option<Spare>,
    /// From where voices come, where the array tells that itself.
    pub directions: Option<Directions>,
}

/// An array that tells by itself from where voices come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directions {
    /// How it is asked.
    pub array: ArrayAt,
    /// What it says of a voice from the front, degrees.
    pub front_deg: u16,
    /// Seen from above its degrees grow to the right.
    pub clockwise: bool,
}

/// An array's processor, and where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrayAt {
    /// XVF3000 on USB.
    Xvf3000Usb,
    /// XVF3800 on USB.
    Xvf3800Usb,
    /// XVF3800 on I²C.
    Xvf3800I2c {
        /// Such as `/dev/i2c-1`.
        device: PathBuf,
        /// 7 bits.
        address: u8,
    },
}

impl Directions {
    /// What the array says, as an azimuth: 0 to the front, positive to the right, −180 to 179 degrees.
    pub const fn azimuth_deg(&self, angle_deg: u16) -> i16 {
        let from_front = angle_deg as i32 - self.front_deg as i32;
        let turned = if self.clockwise { from_front } else { -from_front };
        ((turned + 180).rem_euclid(360) - 180) as i16
    }
}

/// One microphone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Microphone {
    /// Its channel, counted from 0.
    pub channel: u8,
    /// Where it is, seen from above: to the right and to the front of the array's middle, mm. Known for all or for none.
    pub position_mm: Option<[i16; 2]>,
}

/// The microphone that stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spare {
    /// Its device.
    pub capture: String,
    /// Its channel, counted from 0.
    pub channel: u8,
}

const CHANNEL: &str = "0";
const MICROPHONES: &str = "[{ channel = 0 }]";
const MAX_CHANNELS: i64 = 32;

pub(crate) fn read(mut keys: Keys, reading: &mut Reading) -> Option<Audio> {
    #[derive(Clone, Copy)]
    enum Kind {
        None,
        Alsa,
    }
    let kinds = [("none", Kind::None), ("alsa", Kind::Alsa)];
    let audio = match keys.choice("kind", &kinds, "\"none\"", &mut reading.faults)? {
        Kind::None => Some(Audio::None),
        Kind::Alsa => read_alsa(&mut keys, reading).map(Audio::Alsa),
    };
    keys.finish(&mut reading.faults);
    audio
}

fn read_alsa(keys: &mut Keys, reading: &mut Reading) -> Option<Alsa> {
    let capture: Option<String> = keys.required("capture", "\"hw:CARD=Array\"", &mut reading.faults);
    let channels: Option<u8> = keys.number("channels", &(1..=MAX_CHANNELS), "1", &mut reading.faults);
    let playback = keys.optional("playback", "\"default\"", &mut reading.faults);
    let last = i64::from(channels.unwrap_or(32)) - 1;
    let device = capture.clone().unwrap_or_default();
    let before = reading.faults.len();
    let tables = keys.tables("microphones", MICROPHONES, &mut reading.faults);
    let nobody_listens = tables.is_empty() && reading.faults.len() == before && !keys.has("processed");
    let placed = tables.iter().filter(|keys| keys.has("position_mm")).count();
    let microphones: Vec<_> =
        tables.into_iter().filter_map(|keys| read_microphone(keys, &device, last, placed > 0, reading)).collect();
    let processed = read_channel(keys, "processed", &device, last, reading);
    let reference = read_channel(keys, "reference", &device, last, reading);
    if nobody_listens {
        keys.fault("microphones", FaultKind::Missing { example: MICROPHONES }, &mut reading.faults);
    }
    let spare = keys.optional_section("spare", &mut reading.faults);
    let spare = spare.and_then(|keys| read_spare(keys, &device, last, reading));
    let directions = keys.optional_section("directions", &mut reading.faults);
    let directions = directions.and_then(|keys| read_directions(keys, reading));
    let (capture, channels) = (capture?, channels?);
    Some(Alsa { capture, channels, playback, microphones, processed, reference, spare, directions })
}

fn read_directions(mut keys: Keys, reading: &mut Reading) -> Option<Directions> {
    #[derive(Clone, Copy)]
    enum Kind {
        Xvf3000Usb,
        Xvf3800Usb,
        Xvf3800I2c,
    }
    let kinds =
        [("xvf3000-usb", Kind::Xvf3000Usb), ("xvf3800-usb", Kind::Xvf3800Usb), ("xvf3800-i2c", Kind::Xvf3800I2c)];
    let array = match keys.choice("kind", &kinds, "\"xvf3000-usb\"", &mut reading.faults) {
        Some(Kind::Xvf3000Usb) => Some(ArrayAt::Xvf3000Usb),
        Some(Kind::Xvf3800Usb) => Some(ArrayAt::Xvf3800Usb),
        Some(Kind::Xvf3800I2c) => read_i2c_place(&mut keys, Part::Microphones, "0x2C", reading)
            .map(|(device, address)| ArrayAt::Xvf3800I2c { device, address }),
        None => None,
    };
    let front_deg = keys.number("front_deg", &(0..=359), "0", &mut reading.faults);
    let clockwise = keys.required("clockwise", "true", &mut reading.faults);
    keys.finish(&mut reading.faults);
    Some(Directions { array: array?, front_deg: front_deg?, clockwise: clockwise? })
}

fn read_channel(keys: &mut Keys, key: &'static str, device: &str, last: i64, reading: &mut Reading) -> Option<u8> {
    let channel = keys.optional_number(key, &(0..=last), CHANNEL, &mut reading.faults)?;
    reading.claim(keys, key, Resource::Channel { device: device.to_owned(), channel });
    Some(channel)
}

fn read_microphone(
    mut keys: Keys,
    device: &str,
    last: i64,
    others_are_placed: bool,
    reading: &mut Reading,
) -> Option<Microphone> {
    const POSITION: &str = "[-32, 0]";
    let channel = keys.number("channel", &(0..=last), CHANNEL, &mut reading.faults);
    if let Some(channel) = channel {
        reading.claim(&keys, "channel", Resource::Channel { device: device.to_owned(), channel });
    }
    // Directions come from all microphones or from none.
    let position_mm: Option<[i16; 2]> = if others_are_placed {
        keys.required("position_mm", POSITION, &mut reading.faults)
    } else {
        keys.optional("position_mm", POSITION, &mut reading.faults)
    };
    for mm in position_mm.into_iter().flatten().filter(|mm| mm.unsigned_abs() > 2_000) {
        keys.fault("position_mm", FaultKind::Range { got: mm.into(), from: -2_000, to: 2_000 }, &mut reading.faults);
    }
    keys.finish(&mut reading.faults);
    Some(Microphone { channel: channel?, position_mm })
}

fn read_spare(mut keys: Keys, array: &str, last: i64, reading: &mut Reading) -> Option<Spare> {
    let capture: Option<String> = keys.optional("capture", "\"hw:CARD=Camera\"", &mut reading.faults);
    // How many channels another device has is not known here.
    let last = if capture.as_ref().is_none_or(|capture| capture == array) { last } else { MAX_CHANNELS - 1 };
    let capture = capture.unwrap_or_else(|| array.to_owned());
    let channel = keys.number("channel", &(0..=last), CHANNEL, &mut reading.faults);
    if let Some(channel) = channel {
        reading.claim(&keys, "channel", Resource::Channel { device: capture.clone(), channel });
    }
    keys.finish(&mut reading.faults);
    Some(Spare { capture, channel: channel? })
}
