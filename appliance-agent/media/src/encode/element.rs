//! Encoder elements of GStreamer.

use bridgepoint_wire::command::VideoOrder;
use gst::prelude::*;

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
        let gop = u32::from(order.fps.max(1)) * KEY_EVERY_S;
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
            Self::V4l2 => factory.property("extra-controls", controls(order.kbps, Some(gop))),
        };
        builder.build().map_err(|_| MediaError::Element { element: self.name() })
    }

    /// From the next picture on, without a key frame. `false`: it cannot, and must begin anew.
    pub(super) fn set_kbps(&self, element: &gst::Element, kbps: u32) -> bool {
        match self {
            Self::X264 { .. } => element.set_property("bitrate", kbps.max(1)),
            // An element that is open sets what it is given at once.
            Self::V4l2 => element.set_property("extra-controls", controls(kbps, None)),
            // It would make a key frame, and not follow.
            Self::OpenH264 => return false,
        }
        true
    }

    /// x264 repeats its parameter sets by itself; the others need a parser that does.
    pub(super) const fn needs_parser(&self) -> bool {
        !matches!(self, Self::X264 { .. })
    }
}

/// Controls of a V4L2 encoder by the names that its kernel driver gives them (V4L2's codec controls, in lower case).
fn controls(kbps: u32, gop: Option<u32>) -> gst::Structure {
    let rate = gst::Structure::builder("controls").field("video_bitrate", (kbps.max(1) * 1_000) as i32);
    let Some(gop) = gop else { return rate.build() };
    rate.field("h264_i_frame_period", gop as i32).field("repeat_sequence_header", 1_i32).build()
}
