//! Encoder, decoder and screen.

use std::path::PathBuf;

use crate::keys::{FaultKind, Keys, Resource};
use crate::reading::{Part, Reading};

/// Elements to try, and the hardware behind the V4L2 one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// GStreamer elements, best first. The last resort in software is always among them.
    pub order: Vec<String>,
    /// V4L2 M2M node of the element that needs one.
    pub node: Option<PathBuf>,
}

/// The screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Display {
    /// There is none, or it belongs to somebody else.
    None,
    /// Kernel mode setting.
    Kms {
        /// The DRM driver, such as `vc4`: cards are numbered in the order in which drivers come up.
        driver: String,
        /// The connector's name, such as `HDMI-A-1`.
        connector: String,
    },
    /// A framebuffer device (fbdev), 32 bits a pixel.
    Framebuffer {
        /// Such as `/dev/fb0`.
        device: PathBuf,
    },
}

/// Encoders that the agent knows how to set up.
pub const ENCODERS: [&str; 3] = ["v4l2h264enc", "x264enc", "openh264enc"];
/// Those of them that work on every machine.
pub const SOFTWARE_ENCODERS: &[&str] = &["x264enc", "openh264enc"];
/// Decoders that the agent knows how to set up.
pub const DECODERS: [&str; 3] = ["v4l2h264dec", "avdec_h264", "openh264dec"];
/// Those of them that work on every machine.
pub const SOFTWARE_DECODERS: &[&str] = &["avdec_h264", "openh264dec"];

/// What distinguishes reading an encoder from reading a decoder.
struct Rules {
    part: Part,
    known: &'static [&'static str],
    software: &'static [&'static str],
    example: &'static str,
    node: &'static str,
}

pub(crate) fn read_encoder(keys: Keys, reading: &mut Reading) -> Option<Codec> {
    let rules = Rules {
        part: Part::Encoder,
        known: &ENCODERS,
        software: SOFTWARE_ENCODERS,
        example: "[\"x264enc\", \"openh264enc\"]",
        node: "\"/dev/video11\"",
    };
    read_codec(keys, &rules, reading)
}

pub(crate) fn read_decoder(keys: Keys, reading: &mut Reading) -> Option<Codec> {
    let rules = Rules {
        part: Part::Decoder,
        known: &DECODERS,
        software: SOFTWARE_DECODERS,
        example: "[\"avdec_h264\", \"openh264dec\"]",
        node: "\"/dev/video10\"",
    };
    read_codec(keys, &rules, reading)
}

fn read_codec(mut keys: Keys, rules: &Rules, reading: &mut Reading) -> Option<Codec> {
    let order: Option<Vec<String>> = keys.required("order", rules.example, &mut reading.faults);
    if let Some(order) = &order {
        check_order(&keys, order, rules, reading);
    }
    // Only hardware has a node: a software element with one would hint at a wire that nobody uses.
    let has_hardware = order.iter().flatten().any(|name| !rules.software.contains(&name.as_str()));
    let node: Option<PathBuf> =
        if has_hardware { keys.required("node", rules.node, &mut reading.faults) } else { None };
    if let Some(node) = &node {
        reading.device(&keys, "node", rules.part, node);
    }
    keys.finish(&mut reading.faults);
    Some(Codec { order: order?, node })
}

fn check_order(keys: &Keys, order: &[String], rules: &Rules, reading: &mut Reading) {
    for (n, name) in order.iter().enumerate() {
        if !rules.known.contains(&name.as_str()) {
            let kind = FaultKind::Choice { got: format!("“{name}”"), of: rules.known.to_vec() };
            keys.fault("order", kind, &mut reading.faults);
        }
        if order[..n].contains(name) {
            let other = keys.place("order").1;
            keys.fault(
                "order",
                FaultKind::UsedTwice { what: Resource::Element(name.clone()), other },
                &mut reading.faults,
            );
        }
    }
    if !order.iter().any(|name| rules.software.contains(&name.as_str())) {
        keys.fault("order", FaultKind::NoFallback { of: rules.software }, &mut reading.faults);
    }
}

pub(crate) fn read_display(mut keys: Keys, reading: &mut Reading) -> Option<Display> {
    #[derive(Clone, Copy)]
    enum Kind {
        None,
        Kms,
        Framebuffer,
    }
    let kinds = [("none", Kind::None), ("kms", Kind::Kms), ("framebuffer", Kind::Framebuffer)];
    let display = match keys.choice("kind", &kinds, "\"none\"", &mut reading.faults)? {
        Kind::None => Some(Display::None),
        Kind::Kms => {
            let driver: Option<String> = keys.required("driver", "\"vc4\"", &mut reading.faults);
            let connector: Option<String> = keys.required("connector", "\"HDMI-A-1\"", &mut reading.faults);
            driver.zip(connector).map(|(driver, connector)| Display::Kms { driver, connector })
        }
        Kind::Framebuffer => {
            let device: Option<PathBuf> = keys.required("device", "\"/dev/fb0\"", &mut reading.faults);
            if let Some(device) = &device {
                reading.device(&keys, "device", Part::Display, device);
            }
            device.map(|device| Display::Framebuffer { device })
        }
    };
    keys.finish(&mut reading.faults);
    display
}
