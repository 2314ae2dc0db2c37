//! Brings the front panel's program to the version that the box carries.
//!
//! The panel reports how things stand after every order, and what comes next follows from that report alone: so a
//! transfer goes on where it was after lost frames, a restart of the agent, or one of the panel.

use bridgepoint_panel::image::{CRC, HEADER, Header};
use bridgepoint_wire::panel::update::{CHUNK, Chunk, Incoming, Offer, Order, Program, Refusal, Report, Slot};

use crate::Millis;

/// The program that the box carries for its panel, linked for each of the two slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    version: u32,
    images: [Vec<u8>; 2],
}

/// What is wrong with a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An image is damaged or cut short.
    #[error("image {0} is damaged or incomplete")]
    Damaged(char),
    /// The images are not the same program.
    #[error("the two images differ in version or board")]
    Unlike,
    /// There is more than two images.
    #[error("{0} bytes too many")]
    TooLong(usize),
}

impl Bundle {
    /// Reads a bundle file: the image for slot A, then the one for slot B.
    ///
    /// # Errors
    /// [`BundleError`] when it is not that.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let (a, bytes, first) = take(bytes).ok_or(BundleError::Damaged('A'))?;
        let (b, rest, second) = take(bytes).ok_or(BundleError::Damaged('B'))?;
        if (first.version, first.board) != (second.version, second.board) {
            return Err(BundleError::Unlike);
        }
        if !rest.is_empty() {
            return Err(BundleError::TooLong(rest.len()));
        }
        Ok(Self { version: first.version, images: [a.to_vec(), b.to_vec()] })
    }

    /// The program's version.
    pub const fn version(&self) -> u32 {
        self.version
    }

    fn image(&self, slot: Slot) -> &[u8] {
        &self.images[slot as usize]
    }

    fn offer(&self, slot: Slot) -> Offer {
        let image = self.image(slot);
        Offer { version: self.version, length: image.len() as u32, crc32: CRC.checksum(image) }
    }
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8], Header)> {
    let header = Header::from_bytes(bytes)?;
    let (image, rest) = bytes.split_at_checked(HEADER as usize + header.length as usize)?;
    let genuine = Header::of(&image[HEADER as usize..], header.version, header.address, header.board) == header;
    genuine.then_some((image, rest, header))
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The panel had this version.
    UpToDate,
    /// The panel has this version now, and keeps it.
    Updated,
    /// The panel has another version and keeps that.
    Failed(Failure),
}

/// Why a panel has not the version that the box carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It does not answer.
    #[error("the panel does not answer")]
    Silent,
    /// It does not take the image.
    #[error("the panel refuses the program: {0:?}")]
    Refused(Refusal),
    /// It has tried this version, and went back to the one before.
    #[error("the panel tried the program and went back to the one before")]
    RolledBack,
}

/// One attempt to update the panel. Begins with the first [`PanelUpdate::handle_hello`].
#[derive(Debug)]
pub struct PanelUpdate {
    bundle: Bundle,
    occupation: Occupation,
    state: State,
    /// The image was offered.
    offered: bool,
    /// How often it was refused.
    refusals: u32,
    outcome: Option<Outcome>,
}

/// What the box is doing: a panel that erases its flash stands still for up to two seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupation {
    /// In no session: the panel may be given another program.
    Idle,
    /// In a session, or calling: the button must answer.
    Busy,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nobody has said hello yet.
    Unknown,
    /// To be given.
    Due {
        order: Order,
        sends: u32,
    },
    /// Given; the answer is due at `until`.
    Given {
        order: Order,
        sends: u32,
        until: Millis,
    },
    /// The box is busy.
    Waiting,
    Over,
}

impl PanelUpdate {
    /// An order that is not answered so often is given up.
    const SENDS: u32 = 10;
    /// An image that was refused so often is given up.
    const REFUSALS: u32 = 3;

    /// Will bring the panel to this bundle's version.
    pub const fn new(bundle: Bundle, occupation: Occupation) -> Self {
        Self { bundle, occupation, state: State::Unknown, offered: false, refusals: 0, outcome: None }
    }

    /// The panel said hello: it is there, and may have started anew.
    pub fn handle_hello(&mut self) {
        match self.state {
            // Activate lets it start anew; the hellos that answer ours change nothing.
            State::Unknown | State::Given { order: Order::Activate, .. } => self.give(Order::Ask),
            State::Due { .. } | State::Given { .. } | State::Waiting | State::Over => {}
        }
    }

    /// A session began or ended.
    pub fn handle_occupation(&mut self, occupation: Occupation) {
        self.occupation = occupation;
        if let (Occupation::Idle, State::Waiting) = (occupation, self.state) {
            self.give(Order::Ask);
        }
    }

    /// The panel answered an order.
    pub fn handle_report(&mut self, report: &Report) {
        let State::Given { order: given, .. } = self.state else { return };
        // What it refused before this attempt is not our business.
        self.refusals += u32::from(matches!(report.incoming, Incoming::Refused(_)) && given != Order::Ask);
        match self.next(report, &given) {
            Ok(order) if self.occupation == Occupation::Busy && changes_flash(&order) => self.state = State::Waiting,
            Ok(order) => {
                self.offered |= matches!(order, Order::Begin(_));
                self.give(order);
            }
            Err(outcome) => self.end(outcome),
        }
    }

    /// The order that follows from a report.
    fn next(&self, report: &Report, given: &Order) -> Result<Order, Outcome> {
        let Report { running: Program { slot, version, on_trial }, rejected, incoming } = *report;
        if version == self.bundle.version {
            let done = if self.offered { Outcome::Updated } else { Outcome::UpToDate };
            return if on_trial { Ok(Order::Confirm { version }) } else { Err(done) };
        }
        if rejected == self.bundle.version {
            return Err(Outcome::Failed(Failure::RolledBack));
        }
        let free = slot.other();
        let offer = self.bundle.offer(free);
        match incoming {
            Incoming::Receiving { crc32, next } if crc32 == offer.crc32 => Ok(self.chunk(free, next)),
            Incoming::Verified { crc32 } if crc32 == offer.crc32 => Ok(Order::Activate),
            Incoming::Refused(_) if matches!(given, Order::Ask) => Ok(Order::Begin(offer)),
            Incoming::Refused(Refusal::Damaged | Refusal::OutOfTurn | Refusal::Flash)
                if self.refusals < Self::REFUSALS =>
            {
                Ok(Order::Begin(offer))
            }
            Incoming::Refused(refusal) => Err(Outcome::Failed(Failure::Refused(refusal))),
            Incoming::None | Incoming::Receiving { .. } | Incoming::Verified { .. } => Ok(Order::Begin(offer)),
        }
    }

    fn chunk(&self, slot: Slot, next: u32) -> Order {
        let rest = self.bundle.image(slot).get(next as usize..).unwrap_or_default();
        Chunk::new(next, &rest[..rest.len().min(CHUNK)]).map_or(Order::Verify, Order::Chunk)
    }

    const fn give(&mut self, order: Order) {
        self.state = State::Due { order, sends: 0 };
    }

    const fn end(&mut self, outcome: Outcome) {
        self.state = State::Over;
        self.outcome = Some(outcome);
    }

    /// The order to give now.
    pub fn poll_order(&mut self, now: Millis) -> Option<Order> {
        let State::Due { order, sends } = self.state else { return None };
        self.state = State::Given { order, sends: sends + 1, until: now.after(patience_ms(&order)) };
        Some(order)
    }

    /// When [`PanelUpdate::handle_timeout`] has something to do.
    pub const fn poll_timeout(&self) -> Option<Millis> {
        match self.state {
            State::Given { until, .. } => Some(until),
            State::Unknown | State::Due { .. } | State::Waiting | State::Over => None,
        }
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        match self.state {
            State::Given { until, .. } if now < until => {}
            State::Given { sends: Self::SENDS, .. } => self.end(Outcome::Failed(Failure::Silent)),
            State::Given { order, sends, .. } => self.state = State::Due { order, sends },
            State::Unknown | State::Due { .. } | State::Waiting | State::Over => {}
        }
    }

    /// How it ended, once it has.
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }
}

/// Whether the panel may stand still over it, or starts anew.
const fn changes_flash(order: &Order) -> bool {
    match order {
        Order::Begin(_) | Order::Chunk(_) | Order::Verify | Order::Activate => true,
        // A few bytes into a log; and waiting with it would let a good program be taken for a bad one.
        Order::Confirm { .. } | Order::Ask => false,
    }
}

/// How long an answer may take. The slowest flash we know erases a whole slot in 2 s, with the first chunk, and a page of
/// its log in 0.5 s.
const fn patience_ms(order: &Order) -> u64 {
    match order {
        Order::Chunk(Chunk { offset: 0, .. }) => 4_000,
        Order::Begin(_) | Order::Verify | Order::Activate | Order::Confirm { .. } => 2_000,
        Order::Ask | Order::Chunk(_) => 500,
    }
}

#[cfg(test)]
#[path = "panel_update_tests.rs"]
mod tests;
