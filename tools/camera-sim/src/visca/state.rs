//! The camera as somebody sees it who stands beside it.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::device::{Counts, Device};

/// One look at the camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "it is read by people and scripts, and decides nothing")]
pub struct State {
    /// On, or in standby.
    pub powered: bool,
    /// Whether it is starting again and hears nothing.
    pub off: bool,
    /// Steps from the middle.
    pub pan: i32,
    /// Steps from the horizon.
    pub tilt: i32,
    /// 0 is wide, 16384 tele.
    pub zoom: i32,
    /// As the protocol counts it.
    pub focus: i32,
    /// Whether anything moves.
    pub moving: bool,
    /// Whether anything moves until it is stopped.
    pub driving: bool,
    /// Whether it focuses by itself.
    pub auto_focus: bool,
    /// The presets that are set.
    pub presets: Vec<u8>,
    /// What has happened.
    pub counts: Counts,
}

impl State {
    /// How the camera is now.
    pub fn of(device: &Device) -> Self {
        let head = &device.head;
        Self {
            powered: head.powered,
            off: device.is_off(),
            pan: head.pan.at(),
            tilt: head.tilt.at(),
            zoom: head.zoom.at(),
            focus: head.focus.at(),
            moving: head.is_moving(),
            driving: head.is_driving(),
            auto_focus: head.auto_focus,
            presets: head.presets().collect(),
            counts: device.counts,
        }
    }

    /// Replaces the file as a whole: who reads it sees one state or another, never half of one.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let next = path.with_extension("next");
        std::fs::write(&next, serde_json::to_vec(self)?)?;
        std::fs::rename(next, path)
    }
}
