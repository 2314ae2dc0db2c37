//! The tick thread: owns the mixer, and carries between it, the encoders, the link and the recorder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use bridgepoint_link::{CentreLink, Wish};
use bridgepoint_record::{Recorder, Stream};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{FromWorker, Program, Routes, Shed, Stage};
use bridgepoint_wire::media::OpusPacket;
use server_core::director::log::Told;
use server_core::{
    Asking, Decision, Load, Micros, Mix, Mixer, Output, Picture, Presence, ProgramLayouts, Quality, Shedding, Site,
    Size,
};
use server_media::{DecoderEvent, OpusEnc, Use};

use super::clock::SessionClock;
use super::decoders::Decoders;
use super::line;
use super::load::{Meter, Used};
use super::programs::{Encoders, Outlet};
use super::wanted::Wanted;

/// A tick that is composed so much after it was due counts as late: half a frame.
const LATE: Micros = Micros::from_millis(20);
/// How often it is seen how full the machine is.
const MEASURED: Micros = Micros::from_millis(1_000);

/// What the tick thread is told.
pub enum Input {
    /// The link has a block of sound.
    Sound { site: SiteCode, packet: OpusPacket, arrived: Micros },
    /// A site came or was lost.
    Presence(SiteCode, Presence),
    /// A box has no camera, or has it again.
    Blind(SiteCode, bool),
    /// A site muted itself, or was muted.
    Mute(SiteCode, bool),
    /// On record, or no longer.
    OnRecord(bool),
    /// Who takes part from now on, and the encoders of the programs that they get.
    Sites(Vec<Site>, Encoders),
    /// What operators want, the layouts that they named, and the encoders of the programs that somebody gets.
    Stage(Box<Stage>, ProgramLayouts, Encoders),
    /// Somebody who gets this program needs a key frame.
    KeyWanted(Program),
    /// Tell figures of the last second.
    Report(Sender<Report>),
    /// The program ends.
    Stop,
}

/// The mixer's figures since the last report.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Frames of the recorded program given to its encoder.
    pub frames: u32,
    /// Frames that were composed late.
    pub late: u32,
    /// Loudest block of each site, dBFS.
    pub levels: BTreeMap<SiteCode, f32>,
    /// Each site's delay from capture to program.
    pub delays: BTreeMap<SiteCode, Micros>,
    /// As [`bridgepoint_wire::local::WorkerStats`] has it.
    pub busy: f32,
    /// Likewise.
    pub cpu: f32,
    /// What is done without.
    pub shed: Shed,
}

/// What the program is given to.
pub struct Outlets {
    /// The sites and viewers.
    pub link: CentreLink,
    /// The record.
    pub recorder: Arc<Recorder>,
    /// Where the programs' access units go, from their encoders' own threads.
    pub programs: Arc<Outlet>,
    /// What those in sight send.
    pub decoders: Decoders,
    /// What the directors were told and decided.
    pub director_log: Sender<Vec<Told>>,
    /// Tells control of the first frame.
    pub line: line::Sender,
}

/// The tick thread's state.
pub struct Mixing {
    mixer: Mixer,
    clock: SessionClock,
    outlets: Outlets,
    wanted: Wanted,
    encoders: Encoders,
    /// The last ticks that each of them was given.
    given: BTreeMap<Program, u64>,
    /// Who gets which program; `None` before the first frame.
    routes: Option<Routes>,
    /// Who is in sight in each program, in the order of places.
    seen: BTreeMap<Program, Vec<SiteCode>>,
    asking: Asking,
    /// Pictures per second of the program, and of a small encoding now.
    fps: u8,
    small_fps: u8,
    shared: OpusEnc,
    /// One encoder for each site that was ever heard: its stream goes on where it stopped.
    own: BTreeMap<SiteCode, OpusEnc>,
    meter: Meter,
    measured: Micros,
    used: Used,
    /// The second that is measured next.
    second: Load,
    shedding: Shedding,
    report: Report,
    first_frame_said: bool,
}

impl Mixing {
    /// # Errors
    /// When libopus has no encoder for the program's sound.
    pub fn new(
        mixer: Mixer,
        clock: SessionClock,
        outlets: Outlets,
        wanted: Wanted,
        canvas: Size,
        fps: u8,
    ) -> anyhow::Result<Self> {
        let shared = OpusEnc::new(Use::Program)?;
        Ok(Self {
            mixer,
            clock,
            outlets,
            wanted,
            encoders: Encoders::new(),
            given: BTreeMap::new(),
            routes: None,
            seen: BTreeMap::new(),
            asking: Asking::new(canvas),
            fps,
            small_fps: fps,
            shared,
            own: BTreeMap::new(),
            meter: Meter::default(),
            measured: clock.now(),
            used: Used::default(),
            second: Load::default(),
            shedding: Shedding::new(clock.now()),
            report: Report::default(),
            first_frame_said: false,
        })
    }

    /// Runs until it is told to stop.
    pub fn run(mut self, inputs: &Receiver<Input>) {
        loop {
            // Not woken by inputs: hundreds come in a second, and none has an effect before the next tick.
            std::thread::sleep(self.clock.until(self.mixer.poll_timeout()));
            // Read once, before the channel is emptied: what is mixed for an instant has all that came before it,
            // also when this thread was kept waiting.
            let at = self.clock.now();
            if !self.handle_all(inputs) {
                self.log();
                return;
            }
            self.take_pictures(at);
            while let Some(output) = self.mixer.poll(at) {
                self.carry(output);
            }
            if at - self.measured >= MEASURED {
                self.measure(at);
                self.log();
            }
        }
    }

    /// What has come; `false` when that is the end.
    fn handle_all(&mut self, inputs: &Receiver<Input>) -> bool {
        loop {
            match inputs.try_recv() {
                Ok(Input::Stop) | Err(TryRecvError::Disconnected) => return false,
                Ok(input) => self.handle(input),
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn take_pictures(&mut self, at: Micros) {
        let Self { mixer, outlets, clock, .. } = self;
        outlets.decoders.take(at, |site, event| match event {
            DecoderEvent::Picture { ticks, picture, age } => mixer.handle_picture(site, ticks, &picture, at - age),
            DecoderEvent::Failed(error) => tracing::warn!(error, %site, "a tile's decoder begins anew"),
            DecoderEvent::Lost(why) => {
                tracing::warn!(%why, %site, "a tile's decoder was lost, another one takes its place");
                let body = serde_json::json!({ "site": site, "why": why.to_string() });
                outlets.recorder.note(clock.utc_ms(at), "decoder-lost", body);
            }
        });
    }

    fn log(&mut self) {
        // One that cannot be written has said so.
        let _ = self.outlets.director_log.send(self.mixer.take_log());
    }

    fn measure(&mut self, at: Micros) {
        let used = self.meter.read(at - std::mem::replace(&mut self.measured, at));
        let backlog = self.encoders.values().map(|encoder| encoder.waiting()).max().unwrap_or(0);
        let load = Load { busy: used.busy, backlog, ..std::mem::take(&mut self.second) };
        // Control decides who is let in: by some seconds, not by one.
        self.used = Used { busy: self.used.busy + (used.busy - self.used.busy) / 5.0, cpu: used.cpu };
        if let Some(shed) = self.shedding.handle(at, load) {
            let body = serde_json::json!({ "shed": shed, "busy": load.busy, "late": load.late, "backlog": backlog });
            self.outlets.recorder.note(self.clock.utc_ms(at), "shed", body);
            tracing::warn!(?shed, ?load, "what the program does without has changed");
            self.apply(shed);
        }
    }

    fn apply(&mut self, shed: Shed) {
        let Quality { small_fps, every, half } = Quality::of(shed, self.fps);
        if std::mem::replace(&mut self.small_fps, small_fps) != small_fps {
            self.asking.handle_rate();
        }
        self.mixer.set_every(every);
        for encoder in self.encoders.values() {
            encoder.set_half(half);
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Sound { site, packet, arrived } => self.mixer.handle_packet(&site, packet, arrived),
            Input::Presence(site, presence) => {
                if presence == Presence::Live {
                    self.asking.handle_up(&site);
                }
                self.mixer.handle_presence(self.clock.now(), &site, presence);
            }
            Input::Blind(site, blind) => self.mixer.handle_sight(&site, blind),
            Input::Mute(site, on) => self.mixer.handle_mute(self.clock.now(), &site, on),
            Input::OnRecord(on) => self.mixer.handle_on_record(on),
            Input::Sites(sites, encoders) => {
                self.encode_with(encoders);
                self.own.retain(|code, _| sites.iter().any(|site| site.code == *code));
                self.mixer.set_sites(self.clock.now(), &sites);
                self.show();
            }
            Input::Stage(stage, layouts, encoders) => {
                self.encode_with(encoders);
                self.mixer.set_stage(self.clock.now(), *stage, layouts);
                self.show();
            }
            Input::KeyWanted(program) => {
                if let Some(encoder) = self.encoders.get(&program) {
                    encoder.force_key();
                }
            }
            Input::Report(answer) => {
                let _ = answer.send(self.take_report());
            }
            Input::Stop => {}
        }
    }

    fn encode_with(&mut self, encoders: Encoders) {
        self.seen.retain(|program, _| encoders.contains_key(program));
        self.encoders = encoders;
        // Also for those that are new.
        self.apply(self.shedding.shed());
    }

    /// Who is seen is part of the record; who is marked as speaking alone is not worth an entry.
    fn carry_decision(&mut self, program: Program, decision: Decision) {
        self.show();
        if self.seen.get(&program) != Some(&decision.order) {
            let at_ms = self.clock.utc_ms(self.clock.now());
            let body = serde_json::json!({ "program": program, "sites": decision.order, "why": decision.why });
            self.outlets.recorder.note(at_ms, "seen", body);
            // The log has what the journal has.
            self.log();
            self.seen.insert(program, decision.order);
        }
    }

    /// Who is in sight has changed, or may have.
    fn show(&mut self) {
        let visible = self.mixer.visible();
        self.asking.handle_visible(self.clock.now(), self.mixer.sites(), &visible);
        self.wanted.set(visible);
    }

    fn ask(&mut self) {
        for (site, tile) in self.asking.poll(self.clock.now()) {
            let wish = tile.map_or(Wish::Nothing, |tile| Wish::Thumb(server_core::asking::thumb(tile, self.small_fps)));
            self.outlets.link.wish(&site, wish);
        }
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::Frame { program, ticks, picture } => self.carry_frame(program, ticks, picture),
            Output::Sound(mix) => self.carry_sound(&mix),
            Output::Seen(program, decision) => self.carry_decision(program, decision),
        }
    }

    fn carry_frame(&mut self, program: Program, ticks: u64, picture: Picture) {
        // None before the stage is told.
        let Some(encoder) = self.encoders.get(&program).cloned() else { return };
        self.route(ticks);
        let now = self.clock.now();
        if self.routes.as_ref().is_some_and(|routes| routes.recorded == program) {
            self.report.frames += 1;
            let late = u32::from(now - Micros::from_video_ticks(ticks) > LATE);
            self.report.late += late;
            self.second.frames += 1;
            self.second.late += late;
        }
        if !std::mem::replace(&mut self.first_frame_said, true) {
            self.outlets.line.say(FromWorker::FirstProgramFrame { at_ms: self.clock.utc_ms(now) });
        }
        if encoder.push(picture, ticks) {
            self.given.insert(program, ticks);
        }
        self.ask();
    }

    /// Whoever gets another program gets it from the frame with these ticks on, which is a key frame then.
    fn route(&mut self, ticks: u64) {
        let routes = self.mixer.routes();
        if self.routes.as_ref() == Some(&routes) {
            return;
        }
        for encoder in self.encoders.values() {
            encoder.force_key_from(ticks);
        }
        if self.routes.as_ref().is_none_or(|before| before.recorded != routes.recorded) {
            let at_ms = self.clock.utc_ms(Micros::from_video_ticks(ticks));
            self.outlets.recorder.note(at_ms, "recorded", serde_json::json!({ "program": routes.recorded }));
        }
        self.outlets.programs.change(ticks, routes.clone(), std::mem::take(&mut self.given));
        self.routes = Some(routes);
    }

    fn carry_sound(&mut self, mix: &Mix) {
        for (code, level) in &mix.levels {
            let loudest = self.report.levels.entry(code.clone()).or_insert(*level);
            *loudest = loudest.max(*level);
        }
        let mut apart = Vec::with_capacity(mix.minus.len());
        for (code, block) in &mix.minus {
            if let Some(packet) = self.encode_own(code, block, mix.ticks) {
                apart.push(code.clone());
                self.outlets.link.send_audio_to(code, packet);
            }
        }
        match self.shared.encode(mix.ticks, &mix.shared) {
            Ok(packet) => {
                self.outlets.link.send_audio(packet.clone(), &apart);
                self.outlets.recorder.audio(&Stream::Program, packet);
            }
            Err(error) => tracing::error!(%error, "program sound"),
        }
    }

    fn encode_own(&mut self, code: &SiteCode, block: &server_core::Block, ticks: u64) -> Option<OpusPacket> {
        if !self.own.contains_key(code) {
            let encoder = OpusEnc::new(Use::MixMinus).map_err(|error| tracing::error!(%error, "mix-minus"));
            self.own.insert(code.clone(), encoder.ok()?);
        }
        self.own.get_mut(code)?.encode(ticks, block).map_err(|error| tracing::error!(%error, "mix-minus")).ok()
    }

    fn take_report(&mut self) -> Report {
        let codes: Vec<SiteCode> = self.report.levels.keys().cloned().collect();
        let delay = |code: SiteCode| Some((self.mixer.site_stats(&code)?.0?, code));
        self.report.delays = codes.into_iter().filter_map(delay).map(|(delay, code)| (code, delay)).collect();
        (self.report.busy, self.report.cpu) = (self.used.busy, self.used.cpu);
        self.report.shed = self.shedding.shed();
        std::mem::take(&mut self.report)
    }
}

/// Asks the tick thread for its figures.
pub fn report(inputs: &Sender<Input>) -> Option<Report> {
    let (answer, told) = std::sync::mpsc::channel();
    inputs.send(Input::Report(answer)).ok()?;
    told.recv_timeout(Duration::from_millis(500)).ok()
}
