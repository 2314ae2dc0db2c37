//! Going to a position with a camera that can only be driven: drive, look, correct.

use agent_core::Millis;

use crate::ptz::{Position, Speeds};

/// What to do after a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Correction {
    /// Drive on at these speeds.
    Drive(Speeds),
    /// It is there: stop.
    Arrived,
    /// It does not get there: stop.
    GivenUp,
}

/// One way to a position.
#[derive(Debug)]
pub struct Approach {
    target: Position,
    give_up_at: Millis,
    /// The nearest distance so far, and since when it has not become less.
    stuck: Option<(f32, Millis)>,
    axes: [Pace; 3],
    last: Option<(Millis, Position)>,
}

/// How fast one axis really is.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Way per second at full speed, as seen so far.
    fastest: f32,
    /// What it was last told.
    speed: f32,
}

impl Approach {
    /// As near as this is there, in parts of the half range: below a degree for most cameras.
    const NEAR: f32 = 0.008;
    /// A camera that needs longer has an obstacle.
    pub const WITHIN_MS: u64 = 40_000;
    const STUCK_MS: u64 = 4_000;

    /// Starts now.
    pub const fn new(target: Position, now: Millis) -> Self {
        // Taken to be fast until it is seen: who brakes too early only comes later.
        let axes = [Pace { fastest: 1.0, speed: 0.0 }; 3];
        Self { target, give_up_at: now.after(Self::WITHIN_MS), stuck: None, axes, last: None }
    }

    /// The camera says that it looks there.
    pub fn handle_position(&mut self, now: Millis, here: Position) -> Correction {
        let distance = here.distance(self.target);
        if distance <= Self::NEAR {
            return Correction::Arrived;
        }
        if now >= self.give_up_at || self.is_stuck(now, distance) {
            return Correction::GivenUp;
        }
        if let Some((before, was)) = self.last.replace((now, here)) {
            let seconds = now.0.saturating_sub(before.0) as f32 / 1_000.0;
            for ((pace, was), is) in self.axes.iter_mut().zip(axes(was)).zip(axes(here)) {
                pace.learn(is - was, seconds);
            }
        }
        for ((pace, to), is) in self.axes.iter_mut().zip(axes(self.target)).zip(axes(here)) {
            pace.speed = pace.speed_for(to - is);
        }
        let [pan, tilt, zoom] = self.axes.map(|pace| pace.speed);
        Correction::Drive(Speeds::new(pan, tilt, zoom))
    }

    fn is_stuck(&mut self, now: Millis, distance: f32) -> bool {
        match self.stuck {
            Some((nearest, since)) if distance > nearest - Self::NEAR / 4.0 => since.after(Self::STUCK_MS) <= now,
            _ => {
                self.stuck = Some((distance, now));
                false
            }
        }
    }
}

impl Pace {
    /// The rest of the way is planned to take this long, so that a position that is late does no harm.
    const BRAKING_S: f32 = 0.7;
    /// Below this some motors do not turn at all.
    const SLOWEST: f32 = 0.04;
    /// A smaller way is noise.
    const SEEN: f32 = 0.002;

    fn learn(&mut self, way: f32, seconds: f32) {
        if way.abs() < Self::SEEN || self.speed == 0.0 || seconds <= 0.0 {
            return;
        }
        let seen = way.abs() / seconds / self.speed.abs();
        self.fastest = f32::midpoint(self.fastest, seen).clamp(0.02, 5.0);
    }

    fn speed_for(self, way: f32) -> f32 {
        if way.abs() <= Approach::NEAR / 2.0 {
            return 0.0;
        }
        (way.abs() / Self::BRAKING_S / self.fastest).clamp(Self::SLOWEST, 1.0).copysign(way)
    }
}

const fn axes(position: Position) -> [f32; 3] {
    [position.pan(), position.tilt(), position.zoom()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Full speed is `fastest` of the half range a second; the position said is `late_ms` old.
    fn arrive(fastest: f32, late_ms: u64) -> (Correction, f32, u64) {
        let target = Position::new(-0.6, 0.3, 0.5);
        let mut approach = Approach::new(target, Millis(0));
        let mut trail = vec![Position::new(0.5, -0.2, 0.0)];
        let mut speeds = Speeds::default();
        let step = 20;
        for now in (0..60_000_u64).step_by(step as usize) {
            let here = trail[trail.len() - 1];
            if now % 100 == 0 {
                let said = trail[trail.len().saturating_sub(1 + (late_ms / step) as usize)];
                match approach.handle_position(Millis(now), said) {
                    Correction::Drive(new) => speeds = new,
                    end => return (end, here.distance(target), now),
                }
            }
            let way = fastest * step as f32 / 1_000.0;
            trail.push(Position::new(
                speeds.pan().mul_add(way, here.pan()),
                speeds.tilt().mul_add(way, here.tilt()),
                speeds.zoom().mul_add(way, here.zoom()),
            ));
        }
        panic!("it neither arrives nor gives up");
    }

    #[test]
    fn it_arrives_with_slow_and_fast_cameras_and_late_positions() {
        for (fastest, late_ms) in [(0.05, 200), (0.1, 0), (0.5, 100), (1.0, 200), (2.0, 100)] {
            let (end, off, now) = arrive(fastest, late_ms);
            assert_eq!(end, Correction::Arrived, "{fastest} {late_ms}");
            assert!(off < 0.03 && now < 30_000, "{off} after {now} ms");
        }
    }

    #[test]
    fn a_camera_that_does_not_come_nearer_is_given_up() {
        let (end, _, now) = arrive(0.0, 0);
        assert_eq!((end, now), (Correction::GivenUp, 4_000));
    }
}
