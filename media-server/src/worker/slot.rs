//! The link, for those who were there before it: its own receiver and the encoder's thread.

use std::sync::{Arc, Mutex, PoisonError};

use bridgepoint_link::CentreLink;

/// Holds the link from its start until the conference closes: the link's receiver holds this, so without
/// [`LinkSlot::clear`] the two would keep each other alive.
#[derive(Clone, Default)]
pub struct LinkSlot(Arc<Mutex<Option<CentreLink>>>);

impl LinkSlot {
    /// The link runs.
    pub fn fill(&self, link: CentreLink) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    /// The conference closes.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Does something with the link, while there is one.
    pub fn with(&self, act: impl FnOnce(&CentreLink)) {
        if let Some(link) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            act(link);
        }
    }
}
