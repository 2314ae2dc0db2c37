//! Rooms, voices and noise, made from a seed: what the tests of sound listen to.
//!
//! Reflections by the image-source method. Source: J. Allen, D. Berkley, "Image method for efficiently simulating
//! small-room acoustics", JASA 65 (1979).

use std::f32::consts::{PI, TAU};

use realfft::RealFftPlanner;
use realfft::num_complex::Complex32;

use super::SPEED_OF_SOUND;

pub(crate) const RATE: f32 = 48_000.0;

/// `SplitMix64`.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly from `low` to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Normal, variance 1 (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        (-2.0 * self.between(1e-7, 1.0).ln()).sqrt() * self.between(0.0, TAU).cos()
    }

    pub fn noise(&mut self, len: usize, rms: f32) -> Vec<f32> {
        (0..len).map(|_| self.normal() * rms).collect()
    }
}

/// A voice: syllables of 120 to 300 ms, voiced (a train of pulses through three resonances) or unvoiced (noise above
/// 2 kHz), with short gaps, and a pause now and then.
pub(crate) fn voice(dice: &mut Dice, len: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(len + RATE as usize);
    while out.len() < len {
        let samples = (dice.between(0.12, 0.3) * RATE) as usize;
        let voiced = dice.between(0.0, 1.0) < 0.75;
        let pitch = dice.between(95.0, 230.0);
        let mut phase = 0.0;
        let source: Vec<f32> = (0..samples)
            .map(|n| {
                if !voiced {
                    return 0.25 * dice.normal();
                }
                phase += pitch * (1.0 - 0.15 * n as f32 / samples as f32) / RATE;
                let pulse = if phase >= 1.0 { 20.0 } else { 0.0 };
                phase -= phase.floor();
                pulse + 0.05 * dice.normal()
            })
            .collect();
        let resonances: &[(f32, f32)] = if voiced {
            &[
                (dice.between(280.0, 750.0), 80.0),
                (dice.between(900.0, 2_300.0), 120.0),
                (dice.between(2_400.0, 3_600.0), 180.0),
            ]
        } else {
            &[(dice.between(2_500.0, 6_000.0), 1_500.0)]
        };
        let mut syllable = vec![0.0; samples];
        for (frequency, width) in resonances {
            for (sum, sample) in syllable.iter_mut().zip(resonate(&source, *frequency, *width)) {
                *sum += sample;
            }
        }
        let level = dice.between(0.4, 1.0) * if voiced { 1.0 } else { 0.4 };
        let rms = rms(&syllable).max(1e-9);
        let shaped = syllable.iter().enumerate().map(|(n, x)| x / rms * level * (PI * n as f32 / samples as f32).sin());
        out.extend(shaped);
        let gap = if dice.between(0.0, 1.0) < 0.12 { dice.between(0.2, 0.5) } else { dice.between(0.0, 0.06) };
        out.resize(out.len() + (gap * RATE) as usize, 0.0);
    }
    out.truncate(len);
    out
}

fn resonate(source: &[f32], frequency: f32, width: f32) -> Vec<f32> {
    let radius = (-PI * width / RATE).exp();
    let turn = 2.0 * radius * (TAU * frequency / RATE).cos();
    let (mut one, mut two) = (0.0, 0.0);
    source
        .iter()
        .map(|sample| {
            let out = sample * (1.0 - radius) + turn * one - radius * radius * two;
            (two, one) = (one, out);
            out
        })
        .collect()
}

pub(crate) fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

/// A room with one loudness of reflection for all of its walls.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// Metres.
    pub size: [f32; 3],
    /// Seconds; 0: no reflections.
    pub rt60: f32,
}

impl Room {
    /// The impulse response from `source` to `microphone`.
    pub fn response(&self, source: [f32; 3], microphone: [f32; 3]) -> Vec<f32> {
        let [x, y, z] = self.size;
        let surface = 2.0 * (x * y + y * z + z * x);
        // Eyring.
        let reflected = if self.rt60 > 0.0 { (-0.161 * x * y * z / (surface * self.rt60)).exp().sqrt() } else { 0.0 };
        let longest = (0.8 * self.rt60).max(0.05);
        let mut response = vec![0.0; (longest * RATE) as usize + 64];
        let reach = longest * SPEED_OF_SOUND;
        let images = |axis: usize| {
            let count = if self.rt60 > 0.0 { (reach / (2.0 * self.size[axis])).ceil() as i32 + 1 } else { 0 };
            (-count..=count).flat_map(move |n| [(n, 1.0), (n, -1.0)])
        };
        let along = |axis: usize, (n, side): (i32, f32)| {
            let image = side * source[axis] + 2.0 * n as f32 * self.size[axis];
            let bounces = if side > 0.0 { (2 * n).unsigned_abs() } else { (2 * n - 1).unsigned_abs() };
            (image - microphone[axis], bounces)
        };
        for i in images(0) {
            let (dx, bx) = along(0, i);
            for j in images(1) {
                let (dy, by) = along(1, j);
                for k in images(2) {
                    let (dz, bz) = along(2, k);
                    let distance = (dx * dx + dy * dy + dz * dz).sqrt();
                    if distance < reach && (self.rt60 > 0.0 || bx + by + bz == 0) {
                        let gain = reflected.powi((bx + by + bz) as i32) / distance;
                        add_pulse(&mut response, distance / SPEED_OF_SOUND * RATE, gain);
                    }
                }
            }
        }
        response
    }
}

/// A band-limited pulse between samples: windowed sinc of 24 samples.
fn add_pulse(response: &mut [f32], at: f32, gain: f32) {
    const HALF: i32 = 12;
    let whole = at.floor() as i32;
    for n in whole - HALF + 1..=whole + HALF {
        let t = n as f32 - at;
        let sinc = if t.abs() < 1e-6 { 1.0 } else { (PI * t).sin() / (PI * t) };
        let window = 0.5 + 0.5 * (PI * t / HALF as f32).cos();
        if let Some(sample) = usize::try_from(n).ok().and_then(|n| response.get_mut(n)) {
            *sample += gain * sinc * window;
        }
    }
}

/// `signal` as it sounds through `response`, of the signal's length.
pub(crate) fn convolve(signal: &[f32], response: &[f32]) -> Vec<f32> {
    let len = (signal.len() + response.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(len), planner.plan_fft_inverse(len));
    let spectrum = |samples: &[f32]| {
        let mut padded = forward.make_input_vec();
        padded[..samples.len()].copy_from_slice(samples);
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum).unwrap();
        spectrum
    };
    let mut product: Vec<Complex32> = spectrum(signal).iter().zip(spectrum(response)).map(|(a, b)| a * b).collect();
    let ends = [0, product.len() - 1];
    for end in ends {
        product[end].im = 0.0;
    }
    let mut out = inverse.make_output_vec();
    inverse.process(&mut product, &mut out).unwrap();
    out.truncate(signal.len());
    for sample in &mut out {
        *sample /= len as f32;
    }
    out
}
