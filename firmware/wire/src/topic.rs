//! Every MQTT topic, as one enum: nobody else builds or splits one.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::id::{ApplianceId, ClientId};

/// A topic of `bp/1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `bp/1/{appliance}/up/state`: retained; payload [`crate::presence::Presence`]; the last will says *lost*.
    State(ApplianceId),
    /// `bp/1/{appliance}/up/health`: payload [`crate::health::Health`].
    Health(ApplianceId),
    /// `bp/1/{appliance}/up/event`: payload [`crate::event::Event`]; signed; kept by the box until acknowledged.
    Event(ApplianceId),
    /// `bp/1/{appliance}/up/reply`: payload [`crate::command::Reply`]; answers one command.
    Reply(ApplianceId),
    /// `bp/1/{appliance}/down/desired`: retained, signed; payload [`crate::twin::Desired`].
    Desired(ApplianceId),
    /// `bp/1/{appliance}/down/command`: signed; payload [`crate::command::Command`].
    Command(ApplianceId),
    /// `bp/1/{appliance}/down/ack`: signed; payload [`crate::event::Ack`]: the server has stored these events.
    Ack(ApplianceId),
    /// `bp/1/enrol/{client}/up`: payload [`crate::enrol::Request`]; on the enrolment listener only.
    EnrolRequest(ClientId),
    /// `bp/1/enrol/{client}/down`: payload [`crate::enrol::Answer`].
    EnrolAnswer(ClientId),
}

impl Topic {
    /// What the server subscribes to: everything that boxes say.
    pub const SERVER_FILTERS: [&'static str; 2] = ["bp/1/+/up/#", "bp/1/enrol/+/up"];

    /// What one box subscribes to: everything that is said to it.
    pub fn down_filter(appliance: &ApplianceId) -> String {
        alloc::format!("bp/1/{appliance}/down/#")
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(a) => write!(f, "bp/1/{a}/up/state"),
            Self::Health(a) => write!(f, "bp/1/{a}/up/health"),
            Self::Event(a) => write!(f, "bp/1/{a}/up/event"),
            Self::Reply(a) => write!(f, "bp/1/{a}/up/reply"),
            Self::Desired(a) => write!(f, "bp/1/{a}/down/desired"),
            Self::Command(a) => write!(f, "bp/1/{a}/down/command"),
            Self::Ack(a) => write!(f, "bp/1/{a}/down/ack"),
            Self::EnrolRequest(c) => write!(f, "bp/1/enrol/{c}/up"),
            Self::EnrolAnswer(c) => write!(f, "bp/1/enrol/{c}/down"),
        }
    }
}

/// A topic that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a topic of bp/1")]
pub struct UnknownTopic(pub String);

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        parse(text).ok_or_else(|| UnknownTopic(text.into()))
    }
}

fn parse(text: &str) -> Option<Topic> {
    let rest = text.strip_prefix("bp/1/")?;
    if let Some(rest) = rest.strip_prefix("enrol/") {
        let (client, way) = rest.split_once('/')?;
        let client = client.parse().ok()?;
        return match way {
            "up" => Some(Topic::EnrolRequest(client)),
            "down" => Some(Topic::EnrolAnswer(client)),
            _ => None,
        };
    }
    let (appliance, rest) = rest.split_once('/')?;
    let a = appliance.parse().ok()?;
    match rest {
        "up/state" => Some(Topic::State(a)),
        "up/health" => Some(Topic::Health(a)),
        "up/event" => Some(Topic::Event(a)),
        "up/reply" => Some(Topic::Reply(a)),
        "down/desired" => Some(Topic::Desired(a)),
        "down/command" => Some(Topic::Command(a)),
        "down/ack" => Some(Topic::Ack(a)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_topic_reads_back_as_itself() {
        let a: ApplianceId = "bp-000017".parse().unwrap();
        let c: ClientId = "new-1".parse().unwrap();
        let all = [
            Topic::State(a.clone()),
            Topic::Health(a.clone()),
            Topic::Event(a.clone()),
            Topic::Reply(a.clone()),
            Topic::Desired(a.clone()),
            Topic::Command(a.clone()),
            Topic::Ack(a),
            Topic::EnrolRequest(c.clone()),
            Topic::EnrolAnswer(c),
        ];
        for topic in all {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
    }

    #[test]
    fn foreign_topics_are_refused() {
        for bad in ["", "bp/2/a/up/state", "bp/1/a/up/state/x", "bp/1/+/up/state", "$SYS/broker", "bp/1/enrol/a/b/up"] {
            assert!(bad.parse::<Topic>().is_err(), "{bad}");
        }
    }
}
