//! The whole mix behind one door: playout, picture and sound of all sites, and the program's ticks.

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::media::{AUDIO_RATE, OpusPacket, VIDEO_RATE};
use bridgepoint_wire::text::Lang;

use crate::Site;
use crate::arrangement::Layout;
use crate::audio::{AudioMixer, BLOCK, Mix, SoundDecoder, VoiceStats};
use crate::composer::{Composer, Presence};
use crate::layout::Size;
use crate::picture::Picture;
use crate::playout::Playout;
use crate::text::Fonts;
use crate::tick::Ticker;
use crate::time::Micros;

/// Video ticks from one frame of the program to the next (25 per second).
pub const FRAME_TICKS: u64 = 3_600;

/// What a [`Mixer`] is made of.
pub struct MixerConfig {
    /// What names are written in.
    pub fonts: Fonts,
    /// What language slates and marks are in.
    pub lang: Lang,
    /// The program begins here.
    pub start: Micros,
    /// Makes a decoder for a site's sound.
    pub decoder: Box<dyn Fn() -> Box<dyn SoundDecoder> + Send>,
}

/// What the program needs next.
#[derive(Debug)]
pub enum Output {
    /// The next frame, for the program's encoder. Frames come in order, each tick at most once.
    Frame {
        /// 90 kHz ticks since origin.
        ticks: u64,
        /// To be encoded.
        picture: Picture,
    },
    /// The next block of sound.
    Sound(Box<Mix>),
}

/// See the crate's text for who calls what.
pub struct Mixer {
    sites: Vec<(SiteCode, Playout)>,
    composer: Composer,
    audio: AudioMixer,
    frames: Ticker,
    blocks: Ticker,
    last: Option<Picture>,
    decoder: Box<dyn Fn() -> Box<dyn SoundDecoder> + Send>,
}

impl Mixer {
    /// Nobody takes part.
    pub fn new(config: MixerConfig) -> Self {
        Self {
            sites: Vec::new(),
            composer: Composer::new(config.fonts, config.lang),
            audio: AudioMixer::new(),
            frames: Ticker::new(VIDEO_RATE, FRAME_TICKS, Micros(0), config.start),
            // A block can be mixed when its time is over, like a microphone's.
            blocks: Ticker::new(AUDIO_RATE, BLOCK as u64, Micros::from_audio_ticks(BLOCK as u64), config.start),
            last: None,
            decoder: config.decoder,
        }
    }

    /// Who takes part, in the grid's order. Those that stay go on without a break.
    pub fn set_sites(&mut self, sites: &[Site]) {
        let (stay, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.sites)
            .into_iter()
            .partition(|(code, _)| sites.iter().any(|site| site.code == *code));
        self.sites = stay;
        for (code, _) in gone {
            self.audio.remove_site(&code);
        }
        for site in sites {
            if !self.sites.iter().any(|(code, _)| *code == site.code) {
                self.audio.add_site(site.code.clone(), (self.decoder)());
                self.sites.push((site.code.clone(), Playout::new()));
            }
        }
        self.composer.set_sites(sites);
    }

    /// How sites are laid out from the next frame on; see [`Composer::set_layout`].
    pub fn set_layout(&mut self, layout: &'static Layout, front: Option<SiteCode>) {
        self.composer.set_layout(layout, front);
    }

    /// Who is shown, and in what size of tile: whose pictures must be decoded.
    pub fn visible(&self) -> impl Iterator<Item = (&SiteCode, Size)> {
        self.composer.visible()
    }

    /// A site's picture is decoded: `ticks` as its access unit had, `arrived` when the decoder gave it.
    pub fn handle_picture(&mut self, code: &SiteCode, ticks: u64, picture: Picture, arrived: Micros) {
        let media = Micros::from_video_ticks(ticks);
        if let Some(playout) = self.playout(code) {
            playout.handle_picture(media, arrived);
            self.composer.handle_picture(code, media, picture);
        }
    }

    /// A site's packet of sound came out of the link at `arrived`.
    pub fn handle_packet(&mut self, code: &SiteCode, packet: OpusPacket, arrived: Micros) {
        if let Some(playout) = self.playout(code) {
            playout.handle_sound(Micros::from_audio_ticks(packet.ticks), arrived);
            self.audio.handle_packet(code, packet);
        }
    }

    /// A site arrived or was lost.
    pub fn handle_presence(&mut self, code: &SiteCode, presence: Presence) {
        self.composer.handle_presence(code, presence);
    }

    /// A site muted itself or was muted: shown, and not heard from the next block on.
    pub fn handle_mute(&mut self, code: &SiteCode, on: bool) {
        self.composer.handle_mute(code, on);
        self.audio.handle_mute(code, on);
    }

    /// The session is on record, or no longer.
    pub fn handle_on_record(&mut self, on: bool) {
        self.composer.handle_on_record(on);
    }

    /// When [`Mixer::poll`] will have something next.
    pub fn poll_timeout(&self) -> Micros {
        self.frames.poll_timeout().min(self.blocks.poll_timeout())
    }

    /// What is due at `now`; call it until `None` with the same `now`, which was read before the inputs that had arrived
    /// by then were handled.
    pub fn poll(&mut self, now: Micros) -> Option<Output> {
        // The earlier one first: after a stall picture and sound come interleaved as they would have.
        if self.frames.poll_timeout() <= self.blocks.poll_timeout()
            && let Some(due) = self.frames.due(now)
        {
            let picture = match &self.last {
                Some(last) if due.repeat => last.clone(),
                _ => {
                    // The one before is given back first: its canvas may be the next to be drawn on.
                    self.last = None;
                    self.handle_tick(now);
                    self.composer.compose(Micros::from_video_ticks(due.ticks))
                }
            };
            self.last = Some(picture.clone());
            return Some(Output::Frame { ticks: due.ticks, picture });
        }
        let due = self.blocks.due(now)?;
        self.handle_tick(now);
        Some(Output::Sound(Box::new(self.audio.mix(due.ticks))))
    }

    /// Figures for health and journal: the site's delay beyond its capture time as the server sees it, and what
    /// became of its sound.
    pub fn site_stats(&self, code: &SiteCode) -> Option<(Option<Micros>, VoiceStats)> {
        let (_, playout) = self.sites.iter().find(|(have, _)| have == code)?;
        Some((playout.delay(), self.audio.stats(code)?))
    }

    /// Frames and blocks that were left out because the process stood still for more than [`Ticker::FILL`].
    pub fn skipped(&self) -> (u64, u64) {
        (self.frames.skipped(), self.blocks.skipped())
    }

    fn handle_tick(&mut self, now: Micros) {
        for (code, playout) in &mut self.sites {
            playout.handle_tick(now);
            if let Some(delay) = playout.delay() {
                self.composer.handle_delay(code, delay);
                self.audio.handle_delay(code, delay);
            }
        }
    }

    fn playout(&mut self, code: &SiteCode) -> Option<&mut Playout> {
        self.sites.iter_mut().find(|(have, _)| have == code).map(|(_, playout)| playout)
    }
}

#[cfg(test)]
#[path = "mixer_tests.rs"]
mod tests;
