//! The whole mix behind one door: playout, picture and sound of all sites, and the ticks of all programs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{Program, Routes, Stage};
use bridgepoint_wire::media::{AUDIO_RATE, OpusPacket, VIDEO_RATE};
use bridgepoint_wire::text::Lang;

use crate::Site;
use crate::arrangement::Layout;
use crate::audio::{AudioMixer, BLOCK, MOST_HEARD, Mix, SoundDecoder, VoiceStats};
use crate::composer::{Composer, Presence};
use crate::director::log::{Log, Told};
use crate::director::{Decision, DirectorInput};
use crate::layout::Size;
use crate::picture::Picture;
use crate::playout::Playout;
use crate::scene::Scene;
use crate::text::Fonts;
use crate::tick::{Due, Ticker};
use crate::time::Micros;

/// In a conference of up to so many sites everybody is heard at once; it costs less than a hundredth of a core each. In a
/// larger one the loudest [`MOST_HEARD`].
const ALL_HEARD: usize = 9;
/// How often voices are compared.
const VOICES_COMPARED: Micros = Micros::from_millis(100);

/// The layout of each program that there is.
pub type ProgramLayouts = BTreeMap<Program, Arc<Layout>>;

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

/// What the programs need next.
#[derive(Debug)]
pub enum Output {
    /// The next frame, for the program's encoder. A program's frames come in order, each tick at most once; those of all
    /// programs at one tick follow each other.
    Frame {
        /// Which program's.
        program: Program,
        /// 90 kHz ticks since origin.
        ticks: u64,
        /// To be encoded.
        picture: Picture,
    },
    /// The next block of sound.
    Sound(Box<Mix>),
    /// Who is seen in a program from its next frame on, or who is marked as speaking.
    Seen(Program, Decision),
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
    /// Of the programs that somebody gets: others are not made. Never empty.
    scenes: BTreeMap<Program, Scene>,
    log: Log,
    audio: AudioMixer,
    directed: Micros,
    layouts: ProgramLayouts,
    stage: Stage,
    /// Muted by themselves or by an operator.
    muted: BTreeSet<SiteCode>,
    frames: Ticker,
    /// Only each such tick has a frame.
    every: u8,
    blocks: Ticker,
    /// Frames that are due and not composed yet.
    due: VecDeque<(Program, Due)>,
    decoder: Box<dyn Fn() -> Box<dyn SoundDecoder> + Send>,
}

impl Mixer {
    /// Nobody takes part.
    pub fn new(config: MixerConfig) -> Self {
        let (composer, log) = (Composer::new(config.fonts, config.lang, config.canvas), Log::default());
        let scene = Scene::new(Program::Main, config.start, composer, log.clone());
        Self {
            sites: Vec::new(),
            scenes: BTreeMap::from([(Program::Main, scene)]),
            log,
            audio: AudioMixer::new(),
            directed: config.start,
            layouts: ProgramLayouts::new(),
            stage: Stage::default(),
            muted: BTreeSet::new(),
            frames: Ticker::new(VIDEO_RATE, FRAME_TICKS, Micros(0), config.start),
            every: 1,
            // A block can be mixed when its time is over, like a microphone's.
            blocks: Ticker::new(AUDIO_RATE, BLOCK as u64, Micros::from_audio_ticks(BLOCK as u64), config.start),
            due: VecDeque::new(),
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
        for site in sites {
            if !self.sites.iter().any(|timed| timed.code == site.code) {
                self.audio.add_site(site.code.clone(), (self.decoder)());
                self.sites.push(Timed { code: site.code.clone(), playout: Playout::new(), told: None });
            }
        }
        self.audio.set_most_heard(if sites.len() <= ALL_HEARD { ALL_HEARD } else { MOST_HEARD });
        for scene in self.scenes.values_mut() {
            scene.set_sites(now, sites);
        }
        self.set_stage(now, self.stage.clone(), self.layouts.clone());
    }

    /// What operators want of picture and sound from the next frame and block on. `layouts` are those that `stage` names;
    /// a program whose layout is missing keeps the one that it has.
    pub fn set_stage(&mut self, now: Micros, stage: Stage, layouts: ProgramLayouts) {
        (self.stage, self.layouts) = (stage, layouts);
        let codes: Vec<SiteCode> = self.sites().cloned().collect();
        self.make_scenes(&codes);
        for (program, scene) in &mut self.scenes {
            if let (Some(own), Some(layout)) = (self.stage.program(*program), self.layouts.get(program)) {
                scene.set_stage(now, own, layout, &self.stage, &codes);
            }
        }
        for code in &codes {
            let gain_db = self.stage.sites.get(code).map_or(0.0, |of_site| of_site.gain_db);
            self.audio.handle_gain(code, gain_db);
            self.quiet(now, code);
        }
    }

    /// A program that somebody gets from now on begins with what another one shows; one that nobody gets any longer ends.
    fn make_scenes(&mut self, codes: &[SiteCode]) {
        let watched = self.stage.routes().watched(codes);
        for program in &watched {
            let first = self.scenes.values().next();
            if let Some(twin) = first.filter(|_| !self.scenes.contains_key(program)) {
                let twin = twin.twin(*program);
                self.scenes.insert(*program, twin);
            }
        }
        self.scenes.retain(|program, _| watched.contains(program));
    }

    /// Whether a site may be heard: it is not muted, and it has the floor.
    fn quiet(&mut self, now: Micros, code: &SiteCode) {
        let on = self.muted.contains(code) || !self.stage.has_floor(code);
        self.audio.handle_mute(code, on);
        for scene in self.scenes.values_mut() {
            scene.handle_mute(now, code, on);
        }
    }

    /// Who gets which program.
    pub fn routes(&self) -> Routes {
        self.stage.routes()
    }

    /// Who takes part.
    pub fn sites(&self) -> impl Iterator<Item = &SiteCode> {
        self.sites.iter().map(|timed| &timed.code)
    }

    /// Who is shown in any program, and in what size of tile, the widest of all: whose pictures must be decoded.
    pub fn visible(&self) -> BTreeMap<SiteCode, Size> {
        let mut visible: BTreeMap<SiteCode, Size> = BTreeMap::new();
        for (code, size) in self.scenes.values().flat_map(|scene| scene.composer.visible()) {
            match visible.get_mut(code) {
                Some(widest) if widest.width >= size.width => {}
                Some(narrower) => *narrower = size,
                None => drop(visible.insert(code.clone(), size)),
            }
        }
        visible
    }

    /// A site's picture is decoded: `ticks` as its access unit had, `arrived` when the decoder gave it.
    pub fn handle_picture(&mut self, code: &SiteCode, ticks: u64, picture: &Picture, arrived: Micros) {
        let media = Micros::from_video_ticks(ticks);
        if let Some(playout) = self.playout(code) {
            playout.handle_picture(media, arrived);
            for scene in self.scenes.values_mut() {
                scene.composer.handle_picture(code, media, picture.clone());
            }
        }
    }

    /// A site's packet of sound came out of the link at `arrived`.
    pub fn handle_packet(&mut self, code: &SiteCode, packet: OpusPacket, arrived: Micros) {
        if let Some(playout) = self.playout(code) {
            playout.handle_sound(Micros::from_audio_ticks(packet.ticks), arrived);
            self.direct(arrived, &DirectorInput::Level { site: code.clone(), dbov: packet.level });
            self.audio.handle_packet(code, packet);
        }
    }

    /// A site arrived or was lost.
    pub fn handle_presence(&mut self, now: Micros, code: &SiteCode, presence: Presence) {
        for scene in self.scenes.values_mut() {
            scene.composer.handle_presence(code, presence);
        }
        let on = presence == Presence::Live;
        self.direct(now, &DirectorInput::Present { site: code.clone(), on });
    }

    /// A site's box has lost its camera, or has it again: its sound goes on.
    pub fn handle_sight(&mut self, code: &SiteCode, blind: bool) {
        for scene in self.scenes.values_mut() {
            scene.composer.handle_sight(code, blind);
        }
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
        for scene in self.scenes.values_mut() {
            scene.composer.handle_on_record(on);
        }
    }

    /// From now on each such tick of the program has a frame: each, or every second.
    pub fn set_every(&mut self, every: u8) {
        self.every = every.max(1);
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
            self.direct(now, &DirectorInput::Tick);
        }
        for (program, scene) in &mut self.scenes {
            if let Some(decision) = scene.poll() {
                return Some(Output::Seen(*program, decision));
            }
        }
        // The earlier one first: after a stall picture and sound come interleaved as they would have.
        while self.due.is_empty()
            && self.frames.poll_timeout() <= self.blocks.poll_timeout()
            && let Some(due) = self.frames.due(now)
        {
            if (due.ticks / FRAME_TICKS).is_multiple_of(self.every.into()) {
                self.handle_tick(now);
                self.due.extend(self.scenes.keys().map(|program| (*program, due)));
            }
        }
        while let Some((program, due)) = self.due.pop_front() {
            // None: it ended meanwhile.
            if let Some(scene) = self.scenes.get_mut(&program) {
                return Some(Output::Frame { program, ticks: due.ticks, picture: scene.compose(due) });
            }
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

    /// What the directors of all programs were told since the last call, and what they decided.
    pub fn take_log(&mut self) -> Vec<Told> {
        self.log.take()
    }

    /// Frames and blocks that were left out because the process stood still for more than [`Ticker::FILL`].
    pub fn skipped(&self) -> (u64, u64) {
        (self.frames.skipped(), self.blocks.skipped())
    }

    /// Tells the directors of all programs.
    fn direct(&mut self, now: Micros, input: &DirectorInput) {
        for scene in self.scenes.values_mut() {
            scene.director.handle(now, input.clone());
        }
    }

    fn handle_tick(&mut self, now: Micros) {
        for Timed { code, playout, told } in &mut self.sites {
            playout.handle_tick(now);
            if let Some(delay) = playout.delay().filter(|delay| *told != Some(*delay)) {
                *told = Some(delay);
                self.audio.handle_delay(code, delay);
                for scene in self.scenes.values_mut() {
                    scene.composer.handle_delay(code, delay);
                }
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
