//! The program's sound and what each site hears: 20 ms at a time, at 48 kHz, mono.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::media::OpusPacket;

use crate::channel::Channel;
use crate::comfort::{Comfort, Noise};
use crate::level::Levels;
use crate::limiter::Limiter;
use crate::resample::Kernel;
use crate::speakers;
use crate::time::Micros;

/// Samples of a block: 20 ms.
pub const BLOCK: usize = 960;
/// One block of the program's sound.
pub type Block = [i16; BLOCK];

/// The range of a site's gain, dB.
pub const GAINS: RangeInclusive<f32> = -60.0..=12.0;
/// How many are heard at once unless it is said otherwise.
pub(crate) const MOST_HEARD: usize = 4;
/// A site is audible above this level (RMS of a block), dBFS.
const AUDIBLE: f32 = -50.0;
/// Blocks for which it keeps its own mix after it was last audible: 3 s, so that no echo of a late room is sent back.
const HOLD: u64 = 150;

/// A packet could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the packet is not valid Opus")]
pub struct DecodeFailed;

/// Decodes one site's packets, mono at 48 kHz; implemented with libopus. What it makes is appended to `out`.
pub trait SoundDecoder: Send {
    /// The next packet.
    ///
    /// # Errors
    /// [`DecodeFailed`]: nothing was appended.
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), DecodeFailed>;
    /// The packet before `next` is lost: what `next` tells about it (in-band FEC, RFC 6716 §2.1.7), or concealment
    /// where it tells nothing. `samples` is the lost packet's length.
    ///
    /// # Errors
    /// [`DecodeFailed`]: nothing was appended.
    fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<f32>) -> Result<(), DecodeFailed>;
    /// Nothing is known about the next `samples` (a multiple of 120): something plausible.
    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>);
}

/// What became of a site's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VoiceStats {
    /// Came after their time and were dropped.
    pub late: u64,
    /// Were no valid Opus.
    pub broken: u64,
    /// Stretches that were made up.
    pub concealed: u64,
    /// Were lost and made again from the next packet.
    pub recovered: u64,
    /// Jumps (blends) of the reading place because the delay changed by much at once.
    pub slips: u64,
}

/// One block for everybody.
#[derive(Debug, Clone)]
pub struct Mix {
    /// First sample's instant, 48 kHz ticks since origin: what the Opus encoder is told.
    pub ticks: u64,
    /// Everybody: the program's sound, which is recorded, and what all sites hear that are not in `minus`.
    pub shared: Block,
    /// What each site hears that is audible in this very block or was within the last 3 s: all but itself.
    pub minus: Vec<(SiteCode, Block)>,
    /// Level of each site in this block: measured where it is decoded, else what its packets say.
    pub levels: Levels,
}

/// Makes what is heard out of a sum.
#[derive(Clone, Default)]
pub(crate) struct Outlet {
    comfort: Comfort,
    limiter: Limiter,
}

impl Outlet {
    fn finish(&mut self, mut sum: [f32; BLOCK], noise: &mut Noise) -> Block {
        self.comfort.add(noise, &mut sum);
        let mut block = [0; BLOCK];
        self.limiter.limit(&sum, &mut block);
        block
    }
}

/// Sums the sound of the loudest sites. See [`Mix`].
///
/// Only [`AudioMixer::set_most_heard`] of them are decoded and heard at once; with no more sites than that, all are. Who
/// speaks is known from the levels of his packets (RFC 6464), which arrive at least the playout delay before they are
/// due: nobody's first syllable is lost. A site that has sent only level 127 so far may be one that does not know its
/// level (a browser without the extension): it costs a decoder, which measures it, until it says something else.
pub struct AudioMixer {
    channels: BTreeMap<SiteCode, Channel>,
    /// The channels' keys, for [`Mix::levels`].
    codes: Arc<[SiteCode]>,
    most_heard: usize,
    kernel: Kernel,
    noise: Noise,
    outlet: Outlet,
}

impl Default for AudioMixer {
    fn default() -> Self {
        Self {
            channels: BTreeMap::new(),
            codes: [].into(),
            most_heard: MOST_HEARD,
            kernel: Kernel::default(),
            noise: Noise::default(),
            outlet: Outlet::default(),
        }
    }
}

impl AudioMixer {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A site takes part from now on. One that does already starts anew, with a fresh decoder.
    pub fn add_site(&mut self, code: SiteCode, decoder: Box<dyn SoundDecoder>) {
        self.channels.insert(code, Channel::new(decoder));
        self.codes = self.channels.keys().cloned().collect();
    }

    /// A site does no longer take part.
    pub fn remove_site(&mut self, code: &SiteCode) {
        self.channels.remove(code);
        self.codes = self.channels.keys().cloned().collect();
    }

    /// How many sites are heard at once (at least 1), from the next block on. Without this: 4.
    pub fn set_most_heard(&mut self, most: usize) {
        self.most_heard = most.max(1);
    }

    /// A packet arrived. Unknown sites' packets are dropped.
    pub fn handle_packet(&mut self, code: &SiteCode, packet: OpusPacket) {
        if let Some(channel) = self.channels.get_mut(code) {
            channel.handle_packet(packet);
        }
    }

    /// The site's [`crate::Playout::delay`] is now this. The reading place follows: changes of 1 to 10 ms and those that
    /// a clock's drift makes by resampling (at most 0.5 % faster or slower than life), larger ones by a blend of 10 ms.
    pub fn handle_delay(&mut self, code: &SiteCode, delay: Micros) {
        if let Some(channel) = self.channels.get_mut(code) {
            channel.delay = Some(delay);
        }
    }

    /// The site is not heard (or heard again) from the next block on. Who is muted is not decoded either.
    pub fn handle_mute(&mut self, code: &SiteCode, on: bool) {
        if let Some(channel) = self.channels.get_mut(code) {
            channel.muted = on;
        }
    }

    /// The site is louder or quieter from the next block on, within [`GAINS`]; what is beyond is taken for its end; NaN changes
    /// nothing. Without this: 0 dB.
    pub fn handle_gain(&mut self, code: &SiteCode, db: f32) {
        if let Some(channel) = self.channels.get_mut(code) {
            channel.set_gain(db);
        }
    }

    /// What became of a site's packets.
    pub fn stats(&self, code: &SiteCode) -> Option<VoiceStats> {
        self.channels.get(code).map(Channel::stats)
    }

    /// Who was chosen to be heard in the last block.
    pub fn heard(&self) -> impl Iterator<Item = &SiteCode> {
        self.channels.iter().filter(|(_, channel)| channel.ear.is_seated()).map(|(code, _)| code)
    }

    /// The block that begins at `ticks`. Blocks are asked for in order; one that is left out is lost.
    pub fn mix(&mut self, ticks: u64) -> Mix {
        let number = ticks / BLOCK as u64;
        self.choose(ticks, number);
        let mut sum = [0.0_f32; BLOCK];
        let mut levels = Vec::with_capacity(self.channels.len());
        for channel in self.channels.values_mut() {
            let level = channel.take(ticks, &self.kernel);
            levels.push(level);
            if level > AUDIBLE && channel.heard().is_some() {
                channel.audible_at = Some(number);
            }
            for (sum, sample) in sum.iter_mut().zip(channel.heard().into_iter().flatten()) {
                *sum += sample;
            }
        }
        self.noise.step();
        let mut minus = Vec::new();
        for (code, channel) in &mut self.channels {
            if channel.audible_at.is_none_or(|at| number.saturating_sub(at) > HOLD) {
                channel.outlet = None;
                continue;
            }
            let mut others = sum;
            for (other, own) in others.iter_mut().zip(channel.heard().into_iter().flatten()) {
                *other -= own;
            }
            // One that had none goes on where everybody's is.
            let outlet = channel.outlet.get_or_insert_with(|| self.outlet.clone());
            minus.push((code.clone(), outlet.finish(others, &mut self.noise)));
        }
        let shared = self.outlet.finish(sum, &mut self.noise);
        Mix { ticks, shared, minus, levels: Levels::new(Arc::clone(&self.codes), levels) }
    }

    fn choose(&mut self, ticks: u64, number: u64) {
        let mut ears = Vec::with_capacity(self.channels.len());
        for channel in self.channels.values_mut() {
            channel.listen(ticks);
            ears.push(&mut channel.ear);
        }
        speakers::choose(&mut ears, self.most_heard, number);
    }
}

#[cfg(test)]
#[path = "audio_tests.rs"]
mod tests;
