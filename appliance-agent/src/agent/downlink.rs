//! What comes from the centre: connections, commands, desired states, acknowledgements.

use agent_core::gate::{Delivery, Verdict};
use agent_core::outbox::{AckEffect, Outbox};
use agent_core::session::Centre;
use agent_core::twin::TwinVerdict;
use bridgepoint_wire::camera::Rank;
use bridgepoint_wire::command::{Order, Outcome};
use bridgepoint_wire::event::{Ack, CommandRefusal, Event};
use bridgepoint_wire::{Envelope, Topic};
use serde::Deserialize;

use super::Agent;
use crate::mqtt::{FromCentre, Message};
use crate::wall_ms;

/// The sender's time, whatever the body.
#[derive(Deserialize)]
struct Stamp {
    at_ms: u64,
}

impl Agent {
    /// `connection` counts the connections that came about: the last will of each has its own number.
    pub(super) fn handle_centre(&mut self, event: FromCentre, connection: &mut u32) {
        let now = self.now();
        self.progress.handle_line(now);
        match event {
            FromCentre::Alive => {}
            FromCentre::Up(line) => {
                tracing::info!(broker = %self.identity.broker, "connected");
                self.uplink.handle_up(line, *connection);
                self.session.handle_centre(Centre::Reachable);
                self.outbox.handle_up();
                self.health.handle_change(now);
                self.down_said = None;
            }
            FromCentre::Down(fault) => {
                *connection += u32::from(self.uplink.is_up());
                self.uplink.handle_down();
                self.session.handle_centre(Centre::Away);
                if let Some(moving) = &mut self.moving {
                    moving.core.handle_mover_lost(now, Rank::Operator);
                }
                self.outbox.handle_down();
                if self.down_said.as_ref() != Some(&fault) {
                    let (text, [broker, reason]) = fault.text(&self.identity.broker);
                    tracing::warn!("{}", text.both(&[&broker, &reason]));
                    self.down_said = Some(fault);
                }
            }
            FromCentre::Message(message) => self.handle_message(message),
        }
    }

    fn handle_message(&mut self, message: Message) {
        let own = |topic: &Topic| match topic {
            Topic::Command(to) | Topic::Desired(to) | Topic::Ack(to) => *to == self.identity.appliance,
            _ => false,
        };
        let Some(topic) = message.topic.parse::<Topic>().ok().filter(own) else {
            tracing::warn!(topic = message.topic, "a message on a topic that is none of ours");
            return;
        };
        let genuine = message
            .jws
            .as_deref()
            .is_some_and(|jws| self.identity.server_key.verify(&message.topic, &message.payload, jws).is_ok());
        match topic {
            Topic::Command(_) => self.handle_command(genuine, message),
            Topic::Desired(_) => self.handle_desired(genuine, &message.payload),
            Topic::Ack(_) => self.handle_ack(genuine, &message),
            _ => {}
        }
    }

    /// Only after the message was judged by what was known before: it cannot vouch for its own time.
    fn learn_time(&mut self, genuine: bool, message: &Message) {
        if !genuine || message.retained || message.again {
            return;
        }
        if let Ok(Stamp { at_ms }) = serde_json::from_slice(&message.payload) {
            let now = self.now();
            self.server_clock.handle_message(now, wall_ms(), at_ms);
        }
    }

    fn handle_command(&mut self, genuine: bool, message: Message) {
        let now = self.now();
        let server_ms = self.server_clock.server_ms(now, wall_ms());
        let delivery = if message.again { Delivery::Again } else { Delivery::First };
        let before = self.commands.high();
        let verdict = self.commands.judge(genuine, delivery, &message.payload, server_ms);
        self.learn_time(genuine, &message);
        let high = self.commands.high();
        // On the disk before anything is done: a command is carried out once, also across a crash.
        let stored = if high == before { Ok(()) } else { self.store.put_high(high) };
        if let Err(error) = stored {
            tracing::error!(%error, seq = high, "a command's number could not be stored: it is not carried out");
            return;
        }
        match verdict {
            Verdict::Do { seq, order } => {
                tracing::info!(seq, ?order, "command");
                let taken = match order {
                    Order::Update(update) => self.handle_update_order(*update),
                    Order::Camera(order) => self.handle_camera_order(order),
                    Order::TestCall(order) => self.handle_test_call(order),
                    Order::TestSound { install } => self.handle_sound_test_order(install),
                    order => self.session.handle_order(now, order),
                };
                let outcome = match taken {
                    Ok(()) => Outcome::Accepted,
                    Err(reason) => {
                        self.report_refusal(Some(seq), reason);
                        Outcome::Refused(reason)
                    }
                };
                self.commands.done(seq, outcome);
                self.uplink.reply(seq, outcome, message.correlation);
            }
            Verdict::Answered { seq, outcome } => self.uplink.reply(seq, outcome, message.correlation),
            Verdict::Refuse { seq, reason } => {
                self.report_refusal(seq, reason);
                if let Some(seq) = seq {
                    self.uplink.reply(seq, Outcome::Refused(reason), message.correlation);
                }
            }
        }
    }

    fn report_refusal(&mut self, seq: Option<u64>, reason: CommandRefusal) {
        tracing::warn!(?seq, ?reason, "a command was refused");
        let now = self.now();
        if self.reports.allow(now) {
            self.say(Event::CommandRefused { seq, reason });
        }
    }

    fn handle_desired(&mut self, genuine: bool, payload: &[u8]) {
        match self.twin.judge(genuine, payload) {
            TwinVerdict::Taken(desired) => {
                tracing::info!(version = desired.version, site = %desired.site, "desired state");
                if let Err(error) = self.store.put_twin(&desired) {
                    tracing::error!(%error, "the desired state could not be stored");
                }
                let moved = self.status.site != desired.site;
                self.session.handle_twin(desired.site, desired.calls);
                if moved {
                    self.reconfigure();
                }
                self.tell_volume();
                let now = self.now();
                self.health.handle_change(now);
            }
            TwinVerdict::Known | TwinVerdict::RefusedBefore => {}
            TwinVerdict::Refused { version, fault } => {
                tracing::warn!(?version, %fault, "a desired state was refused");
                let now = self.now();
                if self.reports.allow(now) {
                    self.say(Event::TwinRefused { version, reason: fault.to_string() });
                }
            }
        }
    }

    fn handle_ack(&mut self, genuine: bool, message: &Message) {
        if !genuine {
            tracing::warn!("an acknowledgement without the server's signature was ignored");
            return;
        }
        self.learn_time(genuine, message);
        let now = self.now();
        if let Some(updating) = &mut self.updating {
            updating.core.handle_centre(now);
        }
        let through = match Envelope::<Ack>::from_bytes(&message.payload) {
            Ok(envelope) => envelope.body.through,
            Err(error) => {
                tracing::warn!(%error, "an acknowledgement could not be read");
                return;
            }
        };
        match self.outbox.handle_ack(now, through) {
            AckEffect::Nothing => {}
            AckEffect::Forget { through } => {
                self.handle_stored(through);
                self.unsaved.retain(|seq, _| *seq > through);
                if let Err(error) = self.store.forget_events(through) {
                    tracing::error!(%error, "acknowledged events could not be removed");
                }
            }
            AckEffect::Renumber { next } => match self.store.renumber_events(next) {
                Ok(end) => {
                    tracing::warn!(next, "the store was older than what the server has: events have new numbers");
                    self.outbox = Outbox::new(next, end);
                    self.handle_renumbered(end);
                    if self.uplink.is_up() {
                        self.outbox.handle_up();
                    }
                }
                Err(error) => tracing::error!(%error, "events could not be renumbered"),
            },
        }
    }
}
