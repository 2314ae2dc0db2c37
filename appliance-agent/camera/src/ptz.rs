//! What every camera that moves can be told, in units of its own range.

use std::future::Future;
use std::time::Duration;

use crate::CameraError;

/// How fast to move, as parts of the camera's fastest: -1 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Speeds {
    pan: f32,
    tilt: f32,
    zoom: f32,
}

impl Speeds {
    /// Right, up and tele are positive. Values beyond ±1 are cut; NaN is no movement.
    pub fn new(pan: f32, tilt: f32, zoom: f32) -> Self {
        Self { pan: part(pan, -1.0), tilt: part(tilt, -1.0), zoom: part(zoom, -1.0) }
    }

    /// To the right.
    pub const fn pan(self) -> f32 {
        self.pan
    }

    /// Upwards.
    pub const fn tilt(self) -> f32 {
        self.tilt
    }

    /// Towards tele.
    pub const fn zoom(self) -> f32 {
        self.zoom
    }
}

/// Where a camera looks, as parts of its own range.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Position {
    pan: f32,
    tilt: f32,
    zoom: f32,
}

impl Position {
    /// `pan` and `tilt` from -1 (leftmost, lowest) to 1, `zoom` from 0 (wide) to 1 (tele). Values beyond are cut; NaN
    /// is 0.
    pub fn new(pan: f32, tilt: f32, zoom: f32) -> Self {
        Self { pan: part(pan, -1.0), tilt: part(tilt, -1.0), zoom: part(zoom, 0.0) }
    }

    /// -1 is leftmost, 1 is rightmost.
    pub const fn pan(self) -> f32 {
        self.pan
    }

    /// -1 is lowest, 1 is highest.
    pub const fn tilt(self) -> f32 {
        self.tilt
    }

    /// 0 is wide, 1 is tele.
    pub const fn zoom(self) -> f32 {
        self.zoom
    }

    /// The largest difference on any axis, in parts of the range.
    pub fn distance(self, other: Self) -> f32 {
        let axes = [self.pan - other.pan, self.tilt - other.tilt, self.zoom - other.zoom];
        axes.into_iter().fold(0.0, |most, d| most.max(d.abs()))
    }
}

fn part(value: f32, least: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(least, 1.0) }
}

/// Number of a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Preset(pub u8);

/// How a request is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// By the device itself.
    Device,
    /// By this program, from other things that the device does.
    Emulated,
    /// Not at all.
    No,
}

/// What a camera really does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Moving at a speed until stopped.
    pub drive: Means,
    /// Going to a position.
    pub goto: Means,
    /// Presets.
    pub presets: Means,
    /// Home.
    pub home: Means,
    /// It says where it looks.
    pub position: bool,
    /// It has a zoom.
    pub zoom: bool,
    /// [`Ptz::drive`] lasts no longer than this: who wants to go on says so again before. So a camera whose line is
    /// cut in a movement stops by itself.
    pub hold: Duration,
}

/// A camera that moves. One owner at a time is the caller's business; `&self`, so that a stop can overtake.
pub trait Ptz: Send + Sync {
    /// What it can do, as far as is known now.
    fn capabilities(&self) -> Capabilities;

    /// Moves at these speeds for at most [`Capabilities::hold`].
    ///
    /// # Errors
    /// [`CameraError::Unable`] and what the line or the camera says.
    fn drive(&self, speeds: Speeds) -> impl Future<Output = Result<(), CameraError>> + Send;

    /// Stops, whatever else is under way; repeated until the camera has answered.
    ///
    /// # Errors
    /// [`CameraError::StopUnanswered`]: it may still move.
    fn stop(&self) -> impl Future<Output = Result<(), CameraError>> + Send;

    /// Goes to a position. Returns when the camera has accepted it; when it is [`Means::Emulated`], on arrival.
    ///
    /// # Errors
    /// As [`Ptz::drive`]; [`CameraError::Overtaken`] when a later request came first.
    fn goto(&self, position: Position) -> impl Future<Output = Result<(), CameraError>> + Send;

    /// Where it looks.
    ///
    /// # Errors
    /// As [`Ptz::drive`].
    fn position(&self) -> impl Future<Output = Result<Position, CameraError>> + Send;

    /// Goes to a preset.
    ///
    /// # Errors
    /// As [`Ptz::goto`]; [`CameraError::NoPreset`].
    fn recall(&self, preset: Preset) -> impl Future<Output = Result<(), CameraError>> + Send;

    /// Keeps where it looks now as a preset.
    ///
    /// # Errors
    /// As [`Ptz::drive`].
    fn store(&self, preset: Preset) -> impl Future<Output = Result<(), CameraError>> + Send;

    /// Forgets a preset; one that is not there is forgotten already.
    ///
    /// # Errors
    /// As [`Ptz::drive`].
    fn remove(&self, preset: Preset) -> impl Future<Output = Result<(), CameraError>> + Send;

    /// Goes home.
    ///
    /// # Errors
    /// As [`Ptz::recall`].
    fn home(&self) -> impl Future<Output = Result<(), CameraError>> + Send;

    /// Has its stream begin anew with a key frame, for who waits for one.
    ///
    /// # Errors
    /// As [`Ptz::drive`].
    fn synchronize(&self) -> impl Future<Output = Result<(), CameraError>> + Send;

    /// Makes where it looks now its home.
    ///
    /// # Errors
    /// As [`Ptz::drive`].
    fn set_home(&self) -> impl Future<Output = Result<(), CameraError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_range_and_nan_is_no_movement() {
        let speeds = Speeds::new(f32::NAN, -7.0, f32::INFINITY);
        assert_eq!((speeds.pan(), speeds.tilt(), speeds.zoom()), (0.0, -1.0, 1.0));
        let position = Position::new(2.0, f32::NAN, -0.5);
        assert_eq!((position.pan(), position.tilt(), position.zoom()), (1.0, 0.0, 0.0));
    }
}
