//! What a capture says of the way from the loudspeaker to a microphone.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex32;

use super::{Measured, RATE, Reading, TestSignal, samples_of};
use crate::microphones::Levels;

/// The impulse response's peak is this many times the RMS of its noise, or nothing was heard. Thirty thousand values of noise
/// alone have a peak of 4 to 5.
const PEAK: f32 = 7.0;
/// The direct sound is the first that has this share of the peak: a reflection may be louder.
const FIRST: f32 = 0.5;
/// The room's answer is over after this time, ms.
const TAIL_MS: u32 = 300;
/// A sweep's quotient rings a little before the direct sound, ms.
const BEFORE_MS: u32 = 3;
/// And a little of that is left out where only noise is to be, ms.
const BEFORE_NOISE_MS: u32 = 50;
/// More of the samples at full scale is overdriven.
const CLIPPED: f32 = 0.000_5;
/// Below this a capture is dead, dBFS.
const DEAD_DBFS: f32 = -95.0;

/// Measures one microphone's capture, which began with the signal's first sample. A capture of another length is cut or
/// filled with silence.
pub fn measure(signal: &TestSignal, capture: &[f32]) -> Measured {
    let played = signal.samples();
    let levels = Levels::of(capture);
    if levels.rms_dbfs < DEAD_DBFS {
        return Measured::NoSignal;
    }
    if levels.clipped > CLIPPED {
        return Measured::Clipped;
    }
    let noise_dbfs = Levels::of(&capture[..signal.before().min(capture.len())]).rms_dbfs;
    let mut way = Way::between(&played, capture);
    let longest = samples_of(signal.after_ms);
    let Some((peak_at, peak)) = way.peak(longest, signal.before()) else { return Measured::NotHeard { noise_dbfs } };
    let first = (0..=peak_at).find(|n| way.response[*n].abs() >= FIRST * peak).unwrap_or(peak_at);
    // The first that is high enough lies on a slope: its top is near.
    let top = (first..way.response.len()).find(|n| way.response[*n].abs() > way.response[n + 1].abs()).unwrap_or(first);
    let delay = top as f32 + way.offset(top);
    let kept =
        top.saturating_sub(samples_of(BEFORE_MS))..(top + samples_of(TAIL_MS)).min(longest + samples_of(TAIL_MS));
    let gain_db = way.gain_db(kept);
    let sweep = signal.before()..signal.before() + samples_of(signal.sweep_ms);
    let level_dbfs = Levels::of(&played[sweep]).rms_dbfs + gain_db;
    Measured::Heard(Reading {
        level_dbfs,
        delay_ms: delay * 1_000.0 / RATE as f32,
        erl_db: -gain_db,
        snr_db: level_dbfs - noise_dbfs,
    })
}

/// The way from loudspeaker to microphone.
struct Way {
    played: Vec<Complex32>,
    /// Impulse response, as far as the sweep's band shows it.
    response: Vec<f32>,
    planner: RealFftPlanner<f32>,
}

impl Way {
    /// Where the sweep has less power than this share of its strongest, there is no quotient.
    const LEAST: f32 = 1e-3;

    fn between(played: &[f32], capture: &[f32]) -> Self {
        let mut planner = RealFftPlanner::new();
        let len = (2 * played.len()).next_power_of_two();
        let spectrum = spectrum(&mut planner, len, played);
        let heard = self::spectrum(&mut planner, len, &capture[..capture.len().min(len)]);
        let strongest = spectrum.iter().map(Complex32::norm_sqr).fold(0.0, f32::max);
        let least = (Self::LEAST * strongest).max(f32::MIN_POSITIVE);
        let quotient =
            heard.iter().zip(&spectrum).map(|(heard, played)| heard * played.conj() / (played.norm_sqr() + least));
        let response = in_time(&mut planner, len, quotient.collect());
        Self { played: spectrum, response, planner }
    }

    /// Where the response is strongest within the first `longest` samples, if it stands out. `before`: samples of silence
    /// before the sweep.
    fn peak(&self, longest: usize, before: usize) -> Option<(usize, f32)> {
        let early = self.response[..=longest].iter().map(|value| value.abs()).enumerate();
        let (at, peak) = early.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        // Its end is what was there before the sound came: noise, and as much of it as in the beginning, for the capture
        // covers the whole sweep at these delays as well. At longer ones it does not, and there is less of it.
        let len = self.response.len();
        let gap = samples_of(BEFORE_NOISE_MS);
        let noise = &self.response[len - before.max(2 * gap)..len - gap];
        let rms = (noise.iter().map(|value| value * value).sum::<f32>() / noise.len() as f32).sqrt();
        (peak > PEAK * rms).then_some((at, peak))
    }

    /// The peak's place between samples: the top of the parabola through three values, −½ to ½.
    fn offset(&self, at: usize) -> f32 {
        let value = |n: usize| self.response.get(n).map_or(0.0, |value| value.abs());
        let (left, top, right) = (value(at.wrapping_sub(1)), value(at), value(at + 1));
        let bend = left - 2.0 * top + right;
        if bend < 0.0 { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) } else { 0.0 }
    }

    /// Power of what was played as it comes through this part of the response, less its power as played, dB.
    fn gain_db(&mut self, kept: std::ops::Range<usize>) -> f32 {
        let len = self.response.len();
        let mut part = vec![0.0; kept.end];
        part[kept.clone()].copy_from_slice(&self.response[kept]);
        let way = spectrum(&mut self.planner, len, &part);
        let came: f32 = way.iter().zip(&self.played).map(|(way, played)| (way * played).norm_sqr()).sum();
        let went: f32 = self.played.iter().map(Complex32::norm_sqr).sum();
        10.0 * (came / went).max(1e-13).log10()
    }
}

fn spectrum(planner: &mut RealFftPlanner<f32>, len: usize, samples: &[f32]) -> Vec<Complex32> {
    let plan = planner.plan_fft_forward(len);
    let mut padded = plan.make_input_vec();
    for (padded, sample) in padded.iter_mut().zip(samples) {
        *padded = if sample.is_finite() { *sample } else { 0.0 };
    }
    let mut spectrum = plan.make_output_vec();
    plan.process(&mut padded, &mut spectrum).expect("the buffers have the plan's own lengths");
    spectrum
}

fn in_time(planner: &mut RealFftPlanner<f32>, len: usize, mut spectrum: Vec<Complex32>) -> Vec<f32> {
    let plan = planner.plan_fft_inverse(len);
    // Real by nature; rounding may have left a trace.
    for end in [0, len / 2] {
        spectrum[end].im = 0.0;
    }
    let mut time = plan.make_output_vec();
    plan.process(&mut spectrum, &mut time).expect("the buffers have the plan's own lengths, and the ends are real");
    for value in &mut time {
        *value /= len as f32;
    }
    time
}
