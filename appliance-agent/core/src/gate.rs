//! Which commands are carried out: genuine, new, and not too old.

use std::collections::VecDeque;

use bridgepoint_wire::Envelope;
use bridgepoint_wire::command::{Command, Order, Outcome};
use bridgepoint_wire::event::CommandRefusal;
use serde::de::IgnoredAny;

/// What the transport knows of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// For the first time.
    First,
    /// Again, because the broker had no acknowledgement (MQTT's DUP flag).
    Again,
}

/// What to do with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Store the number ([`CommandGate::high`]), then carry it out, then say what came of it ([`CommandGate::done`]).
    Do {
        /// The command's number.
        seq: u64,
        /// What to do.
        order: Order,
    },
    /// It was carried out before and comes again by no fault of anybody: say again what came of it.
    Answered {
        /// The command's number.
        seq: u64,
        /// What came of it.
        outcome: Outcome,
    },
    /// Do nothing, and report it.
    Refuse {
        /// The command's number, as far as it could be read.
        seq: Option<u64>,
        /// Why.
        reason: CommandRefusal,
    },
}

/// Lets each genuine command through once.
#[derive(Debug)]
pub struct CommandGate {
    high: u64,
    recent: VecDeque<(u64, Outcome)>,
}

impl CommandGate {
    const REMEMBERED: usize = 32;

    /// A gate that has let everything up to number `high` through, in this or an earlier run.
    pub const fn new(high: u64) -> Self {
        Self { high, recent: VecDeque::new() }
    }

    /// The highest number that was used.
    pub const fn high(&self) -> u64 {
        self.high
    }

    /// Judges one message of the command topic. `genuine`: its signature holds for its topic and the server's key.
    pub fn judge(&mut self, genuine: bool, delivery: Delivery, payload: &[u8], server_ms: u64) -> Verdict {
        let seq = Envelope::<Any>::from_bytes(payload).ok().map(|envelope| envelope.seq);
        let refuse = |seq, reason| Verdict::Refuse { seq, reason };
        if !genuine {
            let reason = if seq.is_some() { CommandRefusal::BadSignature } else { CommandRefusal::Malformed };
            return refuse(seq, reason);
        }
        let Some(seq) = seq else { return refuse(None, CommandRefusal::Malformed) };
        if seq <= self.high {
            let before = self.recent.iter().find(|(known, _)| *known == seq);
            return match (delivery, before) {
                (Delivery::Again, Some((_, outcome))) => Verdict::Answered { seq, outcome: *outcome },
                (Delivery::Again, None) | (Delivery::First, _) => refuse(Some(seq), CommandRefusal::Replayed),
            };
        }
        // Used up from here on, whatever becomes of it: a clock that is set back later makes nothing valid again.
        self.high = seq;
        match Envelope::<Command>::from_bytes(payload) {
            Err(_) => refuse(Some(seq), CommandRefusal::Malformed),
            Ok(envelope) if lives_until_ms(&envelope) < server_ms => refuse(Some(seq), CommandRefusal::Expired),
            Ok(envelope) => Verdict::Do { seq, order: envelope.body.order },
        }
    }

    /// What came of a command.
    pub fn done(&mut self, seq: u64, outcome: Outcome) {
        if self.recent.len() == Self::REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((seq, outcome));
    }
}

/// A command dies when it says so, or earlier when its order does not keep that long.
fn lives_until_ms(envelope: &Envelope<Command>) -> u64 {
    let said = envelope.body.order.lifetime_ms().map(|ms| envelope.at_ms.saturating_add(ms));
    said.map_or(envelope.body.expires_at_ms, |said| said.min(envelope.body.expires_at_ms))
}

/// Any body: for reading the number of a command that this build does not know.
#[derive(Debug)]
struct Any;

impl<'de> serde::Deserialize<'de> for Any {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Self)
    }
}

impl serde::Serialize for Any {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// How many refusals are reported as events: a flood of forged commands must not drown the outbox.
#[derive(Debug)]
pub struct ReportLimit {
    window_until: crate::Millis,
    left: u32,
    /// Refusals that were not reported since the start.
    pub unreported: u64,
}

impl ReportLimit {
    const PER_WINDOW: u32 = 20;
    const WINDOW_MS: u64 = 60_000;

    /// Nothing was reported yet.
    pub const fn new() -> Self {
        Self { window_until: crate::Millis(0), left: 0, unreported: 0 }
    }

    /// Whether one more may be reported now.
    pub fn allow(&mut self, now: crate::Millis) -> bool {
        if now >= self.window_until {
            self.window_until = now.after(Self::WINDOW_MS);
            self.left = Self::PER_WINDOW;
        }
        if self.left == 0 {
            self.unreported += 1;
            return false;
        }
        self.left -= 1;
        true
    }
}

impl Default for ReportLimit {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_wire::camera::{CameraAction, CameraOrder, Drive};
    use proptest::prelude::*;

    fn bytes(seq: u64, expires_at_ms: u64) -> Vec<u8> {
        Envelope::new(seq, 0, Command { expires_at_ms, order: Order::ReportHealth }).to_bytes()
    }

    #[test]
    fn each_number_is_let_through_once_also_after_a_restart() {
        let mut gate = CommandGate::new(0);
        let go = Verdict::Do { seq: 5, order: Order::ReportHealth };
        assert_eq!(gate.judge(true, Delivery::First, &bytes(5, 100), 50), go);
        gate.done(5, Outcome::Accepted);
        let replayed = |seq| Verdict::Refuse { seq: Some(seq), reason: CommandRefusal::Replayed };
        assert_eq!(gate.judge(true, Delivery::First, &bytes(5, 100), 50), replayed(5));
        assert_eq!(gate.judge(true, Delivery::First, &bytes(4, 100), 50), replayed(4));
        let again = Verdict::Answered { seq: 5, outcome: Outcome::Accepted };
        assert_eq!(gate.judge(true, Delivery::Again, &bytes(5, 100), 50), again);
        let mut gate = CommandGate::new(gate.high());
        assert_eq!(gate.judge(true, Delivery::Again, &bytes(5, 100), 50), replayed(5));
    }

    #[test]
    fn an_expired_command_stays_dead_when_the_clock_is_set_back() {
        let mut gate = CommandGate::new(0);
        let expired = Verdict::Refuse { seq: Some(1), reason: CommandRefusal::Expired };
        assert_eq!(gate.judge(true, Delivery::First, &bytes(1, 100), 101), expired);
        assert!(matches!(gate.judge(true, Delivery::First, &bytes(1, 100), 50), Verdict::Refuse { .. }));
    }

    #[test]
    fn a_camera_moves_for_what_was_said_a_second_ago_and_no_longer_whatever_the_expiry() {
        let drive = |at_ms| {
            let order =
                Order::Camera(CameraOrder { operator: "lan".into(), action: CameraAction::Drive(Drive::default()) });
            Envelope::new(1, at_ms, Command { expires_at_ms: 60_000, order }).to_bytes()
        };
        let judge = |at_ms| CommandGate::new(0).judge(true, Delivery::First, &drive(at_ms), 10_000);
        assert!(matches!(judge(9_000), Verdict::Do { .. }));
        assert_eq!(judge(8_999), Verdict::Refuse { seq: Some(1), reason: CommandRefusal::Expired });
    }

    #[test]
    fn a_forged_command_does_not_use_up_its_number() {
        let mut gate = CommandGate::new(0);
        let forged = Verdict::Refuse { seq: Some(9), reason: CommandRefusal::BadSignature };
        assert_eq!(gate.judge(false, Delivery::First, &bytes(9, 100), 50), forged);
        assert_eq!(gate.high(), 0);
    }

    #[test]
    fn an_order_that_this_build_does_not_know_is_refused_with_its_number() {
        let mut gate = CommandGate::new(0);
        let newer = br#"{"v":1,"seq":3,"at_ms":0,"body":{"expires_at_ms":9,"order":"Dance"}}"#;
        let refused = Verdict::Refuse { seq: Some(3), reason: CommandRefusal::Malformed };
        assert_eq!(gate.judge(true, Delivery::First, newer, 0), refused);
    }

    #[test]
    fn a_flood_of_refusals_is_counted_not_reported() {
        let mut limit = ReportLimit::new();
        let said = (0..10_000).filter(|n| limit.allow(crate::Millis(n * 6))).count();
        assert_eq!((said, limit.unreported), (20, 9_980));
        assert!(limit.allow(crate::Millis(60_000)));
    }

    proptest! {
        #[test]
        fn garbage_does_nothing(payload in proptest::collection::vec(any::<u8>(), 0..200), genuine: bool) {
            let mut gate = CommandGate::new(7);
            let refused = matches!(gate.judge(genuine, Delivery::First, &payload, 0), Verdict::Refuse { .. });
            prop_assert!(refused);
            prop_assert_eq!(gate.high(), 7);
        }

        #[test]
        fn whatever_the_order_no_number_is_done_twice(seqs in proptest::collection::vec(1_u64..20, 0..60)) {
            let mut gate = CommandGate::new(0);
            let mut done = Vec::new();
            for seq in seqs {
                if let Verdict::Do { seq, .. } = gate.judge(true, Delivery::First, &bytes(seq, 1), 0) {
                    done.push(seq);
                }
            }
            prop_assert!(done.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
