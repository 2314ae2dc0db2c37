//! Time on the session's axis.

use std::ops::{Add, Sub};

use bridgepoint_wire::media::{AUDIO_RATE, VIDEO_RATE};
use serde::{Deserialize, Serialize};

/// Microseconds: an instant since the session's origin on the server's clock, or the span between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Micros(pub i64);

impl Micros {
    /// So many milliseconds.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms * 1_000)
    }

    /// The instant of a video time stamp.
    pub const fn from_video_ticks(ticks: u64) -> Self {
        Self((ticks as i128 * 1_000_000 / VIDEO_RATE as i128) as i64)
    }

    /// The instant of an audio time stamp.
    pub const fn from_audio_ticks(ticks: u64) -> Self {
        Self((ticks as i128 * 1_000_000 / AUDIO_RATE as i128) as i64)
    }

    /// As samples of the audio clock, rounded down.
    pub const fn samples(self) -> i64 {
        (self.0 as i128 * AUDIO_RATE as i128).div_euclid(1_000_000) as i64
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_a_month_keep_their_instant() {
        let month = 30 * 86_400;
        assert_eq!(Micros::from_video_ticks(month * VIDEO_RATE), Micros(month as i64 * 1_000_000));
        assert_eq!(Micros::from_audio_ticks(month * AUDIO_RATE + 960), Micros(month as i64 * 1_000_000 + 20_000));
        assert_eq!(Micros::from_millis(20).samples(), 960);
        assert_eq!(Micros(-1).samples(), -1);
    }
}
