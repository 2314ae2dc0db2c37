//! Whose pictures the programs show now, told by the tick thread to the link's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgepoint_link::Encoding;
use bridgepoint_wire::SiteCode;
use server_core::{Size, Source};

/// Shared by both threads; each holds it for a look-up.
#[derive(Clone)]
pub struct Wanted {
    canvas: Size,
    tiles: Arc<Mutex<BTreeMap<SiteCode, Size>>>,
}

impl Wanted {
    /// Nobody is shown in a program of that size.
    pub fn new(canvas: Size) -> Self {
        Self { canvas, tiles: Arc::default() }
    }

    /// From now on these are shown, in tiles of that size.
    pub fn set(&self, visible: BTreeMap<SiteCode, Size>) {
        *self.lock() = visible;
    }

    /// The encoding that a site's tile is to be fed from. `None`: it is not shown.
    pub fn encoding(&self, site: &SiteCode) -> Option<Encoding> {
        let tile = *self.lock().get(site)?;
        Some(match Source::of(tile, self.canvas) {
            Source::Main => Encoding::Main,
            Source::Thumb => Encoding::Thumb,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SiteCode, Size>> {
        // A map that was replaced whole is whole, whoever panicked.
        self.tiles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
