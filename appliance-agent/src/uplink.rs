//! What the box says to the centre: state, health, replies, events, each under its topic and number.

use bridgepoint_wire::command::{Outcome, Reply};
use bridgepoint_wire::health::Health;
use bridgepoint_wire::presence::{Online, Presence};
use bridgepoint_wire::{ApplianceId, Envelope, Topic};

use crate::identity::Identity;
use crate::mqtt::{Line, Post, Will};
use crate::wall_ms;

/// The line while there is one, and the numbers of what goes over it.
///
/// Events are numbered by the store. All else is worth nothing later and is not written to disk; its numbers rise
/// across restarts all the same: the start's count in the upper 24 bits, then, for states, the connection's.
pub struct Uplink {
    appliance: ApplianceId,
    boot: u32,
    line: Option<Line>,
    connection: u32,
    states: u16,
    others: u64,
    said: Option<Online>,
}

impl Uplink {
    /// Nothing is connected yet.
    pub const fn new(appliance: ApplianceId, boot: u32) -> Self {
        Self { appliance, boot, line: None, connection: 0, states: 0, others: 0, said: None }
    }

    /// The last will of the n-th connection: its number is above all states of that connection, below the next one's.
    pub fn will(appliance: &ApplianceId, boot: u32, connection: u32) -> Will {
        let payload = Envelope::new(state_number(boot, connection, u16::MAX), wall_ms(), Presence::Lost).to_bytes();
        Will { topic: Topic::State(appliance.clone()).to_string(), payload }
    }

    /// The n-th connection is up.
    pub fn handle_up(&mut self, line: Line, connection: u32) {
        self.line = Some(line);
        self.connection = connection;
        self.states = 0;
        self.said = None;
    }

    /// The connection is lost.
    pub fn handle_down(&mut self) {
        self.line = None;
    }

    /// Whether there is a line.
    pub const fn is_up(&self) -> bool {
        self.line.is_some()
    }

    fn post(&self, post: Post) -> bool {
        self.line.as_ref().is_some_and(|line| line.post(post).is_ok())
    }

    fn state(&mut self, presence: Presence) -> bool {
        let seq = state_number(self.boot, self.connection, self.states);
        self.states = (self.states + 1).min(u16::MAX - 1);
        let payload = Envelope::new(seq, wall_ms(), presence).to_bytes();
        self.post(Post {
            topic: Topic::State(self.appliance.clone()).to_string(),
            payload,
            retain: true,
            ..Post::default()
        })
    }

    /// Says what the box is doing, when the centre does not know it yet.
    pub fn say_online(&mut self, online: Online) {
        if self.is_up() && self.said.as_ref() != Some(&online) && self.state(Presence::Online(online.clone())) {
            self.said = Some(online);
        }
    }

    /// A box that is switched off is lost to the centre; it says so itself, since a clean goodbye cancels the will.
    pub fn say_lost(&mut self) {
        self.state(Presence::Lost);
    }

    /// Reports health.
    pub fn say_health(&mut self, health: Health) {
        let payload = Envelope::new(self.number(), wall_ms(), health).to_bytes();
        self.post(Post { topic: Topic::Health(self.appliance.clone()).to_string(), payload, ..Post::default() });
    }

    /// Answers a command.
    pub fn reply(&mut self, to: u64, outcome: Outcome, correlation: Option<Vec<u8>>) {
        let payload = Envelope::new(self.number(), wall_ms(), Reply { to, outcome }).to_bytes();
        let topic = Topic::Reply(self.appliance.clone()).to_string();
        if !self.post(Post { topic, payload, correlation, ..Post::default() }) {
            tracing::warn!(to, "a reply could not be sent");
        }
    }

    /// Sends an event (a whole envelope) with the device's signature. `false`: not now.
    pub fn say_event(&self, identity: &Identity, payload: Vec<u8>) -> bool {
        let topic = Topic::Event(self.appliance.clone()).to_string();
        match identity.signer.sign(&topic, &payload) {
            Ok(jws) => self.post(Post { topic, payload, jws: Some(jws), ..Post::default() }),
            Err(error) => {
                tracing::error!(%error, "an event could not be signed");
                false
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.others += 1;
        u64::from(self.boot) << 40 | self.others
    }
}

fn state_number(boot: u32, connection: u32, state: u16) -> u64 {
    u64::from(boot) << 40 | u64::from(connection) << 16 | u64::from(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_will_comes_after_its_connections_states_and_before_the_next_ones() {
        let numbers = [
            state_number(1, 0, 0),
            state_number(1, 0, u16::MAX - 1),
            state_number(1, 0, u16::MAX),
            state_number(1, 1, 0),
            state_number(2, 0, 0),
        ];
        assert!(numbers.is_sorted_by(|a, b| a < b));
    }
}
