//! Soft limits: where this room lets its camera look.

use bridgepoint_wire::camera::{Drive, Position, Speed, Travel, Zoom};
use serde::{Deserialize, Serialize};

use super::driver::{Axis, Capabilities};

/// Where a camera may look. Both ends of each axis are inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LimitsConfig", into = "LimitsConfig")]
pub struct Limits(LimitsConfig);

/// Soft limits as the configuration says them. What is left out is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// From left to right.
    pub pan: [Travel; 2],
    /// From low to high.
    pub tilt: [Travel; 2],
    /// From wide to tele.
    pub zoom: [Zoom; 2],
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let travel = [Travel::LOW, Travel::HIGH];
        Self { pan: travel, tilt: travel, zoom: [Zoom::LOW, Zoom::HIGH] }
    }
}

/// Limits between which no camera can look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{axis:?}: the lower limit {low} is above the upper limit {high}; write the lower one first")]
pub struct CrossedLimits {
    /// Which axis.
    pub axis: Axis,
    /// The lower one.
    pub low: i32,
    /// The upper one.
    pub high: i32,
}

impl TryFrom<LimitsConfig> for Limits {
    type Error = CrossedLimits;
    fn try_from(config: LimitsConfig) -> Result<Self, CrossedLimits> {
        let limits = Self(config);
        let crossed = Axis::ALL.into_iter().find(|axis| limits.ends(*axis).0 > limits.ends(*axis).1);
        match crossed {
            Some(axis) => {
                let (low, high) = limits.ends(axis);
                Err(CrossedLimits { axis, low, high })
            }
            None => Ok(limits),
        }
    }
}

impl From<Limits> for LimitsConfig {
    fn from(limits: Limits) -> Self {
        limits.0
    }
}

impl Limits {
    /// The camera's own ends only.
    pub fn none() -> Self {
        Self(LimitsConfig::default())
    }

    fn ends(&self, axis: Axis) -> (i32, i32) {
        let travel = |[low, high]: [Travel; 2]| (low.into(), high.into());
        match axis {
            Axis::Pan => travel(self.0.pan),
            Axis::Tilt => travel(self.0.tilt),
            Axis::Zoom => (self.0.zoom[0].into(), self.0.zoom[1].into()),
        }
    }

    /// The limit that a motion towards `direction` meets, if the camera's own end is not met first.
    fn ahead(&self, axis: Axis, direction: i32) -> Option<i32> {
        let (low, high) = self.ends(axis);
        let (own_low, own_high) = Self::none().ends(axis);
        match direction.signum() {
            1 if high < own_high => Some(high),
            -1 if low > own_low => Some(low),
            _ => None,
        }
    }

    /// There are some.
    pub fn are_set(&self) -> bool {
        *self != Self::none()
    }

    /// Whether a camera may look there.
    pub fn allow(&self, position: Position) -> bool {
        Axis::ALL.into_iter().all(|axis| {
            let (low, high) = self.ends(axis);
            (low..=high).contains(&position.on(axis))
        })
    }

    /// The allowed place that is nearest.
    pub fn clamp(&self, position: Position) -> Position {
        let on = |axis| {
            let (low, high) = self.ends(axis);
            position.on(axis).clamp(low, high)
        };
        Position::from_axes([on(Axis::Pan), on(Axis::Tilt), on(Axis::Zoom)])
    }

    /// Whether `drive` goes towards one of the limits, so that the place must be known.
    pub fn concern(&self, drive: Drive) -> bool {
        Axis::ALL.into_iter().any(|axis| self.ahead(axis, drive.on(axis)).is_some())
    }

    /// `drive` without the axes that would be beyond a limit `lead_ms` from now, at the place `at`.
    pub fn cut(&self, drive: Drive, at: Position, lead_ms: u64, camera: &Capabilities) -> Drive {
        let on = |axis| match self.ms_to_limit(axis, drive, at, camera) {
            Some(ms) if ms <= lead_ms => 0,
            Some(_) | None => drive.on(axis),
        };
        Drive::from_axes([on(Axis::Pan), on(Axis::Tilt), on(Axis::Zoom)])
    }

    /// How long until `drive` meets a limit from the place `at`, ms.
    pub fn ms_to_first(&self, drive: Drive, at: Position, camera: &Capabilities) -> Option<u64> {
        Axis::ALL.into_iter().filter_map(|axis| self.ms_to_limit(axis, drive, at, camera)).min()
    }

    fn ms_to_limit(&self, axis: Axis, drive: Drive, at: Position, camera: &Capabilities) -> Option<u64> {
        let speed = drive.on(axis);
        let limit = self.ahead(axis, speed)?;
        // Negative where the camera is outside already and would go further.
        let left = i64::from(limit - at.on(axis)) * i64::from(speed.signum());
        let units_a_second = i64::from(camera.full_speed(axis)) * i64::from(speed.abs()) / 100;
        Some((left.max(0) * 1_000 / units_a_second.max(1)) as u64)
    }
}

/// Access by axis.
pub(super) trait ByAxis {
    fn on(&self, axis: Axis) -> i32;
    /// Numbers outside the range become its end.
    fn from_axes(axes: [i32; 3]) -> Self;
}

impl ByAxis for Position {
    fn on(&self, axis: Axis) -> i32 {
        match axis {
            Axis::Pan => self.pan.into(),
            Axis::Tilt => self.tilt.into(),
            Axis::Zoom => self.zoom.into(),
        }
    }
    fn from_axes([pan, tilt, zoom]: [i32; 3]) -> Self {
        Self { pan: Travel::clamped(pan), tilt: Travel::clamped(tilt), zoom: Zoom::clamped(zoom) }
    }
}

impl ByAxis for Drive {
    fn on(&self, axis: Axis) -> i32 {
        match axis {
            Axis::Pan => self.pan.into(),
            Axis::Tilt => self.tilt.into(),
            Axis::Zoom => self.zoom.into(),
        }
    }
    fn from_axes([pan, tilt, zoom]: [i32; 3]) -> Self {
        Self { pan: Speed::clamped(pan), tilt: Speed::clamped(tilt), zoom: Speed::clamped(zoom) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<Limits, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn camera() -> Capabilities {
        Capabilities { axes: Axis::ALL.into(), means: [].into(), presets: 0, full_speed: [5_000, 0, 0] }
    }

    #[test]
    fn crossed_and_unknown_limits_are_refused_with_a_cure() {
        let error = limits(r#"{"pan":[10,-10]}"#).unwrap_err().to_string();
        assert!(error.contains("Pan: the lower limit 10 is above the upper limit -10; write the lower one first"));
        assert!(limits(r#"{"pam":[0,1]}"#).is_err() && limits(r#"{"zoom":[-1,1]}"#).is_err());
        assert_eq!(limits("{}").unwrap(), Limits::none());
    }

    #[test]
    fn a_drive_is_cut_on_the_axis_that_would_leave_and_goes_on_with_the_others() {
        let limits = limits(r#"{"pan":[-2000,2000]}"#).unwrap();
        let at = Position::from_axes([1_000, 0, 0]);
        let drive = Drive::from_axes([100, 50, 0]);
        // 1 000 units at 5 000 a second.
        assert_eq!(limits.ms_to_first(drive, at, &camera()), Some(200));
        assert_eq!(limits.cut(drive, at, 199, &camera()), drive);
        assert_eq!(limits.cut(drive, at, 200, &camera()), Drive::from_axes([0, 50, 0]));
    }

    #[test]
    fn from_outside_a_camera_may_come_back_and_not_go_further() {
        let limits = limits(r#"{"pan":[-2000,2000]}"#).unwrap();
        let at = Position::from_axes([3_000, 0, 0]);
        assert_eq!(limits.cut(Drive::from_axes([1, 0, 0]), at, 0, &camera()), Drive::default());
        let back = Drive::from_axes([-1, 0, 0]);
        assert_eq!(limits.cut(back, at, 100, &camera()), back);
    }
}
