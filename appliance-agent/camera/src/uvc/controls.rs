//! The controls that move a camera, with the ranges that the camera says.
//!
//! Source: kernel documentation, *Camera Control Reference*: angles are in arc seconds, right and up are positive.

use std::io;
use std::ops::RangeInclusive;

use agent_v4l2::{CAMERA, ControlNode, QueryExtCtrl, TYPE_INTEGER};

/// One control that can be set, `min < max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// V4L2's number.
    pub id: u32,
    /// V4L2's name, for messages.
    pub name: &'static str,
    min: i32,
    max: i32,
    step: i32,
    default: i32,
}

impl Control {
    /// `None` for what cannot be used: another type than a 32-bit number, disabled, read-only, or a range that is none.
    pub fn new(name: &'static str, query: &QueryExtCtrl) -> Option<Self> {
        let settable = query.kind == TYPE_INTEGER && query.is_settable();
        let (min, max) = (i32::try_from(query.minimum).ok()?, i32::try_from(query.maximum).ok()?);
        // Some cameras say 0, or a step beyond the range. The first means any value, the second only the ends.
        let width = i64::from(max) - i64::from(min);
        let step = i64::try_from(query.step).unwrap_or(width).clamp(1, width.max(1));
        let default = query.default_value.clamp(i64::from(min), i64::from(max.max(min)));
        (settable && min < max).then_some(Self {
            id: query.id,
            name,
            min,
            max,
            step: i32::try_from(step).unwrap_or(i32::MAX),
            default: default as i32,
        })
    }

    /// After power on.
    pub const fn default(&self) -> i32 {
        self.default
    }

    /// From least to most, in arc seconds or the zoom's own unit.
    pub const fn width(&self) -> f64 {
        self.max as f64 - self.min as f64
    }

    /// Distance of two values.
    pub const fn step(&self) -> f64 {
        self.step as f64
    }

    /// Nearest value that the camera has: `min + n · step`.
    pub fn nearest(&self, value: f64) -> i32 {
        let (min, step) = (f64::from(self.min), f64::from(self.step));
        let most = (self.width() / step).floor();
        let n = ((value - min) / step).round().clamp(0.0, most);
        // In the range of `i32` by the clamp.
        n.mul_add(step, min) as i32
    }

    /// From 0 (least) to 1 (most).
    pub fn at(&self, part: f32) -> i32 {
        self.nearest(f64::from(part).mul_add(self.width(), f64::from(self.min)))
    }

    /// The other way: 0 to 1.
    pub fn part(&self, value: i32) -> f32 {
        ((f64::from(value) - f64::from(self.min)) / self.width()) as f32
    }

    /// A speed from -1 to 1: 0 is always 0 and stops, and what is not 0 always moves.
    pub fn speed(&self, part: f32) -> i32 {
        let most = if part < 0.0 { self.min.min(0) } else { self.max.max(0) };
        let wanted = f64::from(part.abs()) * f64::from(most);
        if wanted == 0.0 {
            return 0;
        }
        let steps = (wanted.abs() / self.step()).ceil() * self.step();
        steps.min(f64::from(most).abs()).copysign(wanted) as i32
    }

    /// The range in degrees, of a control in arc seconds.
    pub fn degrees(&self) -> RangeInclusive<f32> {
        self.min as f32 / 3_600.0..=self.max as f32 / 3_600.0
    }
}

/// What there is for one axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Axis {
    /// To a value.
    pub absolute: Option<Control>,
    /// By so much.
    pub relative: Option<Control>,
    /// At a speed until stopped.
    pub speed: Option<Control>,
}

/// All controls that move a camera.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Controls {
    /// Left and right.
    pub pan: Axis,
    /// Up and down.
    pub tilt: Axis,
    /// Wide and tele.
    pub zoom: Axis,
}

impl Controls {
    /// Asks the node for each control, and takes what can be used.
    ///
    /// # Errors
    /// When the node is gone or is no video node. A control that a camera lists but cannot describe is left out.
    pub fn query(node: &dyn ControlNode) -> io::Result<Self> {
        let one = |name: &str| -> io::Result<Option<Control>> {
            // In the list by the test below.
            let Some(&(name, id)) = CAMERA.iter().find(|(known, _)| *known == name) else { return Ok(None) };
            match node.query(id) {
                Ok(query) => Ok(Control::new(name, &query)),
                Err(error) if is_gone(&error) || error.raw_os_error() == Some(nix::libc::ENOTTY) => Err(error),
                Err(error) => {
                    if error.raw_os_error() != Some(nix::libc::EINVAL) {
                        tracing::warn!("{name} cannot be used: {error}");
                    }
                    Ok(None)
                }
            }
        };
        let axis = |absolute, relative, speed| -> io::Result<Axis> {
            Ok(Axis { absolute: one(absolute)?, relative: one(relative)?, speed: one(speed)? })
        };
        Ok(Self {
            pan: axis("V4L2_CID_PAN_ABSOLUTE", "V4L2_CID_PAN_RELATIVE", "V4L2_CID_PAN_SPEED")?,
            tilt: axis("V4L2_CID_TILT_ABSOLUTE", "V4L2_CID_TILT_RELATIVE", "V4L2_CID_TILT_SPEED")?,
            zoom: axis("V4L2_CID_ZOOM_ABSOLUTE", "V4L2_CID_ZOOM_RELATIVE", "V4L2_CID_ZOOM_CONTINUOUS")?,
        })
    }

    /// All three.
    pub const fn axes(&self) -> [Axis; 3] {
        [self.pan, self.tilt, self.zoom]
    }
}

/// Whether the device is unplugged.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::ENODEV | nix::libc::ENXIO))
}

#[cfg(test)]
mod tests {
    use super::super::double::{Double, number};
    use super::*;
    use agent_v4l2::{FLAG_DISABLED, FLAG_READ_ONLY};

    const PAN: u32 = 0x009a_0908;
    const ZOOM: u32 = 0x009a_090d;

    fn control(min: i64, max: i64, step: u64) -> Control {
        Control::new("c", &number(1, min, max, step)).unwrap()
    }

    #[test]
    fn values_are_on_the_cameras_own_grid() {
        // ±170° in steps of one degree, as PTZ Pro and others say.
        let pan = control(-612_000, 612_000, 3_600);
        assert_eq!((pan.at(0.0), pan.at(0.5), pan.at(1.0)), (-612_000, 0, 612_000));
        assert_eq!(pan.at(0.501), 0);
        assert_eq!(pan.degrees(), -170.0..=170.0);
        // The grid begins at the least value and may not meet the largest.
        let odd = control(-7, 10, 5);
        assert_eq!((odd.at(0.0), odd.at(0.4), odd.at(1.0)), (-7, -2, 8));
        assert!((odd.part(8) - 15.0 / 17.0).abs() < 1e-6);
    }

    #[test]
    fn odd_steps_do_not_break_it() {
        assert_eq!(control(0, 9, 0).at(0.5), 5);
        assert_eq!((control(0, 9, 100).at(0.4), control(0, 9, 100).at(1.0)), (0, 9));
        assert_eq!(control(0, 9, u64::MAX).at(1.0), 9);
        let wide = control(i32::MIN.into(), i32::MAX.into(), 1);
        assert_eq!((wide.at(0.0), wide.at(1.0)), (i32::MIN, i32::MAX));
    }

    #[test]
    fn what_cannot_be_used_is_none() {
        assert_eq!(Control::new("c", &number(1, 5, 5, 1)), None);
        assert_eq!(Control::new("c", &number(1, 5, -5, 1)), None);
        assert_eq!(Control::new("c", &number(1, i64::MIN, i64::MAX, 1)), None);
        for kind in [0, 2, 5, 0x106, 0x280, u32::MAX] {
            assert_eq!(Control::new("c", &QueryExtCtrl { kind, ..number(1, 0, 5, 1) }), None, "{kind}");
        }
        for flags in [FLAG_DISABLED, FLAG_READ_ONLY] {
            assert_eq!(Control::new("c", &QueryExtCtrl { flags, ..number(1, 0, 5, 1) }), None);
        }
    }

    #[test]
    fn the_slowest_speed_moves_and_none_stops() {
        let one = control(-1, 1, 1);
        assert_eq!((one.speed(0.01), one.speed(-0.01), one.speed(0.0)), (1, -1, 0));
        let many = control(-24, 24, 1);
        assert_eq!((many.speed(0.5), many.speed(-1.0), many.speed(0.01)), (12, -24, 1));
        // Only to one side.
        assert_eq!(control(0, 8, 1).speed(-1.0), 0);
    }

    #[test]
    fn a_control_that_fails_is_left_out_and_a_node_that_is_gone_is_an_error() {
        let node = Double::new([number(PAN, -10, 10, 1), number(ZOOM, 0, 10, 1)]);
        node.fail_query(ZOOM, nix::libc::EIO);
        let controls = Controls::query(&node).unwrap();
        assert!(controls.pan.absolute.is_some());
        assert_eq!((controls.zoom, controls.tilt), (Axis::default(), Axis::default()));
        node.fail_query(ZOOM, nix::libc::ENODEV);
        assert!(is_gone(&Controls::query(&node).unwrap_err()));
    }

    #[test]
    fn every_control_of_the_list_is_used() {
        let node = Double::new(CAMERA.map(|(_, id)| number(id, -10, 10, 1)));
        let controls = Controls::query(&node).unwrap();
        for axis in controls.axes() {
            assert!(axis.absolute.is_some() && axis.relative.is_some() && axis.speed.is_some(), "{axis:?}");
        }
    }
}
