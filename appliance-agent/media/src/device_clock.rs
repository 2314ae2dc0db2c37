//! When a sound device's samples were captured, on our clock.
//!
//! A device counts its own samples; they arrive in bursts, late by whatever the system was doing. The earliest arrivals of
//! the last seconds tell how its count and our clock belong together, and what follows moves there slowly: a late burst
//! moves nothing, and a device that runs a little fast or slow is followed without a step.

use std::time::{Duration, Instant};

/// Arrivals of so much time are looked at together.
const WINDOW: Duration = Duration::from_secs(1);
/// A device is followed by so much of the time that passes: crystals differ by less.
const SLEW: f64 = 500e-6;
/// Farther off than this is no drift: the device, or the count, has jumped.
const JUMP: f64 = 0.05;

/// One device's clock.
#[derive(Debug, Default)]
pub struct DeviceClock {
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    zero: Instant,
    /// Our time of the device's zero, seconds after `zero`.
    offset: f64,
    /// The earliest arrivals of this window and the one before, as such offsets.
    earliest: [f64; 2],
    window_began: Instant,
    last: Instant,
    /// Nothing has been settled yet: the first window.
    new: bool,
}

impl DeviceClock {
    /// Samples up to the device's time `end` (since its start) have just come. Returns when that was.
    pub fn handle_arrival(&mut self, end: Duration, now: Instant) -> Instant {
        let state = self.state.get_or_insert_with(|| State::new(end, now));
        let came = now.saturating_duration_since(state.zero).as_secs_f64() - end.as_secs_f64();
        if now.saturating_duration_since(state.window_began) >= WINDOW {
            state.earliest = [came, state.earliest[0]];
            state.window_began = now;
            state.new = false;
        }
        state.earliest[0] = state.earliest[0].min(came);
        let wanted = state.earliest[0].min(state.earliest[1]);
        let most = SLEW * now.saturating_duration_since(state.last).as_secs_f64();
        state.last = now;
        let off = wanted - state.offset;
        if state.new || off.abs() > JUMP {
            state.offset = wanted;
        } else {
            state.offset += off.clamp(-most, most);
        }
        let at = (state.offset + end.as_secs_f64()).max(0.0);
        state.zero + Duration::from_secs_f64(at)
    }
}

impl State {
    fn new(end: Duration, now: Instant) -> Self {
        let zero = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        let came = now.saturating_duration_since(zero).as_secs_f64() - end.as_secs_f64();
        Self { zero, offset: came, earliest: [came; 2], window_began: now, last: now, new: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts of 10 ms for so long, of a device that runs so much fast, each late by what `late` says (ms).
    fn play(ppm: f64, seconds: u32, mut late: impl FnMut(u32) -> f64) -> Vec<f64> {
        let (mut clock, start) = (DeviceClock::default(), Instant::now());
        let bursts = (1..seconds * 100).map(|n| {
            let captured = f64::from(n) * 0.01;
            let now = start + Duration::from_secs_f64(captured + late(n) / 1e3);
            let at = clock.handle_arrival(Duration::from_secs_f64(captured * (1.0 + ppm * 1e-6)), now);
            (at.saturating_duration_since(start).as_secs_f64() - captured) * 1e3
        });
        bursts.collect()
    }

    #[test]
    fn late_bursts_move_nothing() {
        let off = play(0.0, 30, |n| if n % 7 == 0 { 1.0 } else { f64::from(n * 7_919 % 45) });
        let (low, high) = off[100..].iter().fold((f64::MAX, f64::MIN), |(low, high), ms| (low.min(*ms), high.max(*ms)));
        assert!(low >= -0.1 && high < 3.0 && high - low < 1.0, "{low} to {high}");
    }

    #[test]
    fn a_device_that_runs_fast_or_slow_is_followed_without_a_step() {
        for ppm in [-200.0, 200.0] {
            let off = play(ppm, 600, |n| f64::from(n * 7_919 % 10));
            assert!(off.iter().all(|ms| ms.abs() < 12.0), "{ppm}: {:?}", off.last());
            let step = off[200..].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
            assert!(step < 0.02, "{ppm}: a step of {step} ms");
        }
    }

    #[test]
    fn a_hole_is_followed_at_once() {
        let off = play(0.0, 20, |n| if n > 1_000 { 120.0 } else { 0.0 });
        assert!(off[1_300] > 110.0, "the device lost 120 ms: {}", off[1_300]);
    }
}
