//! Whose pictures the program shows now, told by the tick thread to the link's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgepoint_link::Encoding;
use bridgepoint_wire::SiteCode;
use server_core::Size;

/// Shared by both threads; each holds it for a look-up.
#[derive(Clone)]
pub struct Wanted {
    /// What boxes were ordered to make their small encoding in.
    thumb: Size,
    tiles: Arc<Mutex<BTreeMap<SiteCode, Size>>>,
}

impl Wanted {
    /// Nobody is shown. `thumb`: the size of the small encoding.
    pub fn new(thumb: Size) -> Self {
        Self { thumb, tiles: Arc::default() }
    }

    /// From now on these are shown, in tiles of that size.
    pub fn set<'a>(&self, visible: impl Iterator<Item = (&'a SiteCode, Size)>) {
        *self.lock() = visible.map(|(site, size)| (site.clone(), size)).collect();
    }

    /// The encoding that a site's tile is to be fed from: the small one unless the tile is larger. `None`: it is not shown.
    pub fn encoding(&self, site: &SiteCode) -> Option<Encoding> {
        let tile = *self.lock().get(site)?;
        Some(if tile.width > self.thumb.width { Encoding::Main } else { Encoding::Thumb })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SiteCode, Size>> {
        // A map that was replaced whole is whole, whoever panicked.
        self.tiles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
