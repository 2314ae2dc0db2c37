//! One site's sound as samples at their place on its own timeline, whatever arrived and whatever did not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bridgepoint_wire::media::OpusPacket;

use crate::audio::{BLOCK, SoundDecoder, VoiceStats};

/// Decoded samples that are kept behind the reading place, to go back to when the delay grows: 400 ms.
const HISTORY: i64 = 19_200;
/// What is missing is made up for this long (100 ms), then there is silence.
const LONGEST_CONCEALED: i64 = 4_800;
/// Farther than this from what was decoded, the place is new: no use in making up all that is between.
const FAR: i64 = 9_600;
/// Packets that wait: 3 s of 20 ms, more than a ticker makes up for after a stall. The oldest goes.
const MOST_WAITING: usize = 150;
/// A change of the delay below this (1 ms) waits until it is worth it.
const LEAST_SLIP: i64 = 48;
/// Length of the blend from one reading place to another: 10 ms.
const BLEND: usize = 480;
/// Concealment works in steps of 2.5 ms (RFC 6716 §2.1.4).
const STEP: i64 = 120;

/// See the file's text. Places are samples since the session's origin by the site's clock (`i64`: before the origin
/// there may be something to be read, too).
pub(crate) struct Voice {
    decoder: Box<dyn SoundDecoder>,
    waiting: BTreeMap<i64, Arc<[u8]>>,
    /// The first of them was captured at `begin`.
    samples: VecDeque<f32>,
    begin: i64,
    /// How long the newest samples are made up already; [`LONGEST_CONCEALED`] and more is silence.
    made_up: i64,
    /// Difference between the program's time and the place that is read; what a slip changes.
    lag: Option<i64>,
    pub(crate) stats: VoiceStats,
    fresh: Vec<f32>,
}

impl Voice {
    pub(crate) fn new(decoder: Box<dyn SoundDecoder>) -> Self {
        Self {
            decoder,
            waiting: BTreeMap::new(),
            samples: VecDeque::new(),
            begin: 0,
            made_up: LONGEST_CONCEALED,
            lag: None,
            stats: VoiceStats::default(),
            fresh: Vec::new(),
        }
    }

    pub(crate) fn handle_packet(&mut self, packet: OpusPacket) {
        if packet_samples(&packet.data).is_none() {
            self.stats.broken += 1;
            return;
        }
        self.waiting.insert(packet.ticks as i64, packet.data);
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_first();
            self.stats.late += 1;
        }
    }

    /// The samples of the program's block that begins at `at`, with the site's delay of `lag` samples.
    pub(crate) fn take(&mut self, at: i64, lag: i64, out: &mut [f32; BLOCK]) {
        let before = *self.lag.get_or_insert(lag);
        let slip = lag - before;
        if slip.abs() < LEAST_SLIP {
            self.read(at - before, out);
            return;
        }
        let (old, new) = (at - before, at - lag);
        if slip.abs() > FAR || new < self.begin {
            self.lag = Some(lag);
            self.read(new, out);
            return;
        }
        // Forward only onto sound that is there: else it would be made up although it is on its way.
        if slip < 0 && self.available() < new + BLOCK as i64 && self.available() >= old + BLOCK as i64 {
            self.read(old, out);
            return;
        }
        self.lag = Some(lag);
        self.stats.slips += 1;
        let mut other = [0.0; BLOCK];
        self.read(old, &mut other);
        self.read(new, out);
        for (n, (new, old)) in out.iter_mut().zip(other).enumerate().take(BLEND) {
            let weight = n as f32 / BLEND as f32;
            *new = *new * weight + old * (1.0 - weight);
        }
    }

    /// Place after the last sample that can be had without making any up.
    fn available(&self) -> i64 {
        let mut end = self.end();
        for (ticks, data) in &self.waiting {
            if *ticks > end {
                break;
            }
            end = end.max(ticks + packet_samples(data).unwrap_or(0));
        }
        end
    }

    fn end(&self) -> i64 {
        self.begin + self.samples.len() as i64
    }

    fn read(&mut self, from: i64, out: &mut [f32; BLOCK]) {
        let until = from + BLOCK as i64;
        if from < self.begin || from > self.end() + FAR {
            // Nothing that is near: begin here. Packets from before are late, those from now on will be met.
            self.samples.clear();
            self.begin = from;
            self.made_up = LONGEST_CONCEALED;
        }
        while self.end() < until {
            self.extend(until);
        }
        let offset = (from - self.begin) as usize;
        for (out, sample) in out.iter_mut().zip(self.samples.range(offset..)) {
            *out = *sample;
        }
        let old = (from - HISTORY - self.begin).max(0) as usize;
        self.samples.drain(..old);
        self.begin += old as i64;
    }

    /// Adds at least one sample.
    fn extend(&mut self, until: i64) {
        let end = self.end();
        self.fresh.clear();
        let Some((ticks, data)) = self.waiting.pop_first() else {
            self.conceal(until - end);
            return;
        };
        let length = packet_samples(&data).unwrap_or(0);
        if ticks + length <= end {
            self.stats.late += 1;
            return;
        }
        if ticks <= end {
            let decoded = self.decoder.decode(&data, &mut self.fresh);
            if decoded.is_err() || (self.fresh.len() as i64) <= end - ticks {
                self.stats.broken += 1;
                self.fresh.clear();
                self.conceal(ticks + length - end);
                return;
            }
            self.fresh.drain(..(end - ticks) as usize);
            self.append_real();
            return;
        }
        // Something is missing before this packet.
        let gap = (ticks - end).min(until - end);
        if ticks - end == length
            && self.made_up < LONGEST_CONCEALED
            && self.decoder.recover(&data, length as usize, &mut self.fresh).is_ok()
        {
            self.stats.recovered += 1;
            self.waiting.insert(ticks, data);
            self.fresh.truncate(length as usize);
            if self.fresh.is_empty() {
                self.conceal(gap);
            } else {
                self.append_real();
            }
            return;
        }
        self.waiting.insert(ticks, data);
        self.conceal(gap);
    }

    fn append_real(&mut self) {
        if self.made_up >= LONGEST_CONCEALED {
            // Out of silence: no click.
            for (n, sample) in self.fresh.iter_mut().enumerate().take(STEP as usize) {
                *sample *= n as f32 / STEP as f32;
            }
        }
        self.made_up = 0;
        self.samples.extend(self.fresh.drain(..));
    }

    fn conceal(&mut self, wanted: i64) {
        let wanted = wanted.clamp(1, BLOCK as i64);
        self.fresh.clear();
        if self.made_up < LONGEST_CONCEALED {
            let steps = (wanted + STEP - 1) / STEP * STEP;
            self.stats.concealed += 1;
            self.decoder.conceal(steps as usize, &mut self.fresh);
        }
        self.fresh.resize(wanted as usize, 0.0);
        if self.made_up < LONGEST_CONCEALED && self.made_up + wanted >= LONGEST_CONCEALED {
            let last = self.fresh.len().min(STEP as usize);
            for (n, sample) in self.fresh.iter_mut().rev().enumerate().take(last) {
                *sample *= n as f32 / last as f32;
            }
        }
        self.made_up = (self.made_up + wanted).min(LONGEST_CONCEALED);
        self.samples.extend(self.fresh.drain(..));
    }
}

/// Duration of a packet in samples at 48 kHz, out of its first two bytes (RFC 6716 §3.1, §3.2).
/// `None`: not a valid packet (no bytes, more than 120 ms).
pub(crate) fn packet_samples(data: &[u8]) -> Option<i64> {
    let toc = *data.first()?;
    let config = toc >> 3;
    let frame = match config {
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => i64::from(*data.get(1)? & 0x3F),
    };
    Some(frame * frames).filter(|samples| (1..=5_760).contains(samples))
}
