//! A box gets its identity, once, or says in one message why not, and leaves nothing.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;

use bridgepoint_wire::enrol::Refusal;
use centre::{CODE, Centre, agent, end_of};

#[test]
fn a_good_code_gives_an_identity_of_which_the_key_never_left_the_box() {
    let mut centre = Centre::new();
    let config = centre.enrol();
    let identity = centre.dir().join("data/identity");
    for file in ["identity.json", "key.pem", "cert.pem", "ca.pem"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(identity.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let (status, said) = end_of(&mut agent(&["enrol", "--code", CODE], &config));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("enrolled already"), "{said}");
}

#[test]
fn each_refusal_is_one_message_in_both_languages_and_leaves_nothing() {
    let mut centre = Centre::new();
    let config = centre.config("");
    for (refusal, vi, en) in [
        (Refusal::UnknownCode, "không đúng", "is wrong"),
        (Refusal::UsedCode, "đã được dùng", "was used before"),
        (Refusal::ExpiredCode, "đã hết hạn", "has expired"),
        (Refusal::TooManyTries, "Quá nhiều lần", "Too many wrong codes"),
        (Refusal::BadRequest, "không nhận yêu cầu", "did not accept"),
    ] {
        let mut agent = agent(&["enrol", "--code", CODE], &config);
        centre.answer_enrolment(Some(refusal));
        let (status, said) = end_of(&mut agent);
        assert_eq!(status.code(), Some(1), "{refusal:?}");
        assert!(said.contains(vi) && said.contains(en), "{refusal:?}: {said}");
        let left: Vec<_> = std::fs::read_dir(centre.dir().join("data")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_broker_of_another_authority_is_told_nothing() {
    let mut centre = Centre::new();
    let config = centre.config("");
    let fleet = std::fs::read(centre.dir().join("fleet-ca.pem")).unwrap();
    std::fs::write(centre.dir().join("bootstrap-ca.pem"), fleet).unwrap();
    let (status, said) = end_of(&mut agent(&["enrol", "--code", CODE], &config));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("của một tổ chức khác") && said.contains("another authority"), "{said}");
    centre.forget_backlog();
}

#[test]
fn a_broker_that_is_not_there_or_does_not_let_in_is_named() {
    let mut centre = Centre::new();
    let config = centre.config("");
    // The fleet's listener does not know the bootstrap certificate.
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(&centre.enrol_port.to_string(), &centre.port.to_string());
    std::fs::write(&config, text.replace("bootstrap-ca.pem", "fleet-ca.pem")).unwrap();
    let (status, said) = end_of(&mut agent(&["enrol", "--code", CODE], &config));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("refused the connection") && said.contains(&centre.port.to_string()), "{said}");
    centre.kill_broker();
    let (status, said) = end_of(&mut agent(&["enrol", "--code", CODE], &config));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("refused the connection"), "{said}");
}

#[test]
fn what_is_wrong_with_the_world_or_the_files_is_said_at_once() {
    let centre = Centre::new();
    let config = centre.config("colour = \"red\"\npreset2 = 1");
    let (status, said) = end_of(&mut agent(&["run"], &config));
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("colour") && said.contains("preset2") && said.contains("agent.toml"), "{said}");

    let config = centre.config("");
    let (status, said) = end_of(&mut agent(&["run"], &config));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("not enrolled"), "{said}");

    std::fs::remove_file(centre.dir().join("clip.mp4")).unwrap();
    let (status, said) = end_of(&mut agent(&["run"], &config));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("clip.mp4") && said.contains("cannot be opened"), "{said}");

    std::fs::remove_dir_all(centre.dir().join("records")).unwrap();
    std::fs::write(centre.dir().join("records"), "a file, no folder").unwrap();
    let (status, said) = end_of(&mut agent(&["run"], &config));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("records") && said.contains("cannot be written"), "{said}");
}
