//! The camera: where its picture comes from, and how it is moved.

use std::path::PathBuf;

use crate::keys::{FaultKind, Keys};
use crate::machine::{Ports, SerialPort};
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
}

/// How the camera is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Not at all.
    None,
    /// UVC pan, tilt and zoom, on the node of the picture.
    Uvc,
    /// VISCA over RS-232 or RS-422.
    ViscaSerial {
        /// The port.
        port: SerialPort,
        /// The camera's place in the chain, 1 to 7.
        address: u8,
    },
    /// VISCA over IP: UDP with the 8-byte header.
    ViscaIp {
        /// Name or address.
        host: String,
        /// UDP port.
        port: u16,
    },
    /// VISCA without that header.
    ViscaRaw {
        /// Name or address.
        host: String,
        /// TCP or UDP.
        transport: Transport,
        /// Its port.
        port: u16,
    },
    /// ONVIF PTZ.
    Onvif {
        /// The device service; found by WS-Discovery when absent.
        url: Option<String>,
    },
}

/// What carries raw VISCA.
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

/// Sony's: where a camera with the 8-byte header listens.
const VISCA_IP_PORT: u16 = 52_381;

pub(crate) fn read(mut keys: Keys, serial: &Ports, reading: &mut Reading) -> Option<Camera> {
    #[derive(Clone, Copy)]
    enum Kind {
        Clip,
        Device,
    }
    let kinds = [("clip", Kind::Clip), ("device", Kind::Device)];
    let source = match keys.choice("kind", &kinds, "\"clip\"", &mut reading.faults)? {
        Kind::Clip => Some(Source::Clip),
        Kind::Device => {
            let video: Option<PathBuf> = keys.required("video", "\"/dev/video0\"", &mut reading.faults);
            if let Some(video) = &video {
                reading.device(&keys, "video", Part::Camera, video);
            }
            video.map(|video| Source::Device { video })
        }
    };
    let control = keys.section("control", &mut reading.faults);
    let control = read_control(control, serial, reading);
    keys.finish(&mut reading.faults);
    Some(Camera { source: source?, control: control? })
}

fn read_control(mut keys: Keys, serial: &Ports, reading: &mut Reading) -> Option<Control> {
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
    let control = match keys.choice("kind", &kinds, "\"none\"", &mut reading.faults)? {
        Kind::None => Some(Control::None),
        Kind::Uvc => Some(Control::Uvc),
        Kind::ViscaSerial => read_visca_serial(&mut keys, serial, reading),
        Kind::ViscaIp => {
            let host = read_host(&mut keys, reading);
            let port = read_network_port(&mut keys, VISCA_IP_PORT, reading);
            host.zip(port).map(|(host, port)| Control::ViscaIp { host, port })
        }
        Kind::ViscaRaw => {
            let host = read_host(&mut keys, reading);
            let carriers = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];
            let transport = keys.choice("transport", &carriers, "\"tcp\"", &mut reading.faults);
            let usual = transport.unwrap_or(Transport::Tcp).usual_port();
            let port = read_network_port(&mut keys, usual, reading);
            host.zip(transport).zip(port).map(|((host, transport), port)| Control::ViscaRaw { host, transport, port })
        }
        Kind::Onvif => Some(read_onvif(&mut keys, reading)),
    };
    keys.finish(&mut reading.faults);
    control
}

fn read_visca_serial(keys: &mut Keys, serial: &Ports, reading: &mut Reading) -> Option<Control> {
    const PORT: &str = "{ device = \"/dev/ttyS1\", baud = 9600 }";
    let address = keys.number("address", &(1..=7), "1", &mut reading.faults);
    let port = serial.camera.needed(keys.file(), "serial.camera", PORT, reading);
    port.zip(address).map(|(port, address)| Control::ViscaSerial { port, address })
}

fn read_host(keys: &mut Keys, reading: &mut Reading) -> Option<String> {
    const EXAMPLE: &str = "\"192.168.10.20\"";
    let host: String = keys.required("host", EXAMPLE, &mut reading.faults)?;
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    if is_address || is_name {
        return Some(host);
    }
    keys.fault("host", FaultKind::Wrong { got: format!("“{host}”"), example: EXAMPLE }, &mut reading.faults);
    None
}

/// `None` when it is wrong; `usual` when it is absent.
fn read_network_port(keys: &mut Keys, usual: u16, reading: &mut Reading) -> Option<u16> {
    let before = reading.faults.len();
    let port = keys.optional_number("port", &(1..=65_535), "52381", &mut reading.faults);
    (reading.faults.len() == before).then(|| port.unwrap_or(usual))
}

fn read_onvif(keys: &mut Keys, reading: &mut Reading) -> Control {
    const EXAMPLE: &str = "\"http://192.168.10.20/onvif/device_service\"";
    let url: Option<String> = keys.optional("url", EXAMPLE, &mut reading.faults);
    if let Some(url) = url.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        keys.fault("url", FaultKind::Wrong { got: format!("“{url}”"), example: EXAMPLE }, &mut reading.faults);
    }
    Control::Onvif { url }
}
