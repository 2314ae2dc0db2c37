//! The camera: where its picture comes from, and how it is moved.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::keys::{Fault, FaultKind, Keys};
use crate::machine::{Port, Ports, SerialPort, SerialPorts};
use crate::reading::{Part, Reading};

/// The camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Where its picture comes from.
    pub source: Source,
    /// How it is moved.
    pub control: Control,
}

/// Where the picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file that `agent.toml` names; the sound is in it too.
    Clip,
    /// A V4L2 node.
    Device {
        /// Such as `/dev/video0`.
        video: PathBuf,
    },
    /// A camera on the network that streams H.264.
    Rtsp(Rtsp),
}

/// A camera's stream (RFC 2326). Its account is a site's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtsp {
    /// `rtsp://host[:port]/path`, without user and password.
    pub url: String,
    /// What carries its packets.
    pub transport: Transport,
    /// From the exposure of a picture to its arrival, ms.
    pub latency_ms: u16,
}

/// How the camera is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Not at all.
    None,
    /// UVC pan, tilt and zoom, on the node of the picture.
    Uvc,
    /// VISCA.
    Visca {
        /// How the camera is reached.
        line: ViscaLine,
        /// How far it moves; without it, the camera is driven and goes to its own presets, and that is all.
        travel: Option<Travel>,
        /// How many presets it keeps; ours from 1 on are its memories from 0 on.
        presets: u8,
    },
    /// ONVIF PTZ.
    Onvif {
        /// The device service; found by WS-Discovery when absent.
        url: Option<String>,
    },
}

/// How a camera that speaks VISCA is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViscaLine {
    /// Over RS-232 or RS-422.
    Serial {
        /// The port.
        port: SerialPort,
        /// The camera's place in the chain, 1 to 7.
        address: u8,
    },
    /// VISCA over IP: UDP with the 8-byte header.
    Ip {
        /// Name or address.
        host: String,
        /// UDP port.
        port: u16,
    },
    /// Without that header.
    Raw {
        /// Name or address.
        host: String,
        /// TCP or UDP.
        transport: Transport,
        /// Its port.
        port: u16,
    },
}

/// How far a camera moves, in steps of its own: VISCA has no question for that, its manual says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Travel {
    /// The left end and the right end; some cameras count to the left.
    pub pan: [i32; 2],
    /// The lowest and the highest.
    pub tilt: [i32; 2],
    /// Wide and tele.
    pub zoom: [i32; 2],
}

/// What carries raw VISCA, or the packets of an RTSP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// A datagram for each packet.
    Udp,
}

impl Transport {
    /// The port that cameras of this dialect listen on.
    const fn usual_port(self) -> u16 {
        match self {
            Self::Tcp => 5_678,
            Self::Udp => 1_259,
        }
    }
}

/// Every camera has memories 0 to 5 (EVI-D70, `CAM_Memory`).
const USUAL_PRESETS: u8 = 6;

/// Sony's: where a camera with the 8-byte header listens.
const VISCA_IP_PORT: u16 = 52_381;

pub(crate) fn read(mut keys: Keys, serial: &Ports, reading: &mut Reading) -> Option<Camera> {
    #[derive(Clone, Copy)]
    enum Kind {
        Clip,
        Device,
        Rtsp,
    }
    let kinds = [("clip", Kind::Clip), ("device", Kind::Device), ("rtsp", Kind::Rtsp)];
    let source = match keys.choice("kind", &kinds, "\"clip\"", &mut reading.faults)? {
        Kind::Clip => Some(Source::Clip),
        Kind::Device => {
            let video: Option<PathBuf> = keys.required("video", "\"/dev/video0\"", &mut reading.faults);
            if let Some(video) = &video {
                reading.device(&keys, "video", Part::Camera, video);
            }
            video.map(|video| Source::Device { video })
        }
        Kind::Rtsp => {
            let stream = keys.section("stream", &mut reading.faults);
            Rtsp::read(stream, &mut reading.faults).map(Source::Rtsp)
        }
    };
    let control = keys.section("control", &mut reading.faults);
    let control = read_control(control, &serial.camera, &mut reading.faults);
    keys.finish(&mut reading.faults);
    Some(Camera { source: source?, control: control? })
}

impl Rtsp {
    /// What cameras of 25 pictures a second need to expose, encode and send one, as far as their makers say.
    const USUAL_LATENCY_MS: u16 = 120;

    /// Reads a section `stream`.
    pub fn read(mut keys: Keys, faults: &mut Vec<Fault>) -> Option<Self> {
        const EXAMPLE: &str = "\"rtsp://192.168.10.20:554/stream1\"";
        let url: Option<String> = keys.required("url", EXAMPLE, faults);
        let url = url.filter(|url| {
            let authority = url.strip_prefix("rtsp://").map(|rest| rest.split('/').next().unwrap_or_default());
            // With an account in it, it would be in every log.
            let good = authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('@'));
            if !good {
                let shown = url.rsplit_once('@').map_or(url.as_str(), |(_, rest)| rest);
                keys.fault("url", FaultKind::Wrong { got: format!("“{shown}”"), example: EXAMPLE }, faults);
            }
            good
        });
        let carriers = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];
        let transport = keys.optional_choice("transport", &carriers, "\"tcp\"", faults).unwrap_or(Transport::Tcp);
        let latency_ms = keys.optional_number("latency_ms", &(0..=2_000), "120", faults);
        keys.finish(faults);
        Some(Self { url: url?, transport, latency_ms: latency_ms.unwrap_or(Self::USUAL_LATENCY_MS) })
    }
}

impl Control {
    /// Reads a section `control`; `serial` are the board's ports.
    pub fn read(keys: Keys, serial: &SerialPorts, faults: &mut Vec<Fault>) -> Option<Self> {
        let port = serial.camera.clone().map_or(Port::Absent, Port::At);
        read_control(keys, &port, faults)
    }
}

fn read_control(mut keys: Keys, port: &Port, faults: &mut Vec<Fault>) -> Option<Control> {
    #[derive(Clone, Copy)]
    enum Kind {
        None,
        Uvc,
        ViscaSerial,
        ViscaIp,
        ViscaRaw,
        Onvif,
    }
    let kinds = [
        ("none", Kind::None),
        ("uvc", Kind::Uvc),
        ("visca-serial", Kind::ViscaSerial),
        ("visca-ip", Kind::ViscaIp),
        ("visca-raw", Kind::ViscaRaw),
        ("onvif", Kind::Onvif),
    ];
    let control = match keys.choice("kind", &kinds, "\"none\"", faults)? {
        Kind::None => Some(Control::None),
        Kind::Uvc => Some(Control::Uvc),
        Kind::ViscaSerial => {
            let line = read_serial(&mut keys, port, faults);
            read_visca(line, &mut keys, faults)
        }
        Kind::ViscaIp => {
            let host = read_host(&mut keys, faults);
            let port = read_network_port(&mut keys, VISCA_IP_PORT, faults);
            read_visca(host.zip(port).map(|(host, port)| ViscaLine::Ip { host, port }), &mut keys, faults)
        }
        Kind::ViscaRaw => {
            let host = read_host(&mut keys, faults);
            let carriers = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];
            let transport = keys.choice("transport", &carriers, "\"tcp\"", faults);
            let usual = transport.unwrap_or(Transport::Tcp).usual_port();
            let port = read_network_port(&mut keys, usual, faults);
            let line = host.zip(transport).zip(port);
            let line = line.map(|((host, transport), port)| ViscaLine::Raw { host, transport, port });
            read_visca(line, &mut keys, faults)
        }
        Kind::Onvif => Some(read_onvif(&mut keys, faults)),
    };
    keys.finish(faults);
    control
}

fn read_serial(keys: &mut Keys, port: &Port, faults: &mut Vec<Fault>) -> Option<ViscaLine> {
    const PORT: &str = "{ device = \"/dev/ttyS1\", baud = 9600 }";
    let address = keys.number("address", &(1..=7), "1", faults);
    let port = port.needed(keys.file(), "serial.camera", PORT, faults);
    port.zip(address).map(|(port, address)| ViscaLine::Serial { port, address })
}

fn read_visca(line: Option<ViscaLine>, keys: &mut Keys, faults: &mut Vec<Fault>) -> Option<Control> {
    let travel = match keys.optional_section("travel", faults) {
        None => None,
        Some(keys) => Some(read_travel(keys, faults)?),
    };
    // Memory numbers are a byte (FFh ends a packet); operators' presets are 1 to 99 (`bridgepoint_wire::camera`).
    let presets = keys.optional_number("presets", &(1..=99), "16", faults).unwrap_or(USUAL_PRESETS);
    Some(Control::Visca { line: line?, travel, presets })
}

fn read_travel(mut keys: Keys, faults: &mut Vec<Fault>) -> Option<Travel> {
    // What the protocol's digits hold: five for pan, four for the others (docs/ref/visca.md).
    let pan = read_ends("pan", -0x8_0000..=0x7_FFFF, "[-2267, 2267]", &mut keys, faults);
    let tilt = read_ends("tilt", -0x8000..=0x7FFF, "[-400, 1200]", &mut keys, faults);
    let zoom = read_ends("zoom", 0..=0xFFFF, "[0, 16384]", &mut keys, faults);
    keys.finish(faults);
    Some(Travel { pan: pan?, tilt: tilt?, zoom: zoom? })
}

fn read_ends(
    key: &'static str,
    range: RangeInclusive<i32>,
    example: &'static str,
    keys: &mut Keys,
    faults: &mut Vec<Fault>,
) -> Option<[i32; 2]> {
    let ends: [i32; 2] = keys.required(key, example, faults)?;
    if ends[0] != ends[1] && ends.iter().all(|end| range.contains(end)) {
        return Some(ends);
    }
    keys.fault(key, FaultKind::Wrong { got: format!("{ends:?}"), example }, faults);
    None
}

fn read_host(keys: &mut Keys, faults: &mut Vec<Fault>) -> Option<String> {
    const EXAMPLE: &str = "\"192.168.10.20\"";
    let host: String = keys.required("host", EXAMPLE, faults)?;
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    if is_address || is_name {
        return Some(host);
    }
    keys.fault("host", FaultKind::Wrong { got: format!("“{host}”"), example: EXAMPLE }, faults);
    None
}

/// `None` when it is wrong; `usual` when it is absent.
fn read_network_port(keys: &mut Keys, usual: u16, faults: &mut Vec<Fault>) -> Option<u16> {
    let before = faults.len();
    let port = keys.optional_number("port", &(1..=65_535), "52381", faults);
    (faults.len() == before).then(|| port.unwrap_or(usual))
}

fn read_onvif(keys: &mut Keys, faults: &mut Vec<Fault>) -> Control {
    const EXAMPLE: &str = "\"http://192.168.10.20/onvif/device_service\"";
    let url: Option<String> = keys.optional("url", EXAMPLE, faults);
    if let Some(url) = url.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        keys.fault("url", FaultKind::Wrong { got: format!("“{url}”"), example: EXAMPLE }, faults);
    }
    Control::Onvif { url }
}
