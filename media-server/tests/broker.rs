//! Who may do what at the broker, with real certificates against a real mosquitto.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;

use std::time::Duration;

use bridgepoint_wire::enrol::{Answer, Refusal};
use centre::mqtt::{Credential, Line};
use centre::{BoxStub, Centre};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

const SOON: Duration = Duration::from_millis(300);

fn fleet_of_two() -> (Centre, BoxStub, BoxStub) {
    let centre = Centre::start();
    let (a, b) = (centre.site("17611", "Tri Lễ"), centre.site("16681", "Vinh"));
    let (a, b) = (centre.enrol(&a), centre.enrol(&b));
    (centre, a, b)
}

#[test]
fn a_box_says_its_own_and_hears_its_own_and_nothing_else() {
    let (_centre, a, b) = fleet_of_two();
    let line_b = b.connect();
    let line_a = Line::connect(&a.credential, a.id()).unwrap();
    assert!(line_a.say(&a.topic("up/health"), b"x", None, false));
    for topic in [
        b.topic("up/state"),
        b.topic("up/event"),
        b.topic("down/command"),
        a.topic("down/command"),
        a.topic("down/desired"),
        "bp/1/enrol/x/up".into(),
        "bp/1/enrol/x/down".into(),
        "bp/2/x".into(),
        "$SYS/x".into(),
    ] {
        assert!(!line_a.say(&topic, b"x", None, false), "{topic} was taken");
    }
    // The twin is retained: a box hears its own at once …
    assert!(line_a.subscribe(&a.topic("down/#")));
    assert!(line_a.next(Duration::from_secs(5)).is_some_and(|message| message.topic == a.topic("down/desired")));
    // … and whatever else it asks for, nothing of others ever comes.
    for filter in [b.topic("down/#"), b.topic("up/#"), "#".into(), "bp/1/+/down/desired".into(), "$SYS/#".into()] {
        line_a.subscribe(&filter);
    }
    assert!(line_b.say(&b.topic("up/health"), b"secret", None, false));
    while let Some(message) = line_a.next(SOON) {
        assert!(message.topic.starts_with(&a.topic("down/")), "{message:?}");
    }
    assert!(!line_b.was_ended());
}

#[test]
fn a_client_id_is_the_certificates_name_whatever_is_claimed() {
    let (_centre, a, b) = fleet_of_two();
    let line_b = b.connect();
    let claims_b = Line::connect(&a.credential, b.id()).unwrap();
    assert!(!claims_b.say(&b.topic("up/health"), b"x", None, false));
    assert!(claims_b.say(&a.topic("up/health"), b"x", None, false));
    assert!(line_b.say(&b.topic("up/health"), b"x", None, false), "b was thrown out");
}

#[test]
fn the_bootstrap_credential_reaches_enrolment_and_nothing_else() {
    let (centre, a, _) = fleet_of_two();
    let bootstrap = centre.bootstrap();
    let line = Line::connect(&bootstrap, "new-1").unwrap();
    assert!(line.subscribe("bp/1/enrol/new-1/down"));
    for topic in [
        "bp/1/enrol/new-2/up".to_owned(),
        "bp/1/enrol/new-1/down".into(),
        a.topic("up/event"),
        a.topic("down/command"),
        "bp/1/bootstrap/up/state".into(),
    ] {
        assert!(!line.say(&topic, b"x", None, false), "{topic} was taken");
    }
    for filter in [a.topic("down/#"), "#".into(), "bp/1/enrol/+/down".into()] {
        line.subscribe(&filter);
    }
    let other = Line::connect(&bootstrap, "new-2").unwrap();
    other.subscribe("bp/1/enrol/new-1/down");
    assert!(line.say("bp/1/enrol/new-1/up", b"garbage", None, false));
    assert!(line.next(SOON).is_none() && other.next(SOON).is_none());
    // Client ids with the letters of patterns open nothing.
    for id in ["+", "#", "a/b", "new-1/up"] {
        if let Ok(line) = Line::connect(&bootstrap, id) {
            assert!(!line.say("bp/1/enrol/new-9/up", b"x", None, false), "{id}");
            line.subscribe("bp/1/enrol/+/down");
        }
    }
    // Each listener knows only its own authority.
    let at_fleet = Credential { port: centre.ports.broker, ..bootstrap };
    assert!(Line::connect(&at_fleet, "x").is_err());
    let at_enrolment = Credential { port: centre.ports.enrol, ..a.credential.clone() };
    assert!(Line::connect(&at_enrolment, "x").is_err());
}

#[test]
fn a_code_enrols_one_box_once_and_guessing_is_locked() {
    let centre = Centre::start();
    let code = centre.site("17611", "Tri Lễ");
    let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let first = key();
    let Answer::Enrolled(enrolled) = centre.ask("new-1", &code.to_lowercase(), &first) else { panic!() };
    assert_eq!(enrolled.site.as_str(), "17611");
    // The answer may have been lost: the same box gets it again, another one nothing.
    let Answer::Enrolled(again) = centre.ask("new-1", &code, &first) else { panic!() };
    assert_eq!(again.cert_pem, enrolled.cert_pem);
    assert_eq!(centre.ask("new-2", &code, &key()), Answer::Refused(Refusal::UsedCode));
    for _ in 0..5 {
        assert_eq!(centre.ask("new-3", "AAAA-AAAA", &key()), Answer::Refused(Refusal::UnknownCode));
    }
    assert_eq!(centre.ask("new-3", "AAAA-AAAA", &key()), Answer::Refused(Refusal::TooManyTries));
    let (_, made) = centre.post("/api/sites/17611/code", &serde_json::json!({}));
    let code = made["code"].as_str().unwrap();
    let Answer::Enrolled(second) = centre.ask("new-4", code, &key()) else { panic!() };
    assert_ne!(second.appliance, enrolled.appliance);
    assert_eq!(centre.get("/api/sites")[0]["appliance"], second.appliance.as_str());
}

#[test]
fn a_broker_of_another_authority_is_told_apart_from_one_that_is_not_there() {
    let mut centre = Centre::new();
    let other = Centre::new();
    centre.start_server();
    centre::wait("the operator reads that the broker refuses", || centre.log().contains("refused the connection"));
    for name in ["server.pem", "server.key"] {
        std::fs::copy(other.pki(name), centre.pki(name)).unwrap();
    }
    centre.server = None;
    std::fs::remove_file(centre.dir().join("server.log")).unwrap();
    centre.start_broker();
    centre.start_server();
    centre::wait("the operator reads that the broker is foreign", || centre.log().contains("of another authority"));
}
