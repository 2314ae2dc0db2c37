//! `down/desired`: what the centre wants a box to be.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::SiteCode;

/// The desired state. The box checks it as a whole and keeps the last good one when it does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Counts up with each change; an older one never replaces a newer one.
    pub version: u64,
    /// The site that the box stands at.
    pub site: SiteCode,
    /// Its name, NFC, as name plates show it.
    pub name: String,
    /// Whom a long press calls. Empty: nobody.
    pub calls: Vec<SiteCode>,
}
