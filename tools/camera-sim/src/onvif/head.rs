//! A head that turns: it has a mass, ends, and a fastest speed.

use std::time::{Duration, Instant};

/// Where a camera looks: pan and tilt from -1 to 1, zoom from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Right is positive.
    pub pan: f64,
    /// Up is positive.
    pub tilt: f64,
    /// Tele is positive.
    pub zoom: f64,
}

impl Place {
    /// Largest distance on any axis.
    pub fn distance(self, other: Self) -> f64 {
        (self.pan - other.pan).abs().max((self.tilt - other.tilt).abs()).max((self.zoom - other.zoom).abs())
    }
}

/// Three axes and their motors.
#[derive(Debug)]
pub struct Head {
    axes: [Motor; 3],
    updated: Instant,
    stop_at: Option<Instant>,
}

#[derive(Debug)]
struct Motor {
    at: f64,
    speed: f64,
    least: f64,
    fastest: f64,
    aim: Aim,
}

#[derive(Debug, Clone, Copy)]
enum Aim {
    Speed(f64),
    Place(f64),
}

const STEP: Duration = Duration::from_millis(5);

impl Head {
    /// At rest; `fastest` is in half ranges a second.
    pub fn new(place: Place, fastest: f64) -> Self {
        let motor = |at, least| Motor { at, speed: 0.0, least, fastest, aim: Aim::Speed(0.0) };
        let axes = [motor(place.pan, -1.0), motor(place.tilt, -1.0), motor(place.zoom, 0.0)];
        Self { axes, updated: Instant::now(), stop_at: None }
    }

    /// Where it looks now.
    pub fn place(&mut self) -> Place {
        self.advance();
        let [pan, tilt, zoom] = &self.axes;
        Place { pan: pan.at, tilt: tilt.at, zoom: zoom.at }
    }

    /// Whether an axis turns.
    pub fn is_moving(&mut self) -> bool {
        self.advance();
        self.axes.iter().any(|motor| motor.speed.abs() > 1e-3)
    }

    /// Turns at these parts of the fastest speed; an axis without one goes on as it is.
    pub fn drive(&mut self, speeds: [Option<f64>; 3], timeout: Option<Duration>) {
        self.advance();
        for (motor, speed) in self.axes.iter_mut().zip(speeds) {
            motor.aim = speed.map_or(motor.aim, |speed| Aim::Speed(speed * motor.fastest));
        }
        self.stop_at = timeout.map(|timeout| Instant::now() + timeout);
    }

    /// Goes to these places; an axis without one goes on as it is.
    pub fn go(&mut self, places: [Option<f64>; 3]) {
        self.advance();
        for (motor, place) in self.axes.iter_mut().zip(places) {
            motor.aim = place.map_or(motor.aim, |place| Aim::Place(place.clamp(motor.least, 1.0)));
        }
        self.stop_at = None;
    }

    /// Brakes the axes of pan and tilt, of zoom, or all.
    pub fn stop(&mut self, pan_tilt: bool, zoom: bool) {
        self.drive([pan_tilt.then_some(0.0), pan_tilt.then_some(0.0), zoom.then_some(0.0)], None);
    }

    fn advance(&mut self) {
        let now = Instant::now();
        while self.updated + STEP <= now {
            self.updated += STEP;
            if self.stop_at.is_some_and(|at| self.updated >= at) {
                self.stop_at = None;
                self.axes.iter_mut().for_each(|motor| motor.aim = Aim::Speed(0.0));
            }
            self.axes.iter_mut().for_each(|motor| motor.step(STEP.as_secs_f64()));
        }
    }
}

impl Motor {
    /// From rest to the fastest speed in a fifth of a second.
    const START_S: f64 = 0.2;

    fn step(&mut self, seconds: f64) {
        let push = self.fastest / Self::START_S;
        let wanted = match self.aim {
            Aim::Speed(speed) => speed,
            // As fast as it can still brake.
            Aim::Place(place) => {
                let way = place - self.at;
                (2.0 * push * way.abs()).sqrt().min(self.fastest).min(way.abs() / seconds).copysign(way)
            }
        };
        self.speed += (wanted - self.speed).clamp(-push * seconds, push * seconds);
        let next = self.at + self.speed * seconds;
        self.at = next.clamp(self.least, 1.0);
        if !(self.least..=1.0).contains(&next) {
            self.speed = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn motor(aim: Aim) -> Motor {
        Motor { at: 0.0, speed: 0.0, least: -1.0, fastest: 0.5, aim }
    }

    #[test]
    fn a_motor_arrives_and_rests() {
        let mut motor = motor(Aim::Place(0.4));
        let steps = (0..2_000).take_while(|_| {
            motor.step(0.005);
            (motor.at - 0.4).abs() > 1e-3 || motor.speed.abs() > 1e-2
        });
        let seconds = steps.count() as f64 * 0.005;
        assert!((0.8..1.5).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_motor_stops_at_the_end_and_brakes_in_time() {
        let mut motor = motor(Aim::Speed(-0.5));
        (0..1_000).for_each(|_| motor.step(0.005));
        assert_eq!((motor.at, motor.speed), (-1.0, 0.0));
        motor.aim = Aim::Speed(0.5);
        (0..100).for_each(|_| motor.step(0.005));
        motor.aim = Aim::Speed(0.0);
        let braking = motor.at;
        (0..100).for_each(|_| motor.step(0.005));
        assert!(motor.speed == 0.0 && (0.04..0.06).contains(&(motor.at - braking)));
    }
}
