//! A button is pressed: events, acknowledgements, orders, the worker, the end. The boxes are certificates without media.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;

use std::fs;
use std::time::Duration;

use bridgepoint_wire::Envelope;
use bridgepoint_wire::command::Order;
use bridgepoint_wire::event::{Ack, Event, PressRefusal};
use centre::mqtt::Line;
use centre::{BoxStub, Centre, wait};
use serde_json::{Value, json};

fn fleet_of_two() -> (Centre, BoxStub, BoxStub) {
    let centre = Centre::start();
    let (a, b) = (centre.site("17611", "Tri Lễ"), centre.site("16681", "Vinh"));
    let (a, b) = (centre.enrol(&a), centre.enrol(&b));
    (centre, a, b)
}

fn ack(stub: &BoxStub, centre: &Centre, line: &Line) -> u64 {
    let key = centre.server_key();
    line.find("an acknowledgement", |message| {
        (message.topic == stub.topic("down/ack")).then(|| {
            key.verify(&message.topic, &message.payload, message.jws.as_deref().unwrap()).unwrap();
            Envelope::<Ack>::from_bytes(&message.payload).unwrap().body.through
        })
    })
}

fn call() -> Event {
    Event::CallRequested { sites: vec!["16681".parse().unwrap()] }
}

#[test]
fn events_are_stored_once_and_acknowledged_and_forged_ones_do_nothing() {
    let (mut centre, a, b) = fleet_of_two();
    let line = a.connect();
    a.say_online(&line, None);
    let (bytes, jws) = a.event(Event::Started { version: "0.1.0".into() }, Duration::ZERO);
    let topic = a.topic("up/event");
    for _ in 0..2 {
        assert!(line.say(&topic, &bytes, Some(&jws), false));
        assert_eq!(ack(&a, &centre, &line), 1);
    }
    // Unsigned, altered, signed by another box, and what is no event at all.
    let (next, signature) = a.event(call(), Duration::ZERO);
    let mut altered = next.clone();
    *altered.last_mut().unwrap() = b' ';
    let (foreign, foreign_jws) = b.event(call(), Duration::ZERO);
    for (bytes, jws) in [(&next, None), (&altered, Some(&signature)), (&foreign, Some(&foreign_jws))] {
        assert!(line.say(&topic, bytes, jws.map(String::as_str), false));
    }
    for tail in ["up/event", "up/state", "up/health", "up/reply", "up/nothing"] {
        for garbage in [&b"\xff\xfe"[..], b"{}", b"[]", b"{\"v\":9,\"seq\":1,\"at_ms\":1,\"body\":{}}", b"null"] {
            line.say(&a.topic(tail), garbage, None, false);
        }
    }
    assert_eq!(centre.get("/api/events").as_array().unwrap().len(), 1);
    assert_eq!(centre.get("/api/sessions"), json!([]));
    // Stored means stored: also by the next server.
    centre.server = None;
    centre.start_server();
    wait("the next server hears the box", || centre.get("/api/sites/17611")["state"] == "online");
    assert!(line.say(&topic, &bytes, Some(&jws), false));
    assert_eq!(ack(&a, &centre, &line), 1);
    assert_eq!(centre.get("/api/events").as_array().unwrap().len(), 1);
}

#[test]
fn an_old_press_is_stored_and_starts_nothing() {
    let (centre, a, _) = fleet_of_two();
    let line = a.connect();
    let (bytes, jws) = a.event(call(), Duration::from_secs(31));
    assert!(line.say(&a.topic("up/event"), &bytes, Some(&jws), false));
    assert_eq!(ack(&a, &centre, &line), 1);
    assert_eq!(centre.get("/api/sessions"), json!([]));
}

#[test]
fn a_press_calls_both_boxes_and_the_caller_ends_it() {
    let (centre, a, b) = fleet_of_two();
    let (line_a, line_b) = (a.connect(), b.connect());
    a.say_online(&line_a, None);
    b.say_online(&line_b, None);
    wait("both are online", || {
        centre.get("/api/sites").as_array().unwrap().iter().all(|site| site["state"] == "online")
    });
    a.say_event(&line_a, call());
    let join = |stub: &BoxStub, line: &Line| {
        stub.order(&centre, line, "an order to join", |order| match order {
            Order::Join(join) => Some(join.clone()),
            _ => None,
        })
    };
    let (join_a, join_b) = (join(&a, &line_a), join(&b, &line_b));
    assert_eq!((&join_a.session, join_a.caller.as_str()), (&join_b.session, "17611"));
    assert_eq!(join_a.media, [format!("127.0.0.1:{}", centre.ports.media)]);
    assert_ne!(join_a.ice_box, join_b.ice_box);
    assert_eq!((join_a.thumb.width, join_a.thumb.height), (640, 360));
    let session = join_a.session.clone();
    a.say_online(&line_a, Some(session.clone()));
    b.say_online(&line_b, Some(session.clone()));

    let path = format!("/api/sessions/{session}");
    assert_eq!(centre.get(&path)["started_by"], json!({ "kind": "button", "who": "17611" }));
    // A box that sends no media is no recorder: the session is not on record, whatever the centre records.
    assert_eq!(centre.get(&path)["on_record"], false);
    // A guest cannot end it, and neither site can be called again.
    b.say_event(&line_b, Event::EndRequested { session: session.clone() });
    let refusal = |stub: &BoxStub, line: &Line| {
        stub.order(&centre, line, "a refusal", |order| match order {
            Order::CallRefused { reason } => Some(*reason),
            _ => None,
        })
    };
    assert_eq!(refusal(&b, &line_b), PressRefusal::NotTheCaller);
    a.say_event(&line_a, call());
    assert_eq!(refusal(&a, &line_a), PressRefusal::Busy);
    assert_eq!(centre.post("/api/sessions", &json!({ "sites": ["17611", "16681"] })).0, 409);

    wait("the program begins", || centre.get(&path)["state"] == "running");
    let status = || serde_json::from_slice::<Value>(&fs::read(centre.dir().join("run/status.json")).unwrap()).unwrap();
    wait("the status names the worker", || status()["conference_pid"].is_u64());
    assert_eq!(status()["session"], session.as_str());

    a.say_event(&line_a, Event::EndRequested { session: session.clone() });
    let leave = |order: &Order| matches!(order, Order::Leave { .. }).then_some(());
    a.order(&centre, &line_a, "an order to leave", leave);
    b.order(&centre, &line_b, "an order to leave", leave);
    wait("the record is sealed", || centre.get(&path)["state"] == "ended");
    assert!(status()["ended_at_ms"].is_u64() && status()["conference_pid"].is_null());

    let records = centre.get("/api/records");
    let names: Vec<&str> = records[0]["files"].as_array().unwrap().iter().filter_map(|f| f["name"].as_str()).collect();
    assert!(names.contains(&"journal.jsonl") && names.contains(&"seal.json"), "{names:?}\n{}", centre.log());
    let (_, report) = centre.post(&format!("/api/records/{session}/verify"), &json!({}));
    assert_eq!(report["verdict"], "intact", "{report}");
    let journal = centre.agent.get(centre.url(&format!("/api/records/{session}/files/journal.jsonl")));
    let journal = journal.header("Authorization", format!("Bearer {}", centre.token));
    let mut response = journal.header("Range", "bytes=0-15").call().unwrap();
    assert_eq!(response.status(), 206);
    assert!(response.headers()["content-range"].to_str().unwrap().starts_with("bytes 0-15/"));
    assert_eq!(response.body_mut().read_to_vec().unwrap().len(), 16);
    let journal =
        fs::read_to_string(centre.dir().join("archive").join(session.as_str()).join("journal.jsonl")).unwrap();
    for kind in ["session-started", "press", "session-stopped"] {
        assert!(journal.contains(&format!("\"kind\":\"{kind}\"")), "{kind}");
    }
    assert!(!centre.dir().join(format!("run/session-{session}.json")).exists(), "its keys are gone");
}

#[test]
fn a_killed_worker_is_replaced_and_a_killed_server_takes_the_session_over() {
    let (mut centre, _a, _b) = fleet_of_two();
    let (status, session) = centre.post("/api/sessions", &json!({ "sites": ["17611", "16681"] }));
    assert_eq!(status, 201, "{session}");
    let id = session["id"].as_str().unwrap().to_owned();
    let path = format!("/api/sessions/{id}");
    wait("the program begins", || centre.get(&path)["state"] == "running");
    let worker = |centre: &Centre| {
        let bytes = fs::read(centre.dir().join("run/status.json")).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["conference_pid"].as_i64()
    };
    wait("the worker is known", || worker(&centre).is_some());
    let first = worker(&centre).unwrap();
    let folder = centre.dir().join("archive").join(&id);
    let journal = || fs::read_to_string(folder.join("journal.jsonl")).unwrap_or_default();
    wait("something is recorded", || journal().contains("\"kind\":\"fragment\""));
    let pid = nix::unistd::Pid::from_raw(first as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait("there is another worker", || worker(&centre).is_some_and(|pid| pid != first));
    wait("the next part is recorded", || folder.join("program.2.mp4").exists());

    // The server dies (Drop kills it); the worker does not, and the next server adopts it.
    let second = worker(&centre).unwrap();
    centre.server = None;
    centre.start_server();
    wait("the session goes on", || centre.get(&path)["state"] == "running");
    wait("with the same worker", || worker(&centre) == Some(second));
    assert_eq!(centre.post(&format!("{path}/stop"), &json!({})).0, 200);
    wait("the record is sealed", || centre.get(&path)["state"] == "ended");
    let (_, report) = centre.post(&format!("/api/records/{id}/verify"), &json!({}));
    assert_eq!(report["verdict"], "intact", "{report}");

    // Everything dies: the next start closes what was left.
    let (_, session) = centre.post("/api/sessions", &json!({ "sites": ["17611", "16681"] }));
    let id = session["id"].as_str().unwrap().to_owned();
    let path = format!("/api/sessions/{id}");
    wait("the second session runs", || centre.get(&path)["state"] == "running");
    wait("its worker is known", || worker(&centre).is_some());
    let third = nix::unistd::Pid::from_raw(worker(&centre).unwrap() as i32);
    centre.server = None;
    nix::sys::signal::kill(third, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait("the worker is dead", || nix::sys::signal::kill(third, None).is_err());
    centre.start_server();
    wait("the record is sealed", || centre.get(&path)["state"] == "ended");
    let (_, report) = centre.post(&format!("/api/records/{id}/verify"), &json!({}));
    assert_eq!(report["verdict"], "intact", "{report}");
}
