//! Moving at a speed with a camera that knows only positions or steps: many small ones.

use agent_core::Millis;

use super::controls::{Axis, Control, Controls};
use crate::ptz::Speeds;

/// A movement at a speed until it is told otherwise.
#[derive(Debug)]
pub struct Glide {
    axes: [Slide; 3],
    last: Millis,
}

/// One axis of it.
#[derive(Debug, Clone, Copy)]
enum Slide {
    /// It stands, or the camera moves it by itself.
    No,
    Absolute {
        control: Control,
        value: f64,
        sent: i32,
        per_ms: f64,
    },
    Relative {
        control: Control,
        owed: f64,
        per_ms: f64,
    },
}

impl Glide {
    /// Often enough to look smooth, rare enough for USB.
    pub const TICK_MS: u64 = 50;
    /// From one end to the other at full speed.
    const WHOLE_WAY_MS: f64 = 5_000.0;
    /// A relative control says nothing about the whole way: 60°/s.
    const ARC_SECONDS_PER_MS: f64 = 216.0;
    /// The unit of a relative zoom is the driver's own.
    const ZOOM_STEPS_PER_MS: f64 = 0.02;

    /// Begins at `now`; `values` are the absolute controls' values now, where there are such.
    pub fn new(controls: &Controls, values: [Option<i32>; 3], speeds: Speeds, now: Millis) -> Self {
        let slide = |axis: &Axis, value: Option<i32>, part: f32, relative: f64| match (axis, value) {
            (Axis { speed: Some(_), .. }, _) => Slide::No,
            _ if part == 0.0 => Slide::No,
            (Axis { absolute: Some(control), .. }, Some(value)) => Slide::Absolute {
                control: *control,
                value: value.into(),
                sent: value,
                per_ms: f64::from(part) * control.width() / Self::WHOLE_WAY_MS,
            },
            (Axis { relative: Some(control), .. }, _) => {
                Slide::Relative { control: *control, owed: 0.0, per_ms: f64::from(part) * relative }
            }
            _ => Slide::No,
        };
        let zoom_step = controls.zoom.relative.map_or(0.0, |control| control.step() * Self::ZOOM_STEPS_PER_MS);
        let axes = [
            slide(&controls.pan, values[0], speeds.pan(), Self::ARC_SECONDS_PER_MS),
            slide(&controls.tilt, values[1], speeds.tilt(), Self::ARC_SECONDS_PER_MS),
            slide(&controls.zoom, values[2], speeds.zoom(), zoom_step),
        ];
        Self { axes, last: now }
    }

    /// Whether nothing has to be done.
    pub fn is_still(&self) -> bool {
        self.axes.iter().all(|slide| matches!(slide, Slide::No))
    }

    /// When [`Glide::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Millis> {
        (!self.is_still()).then(|| self.last.after(Self::TICK_MS))
    }

    /// Time passed: what to set now. Harmless when called early or late.
    pub fn handle_timeout(&mut self, now: Millis) -> Vec<(Control, i32)> {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return Vec::new();
        }
        // After a pause (USB was busy) it goes on as if there had been none, instead of leaping.
        let passed = (now.0 - self.last.0).min(2 * Self::TICK_MS) as f64;
        self.last = now;
        self.axes.iter_mut().filter_map(|slide| slide.advance(passed)).collect()
    }
}

impl Slide {
    fn advance(&mut self, ms: f64) -> Option<(Control, i32)> {
        match self {
            Self::No => None,
            Self::Absolute { control, value, sent, per_ms } => {
                let (low, high) = (control.at(0.0).into(), control.at(1.0).into());
                *value = per_ms.mul_add(ms, *value).clamp(low, high);
                let next = control.nearest(*value);
                let changed = next != *sent;
                *sent = next;
                changed.then_some((*control, next))
            }
            Self::Relative { control, owed, per_ms } => {
                *owed = per_ms.mul_add(ms, *owed);
                let steps = (*owed / control.step()).trunc() * control.step();
                let (low, high) = (control.at(0.0).min(0), control.at(1.0).max(0));
                let step = (steps as i32).clamp(low, high);
                // What is beyond the largest step is dropped: the camera cannot be faster.
                *owed -= steps;
                (step != 0).then_some((*control, step))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::double::{Double, number};
    use super::*;

    const PAN_ABSOLUTE: u32 = 0x009a_0908;
    const TILT_RELATIVE: u32 = 0x009a_0905;

    fn controls() -> Controls {
        let node =
            Double::new([number(PAN_ABSOLUTE, -36_000, 36_000, 3_600), number(TILT_RELATIVE, -7_200, 7_200, 3_600)]);
        Controls::query(&node).unwrap()
    }

    fn run(glide: &mut Glide, ms: u64) -> Vec<(u32, i32)> {
        let mut set = Vec::new();
        for now in (0..=ms).step_by(10) {
            set.extend(glide.handle_timeout(Millis(now)).into_iter().map(|(control, value)| (control.id, value)));
        }
        set
    }

    #[test]
    fn positions_advance_on_the_grid_and_stop_at_the_end() {
        let mut glide = Glide::new(&controls(), [Some(0), None, None], Speeds::new(1.0, 0.0, 0.0), Millis(0));
        let values: Vec<i32> = run(&mut glide, 10_000).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, (1..=10).map(|n| n * 3_600).collect::<Vec<_>>());
    }

    #[test]
    fn half_the_speed_needs_twice_the_time() {
        let arrival = |part: f32| {
            let mut glide = Glide::new(&controls(), [Some(0), None, None], Speeds::new(part, 0.0, 0.0), Millis(0));
            (0..20_000)
                .step_by(10)
                .find(|now| glide.handle_timeout(Millis(*now)).iter().any(|(_, value)| *value == 36_000))
        };
        let (full, half) = (arrival(1.0).unwrap(), arrival(0.5).unwrap());
        assert!((2_300..=2_500).contains(&full) && (full * 2).abs_diff(half) <= 100, "{full} {half}");
    }

    #[test]
    fn steps_are_paid_when_they_are_whole() {
        let mut glide = Glide::new(&controls(), [None; 3], Speeds::new(0.0, -0.25, 0.0), Millis(0));
        // 15°/s in steps of 1°: one each 66 ms.
        let steps = run(&mut glide, 2_000);
        assert!(steps.iter().all(|step| *step == (TILT_RELATIVE, -3_600)), "{steps:?}");
        assert!((29..=30).contains(&steps.len()), "{}", steps.len());
    }

    #[test]
    fn a_pause_is_no_leap() {
        let mut glide = Glide::new(&controls(), [Some(-36_000), None, None], Speeds::new(1.0, 0.0, 0.0), Millis(0));
        assert!(glide.handle_timeout(Millis(60_000)).is_empty());
        assert_eq!(glide.poll_timeout(), Some(Millis(60_050)));
    }

    #[test]
    fn no_speed_needs_no_time() {
        let glide = Glide::new(&controls(), [Some(0), None, None], Speeds::default(), Millis(0));
        assert!(glide.is_still());
        assert_eq!(glide.poll_timeout(), None);
    }
}
