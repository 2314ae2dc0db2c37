//! One site in the sound's mix: its voice, whether it is heard, and how loud.

use bridgepoint_wire::media::OpusPacket;

use crate::audio::{BLOCK, GAINS, Outlet, SoundDecoder, VoiceStats};
use crate::fader::Fader;
use crate::level;
use crate::resample::Kernel;
use crate::speakers::Ear;
use crate::time::Micros;
use crate::voice::Voice;

/// A site comes in, changes its gain and is muted within 5 ms, …
const QUICK: u32 = 240;
/// … and goes out within 20 ms when another has its place: the two overlap.
const SLOW: u32 = 960;

pub(crate) struct Channel {
    voice: Voice,
    pub(crate) ear: Ear,
    pub(crate) delay: Option<Micros>,
    pub(crate) muted: bool,
    /// Block in which it was last loud enough to have a mix of its own, …
    pub(crate) audible_at: Option<u64>,
    /// … which this makes.
    pub(crate) outlet: Option<Outlet>,
    gain_db: f32,
    fader: Fader,
    /// A packet said another level than 127: it knows its level.
    knows_level: bool,
    /// What came of its last block.
    part: Part,
    block: [f32; BLOCK],
}

#[derive(PartialEq)]
enum Part {
    /// Nothing: its packets wait.
    Absent,
    /// `block` is decoded to know its level.
    Measured,
    /// `block` is heard.
    Heard,
}

impl Channel {
    pub(crate) fn new(decoder: Box<dyn SoundDecoder>) -> Self {
        Self {
            voice: Voice::new(decoder),
            ear: Ear::default(),
            delay: None,
            muted: false,
            audible_at: None,
            outlet: None,
            gain_db: 0.0,
            fader: Fader::new(),
            knows_level: false,
            part: Part::Absent,
            block: [0.0; BLOCK],
        }
    }

    pub(crate) fn handle_packet(&mut self, packet: OpusPacket) {
        let level = packet.level;
        self.knows_level |= level < 127;
        if let Some(samples) = self.voice.handle_packet(packet)
            && self.knows_level
        {
            self.ear.hear(self.said(level), samples);
        }
    }

    pub(crate) fn set_gain(&mut self, db: f32) {
        if !db.is_nan() {
            self.gain_db = db.clamp(*GAINS.start(), *GAINS.end());
        }
    }

    pub(crate) fn stats(&self) -> VoiceStats {
        self.voice.stats
    }

    /// What the last [`Channel::take`] gave to be summed.
    pub(crate) fn heard(&self) -> Option<&[f32; BLOCK]> {
        (self.part == Part::Heard).then_some(&self.block)
    }

    /// Before it is chosen who is heard in the block at `ticks`: one that does not know its level is listened to.
    pub(crate) fn listen(&mut self, ticks: u64) {
        self.ear.set_may(self.delay.is_some() && !self.muted);
        if let Some(delay) = self.delay
            && self.must_measure()
        {
            let (ear, gain_db) = (&mut self.ear, self.gain_db);
            let heard = |power, samples| ear.hear(level::dbfs(power) + gain_db, samples);
            self.voice.listen_ahead(ticks as i64, delay.samples(), heard);
        }
    }

    /// After it was chosen: its part of the block at `ticks`. Gives its level, dBFS.
    pub(crate) fn take(&mut self, ticks: u64, kernel: &Kernel) -> f32 {
        self.part = Part::Absent;
        let Some(delay) = self.delay else { return level::SILENCE };
        let (at, lag) = (ticks as i64, delay.samples());
        if self.ear.is_seated() {
            self.fader.set(10.0_f32.powf(self.gain_db / 20.0), QUICK);
        } else {
            self.fader.set(0.0, if self.muted { QUICK } else { SLOW });
        }
        let closed = self.fader.is_closed();
        if closed && !self.must_measure() {
            let said =
                if self.muted { level::SILENCE } else { self.said(self.voice.said_level(at - lag + BLOCK as i64 / 2)) };
            self.voice.stand_by(at, lag);
            return said;
        }
        self.voice.take(at, lag, kernel, &mut self.block);
        if closed {
            self.part = Part::Measured;
            return level::dbfs(level::power(self.block.iter())) + self.gain_db;
        }
        self.part = Part::Heard;
        self.fader.apply(&mut self.block);
        let power = level::power(self.block.iter());
        if power == 0.0 {
            // So that what is not finite goes no farther.
            self.block = [0.0; BLOCK];
        }
        level::dbfs(power)
    }

    fn must_measure(&self) -> bool {
        !self.knows_level && !self.muted
    }

    /// What a packet says, as it will be heard.
    fn said(&self, level: u8) -> f32 {
        if level >= 127 { level::SILENCE } else { (self.gain_db - f32::from(level)).max(level::SILENCE) }
    }
}
