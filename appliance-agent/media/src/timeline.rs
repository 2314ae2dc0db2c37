//! The session's media timeline: ticks since the session's origin, from a monotonic clock that was set by UTC once.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bridgepoint_wire::media::{AUDIO_RATE, VIDEO_RATE};

/// Turns instants into ticks. A step of the system's clock during the session changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    origin_ms: u64,
    /// The same moment by both clocks.
    anchor: (Instant, Duration),
}

impl Timeline {
    /// A timeline that begins at `origin_ms` (ms since 1970), anchored now.
    pub fn new(origin_ms: u64) -> Self {
        let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin_ms, anchor: (Instant::now(), utc) }
    }

    /// Time since 1970 of `at`.
    pub fn utc(&self, at: Instant) -> Duration {
        let (anchor, utc) = self.anchor;
        match at.checked_duration_since(anchor) {
            Some(later) => utc + later,
            None => utc.saturating_sub(anchor - at),
        }
    }

    /// Milliseconds since 1970 of `at`.
    pub fn utc_ms(&self, at: Instant) -> u64 {
        self.utc(at).as_millis() as u64
    }

    /// `at` by the system's clock of the anchor.
    pub fn system_time(&self, at: Instant) -> SystemTime {
        UNIX_EPOCH + self.utc(at)
    }

    /// Nanoseconds from the origin to `at`; `None` before the origin (this box's clock is behind the centre's).
    fn since_origin(&self, at: Instant) -> Option<u128> {
        self.utc(at).checked_sub(Duration::from_millis(self.origin_ms)).map(|d| d.as_nanos())
    }

    /// Ticks of the video clock.
    pub fn video_ticks(&self, at: Instant) -> Option<u64> {
        self.since_origin(at).map(|ns| rounded(ns, VIDEO_RATE))
    }

    /// Ticks of the audio clock.
    pub fn audio_ticks(&self, at: Instant) -> Option<u64> {
        self.since_origin(at).map(|ns| rounded(ns, AUDIO_RATE))
    }

    /// When `ticks` of a clock of `rate` is.
    pub fn instant(&self, ticks: u64, rate: u64) -> Instant {
        let since_origin = Duration::from_nanos((u128::from(ticks) * 1_000_000_000 / u128::from(rate)) as u64);
        let utc = Duration::from_millis(self.origin_ms) + since_origin;
        let (anchor, anchor_utc) = self.anchor;
        match utc.checked_sub(anchor_utc) {
            Some(later) => anchor + later,
            None => anchor.checked_sub(anchor_utc.saturating_sub(utc)).unwrap_or(anchor),
        }
    }
}

fn rounded(ns: u128, rate: u64) -> u64 {
    ((ns * u128::from(rate) + 500_000_000) / 1_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_instants_are_inverse_and_both_clocks_agree() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let timeline = Timeline::new(now - 10_000);
        let at = Instant::now() + Duration::from_secs(3);
        let (video, audio) = (timeline.video_ticks(at).unwrap(), timeline.audio_ticks(at).unwrap());
        assert!((i128::from(video) * 48 - i128::from(audio) * 90).abs() <= 90);
        let back = timeline.instant(video, VIDEO_RATE);
        assert!(back.max(at) - back.min(at) < Duration::from_micros(10));
        assert!((12_999..13_200).contains(&(video / 90)));
        assert_eq!(Timeline::new(now + 60_000).video_ticks(Instant::now()), None);
    }
}
