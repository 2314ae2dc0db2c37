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
    /// How loud the return is in the room; none: as the box's own configuration says. Since 2026-12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudspeaker: Option<Volume>,
    /// Sessions that are planned for this site, the earliest first. Since 2026-12.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<Planned>,
}

impl Desired {
    /// Most sessions that are told ahead.
    pub const MOST_PLANNED: usize = 8;

    /// The planned session that comes next, or has just begun.
    pub fn next(&self, now_ms: u64) -> Option<&Planned> {
        self.planned.iter().find(|planned| planned.at_ms.saturating_add(Planned::LATE_MS) > now_ms)
    }
}

/// How loud a loudspeaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Percent of what the device can do without distortion, 0 to 100.
    pub percent: u8,
    /// Nothing is heard, and `percent` is kept.
    pub muted: bool,
}

impl Volume {
    /// What is heard of it, percent.
    pub const fn heard(self) -> u8 {
        if self.muted { 0 } else { self.percent }
    }
}

/// A session that is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When it begins, ms since 1970.
    pub at_ms: u64,
    /// What it is called, NFC.
    pub title: String,
}

impl Planned {
    /// The longest title that a screen shows on its lines, characters.
    pub const MAX_TITLE: usize = 120;
    /// After its begin it is still the next one for so long: people come late.
    pub const LATE_MS: u64 = 60 * 60 * 1_000;
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use alloc::vec;

    use super::*;

    #[test]
    fn a_session_that_has_begun_is_the_next_one_for_an_hour() {
        let planned = |at_ms| Planned { at_ms, title: "x".to_string() };
        let hour = Planned::LATE_MS;
        let desired = Desired {
            version: 1,
            site: "1".parse().unwrap(),
            name: "x".to_string(),
            calls: vec![],
            loudspeaker: None,
            planned: vec![planned(10 * hour), planned(12 * hour)],
        };
        let next = |now| desired.next(now).map(|planned| planned.at_ms / hour);
        assert_eq!(
            [0, 11 * hour - 1, 11 * hour, 13 * hour - 1, 13 * hour].map(next),
            [Some(10), Some(10), Some(12), Some(12), None]
        );
    }
}
