//! An operator moves the camera of a commune from the centre, in a session: it goes where it is told, it stands when
//! nobody asks on, whoever is killed or silent, and the journal names the mover of every motion.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scenarios::running::{Running, journal};
use serde_json::Value;
use xtask::process::signal;

const PATIENCE: Duration = Duration::from_secs(20);
/// The box's dead man's second, the line, and a busy machine.
const STANDS_WITHIN: Duration = Duration::from_secs(3);

/// What somebody sees who stands beside a site's camera.
fn camera(stack: &Running, code: &str) -> Value {
    let text = std::fs::read(&stack.at(code).unwrap().camera).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// An operator who holds the camera's button down, until it is killed.
fn hold(stack: &Running, code: &str) -> Child {
    let mut bpctl = Command::new(&stack.programs().bpctl);
    bpctl.arg("--token-file").arg(&stack.centre().token_file);
    bpctl.args(["camera", code, "drive", "--pan", "10", "--for", "60"]);
    bpctl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn moves(stack: &Running, code: &str) {
    stack.wait("it moves", PATIENCE, || Ok(camera(stack, code)["driving"] == true)).unwrap();
}

/// How long it went on.
fn stands(stack: &Running, code: &str) -> Duration {
    let since = Instant::now();
    stack.wait("it stands", PATIENCE, || Ok(camera(stack, code)["driving"] == false)).unwrap();
    since.elapsed()
}

#[test]
fn an_operator_moves_a_camera_and_it_never_goes_on_by_itself() {
    let mut stack = Running::start("camera-moved", 2).unwrap();
    let id = stack.on_record().unwrap().session.unwrap();
    let code = stack.code(1).to_owned();
    let code = code.as_str();
    stack.wait("the camera is found", PATIENCE, || Ok(stack.bpctl(&["camera", code, "stop"]).is_ok())).unwrap();

    stack.bpctl(&["camera", code, "goto", "--", "-5000", "2500", "8000"]).unwrap();
    stack
        .wait("it is there", PATIENCE, || {
            let now = camera(&stack, code);
            let at = |axis: &str, steps: i64| (now[axis].as_i64().unwrap() - steps).abs() <= 8;
            Ok(at("pan", -1_134) && at("tilt", 600) && at("zoom", 13_107))
        })
        .unwrap();
    stack
        .wait("a preset", PATIENCE, || Ok(stack.bpctl(&["camera", code, "store", "2", "Bàn chủ trì"]).is_ok()))
        .unwrap();
    let refused = stack.bpctl(&["camera", code, "recall", "50"]).unwrap_err().to_string();
    assert!(refused.contains("no preset of that number"), "{refused}");

    // The operator's own program dies.
    let mut operator = hold(&stack, code);
    moves(&stack, code);
    operator.kill().unwrap();
    operator.wait().unwrap();
    let went_on = stands(&stack, code);
    assert!(went_on < STANDS_WITHIN, "went on for {went_on:?}");

    // The box's control process is killed: its next life stops the camera before anything else.
    let mut operator = hold(&stack, code);
    moves(&stack, code);
    let agent = stack.summary().unwrap().pids.agents[code].agent.unwrap();
    operator.kill().unwrap();
    operator.wait().unwrap();
    signal(agent, Signal::SIGKILL).unwrap();
    stands(&stack, code);
    stack.wait("the preset is known", PATIENCE, || Ok(stack.bpctl(&["camera", code, "recall", "2"]).is_ok())).unwrap();

    // A site without its box.
    let refused = stack.bpctl(&["camera", "99999", "stop"]).unwrap_err().to_string();
    assert!(refused.contains("99999"), "{refused}");

    stack.record_for(Duration::from_secs(2)).unwrap();
    let archive = stack.finish().unwrap();
    assert!(archive.ends_with(&id));
    let entries: Vec<Value> = journal(&archive).unwrap();
    let of = |what: &str| {
        let entries = entries.iter().filter(|entry| entry["kind"] == "camera" && entry["body"]["site"] == code);
        entries.filter_map(|entry| entry["body"]["event"].get(what).cloned()).collect::<Vec<Value>>()
    };
    let (started, stopped) = (of("Started"), of("Stopped"));
    assert!(started.iter().chain(&stopped).all(|event| event["by"]["Operator"].is_string()), "{entries:?}");
    let why: Vec<&str> = stopped.iter().filter_map(|event| event["why"].as_str()).collect();
    assert!(why.contains(&"Arrived") && why.contains(&"DeadMan"), "{why:?}");
    assert!(started.len() >= 4, "{started:?}");
    assert_eq!(of("PresetStored")[0]["name"], "Bàn chủ trì");
}
