//! The program's sound and what each site hears: 20 ms at a time, at 48 kHz, mono.

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::media::OpusPacket;

use crate::limiter::Limiter;
use crate::time::Micros;
use crate::voice::Voice;

/// Samples of a block: 20 ms.
pub const BLOCK: usize = 960;
/// One block of the program's sound.
pub type Block = [i16; BLOCK];

/// A site is heard above this level (−50 dBFS, RMS of a block).
const AUDIBLE: f32 = 0.003_16;
/// Blocks for which it keeps its own mix after it was last heard: 3 s, so that no echo of a late room is sent back.
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
    /// Changes of the reading place because the delay changed.
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
    /// Level of each site in this block, dBFS RMS (−127 is silence).
    pub levels: Vec<(SiteCode, f32)>,
}

struct Channel {
    code: SiteCode,
    voice: Voice,
    delay: Option<Micros>,
    muted: bool,
    gain: f32,
    heard_at: Option<u64>,
    limiter: Limiter,
    block: [f32; BLOCK],
}

/// Sums the sites' sound. See [`Mix`].
#[derive(Default)]
pub struct AudioMixer {
    channels: Vec<Channel>,
    limiter: Limiter,
}

impl AudioMixer {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A site takes part from now on. One that does already starts anew, with a fresh decoder.
    pub fn add_site(&mut self, code: SiteCode, decoder: Box<dyn SoundDecoder>) {
        self.remove_site(&code);
        self.channels.push(Channel {
            code,
            voice: Voice::new(decoder),
            delay: None,
            muted: false,
            gain: 1.0,
            heard_at: None,
            limiter: Limiter::default(),
            block: [0.0; BLOCK],
        });
    }

    /// A site does no longer take part.
    pub fn remove_site(&mut self, code: &SiteCode) {
        self.channels.retain(|channel| channel.code != *code);
    }

    /// A packet arrived. Unknown sites' packets are dropped.
    pub fn handle_packet(&mut self, code: &SiteCode, packet: OpusPacket) {
        if let Some(channel) = self.channel(code) {
            channel.voice.handle_packet(packet);
        }
    }

    /// The site's [`crate::Playout::delay`] is now this. The reading place follows by blended slips.
    pub fn handle_delay(&mut self, code: &SiteCode, delay: Micros) {
        if let Some(channel) = self.channel(code) {
            channel.delay = Some(delay);
        }
    }

    /// The site is not heard (or heard again) from the next block on.
    pub fn handle_mute(&mut self, code: &SiteCode, on: bool) {
        if let Some(channel) = self.channel(code) {
            channel.muted = on;
        }
    }

    /// What became of a site's packets.
    pub fn stats(&self, code: &SiteCode) -> Option<VoiceStats> {
        self.channels.iter().find(|channel| channel.code == *code).map(|channel| channel.voice.stats)
    }

    /// The block that begins at `ticks`. Blocks are asked for in order; one that is left out is lost.
    pub fn mix(&mut self, ticks: u64) -> Mix {
        let mut sum = [0.0_f32; BLOCK];
        let mut levels = Vec::with_capacity(self.channels.len());
        let number = ticks / BLOCK as u64;
        for channel in &mut self.channels {
            let rms = channel.take(ticks);
            if rms > AUDIBLE {
                channel.heard_at = Some(number);
            }
            levels.push((channel.code.clone(), (20.0 * rms.max(4.5e-7).log10()).max(-127.0)));
            for (sum, sample) in sum.iter_mut().zip(&channel.block) {
                *sum += sample;
            }
        }
        let mut shared = [0; BLOCK];
        self.limiter.limit(&sum, &mut shared);
        let mut minus = Vec::new();
        for channel in &mut self.channels {
            if channel.heard_at.is_none_or(|at| number.saturating_sub(at) > HOLD) {
                channel.limiter = self.limiter.clone();
                continue;
            }
            let mut others = sum;
            for (other, own) in others.iter_mut().zip(&channel.block) {
                *other -= own;
            }
            let mut block = [0; BLOCK];
            channel.limiter.limit(&others, &mut block);
            minus.push((channel.code.clone(), block));
        }
        Mix { ticks, shared, minus, levels }
    }

    fn channel(&mut self, code: &SiteCode) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.code == *code)
    }
}

impl Channel {
    /// Fills `block`; its RMS.
    fn take(&mut self, ticks: u64) -> f32 {
        let Some(delay) = self.delay else {
            self.block = [0.0; BLOCK];
            return 0.0;
        };
        self.voice.take(ticks as i64, delay.samples(), &mut self.block);
        // Over 5 ms, for no click.
        let (target, step) = (if self.muted { 0.0 } else { 1.0 }, 1.0 / 240.0);
        if self.muted || self.gain < 1.0 {
            for sample in &mut self.block {
                self.gain += (target - self.gain).clamp(-step, step);
                *sample *= self.gain;
            }
        }
        let power = self.block.iter().map(|sample| sample * sample).sum::<f32>() / BLOCK as f32;
        if power.is_finite() {
            return power.sqrt();
        }
        self.block = [0.0; BLOCK];
        0.0
    }
}

#[cfg(test)]
#[path = "audio_tests.rs"]
mod tests;
