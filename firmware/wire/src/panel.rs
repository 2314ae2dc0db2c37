//! The front panel's line: frames between the panel's microcontroller and the agent (serial or socket).
//!
//! A frame is COBS(`kind` · `payload` · CRC-16/IBM-3740 of both, big endian) and a zero byte. A reader that meets
//! garbage waits for the next zero byte: one bad frame costs one frame. No allocator.
//!
//! Neither side sees the other come and go on a serial line, so the agent says [`ToPanel::Hello`] every [`HELLO_MS`],
//! and the panel answers; whoever hears nothing for [`SILENT_MS`] takes the other for gone.
//!
//! Protocol 1 has hello, presses and lamps. Protocol 2 adds new firmware ([`update`]), whose frames are said only to a
//! panel that names protocol 2 or later, and the question where the button is; nothing of protocol 1 has changed.

pub mod update;

use heapless::Vec;

/// The longest payload of a message.
pub const MAX_PAYLOAD: usize = update::LONGEST;

/// The longest frame on the line: kind, payload, checksum, one byte of COBS (for up to 254), the zero byte.
pub const MAX_FRAME: usize = 1 + MAX_PAYLOAD + 2 + 1 + 1;

/// The line's protocol version, said in [`FromPanel::Hello`].
pub const PROTOCOL: u8 = 2;

/// The first version with [`update`].
pub const PROTOCOL_WITH_UPDATE: u8 = 2;

/// How often the agent says hello, milliseconds.
pub const HELLO_MS: u64 = 1_000;

/// After this long without a frame the other side is gone, milliseconds: three hellos, and half a second of slack.
pub const SILENT_MS: u64 = 3_500;

const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_3740);

/// What the panel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromPanel {
    /// Said at start and as the answer to [`ToPanel::Hello`].
    Hello {
        /// [`PROTOCOL`].
        protocol: u8,
        /// Firmware version.
        firmware: u8,
    },
    /// The button was pressed and let go within the hold time.
    ShortPress,
    /// The button was held for the hold time (1.5 s); said while it is still down.
    LongPress,
    /// Answer to [`ToPanel::AskButton`]: where the button is now, bouncing and all.
    Button {
        /// Pressed.
        down: bool,
    },
    /// How things stand with the panel's program; said as the answer to each [`ToPanel::Update`].
    Update(update::Report),
}

/// What the agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToPanel {
    /// Who is there?
    Hello,
    /// How the lamps shall be from now on.
    Lamps(Lamps),
    /// Where is the button now? Asked at boot only; a panel that does not know the question says nothing.
    AskButton,
    /// About the panel's program.
    Update(update::Order),
}

/// What drives the panel's contact in the simulator (`panel-sim press`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// The button goes down.
    Down,
    /// The button goes up.
    Up,
}

/// All lamps of the panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lamps {
    /// Red: *on record* and nothing else.
    pub record: Lamp,
    /// Amber: the microphone is muted.
    pub mute: Lamp,
    /// Green: the box is ready (on), calls or is called (slow), refused a press (fast, one second).
    pub ready: Lamp,
}

/// One lamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lamp {
    /// Dark.
    #[default]
    Off,
    /// Lit.
    On,
    /// 1 Hz.
    Slow,
    /// 4 Hz.
    Fast,
}

/// A message that crosses the panel's line.
pub trait Message: Sized {
    /// Kind byte and payload.
    fn parts(&self) -> (u8, Vec<u8, MAX_PAYLOAD>);
    /// The message of a kind byte and payload; `None` when there is none.
    fn from_parts(kind: u8, payload: &[u8]) -> Option<Self>;
}

fn payload(bytes: &[u8]) -> Vec<u8, MAX_PAYLOAD> {
    Vec::from_slice(bytes).unwrap_or_default()
}

impl Message for FromPanel {
    fn parts(&self) -> (u8, Vec<u8, MAX_PAYLOAD>) {
        match *self {
            Self::Hello { protocol, firmware } => (0x01, payload(&[protocol, firmware])),
            Self::ShortPress => (0x02, payload(&[])),
            Self::LongPress => (0x03, payload(&[])),
            Self::Button { down } => (0x10, payload(&[u8::from(down)])),
            Self::Update(ref report) => (0x04, report.payload()),
        }
    }
    fn from_parts(kind: u8, payload: &[u8]) -> Option<Self> {
        match (kind, payload) {
            (0x01, &[protocol, firmware]) => Some(Self::Hello { protocol, firmware }),
            (0x02, []) => Some(Self::ShortPress),
            (0x03, []) => Some(Self::LongPress),
            (0x10, &[down @ (0 | 1)]) => Some(Self::Button { down: down == 1 }),
            (0x04, payload) => update::Report::from_payload(payload).map(Self::Update),
            _ => None,
        }
    }
}

impl Message for ToPanel {
    fn parts(&self) -> (u8, Vec<u8, MAX_PAYLOAD>) {
        match *self {
            Self::Hello => (0x81, payload(&[])),
            Self::Lamps(Lamps { record, mute, ready }) => (0x82, payload(&[record as u8, mute as u8, ready as u8])),
            Self::AskButton => (0x90, payload(&[])),
            Self::Update(ref order) => order.parts(),
        }
    }
    fn from_parts(kind: u8, payload: &[u8]) -> Option<Self> {
        match (kind, payload) {
            (0x81, []) => Some(Self::Hello),
            (0x82, &[record, mute, ready]) => {
                Some(Self::Lamps(Lamps { record: lamp(record)?, mute: lamp(mute)?, ready: lamp(ready)? }))
            }
            (0x90, []) => Some(Self::AskButton),
            (kind, payload) => update::Order::from_parts(kind, payload).map(Self::Update),
        }
    }
}

impl Message for Contact {
    fn parts(&self) -> (u8, Vec<u8, MAX_PAYLOAD>) {
        match self {
            Self::Down => (0xC1, payload(&[])),
            Self::Up => (0xC2, payload(&[])),
        }
    }
    fn from_parts(kind: u8, payload: &[u8]) -> Option<Self> {
        match (kind, payload) {
            (0xC1, []) => Some(Self::Down),
            (0xC2, []) => Some(Self::Up),
            _ => None,
        }
    }
}

const fn lamp(byte: u8) -> Option<Lamp> {
    match byte {
        0 => Some(Lamp::Off),
        1 => Some(Lamp::On),
        2 => Some(Lamp::Slow),
        3 => Some(Lamp::Fast),
        _ => None,
    }
}

/// The bytes of one frame, zero byte included.
pub fn encode<M: Message>(message: &M) -> Vec<u8, MAX_FRAME> {
    let (kind, payload) = message.parts();
    // Kind, payload and checksum fit, and COBS of them with the zero byte is MAX_FRAME.
    let mut plain: Vec<u8, { 1 + MAX_PAYLOAD + 2 }> = Vec::new();
    let _ = plain.push(kind);
    let _ = plain.extend_from_slice(&payload);
    let sum = CRC.checksum(&plain);
    let _ = plain.extend_from_slice(&sum.to_be_bytes());
    let mut frame = [0_u8; MAX_FRAME];
    let len = cobs::encode(&plain, &mut frame);
    Vec::from_slice(&frame[..=len]).unwrap_or_default()
}

/// Puts frames together from whatever pieces the line delivers.
#[derive(Debug, Default)]
pub struct Reader {
    piece: Vec<u8, MAX_FRAME>,
    overrun: bool,
    /// Frames dropped since the start: too long, bad checksum, unknown kind.
    pub dropped: u32,
}

impl Reader {
    /// One byte came. Returns the message that it completes.
    pub fn push<M: Message>(&mut self, byte: u8) -> Option<M> {
        if byte != 0 {
            self.overrun |= self.piece.push(byte).is_err();
            return None;
        }
        let message = if self.overrun { None } else { decode(&mut self.piece) };
        // A lone zero byte is no frame, so nothing is dropped with it.
        if message.is_none() && (self.overrun || !self.piece.is_empty()) {
            self.dropped = self.dropped.saturating_add(1);
        }
        self.piece.clear();
        self.overrun = false;
        message
    }
}

fn decode<M: Message>(piece: &mut [u8]) -> Option<M> {
    let len = cobs::decode_in_place(piece).ok()?;
    let (body, sum) = piece.get(..len)?.split_last_chunk::<2>()?;
    if CRC.checksum(body) != u16::from_be_bytes(*sum) {
        return None;
    }
    let (kind, payload) = body.split_first()?;
    M::from_parts(*kind, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<M: Message>(reader: &mut Reader, bytes: &[u8]) -> alloc::vec::Vec<M> {
        bytes.iter().filter_map(|b| reader.push(*b)).collect()
    }

    #[test]
    fn frames_survive_garbage_before_between_and_after() {
        let lamps = ToPanel::Lamps(Lamps { record: Lamp::On, mute: Lamp::Off, ready: Lamp::Fast });
        let frame = encode(&lamps);
        let mut reader = Reader::default();
        let mut line = alloc::vec![0x55, 0xAA, 0x00];
        line.extend_from_slice(&frame);
        line.extend_from_slice(&[7; 100]);
        line.push(0);
        line.extend_from_slice(&frame);
        assert_eq!(read::<ToPanel>(&mut reader, &line), [lamps, lamps]);
        assert_eq!(reader.dropped, 2);
    }

    #[test]
    fn a_flipped_bit_costs_the_frame() {
        let frame = encode(&FromPanel::LongPress);
        for at in 0..frame.len() - 1 {
            for bit in 0..8 {
                let mut bad = frame.clone();
                bad[at] ^= 1 << bit;
                let mut reader = Reader::default();
                assert_eq!(read::<FromPanel>(&mut reader, &bad), [], "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn the_longest_frame_fits_and_comes_back() {
        let full = update::Chunk::new(u32::MAX, &[0; update::CHUNK]).unwrap();
        let message = ToPanel::Update(update::Order::Chunk(full));
        let frame = encode(&message);
        assert_eq!(frame.len(), MAX_FRAME);
        assert_eq!(read::<ToPanel>(&mut Reader::default(), &frame), [message]);
        assert_eq!(update::Chunk::new(0, &[0; update::CHUNK + 1]), None);
        assert_eq!(update::Chunk::new(0, &[]), None);
    }

    /// One frame of each kind after the other, and the file's bytes read back as them.
    fn holds<M: Message + PartialEq + core::fmt::Debug>(messages: &[M], golden: &[u8]) {
        let bytes: alloc::vec::Vec<u8> = messages.iter().flat_map(encode).collect();
        assert_eq!(bytes, golden);
        assert_eq!(read::<M>(&mut Reader::default(), golden), messages);
    }

    #[test]
    fn v2_orders() {
        use update::{Chunk, Offer, Order};
        let orders = [
            Order::Ask,
            Order::Begin(Offer { version: 7, length: 20_480, crc32: 0xCBF4_3926 }),
            Order::Chunk(Chunk::new(512, &[1, 0, 2, 0, 0, 3, 4, 5]).unwrap()),
            Order::Verify,
            Order::Activate,
            Order::Confirm { version: 7 },
        ];
        holds(&orders.map(ToPanel::Update), include_bytes!("../tests/golden/v2-panel-orders.bin"));
    }

    #[test]
    fn v2_reports() {
        use update::{Incoming, Program, Refusal, Report, Slot};
        let running = Program { slot: Slot::A, version: 6, on_trial: false };
        let report = |incoming| Report { running, rejected: 5, incoming };
        let refusals = [
            Refusal::NoSlots,
            Refusal::OnTrial,
            Refusal::TooLong,
            Refusal::Damaged,
            Refusal::Misplaced,
            Refusal::OutOfTurn,
            Refusal::Flash,
        ];
        let mut reports = alloc::vec![
            report(Incoming::None),
            report(Incoming::Receiving { crc32: 0xCBF4_3926, next: 512 }),
            report(Incoming::Verified { crc32: 0xCBF4_3926 }),
            Report {
                running: Program { slot: Slot::B, version: 7, on_trial: true },
                rejected: 0,
                incoming: Incoming::None
            },
        ];
        reports.extend(refusals.map(|refusal| report(Incoming::Refused(refusal))));
        let reports: alloc::vec::Vec<_> = reports.into_iter().map(FromPanel::Update).collect();
        holds(&reports, include_bytes!("../tests/golden/v2-panel-reports.bin"));
    }

    #[test]
    fn v1_frames() {
        assert_eq!(encode(&FromPanel::LongPress).as_slice(), include_bytes!("../tests/golden/v1-panel-long-press.bin"));
        let lamps = Lamps { record: Lamp::On, mute: Lamp::Slow, ready: Lamp::Off };
        assert_eq!(encode(&ToPanel::Lamps(lamps)).as_slice(), include_bytes!("../tests/golden/v1-panel-lamps.bin"));
    }
}
