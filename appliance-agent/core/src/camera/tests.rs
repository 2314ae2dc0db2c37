//! Each rule of the camera by itself.

use std::collections::BTreeSet;

use bridgepoint_wire::camera::{Speed, Travel, Zoom};

use super::limits::{ByAxis, LimitsConfig};
use super::*;

pub(super) fn capabilities(means: &[Means], presets: u8) -> Capabilities {
    let axes = BTreeSet::from(Axis::ALL);
    Capabilities { axes, means: means.iter().copied().collect(), presets, full_speed: [5_000, 4_000, 2_500] }
}

pub(super) fn pan_limits(low: i32, high: i32) -> Limits {
    LimitsConfig { pan: [Travel::clamped(low), Travel::clamped(high)], ..LimitsConfig::default() }.try_into().unwrap()
}

const EVERYTHING: [Means; 4] = [Means::Speed, Means::Absolute, Means::Position, Means::Home];

pub(super) fn operator() -> Mover {
    Mover::Operator("lan".into())
}

fn place(pan: i32) -> Position {
    Position { pan: Travel::clamped(pan), tilt: Travel::default(), zoom: Zoom::default() }
}

fn right(percent: i32) -> CameraAction {
    CameraAction::Drive(Drive { pan: Speed::clamped(percent), ..Drive::default() })
}

const fn preset(number: PresetNumber) -> CameraAction {
    CameraAction::Recall { preset: number }
}

/// A camera's core, with all that it wanted and said, and a clock that meets each of its timers.
struct Bench {
    camera: Camera,
    now: Millis,
    calls: Vec<(u64, Ticket, Call)>,
    said: Vec<CameraEvent>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let camera = Camera::new(Millis(0), limits, Presets::default());
        Self { camera, now: Millis(0), calls: Vec::new(), said: Vec::new() }
    }

    /// There, at rest, at place 0.
    fn ready(means: &[Means], presets: u8, limits: Limits) -> Self {
        let mut bench = Self::new(limits);
        bench.camera.handle_connected(bench.now, capabilities(means, presets));
        bench.gather();
        bench.done_all();
        bench.report(0);
        bench.clear();
        bench
    }

    fn gather(&mut self) {
        while let Some(action) = self.camera.poll_action() {
            match action {
                Action::Call { ticket, call } => self.calls.push((self.now.0, ticket, call)),
                Action::Say(event) => self.said.push(event),
                Action::Keep => {}
            }
        }
    }

    fn clear(&mut self) {
        self.gather();
        self.calls.clear();
        self.said.clear();
    }

    fn done_all(&mut self) {
        for (_, ticket, _) in self.calls.clone() {
            self.camera.handle_done(self.now, ticket);
        }
        self.gather();
    }

    fn report(&mut self, pan: i32) {
        self.camera.handle_position(self.now, None, place(pan));
        self.gather();
    }

    fn ask(&mut self, by: &Mover, action: CameraAction) -> Result<(), CameraRefusal> {
        let outcome = self.camera.handle_request(self.now, by, action);
        self.gather();
        outcome
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.after(ms);
        while let Some(at) = self.camera.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.camera.handle_timeout(self.now);
            self.gather();
        }
        self.now = end;
    }

    /// What the driver was told about moving, and when.
    fn moves(&self) -> Vec<(u64, Call)> {
        let moves = self.calls.iter().filter(|(_, _, call)| *call != Call::AskPosition);
        moves.map(|(at, _, call)| (*at, *call)).collect()
    }

    fn stops(&self) -> Vec<StopReason> {
        let why = |event: &CameraEvent| match event {
            CameraEvent::Stopped { why, .. } => Some(*why),
            _ => None,
        };
        self.said.iter().filter_map(why).collect()
    }
}

fn driving(percent: i32) -> Call {
    Call::Drive(Drive { pan: Speed::clamped(percent), ..Drive::default() })
}

#[test]
fn a_drive_that_nobody_renews_ends_after_a_second() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), right(50)).unwrap();
    bench.done_all();
    bench.pass(700);
    bench.ask(&operator(), right(50)).unwrap();
    bench.pass(999);
    assert_eq!(bench.moves(), [(0, driving(50))]);
    bench.pass(1);
    assert_eq!(bench.moves(), [(0, driving(50)), (1_700, Call::Stop)]);
    assert_eq!(bench.stops(), [StopReason::DeadMan]);
}

#[test]
fn a_late_renewal_does_not_bridge_the_gap() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), right(50)).unwrap();
    bench.done_all();
    // The shell slept through the timer.
    bench.now = Millis(1_500);
    bench.ask(&operator(), right(50)).unwrap();
    assert_eq!(bench.moves(), [(0, driving(50)), (1_500, Call::Stop), (1_500, driving(50))]);
}

#[test]
fn a_stop_is_said_until_the_camera_confirms_it_and_its_silence_is_an_event() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), right(50)).unwrap();
    bench.done_all();
    bench.clear();
    bench.ask(&operator(), CameraAction::Stop).unwrap();
    bench.pass(3_000);
    let at: Vec<u64> = bench.moves().iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [0, 200, 400, 600, 800, 1_000, 2_000, 3_000]);
    assert!(bench.said.contains(&CameraEvent::NotAnswering));
    assert_eq!(bench.ask(&operator(), right(50)), Err(CameraRefusal::NotAnswering));
    bench.done_all();
    bench.clear();
    bench.pass(10_000);
    assert_eq!(bench.moves(), []);
    assert_eq!(bench.ask(&operator(), right(50)), Ok(()));
}

#[test]
fn a_stop_that_is_confirmed_late_counts_whichever_it_is_but_not_over_another_motion() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    let stops = |bench: &Bench| -> Vec<Ticket> {
        bench.calls.iter().filter(|(_, _, call)| *call == Call::Stop).map(|(_, ticket, _)| *ticket).collect()
    };
    bench.ask(&operator(), right(50)).unwrap();
    bench.ask(&operator(), CameraAction::Stop).unwrap();
    // Each answer takes longer than it takes until the stop is said again.
    bench.pass(3 * Camera::STOP_REPEAT_MS - 1);
    assert_eq!(stops(&bench).len(), 3);
    let first = stops(&bench)[0];
    bench.camera.handle_done(bench.now, first);
    bench.pass(Camera::GOING_MS);
    assert_eq!(stops(&bench).len(), 3);

    bench.clear();
    bench.ask(&operator(), right(50)).unwrap();
    bench.ask(&operator(), CameraAction::Stop).unwrap();
    bench.camera.handle_done(bench.now, first);
    bench.pass(Camera::STOP_REPEAT_MS);
    assert_eq!(stops(&bench).len(), 2, "the stop of before says nothing of this motion");
}

#[test]
fn one_owner_at_a_time_by_rank_until_the_lease_is_over() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    let other = Mover::Operator("minh".into());
    bench.ask(&Mover::Room, right(20)).unwrap();
    bench.done_all();
    assert_eq!(bench.ask(&Mover::Voice, preset(PresetNumber::HOME)), Err(CameraRefusal::Held(Rank::Room)));
    bench.ask(&operator(), right(50)).unwrap();
    assert_eq!(bench.stops(), [StopReason::TakenBy(Rank::Operator)]);
    assert_eq!(bench.ask(&Mover::Room, right(20)), Err(CameraRefusal::Held(Rank::Operator)));
    assert_eq!(bench.ask(&Mover::Room, CameraAction::Stop), Err(CameraRefusal::Held(Rank::Operator)));
    assert_eq!(bench.ask(&other, right(20)), Err(CameraRefusal::Held(Rank::Operator)));
    bench.ask(&other, CameraAction::Stop).unwrap();
    assert_eq!(bench.ask(&other, right(20)), Err(CameraRefusal::Held(Rank::Operator)));
    bench.done_all();
    bench.pass(Ownership::lease_ms(Rank::Operator));
    assert_eq!(bench.camera.owner(), None);
    bench.ask(&other, right(20)).unwrap();
    bench.ask(&other, CameraAction::Release).unwrap();
    bench.ask(&Mover::Voice, preset(PresetNumber::HOME)).unwrap();
}

#[test]
fn a_lost_mover_and_the_end_of_the_agent_stop_the_camera() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), right(50)).unwrap();
    bench.camera.handle_mover_lost(bench.now, Rank::Room);
    bench.gather();
    assert_eq!(bench.stops(), []);
    bench.camera.handle_mover_lost(bench.now, Rank::Operator);
    bench.gather();
    assert_eq!((bench.stops(), bench.camera.owner()), (vec![StopReason::MoverLost], None));
    bench.done_all();
    bench.clear();
    bench.camera.handle_shutdown(bench.now);
    bench.gather();
    assert_eq!(bench.moves(), [(0, Call::Stop)]);
    assert!(!bench.camera.has_ended(bench.now));
    assert_eq!(bench.ask(&operator(), right(50)), Err(CameraRefusal::Ending));
    bench.done_all();
    assert!(bench.camera.has_ended(bench.now));
}

#[test]
fn a_camera_that_comes_back_is_stopped_first() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), right(50)).unwrap();
    bench.camera.handle_disconnected(bench.now);
    bench.gather();
    assert_eq!(bench.stops(), [StopReason::LineLost]);
    assert_eq!(bench.ask(&operator(), right(50)), Err(CameraRefusal::NoCamera));
    bench.pass(20_000);
    bench.clear();
    bench.camera.handle_connected(bench.now, capabilities(&EVERYTHING, 0));
    bench.gather();
    assert_eq!(bench.moves(), [(20_000, Call::Stop)]);
}

#[test]
fn a_late_answer_to_an_old_call_changes_nothing() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), right(50)).unwrap();
    bench.ask(&operator(), CameraAction::GoTo(place(700))).unwrap();
    let [(_, drive, _), .., (_, go, _)] = bench.calls[..] else { panic!("{:?}", bench.calls) };
    bench.camera.handle_failed(bench.now, drive, DriverFault::Refused);
    bench.camera.handle_done(bench.now, drive);
    bench.gather();
    assert_eq!(bench.stops(), [StopReason::Next]);
    bench.camera.handle_done(bench.now, go);
    bench.gather();
    assert_eq!(bench.stops(), [StopReason::Next, StopReason::Arrived]);
    assert_eq!(bench.camera.position(), Some(place(700)));
}

#[test]
fn what_the_camera_refuses_or_leaves_unanswered_ends_in_a_stop() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), right(50)).unwrap();
    let ticket = bench.calls[0].1;
    bench.camera.handle_failed(bench.now, ticket, DriverFault::Refused);
    bench.gather();
    assert_eq!(bench.moves().last(), Some(&(0, Call::Stop)));
    assert!(bench.said.contains(&CameraEvent::Failed { by: operator(), reason: CameraRefusal::Unsupported }));
    bench.done_all();
    bench.clear();
    bench.ask(&operator(), right(50)).unwrap();
    for _ in 0..3 {
        bench.pass(500);
        let _ = bench.ask(&operator(), right(50));
    }
    assert_eq!(bench.moves()[..2], [(0, driving(50)), (1_500, Call::Stop)]);
    assert_eq!(bench.ask(&operator(), right(50)), Err(CameraRefusal::NotAnswering));
}

#[test]
fn a_camera_that_never_arrives_is_stopped() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), CameraAction::GoTo(place(700))).unwrap();
    bench.pass(Camera::GOING_MS);
    assert_eq!(bench.moves(), [(0, Call::GoTo(place(700))), (15_000, Call::Stop)]);
    assert_eq!(bench.stops(), [StopReason::TooLong]);
}

#[test]
fn a_drive_stops_before_the_soft_limit_and_only_turns_back_from_there() {
    let mut bench = Bench::ready(&EVERYTHING, 0, pan_limits(-2_000, 2_000));
    bench.ask(&operator(), right(100)).unwrap();
    bench.done_all();
    bench.pass(300);
    // 2 000 units at 5 000 a second: 400 ms, less the time that a stop takes.
    assert_eq!(bench.moves().last(), Some(&(250, Call::Stop)));
    assert_eq!(bench.stops(), [StopReason::Limit]);
    bench.report(1_990);
    assert_eq!(bench.ask(&operator(), right(100)), Err(CameraRefusal::AtLimit));
    assert_eq!(bench.ask(&operator(), right(-100)), Ok(()));
}

#[test]
fn where_the_camera_says_that_it_is_counts_more_than_where_it_should_be() {
    let mut bench = Bench::ready(&EVERYTHING, 0, pan_limits(-2_000, 2_000));
    bench.ask(&operator(), right(100)).unwrap();
    bench.done_all();
    bench.pass(200);
    bench.report(200);
    bench.pass(100);
    assert_eq!(bench.stops(), [], "it is slower than it said");
    bench.report(1_990);
    assert_eq!(bench.stops(), [StopReason::Limit]);
}

#[test]
fn with_limits_a_camera_whose_place_is_unknown_does_not_move_towards_them() {
    let mut bench = Bench::new(pan_limits(-2_000, 2_000));
    bench.camera.handle_connected(bench.now, capabilities(&EVERYTHING, 9));
    bench.gather();
    bench.done_all();
    assert_eq!(bench.ask(&operator(), right(10)), Err(CameraRefusal::PositionUnknown));
    assert_eq!(bench.ask(&operator(), preset(PresetNumber::clamped(4))), Err(CameraRefusal::PositionUnknown));
    assert_eq!(bench.ask(&operator(), CameraAction::GoTo(place(2_001))), Err(CameraRefusal::OutsideLimits));
    assert!(bench.calls.iter().any(|(_, _, call)| *call == Call::AskPosition));
    bench.report(0);
    assert_eq!(bench.ask(&operator(), right(10)), Ok(()));
}

#[test]
fn presets_are_kept_as_places_where_the_camera_keeps_none() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    let chair = PresetNumber::clamped(3);
    let name: PresetName = "Bàn chủ trì".try_into().unwrap();
    assert_eq!(bench.ask(&operator(), preset(chair)), Err(CameraRefusal::PresetUnknown));
    bench.ask(&operator(), CameraAction::Store { preset: chair, name: name.clone() }).unwrap();
    let (_, ticket, call) = bench.calls[0];
    assert_eq!(call, Call::AskPosition);
    bench.report(55);
    assert_eq!(bench.camera.presets(), &Presets::default(), "a report that was not asked for may be an old one");
    bench.camera.handle_position(bench.now, Some(ticket), place(1_234));
    bench.gather();
    let stored = CameraEvent::PresetStored { by: operator(), preset: chair, name, at: Some(place(1_234)) };
    assert_eq!(bench.said, [stored]);
    bench.clear();
    bench.ask(&operator(), preset(chair)).unwrap();
    assert_eq!(bench.moves(), [(0, Call::GoTo(place(1_234)))]);
    bench.done_all();
    bench.ask(&operator(), CameraAction::Clear { preset: chair }).unwrap();
    assert_eq!(bench.ask(&operator(), preset(chair)), Err(CameraRefusal::PresetUnknown));
}

#[test]
fn presets_in_the_camera_keep_their_names_here_once_the_camera_has_them() {
    let mut bench = Bench::ready(&[Means::Speed], 9, Limits::none());
    let door = PresetNumber::clamped(9);
    let store = || CameraAction::Store { preset: door, name: "Cửa".try_into().unwrap() };
    bench.ask(&operator(), store()).unwrap();
    assert_eq!(bench.ask(&operator(), store()), Err(CameraRefusal::Busy));
    assert_eq!(bench.moves(), [(0, Call::Store(door))]);
    assert_eq!(bench.camera.presets().iter().count(), 0);
    bench.done_all();
    assert_eq!(bench.camera.presets().get(door).unwrap().name.as_str(), "Cửa");
    let beyond = CameraAction::Store { preset: PresetNumber::clamped(10), name: PresetName::default() };
    assert_eq!(bench.ask(&operator(), beyond), Err(CameraRefusal::Unsupported));
    bench.ask(&operator(), CameraAction::Clear { preset: door }).unwrap();
    bench.pass(Camera::ANSWER_MS);
    let failed = CameraEvent::Failed { by: operator(), reason: CameraRefusal::NotAnswering };
    assert_eq!(bench.said.last(), Some(&failed));
    assert!(bench.camera.presets().get(door).is_some());
}

#[test]
fn home_is_the_stored_place_or_the_cameras_own_but_never_outside_the_limits() {
    let mut bench = Bench::ready(&EVERYTHING, 0, Limits::none());
    bench.ask(&operator(), preset(PresetNumber::HOME)).unwrap();
    assert_eq!(bench.moves(), [(0, Call::Home)]);
    let mut bench = Bench::ready(&EVERYTHING, 0, pan_limits(500, 2_000));
    bench.ask(&operator(), preset(PresetNumber::HOME)).unwrap();
    assert_eq!(bench.moves(), [(0, Call::GoTo(place(500)))]);
}

#[test]
fn a_camera_without_speeds_is_moved_in_steps_that_end_by_themselves() {
    let mut bench = Bench::ready(&[Means::Absolute, Means::Position], 0, pan_limits(-2_000, 1_500));
    bench.ask(&operator(), right(100)).unwrap();
    for _ in 0..3 {
        bench.done_all();
        bench.pass(200);
    }
    let steps: Vec<_> = bench.moves().into_iter().filter(|(_, call)| *call != Call::Stop).collect();
    assert_eq!(steps, [(0, Call::GoTo(place(1_000)))], "the second would go beyond");
    assert_eq!(bench.stops(), [StopReason::Limit]);
    let mut bench = Bench::ready(&[Means::Relative], 0, Limits::none());
    bench.ask(&operator(), right(10)).unwrap();
    bench.pass(900);
    assert_eq!(bench.moves().len(), 1, "no step before the last one is done");
    bench.done_all();
    bench.pass(50);
    let step = Call::Step(Displacement { pan: 100, ..Displacement::default() });
    assert_eq!(bench.moves(), [(0, step), (900, step)]);
}

#[test]
fn an_axis_that_the_camera_has_not_is_left_out() {
    let mut bench = Bench::new(Limits::none());
    let zoom_only = Capabilities { axes: [Axis::Zoom].into(), ..capabilities(&[Means::Speed], 0) };
    bench.camera.handle_connected(bench.now, zoom_only);
    assert_eq!(bench.ask(&operator(), right(10)), Err(CameraRefusal::Unsupported));
    bench.ask(&operator(), CameraAction::Drive(Drive::from_axes([10, 10, 10]))).unwrap();
    assert_eq!(bench.moves().last(), Some(&(0, Call::Drive(Drive::from_axes([0, 0, 10])))));
}
