//! Whether a camera's own H.264 can be contributed as it is: found out from its access units, never taken on trust.
//! Reads no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bridgepoint_record::avc::{Format, ParameterSets, has_b_slice};
use bridgepoint_wire::media::AccessUnit;
use bridgepoint_wire::picture::{Figures, Unfit};

/// Without a key frame for longer, who joins waits too long (and so does the record's begin). Cameras have 1 to 4 s.
const KEY_WITHIN: Duration = Duration::from_secs(5);
/// More than a line can be expected to carry, kbit/s: cameras are delivered with 4,000 to 6,000 for 1080p.
const MOST_KBPS: u32 = 8_000;
/// The rate is that of so long: a key frame alone is no rate.
const WINDOW: Duration = Duration::from_secs(3);
/// Receivers are prepared for so much; 1080 lines are coded as 1088.
const LARGEST: (u16, u16) = (1_920, 1_088);
/// Of a stream that nobody knows, so many pictures are looked at before the first is contributed: B frames show at once.
const LOOK_AT: usize = 8;

/// What is known of a camera's stream. Lives as long as the session: a camera that comes back with the same parameter
/// sets is not judged anew.
#[derive(Debug, Default)]
pub(super) struct Fitness {
    sets: Option<ParameterSets>,
    verdict: Verdict,
    units: VecDeque<(Instant, usize)>,
    key_at: Option<Instant>,
    key_every: Option<Duration>,
    format: Option<Format>,
    /// The stream began, or began anew.
    since: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// So many pictures have been looked at.
    #[default]
    New,
    Looking(usize),
    Fit,
    Unfit(Unfit),
}

/// What is to be done with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Contributed as it is.
    Fit,
    /// Kept until the stream has been looked at.
    Wait,
    /// Decoded and encoded again.
    Unfit(Unfit),
}

impl Fitness {
    /// A connection begins: what comes next begins a stream.
    pub(super) fn handle_begin(&mut self) {
        self.units.clear();
        (self.key_at, self.since) = (None, None);
    }

    /// A unit, with its parameter sets in band, arrived.
    pub(super) fn handle_unit(&mut self, unit: &AccessUnit, now: Instant) -> Judgement {
        self.measure(unit, now);
        if let Some(sets) = ParameterSets::of(unit)
            && self.sets.as_ref() != Some(&sets)
        {
            self.format = sets.sps.first().and_then(|sps| Format::of(sps));
            self.verdict = self.fault_of_format().map_or(Verdict::New, Verdict::Unfit);
            self.sets = Some(sets);
        }
        if let Verdict::New | Verdict::Looking(_) | Verdict::Fit = self.verdict
            && let Some(why) = self.fault(unit, now)
        {
            self.verdict = Verdict::Unfit(why);
        }
        self.verdict = match self.verdict {
            Verdict::New if unit.key => Verdict::Looking(1),
            Verdict::Looking(seen) if seen + 1 >= LOOK_AT => Verdict::Fit,
            Verdict::Looking(seen) => Verdict::Looking(seen + 1),
            settled => settled,
        };
        match self.verdict {
            Verdict::New | Verdict::Looking(_) => Judgement::Wait,
            Verdict::Fit => Judgement::Fit,
            Verdict::Unfit(why) => Judgement::Unfit(why),
        }
    }

    /// What the stream is like; once it has been seen for some seconds.
    pub(super) fn figures(&self) -> Option<Figures> {
        let (format, key_every) = (self.format?, self.key_every?);
        let (first, last) = (self.units.front()?.0, self.units.back()?.0);
        let span = last.saturating_duration_since(first).as_secs_f64();
        let fps = (self.units.len() - 1) as f64 / span.max(0.001);
        (span > WINDOW.as_secs_f64() / 2.0).then(|| Figures {
            width: format.width,
            height: format.height,
            fps: fps.round().clamp(1.0, 255.0) as u8,
            kbps: self.kbps(),
            key_every_ms: key_every.as_millis() as u32,
        })
    }

    fn measure(&mut self, unit: &AccessUnit, now: Instant) {
        self.since.get_or_insert(now);
        self.units.push_back((now, unit.data.len()));
        while self.units.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW) {
            self.units.pop_front();
        }
        if unit.key {
            let before = self.key_at.replace(now);
            self.key_every = before.map(|at| now.saturating_duration_since(at)).or(self.key_every);
        }
    }

    /// Of a whole window; 0 before.
    fn kbps(&self) -> u32 {
        let (Some(first), Some(last)) = (self.units.front(), self.units.back()) else { return 0 };
        let span = last.0.saturating_duration_since(first.0);
        if span < WINDOW * 9 / 10 {
            return 0;
        }
        let bytes: usize = self.units.iter().map(|(_, bytes)| bytes).sum();
        (bytes as f64 * 8.0 / 1_000.0 / span.as_secs_f64()) as u32
    }

    fn fault_of_format(&self) -> Option<Unfit> {
        let Some(Format { width, height, high, progressive, .. }) = self.format else { return Some(Unfit::NoFormat) };
        if width > LARGEST.0 || height > LARGEST.1 {
            return Some(Unfit::TooLarge { width, height });
        }
        if high.is_some_and(|high| high != [1, 8, 8]) {
            return Some(Unfit::Colours);
        }
        (!progressive).then_some(Unfit::Interlaced)
    }

    fn fault(&self, unit: &AccessUnit, now: Instant) -> Option<Unfit> {
        if has_b_slice(unit) {
            return Some(Unfit::BFrames);
        }
        let none_for = now.saturating_duration_since(self.key_at.or(self.since)?);
        if none_for > KEY_WITHIN {
            return Some(Unfit::RareKeyFrames { none_for_ms: none_for.as_millis() as u32 });
        }
        let kbps = self.kbps();
        (kbps > MOST_KBPS).then_some(Unfit::RateTooHigh { kbps, most: MOST_KBPS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x264's of 1920×1080, progressive.
    const SPS: [u8; 26] =
        [103, 100, 0, 40, 172, 217, 64, 120, 2, 39, 229, 132, 0, 0, 3, 0, 4, 0, 0, 3, 0, 240, 60, 96, 198, 88];
    const PPS: [u8; 5] = [104, 235, 236, 178, 44];

    fn key(sps: &[u8], bytes: usize) -> AccessUnit {
        let picture = [&[0x65, 0b1000_1000][..], &vec![7; bytes]].concat();
        AccessUnit::from_nals(0, [sps, &PPS, &picture]).unwrap()
    }

    fn picture(head: u8, bytes: usize) -> AccessUnit {
        AccessUnit::from_nals(0, [&[&[0x41, head][..], &vec![7; bytes]].concat()[..]]).unwrap()
    }

    const P: u8 = 0b1110_0000;
    const B: u8 = 0b1010_0000;

    /// 25 pictures a second, a key frame every so many; the judgements, each with the number of its first picture.
    fn judge(fitness: &mut Fitness, from: Instant, pictures: u32, gop: u32, bytes: usize) -> Vec<(u32, Judgement)> {
        let mut said: Vec<(u32, Judgement)> = Vec::new();
        for n in 0..pictures {
            let unit = if n % gop == 0 { key(&SPS, bytes) } else { picture(P, bytes) };
            let judgement = fitness.handle_unit(&unit, from + Duration::from_millis(40) * n);
            let kind = |judgement: &Judgement| std::mem::discriminant(judgement);
            if said.last().is_none_or(|(_, last)| kind(last) != kind(&judgement)) {
                said.push((n, judgement));
            }
        }
        said
    }

    #[test]
    fn a_good_stream_is_looked_at_for_a_moment_once() {
        let (mut fitness, start) = (Fitness::default(), Instant::now());
        assert_eq!(judge(&mut fitness, start, 200, 50, 10_000), [(0, Judgement::Wait), (7, Judgement::Fit)]);
        let figures = fitness.figures().unwrap();
        assert_eq!((figures.width, figures.height, figures.fps, figures.key_every_ms), (1_920, 1_080, 25, 2_000));
        assert!((1_950..2_060).contains(&figures.kbps), "{figures:?}");
        // The camera was unplugged for a minute: no key frame meanwhile, and no fault of its stream.
        fitness.handle_begin();
        assert_eq!(judge(&mut fitness, start + Duration::from_mins(1), 60, 50, 10_000), [(0, Judgement::Fit)]);
    }

    #[test]
    fn b_frames_are_seen_before_anything_is_contributed() {
        let (mut fitness, now) = (Fitness::default(), Instant::now());
        assert_eq!(fitness.handle_unit(&key(&SPS, 9), now), Judgement::Wait);
        assert_eq!(fitness.handle_unit(&picture(P, 9), now), Judgement::Wait);
        assert_eq!(fitness.handle_unit(&picture(B, 9), now), Judgement::Unfit(Unfit::BFrames));
        assert_eq!(fitness.handle_unit(&key(&SPS, 9), now), Judgement::Unfit(Unfit::BFrames), "and stays so");
    }

    #[test]
    fn rare_key_frames_and_high_rates_are_measured() {
        let start = Instant::now();
        let rare = judge(&mut Fitness::default(), start, 300, 250, 1_000);
        assert!(matches!(rare[2], (126, Judgement::Unfit(Unfit::RareKeyFrames { .. }))), "{rare:?}");
        let high = judge(&mut Fitness::default(), start, 300, 50, 60_000);
        assert!(matches!(high[2], (_, Judgement::Unfit(Unfit::RateTooHigh { .. }))), "{high:?}");
        // A stream that has no key frame at all.
        let (mut fitness, mut last) = (Fitness::default(), Judgement::Wait);
        for n in 0..130 {
            last = fitness.handle_unit(&picture(P, 9), start + Duration::from_millis(40) * n);
        }
        assert!(matches!(last, Judgement::Unfit(Unfit::RareKeyFrames { .. })), "{last:?}");
    }

    #[test]
    fn another_format_is_judged_anew() {
        let (mut fitness, now) = (Fitness::default(), Instant::now());
        judge(&mut fitness, now, 10, 50, 9);
        // Cut short: cannot be read.
        assert_eq!(fitness.handle_unit(&key(&SPS[..6], 9), now), Judgement::Unfit(Unfit::NoFormat));
        assert_eq!(fitness.handle_unit(&key(&SPS, 9), now), Judgement::Wait);
    }
}
