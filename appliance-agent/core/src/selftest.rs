//! The box listens to itself: a test signal from the loudspeaker, and what each microphone hears of it.
//!
//! The signal is an exponential sweep with silence around it. From played and captured sound follows the impulse
//! response of the way in between (the spectra's quotient); from that delay, level and echo return loss, which are
//! compared with those of the day of installation.
//!
//! Source: A. Farina, "Simultaneous measurement of impulse response and distortion with a swept-sine technique",
//! AES 108 (2000); echo return loss as in ITU-T G.168: how much weaker the echo is than what was played, dB.

use serde::{Deserialize, Serialize};

mod measure;
mod verdict;

pub use bridgepoint_wire::sound::{Measured, Reading};
pub use measure::measure;
pub use verdict::{Report, Thresholds, ThresholdsFault, Verdict, judge};

/// Samples a second of all sound here.
pub const RATE: usize = 48_000;

/// What the loudspeaker plays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestSignal {
    /// Lowest frequency, Hz. Small loudspeakers play nothing below.
    pub from_hz: f32,
    /// Highest frequency, Hz.
    pub to_hz: f32,
    /// The sweep's length, ms.
    pub sweep_ms: u32,
    /// Before it: the room's own noise is measured there, ms.
    pub before_ms: u32,
    /// After it: sound still on its way, and the room's tail, ms. The longest delay that is found.
    pub after_ms: u32,
    /// The sweep's amplitude, 0 to 1.
    pub amplitude: f32,
}

impl Default for TestSignal {
    fn default() -> Self {
        Self { from_hz: 200.0, to_hz: 10_000.0, sweep_ms: 1_000, before_ms: 300, after_ms: 700, amplitude: 0.25 }
    }
}

impl TestSignal {
    /// At both ends the sweep swells, so that it does not click, ms.
    const FADE_MS: u32 = 20;

    /// All samples to be played, 48 kHz. Capture begins with the first of them and ends with the last.
    pub fn samples(&self) -> Vec<f32> {
        let mut samples = vec![0.0; self.before()];
        let count = samples_of(self.sweep_ms);
        let fade = samples_of(Self::FADE_MS).min(count / 2).max(1) as f64;
        let (from, to) = (f64::from(self.from_hz), f64::from(self.to_hz));
        let (seconds, octaves) = (count as f64 / RATE as f64, (to / from).ln());
        let sweep = (0..count).map(|n| {
            let along = n as f64 / count as f64;
            let phase = std::f64::consts::TAU * from * seconds / octaves * ((along * octaves).exp() - 1.0);
            let swell = ((n.min(count - 1 - n) as f64) / fade).min(1.0);
            (f64::from(self.amplitude) * phase.sin() * swell) as f32
        });
        samples.extend(sweep);
        samples.resize(samples.len() + samples_of(self.after_ms), 0.0);
        samples
    }

    fn before(&self) -> usize {
        samples_of(self.before_ms)
    }
}

const fn samples_of(ms: u32) -> usize {
    ms as usize * RATE / 1_000
}

#[cfg(test)]
#[path = "selftest/tests.rs"]
mod tests;
