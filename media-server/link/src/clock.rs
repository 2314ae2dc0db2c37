//! From RTP time stamps to ticks since the session's origin. No I/O, no clock.

use std::time::{Duration, SystemTime};

use bridgepoint_wire::media::{AUDIO_RATE, VIDEO_RATE};

/// The session's time zero, for turning instants into ticks.
#[derive(Debug, Clone, Copy)]
pub struct Origin(SystemTime);

impl Origin {
    /// From `origin_ms`, milliseconds since 1970.
    pub fn from_ms(ms: u64) -> Self {
        Self(SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
    }

    /// Ticks of `rate` at `at`; 0 before the origin.
    pub fn ticks(self, at: SystemTime, rate: u64) -> u64 {
        at.duration_since(self.0).map_or(0, |since| to_ticks(since, rate))
    }

    /// How long before `now` the tick was; zero for one to come. Never more than 10 s: what claims more is wrong.
    pub fn age(self, ticks: u64, rate: u64, now: SystemTime) -> Duration {
        let now = self.ticks(now, rate);
        from_ticks(now.saturating_sub(ticks).min(rate * 10), rate)
    }
}

fn to_ticks(time: Duration, rate: u64) -> u64 {
    (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u64
}

fn from_ticks(ticks: u64, rate: u64) -> Duration {
    Duration::from_nanos((u128::from(ticks) * 1_000_000_000 / u128::from(rate)) as u64)
}

/// The tick nearest to `expected` whose low 32 bits are `rtp`; 0 when that would be before the origin.
pub fn unwrap(rtp: u32, expected: u64) -> u64 {
    let distance = rtp.wrapping_sub(expected as u32) as i32;
    expected.saturating_add_signed(i64::from(distance))
}

/// RTP time and NTP time of the same instant, from a sender report (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// RTP time stamp.
    pub rtp: u32,
    /// The sender's wall clock.
    pub ntp: SystemTime,
}

/// Places a WHIP sender's streams, whose RTP times begin anywhere, on the session's axis.
///
/// Its sound is anchored at its arrival and then runs by its own clock, so blocks follow each other without a gap;
/// its picture starts the same way and is moved to where the sender reports say that it belongs beside the sound,
/// at most 1 ms per frame. So lip sync is right after some seconds and no time stamp ever goes backwards.
#[derive(Debug, Default)]
pub struct WhipClock {
    audio: Line,
    video: Line,
}

#[derive(Debug, Default)]
struct Line {
    /// Ticks minus unwrapped RTP time.
    offset: Option<i64>,
    last_rtp: i64,
    report: Option<Report>,
}

/// A line that is further off its arrival than this has jumped and is anchored anew.
const JUMP: Duration = Duration::from_secs(2);
const SLEW: i64 = VIDEO_RATE as i64 / 1_000;

impl Line {
    fn unwrap(&self, rtp: u32) -> i64 {
        self.last_rtp + i64::from(rtp.wrapping_sub(self.last_rtp as u32) as i32)
    }

    fn place(&mut self, rtp: u32, expected: u64, rate: u64) -> i64 {
        let rtp = self.unwrap(rtp);
        self.last_rtp = rtp;
        let here = expected as i64 - rtp;
        let limit = to_ticks(JUMP, rate) as i64;
        let offset = *self.offset.get_or_insert(here);
        if (offset - here).abs() > limit {
            self.offset = Some(here);
            return expected as i64;
        }
        rtp + offset
    }

    /// Nanoseconds of the sender's clock at an unwrapped RTP time.
    fn ntp(&self, rtp: i64, rate: u64) -> Option<i128> {
        let report = self.report?;
        let at = report.ntp.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos() as i128;
        Some(at + i128::from(rtp - self.unwrap(report.rtp)) * 1_000_000_000 / i128::from(rate))
    }
}

impl WhipClock {
    /// A sender report of the sound (`true`) or the picture arrived.
    pub fn handle_report(&mut self, audio: bool, report: Report) {
        let line = if audio { &mut self.audio } else { &mut self.video };
        line.report = Some(report);
    }

    /// Ticks of a block of sound that arrived when the session was `expected` ticks old.
    pub fn audio(&mut self, rtp: u32, expected: u64) -> u64 {
        self.audio.place(rtp, expected, AUDIO_RATE).max(0) as u64
    }

    /// Ticks of a picture that arrived when the session was `expected` ticks old.
    pub fn video(&mut self, rtp: u32, expected: u64) -> u64 {
        let ticks = self.video.place(rtp, expected, VIDEO_RATE);
        let (Some(wanted), Some(offset)) = (self.beside_sound(), self.video.offset) else {
            return ticks.max(0) as u64;
        };
        let step = (wanted - ticks).clamp(-SLEW, SLEW);
        self.video.offset = Some(offset + step);
        (ticks + step).max(0) as u64
    }

    /// Where the last picture belongs by both streams' reports.
    fn beside_sound(&self) -> Option<i64> {
        let sound = self.audio.last_rtp + self.audio.offset?;
        let sound_at = i128::from(sound) * 1_000_000_000 / i128::from(AUDIO_RATE);
        let apart =
            self.video.ntp(self.video.last_rtp, VIDEO_RATE)? - self.audio.ntp(self.audio.last_rtp, AUDIO_RATE)?;
        Some(((sound_at + apart) * i128::from(VIDEO_RATE) / 1_000_000_000) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_tick_is_found_again_within_half_a_wrap(ticks in 0_u64..1 << 40, off in -(1_i64 << 30)..1 << 30) {
            let expected = ticks.saturating_add_signed(off);
            prop_assert_eq!(unwrap(ticks as u32, expected), ticks);
        }
    }

    #[test]
    fn a_stamp_from_before_the_origin_is_zero() {
        assert_eq!(unwrap(u32::MAX, 3), 0);
    }

    #[test]
    fn ticks_and_ages_are_exact() {
        let origin = Origin::from_ms(1_000);
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!((origin.ticks(at, VIDEO_RATE), origin.ticks(at, AUDIO_RATE)), (45_000, 24_000));
        assert_eq!(origin.age(36_000, VIDEO_RATE, at), Duration::from_millis(100));
        assert_eq!(origin.ticks(SystemTime::UNIX_EPOCH, VIDEO_RATE), 0);
    }

    /// Sound and picture of one instant; the picture arrives 120 ms later than the sound.
    #[test]
    fn whip_picture_comes_to_its_sound_without_going_back() {
        let mut clock = WhipClock::default();
        let ntp = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let (audio0, video0) = (4_000_000_000_u32, 77_u32);
        clock.handle_report(true, Report { rtp: audio0, ntp });
        clock.handle_report(false, Report { rtp: video0, ntp });
        let mut last = 0;
        let mut apart = 0;
        for n in 0..400_u32 {
            let ms = u64::from(n) * 40;
            let sound = clock.audio(audio0.wrapping_add(n * 1_920), (5_000 + ms) * 48);
            let picture = clock.video(video0.wrapping_add(n * 3_600), (5_120 + ms) * 90);
            assert!(picture > last);
            assert_eq!(sound, (5_000 + ms) * 48);
            last = picture;
            apart = picture as i64 / 90 - sound as i64 / 48;
        }
        assert_eq!(apart, 0);
    }
}
