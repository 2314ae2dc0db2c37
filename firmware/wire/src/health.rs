//! `up/health`: what the box measures of itself, every 5 s.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::twin::Volume;

/// One report. `None` means *not measured now*, never zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Health {
    /// Seconds since the control process started.
    pub uptime_s: u64,
    /// CPU of the whole machine, percent of all cores.
    pub cpu_percent: f32,
    /// Memory used by the agent and its media child, MiB.
    pub memory_mib: u32,
    /// Free space where recordings go, MiB.
    pub disk_free_mib: u64,
    /// Share of that disk that is used, percent.
    pub disk_used_percent: f32,
    /// Frames per second that the main encoder delivered in the last second.
    pub encoder_fps: Option<f32>,
    /// Microphone level, dBFS (RMS of the last second), −127 to 0.
    pub mic_dbfs: Option<f32>,
    /// The same of each channel of the microphones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels_dbfs: Vec<f32>,
    /// How loud the return is in the room; none without a loudspeaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudspeaker: Option<Volume>,
    /// The media link, while there is one.
    pub link: Option<LinkHealth>,
    /// Own clock minus the server's, milliseconds, as the last signed message from the server allowed to estimate.
    pub clock_offset_ms: Option<i64>,
    /// Software version.
    pub version: String,
    /// The media child's state in a word: `idle`, `capturing`, `restarting`.
    pub media: String,
    /// Sensor temperature, degrees Celsius.
    pub temperature_c: Option<f32>,
}

/// The media link's figures over the last second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LinkHealth {
    /// Connected: valid SRTP came within the last second.
    pub up: bool,
    /// Round-trip time, milliseconds.
    pub rtt_ms: Option<f32>,
    /// Packets of the return that were lost for good, percent.
    pub loss_percent: f32,
    /// Sent, kbit/s.
    pub up_kbps: u32,
    /// Received, kbit/s.
    pub down_kbps: u32,
}
