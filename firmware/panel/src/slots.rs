//! Which program the panel starts: the settled one, or a new one on trial. Survives a power cut at every step.
//!
//! The choice is a log of 16-byte records in two pages of flash. A record is added behind the newest one; when its page
//! is full, the *other* page is erased and takes it. So the newest whole record is never touched, and a cut leaves it or
//! the next one.

use bridgepoint_wire::panel::update::{Refusal, Slot};
use embedded_storage::nor_flash::NorFlash;

use crate::image::{CRC, Header, Places, check};

/// A new program is started this many times before it must have been confirmed.
pub const TRIAL_BOOTS: u8 = 3;

const RECORD: usize = 16;
const ERASED: [u8; RECORD] = [0xFF; RECORD];

/// What is started next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Settled(Slot),
    /// This one, so many times; then the other again.
    Trial {
        /// The new program's.
        slot: Slot,
        /// Starts that are left.
        left: u8,
    },
}

/// The log's newest record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// What is started.
    pub choice: Choice,
    /// The version that failed its trial last; 0 when none did.
    pub rejected: u32,
}

impl State {
    /// A panel as it leaves the factory: nothing is written yet.
    const NEW: Self = Self { choice: Choice::Settled(Slot::A), rejected: 0 };
}

fn to_bytes(seq: u32, state: State) -> [u8; RECORD] {
    let (kind, slot, left) = match state.choice {
        Choice::Settled(slot) => (1, slot, 0),
        Choice::Trial { slot, left } => (2, slot, left),
    };
    let mut bytes = [0; RECORD];
    bytes[..4].copy_from_slice(&seq.to_le_bytes());
    bytes[4..8].copy_from_slice(&[kind, slot as u8, left, 0]);
    bytes[8..12].copy_from_slice(&state.rejected.to_le_bytes());
    let sum = CRC.checksum(&bytes[..12]);
    bytes[12..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn from_bytes(bytes: &[u8; RECORD]) -> Option<(u32, State)> {
    let word = |at: usize| bytes[at..].first_chunk().map(|word| u32::from_le_bytes(*word));
    if word(12)? != CRC.checksum(&bytes[..12]) {
        return None;
    }
    let slot = match bytes[5] {
        0 => Slot::A,
        1 => Slot::B,
        _ => return None,
    };
    let choice = match bytes[4] {
        1 => Choice::Settled(slot),
        2 => Choice::Trial { slot, left: bytes[6] },
        _ => return None,
    };
    Some((word(0)?, State { choice, rejected: word(8)? }))
}

/// The log in a board's flash.
#[derive(Debug)]
pub struct Log<F> {
    flash: F,
    offset: u32,
    state: State,
    seq: u32,
    /// Where the next record goes, relative to `offset`.
    next: u32,
}

impl<F: NorFlash> Log<F> {
    const PAGE: u32 = F::ERASE_SIZE as u32;

    /// Reads the log in the two pages from `offset` on.
    ///
    /// # Errors
    /// Those of the flash.
    pub fn open(mut flash: F, offset: u32) -> Result<Self, F::Error> {
        const { assert!(RECORD.is_multiple_of(F::WRITE_SIZE) && F::ERASE_SIZE.is_multiple_of(RECORD)) };
        let mut newest: Option<(u32, State, u32)> = None;
        for at in (0..2 * Self::PAGE).step_by(RECORD) {
            let mut bytes = ERASED;
            flash.read(offset + at, &mut bytes)?;
            if let Some((seq, state)) = from_bytes(&bytes)
                && newest.is_none_or(|(before, ..)| seq > before)
            {
                newest = Some((seq, state, at));
            }
        }
        // Without a record, the end of page 1: what is written first erases page 0.
        let (seq, state, at) = newest.unwrap_or((0, State::NEW, 2 * Self::PAGE - RECORD as u32));
        Ok(Self { flash, offset, state, seq, next: at + RECORD as u32 })
    }

    /// The newest record.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Adds a record. Until it is whole the one before counts.
    ///
    /// # Errors
    /// Those of the flash.
    pub fn write(&mut self, state: State) -> Result<(), F::Error> {
        // A place where a cut left something is passed over; a page that is full, too.
        while !self.next.is_multiple_of(Self::PAGE) && !self.is_erased(self.next)? {
            self.next += RECORD as u32;
        }
        if self.next.is_multiple_of(Self::PAGE) {
            self.next %= 2 * Self::PAGE;
            self.flash.erase(self.offset + self.next, self.offset + self.next + Self::PAGE)?;
        }
        let seq = self.seq + 1;
        self.flash.write(self.offset + self.next, &to_bytes(seq, state))?;
        (self.seq, self.state, self.next) = (seq, state, self.next + RECORD as u32);
        Ok(())
    }

    fn is_erased(&mut self, at: u32) -> Result<bool, F::Error> {
        let mut bytes = [0; RECORD];
        self.flash.read(self.offset + at, &mut bytes)?;
        Ok(bytes == ERASED)
    }
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Where it lies.
    pub slot: Slot,
    /// What it is.
    pub header: Header,
    /// It has to be confirmed.
    pub on_trial: bool,
}

/// Decides what to start, and notes that it is started. Called once after each reset, by the boot loader.
///
/// A program that is not sound is never started, whatever the log says: then it is the other one's turn. When the log
/// cannot be written any more, a settled program is started all the same; one on trial is not.
///
/// # Errors
/// Neither slot has a program that can run here.
pub fn choose<S: NorFlash, I: NorFlash>(log: &mut Log<S>, images: &mut I, places: &Places) -> Result<Start, Refusal> {
    let mut sound = |slot: Slot| check(images, places, places.offsets[slot as usize]);
    let State { choice, rejected } = log.state();
    let settled = match choice {
        Choice::Settled(slot) => slot,
        Choice::Trial { slot, left } => {
            let header = sound(slot);
            if let (Ok(header), Some(left)) = (&header, left.checked_sub(1))
                && log.write(State { choice: Choice::Trial { slot, left }, rejected }).is_ok()
            {
                return Ok(Start { slot, header: header.clone(), on_trial: true });
            }
            let rejected = header.map_or(rejected, |header| header.version);
            let _ = log.write(State { choice: Choice::Settled(slot.other()), rejected });
            slot.other()
        }
    };
    match sound(settled) {
        Ok(header) => Ok(Start { slot: settled, header, on_trial: false }),
        Err(refusal) => {
            let slot = settled.other();
            let header = sound(slot).map_err(|_| refusal)?;
            let _ = log.write(State { choice: Choice::Settled(slot), rejected });
            Ok(Start { slot, header, on_trial: false })
        }
    }
}
