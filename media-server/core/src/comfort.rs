//! What is heard when there is nothing to hear: a breath of noise, so that nobody takes the line for dead.

use crate::audio::BLOCK;
use crate::level;

/// Loudness of the noise: −72 dBFS, RMS. A sum below it is taken for silence.
const LEVEL: f32 = 2.5e-4;
/// A one-pole low-pass near 1 kHz makes it soft: like a room, not like a tap.
const SOFT: f32 = 0.12;
/// The share of the noise changes by this much in a block: it comes and goes in 40 ms.
const STEP: f32 = 0.5;

/// Makes the noise: always the same.
pub(crate) struct Noise {
    state: u64,
    low: f32,
    block: [f32; BLOCK],
    /// `block` is this block's.
    made: bool,
}

impl Default for Noise {
    fn default() -> Self {
        Self { state: 0x5EED, low: 0.0, block: [0.0; BLOCK], made: false }
    }
}

impl Noise {
    /// The next 20 ms begin.
    pub(crate) fn step(&mut self) {
        self.made = false;
    }

    /// These 20 ms, the same for each that asks. Nearly always nobody does: they are made when one does.
    fn block(&mut self) -> &[f32; BLOCK] {
        if std::mem::replace(&mut self.made, true) {
            return &self.block;
        }
        // Evenly distributed within ±1 has a power of 1/3, of which the low-pass leaves `SOFT / (2 − SOFT)`.
        let scale = LEVEL * (3.0 * (2.0 - SOFT) / SOFT).sqrt();
        for sample in &mut self.block {
            // Knuth's MMIX generator.
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let white = (self.state >> 40) as f32 / 8_388_608.0 - 1.0;
            self.low += (white - self.low) * SOFT;
            *sample = self.low * scale;
        }
        &self.block
    }
}

/// How much of the noise is in one mix.
#[derive(Debug, Clone, Default)]
pub(crate) struct Comfort {
    share: f32,
}

impl Comfort {
    /// Adds `noise` to a `sum` that is silent; otherwise takes it away.
    pub(crate) fn add(&mut self, noise: &mut Noise, sum: &mut [f32; BLOCK]) {
        let wanted = if level::power(sum.iter()) < LEVEL * LEVEL { 1.0 } else { 0.0 };
        let begin = self.share;
        self.share += (wanted - begin).clamp(-STEP, STEP);
        if begin == 0.0 && self.share == 0.0 {
            return;
        }
        let step = (self.share - begin) / BLOCK as f32;
        for (n, (sum, noise)) in sum.iter_mut().zip(noise.block()).enumerate() {
            *sum += noise * (begin + step * (n + 1) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_as_loud_as_it_says_soft_and_always_the_same() {
        let (mut noise, mut again) = (Noise::default(), Noise::default());
        let mut all = Vec::new();
        for _ in 0..500 {
            noise.step();
            again.step();
            all.extend(noise.block());
            assert!(noise.block().iter().eq(again.block().iter()));
        }
        let power = |of: &[f32]| of.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / of.len() as f64;
        let db = 10.0 * power(&all).log10();
        assert!((db + 72.0).abs() < 0.3, "{db}");
        // From one sample to the next it changes by far less than white noise (whose ratio is 2).
        let steps: Vec<f32> = all.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(power(&steps) < 0.3 * power(&all));
    }

    #[test]
    fn noise_comes_and_goes_over_40_ms() {
        let (mut comfort, mut ones) = (Comfort::default(), Noise::default());
        ones.block = [1e-4; BLOCK];
        ones.made = true;
        let mut shares = Vec::new();
        for n in 0..12 {
            let loud = if (4..8).contains(&n) { 0.1 } else { 0.0 };
            let mut sum = [loud; BLOCK];
            comfort.add(&mut ones, &mut sum);
            shares.extend(sum.map(|sample| (sample - loud) / 1e-4));
        }
        assert!(shares.windows(2).all(|w| (w[1] - w[0]).abs() < 0.001));
        let near = |at: usize, want: f32| assert!((shares[at] - want).abs() < 0.001, "{at}: {}", shares[at]);
        for (at, want) in [(959, 0.5), (1_919, 1.0), (3_839, 1.0), (4_799, 0.5), (5_759, 0.0), (7_679, 0.0)] {
            near(at, want);
        }
    }
}
