//! What boxes say, and what is said to them.

use std::collections::HashMap;

use bridgepoint_wire::command::{Command, Order, Outcome, Reply};
use bridgepoint_wire::enrol::{self, Enrolled, Refusal};
use bridgepoint_wire::event::{Event, PressRefusal};
use bridgepoint_wire::health::Health;
use bridgepoint_wire::jws::PublicKey;
use bridgepoint_wire::presence::Presence;
use bridgepoint_wire::{ApplianceId, ClientId, Envelope, SiteCode, Topic};
use server_core::fleet::Reach;
use server_core::session::{Admission, By, Origin, admit};
use tokio::sync::oneshot;

use super::{Hub, OpenError, Refused};
use crate::clock::now_ms;
use crate::codes::{self, Verdict};
use crate::mqtt::{Delivery, FromBroker};
use crate::pki::Pki;
use crate::store::{EventRecord, Store, StoreError, event_of};
use crate::{pki, secret};

/// A command that a box did not get within this does nothing.
const COMMAND_MS: u64 = 10_000;
/// Acknowledgements and answers are worth nothing later.
const ANSWER_S: u32 = 60;

/// The keys that boxes sign their events with.
pub(super) fn keys(store: &Store) -> Result<HashMap<ApplianceId, PublicKey>, StoreError> {
    let boxes = store.boxes()?.into_iter();
    Ok(boxes.filter_map(|(appliance, cert)| Some((appliance, pki::box_key(&cert)?))).collect())
}

impl Hub {
    pub(super) fn handle_broker(&mut self, input: FromBroker) {
        match input {
            FromBroker::Up => {
                self.dirty = true;
                self.publish_twins();
                let acts = self.running.values().filter(|running| running.session.is_live());
                let tallies: Vec<_> = acts
                    .flat_map(|running| {
                        let session = &running.session;
                        let order = Order::Tally { session: session.id.clone(), on_record: session.on_record() };
                        session.order.iter().map(move |site| (site.clone(), order.clone()))
                    })
                    .collect();
                self.order(tallies);
            }
            FromBroker::Down => self.dirty = true,
            FromBroker::Message { topic, payload, jws, retained } => {
                let Ok(known) = topic.parse::<Topic>() else { return self.drop_payload(&topic, "unknown topic") };
                self.handle_message(&topic, known, &payload, jws.as_deref(), retained);
            }
        }
    }

    fn handle_message(&mut self, name: &str, topic: Topic, payload: &[u8], jws: Option<&str>, retained: bool) {
        match topic {
            // What a box cleared, or we did when it was replaced.
            Topic::State(_) if payload.is_empty() => {}
            Topic::State(appliance) => match Envelope::<Presence>::from_bytes(payload) {
                Ok(said) => self.handle_presence(&appliance, said.body),
                Err(error) => self.drop_payload(name, &error.to_string()),
            },
            Topic::Health(appliance) => match Envelope::<Health>::from_bytes(payload) {
                Ok(_) if retained => self.drop_payload(name, "health is never retained"),
                Ok(said) => {
                    let change = self.fleet.handle_health(&appliance, said.body, now_ms());
                    self.dirty = true;
                    self.handle_reach(change);
                }
                Err(error) => self.drop_payload(name, &error.to_string()),
            },
            Topic::Event(appliance) => self.handle_event(name, &appliance, payload, jws),
            Topic::Reply(appliance) => match Envelope::<Reply>::from_bytes(payload) {
                Ok(said) => {
                    let Reply { to, outcome } = said.body;
                    match (self.asked.remove(&(appliance.clone(), to)), outcome) {
                        (Some(asker), outcome) => drop(asker.send(outcome)),
                        (None, Outcome::Refused(reason)) => {
                            tracing::warn!(%appliance, command = to, ?reason, "a box refused a command");
                        }
                        (None, Outcome::Accepted) => {}
                    }
                    self.handle_sign_of_life(&appliance);
                }
                Err(error) => self.drop_payload(name, &error.to_string()),
            },
            Topic::EnrolRequest(client) => match Envelope::<enrol::Request>::from_bytes(payload) {
                Ok(said) => self.handle_enrolment(&client, &said.body),
                Err(error) => self.drop_payload(name, &error.to_string()),
            },
            Topic::Desired(_) | Topic::Command(_) | Topic::Ack(_) | Topic::EnrolAnswer(_) => {
                self.drop_payload(name, "not for the server");
            }
        }
    }

    fn handle_sign_of_life(&mut self, appliance: &ApplianceId) {
        let Some(site) = self.fleet.site_of(appliance).cloned() else { return };
        let change = self.fleet.handle_sign_of_life(&site, now_ms());
        self.handle_reach(change);
    }

    fn handle_presence(&mut self, appliance: &ApplianceId, presence: Presence) {
        let now = now_ms();
        self.dirty = true;
        let change = self.fleet.handle_presence(appliance, presence.clone(), now);
        self.handle_reach(change);
        let Some(site) = self.fleet.site_of(appliance).cloned() else { return };
        let Presence::Online(online) = presence else { return };
        for running in self.running.values_mut() {
            running.session.handle_presence(now, &site, Some(&online));
        }
        if let Some(session) = online.session
            && !self.running.contains_key(&session)
        {
            self.order([(site, Order::Leave { session })]);
        }
    }

    fn handle_event(&mut self, name: &str, appliance: &ApplianceId, payload: &[u8], jws: Option<&str>) {
        let Some(site) = self.fleet.site_of(appliance).cloned() else { return self.drop_payload(name, "unknown box") };
        let signed = match (self.keys.get(appliance), jws) {
            (Some(key), Some(jws)) => key.verify(name, payload, jws).map(|()| jws).map_err(|error| error.to_string()),
            (None, _) => Err("unknown key".to_owned()),
            (_, None) => Err("no signature".to_owned()),
        };
        let jws = match signed {
            Ok(jws) => jws,
            Err(why) => return self.drop_payload(name, &why),
        };
        let said = match Envelope::<serde_json::Value>::from_bytes(payload) {
            Ok(said) => said,
            Err(error) => return self.drop_payload(name, &error.to_string()),
        };
        self.handle_sign_of_life(appliance);
        match self.keep(&site, appliance, &said, (payload, jws)) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(event) = event_of(&said.body) {
                    self.handle_new_event(&site, &event, said.at_ms);
                } else {
                    tracing::warn!(%site, event = %said.body, "an event that this version does not know was stored");
                }
            }
            // Not acknowledged: the box sends it again.
            Err(error) => {
                self.seen.remove(appliance);
                tracing::error!(%error, "event not stored");
            }
        }
    }

    /// Stores the event if it is new, and acknowledges either way.
    fn keep(
        &mut self,
        site: &SiteCode,
        appliance: &ApplianceId,
        said: &Envelope<serde_json::Value>,
        (payload, jws): (&[u8], &str),
    ) -> Result<bool, StoreError> {
        if !self.seen.contains_key(appliance) {
            let seen = self.store.seen(appliance)?;
            self.seen.insert(appliance.clone(), seen);
        }
        let Some(seen) = self.seen.get_mut(appliance) else { return Ok(false) };
        let now = now_ms();
        let new = seen.handle(said.seq);
        let ack = seen.ack();
        let number = if new {
            let record = EventRecord {
                at_ms: said.at_ms,
                site: site.to_string(),
                appliance: appliance.to_string(),
                seq: said.seq,
                event: said.body.clone(),
            };
            let text = std::str::from_utf8(payload).ok().filter(|_| record.event.get("Commissioned").is_some());
            self.store.put_event(&record, text.map(|text| (text, jws)), ack.through, now)?
        } else {
            self.store.put_acked(appliance, ack.through)?
        };
        let bytes = Envelope::new(number, now, ack).to_bytes();
        self.mqtt.say(&Topic::Ack(appliance.clone()), bytes, Delivery::ExpiresIn(ANSWER_S));
        Ok(new)
    }

    fn handle_new_event(&mut self, site: &SiteCode, event: &Event, at_ms: u64) {
        self.dirty = true;
        tracing::info!(%site, ?event, "event");
        let now = now_ms();
        match event {
            Event::CallRequested { sites } => return self.handle_call(site, sites, at_ms),
            Event::TestCallWanted => return self.handle_test_call(site),
            _ => {}
        }
        for running in self.running.values_mut() {
            running.session.handle_event(now, site, event);
        }
        // The box believes in a session that is over: the order to leave was lost.
        if let Event::EndRequested { session } | Event::Joined { session } = event
            && !self.running.contains_key(session)
        {
            self.order([(site.clone(), Order::Leave { session: session.clone() })]);
        }
    }

    fn handle_call(&mut self, site: &SiteCode, sites: &[SiteCode], at_ms: u64) {
        let now = now_ms();
        let offset = self.fleet.view(site, now).and_then(|view| view.health?.clock_offset_ms).unwrap_or(0);
        let age_ms = now.saturating_sub(at_ms.saturating_add_signed(-offset));
        let unknown = self.fleet.unknown(sites);
        let known: Vec<SiteCode> = sites.iter().filter(|code| !unknown.contains(code)).cloned().collect();
        let sessions = self.running.values().map(|running| &running.session);
        match admit(sessions, site, &known, age_ms) {
            Admission::Start(called) => {
                let by = By { kind: Origin::Button, who: site.to_string() };
                if let Err(error) = self.open_session(site.clone(), by, &called) {
                    tracing::error!(%site, %error, "the call cannot be served");
                    let full = matches!(error, OpenError::TooMany { .. } | OpenError::NoRoom(_));
                    self.refuse(site, if full { PressRefusal::CentreFull } else { PressRefusal::Busy });
                }
            }
            Admission::Stale => tracing::warn!(%site, age_ms, "an old call was stored and starts nothing"),
            Admission::Refused(reason) => {
                for running in self.running.values_mut() {
                    let members = running.session.members();
                    if members.contains_key(site) || known.iter().any(|code| members.contains_key(code)) {
                        running.session.handle_refused_call(now, site, &known);
                    }
                }
                self.refuse(site, reason);
            }
        }
    }

    pub(super) fn refuse(&mut self, site: &SiteCode, reason: PressRefusal) {
        self.order([(site.clone(), Order::CallRefused { reason })]);
    }

    /// Sends signed commands; to sites without a box nothing is sent.
    pub(super) fn order(&mut self, orders: impl IntoIterator<Item = (SiteCode, Order)>) {
        self.send_orders(orders);
    }

    /// The same; returns to whom each was sent, and its number.
    fn send_orders(&mut self, orders: impl IntoIterator<Item = (SiteCode, Order)>) -> Vec<(ApplianceId, u64)> {
        let now = now_ms();
        let appliance = |site: &SiteCode| self.fleet.view(site, now).and_then(|view| view.record.appliance.clone());
        let addressed: Vec<(ApplianceId, Order)> =
            orders.into_iter().filter_map(|(site, order)| Some((appliance(&site)?, order))).collect();
        if addressed.is_empty() || !self.mqtt.is_up() {
            return Vec::new();
        }
        let numbers = match self.store.numbers("command", addressed.iter().map(|(appliance, _)| appliance)) {
            Ok(numbers) => numbers,
            Err(error) => {
                tracing::error!(%error, "commands not sent: they have no numbers");
                return Vec::new();
            }
        };
        let mut sent = Vec::new();
        for ((appliance, order), number) in addressed.into_iter().zip(numbers) {
            let command = Command { expires_at_ms: now + COMMAND_MS, order };
            let bytes = Envelope::new(number, now, command).to_bytes();
            let delivery = Delivery::ExpiresIn((COMMAND_MS / 1_000) as u32);
            self.mqtt.say(&Topic::Command(appliance.clone()), bytes, delivery);
            sent.push((appliance, number));
        }
        sent
    }

    /// An operator wants something of a site's box; its answer comes later, or never.
    pub fn ask_box(&mut self, site: &SiteCode, order: Order) -> Result<oneshot::Receiver<Outcome>, Refused> {
        self.known([site])?;
        let sent = self.send_orders([(site.clone(), order)]);
        let command = sent.into_iter().next().ok_or_else(|| Refused::NoBox(site.clone()))?;
        let (asker, answer) = oneshot::channel();
        self.asked.retain(|_, waiting| !waiting.is_closed());
        self.asked.insert(command, asker);
        Ok(answer)
    }

    fn publish_twins(&self) {
        let with_box = self.fleet.views(0).filter(|view| view.record.appliance.is_some());
        let sites: Vec<SiteCode> = with_box.map(|view| view.record.code.clone()).collect();
        self.publish_twins_of(&sites);
    }

    pub(super) fn publish_twins_of(&self, sites: &[SiteCode]) {
        for site in sites {
            self.publish_twin(site);
        }
    }

    pub(super) fn publish_twin(&self, site: &SiteCode) {
        let Some(appliance) = self.fleet.view(site, 0).and_then(|view| view.record.appliance.clone()) else { return };
        let published = self.store.desired(site).and_then(|desired| {
            let Some(desired) = desired else { return Ok(()) };
            let number = self.store.numbers("desired", [&appliance])?.first().copied().unwrap_or(0);
            let bytes = Envelope::new(number, now_ms(), desired).to_bytes();
            self.mqtt.say(&Topic::Desired(appliance.clone()), bytes, Delivery::Retained);
            Ok(())
        });
        if let Err(error) = published {
            tracing::error!(%site, %error, "twin not published");
        }
    }

    fn handle_enrolment(&mut self, client: &ClientId, request: &enrol::Request) {
        let now = now_ms();
        let answer = match self.enrol(client, request, now) {
            Ok(answer) => answer,
            Err(error) => return tracing::error!(%client, %error, "enrolment failed; the box asks again"),
        };
        if let enrol::Answer::Refused(reason) = &answer {
            tracing::warn!(%client, serial = request.serial, ?reason, "enrolment refused");
        }
        let bytes = Envelope::new(now, now, answer).to_bytes();
        self.mqtt.say(&Topic::EnrolAnswer(client.clone()), bytes, Delivery::ExpiresIn(ANSWER_S));
    }

    fn enrol(&mut self, client: &ClientId, request: &enrol::Request, now: u64) -> anyhow::Result<enrol::Answer> {
        let refused = |reason| Ok(enrol::Answer::Refused(reason));
        if !self.wrong_codes.may_try(&client.to_string(), now) {
            return refused(Refusal::TooManyTries);
        }
        let hash = secret::keyed(&self.pki.code_key, &codes::normal(&request.code));
        let Ok(key) = Pki::request_key(&request.csr_pem) else { return refused(Refusal::BadRequest) };
        let (site, record) = self.store.code(&hash)?.map_or((None, None), |(site, record)| (Some(site), Some(record)));
        match (codes::judge(record, &key, now), site) {
            (Verdict::Good, Some(site)) => self.enrol_at(&site, &hash, &key, request, now),
            (Verdict::Again(enrolled), _) => Ok(enrol::Answer::Enrolled(Box::new(enrolled))),
            (Verdict::Used, _) => refused(Refusal::UsedCode),
            (Verdict::Expired, _) => refused(Refusal::ExpiredCode),
            (Verdict::Unknown | Verdict::Good, _) => {
                self.wrong_codes.handle_failure(client.to_string(), now);
                refused(Refusal::UnknownCode)
            }
        }
    }

    fn enrol_at(
        &mut self,
        site: &SiteCode,
        code_hash: &str,
        request_key: &str,
        request: &enrol::Request,
        now: u64,
    ) -> anyhow::Result<enrol::Answer> {
        // The random part: an id that can be guessed can be thrown out by whoever chooses their own client id.
        let appliance: ApplianceId = format!("bp-{site}-{}", secret::clear(10)?.to_lowercase()).parse()?;
        let cert_pem = match self.pki.enrol(&request.csr_pem, &appliance) {
            Ok(cert) => cert,
            Err(error) => {
                tracing::warn!(%error, serial = request.serial, "request for a certificate refused");
                return Ok(enrol::Answer::Refused(Refusal::BadRequest));
            }
        };
        let Some(key) = pki::box_key(&cert_pem) else { return Ok(enrol::Answer::Refused(Refusal::BadRequest)) };
        let enrolled = Enrolled {
            appliance: appliance.clone(),
            site: site.clone(),
            cert_pem,
            ca_pem: self.pki.trust_pem.clone(),
            server_key: self.pki.command_public(),
            broker: self.config.broker.to_string(),
            replaces: self.store.site(site)?.and_then(|known| known.appliance),
        };
        let serial: String = request.serial.chars().filter(|c| !c.is_control()).take(64).collect();
        let earlier = self.store.enrol(code_hash, request_key, &serial, &enrolled, now)?;
        if let Some(earlier) = earlier {
            tracing::info!(%site, %earlier, %appliance, "box replaced");
            self.keys.remove(&earlier);
            self.mqtt.clear(&Topic::State(earlier.clone()));
            self.mqtt.clear(&Topic::Desired(earlier));
        }
        self.keys.insert(appliance, key);
        self.reload_site(site)?;
        self.publish_twin(site);
        Ok(enrol::Answer::Enrolled(Box::new(enrolled)))
    }

    /// The store's word on a site becomes the fleet's.
    pub(super) fn reload_site(&mut self, site: &SiteCode) -> Result<(), StoreError> {
        if let Some(record) = self.store.site(site)? {
            self.fleet.put(record);
        }
        self.dirty = true;
        Ok(())
    }

    /// What a box last said of itself, if it is reached.
    pub(super) fn online(&self, site: &SiteCode) -> Option<bridgepoint_wire::presence::Online> {
        let view = self.fleet.view(site, now_ms())?;
        view.online.filter(|_| view.reach == Reach::Online).cloned()
    }
}
