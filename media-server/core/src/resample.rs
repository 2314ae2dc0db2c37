//! Reading decoded sound at another rate than it was recorded: between its samples, and at a place that glides.

use std::f64::consts::PI;

use crate::audio::BLOCK;

/// Samples that one is made of. With the window below the error of a tone is under −80 dB up to 16 kHz.
const TAPS: usize = 32;
/// Places between two samples that have weights of their own; between these the weights are a line (−95 dB at 8 kHz).
const PHASES: usize = 256;
/// Kaiser's β: side lobes of −90 dB.
const BETA: f64 = 9.0;
/// Samples that must be there before the first that is asked for, …
pub(crate) const BEFORE: i64 = TAPS as i64 / 2 - 1;
/// … and after the last.
const AFTER: i64 = TAPS as i64 / 2;

/// A change of the lag below this (1 ms) waits until it is worth it: the usual case stays bit-exact.
const LEAST: f64 = 48.0;
/// A lag that is wrong by more (10 ms) is no matter of gliding.
const FAR: f64 = 480.0;
/// What is wrong is walked off by this share per sample: a time constant of 1 s.
const SHARE: f64 = 1.0 / 48_000.0;
/// Rates are this far from 1 at most (9 cents, which nobody hears in speech), …
const FASTEST: f64 = 0.005;
/// … and at least while gliding at all: faster than any clock drifts (RFC 3550 boxes: 200 ppm).
const SLOWEST: f64 = 0.000_5;

/// A band-limited interpolator: windowed sinc, cut off at half the sample rate.
pub(crate) struct Kernel {
    /// For each phase the weights of [`TAPS`] samples; one more phase than there are, for the line to it.
    rows: Vec<[f32; TAPS]>,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { rows: (0..=PHASES).map(|phase| row(phase as f64 / PHASES as f64)).collect() }
    }
}

impl Kernel {
    /// Sample n of `out` is the sound at place `part + n · rate`, where `window[BEFORE]` is at place 0. What is missing
    /// in `window` is silence.
    pub(crate) fn read(&self, window: &[f32], part: f64, rate: f64, out: &mut [f32]) {
        let (mut first, mut part) = (0, part);
        for out in out {
            let phase = (part * PHASES as f64) as f32;
            let row = (phase as i32).clamp(0, PHASES as i32 - 1);
            let (between, row) = (phase - row as f32, row as usize);
            *out = match window.get(first..).and_then(<[f32]>::first_chunk) {
                Some(samples) => {
                    let (here, next) = (weigh(samples, &self.rows[row]), weigh(samples, &self.rows[row + 1]));
                    here + (next - here) * between
                }
                None => 0.0,
            };
            part += rate;
            let whole = part as i32;
            part -= f64::from(whole);
            first += whole as usize;
        }
    }
}

/// In sums of eight: the compiler makes vectors of them.
fn weigh(samples: &[f32; TAPS], weights: &[f32; TAPS]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for tap in (0..TAPS).step_by(8) {
        for lane in 0..8 {
            sums[lane] += samples[tap + lane] * weights[tap + lane];
        }
    }
    let four: [f32; 4] = std::array::from_fn(|lane| sums[lane] + sums[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Weights for the sound at `part` of the way from sample [`BEFORE`] to the next; their sum is 1.
fn row(part: f64) -> [f32; TAPS] {
    let half = TAPS as f64 / 2.0;
    let weights: [f64; TAPS] = std::array::from_fn(|tap| {
        let away = tap as f64 - BEFORE as f64 - part;
        let sinc = if away.abs() < 1e-9 { 1.0 } else { (PI * away).sin() / (PI * away) };
        let window = bessel(BETA * (1.0 - (away / half).powi(2)).max(0.0).sqrt()) / bessel(BETA);
        sinc * window
    });
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| (weight / sum) as f32)
}

/// The modified Bessel function of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..40 {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum += term;
    }
    sum
}

/// Where a block is read, in places of the site's timeline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    /// The first sample is at `first + part`, …
    pub(crate) first: i64,
    /// … 0 to 1, …
    pub(crate) part: f64,
    /// … and from one to the next it is this far.
    pub(crate) rate: f64,
}

impl Span {
    /// Each sample that is read is one that was decoded.
    #[expect(clippy::float_cmp, reason = "at rest it is exactly that, and nearly is not enough")]
    pub(crate) fn is_exact(&self) -> bool {
        self.part == 0.0 && self.rate == 1.0
    }

    /// Place after the last of `count` samples, as far as it matters.
    pub(crate) fn until(&self, count: usize) -> i64 {
        if self.is_exact() {
            return self.first + count as i64;
        }
        self.first + (self.part + (count as f64 - 1.0) * self.rate) as i64 + 1 + AFTER
    }
}

/// How far the reading place is behind the program's time, and how it comes to be as far as is wanted: by gliding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    wanted: i64,
    /// The lag is so much greater than what is wanted.
    error: f64,
    gliding: bool,
}

impl Pace {
    /// As wanted.
    pub(crate) fn at(lag: i64) -> Self {
        Self { wanted: lag, error: 0.0, gliding: false }
    }

    /// Another lag is wanted from now on.
    pub(crate) fn want(&mut self, lag: i64) {
        self.error += (self.wanted - lag) as f64;
        self.wanted = lag;
    }

    /// The lag that is wanted.
    pub(crate) fn wanted(&self) -> i64 {
        self.wanted
    }

    /// Lag beyond what is wanted, samples.
    pub(crate) fn error(&self) -> f64 {
        self.error
    }

    /// Gliding would take too long.
    pub(crate) fn is_far(&self) -> bool {
        self.error.abs() > FAR
    }

    /// The block that begins at `at`; the next begins where this one ends.
    pub(crate) fn next(&mut self, at: i64) -> Span {
        let back = (-self.error).floor();
        let (first, part) = (at - self.wanted + back as i64, -self.error - back);
        self.gliding |= self.error.abs() >= LEAST;
        if !self.gliding {
            return Span { first, part, rate: 1.0 };
        }
        let most = (self.error.abs() * SHARE).clamp(SLOWEST, FASTEST) * BLOCK as f64;
        let step = self.error.clamp(-most, most);
        self.error -= step;
        self.gliding = self.error != 0.0;
        Span { first, part, rate: 1.0 + step / BLOCK as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Greatest error of a tone of amplitude 1 that is read at a gliding place.
    fn worst(hertz: f64) -> f64 {
        let tone = |place: f64| (place * hertz / 48_000.0 * 2.0 * PI).sin();
        let window: Vec<f32> = (0..2_100).map(|n| tone(n as f64 - BEFORE as f64) as f32).collect();
        let mut out = [0.0; 2_000];
        Kernel::default().read(&window, 0.3, 1.003_7, &mut out);
        let error = |(n, out): (usize, &f32)| (f64::from(*out) - tone(0.3 + n as f64 * 1.003_7)).abs();
        out.iter().enumerate().map(error).fold(0.0, f64::max)
    }

    #[test]
    fn tones_are_read_between_the_samples_with_less_error_than_the_ear_or_16_bits_know() {
        for (hertz, least_db) in [(100.0, -95.0), (1_000.0, -95.0), (8_000.0, -90.0), (16_000.0, -80.0)] {
            let db = 20.0 * worst(hertz).log10();
            assert!(db < least_db, "{hertz} Hz: {db} dB");
        }
    }

    #[test]
    fn at_a_samples_own_place_it_is_that_sample() {
        let window: Vec<f32> = (0..64).map(|n| (n as f32 * 1.7).sin()).collect();
        let mut out = [0.0; 20];
        Kernel::default().read(&window, 0.0, 1.0, &mut out);
        for (n, out) in out.iter().enumerate() {
            assert!((out - window[n + BEFORE as usize]).abs() < 1e-6, "{n}");
        }
    }

    #[test]
    fn lag_glides_to_what_is_wanted_and_rests_there_on_a_whole_sample() {
        for change in [60, -60, 400, -400] {
            let mut pace = Pace::at(4_800);
            assert!(pace.next(0).is_exact());
            pace.want(4_800 + change);
            assert!((pace.error() + change as f64).abs() < 1e-9 && !pace.is_far());
            let mut blocks = 0;
            let mut place = None;
            loop {
                let span = pace.next(960 * blocks);
                let begin = span.first as f64 + span.part;
                assert!(place.is_none_or(|place: f64| (place - begin).abs() < 1e-6), "{change} {blocks}");
                place = Some(begin + span.rate * 960.0);
                if span.is_exact() {
                    assert_eq!(span.first, 960 * blocks - 4_800 - change);
                    break;
                }
                assert!((span.rate - 1.0).abs() <= 0.005_000_1 && (span.rate < 1.0) == (change > 0));
                blocks += 1;
            }
            assert!((50..200).contains(&blocks), "{change}: {blocks}");
        }
    }

    #[test]
    fn change_of_less_than_a_millisecond_is_left_until_it_is_more() {
        let mut pace = Pace::at(0);
        for (lag, exact) in [(30, true), (-30, true), (47, true), (48, false)] {
            pace.want(lag);
            let span = pace.next(0);
            assert_eq!((span.is_exact(), span.first), (exact, 0), "{lag}");
        }
        pace.want(700);
        assert!(pace.is_far());
    }
}
