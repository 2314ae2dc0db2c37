//! 20 ms of sound at a time, each with the instant at which its first sample was captured.

use std::time::{Duration, Instant};

use crate::pace::{BLOCK, SOUND_RATE};

/// How long a block is.
pub const BLOCK_TIME: Duration = duration_of(BLOCK);

/// Cuts what a device delivers into blocks.
#[derive(Debug)]
pub struct Blocks<T> {
    channels: usize,
    waiting: Vec<T>,
}

impl<T: Copy> Blocks<T> {
    /// Of a device that delivers a sample of each of so many channels in turn.
    pub const fn new(channels: usize) -> Self {
        Self { channels, waiting: Vec::new() }
    }

    /// Samples whose first was captured at `at`.
    pub fn push(&mut self, at: Instant, samples: impl Iterator<Item = T>, mut block: impl FnMut(&[T], Instant)) {
        // The waiting samples were captured just before these.
        let mut first = at.checked_sub(duration_of(self.waiting.len() / self.channels)).unwrap_or(at);
        self.waiting.extend(samples);
        let whole = self.waiting.len() / (BLOCK * self.channels) * (BLOCK * self.channels);
        for samples in self.waiting[..whole].chunks_exact(BLOCK * self.channels) {
            block(samples, first);
            first += BLOCK_TIME;
        }
        self.waiting.drain(..whole);
    }
}

const fn duration_of(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * 1_000_000_000 / SOUND_RATE)
}

/// One line of blocks: none twice, and none missing for long.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Everything before was sent.
    until: Instant,
}

impl Line {
    /// By so much a block may begin before the last one has ended: device clocks are not ours.
    const OVERLAP: Duration = Duration::from_millis(10);

    /// Begins now.
    pub const fn new(now: Instant) -> Self {
        Self { until: now }
    }

    /// Whether this block is sent; one of a time that was sent already is not.
    pub fn handle_block(&mut self, at: Instant) -> bool {
        let fits = at + Self::OVERLAP >= self.until;
        if fits {
            self.until = at + BLOCK_TIME;
        }
        fits
    }

    /// The instant of a block of silence that takes the place of what has not come within `patience`.
    pub fn missing(&mut self, now: Instant, patience: Duration) -> Option<Instant> {
        let at = self.until;
        (at + BLOCK_TIME + patience <= now).then(|| {
            self.until += BLOCK_TIME;
            at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_carry_the_instant_of_their_first_sample() {
        let (mut blocks, start) = (Blocks::new(2), Instant::now());
        let mut got = Vec::new();
        for n in 0..10_i32 {
            let samples = (0..480).flat_map(|i| [n * 480 + i, -1]);
            let at = start + Duration::from_millis(10) * n as u32;
            blocks.push(at, samples, |block, at| got.push((block.to_vec(), at)));
        }
        assert_eq!(got.len(), 5);
        for (n, (block, at)) in got.into_iter().enumerate() {
            assert_eq!((block.len(), block[0], block[1]), (2 * BLOCK, n as i32 * 960, -1));
            assert_eq!(at, start + Duration::from_millis(20 * n as u64));
        }
    }

    #[test]
    fn a_hole_is_filled_and_what_comes_too_late_for_it_is_left_out() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut line = Line::new(start);
        assert!(line.handle_block(start + ms(3)));
        assert!(line.handle_block(start + ms(21)), "2 ms early is the device's clock");
        assert_eq!(line.missing(start + ms(120), ms(100)), None);
        assert_eq!(line.missing(start + ms(165), ms(100)), Some(start + ms(41)));
        assert_eq!(line.missing(start + ms(165), ms(100)), None);
        assert!(!line.handle_block(start + ms(45)), "it was filled");
        assert!(line.handle_block(start + ms(65)));
    }
}
