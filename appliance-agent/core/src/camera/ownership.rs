//! Who has the camera: one at a time, by rank, with a lease.

use bridgepoint_wire::camera::{CameraRefusal, Mover, Rank};

use crate::Millis;

/// One owner or none.
#[derive(Debug, Default)]
pub struct Ownership {
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    by: Mover,
    until: Millis,
}

impl Ownership {
    /// The camera stays an owner's for this long after the last request, or the end of the last motion.
    pub const fn lease_ms(rank: Rank) -> u64 {
        match rank {
            Rank::Operator | Rank::Room => 10_000,
            // Somebody who wants it in earnest outranks it anyway.
            Rank::Voice => 3_000,
        }
    }

    /// Who has it.
    pub fn owner(&self) -> Option<&Mover> {
        self.held.as_ref().map(|held| &held.by)
    }

    /// Whether `by` may have it now: it is free, its own already, or a lower rank's.
    ///
    /// # Errors
    /// [`CameraRefusal::Held`] by the same or a higher rank.
    pub fn may(&self, by: &Mover) -> Result<(), CameraRefusal> {
        match self.owner() {
            Some(owner) if owner != by && owner.rank() >= by.rank() => Err(CameraRefusal::Held(owner.rank())),
            Some(_) | None => Ok(()),
        }
    }

    /// `by` has it from now on. Ask [`Ownership::may`] first.
    pub(super) fn claim(&mut self, now: Millis, by: &Mover) {
        self.held = Some(Held { by: by.clone(), until: now.after(Self::lease_ms(by.rank())) });
    }

    /// The owner's lease begins anew.
    pub(super) fn extend(&mut self, now: Millis) {
        if let Some(held) = &mut self.held {
            held.until = now.after(Self::lease_ms(held.by.rank()));
        }
    }

    /// Nobody has it.
    pub(super) fn free(&mut self) {
        self.held = None;
    }

    /// When the lease is over.
    pub(super) fn until(&self) -> Option<Millis> {
        self.held.as_ref().map(|held| held.until)
    }
}
