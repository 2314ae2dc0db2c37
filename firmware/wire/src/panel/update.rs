//! New firmware for the front panel, over its own line (protocol 2).
//!
//! The agent gives an [`Order`], the panel answers every one with a [`Report`] of how things stand, so neither side has
//! to remember what the other has heard: an order that was lost, or came twice, is simply given again. Numbers are big
//! endian. Images are described at `bridgepoint_panel::image`.

use heapless::Vec;

/// Image bytes in one [`Order::Chunk`] at most. A multiple of what every flash writes at once.
pub const CHUNK: usize = 128;

/// The longest payload of an order: a full chunk and its offset.
pub(super) const LONGEST: usize = 4 + CHUNK;

/// The panel's two places for a program. It runs from one, the other takes the next program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The lower one.
    A,
    /// The upper one.
    B,
}

impl Slot {
    /// The one that it is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The image that the agent wants to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Its version, 1 or more, as its header says it.
    pub version: u32,
    /// All of its bytes, header included.
    pub length: u32,
    /// CRC-32/ISO-HDLC of all of its bytes: tells one transfer from another.
    pub crc32: u32,
}

/// Part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Where in the image it belongs, bytes.
    pub offset: u32,
    len: u8,
    bytes: [u8; CHUNK],
}

impl Chunk {
    /// `None` when `bytes` are none, or more than [`CHUNK`].
    pub fn new(offset: u32, bytes: &[u8]) -> Option<Self> {
        let mut chunk = Self { offset, len: u8::try_from(bytes.len()).ok()?, bytes: [0; CHUNK] };
        chunk.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(chunk)
    }

    /// The image's bytes from [`Chunk::offset`] on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// What the agent wants done about the panel's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Say how things stand.
    Ask,
    /// Take this image into the free slot. Begins anew unless it is the one that is being received.
    Begin(Offer),
    /// The image's next bytes; anything but the next is left alone.
    Chunk(Chunk),
    /// All is sent: check it.
    Verify,
    /// Start it, on trial. The panel says hello when it is up again.
    Activate,
    /// The program of this version, which runs on trial, does its work: keep it.
    Confirm {
        /// Its version.
        version: u32,
    },
}

/// The program that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Where it lies.
    pub slot: Slot,
    /// Its version.
    pub version: u32,
    /// It has not been confirmed yet; unless it is, the panel goes back to the one before.
    pub on_trial: bool,
}

/// The image that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// Nothing since the panel's start.
    None,
    /// Wants its byte number `next`.
    Receiving {
        /// Of [`Offer`].
        crc32: u32,
        /// How many bytes are stored.
        next: u32,
    },
    /// Complete and sound.
    Verified {
        /// Of [`Offer`].
        crc32: u32,
    },
    /// Not taken.
    Refused(Refusal),
}

/// Why a panel does not take an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This panel cannot be given another program.
    NoSlots,
    /// The program that runs is on trial itself: the other slot holds the only one that is known to be good.
    OnTrial,
    /// It does not fit into a slot.
    TooLong,
    /// What arrived is not what was offered, or is damaged.
    Damaged,
    /// It is for another board, or for the other slot.
    Misplaced,
    /// A chunk that cannot be written, or an order that does not fit the state.
    OutOfTurn,
    /// The flash cannot be written.
    Flash,
}

/// How things stand in the panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What runs.
    pub running: Program,
    /// The version that failed its trial last; 0 when none did.
    pub rejected: u32,
    /// What comes in.
    pub incoming: Incoming,
}

impl Report {
    /// What a panel says that cannot be given another program.
    pub const WITHOUT_SLOTS: Self = Self {
        running: Program { slot: Slot::A, version: 0, on_trial: false },
        rejected: 0,
        incoming: Incoming::Refused(Refusal::NoSlots),
    };
}

type Payload = Vec<u8, LONGEST>;

fn words<const N: usize>(words: [u32; N]) -> Payload {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}

impl Order {
    pub(super) fn parts(&self) -> (u8, Payload) {
        match self {
            Self::Ask => (0x83, Payload::new()),
            Self::Begin(Offer { version, length, crc32 }) => (0x84, words([*version, *length, *crc32])),
            Self::Chunk(chunk) => {
                let mut payload = words([chunk.offset]);
                // 4 + CHUNK bytes are what the payload holds.
                let _ = payload.extend_from_slice(chunk.bytes());
                (0x85, payload)
            }
            Self::Verify => (0x86, Payload::new()),
            Self::Activate => (0x87, Payload::new()),
            Self::Confirm { version } => (0x88, words([*version])),
        }
    }

    pub(super) fn from_parts(kind: u8, payload: &[u8]) -> Option<Self> {
        match (kind, payload) {
            (0x83, []) => Some(Self::Ask),
            (0x84, payload) => {
                let (version, rest) = word(payload)?;
                let (length, rest) = word(rest)?;
                let (crc32, rest) = word(rest)?;
                (rest.is_empty() && version > 0).then_some(Self::Begin(Offer { version, length, crc32 }))
            }
            (0x85, payload) => {
                let (offset, bytes) = word(payload)?;
                Chunk::new(offset, bytes).map(Self::Chunk)
            }
            (0x86, []) => Some(Self::Verify),
            (0x87, []) => Some(Self::Activate),
            (0x88, payload) => {
                word(payload).filter(|(_, rest)| rest.is_empty()).map(|(version, _)| Self::Confirm { version })
            }
            _ => None,
        }
    }
}

impl Report {
    pub(super) fn payload(&self) -> Payload {
        let Program { slot, version, on_trial } = self.running;
        let (stage, a, b) = match self.incoming {
            Incoming::None => (0, 0, 0),
            Incoming::Receiving { crc32, next } => (1, crc32, next),
            Incoming::Verified { crc32 } => (2, crc32, 0),
            Incoming::Refused(refusal) => (3, refusal as u32, 0),
        };
        let mut payload = words([version, self.rejected, a, b]);
        // 19 bytes of the payload's 132.
        let _ = payload.extend_from_slice(&[slot as u8, u8::from(on_trial), stage]);
        payload
    }

    pub(super) fn from_payload(payload: &[u8]) -> Option<Self> {
        let (version, rest) = word(payload)?;
        let (rejected, rest) = word(rest)?;
        let (a, rest) = word(rest)?;
        let (b, rest) = word(rest)?;
        let &[slot, on_trial, stage] = rest else { return None };
        let slot = match slot {
            0 => Slot::A,
            1 => Slot::B,
            _ => return None,
        };
        let incoming = match stage {
            0 => Incoming::None,
            1 => Incoming::Receiving { crc32: a, next: b },
            2 => Incoming::Verified { crc32: a },
            3 => Incoming::Refused(refusal(a)?),
            _ => return None,
        };
        Some(Self { running: Program { slot, version, on_trial: on_trial != 0 }, rejected, incoming })
    }
}

const fn refusal(number: u32) -> Option<Refusal> {
    match number {
        0 => Some(Refusal::NoSlots),
        1 => Some(Refusal::OnTrial),
        2 => Some(Refusal::TooLong),
        3 => Some(Refusal::Damaged),
        4 => Some(Refusal::Misplaced),
        5 => Some(Refusal::OutOfTurn),
        6 => Some(Refusal::Flash),
        _ => None,
    }
}
