//! The whole mix behind one door: playout, picture and sound of all sites, and the program's ticks.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{SiteStage, Stage};
use bridgepoint_wire::media::{AUDIO_RATE, OpusPacket, VIDEO_RATE};
use bridgepoint_wire::text::Lang;

use crate::Site;
use crate::arrangement::Layout;
use crate::audio::{AudioMixer, BLOCK, MOST_HEARD, Mix, SoundDecoder, VoiceStats};
use crate::composer::{Composer, Presence};
use crate::director::{Decision, Director, DirectorInput};
use crate::layout::Size;
use crate::picture::Picture;
use crate::playout::Playout;
use crate::text::Fonts;
use crate::tick::Ticker;
use crate::time::Micros;

/// In a conference of up to so many sites everybody is heard at once; it costs less than a hundredth of a core each. In a
/// larger one the loudest [`MOST_HEARD`].
const ALL_HEARD: usize = 9;
/// How often voices are compared.
const VOICES_COMPARED: Micros = Micros::from_millis(100);

/// Video ticks from one frame of the program to the next (25 per second).
pub const FRAME_TICKS: u64 = 3_600;

/// What a [`Mixer`] is made of.
pub struct MixerConfig {
    /// What names are written in.
    pub fonts: Fonts,
    /// What language slates and marks are in.
    pub lang: Lang,
    /// Size of the program's picture; [`crate::CANVAS`] where no other is ordered.
    pub canvas: Size,
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
    /// Who is seen from the next frame on, or who is marked as speaking.
    Seen(Decision),
}

/// A site's place in time.
struct Timed {
    code: SiteCode,
    playout: Playout,
    /// The delay that picture and sound were told last.
    told: Option<Micros>,
}

/// See the crate's text for who calls what.
pub struct Mixer {
    sites: Vec<Timed>,
    composer: Composer,
    audio: AudioMixer,
    director: Director,
    directed: Micros,
    layout: Arc<Layout>,
    stage: Stage,
    /// Muted by themselves or by an operator.
    muted: BTreeSet<SiteCode>,
    speaking: Vec<SiteCode>,
    /// Who has the places.
    order: Vec<SiteCode>,
    /// Not told yet.
    decided: VecDeque<Decision>,
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
            composer: Composer::new(config.fonts, config.lang, config.canvas),
            audio: AudioMixer::new(),
            director: Director::new(),
            directed: config.start,
            layout: Arc::default(),
            stage: Stage::default(),
            muted: BTreeSet::new(),
            speaking: Vec::new(),
            order: Vec::new(),
            decided: VecDeque::new(),
            frames: Ticker::new(VIDEO_RATE, FRAME_TICKS, Micros(0), config.start),
            // A block can be mixed when its time is over, like a microphone's.
            blocks: Ticker::new(AUDIO_RATE, BLOCK as u64, Micros::from_audio_ticks(BLOCK as u64), config.start),
            last: None,
            decoder: config.decoder,
        }
    }

    /// Who takes part. Those that stay go on without a break.
    pub fn set_sites(&mut self, now: Micros, sites: &[Site]) {
        let (stay, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.sites)
            .into_iter()
            .partition(|timed| sites.iter().any(|site| site.code == timed.code));
        self.sites = stay;
        for Timed { code, .. } in gone {
            self.audio.remove_site(&code);
        }
        self.director.handle(now, DirectorInput::Sites(sites.iter().map(|site| site.code.clone()).collect()));
        for site in sites {
            if !self.sites.iter().any(|timed| timed.code == site.code) {
                self.audio.add_site(site.code.clone(), (self.decoder)());
                self.sites.push(Timed { code: site.code.clone(), playout: Playout::new(), told: None });
            }
        }
        self.audio.set_most_heard(if sites.len() <= ALL_HEARD { ALL_HEARD } else { MOST_HEARD });
        self.composer.set_sites(sites);
        self.set_stage(now, self.stage.clone(), Arc::clone(&self.layout));
    }

    /// What operators want of picture and sound from the next frame and block on. `layout` is the one that `stage` names.
    pub fn set_stage(&mut self, now: Micros, stage: Stage, layout: Arc<Layout>) {
        let (count, chair, large) = (layout.places(self.sites.len()), layout.chair(), layout.large());
        let mut orders = vec![
            DirectorInput::Places { count, chair, large },
            DirectorInput::Pin(stage.front.clone()),
            DirectorInput::Spotlight(stage.spotlight.clone()),
            DirectorInput::Follow(stage.follow),
        ];
        for Timed { code, .. } in &self.sites {
            let SiteStage { role, hidden, gain_db } = stage.sites.get(code).copied().unwrap_or_default();
            orders.push(DirectorInput::Role { site: code.clone(), role });
            orders.push(DirectorInput::Hide { site: code.clone(), on: hidden });
            self.audio.handle_gain(code, gain_db);
        }
        for order in orders {
            self.director.handle(now, order);
        }
        self.stage = stage;
        // At once also where nobody's place changes: the next frame has the new tiles.
        if self.layout != layout {
            self.layout = layout;
            self.composer.set_layout(Arc::clone(&self.layout), self.order.clone());
        }
        self.decide();
        let codes: Vec<SiteCode> = self.sites().cloned().collect();
        for code in codes {
            self.quiet(now, &code);
        }
    }

    /// Whether a site may be heard: it is not muted, and it has the floor.
    fn quiet(&mut self, now: Micros, code: &SiteCode) {
        let on = self.muted.contains(code) || !self.stage.has_floor(code);
        self.composer.handle_mute(code, on);
        self.audio.handle_mute(code, on);
        self.director.handle(now, DirectorInput::Muted { site: code.clone(), on });
    }

    /// Who takes part.
    pub fn sites(&self) -> impl Iterator<Item = &SiteCode> {
        self.sites.iter().map(|timed| &timed.code)
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
            self.director.handle(arrived, DirectorInput::Level { site: code.clone(), dbov: packet.level });
            self.audio.handle_packet(code, packet);
        }
    }

    /// A site arrived or was lost.
    pub fn handle_presence(&mut self, now: Micros, code: &SiteCode, presence: Presence) {
        self.composer.handle_presence(code, presence);
        let on = presence == Presence::Live;
        self.director.handle(now, DirectorInput::Present { site: code.clone(), on });
    }

    /// A site muted itself or was muted: shown, and not heard from the next block on.
    pub fn handle_mute(&mut self, now: Micros, code: &SiteCode, on: bool) {
        if on {
            self.muted.insert(code.clone());
        } else {
            self.muted.remove(code);
        }
        self.quiet(now, code);
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
        if now - self.directed >= VOICES_COMPARED {
            self.directed = now;
            self.director.handle(now, DirectorInput::Tick);
        }
        self.decide();
        if let Some(decision) = self.decided.pop_front() {
            return Some(Output::Seen(decision));
        }
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
        let timed = self.sites.iter().find(|timed| timed.code == *code)?;
        Some((timed.playout.delay(), self.audio.stats(code)?))
    }

    /// Frames and blocks that were left out because the process stood still for more than [`Ticker::FILL`].
    pub fn skipped(&self) -> (u64, u64) {
        (self.frames.skipped(), self.blocks.skipped())
    }

    fn decide(&mut self) {
        let Some(decision) = self.director.poll() else { return };
        self.composer.set_layout(Arc::clone(&self.layout), decision.order.clone());
        for code in self.speaking.iter().filter(|code| !decision.speaking.contains(code)) {
            self.composer.handle_speaking(code, false);
        }
        for code in &decision.speaking {
            self.composer.handle_speaking(code, true);
        }
        self.speaking.clone_from(&decision.speaking);
        self.order.clone_from(&decision.order);
        self.decided.push_back(decision);
    }

    fn handle_tick(&mut self, now: Micros) {
        for Timed { code, playout, told } in &mut self.sites {
            playout.handle_tick(now);
            if let Some(delay) = playout.delay().filter(|delay| *told != Some(*delay)) {
                *told = Some(delay);
                self.composer.handle_delay(code, delay);
                self.audio.handle_delay(code, delay);
            }
        }
    }

    fn playout(&mut self, code: &SiteCode) -> Option<&mut Playout> {
        self.sites.iter_mut().find(|timed| timed.code == *code).map(|timed| &mut timed.playout)
    }
}

#[cfg(test)]
#[path = "mixer_tests.rs"]
mod tests;
