//! What holds whatever happens, in any order.

use std::collections::BTreeMap;

use bridgepoint_wire::camera::{Speed, Travel, Zoom};
use proptest::prelude::*;

use super::limits::ByAxis;
use super::tests::{capabilities, operator, pan_limits};
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Ask(Mover, CameraAction),
    Pass(u64),
    /// One of the calls that are open, the driver's choice.
    Answer(usize, Answer),
    Report(i32),
    Connect(u8),
    Disconnect,
    Lose(Rank),
    Shutdown,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Done,
    Failed(DriverFault),
    Place(i32),
}

fn movers() -> impl Strategy<Value = Mover> {
    prop_oneof![Just(Mover::Voice), Just(Mover::Room), Just(operator()), Just(Mover::Operator("minh".into())),]
}

fn actions() -> impl Strategy<Value = CameraAction> {
    let preset = || (0..5).prop_map(PresetNumber::clamped);
    let drive = (-100..=100, -3..=3, -100..=100)
        .prop_map(|(pan, tilt, zoom)| CameraAction::Drive(Drive::from_axes([pan, tilt, zoom])));
    prop_oneof![
        6 => drive,
        2 => Just(CameraAction::Stop),
        1 => Just(CameraAction::Release),
        2 => (-3_000..=3_000).prop_map(|pan| CameraAction::GoTo(Position::from_axes([pan, 0, 0]))),
        2 => preset().prop_map(|preset| CameraAction::Recall { preset }),
        1 => preset().prop_map(|preset| CameraAction::Store { preset, name: PresetName::default() }),
        1 => preset().prop_map(|preset| CameraAction::Clear { preset }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![Just(DriverFault::Silent), Just(DriverFault::Refused), Just(DriverFault::Unsupported)];
    let answer = prop_oneof![
        4 => Just(Answer::Done),
        1 => fault.prop_map(Answer::Failed),
        2 => (-2_500..=2_500).prop_map(Answer::Place),
    ];
    let step = prop_oneof![
        8 => (movers(), actions()).prop_map(|(by, action)| Step::Ask(by, action)),
        6 => prop_oneof![0..300_u64, 0..20_000_u64].prop_map(Step::Pass),
        8 => (any::<usize>(), answer).prop_map(|(which, answer)| Step::Answer(which, answer)),
        2 => (-2_500..=2_500).prop_map(Step::Report),
        2 => any::<u8>().prop_map(Step::Connect),
        1 => Just(Step::Disconnect),
        1 => prop_oneof![Just(Rank::Voice), Just(Rank::Room), Just(Rank::Operator)].prop_map(Step::Lose),
        1 => prop_oneof![9 => Just(Step::Pass(50)), 1 => Just(Step::Shutdown)],
    ];
    proptest::collection::vec(step, 0..80)
}

/// Cameras of every kind.
fn any_camera(dice: u8) -> Capabilities {
    let means = [Means::Speed, Means::Relative, Means::Absolute, Means::Position, Means::Home];
    let chosen: Vec<Means> =
        (0..).zip(means).filter(|(bit, _)| dice & (1 << bit) != 0).map(|(_, means)| means).collect();
    capabilities(&chosen, (dice >> 5) & 3)
}

/// Plays a sequence and keeps its own account of what must be true.
struct Judge {
    camera: Camera,
    now: Millis,
    connected: bool,
    /// Calls without an answer.
    open: BTreeMap<Ticket, Call>,
    /// The last call that moves or stops, on this line.
    last: Option<(Ticket, Call)>,
    /// The stops since the last motion.
    stops: Vec<Ticket>,
    /// One of them was confirmed.
    stopped: bool,
    /// A motion that has started and not stopped, as the events say.
    moving: Option<Mover>,
    /// When the camera must have been stopped, if nobody asks on.
    alive_until: Millis,
}

impl Judge {
    fn new(limits: Limits) -> Self {
        let camera = Camera::new(Millis(0), limits, Presets::default());
        Self {
            camera,
            now: Millis(0),
            connected: false,
            open: BTreeMap::new(),
            last: None,
            stops: Vec::new(),
            stopped: false,
            moving: None,
            alive_until: Millis(0),
        }
    }

    fn gather(&mut self) {
        while let Some(action) = self.camera.poll_action() {
            match action {
                Action::Call { ticket, call } => {
                    assert!(self.connected, "{call:?} without a line");
                    self.open.insert(ticket, call);
                    if !matches!(call, Call::AskPosition | Call::Store(_) | Call::Clear(_)) {
                        self.last = Some((ticket, call));
                        match call {
                            Call::Stop => self.stops.push(ticket),
                            _ => self.forget_stops(),
                        }
                    }
                }
                Action::Say(CameraEvent::Started { by, .. }) => {
                    assert_eq!(self.moving.replace(by), None, "two movers");
                }
                Action::Say(CameraEvent::Stopped { by, .. }) => assert_eq!(self.moving.take(), Some(by)),
                Action::Say(_) | Action::Keep => {}
            }
        }
        if let Some(mover) = &self.moving {
            assert_eq!(self.camera.owner(), Some(mover), "who moves it has it");
        }
    }

    fn forget_stops(&mut self) {
        self.stops.clear();
        self.stopped = false;
    }

    fn wake(&mut self) {
        self.camera.handle_timeout(self.now);
        self.gather();
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.after(ms);
        while let Some(at) = self.camera.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.wake();
            assert!(self.camera.poll_timeout().is_none_or(|next| next > self.now), "a timer that is never done");
            self.check();
        }
        self.now = end;
        self.check();
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Pass(ms) => self.pass(ms),
            Step::Ask(by, action) => {
                self.wake();
                let before = self.camera.owner().cloned();
                let drive = matches!(action, CameraAction::Drive(_));
                let touches = !matches!(action, CameraAction::Stop | CameraAction::Release);
                let begun = self.camera.handle_request(self.now, &by, action);
                self.gather();
                if begun.is_ok() && drive {
                    self.alive_until = self.now.after(DEAD_MAN_MS);
                }
                if let Some(before) = before.filter(|before| *before != by && begun.is_ok() && touches) {
                    let outranked = before.rank() < by.rank();
                    let zero = drive && self.moving.is_none();
                    assert!(outranked || zero, "{by:?} took the camera from {before:?}");
                }
            }
            Step::Answer(which, answer) => {
                if let Some(ticket) = self.open.keys().copied().nth(which % self.open.len().max(1)) {
                    self.answer(ticket, answer);
                }
            }
            Step::Report(pan) => self.camera.handle_position(self.now, None, Position::from_axes([pan, 0, 0])),
            Step::Connect(dice) => {
                self.connect(any_camera(dice));
            }
            Step::Disconnect => {
                self.camera.handle_disconnected(self.now);
                self.gather();
                self.connected = false;
                self.open.clear();
                self.forget_stops();
                self.last = None;
            }
            Step::Lose(rank) => {
                self.camera.handle_mover_lost(self.now, rank);
                assert_ne!(self.camera.owner().map(Mover::rank), Some(rank));
            }
            Step::Shutdown => self.camera.handle_shutdown(self.now),
        }
        self.gather();
        self.check();
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let Some(call) = self.open.remove(&ticket) else { return };
        match (call, answer) {
            (Call::AskPosition, Answer::Place(pan)) => {
                self.camera.handle_position(self.now, Some(ticket), Position::from_axes([pan, 0, 0]));
            }
            (_, Answer::Done | Answer::Place(_)) => {
                self.camera.handle_done(self.now, ticket);
                self.stopped |= self.stops.contains(&ticket);
            }
            (_, Answer::Failed(fault)) => self.camera.handle_failed(self.now, ticket, fault),
        }
        self.gather();
    }

    fn connect(&mut self, camera: Capabilities) {
        self.open.clear();
        self.forget_stops();
        self.last = None;
        self.connected = true;
        self.camera.handle_connected(self.now, camera);
        self.gather();
        assert!(matches!(self.last, Some((_, Call::Stop))), "a camera that is found is stopped");
    }

    fn check(&self) {
        if let Some((_, Call::Drive(drive))) = self.last {
            assert_ne!(drive, Drive::default(), "a stop is said as a stop");
            assert!(self.moving.is_some(), "a drive that nobody knows of");
            assert!(self.now < self.alive_until, "the dead man drives on");
        }
        let unconfirmed = self.last.is_some_and(|(ticket, call)| match call {
            Call::Stop => !self.stopped,
            _ => self.open.contains_key(&ticket),
        });
        if unconfirmed || self.moving.is_some() {
            assert!(self.camera.poll_timeout().is_some(), "no way on");
        }
    }

    /// From now on the camera does as it is told and nobody wants anything.
    fn settle(&mut self) {
        for _ in 0..200 {
            for (ticket, call) in self.open.clone() {
                let answer = if call == Call::AskPosition { Answer::Place(0) } else { Answer::Done };
                self.answer(ticket, answer);
            }
            self.pass(100);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn never_two_movers_never_a_drive_without_a_stop_and_always_a_way_on(steps in steps(), limited: bool, dice: u8) {
        let mut judge = Judge::new(if limited { pan_limits(-2_000, 2_000) } else { Limits::none() });
        judge.connect(any_camera(dice));
        let ends = steps.iter().any(|step| matches!(step, Step::Shutdown));
        for step in steps {
            judge.play(step);
        }
        judge.settle();
        prop_assert_eq!(&judge.moving, &None);
        prop_assert_eq!(judge.camera.owner(), None);
        if ends {
            prop_assert!(judge.camera.has_ended(judge.now));
        } else {
            judge.connect(capabilities(&[Means::Speed, Means::Absolute, Means::Position], 0));
            judge.settle();
            judge.play(Step::Ask(Mover::Voice, CameraAction::GoTo(Position::default())));
            prop_assert_eq!(&judge.moving, &Some(Mover::Voice));
        }
    }

    #[test]
    fn a_real_camera_stays_within_its_soft_limits(
        drives in proptest::collection::vec((-100..=100_i32, -100..=100_i32, 20..900_u64), 1..30),
        percent_of_told in 60..=105_u32,
        latency in 0..60_u64,
    ) {
        let camera = capabilities(&[Means::Speed, Means::Position], 0);
        let mut judge = Judge::new(pan_limits(-2_000, 2_000));
        judge.connect(camera.clone());
        let mut sim = Sim { place: [0.0; 3], drive: Drive::default(), percent_of_told, latency, due: Vec::new() };
        for (pan, tilt, hold) in drives {
            let drive = Drive { pan: Speed::clamped(pan), tilt: Speed::clamped(tilt), zoom: Speed::default() };
            for ms in 0..hold {
                if ms % 250 == 0 {
                    judge.play(Step::Ask(operator(), CameraAction::Drive(drive)));
                }
                judge.pass(1);
                sim.millisecond(&mut judge, &camera);
                prop_assert!(sim.place[0].abs() <= 2_000.0, "at {:?}", sim.place);
            }
        }
    }
}

/// A camera that hears late, moves at its own speed and answers late.
struct Sim {
    place: [f64; 3],
    drive: Drive,
    percent_of_told: u32,
    latency: u64,
    due: Vec<(u64, Ticket, Call)>,
}

impl Sim {
    fn millisecond(&mut self, judge: &mut Judge, camera: &Capabilities) {
        let now = judge.now.0;
        let known: Vec<Ticket> = self.due.iter().map(|(_, ticket, _)| *ticket).collect();
        let new = judge.open.iter().filter(|(ticket, _)| !known.contains(ticket));
        self.due.extend(new.map(|(ticket, call)| (now + self.latency, *ticket, *call)));
        for axis in Axis::ALL {
            let full = f64::from(camera.full_speed(axis)) * f64::from(self.percent_of_told) / 100.0;
            self.place[axis as usize] += full * f64::from(self.drive.on(axis)) / 100.0 / 1_000.0;
        }
        let due = self.due.extract_if(.., |(at, ..)| *at <= now).collect::<Vec<_>>();
        for (_, ticket, call) in due {
            match call {
                Call::Drive(drive) => self.drive = drive,
                Call::Stop => self.drive = Drive::default(),
                _ => {}
            }
            let [pan, tilt, zoom] = self.place.map(|on| on.round() as i32);
            let here = Position { pan: Travel::clamped(pan), tilt: Travel::clamped(tilt), zoom: Zoom::clamped(zoom) };
            judge.open.remove(&ticket);
            match call {
                Call::AskPosition => judge.camera.handle_position(judge.now, Some(ticket), here),
                _ => judge.camera.handle_done(judge.now, ticket),
            }
            judge.gather();
        }
    }
}
