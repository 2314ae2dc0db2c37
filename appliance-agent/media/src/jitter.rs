//! When the return is heard and shown: the jitter buffer's core. Reads no clock, decodes nothing.
//!
//! All times are nanoseconds since the session's origin. Sound is played in blocks of 20 ms on the listener's own clock;
//! what was captured (mixed) at `t` is heard at `t + delay`. The delay follows the latest packets of the last seconds,
//! in steps of whole blocks: it grows at once when a packet comes too late, and shrinks slowly. Pictures are shown with
//! the same delay, so that lips fit.

use std::collections::{BTreeMap, VecDeque};

use bridgepoint_wire::media::OpusPacket;

use crate::pace::BLOCK;

/// One block, ns.
pub const BLOCK_NS: u64 = 20_000_000;
/// What is added to the latest packet of the window.
const MARGIN: u64 = 10_000_000;
/// How much pictures may delay the sound.
const PICTURE_SHARE: u64 = 80_000_000;
/// Lateness is remembered for so many packets and so many pictures (4 s).
const WINDOW: (usize, usize) = (200, 100);
/// Longer than needed by more than one and a half blocks for so many blocks in a row (5 s): one block is left out.
const PATIENCE: u32 = 250;
/// So many missing blocks are concealed; then there is silence.
const CONCEALED: u32 = 5;
/// Packets that are kept at most (4 s): a sender whose clock is ahead must not fill the memory.
const KEPT: usize = 200;
/// A jump of more than this in the packets' times begins a new conversation with the buffer.
const JUMP: u64 = 1_000_000_000;

/// What is played in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Play {
    /// This packet.
    Packet(OpusPacket),
    /// The lost packet, from the redundancy in its successor.
    Recover(OpusPacket),
    /// Something like what was before.
    Conceal,
    /// Nothing.
    Silence,
}

/// The buffer.
#[derive(Debug, Default)]
pub struct Jitter {
    packets: BTreeMap<u64, OpusPacket>,
    /// Ticks of the block that is played next.
    next: Option<u64>,
    missing: u32,
    generous: u32,
    sound_late: VecDeque<u64>,
    picture_late: VecDeque<u64>,
    /// Delay of the block played last.
    delay: Option<u64>,
}

/// Ticks of `rate` as nanoseconds.
pub fn ns_of(ticks: u64, rate: u64) -> u64 {
    (u128::from(ticks) * 1_000_000_000 / u128::from(rate)) as u64
}

fn at(ticks: u64) -> u64 {
    ns_of(ticks, bridgepoint_wire::media::AUDIO_RATE)
}

fn remember(window: &mut VecDeque<u64>, size: usize, late: u64) {
    if window.len() == size {
        window.pop_front();
    }
    window.push_back(late);
}

fn latest(window: &VecDeque<u64>) -> Option<u64> {
    window.iter().max().copied()
}

impl Jitter {
    /// A packet arrived.
    pub fn handle_packet(&mut self, now: u64, packet: OpusPacket) {
        let late = now.saturating_sub(at(packet.ticks));
        if latest(&self.sound_late).is_some_and(|known| known.abs_diff(late) > JUMP) {
            *self = Self::default();
        }
        remember(&mut self.sound_late, WINDOW.0, late);
        if self.next.is_none_or(|next| packet.ticks + BLOCK as u64 / 2 > next) {
            self.packets.insert(packet.ticks, packet);
        }
        while self.packets.len() > KEPT {
            self.packets.pop_first();
        }
    }

    /// A picture that was mixed at `position` could be shown at `now`.
    pub fn handle_picture(&mut self, now: u64, position: u64) {
        remember(&mut self.picture_late, WINDOW.1, now.saturating_sub(position));
    }

    /// When a picture that was mixed at `position` is shown.
    pub fn show_at(&self, now: u64, position: u64) -> u64 {
        self.delay.map_or(now, |delay| now.max(position + delay))
    }

    /// The delay that the arrivals of the last seconds ask for.
    fn needed(&self) -> Option<u64> {
        let sound = latest(&self.sound_late)?;
        let picture = latest(&self.picture_late).unwrap_or(0).min(sound + PICTURE_SHARE);
        Some(sound.max(picture) + MARGIN)
    }

    /// What is played from `now` on for 20 ms. To be called every 20 ms.
    pub fn next_block(&mut self, now: u64) -> Play {
        let Some(needed) = self.needed() else {
            return Play::Silence;
        };
        let Some(next) = self.next else {
            return self.begin(now, needed);
        };
        // A sender that was started again has another phase.
        let found = self.packets.range(next.saturating_sub(BLOCK as u64 / 2)..next + BLOCK as u64 / 2).next();
        let next = found.map_or(next, |(ticks, _)| *ticks);
        let delay = now.saturating_sub(at(next));
        if delay + BLOCK_NS / 2 < needed {
            // Too early: this block is an extra one, and the delay is longer from now on.
            self.generous = 0;
            self.delay = Some(delay + BLOCK_NS);
            return self.fill_in();
        }
        self.generous = if delay > needed + BLOCK_NS * 3 / 2 { self.generous + 1 } else { 0 };
        let next = if self.generous > PATIENCE {
            self.generous = 0;
            next + BLOCK as u64
        } else {
            next
        };
        self.delay = Some(now.saturating_sub(at(next)));
        self.next = Some(next + BLOCK as u64);
        self.packets = self.packets.split_off(&next);
        if let Some(packet) = self.packets.remove(&next) {
            self.missing = 0;
            return Play::Packet(packet);
        }
        if self.packets.is_empty() && self.missing > CONCEALED {
            // The stream has stopped: it begins again with its next packet.
            self.next = None;
            return Play::Silence;
        }
        match self.packets.get(&(next + BLOCK as u64)) {
            Some(successor) if self.missing == 0 => {
                self.missing += 1;
                Play::Recover(successor.clone())
            }
            Some(_) | None => self.fill_in(),
        }
    }

    fn fill_in(&mut self) -> Play {
        self.missing += 1;
        if self.missing > CONCEALED { Play::Silence } else { Play::Conceal }
    }

    fn begin(&mut self, now: u64, needed: u64) -> Play {
        let first = self.packets.keys().find(|ticks| at(**ticks) + needed + BLOCK_NS / 2 > now).copied();
        let Some(first) = first else {
            return Play::Silence;
        };
        if at(first) + needed > now + BLOCK_NS / 2 {
            return Play::Silence;
        }
        self.missing = 0;
        self.generous = 0;
        self.packets = self.packets.split_off(&first);
        self.delay = Some(now.saturating_sub(at(first)));
        self.next = Some(first + BLOCK as u64);
        self.packets.remove(&first).map_or(Play::Silence, Play::Packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn packet(n: u64) -> OpusPacket {
        OpusPacket { ticks: 480_000 + n * 960, data: [n as u8].into(), level: 0 }
    }

    /// Plays `blocks` blocks; packet `n` arrives `late(n)` ms after its time, or never.
    fn play(blocks: u64, late: impl Fn(u64) -> Option<u64>) -> Vec<(Play, u64)> {
        let mut jitter = Jitter::default();
        let mut arrivals: Vec<(u64, u64)> = (0..blocks).filter_map(|n| Some((10_000 + n * 20 + late(n)?, n))).collect();
        arrivals.sort_unstable();
        let mut arrivals = arrivals.into_iter().peekable();
        let mut played = Vec::new();
        for block in 0..blocks {
            let now = 10_000 + block * 20 + 7;
            while let Some((at, n)) = arrivals.next_if(|(at, _)| *at <= now) {
                jitter.handle_packet(at * MS, packet(n));
            }
            let play = jitter.next_block(now * MS);
            played.push((play, jitter.delay.unwrap_or(0) / MS));
        }
        played
    }

    fn numbers(played: &[(Play, u64)]) -> Vec<u64> {
        let number = |(play, _): &(Play, u64)| match play {
            Play::Packet(packet) => Some((packet.ticks - 480_000) / 960),
            _ => None,
        };
        played.iter().filter_map(number).collect()
    }

    #[test]
    fn an_even_stream_is_played_whole_with_a_small_delay() {
        let played = play(500, |n| Some(15 + n % 3));
        let numbers = numbers(&played);
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1));
        assert!(numbers.len() > 495);
        assert!(played.last().unwrap().1 <= 47, "{} ms", played.last().unwrap().1);
    }

    #[test]
    fn a_lost_packet_comes_from_its_successor() {
        // The delay has room for the successor since packet 50 was late.
        let played = play(200, |n| (n != 100).then_some(if n == 50 { 45 } else { 10 }));
        assert!(played.iter().any(|(play, _)| matches!(play, Play::Recover(p) if p.ticks == packet(101).ticks)));
        let numbers = numbers(&played);
        assert!(!numbers.contains(&100) && numbers.contains(&101), "{numbers:?}");
    }

    #[test]
    fn the_delay_grows_at_once_when_the_line_gets_worse_and_shrinks_slowly() {
        let played = play(1_500, |n| Some(if (300..310).contains(&n) { 90 } else { 10 }));
        assert!(played[299].1 < 50, "{}", played[299].1);
        assert!((95..140).contains(&played[330].1), "{}", played[330].1);
        assert!(played[1_499].1 < 60, "{}", played[1_499].1);
        let numbers = numbers(&played);
        assert!(numbers.windows(2).all(|w| w[1] > w[0]));
        assert!(numbers.len() > 1_480, "{}", numbers.len());
    }

    #[test]
    fn a_stream_that_stops_is_silent_and_comes_back_by_itself() {
        let played = play(600, |n| (!(200..400).contains(&n)).then_some(10));
        assert_eq!(played[300].0, Play::Silence);
        assert!(numbers(&played).len() > 390);
        assert!(played[599].1 < 50);
    }

    #[test]
    fn pictures_are_shown_with_the_sounds_delay_and_never_in_the_past() {
        let mut jitter = Jitter::default();
        assert_eq!(jitter.show_at(500 * MS, 480 * MS), 500 * MS);
        for n in 0..20 {
            let now = (10_000 + n * 20 + 12) * MS;
            jitter.handle_packet(now, packet(n));
            jitter.handle_picture(now, (10_000 + n * 20 - 30) * MS);
            jitter.next_block(now);
        }
        let delay = jitter.delay.unwrap();
        assert!((42 * MS..75 * MS).contains(&delay), "{delay}");
        assert_eq!(jitter.show_at(11_000 * MS, 10_990 * MS), 10_990 * MS + delay);
        assert_eq!(jitter.show_at(11_000 * MS, 10_800 * MS), 11_000 * MS);
    }
}
