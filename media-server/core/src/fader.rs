//! A gain that changes without a click.

/// Goes along a straight line from what it is to what it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Fader {
    now: f32,
    target: f32,
    step: f32,
    left: u32,
}

impl Fader {
    /// Closed.
    pub(crate) fn new() -> Self {
        Self { now: 0.0, target: 0.0, step: 0.0, left: 0 }
    }

    /// The gain is to be `target` in so many samples (at least 1). Said again, it changes nothing.
    pub(crate) fn set(&mut self, target: f32, samples: u32) {
        if self.target.to_bits() != target.to_bits() {
            self.target = target;
            self.left = samples.max(1);
            self.step = (target - self.now) / self.left as f32;
        }
    }

    /// Nothing comes through, now and until it is set again.
    pub(crate) fn is_closed(&self) -> bool {
        self.left == 0 && self.now == 0.0
    }

    /// Everything comes through as it is.
    #[expect(clippy::float_cmp, reason = "it arrives at its target exactly")]
    fn is_open(&self) -> bool {
        self.left == 0 && self.now == 1.0
    }

    pub(crate) fn apply(&mut self, samples: &mut [f32]) {
        if self.is_open() {
            return;
        }
        for sample in samples {
            if self.left > 0 {
                self.left -= 1;
                self.now = if self.left == 0 { self.target } else { self.now + self.step };
            }
            *sample *= self.now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gain_is_a_line_to_its_target_also_when_that_changes_on_the_way() {
        let mut fader = Fader::new();
        let mut play = |target: f32, samples: u32, count: usize| {
            fader.set(target, samples);
            let mut block = vec![1.0; count];
            fader.apply(&mut block);
            block
        };
        let all = [play(1.0, 10, 8), play(4.0, 10, 20), play(0.0, 20, 30), play(1.0, 5, 5)].concat();
        assert!((all[0] - 0.1).abs() < 1e-6 && all[27].to_bits() == 4.0_f32.to_bits());
        assert!(all[48..58].iter().all(|gain| *gain == 0.0) && (all[62] - 1.0).abs() < 1e-9);
        assert!(all.windows(2).all(|w| (w[1] - w[0]).abs() <= 0.330_1), "{all:?}");
    }
}
