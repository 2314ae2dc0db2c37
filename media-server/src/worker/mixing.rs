//! The tick thread: owns the mixer, and carries between it, the encoders, the link and the recorder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use bridgepoint_link::{CentreLink, Wish};
use bridgepoint_record::{Recorder, Stream};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{FromWorker, Stage};
use bridgepoint_wire::media::OpusPacket;
use server_core::{Asking, Decision, Layout, Micros, Mix, Mixer, Output, Picture, Presence, Site, Size};
use server_media::{OpusEnc, ProgramEncoder, Use};

use super::clock::SessionClock;
use super::line;
use super::wanted::Wanted;

/// A tick that is composed so much after it was due counts as late: half a frame.
const LATE: Micros = Micros::from_millis(20);

/// What the tick thread is told.
pub enum Input {
    /// A decoder has a picture.
    Picture { site: SiteCode, ticks: u64, picture: Picture, arrived: Micros },
    /// The link has a block of sound.
    Sound { site: SiteCode, packet: OpusPacket, arrived: Micros },
    /// A site came or was lost.
    Presence(SiteCode, Presence),
    /// A site muted itself, or was muted.
    Mute(SiteCode, bool),
    /// On record, or no longer.
    OnRecord(bool),
    /// Who takes part from now on.
    Sites(Vec<Site>),
    /// What operators want, and the layout that they named.
    Stage(Stage, Arc<Layout>),
    /// Tell figures of the last second.
    Report(Sender<Report>),
    /// The program ends.
    Stop,
}

/// The mixer's figures since the last report.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Frames given to the encoder.
    pub frames: u32,
    /// Frames that were composed late.
    pub late: u32,
    /// Loudest block of each site, dBFS.
    pub levels: BTreeMap<SiteCode, f32>,
    /// Each site's delay from capture to program.
    pub delays: BTreeMap<SiteCode, Micros>,
}

/// What the program is given to.
pub struct Outlets {
    /// The sites and viewers.
    pub link: CentreLink,
    /// The record.
    pub recorder: Arc<Recorder>,
    /// The program's picture; its access units go to link and record from the encoder's own thread.
    pub picture: Arc<ProgramEncoder>,
    /// Tells control of the first frame.
    pub line: line::Sender,
}

/// The tick thread's state.
pub struct Mixing {
    mixer: Mixer,
    clock: SessionClock,
    outlets: Outlets,
    wanted: Wanted,
    /// Who is in sight, in the order of places.
    seen: Vec<SiteCode>,
    asking: Asking,
    /// Pictures per second of a small encoding.
    fps: u8,
    shared: OpusEnc,
    /// One encoder for each site that was ever heard: its stream goes on where it stopped.
    own: BTreeMap<SiteCode, OpusEnc>,
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
            seen: Vec::new(),
            asking: Asking::new(canvas),
            fps,
            shared,
            own: BTreeMap::new(),
            report: Report::default(),
            first_frame_said: false,
        })
    }

    /// Runs until it is told to stop.
    pub fn run(mut self, inputs: &Receiver<Input>) {
        loop {
            let wait = self.clock.until(self.mixer.poll_timeout());
            let mut next = match inputs.recv_timeout(wait) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Read once, before the channel is emptied: what is mixed for an instant has all that came before it,
            // also when this thread was kept waiting.
            let at = self.clock.now();
            while let Some(input) = next {
                if matches!(input, Input::Stop) {
                    return;
                }
                self.handle(input);
                next = inputs.try_recv().ok();
            }
            while let Some(output) = self.mixer.poll(at) {
                self.carry(output);
            }
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Picture { site, ticks, picture, arrived } => {
                self.mixer.handle_picture(&site, ticks, picture, arrived);
            }
            Input::Sound { site, packet, arrived } => self.mixer.handle_packet(&site, packet, arrived),
            Input::Presence(site, presence) => {
                if presence == Presence::Live {
                    self.asking.handle_up(&site);
                }
                self.mixer.handle_presence(self.clock.now(), &site, presence);
            }
            Input::Mute(site, on) => self.mixer.handle_mute(self.clock.now(), &site, on),
            Input::OnRecord(on) => self.mixer.handle_on_record(on),
            Input::Sites(sites) => {
                self.own.retain(|code, _| sites.iter().any(|site| site.code == *code));
                self.mixer.set_sites(self.clock.now(), &sites);
                self.show();
            }
            Input::Stage(stage, layout) => {
                self.mixer.set_stage(self.clock.now(), stage, layout);
                self.show();
            }
            Input::Report(answer) => {
                let _ = answer.send(self.take_report());
            }
            Input::Stop => {}
        }
    }

    /// Who is seen is part of the record; who is marked as speaking alone is not worth an entry.
    fn carry_decision(&mut self, decision: Decision) {
        self.show();
        if decision.order != self.seen {
            let at_ms = self.clock.utc_ms(self.clock.now());
            let body = serde_json::json!({ "sites": decision.order, "why": decision.why });
            self.outlets.recorder.note(at_ms, "seen", body);
            self.seen = decision.order;
        }
    }

    /// Who is in sight has changed, or may have.
    fn show(&mut self) {
        self.wanted.set(self.mixer.visible());
        self.asking.handle_visible(self.clock.now(), self.mixer.sites(), self.mixer.visible());
    }

    fn ask(&mut self) {
        for (site, tile) in self.asking.poll(self.clock.now()) {
            let wish = tile.map_or(Wish::Nothing, |tile| Wish::Thumb(server_core::asking::thumb(tile, self.fps)));
            self.outlets.link.wish(&site, wish);
        }
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::Frame { ticks, picture } => {
                let now = self.clock.now();
                self.report.frames += 1;
                self.report.late += u32::from(now - Micros::from_video_ticks(ticks) > LATE);
                if !std::mem::replace(&mut self.first_frame_said, true) {
                    self.outlets.line.say(FromWorker::FirstProgramFrame { at_ms: self.clock.utc_ms(now) });
                }
                self.outlets.picture.push(picture, ticks);
                self.ask();
            }
            Output::Sound(mix) => self.carry_sound(&mix),
            Output::Seen(decision) => self.carry_decision(decision),
        }
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
        std::mem::take(&mut self.report)
    }
}

/// Asks the tick thread for its figures.
pub fn report(inputs: &Sender<Input>) -> Option<Report> {
    let (answer, told) = std::sync::mpsc::channel();
    inputs.send(Input::Report(answer)).ok()?;
    told.recv_timeout(Duration::from_millis(500)).ok()
}
