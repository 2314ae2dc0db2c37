//! Who is speaking, out of levels alone: no sound is decoded for it.
//!
//! Every packet of sound carries its level (RFC 6464). An [`Ear`] keeps the newest of one site; [`listen`] compares
//! them all, some ten times a second: only then is it known whose sound may be another one's echo.

use std::cmp::Reverse;
use std::collections::VecDeque;

use crate::time::Micros;

/// What one packet holds.
const PACKET: Micros = Micros::from_millis(20);
/// Voice is looked for in so many packets: 500 ms.
const WINDOW: usize = 25;
/// So many of [`WINDOW`] must be voiced: 300 ms. A cough (up to 250 ms, so parts of 14 packets) is not enough. Running
/// speech is voiced for two thirds of the time and more, so it passes within half a second.
const ATTACK: usize = 15;
/// So many of them in a row: 100 ms, as a vowel has. Clicks (20 to 40 ms) never have, however fast somebody types.
const RUN: usize = 5;
/// Somebody who pauses for breath or between two sentences still speaks.
const HOLD: Micros = Micros::from_millis(1_500);
/// Packets older than this say nothing of now: [`WINDOW`], and what a tick and the line may be late.
const FRESH: Micros = Micros::from_millis(600);
/// Packets may come this much out of step before one counts as missing.
const JITTER: Micros = Micros::from_millis(100);

/// dB above the noise from which on it is voice: steady noise hardly ever rises by 10 dB within 20 ms, and speech at a
/// microphone is 20 dB and more above its room.
const ABOVE_NOISE: i32 = 12;
/// dBov below which nothing is voice, however quiet the room: speech is near −26 dBov when the gain is right.
const LEAST: i32 = -55;
/// dB below the loudest packet of [`WINDOW`] from which on it is no voice: what rings on in the room. In a hall of 0.8 s
/// reverberation (60 dB) a slammed door falls by this within 240 ms; vowels stay within 15 dB of each other.
const BELOW_PEAK: i32 = 18;

/// The noise floor is kept in 256ths of a dB: integers, so that a replay on another machine says the same.
const FINE: i32 = 256;
/// Lower would mean nothing: [`LEAST`] − [`ABOVE_NOISE`].
const FLOOR_LEAST: i32 = -67 * FINE;
/// A steady sound of more than −25 dBov is never taken for the room's noise.
const FLOOR_MOST: i32 = -37 * FINE;
/// What a room is taken for before it was heard.
const FLOOR_START: i32 = -60 * FINE;
/// Rise with each packet: 1 dB/s. Rain on the roof (−40 dBov) passes for a speaker during 8 s; in the gaps between its
/// words a long speech lets the floor fall by more than it rose.
const FLOOR_RISE: i32 = FINE / 50;
/// The floor falls by this part of the difference with each packet: time constant 160 ms, a gap between two words.
const FLOOR_FALL: i32 = 8;
/// RFC 6464 §3: digital silence. A microphone that is shut says nothing of its room.
const DIGITAL_SILENCE: u8 = 127;

/// A loudspeaker's sound in a microphone is this much (dB) below its speaker, or more: people at microphones of their
/// own are mostly within 6 dB of each other, and an echo that its canceller leaves is 20 dB and more down. One without
/// a canceller, at 10 to 15 dB, is still met.
const ECHO_BELOW: i32 = 10;
/// How loud a site is altogether: the level that so many of [`WINDOW`] reach. Consonants are 10 dB and more below their
/// vowels, so a single packet says little against somebody else's vowels.
const STRONG: usize = 8;
/// Bins in which levels of different sites are compared.
const BIN: Micros = Micros::from_millis(40);
/// An echo is back within this: 400 ms (playout here, the line to the site, its playout, and back), and a bin for where
/// in its bin it lies.
const ECHO_BINS: usize = 11;
const ECHO: Micros = Micros(BIN.0 * ECHO_BINS as i64);
/// Bins kept: [`FRESH`], and an echo's way before that.
const BINS: usize = 27;
/// Packets kept of each site: all of [`BINS`].
const KEPT: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Micros,
    /// dBov, −127 to 0.
    loud: i32,
    voiced: bool,
    /// Once taken for an echo, always: also when the speaker it came from was muted since.
    echo: bool,
}

/// What was heard of one site.
#[derive(Debug, Clone)]
pub(crate) struct Ear {
    packets: VecDeque<Heard>,
    floor: i32,
    /// When the next packet should come.
    due: Option<Micros>,
    /// Voiced packets of the newest [`WINDOW`], before any is taken for an echo.
    recent: usize,
    since: Option<Micros>,
    last: Option<Micros>,
    /// Until then others may be this one's echo.
    shades: Micros,
}

impl Default for Ear {
    fn default() -> Self {
        Self {
            packets: VecDeque::with_capacity(KEPT),
            floor: FLOOR_START,
            due: None,
            recent: 0,
            since: None,
            last: None,
            shades: Micros(i64::MIN),
        }
    }
}

impl Ear {
    /// A packet came, with this level below full scale (RFC 6464: 0 loudest, 127 silence; more counts as 127).
    pub(crate) fn hear(&mut self, now: Micros, dbov: u8) {
        self.catch_up(now);
        let dbov = dbov.min(DIGITAL_SILENCE);
        let loud = -i32::from(dbov);
        let peak = self.window().map(|heard| heard.loud).fold(loud, i32::max);
        let voiced = loud >= LEAST && loud * FINE >= self.floor + ABOVE_NOISE * FINE && loud + BELOW_PEAK >= peak;
        self.push(Heard { at: now, loud, voiced, echo: false });
        if dbov != DIGITAL_SILENCE {
            let above = loud * FINE - self.floor;
            self.floor += if above < 0 { above / FLOOR_FALL } else { above.min(FLOOR_RISE) };
            self.floor = self.floor.clamp(FLOOR_LEAST, FLOOR_MOST);
        }
    }

    /// Its microphone is shut, or nothing comes any more: it does not speak from now on. What it has said may still be
    /// on its way through other sites' loudspeakers.
    pub(crate) fn silence(&mut self) {
        self.since = None;
        self.recent = 0;
        self.packets.iter_mut().for_each(|heard| heard.voiced = false);
    }

    /// Since when it speaks. `None`: it does not.
    pub(crate) const fn since(&self) -> Option<Micros> {
        self.since
    }

    /// When its voice was last heard.
    pub(crate) const fn last(&self) -> Option<Micros> {
        self.last
    }

    fn window(&self) -> impl Iterator<Item = &Heard> {
        self.packets.range(self.packets.len().saturating_sub(WINDOW)..)
    }

    fn loudest(&self) -> i32 {
        self.packets.iter().filter(|heard| heard.voiced).map(|heard| heard.loud).max().unwrap_or(i32::MIN)
    }

    fn strength(&self) -> i32 {
        let mut levels: Vec<_> = self.window().map(|heard| Reverse(heard.loud)).collect();
        levels.sort_unstable();
        levels.get(STRONG - 1).map_or(i32::MIN, |level| level.0)
    }

    /// What did not come (lost, or not sent in silence) counts as silence; else two coughs would be one sentence. A
    /// line that stalled and delivers all at once is no gap.
    fn catch_up(&mut self, now: Micros) {
        let mut due = self.due.unwrap_or(now);
        if now - due > JITTER {
            let missing = (now - due).0 / PACKET.0;
            for _ in 0..missing.min(WINDOW as i64) {
                self.push(Heard { at: now, loud: -i32::from(DIGITAL_SILENCE), voiced: false, echo: false });
            }
            due = now;
        }
        self.due = Some((due + PACKET).min(now + JITTER));
    }

    fn push(&mut self, heard: Heard) {
        if self.packets.len() == KEPT {
            self.packets.pop_front();
        }
        if let Some(leaves) = self.packets.len().checked_sub(WINDOW) {
            self.recent -= usize::from(self.packets[leaves].voiced);
        }
        self.recent += usize::from(heard.voiced);
        self.packets.push_back(heard);
    }

    fn decide(&mut self, now: Micros, owner: usize, shadow: &Shadow) {
        let (mut voiced, mut run, mut newest) = (0, 0, None);
        let strength = self.strength();
        let window = self.packets.len().saturating_sub(WINDOW);
        for heard in self.packets.range_mut(window..) {
            heard.echo |= heard.voiced && shadow.covers(heard.at, heard.loud.max(strength), owner);
            let own = heard.voiced && !heard.echo && now - heard.at <= FRESH;
            run = if own { run + 1 } else { 0 };
            voiced += usize::from(own);
            if run >= RUN {
                newest = Some(heard.at);
            }
        }
        if self.since.is_none() && voiced >= ATTACK && newest.is_some() {
            self.since = Some(now);
        }
        if self.since.is_some() {
            self.last = self.last.max(newest);
        }
        if self.last.is_none_or(|last| now - last >= HOLD) {
            self.since = None;
        }
    }
}

/// Decides for all sites who speaks at `now`.
///
/// A voiced packet is taken for an echo when a speaker was [`ECHO_BELOW`] louder within the time an echo needs: louder
/// than the packet, and than its site is altogether. So somebody who talks that softly into a louder one's speech is not
/// noticed before the louder one pauses, or until he raises his voice.
pub(crate) fn listen<'a>(now: Micros, ears: impl Iterator<Item = &'a mut Ear>) {
    let (speaking, mut others): (Vec<_>, Vec<_>) = ears
        .filter(|ear| ear.since.is_some() || ear.recent > 0 || ear.shades >= now)
        .enumerate()
        .partition(|(_, ear)| ear.since.is_some() || ear.shades >= now);
    let mut shadow = Shadow::new(now);
    for (owner, ear) in &speaking {
        shadow.add(*owner, ear);
    }
    // The loudest first: when a speaker and its echo come up in the same tick, this is the speaker.
    others.sort_by_key(|(_, ear)| Reverse(ear.loudest()));
    for (owner, ear) in others {
        ear.decide(now, owner, &shadow);
        if ear.since.is_some() {
            shadow.add(owner, ear);
            ear.shades = now + ECHO;
        }
    }
    for (owner, ear) in speaking {
        ear.decide(now, owner, &shadow);
        if ear.since.is_some() {
            ear.shades = now + ECHO;
        }
    }
}

/// How loud the speakers were, by time: of each bin the loudest two, so that nobody is taken for an echo of itself.
struct Shadow {
    now: Micros,
    bins: [[(i32, usize); 2]; BINS],
}

impl Shadow {
    const fn new(now: Micros) -> Self {
        Self { now, bins: [[(i32::MIN, usize::MAX); 2]; BINS] }
    }

    /// Bins count back from now.
    fn bin(&self, at: Micros) -> usize {
        ((self.now - at).0.max(0) / BIN.0) as usize
    }

    fn add(&mut self, owner: usize, ear: &Ear) {
        for heard in &ear.packets {
            let bin = self.bin(heard.at);
            let Some([first, second]) = self.bins.get_mut(bin) else { continue };
            if first.1 == owner {
                first.0 = first.0.max(heard.loud);
            } else if heard.loud > first.0 {
                *second = std::mem::replace(first, (heard.loud, owner));
            } else if heard.loud > second.0 {
                *second = (heard.loud, owner);
            }
        }
    }

    fn covers(&self, at: Micros, loud: i32, owner: usize) -> bool {
        let bin = self.bin(at);
        // One bin later, too: lines are not in step.
        let bins = bin.saturating_sub(1).min(BINS)..(bin + ECHO_BINS).min(BINS);
        self.bins[bins].iter().flatten().any(|(other, of)| *of != owner && *other >= loud + ECHO_BELOW)
    }
}
