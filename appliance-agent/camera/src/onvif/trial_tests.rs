use super::*;

/// What a device does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrong {
    Drive,
    Stop,
    NoSpeed,
    Timeout,
    Goto,
    Step,
    Recall,
    Store,
    Zoom,
    Position,
    /// Its status is half a second old.
    Stale,
}

/// A device in simulated time. Its fastest speed is in half ranges a second.
struct Device<'a> {
    wrong: &'a [Wrong],
    fastest: f32,
    at: Position,
    speeds: Speeds,
    target: Option<Position>,
    stop_at: Option<u64>,
    stored: Option<Position>,
    trail: Vec<Position>,
    farthest: f32,
}

const STEP_MS: u64 = 10;

impl Device<'_> {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong.contains(&wrong)
    }

    fn advance(&mut self, now: u64) {
        if self.stop_at.is_some_and(|at| now >= at) {
            self.speeds = Speeds::default();
        }
        let most = self.fastest * STEP_MS as f32 / 1_000.0;
        self.at = match self.target {
            Some(to) => {
                let near = |from: f32, to: f32| from + (to - from).clamp(-most, most);
                let (pan, tilt) = (near(self.at.pan(), to.pan()), near(self.at.tilt(), to.tilt()));
                Position::new(pan, tilt, near(self.at.zoom(), to.zoom()))
            }
            None => Position::new(
                self.speeds.pan().mul_add(most, self.at.pan()),
                self.speeds.tilt().mul_add(most, self.at.tilt()),
                self.speeds.zoom().mul_add(most, self.at.zoom()),
            ),
        };
        self.trail.push(self.at);
    }

    fn go(&mut self, to: Position, unless: Wrong) {
        if !self.is(unless) {
            self.target = Some(to);
        }
    }

    fn act(&mut self, act: Act, now: u64) -> Outcome {
        match act {
            Act::Read if self.is(Wrong::Position) => return Outcome::Position(None),
            Act::Read => {
                let age = if self.is(Wrong::Stale) { 500 / STEP_MS as usize } else { 0 };
                return Outcome::Position(Some(self.trail[self.trail.len().saturating_sub(1 + age)]));
            }
            Act::Drive(speeds, timeout_ms) if !self.is(Wrong::Drive) => {
                let zoom = if self.is(Wrong::Zoom) { 0.0 } else { speeds.zoom() };
                self.speeds = Speeds::new(speeds.pan(), speeds.tilt(), zoom);
                self.stop_at = (!self.is(Wrong::Timeout)).then_some(now + timeout_ms);
                self.target = None;
            }
            Act::Stop(StopWay::Stop) if !self.is(Wrong::Stop) => self.speeds = Speeds::default(),
            Act::Stop(StopWay::NoSpeed) if !self.is(Wrong::NoSpeed) => self.speeds = Speeds::default(),
            Act::Goto(to) => self.go(to, Wrong::Goto),
            Act::Approach(to) => {
                self.at = to;
                self.speeds = Speeds::default();
            }
            Act::Step(part) => {
                self.go(Position::new(self.at.pan() + 2.0 * part, self.at.tilt(), self.at.zoom()), Wrong::Step);
            }
            Act::Store if self.is(Wrong::Store) => return Outcome::Refused,
            Act::Store => self.stored = Some(self.at),
            Act::Recall => self.go(self.stored.expect("recalled before it was stored"), Wrong::Recall),
            Act::Remove => self.stored = None,
            Act::Drive(..) | Act::Stop(_) | Act::Wait(_) | Act::Done(_) => {}
        }
        Outcome::Done
    }
}

const ALL: Claims = Claims { continuous: true, absolute: true, relative: true, presets: true, zoom: true };

/// Plays a trial; answers what was found, where the camera is at the end, and how far it was away on the way.
fn play(claims: Claims, wrong: &[Wrong], start: Position, fastest: f32) -> (Found, Position, f32) {
    let mut device = Device {
        wrong,
        fastest,
        at: start,
        speeds: Speeds::default(),
        target: None,
        stop_at: None,
        stored: None,
        trail: vec![start],
        farthest: 0.0,
    };
    let mut trial = Trial::new(claims);
    for now in (0..60_000).step_by(STEP_MS as usize) {
        device.advance(now);
        device.farthest = device.farthest.max(device.at.distance(start));
        match trial.poll(Millis(now)) {
            Act::Done(found) => {
                assert_eq!(device.stored, None, "the trial's preset is left behind");
                return (found, device.at, device.farthest);
            }
            Act::Wait(_) => {}
            act => trial.handle(Millis(now), device.act(act, now)),
        }
    }
    panic!("the trial has no end: {trial:?}");
}

fn start() -> Position {
    Position::new(0.4, 0.0, 0.2)
}

fn found(wrong: &[Wrong]) -> Found {
    play(ALL, wrong, start(), 0.8).0
}

const EVERYTHING: Found =
    Found { position: true, stop: Some(StopWay::Stop), absolute: true, relative: true, presets: true, zoom: true };

#[test]
fn a_good_device_does_everything_and_is_back_where_it_was() {
    for fastest in [0.1, 0.8, 2.0] {
        for from in [Position::new(-1.0, -1.0, 0.0), start(), Position::new(1.0, 1.0, 1.0)] {
            let (found, end, farthest) = play(ALL, &[], from, fastest);
            assert_eq!(found, EVERYTHING, "{fastest} {from:?}");
            assert!(end.distance(from) < 0.03, "{fastest}: {end:?} instead of {from:?}");
            assert!(farthest < 0.4, "{fastest}: {farthest}");
        }
    }
}

#[test]
fn what_is_claimed_and_does_not_move_is_found() {
    assert_eq!(found(&[Wrong::Goto]), Found { absolute: false, ..EVERYTHING });
    assert_eq!(found(&[Wrong::Recall]), Found { presets: false, ..EVERYTHING });
    assert_eq!(found(&[Wrong::Store]), Found { presets: false, ..EVERYTHING });
    assert_eq!(found(&[Wrong::Step]), Found { relative: false, ..EVERYTHING });
    assert_eq!(found(&[Wrong::Zoom]), Found { zoom: false, ..EVERYTHING });
    assert_eq!(found(&[Wrong::Drive]), Found { stop: None, zoom: false, ..EVERYTHING });
    let nothing = Found { position: true, stop: None, absolute: false, relative: false, presets: false, zoom: false };
    assert_eq!(found(&[Wrong::Drive, Wrong::Goto, Wrong::Step, Wrong::Recall]), nothing);
}

#[test]
fn another_way_to_stop_is_found() {
    assert_eq!(found(&[Wrong::Stop]).stop, Some(StopWay::NoSpeed));
    assert_eq!(found(&[Wrong::Stop, Wrong::NoSpeed]).stop, Some(StopWay::Timeout));
}

#[test]
fn a_device_that_nothing_stops_is_not_to_be_driven() {
    let found = found(&[Wrong::Stop, Wrong::NoSpeed, Wrong::Timeout]);
    assert_eq!(found.stop, None);
    assert!(found.absolute);
}

#[test]
fn without_a_position_only_moving_stopping_and_presets_are_trusted() {
    let found = found(&[Wrong::Position]);
    let trusted = Found { position: false, absolute: false, relative: false, ..EVERYTHING };
    assert_eq!(found, trusted);
}

#[test]
fn a_status_that_is_late_changes_nothing() {
    let (found, end, _) = play(ALL, &[Wrong::Stale], start(), 0.5);
    assert_eq!(found, EVERYTHING);
    assert!(end.distance(start()) < 0.03, "{end:?}");
}

#[test]
fn what_is_not_claimed_is_not_tried() {
    let claims = Claims { absolute: false, relative: false, presets: false, zoom: false, ..ALL };
    let (found, end, _) = play(claims, &[], start(), 0.8);
    assert_eq!(found, Found { absolute: false, relative: false, presets: false, zoom: false, ..EVERYTHING });
    assert_eq!(end, start());
}
