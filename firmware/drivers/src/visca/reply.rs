//! What a camera says.
//!
//! Source: EVI-D70, *VISCA Camera-Issued Messages* and *Inquiry Command List*; the same in all later lists.

use heapless::Vec;

use super::packet::{END, MAX_PACKET};
use super::{Digits, FocusMode, FocusPosition, Inquiry, PanSpeed, Position, Power, Socket, TiltSpeed, ZoomPosition};

/// A reply and who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who.
    pub from: Sender,
    /// What.
    pub reply: Reply,
}

/// Who sent a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The camera with this address, 1 to 7.
    Camera(u8),
    /// A broadcast that has gone through the whole chain and is back.
    Chain,
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The command is accepted and occupies a socket.
    Ack(Socket),
    /// The command of a socket has ended. Socket 0: a device setting such as `IF_Clear`.
    Completion(Socket),
    /// The answer to an inquiry, as it stands between the second byte and the end; [`Inquiry::read`] reads it.
    Information(Socket, Vec<u8, 13>),
    /// Refused, or ended without being executed.
    Error(Socket, Refusal),
    /// A camera was switched on, or the chain has changed: addresses must be set again.
    NetworkChange,
    /// `AddressSet` is back; the next free address.
    AddressSet(u8),
    /// `IF_Clear` to all is back.
    Cleared,
}

/// Why a camera does not do what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Code 01h, of some makers.
    #[error("message length")]
    Length,
    /// Code 02h: not a command of this camera, or a parameter out of its range.
    #[error("syntax")]
    Syntax,
    /// Code 03h: both sockets are busy.
    #[error("command buffer full")]
    BufferFull,
    /// Code 04h: the answer to a cancel.
    #[error("cancelled")]
    Cancelled,
    /// Code 05h: there was nothing to cancel in this socket.
    #[error("no socket")]
    NoSocket,
    /// Code 41h: not now, for example manual focus while it focuses by itself, or anything in standby.
    #[error("not executable")]
    NotExecutable,
    /// `0F 02` of VISCA over IP: not a message at all (SRG-300H, *VISCA over IP*, control command).
    #[error("message abnormal")]
    Message,
    /// Another code.
    #[error("code {0:#04x}")]
    Other(u8),
}

impl Refusal {
    const fn from_code(code: u8) -> Self {
        match code {
            0x01 => Self::Length,
            0x02 => Self::Syntax,
            0x03 => Self::BufferFull,
            0x04 => Self::Cancelled,
            0x05 => Self::NoSocket,
            0x41 => Self::NotExecutable,
            other => Self::Other(other),
        }
    }
}

/// What a camera says about itself (EVI-D70, `CAM_VersionInq`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// 0001h and 0020h are Sony.
    pub vendor: u16,
    /// Of the vendor's own counting.
    pub model: u16,
    /// Of the vendor's own counting.
    pub rom: u16,
    /// How many commands it executes at a time; 2 by the standard.
    pub sockets: u8,
}

/// The answer to an [`Inquiry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Information {
    Power(Power),
    Zoom(ZoomPosition),
    FocusMode(FocusMode),
    Focus(FocusPosition),
    Position(Position),
    MaxSpeed(PanSpeed, TiltSpeed),
    Version(Version),
}

impl Received {
    /// Reads one packet, end byte included; `None` when it is no reply.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        if packet.len() > MAX_PACKET {
            return None;
        }
        let (header, body) = packet.strip_suffix(&[END])?.split_first()?;
        match (*header, body) {
            // Next address 1 would be our own packet, come back on a line where nobody listens.
            (0x88, &[0x30, next @ 2..=8]) => Some(Self { from: Sender::Chain, reply: Reply::AddressSet(next) }),
            (0x88, [0x01, 0x00, 0x01]) => Some(Self { from: Sender::Chain, reply: Reply::Cleared }),
            (0x90 | 0xA0 | 0xB0 | 0xC0 | 0xD0 | 0xE0 | 0xF0, body) => {
                Some(Self { from: Sender::Camera((header >> 4) - 8), reply: decode_body(body)? })
            }
            _ => None,
        }
    }
}

fn decode_body(body: &[u8]) -> Option<Reply> {
    let (kind, data) = body.split_first()?;
    let socket = Socket::from_reply(*kind);
    match (kind >> 4, data) {
        (0x3, []) if *kind == 0x38 => Some(Reply::NetworkChange),
        (0x4, []) => Some(Reply::Ack(socket)),
        (0x5, []) => Some(Reply::Completion(socket)),
        // Answers are digits and speeds. Only the version's seven bytes can be above 7Fh; anywhere else such a byte is
        // the header of the next reply, and this one was cut off.
        (0x5, data) if data.len() == 7 || data.iter().all(|byte| *byte < 0x80) => {
            Some(Reply::Information(socket, Vec::from_slice(data).ok()?))
        }
        (0x6, &[code]) => Some(Reply::Error(socket, Refusal::from_code(code))),
        _ => None,
    }
}

impl Inquiry {
    /// Reads the data of a [`Reply::Information`]; `None` when it answers something else.
    pub fn read(self, data: &[u8]) -> Option<Information> {
        match (self, data) {
            (Self::Power, [0x02]) => Some(Information::Power(Power::On)),
            // 04h: off because of a fault, as some cameras say it.
            (Self::Power, [0x03 | 0x04]) => Some(Information::Power(Power::Standby)),
            (Self::Zoom, [_, _, _, _]) => Some(Information::Zoom(ZoomPosition(digits(data)? as u16))),
            (Self::Focus, [_, _, _, _]) => Some(Information::Focus(FocusPosition(digits(data)? as u16))),
            (Self::FocusMode, [0x02]) => Some(Information::FocusMode(FocusMode::Auto)),
            (Self::FocusMode, [0x03]) => Some(Information::FocusMode(FocusMode::Manual)),
            (Self::Position, [pan @ .., _, _, _, _]) => {
                let tilt = digits(&data[pan.len()..])? as u16 as i16;
                let (kind, pan) = match pan.len() {
                    4 => (Digits::Four, i32::from(digits(pan)? as u16 as i16)),
                    // 20 bits, in two's complement.
                    5 => (Digits::Five, ((digits(pan)? << 12) as i32) >> 12),
                    _ => return None,
                };
                Position::new(kind, pan, i32::from(tilt)).ok().map(Information::Position)
            }
            (Self::MaxSpeed, &[pan, tilt]) => {
                let tilt = TiltSpeed::new(tilt.min(TiltSpeed::MAX.get())).ok()?;
                Some(Information::MaxSpeed(PanSpeed::new(pan.min(PanSpeed::MAX.get())).ok()?, tilt))
            }
            (Self::Version, &[vendor1, vendor2, model1, model2, rom1, rom2, sockets]) => {
                Some(Information::Version(Version {
                    vendor: u16::from_be_bytes([vendor1, vendor2]),
                    model: u16::from_be_bytes([model1, model2]),
                    rom: u16::from_be_bytes([rom1, rom2]),
                    sockets,
                }))
            }
            _ => None,
        }
    }
}

/// Hexadecimal digits, one a byte, highest first; `None` when a byte is no digit.
fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |value, byte| (*byte < 0x10).then(|| value << 4 | u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(packet: &[u8]) -> Option<Reply> {
        Received::decode(packet).map(|received| received.reply)
    }

    /// EVI-D70, *VISCA Camera-Issued Messages*; EVI-H100S, *VISCA Command/ACK Protocol*.
    #[test]
    fn replies_are_those_of_the_evi_d70() {
        let socket = Socket::from_reply;
        assert_eq!(reply(b"\x90\x41\xFF"), Some(Reply::Ack(socket(1))));
        assert_eq!(reply(b"\x90\x52\xFF"), Some(Reply::Completion(socket(2))));
        assert_eq!(reply(b"\x90\x50\xFF"), Some(Reply::Completion(socket(0))));
        assert_eq!(reply(b"\x90\x60\x02\xFF"), Some(Reply::Error(socket(0), Refusal::Syntax)));
        assert_eq!(reply(b"\x90\x60\x03\xFF"), Some(Reply::Error(socket(0), Refusal::BufferFull)));
        assert_eq!(reply(b"\x90\x61\x04\xFF"), Some(Reply::Error(socket(1), Refusal::Cancelled)));
        assert_eq!(reply(b"\x90\x62\x05\xFF"), Some(Reply::Error(socket(2), Refusal::NoSocket)));
        assert_eq!(reply(b"\x90\x61\x41\xFF"), Some(Reply::Error(socket(1), Refusal::NotExecutable)));
        assert_eq!(reply(b"\xA0\x38\xFF"), Some(Reply::NetworkChange));
        assert_eq!(reply(b"\x88\x30\x02\xFF"), Some(Reply::AddressSet(2)));
        assert_eq!(reply(b"\x88\x01\x00\x01\xFF"), Some(Reply::Cleared));
        assert_eq!(Received::decode(b"\xF0\x41\xFF").unwrap().from, Sender::Camera(7));
    }

    #[test]
    fn our_own_packets_are_no_replies() {
        for packet in [&b"\x88\x30\x01\xFF"[..], b"\x81\x01\x06\x04\xFF", b"\x81\x09\x06\x12\xFF", b"\x81\x21\xFF"] {
            assert_eq!(reply(packet), None);
        }
    }

    #[track_caller]
    fn answers(inquiry: Inquiry, packet: &[u8], expected: Option<Information>) {
        let Some(Reply::Information(_, data)) = reply(packet) else { panic!("no answer: {packet:x?}") };
        assert_eq!(inquiry.read(&data), expected);
    }

    /// EVI-D70, *Inquiry Command List*; the version is that of a BRC-Z700 in its list.
    #[test]
    fn answers_are_those_of_the_evi_d70() {
        let four = |pan, tilt| Position::new(Digits::Four, pan, tilt).ok().map(Information::Position);
        answers(Inquiry::Power, b"\x90\x50\x02\xFF", Some(Information::Power(Power::On)));
        answers(Inquiry::Power, b"\x90\x50\x03\xFF", Some(Information::Power(Power::Standby)));
        let zoom = Some(Information::Zoom(ZoomPosition(0x3F0A)));
        answers(Inquiry::Zoom, b"\x90\x50\x03\x0F\x00\x0A\xFF", zoom);
        answers(Inquiry::Position, b"\x90\x50\x0F\x07\x02\x05\x00\x04\x0B\x00\xFF", four(-0x08DB, 0x04B0));
        let version = Version { vendor: 1, model: 0x0505, rom: 0x0201, sockets: 2 };
        let packet = b"\x90\x50\x00\x01\x05\x05\x02\x01\x02\xFF";
        answers(Inquiry::Version, packet, Some(Information::Version(version)));
        let fastest = Information::MaxSpeed(PanSpeed::MAX, TiltSpeed::new(0x14).unwrap());
        answers(Inquiry::MaxSpeed, b"\x90\x50\x18\x14\xFF", Some(fastest));
    }

    /// BRC-H700, *Inquiry Command List*: `y0 50 0w 0w 0w 0w 0w 0z 0z 0z 0z FF`.
    #[test]
    fn a_pan_of_five_digits_keeps_its_sign() {
        let to = Position::new(Digits::Five, -0x8A58, -0x186A).ok().map(Information::Position);
        answers(Inquiry::Position, b"\x90\x50\x0F\x07\x05\x0A\x08\x0E\x07\x09\x06\xFF", to);
    }

    #[test]
    fn an_answer_to_something_else_is_none() {
        answers(Inquiry::Power, b"\x90\x50\x03\x0F\x00\x0A\xFF", None);
        answers(Inquiry::Position, b"\x90\x50\x02\xFF", None);
        answers(Inquiry::Zoom, b"\x90\x50\x03\x1F\x00\x0A\xFF", None);
    }
}
