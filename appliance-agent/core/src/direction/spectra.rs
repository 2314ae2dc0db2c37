//! Which parts of a frame tell where the direct sound comes from.

/// Frame length, samples at 48 kHz: 85 ms, so that a voice and its early reflections are told apart.
pub(super) const FRAME: usize = 4_096;
/// From one frame to the next: 21 ms.
pub(super) const HOP: usize = 1_024;
/// Samples a second.
pub(super) const RATE: usize = 48_000;
/// First and last bin of the band in which speech is stronger than a room: 300 Hz to 7 kHz.
pub(super) const BAND: std::ops::Range<usize> = 300 * FRAME / RATE..7_000 * FRAME / RATE;

/// A sound's power falls to this share in one hop (1 dB), as if the room were more reverberant than any office: what is
/// not above it may be the tail of earlier sound.
const TAIL_PER_HOP: f32 = 0.8;
/// A floor may rise by so much in one hop: 3 dB in 1.5 s.
const FLOOR_RISE: f32 = 1.01;
/// Mean of a noise's power over the floor that a tracker of minima finds.
const FLOOR_BIAS: f32 = 3.0;
/// The floor is tracked over so many bins on each side together: a single bin's noise is near zero now and then.
const AROUND: usize = 8;
/// No bin is left out entirely: where only few are left, noise looks like a direction.
const LEAST: f32 = 0.2;

/// Gives each bin of each frame a weight: high at onsets, where the direct sound comes before its reflections, and low
/// in the tail of earlier sound and near the noise floor.
#[derive(Debug)]
pub(super) struct Weights {
    tail: Vec<f32>,
    floor: Vec<f32>,
}

impl Weights {
    pub fn new() -> Self {
        Self { tail: vec![0.0; BAND.len()], floor: vec![f32::INFINITY; BAND.len()] }
    }

    /// Weights 0 to 1 for bins of this power.
    pub fn handle_frame(&mut self, power: &[f32], weights: &mut [f32]) {
        for (n, floor) in self.floor.iter_mut().enumerate() {
            let around = &power[n.saturating_sub(AROUND)..(n + AROUND + 1).min(power.len())];
            let power = around.iter().sum::<f32>() / around.len() as f32;
            *floor = (*floor * FLOOR_RISE).min(power);
        }
        let bins = power.iter().zip(weights).zip(self.tail.iter_mut().zip(&self.floor));
        for ((power, weight), (tail, floor)) in bins {
            let over = |unwanted: f32| (1.0 - unwanted / power.max(f32::MIN_POSITIVE)).max(LEAST);
            *weight = over(*tail) * over(FLOOR_BIAS * *floor);
            *tail = TAIL_PER_HOP * tail.max(*power);
        }
    }
}

/// Whether anybody speaks: louder than the quietest of the last seconds.
#[derive(Debug)]
pub(super) struct Gate {
    /// Quietest level of each period, dB, the running one last.
    quietest: [f32; Self::PERIODS],
    frames: usize,
}

impl Gate {
    /// What is not louder than this is quiet anywhere, dBFS in the band.
    const QUIET_DBFS: f32 = -75.0;
    /// So much louder than the floor is a sound.
    const ABOVE_DB: f32 = 5.0;
    /// A sound that has not paused in this many periods is part of the floor.
    const PERIODS: usize = 10;
    /// Frames in a period: 1 s.
    const PERIOD: usize = RATE / HOP;

    pub const fn new() -> Self {
        // Nothing is known of this room yet: as if it had been quiet.
        Self { quietest: [Self::QUIET_DBFS; Self::PERIODS], frames: 0 }
    }

    pub fn is_open(&mut self, dbfs: f32) -> bool {
        if self.frames == Self::PERIOD {
            self.frames = 0;
            self.quietest.rotate_left(1);
            self.quietest[Self::PERIODS - 1] = f32::INFINITY;
        }
        self.frames += 1;
        let running = &mut self.quietest[Self::PERIODS - 1];
        *running = running.min(dbfs);
        let floor = self.quietest.iter().copied().fold(f32::INFINITY, f32::min).max(Self::QUIET_DBFS);
        dbfs > floor + Self::ABOVE_DB
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_that_never_pauses_becomes_part_of_the_floor() {
        let mut gate = Gate::new();
        let open: Vec<bool> = (0..12 * Gate::PERIOD).map(|_| gate.is_open(-40.0)).collect();
        let first_closed = open.iter().position(|open| !open).unwrap();
        assert_eq!(first_closed, (Gate::PERIODS - 1) * Gate::PERIOD + Gate::PERIOD);
        assert!(gate.is_open(-34.0) && !gate.is_open(-36.0));
    }

    #[test]
    fn an_onset_weighs_more_than_the_tail_after_it() {
        let mut weights = Weights::new();
        let mut play = |power: f32| {
            let mut out = vec![0.0; BAND.len()];
            weights.handle_frame(&vec![power; BAND.len()], &mut out);
            out[0]
        };
        for _ in 0..20 {
            play(1.0);
        }
        let onset = play(1_000.0);
        let tail = play(400.0);
        assert!(onset > 0.9 && tail < 0.25, "{onset} {tail}");
    }
}
