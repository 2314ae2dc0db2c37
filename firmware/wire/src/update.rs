//! A system update of a box: what the centre orders, and what came of it.

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// A bundle to install into the slot that is not running. The order is signed, and so is the bundle itself (RAUC).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Version of the system in the bundle, as its manifest says it.
    pub version: String,
    /// Where the bundle is: `https://…` or `http://…`; byte ranges are used to resume.
    pub url: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the bundle, lower case hex.
    pub sha256: String,
}

/// Which system runs after an update, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateEnd {
    /// The new one: it has passed its trial.
    New,
    /// The old one, as before.
    Old(UpdateFault),
    /// The new one, although it has failed its trial: the boot loader did not go back.
    NoWayBack,
}

/// Why an update came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateFault {
    /// The bundle could not be fetched.
    Download,
    /// The bundle is not the one that was ordered: length or checksum differ.
    Altered,
    /// The bundle is not for this box: signature, format, compatible string or version.
    Refused,
    /// RAUC could not install it.
    Install,
    /// The new system was not started, or did not start.
    NotStarted,
    /// The new system did not pass its self-test in time.
    SelfTest,
    /// The new system passed its self-test and neither reached the centre nor worked by itself for long enough.
    Unproven,
    /// The new system ended its trial without a word: power cuts, resets, or the guard that waits for a dead agent.
    Died,
}
