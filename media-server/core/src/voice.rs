//! One site's sound as samples at their place on its own timeline, whatever arrived and whatever did not.

use std::collections::{BTreeMap, VecDeque};

use bridgepoint_wire::media::OpusPacket;

use crate::audio::{BLOCK, SoundDecoder, VoiceStats};
use crate::level;
use crate::resample::{BEFORE, Kernel, Pace, Span};

/// Decoded samples that are kept behind the reading place, to go back to when the delay grows: 400 ms.
const HISTORY: i64 = 19_200;
/// What is missing is made up for this long (100 ms), then there is silence.
const LONGEST_CONCEALED: i64 = 4_800;
/// After a packet of no more than a TOC and a byte (DTX) nothing is lost: the next comes within 400 ms, and 40 more.
const LONGEST_DTX: i64 = 21_120;
/// The largest packet that says *nothing more for now* (as libopus and WebRTC take it).
const DTX_BYTES: usize = 2;
/// Made-up sound goes to silence within its last 10 ms.
const FADE_OUT: i64 = 480;
/// Sound out of silence is there after 5 ms.
const FADE_IN: i64 = 240;
/// Farther than this from what was decoded, the place is new: no use in making up all that is between.
const FAR: i64 = 9_600;
/// Packets that wait: 3 s of 20 ms, more than a ticker makes up for after a stall. The oldest goes.
const MOST_WAITING: usize = 150;
/// Length of the blend from one reading place to another: 10 ms.
const BLEND: usize = 480;
/// Concealment works in steps of 2.5 ms (RFC 6716 §2.1.4).
const STEP: i64 = 120;
/// A decoder that was not in use is given this much (80 ms) before the first sample that is heard, so that what it makes
/// has converged (RFC 7845 §4.6).
const PRE_ROLL: i64 = 3_840;
/// Where levels must be measured, sound is decoded this far (1 s) ahead of its place at most.
const MOST_AHEAD: i64 = 48_000;

/// See the file's text. Places are samples since the session's origin by the site's clock (`i64`: before the origin
/// there may be something to be read, too).
pub(crate) struct Voice {
    decoder: Box<dyn SoundDecoder>,
    waiting: BTreeMap<i64, OpusPacket>,
    /// The first of them was captured at `begin`.
    samples: VecDeque<f32>,
    begin: i64,
    /// How long the newest samples are made up already; `longest` and more is silence.
    made_up: i64,
    longest: i64,
    /// Samples since the last silence, as far as they matter.
    risen: i64,
    mode: Mode,
    pub(crate) stats: VoiceStats,
    fresh: Vec<f32>,
    window: Vec<f32>,
}

enum Mode {
    /// Nobody hears it. Packets wait until they are past; this is the place that was due last.
    StandBy { passed: i64 },
    /// It is read.
    Read(Pace),
}

impl Voice {
    pub(crate) fn new(decoder: Box<dyn SoundDecoder>) -> Self {
        Self {
            decoder,
            waiting: BTreeMap::new(),
            samples: VecDeque::new(),
            begin: 0,
            made_up: LONGEST_CONCEALED,
            longest: LONGEST_CONCEALED,
            risen: 0,
            mode: Mode::StandBy { passed: i64::MIN },
            stats: VoiceStats::default(),
            fresh: Vec::new(),
            window: Vec::new(),
        }
    }

    /// The packet's length in samples; `None` when it was of no use.
    pub(crate) fn handle_packet(&mut self, packet: OpusPacket) -> Option<i64> {
        let Some(length) = packet_samples(&packet.data) else {
            self.stats.broken += 1;
            return None;
        };
        let ticks = packet.ticks as i64;
        if matches!(self.mode, Mode::StandBy { passed } if ticks.saturating_add(length) <= passed) {
            self.stats.late += 1;
            return None;
        }
        self.waiting.insert(ticks, packet);
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_first();
            self.stats.late += 1;
        }
        Some(length)
    }

    /// Nobody hears the block that begins at `at`: nothing is decoded.
    pub(crate) fn stand_by(&mut self, at: i64, lag: i64) {
        let place = at - lag;
        self.drop_before(place - PRE_ROLL);
        self.samples.clear();
        self.mode = Mode::StandBy { passed: place };
    }

    /// Level as the packet says that is due at `place`, RFC 6464.
    pub(crate) fn said_level(&self, place: i64) -> u8 {
        let due = self.waiting.range(..=place).next_back();
        due.filter(|(ticks, packet)| *ticks + packet_samples(&packet.data).unwrap_or(0) > place)
            .map_or(127, |(_, packet)| packet.level)
    }

    /// Decodes also what is not due yet, as far as it is there, and says each packet's power and length.
    pub(crate) fn listen_ahead(&mut self, at: i64, lag: i64, mut heard: impl FnMut(f32, i64)) {
        self.wake(at, lag);
        let most = at - lag + MOST_AHEAD;
        while self.waiting.first_key_value().is_some_and(|(ticks, _)| *ticks <= self.end()) && self.end() < most {
            let (before, decoded) = (self.samples.len(), self.stats.broken + self.stats.late);
            self.extend(most);
            if self.stats.broken + self.stats.late == decoded {
                let samples = self.samples.range(before..);
                let length = samples.len() as i64;
                heard(level::power(samples), length);
            }
        }
    }

    /// The samples of the program's block that begins at `at`, with the site's delay of `lag` samples.
    pub(crate) fn take(&mut self, at: i64, lag: i64, kernel: &Kernel, out: &mut [f32; BLOCK]) {
        let mut pace = self.wake(at, lag);
        let mut before = pace;
        pace.want(lag);
        if self.must_jump(&pace, at) {
            pace = Pace::at(lag);
            self.stats.slips += 1;
            let mut old = [0.0; BLEND];
            self.read(before.next(at), kernel, &mut old);
            self.read(pace.next(at), kernel, out);
            for (n, (new, old)) in out.iter_mut().zip(old).enumerate() {
                let weight = n as f32 / BLEND as f32;
                *new = *new * weight + old * (1.0 - weight);
            }
        } else {
            self.read(pace.next(at), kernel, out);
        }
        self.mode = Mode::Read(pace);
    }

    /// Whether to blend over to the place that is wanted, because gliding to it is too slow.
    fn must_jump(&self, pace: &Pace, at: i64) -> bool {
        let is_there = |lag: i64| self.available() >= at - lag + BLOCK as i64;
        let (wanted, error) = (pace.wanted(), pace.error());
        let now = wanted + error.ceil() as i64;
        if error.abs() > FAR as f64 || at - wanted < self.begin {
            return error != 0.0;
        }
        if error > 0.0 {
            // Forward only onto sound that is there: else it would be made up although it is on its way.
            return pace.is_far() && (is_there(wanted) || !is_there(now));
        }
        // Backward at once where sound is too late for now, but not for what is wanted.
        pace.is_far() || (error < 0.0 && !is_there(now) && is_there(wanted))
    }

    /// Makes it one that is read; where it is.
    fn wake(&mut self, at: i64, lag: i64) -> Pace {
        if let Mode::Read(pace) = self.mode {
            return pace;
        }
        let place = at - lag;
        self.drop_before(place - PRE_ROLL);
        self.samples.clear();
        let first = self.waiting.first_key_value().map(|(ticks, _)| *ticks);
        self.begin = first.filter(|ticks| *ticks < place).unwrap_or(place - BEFORE);
        self.made_up = self.longest;
        let pace = Pace::at(lag);
        self.mode = Mode::Read(pace);
        pace
    }

    /// Forgets packets that end before `place`.
    fn drop_before(&mut self, place: i64) {
        while let Some(entry) = self.waiting.first_entry()
            && entry.key() + packet_samples(&entry.get().data).unwrap_or(0) <= place
        {
            entry.remove();
        }
    }

    /// Place after the last sample that can be had without making any up.
    fn available(&self) -> i64 {
        let mut end = self.end();
        for (ticks, packet) in &self.waiting {
            if *ticks > end {
                break;
            }
            end = end.max(ticks + packet_samples(&packet.data).unwrap_or(0));
        }
        end
    }

    fn end(&self) -> i64 {
        self.begin + self.samples.len() as i64
    }

    fn read(&mut self, span: Span, kernel: &Kernel, out: &mut [f32]) {
        let until = span.until(out.len());
        if span.is_exact() {
            self.fill(span.first, until);
            let offset = (span.first - self.begin) as usize;
            for (out, sample) in out.iter_mut().zip(self.samples.range(offset..)) {
                *out = *sample;
            }
            return;
        }
        let from = span.first - BEFORE;
        self.fill(from, until);
        let offset = (from - self.begin) as usize;
        self.window.clear();
        self.window.extend(self.samples.range(offset..offset + (until - from) as usize));
        kernel.read(&self.window, span.part, span.rate, out);
    }

    /// Sees to it that there are samples from `from` until `until`.
    fn fill(&mut self, from: i64, until: i64) {
        if from < self.begin || from > self.end() + FAR {
            // Nothing that is near: begin here. Packets from before are late, those from now on will be met.
            self.samples.clear();
            self.begin = from;
            self.made_up = self.longest;
        }
        while self.end() < until {
            self.extend(until);
        }
        let old = (from - HISTORY - self.begin).max(0) as usize;
        self.samples.drain(..old);
        self.begin += old as i64;
    }

    /// Adds at least one sample, or drops a packet.
    fn extend(&mut self, until: i64) {
        let end = self.end();
        self.fresh.clear();
        let Some((ticks, packet)) = self.waiting.pop_first() else {
            self.conceal(until - end, i64::MAX);
            return;
        };
        let length = packet_samples(&packet.data).unwrap_or(0);
        if ticks + length <= end {
            self.stats.late += 1;
            return;
        }
        if ticks <= end {
            let decoded = self.decoder.decode(&packet.data, &mut self.fresh);
            if decoded.is_err() || (self.fresh.len() as i64) <= end - ticks {
                self.stats.broken += 1;
                let missing = ticks + length - end;
                self.conceal(missing, missing);
                return;
            }
            self.fresh.drain(..(end - ticks) as usize);
            self.append_real();
            self.longest = if packet.data.len() <= DTX_BYTES { LONGEST_DTX } else { LONGEST_CONCEALED };
            return;
        }
        // Something is missing before this packet.
        let gap = ticks - end;
        if gap == length
            && self.made_up < self.longest
            && self.decoder.recover(&packet.data, length as usize, &mut self.fresh).is_ok()
            && !self.fresh.is_empty()
        {
            self.stats.recovered += 1;
            self.fresh.truncate(length as usize);
            self.append_real();
        } else {
            self.conceal(gap.min(until - end), gap);
        }
        self.waiting.insert(ticks, packet);
    }

    fn append_real(&mut self) {
        if self.made_up >= self.longest {
            self.risen = 0;
        }
        // Out of silence: no click.
        for sample in self.fresh.iter_mut().take((FADE_IN - self.risen).max(0) as usize) {
            *sample *= self.risen as f32 / FADE_IN as f32;
            self.risen += 1;
        }
        self.made_up = 0;
        self.samples.extend(self.fresh.drain(..));
    }

    /// Adds `wanted` samples, or a few more: a decoder's step is not cut, for its next would not fit. Never more than
    /// `most`.
    fn conceal(&mut self, wanted: i64, most: i64) {
        let wanted = wanted.clamp(1, BLOCK as i64);
        let left = self.longest - self.made_up;
        self.fresh.clear();
        if left <= 0 {
            self.samples.extend(std::iter::repeat_n(0.0, wanted as usize));
            return;
        }
        let steps = (wanted + STEP - 1) / STEP * STEP;
        self.stats.concealed += 1;
        self.decoder.conceal(steps as usize, &mut self.fresh);
        self.fresh.resize(steps.min(most) as usize, 0.0);
        if left < steps + FADE_OUT {
            for (n, sample) in self.fresh.iter_mut().enumerate() {
                *sample *= (left - n as i64).clamp(0, FADE_OUT) as f32 / FADE_OUT as f32;
            }
        }
        self.made_up = (self.made_up + self.fresh.len() as i64).min(self.longest);
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
