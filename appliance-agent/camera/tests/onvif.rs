//! The ONVIF client against a camera in software, over real sockets, with each fault of real cameras.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use agent_camera::onvif::camera::{OnvifCamera, STOP_EVERY, STOP_FOR, Settings};
use agent_camera::onvif::client::nonce;
use agent_camera::onvif::discovery::{Audience, FoundCamera, MessageId, search};
use agent_camera::onvif::login::Credential;
use agent_camera::onvif::soap::FaultKind;
use agent_camera::onvif::trial::{Found, StopWay};
use agent_camera::ptz::{Means, Position, Preset, Ptz as _, Speeds};
use agent_camera::{CameraError, Remedy};
use camera_sim::onvif::{Account, Config, Device, Fault, Hitch, Place};

fn settings(device: &Device) -> Settings {
    let credential = Credential { user: "ptz".into(), password: "điểm cầu <&>".into() };
    Settings { address: device.address(), credential: Some(credential), ..Settings::default() }
}

fn config() -> Config {
    let account = Account { user: "ptz".into(), password: "điểm cầu <&>".into() };
    Config { account: Some(account), ..Config::default() }
}

async fn device(faults: &[Fault]) -> Device {
    let hitches = faults.iter().map(|fault| Hitch::always(*fault)).collect();
    Device::start(Config { hitches, ..config() }).await.unwrap()
}

async fn camera(device: &Device) -> OnvifCamera {
    OnvifCamera::connect(settings(device)).await.unwrap()
}

/// A device with faults, the client to it, and what the trial found.
async fn tried(faults: &[Fault]) -> (Device, OnvifCamera, Found) {
    let device = device(faults).await;
    let camera = camera(&device).await;
    let before = device.place();
    let found = camera.try_out().await.unwrap();
    assert_eq!(device.presets(), Vec::<String>::new(), "the trial's preset is left behind");
    if found.position && (found.stop.is_some() || found.absolute) {
        rests(&device).await;
        assert!(device.place().distance(before) < 0.04, "{:?} instead of {before:?}", device.place());
    }
    (device, camera, found)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 15 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn rests(device: &Device) {
    until("it rests", || !device.is_moving()).await;
}

fn near(place: Place, position: Position) -> bool {
    let other = Place { pan: position.pan().into(), tilt: position.tilt().into(), zoom: position.zoom().into() };
    place.distance(other) < 0.02
}

/// Whether an error is the one that a fault must give.
type IsRight = fn(&CameraError) -> bool;

const RIGHT: fn() -> Speeds = || Speeds::new(0.5, 0.0, 0.0);

const EVERYTHING: Found =
    Found { position: true, stop: Some(StopWay::Stop), absolute: true, relative: true, presets: true, zoom: true };

#[tokio::test]
async fn a_good_camera_moves_and_stops_and_says_where_it_is() {
    let (device, camera, found) = tried(&[]).await;
    assert_eq!(found, EVERYTHING);
    let before = device.place();
    camera.drive(RIGHT()).await.unwrap();
    until("it moves", || device.place().pan > before.pan + 0.05).await;
    camera.stop().await.unwrap();
    rests(&device).await;
    assert!(near(device.place(), camera.position().await.unwrap()));
    let target = Position::new(-0.5, 0.4, 0.8);
    camera.goto(target).await.unwrap();
    until("it arrives", || near(device.place(), target)).await;
}

#[tokio::test]
async fn a_movement_that_nobody_repeats_ends_by_itself() {
    let device = device(&[]).await;
    let camera = camera(&device).await;
    let start = Instant::now();
    camera.drive(Speeds::new(0.05, 0.0, 0.0)).await.unwrap();
    until("it moves", || device.is_moving()).await;
    rests(&device).await;
    let (took, hold) = (start.elapsed(), camera.capabilities().hold);
    assert!(took < hold + Duration::from_secs(1), "{took:?}");
    assert!(took > hold / 2, "{took:?}");
}

#[tokio::test]
async fn a_camera_whose_clock_is_hours_off_lets_us_in() {
    for skew_ms in [-27_000_000, 27_000_000, -900_000_000_000] {
        let device = Device::start(Config { skew_ms, ..config() }).await.unwrap();
        let camera = camera(&device).await;
        assert!((camera.client().skew_ms() - skew_ms).abs() < 2_000, "{}", camera.client().skew_ms());
        camera.position().await.unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_was_set_is_asked_for_again() {
    let device = device(&[]).await;
    let camera = camera(&device).await;
    device.set_skew_ms(-3_600_000);
    device.take_requests();
    camera.drive(RIGHT()).await.unwrap();
    assert_eq!(device.take_requests(), ["ContinuousMove", "GetSystemDateAndTime", "ContinuousMove"]);
    camera.stop().await.unwrap();
    assert_eq!(device.take_requests().first().map(String::as_str), Some("Stop"));
}

#[tokio::test]
async fn http_digest_is_used_where_the_camera_wants_it_also_when_nonces_run_out() {
    let hitches = vec![Hitch::always(Fault::DigestOnly)];
    let device = Device::start(Config { hitches, nonce_uses: 2, ..config() }).await.unwrap();
    let camera = camera(&device).await;
    for _ in 0..5 {
        camera.position().await.unwrap();
    }
    camera.drive(RIGHT()).await.unwrap();
    camera.stop().await.unwrap();
    rests(&device).await;
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_with_each_kind_of_login() {
    for fault in [None, Some(Fault::DigestOnly), Some(Fault::RefusesLogin), Some(Fault::BasicOnly)] {
        let device = device(fault.as_slice()).await;
        let mut wrong = settings(&device);
        if fault != Some(Fault::RefusesLogin) {
            wrong.credential.as_mut().unwrap().password = "wrong".into();
        }
        let error = OnvifCamera::connect(wrong).await.err().unwrap();
        assert!(matches!(error, CameraError::Login { .. }), "{fault:?}: {error}");
        assert_eq!(error.remedy(), Remedy::Alarm);
        let tries = device.take_requests().iter().filter(|name| *name == "GetProfiles").count();
        assert_eq!(tries, if fault == Some(Fault::DigestOnly) { 2 } else { 1 }, "{fault:?}");
    }
}

#[tokio::test]
async fn prefixes_mean_nothing_and_foreign_elements_are_not_taken_for_ours() {
    let (device, camera, found) = tried(&[Fault::OddPrefixes]).await;
    assert_eq!(found, EVERYTHING);
    assert!(near(device.place(), camera.position().await.unwrap()));
    device.set_hitches(&[Hitch::always(Fault::OddPrefixes), Hitch::at("Stop", Fault::SoapFault)]);
    camera.stop().await.unwrap();
}

#[tokio::test]
async fn older_and_misconfigured_cameras_are_found_their_way_in() {
    for (faults, media2) in [(&[Fault::NoGetServices][..], true), (&[Fault::WrongAddresses], true), (&[], false)] {
        let hitches = faults.iter().map(|fault| Hitch::always(*fault)).collect();
        let device = Device::start(Config { hitches, media2, ..config() }).await.unwrap();
        let camera = camera(&device).await;
        camera.position().await.unwrap();
        let uri = camera.client().stream_uri(camera.profile()).await.unwrap();
        assert_eq!(uri, "rtsp://127.0.0.1:554/Profile_1");
        device.take_requests();
        camera.synchronize().await.unwrap();
        assert_eq!(device.take_requests(), ["SetSynchronizationPoint"]);
    }
}

#[tokio::test]
async fn positions_in_degrees_are_ours_all_the_same() {
    let device = Device::start(Config { degrees: true, ..config() }).await.unwrap();
    let camera = camera(&device).await;
    assert!(near(device.place(), camera.position().await.unwrap()));
    let target = Position::new(0.5, -0.5, 0.5);
    camera.goto(target).await.unwrap();
    until("it arrives", || near(device.place(), target)).await;
}

#[tokio::test]
async fn a_claimed_absolute_move_that_does_nothing_is_replaced_by_driving_and_looking() {
    let (device, camera, found) = tried(&[Fault::AbsoluteDoesNothing]).await;
    assert_eq!(found, Found { absolute: false, ..EVERYTHING });
    assert_eq!(camera.capabilities().goto, Means::Emulated);
    let target = Position::new(-0.4, 0.3, 0.7);
    camera.goto(target).await.unwrap();
    rests(&device).await;
    assert!(near(device.place(), target), "{:?}", device.place());
}

#[tokio::test]
async fn presets_that_do_nothing_are_replaced_by_remembered_positions() {
    let (device, camera, found) = tried(&[Fault::PresetsDoNothing]).await;
    assert_eq!(found, Found { presets: false, ..EVERYTHING });
    assert_eq!(camera.capabilities().presets, Means::Emulated);
    let place = camera.position().await.unwrap();
    camera.store(Preset(7)).await.unwrap();
    camera.goto(Position::new(-0.8, 0.0, 0.0)).await.unwrap();
    until("it is away", || device.place().pan < -0.7).await;
    camera.recall(Preset(7)).await.unwrap();
    until("it is back", || near(device.place(), place)).await;
    assert_eq!(device.presets(), Vec::<String>::new());
    // After a restart of the box.
    let again = Settings { spots: camera.spots(), found: Some(found), ..settings(&device) };
    let again = OnvifCamera::connect(again).await.unwrap();
    again.recall(Preset(7)).await.unwrap();
    again.remove(Preset(7)).await.unwrap();
    assert!(matches!(again.recall(Preset(7)).await, Err(CameraError::NoPreset { .. })));
}

#[tokio::test]
async fn other_things_that_are_only_claimed_are_found_too() {
    let (_, _, found) = tried(&[Fault::RelativeDoesNothing, Fault::ZoomDoesNothing, Fault::NoPresets]).await;
    assert_eq!(found, Found { relative: false, zoom: false, presets: false, ..EVERYTHING });
}

#[tokio::test]
async fn a_camera_that_acknowledges_everything_and_stands_still_can_do_nothing() {
    let (_, camera, found) = tried(&[Fault::NothingMoves]).await;
    let nothing = Found { position: true, stop: None, absolute: false, relative: false, presets: false, zoom: false };
    assert_eq!(found, nothing);
    let refused = camera.drive(RIGHT()).await.unwrap_err();
    assert!(matches!(refused, CameraError::Unable { .. }) && refused.remedy() == Remedy::Accept, "{refused}");
}

#[tokio::test]
async fn without_a_position_it_is_driven_and_its_own_presets_are_trusted() {
    let (device, camera, found) = tried(&[Fault::NoPosition]).await;
    assert_eq!(found, Found { position: false, absolute: false, relative: false, ..EVERYTHING });
    let can = camera.capabilities();
    assert_eq!((can.drive, can.goto, can.presets, can.position), (Means::Device, Means::No, Means::Device, false));
    assert!(matches!(camera.position().await, Err(CameraError::Unable { .. })));
    camera.drive(RIGHT()).await.unwrap();
    camera.stop().await.unwrap();
    rests(&device).await;
}

#[tokio::test]
async fn a_camera_that_ignores_stop_is_stopped_by_no_speed() {
    let (device, camera, found) = tried(&[Fault::IgnoresStop]).await;
    assert_eq!(found.stop, Some(StopWay::NoSpeed));
    let before = device.place();
    camera.drive(RIGHT()).await.unwrap();
    until("it moves", || (device.place().pan - before.pan).abs() > 0.05).await;
    let start = Instant::now();
    camera.stop().await.unwrap();
    rests(&device).await;
    assert!(start.elapsed() < Duration::from_millis(800), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_camera_that_only_its_timeout_stops_gets_short_ones() {
    let (device, camera, found) = tried(&[Fault::IgnoresStop, Fault::IgnoresNoSpeed]).await;
    assert_eq!(found.stop, Some(StopWay::Timeout));
    assert!(camera.capabilities().hold <= Duration::from_millis(500));
    camera.drive(RIGHT()).await.unwrap();
    let start = Instant::now();
    rests(&device).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_cameras_own_presets_and_home_are_used_when_they_work() {
    let device = device(&[]).await;
    let camera = camera(&device).await;
    let place = camera.position().await.unwrap();
    camera.store(Preset(1)).await.unwrap();
    camera.store(Preset(1)).await.unwrap();
    camera.set_home().await.unwrap();
    assert_eq!(device.presets(), ["bridgepoint-1"]);
    for back in ["preset", "home"] {
        camera.goto(Position::new(0.9, 0.9, 0.0)).await.unwrap();
        until("it is away", || device.place().pan > 0.8).await;
        if back == "preset" { camera.recall(Preset(1)).await } else { camera.home().await }.unwrap();
        until(back, || near(device.place(), place)).await;
    }
    camera.remove(Preset(1)).await.unwrap();
    camera.remove(Preset(1)).await.unwrap();
    assert_eq!(device.presets(), Vec::<String>::new());
    assert!(matches!(camera.recall(Preset(1)).await, Err(CameraError::NoPreset { preset: Preset(1), .. })));
}

#[tokio::test]
async fn a_home_that_the_camera_does_not_know_is_remembered_here() {
    let device = device(&[Fault::NoHome]).await;
    let camera = camera(&device).await;
    assert!(camera.home().await.is_err());
    let place = camera.position().await.unwrap();
    camera.set_home().await.unwrap();
    camera.goto(Position::new(0.9, 0.0, 0.0)).await.unwrap();
    until("it is away", || device.place().pan > 0.8).await;
    camera.home().await.unwrap();
    until("it is home", || near(device.place(), place)).await;
}

#[tokio::test]
async fn every_answer_that_is_none_is_an_error_of_its_kind_and_the_next_one_counts() {
    let device = device(&[]).await;
    let camera = camera(&device).await;
    let cases: [(Fault, IsRight); 7] = [
        (Fault::AnswersPartly, |e| matches!(e, CameraError::Line { request: "GetStatus", .. })),
        (Fault::AnswersGarbage, |e| matches!(e, CameraError::Garbled { request: "GetStatus", .. })),
        (Fault::NoHttp, |e| matches!(e, CameraError::Line { .. })),
        (Fault::Cut, |e| matches!(e, CameraError::Line { .. })),
        (Fault::Silent, |e| matches!(e, CameraError::Silent { waited, .. } if *waited == Duration::from_secs(2))),
        (Fault::SoapFault, |e| matches!(e, CameraError::Refused { fault, .. } if fault.kind == FaultKind::Other)),
        (Fault::RefusesLogin, |e| matches!(e, CameraError::Login { .. })),
    ];
    for (fault, is_right) in cases {
        device.set_hitches(&[Hitch::at("GetStatus", fault)]);
        let start = Instant::now();
        let error = camera.position().await.unwrap_err();
        assert!(is_right(&error), "{fault:?}: {error:?}");
        assert!(start.elapsed() < Duration::from_millis(2_500), "{fault:?}: {:?}", start.elapsed());
        device.set_hitches(&[]);
        camera.position().await.unwrap();
    }
    for harmless in [Fault::AnswersTwice, Fault::AnswersLate] {
        device.set_hitches(&[Hitch::at("GetStatus", harmless)]);
        assert!(near(device.place(), camera.position().await.unwrap()), "{harmless:?}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_behind_an_answer_that_does_not_come() {
    let device = device(&[]).await;
    let camera = camera(&device).await;
    camera.drive(RIGHT()).await.unwrap();
    until("it moves", || device.is_moving()).await;
    device.set_hitches(&[Hitch::at("GetStatus", Fault::Silent), Hitch::at("AbsoluteMove", Fault::Silent)]);
    let start = Instant::now();
    let (_, _, stopped) = tokio::join!(camera.position(), camera.goto(Position::default()), async {
        let done = camera.stop().await;
        (done, start.elapsed(), device.is_moving())
    });
    stopped.0.unwrap();
    rests(&device).await;
    let stops: Vec<_> = device.take_requests().into_iter().filter(|name| name == "Stop").collect();
    // At once, and again when the fate of the movement is known.
    assert_eq!(stops.len(), 2);
}

#[tokio::test]
async fn a_movement_that_the_camera_takes_up_after_the_stop_is_stopped_again() {
    let device = Device::start(Config { late: Duration::from_millis(700), ..config() }).await.unwrap();
    let camera = camera(&device).await;
    device.set_hitches(&[Hitch::at("ContinuousMove", Fault::ActsLate)]);
    let (driven, stopped) = tokio::join!(camera.drive(Speeds::new(0.2, 0.0, 0.0)), async {
        until("the movement is sent", || device.take_requests().contains(&"ContinuousMove".to_owned())).await;
        camera.stop().await
    });
    driven.unwrap();
    stopped.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!device.is_moving());
}

#[tokio::test]
async fn a_stop_is_repeated_until_it_is_answered() {
    let device = device(&[]).await;
    let camera = camera(&device).await;
    camera.drive(RIGHT()).await.unwrap();
    until("it moves", || device.is_moving()).await;
    device.lose_stops(3);
    device.take_requests();
    let start = Instant::now();
    camera.stop().await.unwrap();
    let took = start.elapsed();
    assert!((STOP_EVERY * 3..STOP_EVERY * 3 + Duration::from_millis(500)).contains(&took), "{took:?}");
    assert_eq!(device.take_requests(), ["Stop"; 4]);
    rests(&device).await;
}

#[tokio::test]
async fn a_stop_that_is_never_answered_is_said_to_be_so() {
    let device = device(&[]).await;
    let camera = camera(&device).await;
    device.set_hitches(&[Hitch::at("Stop", Fault::Cut)]);
    let start = Instant::now();
    let error = camera.stop().await.unwrap_err();
    assert!(start.elapsed() < STOP_FOR + Duration::from_secs(1));
    let CameraError::StopUnanswered { tries, .. } = error else { panic!("{error}") };
    assert!((35..=41).contains(&tries), "{tries}");
    assert_eq!(error.remedy(), Remedy::Alarm);
}

#[tokio::test]
async fn a_camera_that_is_not_there_is_said_to_be_so() {
    let address = device(&[]).await.address();
    let gone = OnvifCamera::connect(Settings { address, ..Settings::default() }).await.err().unwrap();
    assert!(matches!(gone, CameraError::Line { .. }), "{gone}");
    let wrong = Settings { address: "rtsp://192.168.1.64".into(), ..Settings::default() };
    let wrong = OnvifCamera::connect(wrong).await.err().unwrap();
    assert!(matches!(wrong, CameraError::Address { .. }), "{wrong}");
}

#[tokio::test]
async fn a_command_is_on_the_wire_at_once() {
    let device = device(&[]).await;
    let camera = camera(&device).await;
    let mut took = Vec::new();
    for n in 0..21 {
        let start = Instant::now();
        camera.drive(Speeds::new(0.1 + 0.01 * n as f32, 0.0, 0.0)).await.unwrap();
        took.push(start.elapsed());
    }
    took.sort();
    println!("command to answer: median {:?}, longest {:?}", took[10], took[20]);
    // There and back, with a new connection; a busy machine has room, a wait of any kind has not.
    assert!(took[10] < Duration::from_millis(20), "{took:?}");
}

async fn found(audience: Audience) -> Vec<FoundCamera> {
    search(audience, &MessageId::new(nonce()), Duration::from_millis(800)).await.unwrap()
}

fn free_port() -> u16 {
    std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn all_cameras_of_a_line_are_found_once() {
    let port = free_port();
    let discovery = Some((Ipv4Addr::LOCALHOST, port));
    let twice = vec![Hitch::always(Fault::AnswersTwice)];
    let one = Device::start(Config { discovery, hitches: twice, ..config() }).await.unwrap();
    let two = Device::start(Config { discovery, ..config() }).await.unwrap();
    let silent = vec![Hitch::at("Probe", Fault::Silent)];
    let _three = Device::start(Config { discovery, hitches: silent, ..config() }).await.unwrap();
    let garbage = vec![Hitch::at("Probe", Fault::AnswersGarbage)];
    let _four = Device::start(Config { discovery, hitches: garbage, ..config() }).await.unwrap();
    let partly = vec![Hitch::at("Probe", Fault::AnswersPartly)];
    let _five = Device::start(Config { discovery, hitches: partly, ..config() }).await.unwrap();
    let start = Instant::now();
    let mut found: Vec<_> = found(Audience::Line { interface: Ipv4Addr::LOCALHOST, port }).await;
    assert!(start.elapsed() < Duration::from_millis(1_500));
    found.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    let mut expected = [one.address(), two.address()];
    expected.sort();
    let addresses: Vec<_> = found.iter().flat_map(|camera| camera.addresses.clone()).collect();
    assert_eq!(addresses, expected);
    assert_eq!(found[0].hardware.as_deref(), Some("camera-sim"));
    assert!(found[0].name.as_deref().unwrap().starts_with("camera-sim "));
}

#[tokio::test]
async fn a_camera_whose_address_is_known_is_asked_alone() {
    let port = free_port();
    let device = Device::start(Config { discovery: Some((Ipv4Addr::LOCALHOST, port)), ..config() }).await.unwrap();
    let found = found(Audience::One((Ipv4Addr::LOCALHOST, port).into())).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].addresses, [device.address()]);
    assert_eq!(self::found(Audience::One((Ipv4Addr::LOCALHOST, free_port()).into())).await, []);
}
