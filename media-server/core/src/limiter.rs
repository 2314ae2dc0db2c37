//! Keeps a sum of voices below full scale without clipping.

/// Where it begins to act: −1 dBFS.
const CEILING: f32 = 0.891;
/// The gain comes back with this share per sample: about 150 ms.
const RELEASE: f32 = 1.0 / 7_200.0;

/// Takes the gain back at once where a peak would exceed the ceiling, and lets it come back slowly.
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
    pub fn limit(&mut self, sum: &[f32], out: &mut [i16]) {
        for (sample, out) in sum.iter().zip(out) {
            let sample = if sample.is_finite() { *sample } else { 0.0 };
            self.gain += (1.0 - self.gain) * RELEASE;
            if sample.abs() * self.gain > CEILING {
                self.gain = CEILING / sample.abs();
            }
            *out = (sample * self.gain * 32_767.0).round() as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_shouting_voices_never_clip_and_one_quiet_voice_is_untouched() {
        let shout: Vec<f32> = (0..9_600).map(|n| 9.0 * (n as f32 * 0.05).sin()).collect();
        let mut out = vec![0; 9_600];
        let mut limiter = Limiter::default();
        limiter.limit(&shout, &mut out);
        assert!(out.iter().all(|s| s.unsigned_abs() <= 29_200));
        assert!(out.iter().any(|s| s.unsigned_abs() > 28_000));
        // Not a square wave: the tops are not flat.
        assert!(out.windows(8).filter(|w| w.iter().all(|s| *s == w[0])).count() < 10);
        let quiet: Vec<f32> = (0..960).map(|n| 0.5 * (n as f32 * 0.05).sin()).collect();
        let mut out = vec![0; 960];
        Limiter::default().limit(&quiet, &mut out);
        assert!(out.iter().zip(&quiet).all(|(o, q)| (*o as f32 - q * 32_767.0).abs() <= 1.0));
        Limiter::default().limit(&[f32::NAN, f32::INFINITY], &mut out);
        assert_eq!(out[..2], [0, 0]);
    }
}
