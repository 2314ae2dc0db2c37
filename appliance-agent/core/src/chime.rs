//! What the box itself lets the room hear: samples at 48 kHz, for whoever plays them.

/// Samples a second.
const RATE: f32 = 48_000.0;
/// Peak of a tone, of 1: well heard beside a talk, and not startling.
const PEAK: f32 = 0.25;
/// A tone that begins at once clicks.
const EDGE_S: f32 = 0.01;

/// A press means nothing: two tones, the second lower and longer, as telephones and lifts say no.
pub fn refused() -> Vec<i16> {
    [tone(587.3, 0.18), vec![0; 1_920], tone(440.0, 0.32)].concat()
}

fn tone(hz: f32, seconds: f32) -> Vec<i16> {
    let count = (seconds * RATE) as usize;
    let sample = |n: usize| {
        let (at, left) = (n as f32 / RATE, (count - n) as f32 / RATE);
        let edge = (at.min(left) / EDGE_S).min(1.0);
        let level = PEAK * (1.0 - (std::f32::consts::PI * edge).cos()) / 2.0;
        (level * (std::f32::consts::TAU * hz * at).sin() * f32::from(i16::MAX)) as i16
    };
    (0..count).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How strong a tone is in samples, of its peak.
    fn strength(samples: &[i16], hz: f32) -> f32 {
        let part = |turn: fn(f32) -> f32| {
            let turned = |(n, sample): (usize, &i16)| {
                f32::from(*sample) / f32::from(i16::MAX) * turn(std::f32::consts::TAU * hz * n as f32 / RATE)
            };
            2.0 * samples.iter().enumerate().map(turned).sum::<f32>() / samples.len() as f32
        };
        part(f32::sin).hypot(part(f32::cos)) / PEAK
    }

    #[test]
    fn a_refusal_is_two_falling_tones_without_a_click() {
        let heard = refused();
        let (high, low) = (&heard[..8_640], &heard[10_560..]);
        assert!(strength(high, 587.3) > 0.85 && strength(high, 440.0) < 0.1);
        assert!(strength(low, 440.0) > 0.9 && strength(low, 587.3) < 0.1);
        // The steepest of either tone is far less than its peak.
        let steepest = heard.windows(2).map(|pair| (pair[1] - pair[0]).unsigned_abs()).max().unwrap();
        assert!(f32::from(steepest) < PEAK * f32::from(i16::MAX) / 10.0, "{steepest}");
        assert_eq!((heard[0], heard[heard.len() - 1]), (0, 0));
    }
}
