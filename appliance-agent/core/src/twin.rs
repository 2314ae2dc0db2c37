//! The desired state: taken over as a whole, or not at all.

use bridgepoint_wire::Envelope;
use bridgepoint_wire::twin::{Desired, Planned};

/// Why a desired state was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TwinFault {
    /// The signature is not the server's.
    #[error("the signature does not hold")]
    Forged,
    /// Not a desired state of this version.
    #[error("{0}")]
    Malformed(String),
    /// Older than the one that is in force.
    #[error("version {got} is older than {have}")]
    Older {
        /// What came.
        got: u64,
        /// What is in force.
        have: u64,
    },
    /// Another content under a version that was used before.
    #[error("version {0} had another content before")]
    Changed(u64),
    /// A name that no plate can show.
    #[error("the name is empty, longer than {max} bytes, or holds control characters", max = TwinGate::MAX_NAME)]
    Name,
    /// Calls itself, or one site twice, or too many.
    #[error("the list of calls holds this site itself, a site twice, or more than {max}", max = TwinGate::MAX_CALLS)]
    Calls,
    /// Louder than a loudspeaker can be.
    #[error("the loudspeaker's percent is {0}, and not 0 to 100")]
    Loudspeaker(u8),
    /// A title that no screen can show, or more sessions than are told.
    #[error("the planned sessions are more than {most}, or a title is empty, too long or holds control characters", most = Desired::MOST_PLANNED)]
    Planned,
}

/// What came of a desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TwinVerdict {
    /// Store it; it is in force.
    Taken(Desired),
    /// It is in force already.
    Known,
    /// The last good one stays; report it as an event.
    Refused {
        /// Its version, as far as it could be read.
        version: Option<u64>,
        /// Why.
        fault: TwinFault,
    },
    /// Refused before, and reported then: a retained message comes again with every connection.
    RefusedBefore,
}

/// Keeps the last good desired state.
#[derive(Debug, Default)]
pub struct TwinGate {
    good: Option<Desired>,
    refused: Option<Vec<u8>>,
}

impl TwinGate {
    /// Longest name, bytes of UTF-8.
    pub const MAX_NAME: usize = 120;
    /// Most sites that one press may call.
    pub const MAX_CALLS: usize = 200;

    /// With what an earlier run stored.
    pub const fn new(good: Option<Desired>) -> Self {
        Self { good, refused: None }
    }

    /// What is in force.
    pub const fn good(&self) -> Option<&Desired> {
        self.good.as_ref()
    }

    /// Judges one message of the desired topic. `genuine`: its signature holds.
    pub fn judge(&mut self, genuine: bool, payload: &[u8]) -> TwinVerdict {
        let read = Envelope::<Desired>::from_bytes(payload);
        let version = read.as_ref().ok().map(|envelope| envelope.body.version);
        let checked = if genuine {
            read.map_err(|e| TwinFault::Malformed(e.to_string())).and_then(|envelope| self.check(envelope.body))
        } else {
            Err(TwinFault::Forged)
        };
        match checked {
            Ok(None) => TwinVerdict::Known,
            Ok(Some(desired)) => {
                self.good = Some(desired.clone());
                self.refused = None;
                TwinVerdict::Taken(desired)
            }
            Err(_) if self.refused.as_deref() == Some(payload) => TwinVerdict::RefusedBefore,
            Err(fault) => {
                self.refused = Some(payload.to_vec());
                TwinVerdict::Refused { version, fault }
            }
        }
    }

    fn check(&self, new: Desired) -> Result<Option<Desired>, TwinFault> {
        if let Some(good) = &self.good {
            if new == *good {
                return Ok(None);
            }
            if new.version == good.version {
                return Err(TwinFault::Changed(new.version));
            }
            if new.version < good.version {
                return Err(TwinFault::Older { got: new.version, have: good.version });
            }
        }
        if new.name.trim().is_empty() || new.name.len() > Self::MAX_NAME || new.name.chars().any(char::is_control) {
            return Err(TwinFault::Name);
        }
        let mut calls: Vec<_> = new.calls.iter().collect();
        calls.sort();
        calls.dedup();
        if calls.len() != new.calls.len() || calls.len() > Self::MAX_CALLS || new.calls.contains(&new.site) {
            return Err(TwinFault::Calls);
        }
        if let Some(volume) = new.loudspeaker.filter(|volume| volume.percent > 100) {
            return Err(TwinFault::Loudspeaker(volume.percent));
        }
        if new.planned.len() > Desired::MOST_PLANNED || !new.planned.iter().all(can_be_shown) {
            return Err(TwinFault::Planned);
        }
        Ok(Some(new))
    }
}

fn can_be_shown(planned: &Planned) -> bool {
    let title = &planned.title;
    !title.trim().is_empty() && title.chars().count() <= Planned::MAX_TITLE && !title.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use bridgepoint_wire::twin::Volume;

    use super::*;

    fn desired(version: u64, name: &str, calls: &[&str]) -> Desired {
        Desired {
            version,
            site: "17611".parse().unwrap(),
            name: name.into(),
            calls: calls.iter().map(|code| code.parse().unwrap()).collect(),
            loudspeaker: None,
            planned: Vec::new(),
        }
    }

    fn planned(titles: &[&str]) -> Desired {
        let planned = titles.iter().map(|title| Planned { at_ms: 1, title: (*title).into() }).collect();
        Desired { planned, ..desired(2, "X", &[]) }
    }

    fn judge(gate: &mut TwinGate, desired: &Desired) -> TwinVerdict {
        gate.judge(true, &Envelope::new(1, 0, desired.clone()).to_bytes())
    }

    #[test]
    fn versions_only_go_up_and_the_last_good_one_stays() {
        let mut gate = TwinGate::default();
        let (one, two) = (desired(1, "Tri Lễ", &["16681"]), desired(2, "Tri Lễ", &[]));
        assert_eq!(judge(&mut gate, &two), TwinVerdict::Taken(two.clone()));
        assert_eq!(judge(&mut gate, &two), TwinVerdict::Known);
        let fault = TwinFault::Older { got: 1, have: 2 };
        assert_eq!(judge(&mut gate, &one), TwinVerdict::Refused { version: Some(1), fault });
        assert_eq!(judge(&mut gate, &one), TwinVerdict::RefusedBefore);
        let fault = TwinFault::Changed(2);
        assert_eq!(judge(&mut gate, &desired(2, "X", &[])), TwinVerdict::Refused { version: Some(2), fault });
        assert_eq!(gate.good(), Some(&two));
    }

    #[test]
    fn what_does_not_hold_as_a_whole_changes_nothing() {
        let mut gate = TwinGate::default();
        let good = desired(1, "Tri Lễ", &["16681"]);
        judge(&mut gate, &good);
        for bad in [
            desired(2, " ", &[]),
            desired(2, "a\nb", &[]),
            desired(2, &"x".repeat(121), &[]),
            desired(2, "X", &["17611"]),
            desired(2, "X", &["1", "1"]),
            Desired { loudspeaker: Some(Volume { percent: 101, muted: false }), ..desired(2, "X", &[]) },
            planned(&["Tiếp công dân", " "]),
            planned(&["a\u{7}"]),
            planned(&[&"ế".repeat(121)]),
            planned(&["x"; 9]),
        ] {
            assert!(matches!(judge(&mut gate, &bad), TwinVerdict::Refused { version: Some(2), .. }), "{bad:?}");
        }
        assert_eq!(gate.good(), Some(&good));
        let whole = Desired { loudspeaker: Some(Volume { percent: 100, muted: true }), ..planned(&["ế"; 8]) };
        assert_eq!(judge(&mut TwinGate::new(Some(good.clone())), &whole), TwinVerdict::Taken(whole));
        let forged = Envelope::new(1, 0, desired(3, "X", &[])).to_bytes();
        let fault = TwinFault::Forged;
        assert_eq!(gate.judge(false, &forged), TwinVerdict::Refused { version: Some(3), fault });
        assert!(matches!(gate.judge(true, b"{"), TwinVerdict::Refused { version: None, .. }));
        assert_eq!(gate.good(), Some(&good));
    }
}
