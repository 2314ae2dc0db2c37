//! Keeps a sum of voices below full scale without clipping.

use crate::audio::BLOCK;

/// Where it begins to act: −1 dBFS.
const CEILING: f32 = 0.891;
/// The gain is a line from one place to the next of these: 5 ms.
const SPAN: usize = 240;
const SPANS: usize = BLOCK / SPAN;
/// The gain comes back by this share per span: about 150 ms.
const RELEASE: f32 = SPAN as f32 / 7_200.0;

/// Takes the gain back ahead of each peak of the block (it knows all of it, so this costs no delay), and lets it come
/// back slowly. Within 5 ms the gain is a straight line, so the wave keeps its form.
#[derive(Debug, Clone)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// Makes 16-bit samples of a block. Nothing that goes in, not even NaN, comes out above the ceiling.
    pub fn limit(&mut self, sum: &[f32; BLOCK], out: &mut [i16; BLOCK]) {
        let mut most = [1.0_f32; SPANS];
        for (most, span) in most.iter_mut().zip(sum.chunks(SPAN)) {
            let peak =
                span.iter().filter(|sample| sample.is_finite()).fold(CEILING, |peak, sample| peak.max(sample.abs()));
            *most = CEILING / peak;
        }
        // Only a peak in the first 5 ms, out of nothing, makes a step.
        let mut begin = self.gain.min(most[0]);
        for (n, (span, out)) in sum.chunks(SPAN).zip(out.chunks_mut(SPAN)).enumerate() {
            let next = most.get(n + 1).copied().unwrap_or(1.0);
            let end = (begin + (1.0 - begin) * RELEASE).min(most[n]).min(next);
            for (n, (sample, out)) in span.iter().zip(out).enumerate() {
                let gain = begin + (end - begin) * n as f32 / SPAN as f32;
                let sample = if sample.is_finite() { *sample } else { 0.0 };
                // `round` is a function call for each sample where the CPU is only known to be x86-64.
                let whole = sample * gain * 32_767.0;
                *out = (whole + 0.5_f32.copysign(whole)) as i16;
            }
            begin = end;
        }
        self.gain = begin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_shouting_voices_never_clip_and_one_quiet_voice_is_untouched() {
        let mut limiter = Limiter::default();
        let mut all = Vec::new();
        for block in 0..10 {
            let shout = std::array::from_fn(|n| 9.0 * ((block * BLOCK + n) as f32 * 0.05).sin());
            let mut out = [0; BLOCK];
            limiter.limit(&shout, &mut out);
            all.extend(out);
        }
        assert!(all.iter().all(|s| s.unsigned_abs() <= 29_200));
        assert!(all.iter().any(|s| s.unsigned_abs() > 28_000));
        // Not a square wave: after the first block the tops are not flat.
        assert!(!all[BLOCK..].windows(8).any(|w| w.iter().all(|s| *s == w[0])));
        let quiet: [f32; BLOCK] = std::array::from_fn(|n| 0.5 * (n as f32 * 0.05).sin());
        let mut out = [0; BLOCK];
        Limiter::default().limit(&quiet, &mut out);
        assert!(out.iter().zip(&quiet).all(|(o, q)| (f32::from(*o) - q * 32_767.0).abs() <= 1.0));
        let mut broken = quiet;
        broken[..3].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
        Limiter::default().limit(&broken, &mut out);
        assert_eq!(out[..3], [0; 3]);
    }
}
