//! Encoder elements of GStreamer.

use bridgepoint_wire::command::VideoOrder;
use gst::prelude::*;

use super::controls::{self, Deviation};
use crate::MediaError;

/// A receiver that joins without asking waits at most this long.
const KEY_EVERY_S: u32 = 2;

/// An encoder element of GStreamer, and the only place that knows its odd properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoder {
    /// Hardware through V4L2's stateful M2M interface.
    V4l2,
    /// x264 with this speed preset.
    X264 {
        /// Such as `ultrafast`.
        preset: String,
    },
    /// Cisco's `OpenH264`.
    OpenH264,
}

impl Encoder {
    /// The element's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::V4l2 => "v4l2h264enc",
            Self::X264 { .. } => "x264enc",
            Self::OpenH264 => "openh264enc",
        }
    }

    /// One with this `name`, if it is known.
    pub(super) fn named(name: &str, preset: &str) -> Option<Self> {
        match name {
            "v4l2h264enc" => Some(Self::V4l2),
            "x264enc" => Some(Self::X264 { preset: preset.to_owned() }),
            "openh264enc" => Some(Self::OpenH264),
            _ => None,
        }
    }

    pub(super) fn make(&self, order: &VideoOrder) -> Result<gst::Element, MediaError> {
        let factory = gst::ElementFactory::make(self.name());
        let gop = gop(order);
        let builder = match self {
            Self::X264 { preset } => factory
                .property_from_str("speed-preset", preset)
                .property_from_str("tune", "zerolatency")
                .property("bitrate", order.kbps.max(1))
                .property("threads", 1_u32)
                .property("sliced-threads", false)
                .property("bframes", 0_u32)
                .property("key-int-max", gop)
                .property("byte-stream", true),
            Self::OpenH264 => factory
                .property("bitrate", order.kbps.max(1) * 1_000)
                .property("gop-size", gop)
                .property_from_str("complexity", "low")
                .property_from_str("rate-control", "bitrate")
                .property("multi-thread", 1_u32)
                // A flash is no cut: key frames come when asked for and every 2 s.
                .property("scene-change-detection", false),
            // By the controls of its file, once it is open.
            Self::V4l2 => factory,
        };
        builder.build().map_err(|_| MediaError::Element { element: self.name() })
    }

    /// What can be told only to an encoder whose device is open, which it is from state READY on.
    pub(super) fn set_up(&self, element: &gst::Element, order: &VideoOrder) -> Result<Vec<Deviation>, String> {
        match self {
            Self::V4l2 => controls::set_all(element, order.kbps, gop(order)),
            Self::X264 { .. } | Self::OpenH264 => Ok(Vec::new()),
        }
    }

    /// From the next picture on, without a key frame. `false`: it cannot, and must begin anew.
    pub(super) fn set_kbps(&self, element: &gst::Element, kbps: u32) -> bool {
        match self {
            Self::X264 { .. } => element.set_property("bitrate", kbps.max(1)),
            Self::V4l2 => return controls::set_kbps(element, kbps),
            // It would make a key frame, and not follow.
            Self::OpenH264 => return false,
        }
        true
    }

    /// The level that it is told to say (ISO/IEC 14496-10, table A-1); the others choose it themselves. `v4l2h264enc` takes the
    /// least that its driver knows where none is asked for, and some drivers then refuse the picture's size: not the least
    /// that fits is asked for, but what every driver has.
    pub(super) const fn level(&self, width: u32, height: u32, fps: u32) -> Option<&'static str> {
        let blocks = width.div_ceil(16) * height.div_ceil(16);
        match self {
            Self::V4l2 if blocks <= 8_192 && blocks * fps <= 245_760 => Some("4"),
            Self::V4l2 => Some("4.2"),
            Self::X264 { .. } | Self::OpenH264 => None,
        }
    }

    /// x264 repeats its parameter sets by itself; the others need a parser that does.
    pub(super) const fn needs_parser(&self) -> bool {
        !matches!(self, Self::X264 { .. })
    }
}

/// Pictures from one key frame to the next.
fn gop(order: &VideoOrder) -> u32 {
    u32::from(order.fps.max(1)) * KEY_EVERY_S
}
