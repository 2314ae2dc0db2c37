//! What the camera is made of: motors with speeds and ends, lens, memories. Knows no protocol.

use std::collections::BTreeMap;

/// Steps per degree of the EVI-D70: 2267 for 170°.
const STEPS_PER_DEGREE: f64 = 13.335;
const PAN: (f64, f64) = (-2267.0, 2267.0);
const TILT: (f64, f64) = (-400.0, 1200.0);
const ZOOM: (f64, f64) = (0.0, 16_384.0);
const FOCUS: (f64, f64) = (4_096.0, 49_152.0);

/// Degrees per second of the fastest pan (18h) and tilt (17h).
const FASTEST_PAN: f64 = 100.0;
const FASTEST_TILT: f64 = 90.0;

/// Where something is, where it goes, and how far it may go.
#[derive(Debug, Clone)]
pub(super) struct Motor {
    at: f64,
    ends: (f64, f64),
    /// What a limit command leaves of it.
    limits: (f64, f64),
    going: Going,
}

#[derive(Debug, Clone, Copy)]
enum Going {
    Nowhere,
    /// Steps per second, signed.
    On(f64),
    To {
        target: f64,
        /// Steps per second.
        speed: f64,
    },
}

impl Motor {
    const fn new(ends: (f64, f64), at: f64) -> Self {
        Self { at, ends, limits: ends, going: Going::Nowhere }
    }

    pub(super) const fn stop(&mut self) {
        self.going = Going::Nowhere;
    }

    pub(super) const fn drive(&mut self, speed: f64) {
        self.going = Going::On(speed);
    }

    pub(super) const fn go_to(&mut self, target: f64, speed: f64) {
        self.going = Going::To { target: target.clamp(self.limits.0, self.limits.1), speed };
    }

    pub(super) const fn go_by(&mut self, way: f64, speed: f64) {
        self.go_to(self.at + way, speed);
    }

    /// Whether it would move for ever, if there were no ends.
    pub(super) const fn is_driving(&self) -> bool {
        matches!(self.going, Going::On(_))
    }

    /// Whether it is on its way to a place.
    pub(super) const fn is_on_its_way(&self) -> bool {
        matches!(self.going, Going::To { .. })
    }

    pub(super) const fn at(&self) -> i32 {
        self.at.round() as i32
    }

    fn pass(&mut self, seconds: f64) {
        match self.going {
            Going::Nowhere => {}
            Going::On(speed) => self.at = (self.at + speed * seconds).clamp(self.limits.0, self.limits.1),
            Going::To { target, speed } => {
                let way = speed * seconds;
                if (target - self.at).abs() <= way {
                    self.at = target;
                    self.going = Going::Nowhere;
                } else {
                    self.at += way.copysign(target - self.at);
                }
            }
        }
    }
}

/// The camera's moving parts and memories.
#[derive(Debug, Clone)]
pub struct Head {
    pub(super) pan: Motor,
    pub(super) tilt: Motor,
    pub(super) zoom: Motor,
    pub(super) focus: Motor,
    pub(super) auto_focus: bool,
    pub(super) powered: bool,
    presets: BTreeMap<u8, [f64; 4]>,
    passed_ms: u64,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            pan: Motor::new(PAN, 0.0),
            tilt: Motor::new(TILT, 0.0),
            zoom: Motor::new(ZOOM, 0.0),
            focus: Motor::new(FOCUS, FOCUS.0),
            auto_focus: true,
            powered: true,
            presets: BTreeMap::new(),
            passed_ms: 0,
        }
    }
}

impl Head {
    /// Lets time pass up to `now`, in milliseconds of the caller's clock.
    pub fn pass(&mut self, now: u64) {
        let seconds = now.saturating_sub(self.passed_ms) as f64 / 1_000.0;
        self.passed_ms = self.passed_ms.max(now);
        for motor in self.motors() {
            motor.pass(seconds);
        }
    }

    fn motors(&mut self) -> [&mut Motor; 4] {
        [&mut self.pan, &mut self.tilt, &mut self.zoom, &mut self.focus]
    }

    /// Whether anything moves.
    pub const fn is_moving(&self) -> bool {
        self.is_driving() || self.is_on_its_way()
    }

    /// Whether anything would move until somebody stops it.
    pub const fn is_driving(&self) -> bool {
        self.pan.is_driving() || self.tilt.is_driving() || self.zoom.is_driving() || self.focus.is_driving()
    }

    const fn is_on_its_way(&self) -> bool {
        self.pan.is_on_its_way() || self.tilt.is_on_its_way() || self.zoom.is_on_its_way() || self.focus.is_on_its_way()
    }

    /// Everything stands.
    pub fn halt(&mut self) {
        self.motors().into_iter().for_each(Motor::stop);
    }

    /// Steps per second of a pan speed, 01h to 18h.
    pub(super) fn pan_speed(speed: u8) -> f64 {
        f64::from(speed.clamp(1, 0x18)) / f64::from(0x18) * FASTEST_PAN * STEPS_PER_DEGREE
    }

    /// Steps per second of a tilt speed, 01h to 17h.
    pub(super) fn tilt_speed(speed: u8) -> f64 {
        f64::from(speed.clamp(1, 0x17)) / f64::from(0x17) * FASTEST_TILT * STEPS_PER_DEGREE
    }

    /// Steps per second of a zoom speed, 0 to 7: the whole way takes 2 s at the fastest.
    pub(super) fn zoom_speed(speed: u8) -> f64 {
        ZOOM.1 / 2.0 * f64::from(speed + 1) / 8.0
    }

    /// Steps per second of a focus speed, 0 to 7.
    pub(super) fn focus_speed(speed: u8) -> f64 {
        FOCUS.1 / 2.0 * f64::from(speed + 1) / 8.0
    }

    /// Narrows where the head may look; `up_right` says which corner.
    pub(super) fn limit(&mut self, up_right: bool, pan: i32, tilt: i32) {
        for (motor, to) in [(&mut self.pan, pan), (&mut self.tilt, tilt)] {
            let to = f64::from(to).clamp(motor.ends.0, motor.ends.1);
            *(if up_right { &mut motor.limits.1 } else { &mut motor.limits.0 }) = to;
        }
    }

    pub(super) const fn clear_limit(&mut self, up_right: bool) {
        if up_right {
            self.pan.limits.1 = self.pan.ends.1;
            self.tilt.limits.1 = self.tilt.ends.1;
        } else {
            self.pan.limits.0 = self.pan.ends.0;
            self.tilt.limits.0 = self.tilt.ends.0;
        }
    }

    pub(super) fn set_preset(&mut self, preset: u8) {
        self.presets.insert(preset, [self.pan.at, self.tilt.at, self.zoom.at, self.focus.at]);
    }

    pub(super) fn reset_preset(&mut self, preset: u8) {
        self.presets.remove(&preset);
    }

    /// Sets out for a preset; one that was never set is the middle.
    pub(super) fn recall_preset(&mut self, preset: u8) {
        let [pan, tilt, zoom, focus] = self.presets.get(&preset).copied().unwrap_or([0.0, 0.0, 0.0, FOCUS.0]);
        self.pan.go_to(pan, Self::pan_speed(0x18));
        self.tilt.go_to(tilt, Self::tilt_speed(0x17));
        self.zoom.go_to(zoom, Self::zoom_speed(7));
        self.focus.go_to(focus, Self::focus_speed(7));
    }

    pub(super) fn presets(&self) -> impl Iterator<Item = u8> {
        self.presets.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_goes_on_until_it_is_stopped_and_never_beyond_its_limit() {
        let mut head = Head::default();
        head.limit(true, 500, 1_200);
        head.pan.drive(Head::pan_speed(0x18));
        head.pass(100);
        assert_eq!(head.pan.at(), 133);
        head.pan.stop();
        head.pass(1_000);
        assert_eq!(head.pan.at(), 133);
        head.pan.drive(Head::pan_speed(0x18));
        head.pass(60_000);
        assert_eq!(head.pan.at(), 500);
        assert!(head.is_driving(), "a motor at its end still pushes");
    }

    #[test]
    fn a_preset_brings_everything_back() {
        let mut head = Head::default();
        head.pan.go_to(300.0, 1_000.0);
        head.zoom.go_to(4_096.0, 10_000.0);
        head.pass(5_000);
        head.set_preset(3);
        head.recall_preset(9);
        head.pass(10_000);
        assert_eq!((head.pan.at(), head.zoom.at()), (0, 0));
        head.recall_preset(3);
        assert!(head.is_moving());
        head.pass(20_000);
        assert_eq!((head.pan.at(), head.zoom.at(), head.is_moving()), (300, 4_096, false));
    }
}
