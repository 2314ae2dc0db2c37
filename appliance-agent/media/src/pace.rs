//! An endless reel made of a file's pictures and sound: the core of the camera that is a file.
//!
//! Reads no file and no clock. Whoever decodes the file pushes pictures and sound with their place in it; the reel
//! places them on one endless *media line* (nanoseconds since the clip's first picture) and hands them out when the
//! line has come that far. A round of the loop lasts exactly as long as its pictures: sound is cut or filled with
//! silence to that length, so picture and sound cannot drift apart however often the clip is repeated.

use std::collections::VecDeque;

/// Samples per second of everything that is sound.
pub const SOUND_RATE: u64 = 48_000;
/// Samples of one block: 20 ms, one Opus packet.
pub const BLOCK: usize = 960;

const SECOND: u64 = 1_000_000_000;
/// Pictures that are decoded ahead: the rewind at a round's end must fit in (480 ms at 25 fps), and 12 raw 1080p
/// pictures are 37 MB.
const AHEAD: usize = 12;
/// Sound that is decoded ahead at most: files may have their sound far before their pictures.
const SOUND_AHEAD: usize = 30 * SOUND_RATE as usize;
/// A buffer's time stamp may be off by this many samples (5 ms: Matroska rounds to milliseconds) and still be taken as
/// the continuation of the last one; only larger steps are real gaps.
const SOUND_STEP: u64 = 240;
/// A picture that is released this much too late (200 ms) gives way to the next.
const TOO_LATE: u64 = 200_000_000;
/// The longest step between pictures that is a frame rate and not a pause: 100 ms.
const LONGEST_BEAT: u64 = 100_000_000;
/// What a picture lasts when nothing tells: 40 ms.
const USUAL: u64 = 40_000_000;

/// Drops pictures evenly, down to an ordered rate; pictures of a slower clip all pass.
#[derive(Debug)]
pub struct Thinning {
    /// Pictures per nanosecond, scaled by [`SECOND`].
    fps: u64,
    /// Share of a picture that is owed, in 1/SECOND.
    credit: i64,
    last: Option<u64>,
}

impl Thinning {
    /// At most `fps` pictures per second.
    pub fn new(fps: u8) -> Self {
        Self { fps: u64::from(fps.max(1)), credit: 0, last: None }
    }

    /// Whether the picture at `position` (ns, never decreasing) is kept.
    ///
    /// A clip's time stamps may be rounded to milliseconds and cameras run 0.5 % fast: both pass untouched.
    pub fn keep(&mut self, position: u64) -> bool {
        const WHOLE: i64 = SECOND as i64;
        let gained = self.last.map_or(WHOLE, |last| {
            let step = position.saturating_sub(last).min(SECOND);
            (step * self.fps * 1_005 / 1_000) as i64
        });
        self.last = Some(position);
        // What was not used by a slow clip is not saved up: it would let a burst through later.
        self.credit = (self.credit + gained).min(WHOLE + WHOLE / 2);
        let keep = self.credit >= WHOLE / 2;
        if keep {
            self.credit -= WHOLE;
        }
        keep
    }
}

/// The endless reel. `P` is a picture; tests use numbers.
#[derive(Debug)]
pub struct Reel<P> {
    thinning: Thinning,
    /// Where the present round begins on the media line, ns.
    base: u64,
    round: Round,
    pictures: VecDeque<(u64, P)>,
    /// Where the first of the pictures is that were left out since the last one that was kept.
    left_out: Option<u64>,
    /// Absolute number of the first sample in `sound`.
    sound_from: u64,
    sound: VecDeque<i16>,
}

#[derive(Debug, Default)]
struct Round {
    /// Place in the file of the first picture: position zero of the round.
    first: Option<u64>,
    /// Place in the file and duration of the last one.
    last: Option<(u64, Option<u64>)>,
    /// The distance between the last two pictures.
    step: Option<u64>,
    /// Sound that came before the first picture.
    early: Vec<(u64, Vec<i16>)>,
    sound_begun: bool,
    pictures_over: bool,
    sound_over: bool,
}

impl Round {
    /// How long the pictures that came so far last.
    fn length(&self) -> u64 {
        let (Some(first), Some((last, duration))) = (self.first, self.last) else {
            return 0;
        };
        let told = duration.filter(|d| (1..SECOND).contains(d));
        // An edit list may cut the last picture short; a round that ends with its own beat has no seam.
        let beat = self.step.filter(|step| *step <= LONGEST_BEAT);
        last - first + told.max(beat).or(self.step).unwrap_or(USUAL)
    }
}

impl<P> Reel<P> {
    /// An empty reel that gives at most `fps` pictures per second. `sound`: the clip has a sound track.
    pub fn new(fps: u8) -> Self {
        Self {
            thinning: Thinning::new(fps),
            base: 0,
            round: Round::default(),
            pictures: VecDeque::new(),
            left_out: None,
            sound_from: 0,
            sound: VecDeque::new(),
        }
    }

    /// Another rate from now on.
    pub fn set_fps(&mut self, fps: u8) {
        self.thinning.fps = u64::from(fps.max(1));
    }

    /// There is room for another picture.
    pub fn wants_picture(&self) -> bool {
        self.pictures.len() < AHEAD
    }

    /// There is room for more sound.
    pub fn wants_sound(&self) -> bool {
        self.sound.len() + self.round.early.iter().map(|(_, s)| s.len()).sum::<usize>() < SOUND_AHEAD
    }

    /// A picture was decoded. `place`: its place in the file in this round, ns; `None` continues the last one.
    pub fn handle_picture(&mut self, place: Option<u64>, duration: Option<u64>, picture: P) {
        let round = &mut self.round;
        let follow = || round.last.map_or(0, |(last, d)| last + d.or(round.step).unwrap_or(USUAL));
        let place = place.unwrap_or_else(follow);
        match round.last {
            // Time never runs backwards within a round: a broken file loses the picture.
            Some((last, _)) if place <= last => return,
            Some((last, _)) => round.step = Some(place - last),
            None => round.first = Some(place),
        }
        round.last = Some((place, duration));
        let position = self.base + place - round.first.unwrap_or(place);
        if self.thinning.keep(position) {
            // What begins on a picture that was left out shows in this one: it stands for both, so it goes half-way.
            let back = self.left_out.take().map_or(0, |first| (position - first) / 2);
            self.pictures.push_back((position - back, picture));
        } else {
            self.left_out.get_or_insert(position);
        }
        for (place, samples) in std::mem::take(&mut self.round.early) {
            self.place(place, &samples);
        }
    }

    /// Sound was decoded: mono samples of [`SOUND_RATE`], the first at place in the file `place` (ns) of this round.
    pub fn handle_sound(&mut self, place: u64, samples: &[i16]) {
        if self.round.first.is_some() {
            self.place(place, samples);
        } else if self.wants_sound() {
            self.round.early.push((place, samples.to_vec()));
        }
    }

    /// This round has no more pictures.
    pub fn handle_pictures_over(&mut self) {
        self.round.pictures_over = true;
    }

    /// This round has no more sound, or never had any.
    pub fn handle_sound_over(&mut self) {
        self.round.sound_over = true;
    }

    /// True once when the round is complete and the file must be decoded again from its begin; the reel then expects
    /// the next round's pictures and sound.
    pub fn turn(&mut self) -> bool {
        if !self.round.pictures_over || self.round.first.is_none() {
            return false;
        }
        let end = sample_at(self.base + self.round.length());
        if !self.round.sound_over && self.sound_end() < end {
            return false;
        }
        self.fill(end);
        self.sound.truncate((end.saturating_sub(self.sound_from)) as usize);
        self.base += self.round.length();
        self.round = Round::default();
        true
    }

    /// Picture and sound are there (or never will be): the reel can start to run.
    pub fn ready(&self) -> bool {
        let sound = self.round.sound_over || self.sound.len() >= 2 * BLOCK || self.base > 0;
        !self.pictures.is_empty() && (sound || !self.wants_picture())
    }

    /// Where the next picture is on the media line, ns.
    pub fn next_picture(&self) -> Option<u64> {
        self.pictures.front().map(|(position, _)| *position)
    }

    /// The next picture when the line has come to `now`. One that is later than `TOO_LATE` and has a successor that is
    /// due as well is dropped: late video is worth nothing.
    pub fn take_picture(&mut self, now: u64) -> Option<(u64, P)> {
        let due = |at: Option<&(u64, P)>, age: u64| at.is_some_and(|(at, _)| at + age <= now);
        while due(self.pictures.front(), TOO_LATE) && due(self.pictures.get(1), 0) {
            self.pictures.pop_front();
        }
        self.pictures.pop_front_if(|(position, _)| *position <= now)
    }

    /// The next 20 ms of sound, which begin at the returned position (ns). Sound that did not come in time is silence:
    /// a microphone never waits.
    pub fn take_block(&mut self) -> (u64, [i16; BLOCK]) {
        let from = self.sound_from;
        let mut block = [0; BLOCK];
        let there = self.sound.len().min(BLOCK);
        for (to, sample) in block.iter_mut().zip(self.sound.drain(..there)) {
            *to = sample;
        }
        self.sound_from += BLOCK as u64;
        (position_of(from), block)
    }

    /// Where the next block's *last* sample has been captured, ns: the instant at which a microphone delivers it.
    pub fn next_block(&self) -> u64 {
        position_of(self.sound_from + BLOCK as u64)
    }

    fn sound_end(&self) -> u64 {
        self.sound_from + self.sound.len() as u64
    }

    fn fill(&mut self, end: u64) {
        let missing = end.saturating_sub(self.sound_end());
        self.sound.extend(std::iter::repeat_n(0, missing as usize));
    }

    fn place(&mut self, place: u64, samples: &[i16]) {
        let first = self.round.first.unwrap_or(place);
        let base = sample_at(self.base);
        // Negative before the first picture: that part belongs to no round.
        let offset = (i128::from(place) - i128::from(first)) * i128::from(SOUND_RATE);
        let offset = (offset + i128::from(SECOND / 2)).div_euclid(i128::from(SECOND)) as i64;
        let wanted = base as i64 + offset;
        let end = self.sound_end() as i64;
        let continues = self.round.sound_begun && (wanted - end).unsigned_abs() <= SOUND_STEP;
        let skip = if continues { 0 } else { (end - wanted).max(0) as usize };
        let Some(rest) = samples.get(skip..).filter(|rest| !rest.is_empty()) else {
            return;
        };
        if !continues {
            self.fill(wanted.max(0) as u64);
        }
        self.round.sound_begun = true;
        if self.sound.len() < SOUND_AHEAD {
            self.sound.extend(rest);
        }
    }
}

fn sample_at(position: u64) -> u64 {
    ((u128::from(position) * u128::from(SOUND_RATE) + u128::from(SECOND / 2)) / u128::from(SECOND)) as u64
}

fn position_of(sample: u64) -> u64 {
    (u128::from(sample) * u128::from(SECOND) / u128::from(SOUND_RATE)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// `count` pictures of 40 ms from `first`, and sound from `sound_first` for `sound_ms`, whose every sample is its
    /// number of milliseconds.
    fn round(reel: &mut Reel<u64>, first: u64, count: u64, sound_first: u64, sound_ms: u64) {
        let mut sound = (0..sound_ms).step_by(10).peekable();
        for n in 0..count {
            while sound.peek().is_some_and(|ms| *ms <= n * 40) || (n + 1 == count && sound.peek().is_some()) {
                let ms = sound.next().unwrap();
                let samples: Vec<i16> = (0..480).map(|i| (ms + i / 48) as i16 + 1).collect();
                reel.handle_sound((sound_first + ms) * MS, &samples);
            }
            reel.handle_picture(Some((first + n * 40) * MS), Some(40 * MS), n);
        }
        reel.handle_pictures_over();
        reel.handle_sound_over();
    }

    fn drain(reel: &mut Reel<u64>, until_ms: u64) -> (Vec<u64>, Vec<i16>) {
        let (mut pictures, mut sound) = (Vec::new(), Vec::new());
        while let Some(next) = reel.next_picture().filter(|next| *next < until_ms * MS) {
            pictures.push(reel.take_picture(next).unwrap().0 / MS);
        }
        while reel.next_block() <= until_ms * MS {
            sound.extend(reel.take_block().1);
        }
        (pictures, sound)
    }

    #[test]
    fn a_round_lasts_as_long_as_its_pictures_and_sound_stays_with_them() {
        // 63 pictures = 2.52 s; the sound is 21 ms longer (AAC) and the next round must not notice.
        let mut reel = Reel::new(25);
        for _ in 0..3 {
            round(&mut reel, 0, 63, 0, 2_541);
            assert!(reel.turn());
            assert!(!reel.turn());
        }
        let (pictures, sound) = drain(&mut reel, 3 * 2_520);
        assert!(pictures.windows(2).all(|w| w[1] - w[0] == 40), "{pictures:?}");
        assert_eq!(sound.len(), 3 * 2_520 * 48);
        for start in [0, 2_520, 5_040] {
            assert_eq!(sound[start * 48], 1);
            assert_eq!(sound[(start + 1_000) * 48], 1_001);
            assert_eq!(sound[(start + 2_519) * 48], 2_520);
        }
    }

    #[test]
    fn a_last_picture_that_is_cut_short_lasts_as_long_as_the_others() {
        let mut reel = Reel::new(25);
        for _ in 0..2 {
            for n in 0..4 {
                reel.handle_picture(Some(n * 40 * MS), Some(if n == 3 { MS } else { 40 * MS }), n);
            }
            reel.handle_pictures_over();
            reel.handle_sound_over();
            assert!(reel.turn());
        }
        assert_eq!(drain(&mut reel, 400).0, [0, 40, 80, 120, 160, 200, 240, 280]);
    }

    #[test]
    fn a_picture_that_stands_for_one_left_out_goes_half_way() {
        let mut reel = Reel::new(25);
        for n in 0..8 {
            reel.handle_picture(Some(n * 20 * MS), Some(20 * MS), n);
        }
        // Kept are 0, 20, 60, 100 and 140; the thinning begins with one in hand.
        assert_eq!(drain(&mut reel, 400).0, [0, 20, 50, 90, 130]);
    }

    #[test]
    fn sound_that_ends_early_is_followed_by_silence_until_the_pictures_end() {
        let mut reel = Reel::new(25);
        for _ in 0..2 {
            round(&mut reel, 0, 50, 0, 1_500);
            assert!(reel.turn());
        }
        let (_, sound) = drain(&mut reel, 4_000);
        assert!(sound[1_500 * 48..2_000 * 48].iter().all(|s| *s == 0));
        assert_eq!(sound[2_000 * 48], 1);
    }

    #[test]
    fn sound_before_the_first_picture_is_cut_and_late_sound_waits_for_its_time() {
        let mut reel = Reel::new(25);
        round(&mut reel, 80, 25, 0, 1_000);
        assert!(reel.turn());
        round(&mut reel, 0, 25, 200, 500);
        assert!(reel.turn());
        let (pictures, sound) = drain(&mut reel, 2_000);
        assert_eq!(pictures[0], 0);
        assert_eq!(sound[0], 81);
        assert_eq!(sound[1_000 * 48 + 199 * 48], 0);
        assert_eq!(sound[1_000 * 48 + 200 * 48], 1);
    }

    #[test]
    fn time_stamps_rounded_to_milliseconds_leave_the_sound_whole() {
        let mut reel = Reel::new(25);
        for n in 0..50_u64 {
            reel.handle_picture(Some(n * 40 * MS), None, n);
        }
        // 1,024 samples at 44.1 kHz are 1,114.56 at 48 kHz: 23.22 ms, written as 23, 46, 70 …
        for n in 0..80_u64 {
            reel.handle_sound((n * 2322 + 50) / 100 * MS, &[7; 1_114]);
        }
        reel.handle_pictures_over();
        reel.handle_sound_over();
        assert!(reel.turn());
        let (_, sound) = drain(&mut reel, 1_800);
        assert!(sound.iter().filter(|s| **s == 0).count() < 48 * 8, "{}", sound.iter().filter(|s| **s == 0).count());
    }

    #[test]
    fn a_faster_clip_is_thinned_evenly_and_a_slower_one_passes() {
        let kept = |fps: f64, ordered: u8| -> Vec<u64> {
            let mut thinning = Thinning::new(ordered);
            let at = |n: u32| ((f64::from(n) * 1_000.0 / fps).round() * 1e6) as u64;
            (0..(fps * 10.0) as u32).map(at).filter(|at| thinning.keep(*at)).collect()
        };
        for (fps, ordered, frames, gap) in [
            (25.0, 25, 250, 40),
            (24.0, 25, 240, 42),
            (29.97, 30, 299, 34),
            (30.0, 25, 251, 67),
            (50.0, 25, 251, 40),
            (60.0, 25, 251, 51),
            (59.94, 25, 251, 51),
        ] {
            let kept = kept(fps, ordered);
            assert!((kept.len() as i64 - frames).abs() <= 2, "{fps} → {ordered}: {}", kept.len());
            let widest = kept.windows(2).map(|w| w[1] - w[0]).max().unwrap() / MS;
            assert!(widest <= gap, "{fps} → {ordered}: gap {widest}");
        }
    }

    #[test]
    fn a_late_camera_gives_up_what_is_too_old_and_a_microphone_never_waits() {
        let mut reel = Reel::new(25);
        for n in 0..8 {
            reel.handle_picture(Some(n * 40 * MS), Some(40 * MS), n);
        }
        // 0 and 40 are more than 200 ms late; the others come in order, with the time at which they belong.
        assert_eq!(reel.take_picture(255 * MS), Some((80 * MS, 2)));
        assert_eq!(reel.take_picture(255 * MS), Some((120 * MS, 3)));
        assert_eq!(reel.take_picture(255 * MS).map(|(at, _)| at), Some(160 * MS));
        while reel.take_picture(255 * MS).is_some() {}
        assert_eq!(reel.next_picture(), Some(280 * MS));
        assert_eq!(reel.take_block(), (0, [0; BLOCK]));
        // What comes for a time that is over is not played later.
        reel.handle_sound(0, &[5; 1_440]);
        let (at, block) = reel.take_block();
        assert_eq!((at, block[0], block[479], block[480]), (20 * MS, 5, 5, 0));
    }

    #[test]
    fn a_broken_file_never_makes_time_run_backwards() {
        let mut reel = Reel::new(25);
        reel.handle_picture(Some(40 * MS), None, 0);
        reel.handle_picture(Some(0), None, 1);
        reel.handle_picture(None, None, 2);
        assert_eq!(reel.take_picture(0), Some((0, 0)));
        assert_eq!(reel.take_picture(SECOND), Some((40 * MS, 2)));
    }
}
