//! Takes a new program over the line into the free slot.

use bridgepoint_wire::panel::update::{Chunk, Incoming, Offer, Order, Program, Refusal, Report};
use embedded_storage::nor_flash::NorFlash;

use crate::image::{CRC, HEADER, Places, check, read_all};
use crate::press::Millis;
use crate::slots::{Choice, Log, State, TRIAL_BOOTS};

/// A program on trial that nobody has confirmed for this long gives way to the one before.
pub const TRIAL_MS: u64 = 120_000;

/// What the shell does once it has said the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    GoOn,
    /// Reset the processor: the boot loader starts another program.
    Reset,
}

/// The panel's part of an update. `S` holds the log of choices, `I` both slots.
#[derive(Debug)]
pub struct Updater<S, I> {
    log: Log<S>,
    images: I,
    places: Places,
    running: Program,
    stage: Stage,
    trial_until: Option<Millis>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Idle,
    /// `next` bytes are stored, and the flash is erased up to `erased`.
    Receiving {
        offer: Offer,
        next: u32,
        erased: u32,
    },
    Verified(Offer),
    Refused(Refusal),
}

impl<S: NorFlash, I: NorFlash> Updater<S, I> {
    /// For the program `running`, started at `now`.
    pub fn new(now: Millis, log: Log<S>, images: I, places: Places, running: Program) -> Self {
        let trial_until = running.on_trial.then(|| now.after(TRIAL_MS));
        Self { log, images, places, running, stage: Stage::Idle, trial_until }
    }

    /// How things stand.
    pub const fn report(&self) -> Report {
        let incoming = match self.stage {
            Stage::Idle => Incoming::None,
            Stage::Receiving { offer, next, .. } => Incoming::Receiving { crc32: offer.crc32, next },
            Stage::Verified(offer) => Incoming::Verified { crc32: offer.crc32 },
            Stage::Refused(refusal) => Incoming::Refused(refusal),
        };
        Report { running: self.running, rejected: self.log.state().rejected, incoming }
    }

    /// The agent gives an order. Returns what to answer, and what then.
    pub fn handle_order(&mut self, order: &Order) -> (Report, Then) {
        let done = match order {
            Order::Ask => Ok(Then::GoOn),
            Order::Begin(offer) => self.begin(*offer),
            Order::Chunk(chunk) => self.store(chunk),
            Order::Verify => self.verify(),
            Order::Activate => self.activate(),
            Order::Confirm { version } => self.confirm(*version),
        };
        let then = done.unwrap_or_else(|refusal| {
            self.stage = Stage::Refused(refusal);
            Then::GoOn
        });
        (self.report(), then)
    }

    const fn free(&self) -> u32 {
        self.places.offsets[self.running.slot.other() as usize]
    }

    fn begin(&mut self, offer: Offer) -> Result<Then, Refusal> {
        if let Stage::Receiving { offer: same, .. } | Stage::Verified(same) = self.stage
            && same == offer
        {
            return Ok(Then::GoOn);
        }
        if self.running.on_trial {
            return Err(Refusal::OnTrial);
        }
        if offer.length <= HEADER || offer.length > self.places.room {
            return Err(Refusal::TooLong);
        }
        // Before the slot is touched nothing may start from it any more.
        self.settle()?;
        self.stage = Stage::Receiving { offer, next: 0, erased: 0 };
        Ok(Then::GoOn)
    }

    fn settle(&mut self) -> Result<(), Refusal> {
        let State { choice, rejected } = self.log.state();
        let settled = Choice::Settled(self.running.slot);
        if choice == settled {
            return Ok(());
        }
        self.log.write(State { choice: settled, rejected }).map_err(|_| Refusal::Flash)
    }

    fn store(&mut self, chunk: &Chunk) -> Result<Then, Refusal> {
        // A chunk that comes twice, or after a restart of this side, is answered with where things stand.
        let Stage::Receiving { offer, next, mut erased } = self.stage else { return Ok(Then::GoOn) };
        if chunk.offset != next {
            return Ok(Then::GoOn);
        }
        let bytes = chunk.bytes();
        let end = next + bytes.len() as u32;
        if end > offer.length || (end < offer.length && !bytes.len().is_multiple_of(I::WRITE_SIZE)) {
            return Err(Refusal::OutOfTurn);
        }
        let page = I::ERASE_SIZE as u32;
        let slot = self.free();
        while erased < end {
            self.images.erase(slot + erased, slot + erased + page).map_err(|_| Refusal::Flash)?;
            erased += page;
        }
        // The last bytes of an image are filled up to what the flash writes at once.
        let mut padded = heapless::Vec::<u8, { bridgepoint_wire::panel::update::CHUNK }>::new();
        padded.extend_from_slice(bytes).map_err(|_| Refusal::OutOfTurn)?;
        let whole = bytes.len().next_multiple_of(I::WRITE_SIZE);
        padded.resize(whole, 0xFF).map_err(|_| Refusal::OutOfTurn)?;
        self.images.write(slot + next, &padded).map_err(|_| Refusal::Flash)?;
        self.stage = Stage::Receiving { offer, next: end, erased };
        Ok(Then::GoOn)
    }

    fn verify(&mut self) -> Result<Then, Refusal> {
        let offer = match self.stage {
            Stage::Receiving { offer, next, .. } if next == offer.length => offer,
            Stage::Verified(_) | Stage::Receiving { .. } => return Ok(Then::GoOn),
            Stage::Idle | Stage::Refused(_) => return Err(Refusal::OutOfTurn),
        };
        let slot = self.free();
        let mut sum = CRC.digest();
        read_all(&mut self.images, slot, offer.length, |piece| sum.update(piece))?;
        if sum.finalize() != offer.crc32 {
            return Err(Refusal::Damaged);
        }
        let header = check(&mut self.images, &self.places, slot)?;
        if (header.version, HEADER + header.length) != (offer.version, offer.length) {
            return Err(Refusal::Damaged);
        }
        self.stage = Stage::Verified(offer);
        Ok(Then::GoOn)
    }

    fn activate(&mut self) -> Result<Then, Refusal> {
        let Stage::Verified(_) = self.stage else { return Err(Refusal::OutOfTurn) };
        let choice = Choice::Trial { slot: self.running.slot.other(), left: TRIAL_BOOTS };
        let rejected = self.log.state().rejected;
        self.log.write(State { choice, rejected }).map_err(|_| Refusal::Flash)?;
        Ok(Then::Reset)
    }

    fn confirm(&mut self, version: u32) -> Result<Then, Refusal> {
        if version != self.running.version {
            return Err(Refusal::OutOfTurn);
        }
        self.settle()?;
        self.running.on_trial = false;
        self.trial_until = None;
        Ok(Then::GoOn)
    }

    /// When [`Updater::handle_timeout`] has something to do.
    pub const fn poll_timeout(&self) -> Option<Millis> {
        self.trial_until
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) -> Then {
        if self.trial_until.is_none_or(|until| now < until) {
            return Then::GoOn;
        }
        let state = State { choice: Choice::Settled(self.running.slot.other()), rejected: self.running.version };
        // When it cannot be written, the starts on trial run out instead.
        let _ = self.log.write(state);
        Then::Reset
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
