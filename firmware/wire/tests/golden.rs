//! The bytes of every payload of version 1. When a test here fails, change the code, never the file: boxes in the field
//! speak these bytes.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::fmt::Debug;

use bridgepoint_wire::Envelope;
use bridgepoint_wire::camera::{
    CameraAction, CameraEvent, CameraOrder, CameraRefusal, Drive, Motion, Mover, Position, PresetNumber, Rank, Speed,
    StopReason, Travel, Zoom,
};
use bridgepoint_wire::command::{Command, IceCredentials, Join, Order, Outcome, Reply, VideoOrder};
use bridgepoint_wire::commissioning::{
    AddressFrom, Addressing, CallProof, ChannelProof, CodeFrom, CommissioningReport, EncoderProof, LineProof, Occasion,
    PictureProof, PlaybackProof, Proofs,
};
use bridgepoint_wire::enrol::{Answer, Enrolled, Refusal, Request};
use bridgepoint_wire::event::{Ack, CommandRefusal, Event, MutedBy, PressRefusal};
use bridgepoint_wire::health::{Health, LinkHealth};
use bridgepoint_wire::picture::{Figures, PictureEvent, Unfit};
use bridgepoint_wire::presence::{Online, Presence};
use bridgepoint_wire::sound::{MicrophoneEvent, MicrophoneFault, SoundTest, SoundTestFigures, SoundTestSaid};
use bridgepoint_wire::twin::{Desired, Planned, Volume};
use bridgepoint_wire::update::{Update, UpdateEnd, UpdateFault};
use serde::Serialize;
use serde::de::DeserializeOwned;

const AT: u64 = 1_795_500_000_000;

/// `bodies` in envelopes, one a line, are the file's bytes, and the file's bytes read back as them.
fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(file: &str, bodies: Vec<T>) {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let envelopes: Vec<_> = (1..).zip(bodies).map(|(seq, body)| Envelope::new(seq, AT, body)).collect();
    let lines: Vec<String> = envelopes.iter().map(|e| String::from_utf8(e.to_bytes()).unwrap()).collect();
    assert_eq!(lines.join("\n") + "\n", golden, "{file}");
    let read: Vec<Envelope<T>> = golden.lines().map(|line| Envelope::from_bytes(line.as_bytes()).unwrap()).collect();
    assert_eq!(read, envelopes, "{file}");
}

fn id<T: std::str::FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

#[test]
fn v1_state() {
    let online = Online {
        site: id("17611"),
        version: "0.1.0".into(),
        boot: "1".into(),
        dtls_fingerprint: "AA:BB".into(),
        session: Some(id("20261124-101530-17611")),
        muted: false,
        twin: 3,
    };
    holds("v1-state.json", vec![Presence::Online(online), Presence::Lost]);
}

#[test]
fn v1_health() {
    let measured = Health {
        uptime_s: 60,
        cpu_percent: 12.5,
        memory_mib: 80,
        disk_free_mib: 20_000,
        disk_used_percent: 40.0,
        encoder_fps: Some(25.0),
        mic_dbfs: Some(-30.5),
        channels_dbfs: vec![],
        loudspeaker: None,
        link: Some(LinkHealth { up: true, rtt_ms: Some(1.5), loss_percent: 0.0, up_kbps: 2_000, down_kbps: 2_100 }),
        clock_offset_ms: Some(-3),
        version: "0.1.0".into(),
        media: "capturing".into(),
        temperature_c: Some(51.0),
    };
    holds(
        "v1-health.json",
        vec![measured, Health::default(), Health { channels_dbfs: vec![-30.5, -127.0], ..Health::default() }],
    );
}

#[test]
fn v1_event() {
    let session = || id("20261124-101530-17611");
    let events = vec![
        Event::Started { version: "0.1.0".into() },
        Event::CallRequested { sites: vec![id("16681"), id("16756")] },
        Event::EndRequested { session: session() },
        Event::PressRefused { reason: PressRefusal::NotTheCaller },
        Event::Muted { on: true, by: MutedBy::Button },
        Event::Joined { session: session() },
        Event::Left { session: session() },
        Event::Recording { session: session(), file: "site-17611.mp4".into() },
        Event::MediaRestarted { count: 1, reason: "signal 9".into() },
        Event::CommandRefused { seq: Some(7), reason: CommandRefusal::Replayed },
        Event::TwinRefused { version: None, reason: "malformed".into() },
        Event::Fault { text: "CameraMissing".into(), details: vec!["/dev/video0".into()] },
    ];
    holds("v1-event.json", events);
}

#[test]
fn v1_ack() {
    holds("v1-ack.json", vec![Ack { through: 41 }]);
}

fn join() -> Join {
    let ice = |name: &str| IceCredentials { ufrag: name.into(), pwd: "p".repeat(22) };
    Join {
        session: id("20261124-101530-17611"),
        origin_ms: AT,
        caller: id("17611"),
        media: vec!["127.0.0.1:7000".into()],
        dtls_fingerprint: "AA:BB".into(),
        ice_centre: ice("centre"),
        ice_box: ice("box1"),
        main: VideoOrder { width: 1280, height: 720, fps: 25, kbps: 1_500 },
        thumb: VideoOrder { width: 640, height: 360, fps: 25, kbps: 500 },
        audio_kbps: 48,
    }
}

#[test]
fn v1_test_call() {
    let command = Command { expires_at_ms: AT + 10_000, order: Order::TestCall(Box::new(join())) };
    holds("v1-command-test-call.json", vec![command]);
    holds("v1-event-test-call.json", vec![Event::TestCallWanted]);
}

#[test]
fn v1_sound_test() {
    let order = |install| Command { expires_at_ms: AT + 10_000, order: Order::TestSound { install } };
    holds("v1-command-sound-test.json", vec![order(false), order(true)]);
    let figures = |channel, value: Option<i16>| SoundTestFigures {
        channel,
        level_dbfs: value.map(|value| -value),
        delay_ms: value,
        erl_db: value,
        snr_db: value,
    };
    let first = SoundTest {
        compared_with_ms: None,
        kept: true,
        good: true,
        said: vec![SoundTestSaid { text: "SoundTestGood".into(), details: Vec::new() }],
        microphones: vec![figures(0, Some(30))],
    };
    let later = SoundTest {
        compared_with_ms: Some(AT),
        kept: false,
        good: false,
        said: vec![SoundTestSaid { text: "SoundTestQuieter".into(), details: vec!["1".into(), "9".into()] }],
        microphones: vec![figures(0, Some(39)), figures(4, None)],
    };
    holds("v1-event-sound-test.json", vec![Event::SoundTested(first), Event::SoundTested(later)]);
}

#[test]
fn v1_command() {
    let session = || id("20261124-101530-17611");
    let orders = [
        Order::Join(Box::new(join())),
        Order::Leave { session: session() },
        Order::Tally { session: session(), on_record: true },
        Order::Mute { on: true },
        Order::CallRefused { reason: PressRefusal::Busy },
        Order::ReportHealth,
    ];
    let command = |order| Command { expires_at_ms: AT + 10_000, order };
    holds("v1-command.json", orders.into_iter().map(command).collect());
}

#[test]
fn v1_reply() {
    let outcomes = [Outcome::Accepted, Outcome::Refused(CommandRefusal::Expired)];
    holds("v1-reply.json", outcomes.into_iter().map(|outcome| Reply { to: 7, outcome }).collect());
}

#[test]
fn v1_desired() {
    let desired = Desired {
        version: 2,
        site: id("16756"),
        name: "Xã Tri Lễ".into(),
        calls: vec![id("17611")],
        loudspeaker: None,
        planned: Vec::new(),
    };
    holds("v1-desired.json", vec![desired.clone()]);
    let planned = Planned { at_ms: AT + 86_400_000, title: "Tiếp công dân định kỳ tháng 12".into() };
    let loudspeaker = Some(Volume { percent: 70, muted: true });
    holds("v1-desired-room.json", vec![Desired { loudspeaker, planned: vec![planned], ..desired }]);
}

#[test]
fn v1_enrolment() {
    let request = Request { code: "7KQ2-M9FD".into(), serial: "SN-1".into(), csr_pem: "PEM".into() };
    holds("v1-enrol-request.json", vec![request]);
    let enrolled = Enrolled {
        appliance: id("bp-17611-abc"),
        site: id("17611"),
        cert_pem: "PEM".into(),
        ca_pem: "PEM".into(),
        server_key: "KEY".into(),
        broker: "127.0.0.1:8883".into(),
        replaces: None,
    };
    let answers = vec![Answer::Enrolled(Box::new(enrolled)), Answer::Refused(Refusal::UsedCode)];
    holds("v1-enrol-answer.json", answers);
}

#[test]
fn v1_update() {
    let update = Update {
        version: "0.2.0".into(),
        url: "https://centre.example.vn/bundles/0.2.0.raucb".into(),
        bytes: 104_857_600,
        sha256: "ab".repeat(32),
    };
    let order = Order::Update(Box::new(update));
    holds("v1-command-update.json", vec![Command { expires_at_ms: AT + 10_000, order }]);
    let updated = |end, seen: &str| Event::Updated { version: "0.2.0".into(), end, seen: seen.into() };
    let old = |fault| updated(UpdateEnd::Old(fault), "");
    let events = vec![
        updated(UpdateEnd::New, ""),
        updated(UpdateEnd::NoWayBack, ""),
        updated(UpdateEnd::Old(UpdateFault::Download), "HTTP 404"),
        old(UpdateFault::Altered),
        old(UpdateFault::Refused),
        old(UpdateFault::Install),
        old(UpdateFault::NotStarted),
        old(UpdateFault::SelfTest),
        old(UpdateFault::Unproven),
        old(UpdateFault::Died),
        Event::FellBack { slot: "A".into() },
    ];
    holds("v1-event-updated.json", events);
}

fn place() -> Position {
    Position { pan: Travel::clamped(-2_500), tilt: Travel::clamped(125), zoom: Zoom::clamped(4_000) }
}

fn drive() -> Drive {
    Drive { pan: Speed::clamped(-40), tilt: Speed::default(), zoom: Speed::clamped(100) }
}

#[test]
fn v1_command_camera() {
    let preset = PresetNumber::clamped(3);
    let actions = [
        CameraAction::Drive(drive()),
        CameraAction::Stop,
        CameraAction::GoTo(place()),
        CameraAction::Recall { preset: PresetNumber::HOME },
        CameraAction::Store { preset, name: "Bàn chủ trì".try_into().unwrap() },
        CameraAction::Clear { preset },
        CameraAction::Release,
    ];
    let command = |action| Command {
        expires_at_ms: AT + 1_000,
        order: Order::Camera(CameraOrder { operator: "lan".into(), action }),
    };
    holds("v1-command-camera.json", actions.into_iter().map(command).collect());
}

#[test]
fn v1_event_camera() {
    let lan = || Mover::Operator("lan".into());
    let preset = PresetNumber::clamped(3);
    let mut events = vec![
        CameraEvent::Started { by: lan(), motion: Motion::Drive(drive()), from: Some(place()) },
        CameraEvent::Started { by: Mover::Room, motion: Motion::GoTo(place()), from: None },
        CameraEvent::Started { by: Mover::Voice, motion: Motion::Preset(preset), from: None },
        CameraEvent::PresetStored { by: lan(), preset, name: "Bàn chủ trì".try_into().unwrap(), at: Some(place()) },
        CameraEvent::PresetCleared { by: lan(), preset },
        CameraEvent::NotAnswering,
        CameraEvent::Lost,
        CameraEvent::Back,
    ];
    let reasons = [
        StopReason::Asked,
        StopReason::Arrived,
        StopReason::DeadMan,
        StopReason::MoverLost,
        StopReason::TakenBy(Rank::Operator),
        StopReason::Next,
        StopReason::Limit,
        StopReason::Failed,
        StopReason::TooLong,
        StopReason::LineLost,
        StopReason::Ending,
    ];
    events.extend(reasons.map(|why| CameraEvent::Stopped { by: lan(), why, at: None }));
    events.extend(refusals().map(|reason| CameraEvent::Failed { by: lan(), reason }));
    holds("v1-event-camera.json", events.into_iter().map(Event::Camera).collect());
}

fn refusals() -> [CameraRefusal; 13] {
    [
        CameraRefusal::Held(Rank::Voice),
        CameraRefusal::Held(Rank::Room),
        CameraRefusal::Held(Rank::Operator),
        CameraRefusal::NoCamera,
        CameraRefusal::NotAnswering,
        CameraRefusal::Unsupported,
        CameraRefusal::OutsideLimits,
        CameraRefusal::AtLimit,
        CameraRefusal::PositionUnknown,
        CameraRefusal::PresetUnknown,
        CameraRefusal::Moving,
        CameraRefusal::Busy,
        CameraRefusal::Ending,
    ]
}

#[test]
fn v1_reply_camera() {
    let reply = |reason| Reply { to: 7, outcome: Outcome::Refused(CommandRefusal::Camera(reason)) };
    holds("v1-reply-camera.json", refusals().map(reply).into());
}

#[test]
fn v1_event_microphone() {
    let fault = |fault| MicrophoneEvent::Faulty { channel: 0, fault };
    let events = [
        fault(MicrophoneFault::Silent),
        fault(MicrophoneFault::Stuck),
        fault(MicrophoneFault::Clipped),
        fault(MicrophoneFault::Weak),
        MicrophoneEvent::Back { channel: 0 },
        MicrophoneEvent::Using { channel: 1, instead_of: 0 },
        MicrophoneEvent::NoneWorks,
    ];
    holds("v1-event-microphone.json", events.map(Event::Microphone).into());
}

#[test]
fn v1_event_picture() {
    let camera = || "rtsp://192.168.10.20/stream1".to_owned();
    let figures = Figures { width: 1280, height: 720, fps: 25, kbps: 2_040, key_every_ms: 2_000 };
    let mut events = vec![
        PictureEvent::Lost { camera: camera(), reason: "connection refused".into() },
        PictureEvent::Back { camera: camera(), after_ms: 2_150 },
        PictureEvent::Untouched { camera: camera(), figures },
    ];
    let reasons = [
        Unfit::NoFormat,
        Unfit::TooLarge { width: 2_560, height: 1_440 },
        Unfit::Colours,
        Unfit::Interlaced,
        Unfit::BFrames,
        Unfit::RareKeyFrames { none_for_ms: 5_040 },
        Unfit::RateTooHigh { kbps: 16_000, most: 8_000 },
    ];
    events.extend(reasons.map(|why| PictureEvent::Transcoded { camera: camera(), why }));
    holds("v1-event-picture.json", events.into_iter().map(Event::Picture).collect());
}

#[test]
fn v1_event_commissioned() {
    let proofs = |how, code_from| Proofs {
        address: Addressing { how, address: "10.20.30.40/24".into() },
        clock_offset_ms: -12,
        centre_rtt_ms: 31,
        code_from,
        picture: PictureProof { mean: 112, spread: 48 },
        sound: vec![ChannelProof { dbfs: -31, peak_dbfs: -12 }, ChannelProof { dbfs: -33, peak_dbfs: -13 }],
        encoder: EncoderProof { name: "x264".into(), pictures_in: 125, pictures_out: 125 },
        line: LineProof { seconds: 30, up_kbps: 9_100, down_kbps: 18_400, loss_permille: 2, rtt_ms: 38 },
        call: CallProof { seconds: 10, pictures: 248, sounds: 499, delay_ms: 290 },
        playback: PlaybackProof { recorded_ms: 10_040, bytes: 2_480_112 },
    };
    let report = |occasion, how, code_from| {
        Event::Commissioned(Box::new(CommissioningReport {
            occasion,
            site: id("17611"),
            appliance: id("bp-17611-abc"),
            serial: "BP-2026-000017".into(),
            version: "0.1.0".into(),
            took_s: 412,
            failures: 3,
            proofs: proofs(how, code_from),
        }))
    };
    let exchange = Occasion::Exchange { replaces: id("bp-17611-old") };
    let moved = |replaces| Occasion::Move { from: id("16756"), replaces };
    let events = vec![
        report(Occasion::First, AddressFrom::Dhcp, CodeFrom::Keyboard),
        report(exchange, AddressFrom::UsbStick, CodeFrom::UsbStick),
        report(moved(None), AddressFrom::Dhcp, CodeFrom::QrCode),
        report(moved(Some(id("bp-17611-old"))), AddressFrom::Dhcp, CodeFrom::Kept),
    ];
    holds("v1-event-commissioned.json", events);
}

#[test]
fn v1_enrolment_in_place_of_another_box() {
    let enrolled = Enrolled {
        appliance: id("bp-17611-abc"),
        site: id("17611"),
        cert_pem: "PEM".into(),
        ca_pem: "PEM".into(),
        server_key: "KEY".into(),
        broker: "127.0.0.1:8883".into(),
        replaces: Some(id("bp-17611-old")),
    };
    holds("v1-enrol-answer-replaces.json", vec![Answer::Enrolled(Box::new(enrolled))]);
}
