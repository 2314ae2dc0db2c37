//! What a conference does without when its machine is too slow for it, and when it takes it up again.
//!
//! ```text
//! Whole ─ small pictures ─ frame rate ─ resolution ─ refresh       one step down: two seconds of strain in a row
//!       ◄──────────────────────────────────────────────────       one step up: calm for PATIENCE, then twice as long …
//! ```
//! Sound and record are never among it. Sans-IO: told once a second how the last one went.

use bridgepoint_wire::local::Shed;

use crate::time::Micros;

/// A second that is so full has no room for a burst: the busiest thread ran or waited for a processor.
const STRAINED: f32 = 0.9;
/// With this much to spare a step up may be tried.
const CALM: f32 = 0.6;
/// One second in strain is a hiccup of the machine; the second one in a row is not.
const IN_A_ROW: u32 = 2;
/// Frames that wait for the encoder beyond what a tick that came late leaves there.
const BACKLOG: usize = 4;
/// So long all is calm before a step up.
const PATIENCE: Micros = Micros::from_millis(10_000);
/// A step up that was taken back within this was wrong: the next one waits twice as long.
const PROVEN: Micros = Micros::from_millis(30_000);
const MOST_PATIENCE: Micros = Micros::from_millis(320_000);

/// How the last second went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Share of it in which the busiest thread ran, or was kept waiting for a processor; 0 to 1.
    pub busy: f32,
    /// Frames of the program.
    pub frames: u32,
    /// Of these, composed more than half a frame late.
    pub late: u32,
    /// Frames that wait for the encoder now.
    pub backlog: usize,
}

impl Load {
    fn is_strained(self) -> bool {
        self.busy >= STRAINED || self.late * 5 > self.frames || self.backlog >= BACKLOG
    }

    fn is_calm(self) -> bool {
        self.busy <= CALM && self.late <= 1 && self.backlog <= 1
    }
}

/// Decides what is done without.
#[derive(Debug, Clone)]
pub struct Shedding {
    shed: Shed,
    strained: u32,
    /// Not calm, or changed, at this time for the last time.
    restless: Micros,
    risen: Option<Micros>,
    patience: Micros,
}

impl Shedding {
    /// Nothing is done without.
    pub const fn new(now: Micros) -> Self {
        Self { shed: Shed::Nothing, strained: 0, restless: now, risen: None, patience: PATIENCE }
    }

    /// What is done without now.
    pub const fn shed(&self) -> Shed {
        self.shed
    }

    /// Once a second. `Some`: from now on that is done without.
    pub fn handle(&mut self, now: Micros, load: Load) -> Option<Shed> {
        if !load.is_calm() {
            self.restless = now;
        }
        self.strained = if load.is_strained() { self.strained + 1 } else { 0 };
        if self.risen.is_some_and(|risen| now - risen >= PROVEN) {
            (self.risen, self.patience) = (None, PATIENCE);
        }
        let next = if self.strained >= IN_A_ROW {
            self.shed.more()?
        } else if now - self.restless >= self.patience {
            self.shed.less()?
        } else {
            return None;
        };
        if next < self.shed {
            self.risen = Some(now);
        } else if self.risen.take().is_some() {
            self.patience = (self.patience + self.patience).min(MOST_PATIENCE);
        }
        (self.shed, self.strained, self.restless) = (next, 0, now);
        Some(next)
    }
}

/// Pictures per second of small encodings and of the program, and what its size is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    /// Small encodings, pictures per second.
    pub small_fps: u8,
    /// Every which tick of the program has a frame.
    pub every: u8,
    /// The program has half the width and height.
    pub half: bool,
}

impl Quality {
    /// What is left of a program of `fps`.
    pub fn of(shed: Shed, fps: u8) -> Self {
        Self {
            small_fps: match shed {
                Shed::Nothing => fps,
                Shed::SmallPictures | Shed::FrameRate | Shed::Resolution => fps.div_ceil(2),
                Shed::Refresh => fps.div_ceil(5),
            },
            every: if shed >= Shed::FrameRate { 2 } else { 1 },
            half: shed >= Shed::Resolution,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EASY: Load = Load { busy: 0.3, frames: 25, late: 0, backlog: 0 };
    const FULL: Load = Load { busy: 0.95, frames: 25, late: 0, backlog: 0 };

    /// A second after the other of that load; what was decided, and after how many.
    fn seconds(shedding: &mut Shedding, now: &mut i64, load: Load, most: u32) -> Option<(u32, Shed)> {
        (1..=most).find_map(|n| {
            *now += 1_000;
            shedding.handle(Micros::from_millis(*now), load).map(|shed| (n, shed))
        })
    }

    #[test]
    fn steps_go_down_in_the_order_of_what_is_missed_least_and_up_again() {
        let (mut shedding, mut now) = (Shedding::new(Micros(0)), 0);
        let down = [Shed::SmallPictures, Shed::FrameRate, Shed::Resolution, Shed::Refresh];
        for shed in down {
            assert_eq!(seconds(&mut shedding, &mut now, FULL, 9), Some((2, shed)));
        }
        assert_eq!(seconds(&mut shedding, &mut now, FULL, 60), None, "there is nothing more");
        for shed in [Shed::Resolution, Shed::FrameRate, Shed::SmallPictures, Shed::Nothing] {
            assert_eq!(seconds(&mut shedding, &mut now, EASY, 99), Some((10, shed)));
        }
        assert_eq!(seconds(&mut shedding, &mut now, EASY, 999), None);
    }

    #[test]
    fn single_seconds_of_strain_change_nothing() {
        for load in [FULL, Load { late: 6, ..EASY }, Load { backlog: 4, ..EASY }] {
            let (mut shedding, mut now) = (Shedding::new(Micros(0)), 0);
            for _ in 0..60 {
                assert_eq!(seconds(&mut shedding, &mut now, load, 1), None);
                assert_eq!(seconds(&mut shedding, &mut now, EASY, 1), None);
            }
            assert_eq!(seconds(&mut shedding, &mut now, load, 2), Some((2, Shed::SmallPictures)));
        }
    }

    /// A machine that can do without small pictures and cannot do with them.
    #[test]
    fn a_step_up_that_does_not_hold_is_tried_ever_more_rarely() {
        let (mut shedding, mut now) = (Shedding::new(Micros(0)), 0);
        let mut changes = 0;
        for _ in 0..3_600 {
            let load = if shedding.shed() == Shed::Nothing { FULL } else { EASY };
            changes += u32::from(seconds(&mut shedding, &mut now, load, 1).is_some());
        }
        assert!(changes < 40, "{changes} changes in an hour");
        // Once a step up has held, the next trouble is met like the first.
        while shedding.shed() != Shed::Nothing {
            seconds(&mut shedding, &mut now, EASY, 1);
        }
        assert_eq!(seconds(&mut shedding, &mut now, EASY, 60), None);
        assert_eq!(seconds(&mut shedding, &mut now, FULL, 9), Some((2, Shed::SmallPictures)));
        assert_eq!(seconds(&mut shedding, &mut now, EASY, 99), Some((10, Shed::Nothing)));
    }

    #[test]
    fn between_calm_and_strain_all_stays_as_it_is() {
        let (mut shedding, mut now) = (Shedding::new(Micros(0)), 0);
        seconds(&mut shedding, &mut now, FULL, 2);
        assert_eq!(seconds(&mut shedding, &mut now, Load { busy: 0.75, ..EASY }, 999), None);
        assert_eq!(shedding.shed(), Shed::SmallPictures);
    }
}
