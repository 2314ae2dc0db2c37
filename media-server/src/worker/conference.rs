//! One conference: its link, its mix, its record, and the threads between them.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bridgepoint_link::confine::{Limits, Sockets, confine};
use bridgepoint_link::{CentreLink, Identity, raise_priority};
use bridgepoint_record::{RecordEvent, Recorder, RecorderConfig, Role};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::local::{self, ConferenceSite, FromWorker, Program, Stage, ToWorker};
use bridgepoint_wire::text::{Lang, Text};
use server_core::{Fonts, Layouts, Mixer, MixerConfig, ProgramLayouts, Site, Size};
use server_media::OpusDec;

use super::clock::SessionClock;
use super::decoders::Decoders;
use super::director_log::DirectorLog;
use super::line;
use super::mixing::{Input, Mixing, Outlets};
use super::paths::{Ends, Paths};
use super::programs::{Encoders, Outlet, encoders};
use super::slot::LinkSlot;
use super::wanted::Wanted;

/// Where Debian's `fonts-noto-core` puts the fonts of plates and slates: they have every Vietnamese letter.
const FONTS: &str = "/usr/share/fonts/truetype/noto";

/// A running conference.
pub struct Conference {
    recorder: Arc<Recorder>,
    link: CentreLink,
    slot: LinkSlot,
    inputs: Sender<Input>,
    ticking: JoinHandle<()>,
    director_log: DirectorLog,
    clock: SessionClock,
    order: VideoOrder,
    outlet: Arc<Outlet>,
    encoders: Encoders,
    sites: Vec<Site>,
    stage: Stage,
    layouts: Layouts,
    line: line::Sender,
}

impl Conference {
    /// Opens the files and the port, confines the process, and starts to mix.
    ///
    /// # Errors
    /// What cannot be had: port, folder, fonts, encoder, keys.
    pub fn open(opening: local::Conference, line: line::Sender, decoders: Decoders) -> anyhow::Result<Self> {
        let clock = SessionClock::new(opening.origin_ms);
        let layouts = Layouts::with_custom(&opening.layouts)?;
        let canvas = Size { width: opening.program.width.into(), height: opening.program.height.into() };
        let fonts = fonts(Path::new(FONTS))?;
        let socket = UdpSocket::bind(&opening.listen).with_context(|| format!("media port {}", opening.listen))?;
        let port = socket.local_addr()?.port();
        let archive = Path::new(&opening.archive);
        // Its own program: a fork server that was lost is started again.
        let program = std::env::current_exe()?;
        let read: Vec<&Path> = program.parent().into_iter().collect();
        let confinement = confine(&Limits { read: &read, write: &[archive], devices: false, sockets: Sockets::None });

        let recorder = Arc::new(record(&opening, &line)?);
        let link = LinkSlot::default();
        let outlet = Arc::new(Outlet::new(link.clone(), Arc::clone(&recorder), line.clone()));
        // Without an encoder there is no conference.
        let encoders = encoders(opening.program, &outlet, [opening.stage.recorded], &Encoders::new())?;
        let (inputs, from_all) = channel();
        let wanted = Wanted::new(canvas);
        let ends = Ends {
            link: link.clone(),
            clock,
            recorder: Arc::clone(&recorder),
            mixing: inputs.clone(),
            wanted: wanted.clone(),
            decoders: decoders.clone(),
            line: line.clone(),
        };
        let mut paths = Paths::new(ends);
        let identity = Identity { cert_der: decode(&opening.dtls_cert)?, key_der: decode(&opening.dtls_key)? };
        let running = CentreLink::start(socket, identity, opening.origin_ms, move |event| paths.handle(event))?;
        link.fill(running.clone());

        let failed = {
            let line = line.clone();
            move |file: &str, error: &std::io::Error| {
                line.say(fault(Text::RecorderFailed, [file.to_owned(), error.to_string()]));
            }
        };
        let director_log = DirectorLog::start(archive, opening.part, failed)?;
        let outlets = Outlets {
            link: running.clone(),
            recorder: Arc::clone(&recorder),
            programs: Arc::clone(&outlet),
            decoders,
            director_log: director_log.entries(),
            line: line.clone(),
        };
        let config = MixerConfig {
            fonts,
            lang: Lang::Vi,
            canvas,
            start: clock.now(),
            decoder: Box::new(|| Box::new(OpusDec::new().expect("libopus decodes mono at 48 kHz wherever it runs"))),
        };
        let mixing = Mixing::new(Mixer::new(config), clock, outlets, wanted, canvas, opening.program.fps)?;
        let ticking = std::thread::Builder::new().name("tick".into()).spawn(move || {
            raise_priority();
            mixing.run(&from_all);
        })?;

        let mut conference = Self {
            recorder,
            link: running,
            slot: link,
            inputs,
            ticking,
            director_log,
            clock,
            order: opening.program,
            outlet,
            encoders,
            sites: Vec::new(),
            stage: opening.stage,
            layouts,
            line,
        };
        // All at once, and what operators want before anything is shown.
        conference.sites =
            opening.sites.iter().map(|site| Site { code: site.code.clone(), name: site.name.clone() }).collect();
        conference.tell_stage();
        conference.tell_sites();
        for site in opening.sites {
            conference.let_in(site);
        }
        tracing::info!(port, ?confinement, session = %opening.session, "conference is open");
        conference.line.say(FromWorker::Opened { port });
        Ok(conference)
    }

    /// Control said something.
    pub fn handle(&mut self, message: ToWorker) {
        match message {
            ToWorker::Note { at_ms, kind, body } => self.recorder.note(at_ms, &kind, body),
            ToWorker::OnRecord(on) => self.tell_mix(Input::OnRecord(on)),
            ToWorker::Whep { viewer, offer } => {
                let answer = self.link.whep(viewer, &offer).map_err(|error| error.to_string());
                self.line.say(FromWorker::WhepAnswer { viewer, answer });
            }
            ToWorker::WhepEnd { viewer } => self.link.whep_end(viewer),
            ToWorker::Whip { site, name, offer } => {
                self.seat(Site { code: site.clone(), name });
                let answer = self.link.whip(site.clone(), &offer).map_err(|error| error.to_string());
                self.line.say(FromWorker::WhipAnswer { site, answer });
            }
            ToWorker::WhipEnd { site } => self.whip_ended(&site),
            // Who muted whom is control's to note.
            ToWorker::Mute { site, on } => self.tell_mix(Input::Mute(site, on)),
            ToWorker::Site(site) => self.let_in(site),
            ToWorker::Stage(stage) => {
                self.stage = stage;
                self.tell_stage();
            }
            ToWorker::Open(_) | ToWorker::Echo(_) => tracing::error!("a worker has one conference; this one is open"),
            ToWorker::Close => {}
        }
    }

    /// Ends the program and closes every file.
    pub fn close(self) -> FromWorker {
        let Self { recorder, link, slot, inputs, ticking, director_log, clock, outlet, encoders, .. } = self;
        let _ = inputs.send(Input::Stop);
        let _ = ticking.join();
        if let Some(log) = director_log.finish() {
            recorder.note(clock.utc_ms(clock.now()), "director-log", log);
        }
        // Whoever holds these ends with the last of them; only then is the recorder nobody else's.
        slot.clear();
        drop((link, outlet, encoders, inputs));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(3);
        let mut shared = recorder;
        let closed = loop {
            match Arc::try_unwrap(shared) {
                Ok(alone) => break alone.finish(),
                Err(still) if std::time::Instant::now() < deadline => {
                    shared = still;
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                Err(_) => break Err(bridgepoint_record::RecordError::Stuck { seconds: 3 }),
            }
        };
        match closed {
            Ok(closed) => FromWorker::Closed { head: closed.head },
            Err(error) => fault(Text::RecorderFailed, [String::from("journal.jsonl"), error.to_string()]),
        }
    }

    fn let_in(&mut self, site: ConferenceSite) {
        let ConferenceSite { code, name, dtls_fingerprint, ice_centre, ice_box } = site;
        self.seat(Site { code: code.clone(), name });
        self.link.add_site(code, ice_centre, ice_box, dtls_fingerprint);
    }

    fn tell_stage(&mut self) {
        let layout = |program: Program| {
            let name = &self.stage.program(program)?.layout;
            let layout = self.layouts.by_name(name);
            if layout.is_none() {
                tracing::error!(name, "control named a layout that this worker does not have");
            }
            Some((program, layout?))
        };
        let layouts: ProgramLayouts = Program::ALL.into_iter().filter_map(layout).collect();
        self.encode();
        self.tell_mix(Input::Stage(Box::new(self.stage.clone()), layouts, self.encoders.clone()));
    }

    fn tell_sites(&mut self) {
        self.encode();
        self.tell_mix(Input::Sites(self.sites.clone(), self.encoders.clone()));
    }

    /// An encoder for each program that somebody gets, and no other. Here: to start one takes longer than a tick may.
    fn encode(&mut self) {
        let watched = self.stage.routes().watched(self.sites.iter().map(|site| &site.code));
        match encoders(self.order, &self.outlet, watched, &self.encoders) {
            Ok(encoders) => self.encoders = encoders,
            Err(error) => self.line.say(fault(Text::EncoderStalled, [error.to_string()])),
        }
    }

    /// Gives a site a tile; one that has it keeps it.
    fn seat(&mut self, site: Site) {
        if !self.sites.iter().any(|have| have.code == site.code) {
            self.sites.push(site);
            self.tell_sites();
        }
    }

    fn whip_ended(&mut self, site: &SiteCode) {
        self.link.whip_end(site);
        self.sites.retain(|have| have.code != *site);
        self.tell_sites();
    }

    fn tell_mix(&self, input: Input) {
        if self.inputs.send(input).is_err() {
            tracing::error!("the tick thread has ended");
        }
    }
}

fn record(opening: &local::Conference, line: &line::Sender) -> anyhow::Result<Recorder> {
    let config = RecorderConfig {
        folder: PathBuf::from(&opening.archive),
        session: opening.session.clone(),
        origin_ms: opening.origin_ms,
        part: opening.part,
        role: Role::Centre,
        session_key: Signer::from_pkcs8(&decode(&opening.session_key)?)?,
        session_cert: opening.session_cert.clone(),
        about: opening.about.clone(),
    };
    let line = line.clone();
    let events = move |event| match event {
        RecordEvent::Written { file, .. } if file.starts_with("program") => line.say(FromWorker::Recording { file }),
        RecordEvent::Failed { file, error } => line.say(fault(Text::RecorderFailed, [file, error])),
        RecordEvent::Opened { .. } | RecordEvent::Written { .. } | RecordEvent::Closed { .. } => {}
    };
    Ok(Recorder::start(config, events)?)
}

fn fonts(folder: &Path) -> anyhow::Result<Fonts> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).with_context(|| format!("{} (Debian package fonts-noto-core)", path.display()))
    };
    Ok(Fonts::new(read("NotoSans-Regular.ttf")?, read("NotoSans-Bold.ttf")?)?)
}

/// Something failed and was dealt with.
pub fn fault<const N: usize>(text: Text, details: [String; N]) -> FromWorker {
    FromWorker::Fault { text: text.name().into(), details: details.into() }
}

fn decode(base64: &str) -> anyhow::Result<Vec<u8>> {
    BASE64.decode(base64).map_err(|_| anyhow!("a key or certificate of control is not base64"))
}
