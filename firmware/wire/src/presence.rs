//! `up/state`: is the box there, and what is it doing?

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, SiteCode};

/// Retained on the broker: the newest state, or the last will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// Said by the box itself, at once on each change.
    Online(Online),
    /// The last will: said by the broker when the box's connection ends without a goodbye.
    Lost,
}

/// What an online box says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Online {
    /// The site that the box stands at, as its twin says.
    pub site: SiteCode,
    /// Software version, such as `0.1.0`.
    pub version: String,
    /// New with each start of the control process: tells a restart from a reconnect.
    pub boot: String,
    /// SHA-256 fingerprint of the box's DTLS certificate, `AA:BB:…`; the same until the control process restarts.
    pub dtls_fingerprint: String,
    /// The session that the box takes part in.
    pub session: Option<SessionId>,
    /// Muted at the box or by command.
    pub muted: bool,
    /// The last twin version that the box took over.
    pub twin: u64,
}
