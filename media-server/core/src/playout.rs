//! When a site's pictures and sound are due: one mapping from its media time to the server's timeline.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use crate::time::Micros;

/// How far back lateness is looked at. Clocks drift at most 0.2 ms in it.
const WINDOW: Micros = Micros::from_millis(5_000);
/// Never earlier than this after the fastest arrival.
const LEAST_DELAY: Micros = Micros::from_millis(40);
/// Never later than this after the fastest arrival: what comes later is lost.
const MOST_DELAY: Micros = Micros::from_millis(300);
/// Before anything is known.
const FIRST_DELAY: Micros = Micros::from_millis(80);
/// Added to what was seen: the tick itself is late sometimes.
const MARGIN: Micros = Micros::from_millis(5);
/// One in fifty may be late.
const KEPT: f64 = 0.98;
/// The mapping moves by at most this much per second when it need not hurry: 2.5 % faster or slower than life.
const WALK_PER_SECOND: i64 = 25_000;
/// Freed by a step down before it is done, so that it is not undone at once.
const SPARE: Micros = Micros::from_millis(6);
/// How often lateness is evaluated.
const EVERY: Micros = Micros::from_millis(100);
/// The program's frames are this far apart.
pub const FRAME: Micros = Micros::from_millis(40);
/// After this long of nothing but hopelessly late arrivals the site's clock is taken to have moved.
const NEW_CLOCK_AFTER: Micros = Micros::from_millis(500);
/// Within this time of the last sound, the sound alone decides that.
const HEARD: Micros = Micros::from_millis(1_000);

/// A site's *transit* is arrival minus media time: link, encoder and the offset of its clock in one number. The
/// mapping is `program time = media time + delay()`, where the delay follows the transit of nearly all that arrives:
/// it grows at once when things would come too late, and shrinks slowly. For a source of 25 frames per second it
/// settles where the source's frames fall on the program's ticks, so that nothing is shown early or late.
#[derive(Debug, Default)]
pub struct Playout {
    pictures: Lateness,
    sound: Lateness,
    phase: Phase,
    delay: Option<Micros>,
    evaluated: Option<Micros>,
    hopeless_since: Option<Micros>,
    /// When sound came last.
    heard: Option<Micros>,
}

/// Transit of what arrived within the window.
#[derive(Debug, Default)]
struct Lateness {
    seen: VecDeque<(Micros, i64)>,
    sorted: Vec<i64>,
}

/// Where on the program's frame grid the source's frames fall, as a mean direction on a circle.
#[derive(Debug, Default)]
struct Phase {
    cos: f64,
    sin: f64,
}

impl Playout {
    /// Nothing has arrived.
    pub fn new() -> Self {
        Self::default()
    }

    /// A picture captured at `media` can be shown from `arrived` on.
    pub fn handle_picture(&mut self, media: Micros, arrived: Micros) {
        self.phase.turn(media);
        // Pictures that are hopelessly late beside sound that is not are those of a decoder without a CPU: no new clock.
        if self.heard.is_none_or(|at| arrived - at > HEARD) {
            self.handle_arrival(media, arrived);
        }
        self.pictures.push(arrived, (arrived - media).0);
    }

    /// A packet of sound whose first sample was captured at `media` can be decoded from `arrived` on.
    pub fn handle_sound(&mut self, media: Micros, arrived: Micros) {
        self.heard = Some(arrived);
        self.handle_arrival(media, arrived);
        self.sound.push(arrived, (arrived - media).0);
    }

    /// To be added to a media time; `None` until something has arrived.
    pub fn delay(&self) -> Option<Micros> {
        self.delay
    }

    /// Time passed: to be called at every tick, before anything is taken.
    pub fn handle_tick(&mut self, now: Micros) {
        let Some(delay) = self.delay else { return };
        let before = self.evaluated.unwrap_or(now);
        if self.evaluated.is_some() && now - before < EVERY {
            return;
        }
        self.evaluated = Some(now);
        self.pictures.forget(now - WINDOW);
        self.sound.forget(now - WINDOW);
        let Some(fastest) = [self.pictures.least(), self.sound.least()].into_iter().flatten().min() else { return };
        let usual = self.pictures.usual().max(self.sound.usual()).unwrap_or(fastest);
        let (least, most) = (fastest + LEAST_DELAY.0, fastest + MOST_DELAY.0);
        let needed = usual + MARGIN.0;
        let wanted = needed.clamp(least, most);
        let walk = (now - before).0.clamp(0, 1_000_000) * WALK_PER_SECOND / 1_000_000;
        let up = self.phase.at_or_after(wanted).min(most);
        let down = self.phase.at_or_after((needed + SPARE.0).clamp(least, most)).min(most);
        self.delay = Some(Micros(match delay.0 {
            _ if delay.0 > most => most,
            _ if delay.0 < needed.min(most) => up,
            delay if delay > down => (delay - walk).max(down),
            delay if delay < up => (delay + walk).min(up),
            // Between the two, a phase that is known has no place but these.
            delay if self.phase.known() && delay - up > SPARE.0 => (delay + walk).min(down),
            delay if self.phase.known() => (delay - walk).max(up),
            delay => delay,
        }));
    }

    fn handle_arrival(&mut self, media: Micros, arrived: Micros) {
        let transit = arrived - media;
        let Some(delay) = self.delay else {
            self.delay = Some(transit + FIRST_DELAY);
            return;
        };
        // Not merely late: so late (or so early) that the mapping must be another one.
        let hopeless = transit - delay > MOST_DELAY || delay - transit > Micros::from_millis(1_000);
        if !hopeless {
            self.hopeless_since = None;
        } else if arrived - *self.hopeless_since.get_or_insert(arrived) > NEW_CLOCK_AFTER {
            *self = Self { delay: Some(transit + FIRST_DELAY), ..Self::default() };
        }
    }
}

impl Lateness {
    fn push(&mut self, arrived: Micros, transit: i64) {
        // At 75 arrivals per second the window never holds more; a flood must not either.
        if self.seen.len() >= 2_000 {
            self.seen.pop_front();
        }
        self.seen.push_back((arrived, transit));
    }

    fn forget(&mut self, before: Micros) {
        while self.seen.front().is_some_and(|(arrived, _)| *arrived < before) {
            self.seen.pop_front();
        }
        self.sorted.clear();
        self.sorted.extend(self.seen.iter().map(|(_, transit)| *transit));
        self.sorted.sort_unstable();
    }

    fn least(&self) -> Option<i64> {
        self.sorted.first().copied()
    }

    fn usual(&self) -> Option<i64> {
        let last = self.sorted.len().checked_sub(1)?;
        self.sorted.get((last as f64 * KEPT).ceil() as usize).copied()
    }
}

impl Phase {
    fn turn(&mut self, media: Micros) {
        let angle = TAU * media.0.rem_euclid(FRAME.0) as f64 / FRAME.0 as f64;
        self.cos += (angle.cos() - self.cos) * 0.1;
        self.sin += (angle.sin() - self.sin) * 0.1;
    }

    fn known(&self) -> bool {
        self.cos.hypot(self.sin) > 0.9
    }

    /// The least delay from `wanted` on that puts the source's frames onto the program's grid. Sources of other
    /// frame rates have no phase: `wanted` itself.
    fn at_or_after(&self, wanted: i64) -> i64 {
        if !self.known() {
            return wanted;
        }
        let phase = (self.sin.atan2(self.cos) / TAU * FRAME.0 as f64).round() as i64;
        wanted + (-(phase + wanted)).rem_euclid(FRAME.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a 25 fps site whose transit is `link(n)` ms for picture n (its sound 20 ms less), and returns the delay
    /// after each picture.
    fn play(seconds: i64, first_ms: i64, link: impl Fn(i64) -> i64) -> Vec<i64> {
        let mut playout = Playout::new();
        let mut delays = Vec::new();
        for n in 0..seconds * 25 {
            let media = Micros::from_millis(first_ms + 40 * n);
            let arrived = media + Micros::from_millis(link(n));
            for half in 0..2 {
                let media = media + Micros::from_millis(20 * half);
                playout.handle_sound(media, media + Micros::from_millis(link(n) - 10));
            }
            playout.handle_picture(media, arrived);
            playout.handle_tick(arrived);
            delays.push(playout.delay().unwrap().0 / 1_000);
        }
        delays
    }

    #[test]
    fn a_calm_site_gets_a_short_delay_with_its_frames_on_the_programs_ticks() {
        for first in [0, 7, 13, 20, 39] {
            let last = *play(10, first, |_| 45).last().unwrap();
            assert!((75..=126).contains(&last), "{first}: {last}");
            assert!(((first + last) % 40) <= 1 || (first + last) % 40 == 39, "{first}: {last}");
        }
    }

    #[test]
    fn jitter_makes_it_grow_within_a_fraction_of_a_second_and_calm_makes_it_shrink_slowly() {
        let noise = |n: i64| (n * 7_919) % 120;
        let delays = play(30, 0, |n| if (250..500).contains(&n) { 40 + noise(n) } else { 40 });
        let (calm, rough) = (delays[249], *delays[250..275].iter().max().unwrap());
        assert!(calm <= 120, "{calm}");
        assert!(rough >= 150, "{rough}");
        // Nothing but the allowed 2 % comes too late once it has grown.
        let late = (275..500).filter(|n| 40 + noise(*n as i64) > delays[*n]).count();
        assert!(late <= 5, "{late}");
        for pair in delays[500..].windows(2) {
            assert!(pair[0] - pair[1] <= 4, "{pair:?}");
        }
        assert_eq!(*delays.last().unwrap(), calm);
    }

    #[test]
    fn a_delay_of_more_than_300_ms_is_never_waited_for() {
        let delays = play(10, 0, |n| if n % 10 == 0 { 900 } else { 40 });
        assert!(delays.iter().skip(25).all(|delay| *delay <= 330), "{delays:?}");
    }

    #[test]
    fn pictures_without_a_cpu_do_not_take_the_sound_with_them() {
        let mut playout = Playout::new();
        for n in 0..1_000 {
            let media = Micros::from_millis(20 * n);
            playout.handle_sound(media, media + Micros::from_millis(25));
            playout.handle_picture(media - Micros::from_millis(2_000), media + Micros::from_millis(25));
            playout.handle_tick(media);
            assert!(playout.delay().unwrap() <= Micros::from_millis(325), "{n}");
        }
    }

    #[test]
    fn a_clock_that_jumped_or_drifts_is_followed() {
        for jump in [-7_000, 7_000] {
            let last = *play(12, 0, |n| if n < 100 { 40 } else { 40 + jump }).last().unwrap();
            assert!((last - jump - 80).abs() <= 50, "{jump}: {last}");
        }
        // 200 ppm for ten minutes: 120 ms.
        let last = *play(600, 0, |n| 40 + n / 125).last().unwrap();
        assert!((last - 120 - 80).abs() <= 50, "{last}");
        let last = *play(600, 0, |n| 40 - n / 125).last().unwrap();
        assert!((last + 120 - 80).abs() <= 50, "{last}");
    }
}
