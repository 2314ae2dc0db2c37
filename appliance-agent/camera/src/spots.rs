//! Presets and home of a camera that keeps none: positions that this program remembers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ptz::{Position, Preset};

/// A place that a person gave a name to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// Where the camera looks when nobody needs it.
    Home,
    /// A preset.
    Preset(Preset),
}

/// Remembered places. They live as long as the program: the agent gives the stored ones in and keeps [`Spots::all`].
#[derive(Debug, Default)]
pub struct Spots(Mutex<BTreeMap<Spot, Position>>);

impl Spots {
    /// With what was kept before.
    pub fn new(kept: impl IntoIterator<Item = (Spot, Position)>) -> Self {
        Self(Mutex::new(kept.into_iter().collect()))
    }

    /// Everything, to be kept.
    pub fn all(&self) -> Vec<(Spot, Position)> {
        self.lock().iter().map(|(spot, position)| (*spot, *position)).collect()
    }

    /// Where it is.
    pub fn get(&self, spot: Spot) -> Option<Position> {
        self.lock().get(&spot).copied()
    }

    /// Remembers.
    pub fn put(&self, spot: Spot, position: Position) {
        self.lock().insert(spot, position);
    }

    /// Forgets.
    pub fn remove(&self, spot: Spot) {
        self.lock().remove(&spot);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Spot, Position>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
