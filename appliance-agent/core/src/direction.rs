//! From where a voice comes: direction of arrival by the delays between microphones (GCC-PHAT).
//!
//! For each pair of microphones the cross-spectrum is whitened (phase transform: each frequency counts by its phase
//! alone), weighted for onsets and against noise, and summed over the last moments; back in time, it shows how well each
//! delay fits. The delays of all pairs are looked up, between samples too, for every azimuth (steered response power);
//! for two microphones that is the generalised cross-correlation itself.
//!
//! Source: C. Knapp, G. Carter, "The generalized correlation method for estimation of time delay", IEEE Trans. ASSP 24
//! (1976); J. `DiBiase`, "A high-accuracy, low-latency technique for talker localization in reverberant environments"
//! (2000).

use std::fmt;
use std::sync::Arc;

use bridgepoint_wire::sound::{Bearing, Heard};
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

mod array;
mod spectra;

pub use array::{Array, ArrayFault, Field, SPEED_OF_SOUND};

use spectra::{BAND, FRAME, Gate, HOP, RATE, Weights};

/// A block that does not fit the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// Another number of channels.
    #[error("{got} channels came, the array has {array}")]
    Channels {
        /// What came.
        got: usize,
        /// What the array has.
        array: usize,
    },
    /// Channels of different length.
    #[error("the channels of a block differ in length")]
    Lengths,
}

/// Listens to an array.
pub struct DirectionFinder {
    array: Array,
    live: Vec<bool>,
    steering: Steering,
    gate: Gate,
    weights: Weights,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: Vec<f32>,
    /// The last samples of each channel, at most a frame of them.
    samples: Vec<Vec<f32>>,
    /// The last moments together.
    past: Crosses,
    /// Frames since the gate was open.
    closed: u32,
}

/// What sums point to.
#[derive(Debug, Clone, Copy)]
struct Look {
    azimuth_deg: f32,
    confidence: f32,
}

/// The whitened, weighted cross-spectra of all pairs in the band.
#[derive(Debug)]
struct Crosses {
    pairs: Vec<Vec<Complex32>>,
    /// By bin; what the value of a pair would be if all frames agreed.
    weight: Vec<f32>,
}

impl Crosses {
    fn none(pairs: usize) -> Self {
        Self { pairs: vec![vec![Complex32::default(); BAND.len()]; pairs], weight: vec![0.0; BAND.len()] }
    }

    /// One frame's.
    fn of(spectra: &[Vec<Complex32>], weight: Vec<f32>, pairs: &[(usize, usize)]) -> Self {
        let cross = |(a, b): &(usize, usize)| {
            let bins = spectra[*a][BAND].iter().zip(&spectra[*b][BAND]).zip(&weight);
            let whitened = bins.map(|((a, b), weight)| {
                let bin = a * b.conj();
                bin * (weight / bin.norm().max(f32::MIN_POSITIVE))
            });
            whitened.collect()
        };
        Self { pairs: pairs.iter().map(cross).collect(), weight }
    }

    fn forget(&mut self, keep: f32) {
        self.weight.iter_mut().for_each(|sum| *sum *= keep);
        self.pairs.iter_mut().flatten().for_each(|sum| *sum *= keep);
    }

    fn add(&mut self, frame: &Self, share: f32) {
        for (sum, weight) in self.weight.iter_mut().zip(&frame.weight) {
            *sum += share * weight;
        }
        for (sum, bin) in self.pairs.iter_mut().flatten().zip(frame.pairs.iter().flatten()) {
            *sum += bin * share;
        }
    }
}

/// For the live pairs and each azimuth: the delay in samples.
#[derive(Debug)]
struct Steering {
    pairs: Vec<(usize, usize)>,
    azimuths_deg: Vec<f32>,
    /// By azimuth, then by pair.
    lags: Vec<f32>,
    field: Field,
}

impl Steering {
    const STEP_DEG: f32 = 1.0;

    fn new(array: &Array, live: &[bool]) -> Self {
        let pairs: Vec<_> = array.pairs().filter(|(a, b)| live[*a] && live[*b]).collect();
        let field = array.field(live);
        let azimuths_deg: Vec<f32> = match field {
            Field::Around => (-180..180).map(|n| n as f32 * Self::STEP_DEG).collect(),
            Field::Half { middle_deg } => (-90..=90).map(|n| n as f32 * Self::STEP_DEG + middle_deg).collect(),
        };
        let lag = |azimuth: f32, pair: (usize, usize)| array.later(pair, azimuth) * RATE as f32;
        let lags = azimuths_deg.iter().flat_map(|azimuth| pairs.iter().map(|pair| lag(*azimuth, *pair))).collect();
        Self { pairs, azimuths_deg, lags, field }
    }

    fn lags(&self) -> impl Iterator<Item = &[f32]> {
        self.lags.chunks_exact(self.pairs.len().max(1))
    }
}

impl DirectionFinder {
    /// A moment counts this much less than the next: sums reach back some 0.7 s of sound.
    const FORGET: f32 = 0.97;
    /// So many quiet frames (0.5 s) and the sound before them is another's.
    const FORGOTTEN: u32 = 24;
    /// Listens with all microphones of `array`, 48 kHz.
    pub fn new(array: Array) -> Self {
        let mut planner = RealFftPlanner::new();
        let live = vec![true; array.len()];
        let steering = Steering::new(&array, &live);
        // Hann.
        let window = (0..FRAME).map(|n| (std::f32::consts::PI * n as f32 / FRAME as f32).sin().powi(2)).collect();
        Self {
            samples: vec![Vec::with_capacity(FRAME); array.len()],
            past: Crosses::none(steering.pairs.len()),
            gate: Gate::new(),
            weights: Weights::new(),
            forward: planner.plan_fft_forward(FRAME),
            inverse: planner.plan_fft_inverse(FRAME),
            closed: 0,
            window,
            array,
            live,
            steering,
        }
    }

    /// Which azimuths can be told with the microphones that are listened to.
    pub const fn field(&self) -> Field {
        self.steering.field
    }

    /// Listens only to these channels from now on, such as those that [`crate::microphones`] finds in order. With fewer
    /// than two, everything is [`Heard::Unplaced`]. Channels that are left out of `live` are not listened to.
    pub fn use_channels(&mut self, live: &[bool]) {
        let live: Vec<bool> = (0..self.array.len()).map(|n| live.get(n).copied().unwrap_or(false)).collect();
        if live != self.live {
            self.steering = Steering::new(&self.array, &live);
            self.past = Crosses::none(self.steering.pairs.len());
            self.live = live;
        }
    }

    /// One block: a slice of the same length for each channel, any length. Returns what is heard at its end, or nothing
    /// when the block did not complete a frame.
    ///
    /// # Errors
    /// [`BlockFault`]; the block is not used.
    pub fn handle_block(&mut self, block: &[&[f32]]) -> Result<Option<Heard>, BlockFault> {
        if block.len() != self.array.len() {
            return Err(BlockFault::Channels { got: block.len(), array: self.array.len() });
        }
        let length = block[0].len();
        if block.iter().any(|channel| channel.len() != length) {
            return Err(BlockFault::Lengths);
        }
        let mut heard = None;
        let mut from = 0;
        while from < length {
            let to = length.min(from + FRAME - self.samples[0].len());
            for (samples, channel) in self.samples.iter_mut().zip(block) {
                // A device that delivers no number delivers nothing.
                samples.extend(channel[from..to].iter().map(|sample| if sample.is_finite() { *sample } else { 0.0 }));
            }
            from = to;
            if self.samples[0].len() == FRAME {
                heard = Some(self.handle_frame());
                for samples in &mut self.samples {
                    samples.drain(..HOP);
                }
            }
        }
        Ok(heard)
    }

    fn handle_frame(&mut self) -> Heard {
        let spectra = self.spectra();
        let live = spectra.iter().zip(&self.live).filter(|(_, live)| **live);
        let count = live.clone().count().max(1) as f32;
        let mut power = vec![0.0; BAND.len()];
        for (spectrum, _) in live {
            for (power, bin) in power.iter_mut().zip(&spectrum[BAND]) {
                *power += bin.norm_sqr() / count;
            }
        }
        let mut weights = vec![0.0; BAND.len()];
        self.weights.handle_frame(&power, &mut weights);
        let level_dbfs = band_dbfs(&power);
        if !self.gate.is_open(level_dbfs) {
            self.closed = self.closed.saturating_add(1);
            return Heard::Quiet;
        }
        if self.closed >= Self::FORGOTTEN {
            self.past.forget(0.0);
        }
        self.closed = 0;
        let frame = Crosses::of(&spectra, weights, &self.steering.pairs);
        // Frames in which one direction stands out are those in which the direct sound does.
        let clear = self.look(&frame).map_or(0.0, |look| look.confidence.powi(2));
        self.past.forget(Self::FORGET);
        self.past.add(&frame, clear);
        let Some(Look { azimuth_deg, confidence }) = self.look(&self.past) else { return Heard::Unplaced };
        if confidence < self.confident() {
            return Heard::Unplaced;
        }
        Heard::From(Bearing { azimuth_deg, confidence, level_dbfs })
    }

    /// Less like one voice than this, and no direction is told. Noise alone reaches 0.1 with one pair of microphones,
    /// 0.05 with six; more pairs agree by chance more seldom.
    fn confident(&self) -> f32 {
        0.1 + 0.03 / self.steering.pairs.len().max(1) as f32
    }

    fn spectra(&self) -> Vec<Vec<Complex32>> {
        let mut scratch = self.forward.make_scratch_vec();
        let spectrum = |samples: &Vec<f32>| {
            let mut windowed: Vec<f32> =
                samples.iter().zip(&self.window).map(|(sample, window)| sample * window).collect();
            let mut spectrum = self.forward.make_output_vec();
            self.forward
                .process_with_scratch(&mut windowed, &mut spectrum, &mut scratch)
                .expect("the frame and the buffers have the plan's own lengths");
            spectrum
        };
        self.samples.iter().map(spectrum).collect()
    }

    /// A band's spectrum in time: index is the delay in samples, modulo [`FRAME`].
    fn in_time(&self, band: impl Iterator<Item = Complex32>) -> Vec<f32> {
        let mut spectrum = self.inverse.make_input_vec();
        for (bin, value) in spectrum[BAND].iter_mut().zip(band) {
            *bin = value;
        }
        let mut time = self.inverse.make_output_vec();
        self.inverse
            .process(&mut spectrum, &mut time)
            .expect("the buffers have the plan's own lengths, and the first and last bins lie outside the band");
        time
    }

    /// Where these sums point to.
    fn look(&self, sums: &Crosses) -> Option<Look> {
        let pairs = self.steering.pairs.len() as f32;
        // So that a delay on which all of the weight agrees has the value 1.
        let scale = 0.5 / sums.weight.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        let fits: Vec<Vec<f32>> =
            sums.pairs.iter().map(|pair| self.in_time(pair.iter().map(|bin| bin * scale))).collect();
        let response = |lags: &[f32]| lags.iter().zip(&fits).map(|(lag, fit)| between(fit, *lag)).sum::<f32>() / pairs;
        let responses: Vec<f32> = self.steering.lags().map(response).collect();
        let (best, peak) = (0..).zip(&responses).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        // The same for one distant voice at that place and nothing else: what the peak could be at best.
        let alone = self.in_time(sums.weight.iter().map(|weight| Complex32::from(weight * scale)));
        let at_best = self.steering.lags().nth(best)?;
        let ideal =
            |lags: &[f32]| lags.iter().zip(at_best).map(|(lag, best)| between(&alone, lag - best)).sum::<f32>() / pairs;
        let ideal_mean = self.steering.lags().map(ideal).sum::<f32>() / responses.len() as f32;
        let confidence = ((peak - mean(&responses)) / (1.0 - ideal_mean).max(0.05)).clamp(0.0, 1.0);
        let azimuth_deg = wrap(self.steering.azimuths_deg[best] + self.offset(&responses, best) * Steering::STEP_DEG);
        Some(Look { azimuth_deg, confidence })
    }

    /// Where between the azimuths around `best` the peak is: the top of the parabola through three of them, −½ to ½.
    fn offset(&self, responses: &[f32], best: usize) -> f32 {
        let count = responses.len();
        let (left, right) = match self.steering.field {
            Field::Around => ((best + count - 1) % count, (best + 1) % count),
            Field::Half { .. } if best == 0 || best + 1 == count => return 0.0,
            Field::Half { .. } => (best - 1, best + 1),
        };
        let (left, top, right) = (responses[left], responses[best], responses[right]);
        let bend = left - 2.0 * top + right;
        if bend < 0.0 { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) } else { 0.0 }
    }
}

impl fmt::Debug for DirectionFinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectionFinder").field("array", &self.array).field("live", &self.live).finish_non_exhaustive()
    }
}

/// Mean square of a band, from the power spectrum of a Hann-windowed frame, in dB.
fn band_dbfs(power: &[f32]) -> f32 {
    // Σ|X|² over both halves of the spectrum is N·Σ(x·w)², and the mean of w² is 3/8.
    let mean_square = 2.0 * power.iter().sum::<f32>() / (FRAME as f32 * FRAME as f32 * 0.375);
    10.0 * mean_square.max(1e-15).log10()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

fn wrap(deg: f32) -> f32 {
    let turned = (deg + 180.0).rem_euclid(360.0) - 180.0;
    if turned <= -180.0 { 180.0 } else { turned }
}

/// The value at a delay between samples. The band ends at 7 of 24 kHz, so a cubic through four samples is within 1 %.
fn between(fit: &[f32], lag: f32) -> f32 {
    let whole = lag.floor();
    let part = lag - whole;
    let at = |n: isize| fit[(whole as isize + n).rem_euclid(fit.len() as isize) as usize];
    // Lagrange, through the samples at -1, 0, 1 and 2.
    -part * (part - 1.0) * (part - 2.0) / 6.0 * at(-1) + (part + 1.0) * (part - 1.0) * (part - 2.0) / 2.0 * at(0)
        - (part + 1.0) * part * (part - 2.0) / 2.0 * at(1)
        + (part + 1.0) * part * (part - 1.0) / 6.0 * at(2)
}

#[cfg(test)]
#[path = "direction/room.rs"]
pub(crate) mod room;
#[cfg(test)]
#[path = "direction/tests.rs"]
mod tests;
