//! An intruder in the broker replays, alters and delays commands: nothing happens, and each try is reported.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::fs;
use std::time::Duration;

use bridgepoint_wire::command::{Command, Order};
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::{Envelope, Topic};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use scenarios::mqtt::Seen;
use scenarios::running::Running;
use xtask::words::now_ms;

#[test]
fn replayed_altered_and_expired_commands_do_nothing_and_are_reported() {
    let (mut stack, intruder) = Running::start_with_intruder("replayed", 2).unwrap();
    let guest = stack.code(1).to_owned();
    let appliance = stack.at(&guest).unwrap().identity().unwrap().appliance;
    let topic = Topic::Command(appliance.parse().unwrap()).to_string();
    let tap = intruder.tap(&topic, stack.dir()).unwrap();
    stack.on_record().unwrap();
    let is_join = |seen: &&Seen| seen.payload.contains("\"Join\"");
    stack
        .wait("the join command seen", Duration::from_secs(10), || Ok(tap.seen()?.iter().any(|seen| is_join(&seen))))
        .unwrap();
    let join = tap.seen().unwrap().iter().find(is_join).cloned().unwrap();
    stack.end_session(Duration::from_secs(30)).unwrap();
    stack
        .wait("the guest has left", Duration::from_secs(10), || Ok(stack.box_status(&guest)?.session.is_none()))
        .unwrap();

    let refused = |reason: &str| {
        let events = stack.events()?;
        Ok(events.iter().any(|event| event["site"] == *guest && event["event"]["CommandRefused"]["reason"] == reason))
    };
    intruder.publish(&topic, &join).unwrap();
    stack.wait("the replay reported", Duration::from_secs(15), || refused("Replayed")).unwrap();

    let altered = Seen { payload: join.payload.replacen("\"seq\":", "\"seq\":9000", 1), ..join.clone() };
    assert_ne!(altered.payload, join.payload);
    intruder.publish(&topic, &altered).unwrap();
    stack.wait("the forgery reported", Duration::from_secs(15), || refused("BadSignature")).unwrap();

    // Signed by the right key, and a minute too late.
    let key = fs::read(stack.centre().dir.join("pki/command.key")).unwrap();
    let signer = Signer::from_pkcs8(PrivateKeyDer::from_pem_slice(&key).unwrap().secret_der()).unwrap();
    let command = Command { expires_at_ms: now_ms() - 60_000, order: Order::Mute { on: true } };
    // Its number is the next one: a far one would make every later command of the server an old one.
    let next = 1 + tap.seen().unwrap().iter().filter_map(sequence).filter(|seq| *seq < 1_000).max().unwrap();
    let payload = Envelope::new(next, now_ms() - 90_000, command).to_bytes();
    let jws = signer.sign(&topic, &payload).unwrap();
    let late = Seen { jws, payload: String::from_utf8(payload).unwrap() };
    intruder.publish(&topic, &late).unwrap();
    stack.wait("the late command reported", Duration::from_secs(15), || refused("Expired")).unwrap();

    let status = stack.box_status(&guest).unwrap();
    assert!(status.session.is_none() && !status.muted, "{status:?}");
    // Garbage on every topic that the server and the box read: dropped, and both live on.
    for topic in [
        topic.clone(),
        Topic::Desired(appliance.parse().unwrap()).to_string(),
        Topic::Ack(appliance.parse().unwrap()).to_string(),
        Topic::State(appliance.parse().unwrap()).to_string(),
        Topic::Event(appliance.parse().unwrap()).to_string(),
        Topic::Health(appliance.parse().unwrap()).to_string(),
        Topic::Reply(appliance.parse().unwrap()).to_string(),
        "bp/1/enrol/x/up".to_owned(),
    ] {
        for payload in ["", "{", "[]", "{\"v\":1}", "{\"v\":99,\"seq\":1,\"at_ms\":1,\"body\":null}", "\u{1F4A5}"] {
            intruder.publish(&topic, &Seen { jws: "x..y".into(), payload: payload.into() }).unwrap();
        }
    }
    drop(tap);
    let pids = (stack.supervisor().kept("server").pid, stack.box_status(&guest).unwrap().pid);
    stack.on_record().unwrap();
    assert_eq!(pids, (stack.supervisor().kept("server").pid, stack.box_status(&guest).unwrap().pid));
    stack.finish().unwrap();
}

fn sequence(seen: &Seen) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(&seen.payload).ok()?["seq"].as_u64()
}
