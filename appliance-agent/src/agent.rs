//! The control process: carries what happens to the cores, and carries out what they decide.

use std::sync::Arc;
use std::time::Duration;

use agent_camera::driver::Told;
use agent_core::clock::ServerClock;
use agent_core::gate::{CommandGate, ReportLimit};
use agent_core::health::HealthSchedule;
use agent_core::outbox::Outbox;
use agent_core::progress::{Feed, Hang, Progress};
use agent_core::screen::Screens;
use agent_core::session::{Action, Running, Session};
use agent_core::supervise::Supervisor;
use agent_core::twin::TwinGate;
use agent_core::{Millis, earlier};
use bridgepoint_board::ThermalZone;
use bridgepoint_panel::Press;
use bridgepoint_record::journal::hex;
use bridgepoint_wire::event::Event;
use bridgepoint_wire::health::{Health, LinkHealth};
use bridgepoint_wire::local::ToMedia;
use bridgepoint_wire::picture::PictureEvent;
use bridgepoint_wire::presence::Online;
use bridgepoint_wire::text::Text;
use bridgepoint_wire::{Envelope, SiteCode, Topic};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::array::{self, FromArray};
use crate::config::Config;
use crate::ending::Ending;
use crate::front::{Front, Signals, Why};
use crate::health::Gauges;
use crate::identity::{self, Identity};
use crate::media::{Life, MediaEvent, Nursery};
use crate::media_keys::MediaKeys;
use crate::mqtt::{self, Centre, Connection, FromCentre};
use crate::panel::Face;
use crate::screen::Glass;
use crate::senses::{Known, Sense};
use crate::status::{Status, StatusFile};
use crate::store::{Left, Store};
use crate::uplink::Uplink;
use crate::wizard::Installation;
use crate::{factory_reset, random, systemd, wall_ms};

mod camera;
mod downlink;
mod installing;
mod media;
mod showing;
mod sound_test;
mod update;

use camera::Moving;
use installing::Installing;
use sound_test::SoundTests;
use update::{Updating, Worked};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How often the mark of a running session is renewed.
const TOUCH_MS: u64 = 30_000;
/// How long a session's files may take to close when the program is asked to end.
const CLOSING: Duration = Duration::from_secs(5);

/// All that the control process is.
struct Agent {
    config: Arc<Config>,
    identity: Identity,
    store: Store,
    keys: MediaKeys,
    boot: String,
    started: Instant,

    session: Session,
    commands: CommandGate,
    reports: ReportLimit,
    twin: TwinGate,
    outbox: Outbox,
    /// Events that the disk did not take; they are sent all the same, while this program lives.
    unsaved: std::collections::BTreeMap<u64, Vec<u8>>,
    server_clock: ServerClock,
    health: HealthSchedule,
    supervisor: Supervisor,
    progress: Progress,
    /// Why the watchdog was not fed last.
    hangs: Option<Hang>,
    /// None on a system without slots.
    updating: Option<Updating>,
    /// None where nothing moves.
    moving: Option<Moving>,
    /// A technician is at work.
    installing: Option<Installing>,
    sound_tests: SoundTests,

    uplink: Uplink,
    nursery: Nursery,
    life: Option<Life>,
    face: watch::Sender<Face>,
    glass: Glass,
    screens: Screens,
    network: Known,
    /// What was typed at the installed box.
    typed: String,
    /// For the tasks of an installation.
    answers: mpsc::Sender<Sense>,
    /// The box has another identity on its disk.
    reborn: bool,
    gauges: Gauges,
    status_file: StatusFile,
    status: Status,
    /// Figures of the media child; gone with it.
    meters: Meters,
    /// The running session as the store knows it.
    kept: Option<Running>,
    touch_at: Millis,
    /// Why there is no connection, as it was said last.
    down_said: Option<mqtt::Fault>,
    /// The last fault of the media child, said once.
    last_fault: Option<(String, Vec<String>)>,
    /// The picture was lost, and that was said last.
    lost_picture: Option<PictureEvent>,
    /// The child has been ready once: what is wrong from now on passes.
    proven: bool,
}

/// What the media child measured last.
#[derive(Debug, Default)]
struct Meters {
    encoder_fps: Option<f32>,
    mic_dbfs: Option<f32>,
    channels_dbfs: Vec<f32>,
    link: Option<LinkHealth>,
}

/// What the outside brings.
struct Inputs {
    centre: mpsc::Receiver<FromCentre>,
    media: mpsc::Receiver<MediaEvent>,
    presses: mpsc::Receiver<Press>,
    updates: mpsc::Receiver<Worked>,
    camera: mpsc::Receiver<Told>,
    array: mpsc::Receiver<FromArray>,
    senses: mpsc::Receiver<Sense>,
    freed: mpsc::Receiver<()>,
    signals: Signals,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// An [`Ending`] when the box cannot work at all.
pub async fn run(
    config: Arc<Config>,
    identity: Identity,
    front: Front,
    installation: Option<Installation>,
) -> Result<Why, Ending> {
    let store_dir = config.data_dir.join("store");
    let store_bad = |e: &dyn std::fmt::Display| Ending::world(Text::StoreUnusable, [&store_dir.display(), e]);
    let (store, left) = Store::open(&store_dir, &identity.appliance).map_err(|e| store_bad(&e))?;
    let runtime_bad =
        |e: &dyn std::fmt::Display| Ending::world(Text::DiskNotWritable, [&config.runtime_dir.display(), e]);
    let (nursery, media) = Nursery::open(&config.runtime_dir).map_err(|e| runtime_bad(&e))?;
    let (connection, centre) = connect(&identity, left.boot)?;
    let array = match &config.sound.directions {
        Some(directions) => array::listen(directions.clone()).map_err(|e| runtime_bad(&e))?,
        None => mpsc::channel(1).1,
    };
    let Front { face, presses, glass, freed, senses, answers, signals } = front;
    let (mut agent, updates, camera) = Agent::new(config, identity, store, left, nursery, (face, glass, answers))?;
    agent.installing = installation.map(Installing::new);
    let inputs = Inputs { centre, media, presses, updates, camera, array, senses, freed, signals };
    let ended = agent.live(inputs).await;
    agent.uplink.say_lost();
    connection.end().await;
    agent.status_file.remove();
    agent.nursery.close();
    ended.map(|()| if agent.reborn { Why::Enrolled } else { Why::Ended })
}

fn connect(identity: &Identity, boot: u32) -> Result<(Connection, mpsc::Receiver<FromCentre>), Ending> {
    let tls = identity::tls(identity.ca_pem.as_bytes(), identity.cert_pem.as_bytes(), identity.key_pem.as_bytes())
        .map_err(|e| Ending::world(Text::IdentityUnusable, [&identity.appliance, &e]))?;
    let centre = Centre {
        broker: identity.broker.clone(),
        client: identity.appliance.to_string(),
        tls: Arc::new(tls),
        filter: Topic::down_filter(&identity.appliance),
    };
    let appliance = identity.appliance.clone();
    Ok(Connection::start(centre, move |n| Some(Uplink::will(&appliance, boot, n))))
}

impl Agent {
    fn new(
        config: Arc<Config>,
        identity: Identity,
        store: Store,
        left: Left,
        nursery: Nursery,
        (face, glass, answers): (watch::Sender<Face>, Glass, mpsc::Sender<Sense>),
    ) -> Result<(Self, mpsc::Receiver<Worked>, mpsc::Receiver<Told>), Ending> {
        let before = left.running.as_ref().map(|running| running.join.session.clone());
        let keys = MediaKeys::open(&config.data_dir, before.as_ref())
            .map_err(|e| Ending::world(Text::DiskNotWritable, [&config.data_dir.display(), &e]))?;
        let resumed = left.running.clone().filter(|running| keys.are_of(&running.join.session));
        let twin = TwinGate::new(left.twin);
        let site = twin.good().map_or_else(|| identity.site.clone(), |twin| twin.site.clone());
        let mut session = Session::new(site.clone(), resumed.clone());
        if let Some(twin) = twin.good() {
            session.handle_twin(twin.site.clone(), twin.calls.clone());
        }
        let status = Status {
            pid: std::process::id(),
            media_pid: None,
            appliance: identity.appliance.clone(),
            site,
            session: None,
            on_record: false,
            muted: false,
            clip_started_at_ms: None,
            program_shown_at_ms: None,
            link_up: false,
        };
        let (first, next) = left.events;
        let now = Millis(0);
        let (updating, updates) = match &config.update {
            Some(update) => {
                let (updating, updates) = Updating::start(update, &config.data_dir, &config.runtime_dir, now);
                (Some(updating), updates)
            }
            None => (None, mpsc::channel(1).1),
        };
        let (moving, camera) = match &config.ptz {
            Some(ptz) => {
                let (moving, told) = Moving::start(ptz, &config.sound.voice_preset, &config.data_dir, now);
                (Some(moving), told)
            }
            None => (None, mpsc::channel(1).1),
        };
        let watchdog_ms = systemd::watchdog().map(|within| within.as_millis() as u64);
        let stuck = factory_reset::take_stuck(&config.runtime_dir);
        let mut agent = Self {
            boot: format!("{}-{}", left.boot, hex(&random::<4>())),
            started: Instant::now(),
            session,
            commands: CommandGate::new(left.high),
            reports: ReportLimit::new(),
            twin,
            outbox: Outbox::new(first, next),
            unsaved: std::collections::BTreeMap::new(),
            server_clock: ServerClock::default(),
            health: HealthSchedule::new(now),
            supervisor: Supervisor::new(now),
            progress: Progress::new(now, watchdog_ms),
            hangs: None,
            updating,
            moving,
            installing: None,
            sound_tests: SoundTests::default(),
            uplink: Uplink::new(identity.appliance.clone(), left.boot),
            nursery,
            life: None,
            face,
            glass,
            screens: Screens::default(),
            network: Known::default(),
            typed: String::new(),
            answers,
            reborn: false,
            gauges: Gauges::new(
                &config.records_dir,
                config.board.thermal.iter().filter_map(ThermalZone::file).collect(),
            ),
            status_file: StatusFile::new(&config.runtime_dir),
            status,
            meters: Meters::default(),
            kept: left.running,
            touch_at: now,
            down_said: None,
            last_fault: None,
            lost_picture: None,
            proven: false,
            config,
            identity,
            store,
            keys,
        };
        agent.say(Event::Started { version: VERSION.into() });
        match (before, resumed) {
            (Some(session), None) => agent.say(Event::Left { session }),
            (Some(session), Some(_)) => tracing::info!(%session, "back in the session"),
            (None, _) => {}
        }
        if stuck {
            agent.say(Event::Fault { text: Text::ButtonStuck.name().into(), details: Vec::new() });
        }
        Ok((agent, updates, camera))
    }

    fn now(&self) -> Millis {
        Millis(self.started.elapsed().as_millis() as u64)
    }

    /// The one loop: waits for the next input or the next wish of a core, hands it over, carries out what follows.
    async fn live(&mut self, mut inputs: Inputs) -> Result<(), Ending> {
        let mut connection = 0;
        systemd::ready();
        loop {
            self.settle();
            if self.reborn {
                break;
            }
            let wake = self.started + Duration::from_millis(self.poll_timeout().0);
            let wake = self.installing.as_ref().map_or(wake, |installing| wake.min(installing.poll_timeout()));
            tokio::select! {
                event = inputs.centre.recv() => {
                    // The connection's task ends only after us.
                    let Some(event) = event else { return Ok(()) };
                    self.handle_centre(event, &mut connection);
                }
                Some(event) = inputs.media.recv() => self.handle_media(event)?,
                Some(worked) = inputs.updates.recv() => self.handle_worked(worked),
                Some(told) = inputs.camera.recv() => self.handle_camera(told),
                Some(told) = inputs.array.recv() => self.handle_array(told),
                Some(press) = inputs.presses.recv() => self.handle_press(press),
                Some(sense) = inputs.senses.recv() => self.handle_sense(sense),
                Some(()) = inputs.freed.recv() => self.tell(ToMedia::ScreenYours),
                () = tokio::time::sleep_until(wake) => self.handle_timeout(),
                () = inputs.signals.end() => break,
            }
        }
        systemd::stopping();
        self.stop_camera(&mut inputs.camera).await;
        self.close_media(&mut inputs.media).await;
        Ok(())
    }

    fn poll_timeout(&self) -> Millis {
        let wishes = [
            self.session.poll_timeout(),
            self.outbox.poll_timeout(),
            self.supervisor.poll_timeout(),
            self.kept.is_some().then_some(self.touch_at),
            self.updating.as_ref().and_then(|updating| updating.core.poll_timeout()),
            self.moving.as_ref().and_then(|moving| moving.core.poll_timeout()),
            self.screens.poll_timeout(),
            Some(self.progress.poll_timeout()),
        ];
        let health = Some(self.health.poll_timeout());
        wishes.into_iter().fold(health, earlier).unwrap_or_default()
    }

    fn handle_timeout(&mut self) {
        let now = self.now();
        self.session.handle_timeout(now);
        self.outbox.handle_timeout(now);
        if let Some(care) = self.supervisor.handle_timeout(now) {
            self.care(care);
        }
        if self.health.handle_timeout(now) {
            self.report_health();
        }
        if let Some(updating) = &mut self.updating {
            updating.core.handle_timeout(now);
        }
        if let Some(moving) = &mut self.moving {
            moving.core.handle_timeout(now);
        }
        self.screens.handle_timeout(now);
        if let Some(feed) = self.progress.handle_timeout(now) {
            self.feed(feed);
        }
        if self.kept.is_some() && now >= self.touch_at {
            self.keys.touch();
            self.touch_at = now.after(TOUCH_MS);
        }
    }

    /// Only here, in the one loop, is the watchdog fed: a loop that hangs feeds nothing.
    fn feed(&mut self, feed: Feed) {
        let hangs = match feed {
            Feed::Feed => {
                systemd::feed();
                None
            }
            Feed::Withhold(hang) => Some(hang),
        };
        if std::mem::replace(&mut self.hangs, hangs) == hangs {
            return;
        }
        match hangs {
            Some(hang) => {
                tracing::error!(%hang, "the watchdog is not fed");
                systemd::status(&hang.to_string());
            }
            None => systemd::status("works"),
        }
    }

    /// Carries out what the cores want, and shows what has changed to whom it concerns.
    fn settle(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Say(event) => {
                    self.show_refusal(&event);
                    self.say(event);
                }
                Action::ReportHealth => self.report_health(),
                Action::Join => self.tell_join(),
                Action::Leave => self.tell_leave(),
                Action::Mute(on) => self.tell(ToMedia::Mute(on)),
                Action::Tally(on) => self.tell(ToMedia::Tally(on)),
            }
        }
        let (now, runs) = (self.now(), self.session.running().is_some());
        self.progress.handle_session(now, runs);
        self.settle_update();
        self.settle_camera();
        self.settle_installation();
        self.settle_sound_test();
        self.keep_running();
        self.send_events();
        self.show();
        self.uplink.say_online(self.online());
        self.show_status();
    }

    fn online(&self) -> Online {
        let running = self.session.running();
        Online {
            site: self.site().clone(),
            version: VERSION.into(),
            boot: self.boot.clone(),
            dtls_fingerprint: self.keys.fingerprint(),
            session: running.map(|running| running.join.session.clone()),
            muted: running.is_some_and(|running| running.muted),
            twin: self.twin.good().map_or(0, |twin| twin.version),
        }
    }

    fn site(&self) -> &SiteCode {
        self.twin.good().map_or(&self.identity.site, |twin| &twin.site)
    }

    fn show_status(&mut self) {
        let running = self.session.running();
        self.status.session = running.map(|running| running.join.session.clone());
        self.status.on_record = running.is_some_and(|running| running.on_record);
        self.status.muted = running.is_some_and(|running| running.muted);
        self.status.media_pid = self.life.as_ref().map(|life| life.pid);
        self.status.site = self.site().clone();
        self.status_file.show(&self.status);
    }

    /// Stores the running session when it has changed, so that a killed agent comes back into it.
    fn keep_running(&mut self) {
        let running = self.session.running();
        if running == self.kept.as_ref() {
            return;
        }
        if let Err(error) = self.store.put_running(running) {
            tracing::error!(%error, "the running session could not be stored");
        }
        self.kept = running.cloned();
        if self.kept.is_none() {
            self.keys.forget_session();
        }
    }

    /// An event goes to the disk first, then to the centre as often as it takes.
    fn say(&mut self, event: Event) {
        self.say_numbered(event);
    }

    /// The same; returns its number.
    fn say_numbered(&mut self, event: Event) -> Option<u64> {
        let Some(seq) = self.outbox.number() else {
            tracing::error!(?event, "the outbox is full: this event is lost");
            return None;
        };
        tracing::info!(seq, ?event, "event");
        let envelope = Envelope::new(seq, wall_ms(), event).to_bytes();
        if let Err(error) = self.store.put_event(seq, &envelope) {
            tracing::error!(%error, seq, "an event could not be stored");
            self.unsaved.insert(seq, envelope);
        }
        self.outbox.handle_stored(seq);
        Some(seq)
    }

    fn send_events(&mut self) {
        while let Some(seq) = self.outbox.poll_send() {
            let stored = match self.store.event(seq) {
                Ok(stored) => stored.or_else(|| self.unsaved.get(&seq).cloned()),
                Err(error) => {
                    tracing::error!(%error, seq, "an event could not be read");
                    None
                }
            };
            // A number without an event would stop the outbox for ever: the server is told that it is void.
            let envelope = stored.unwrap_or_else(|| {
                let void = Event::Fault { text: Text::StoreUnusable.name().into(), details: vec![seq.to_string()] };
                Envelope::new(seq, wall_ms(), void).to_bytes()
            });
            if !self.uplink.say_event(&self.identity, envelope) {
                // The line takes nothing more now; the next look comes with its next message or the next timeout.
                return;
            }
            let now = self.now();
            self.outbox.handle_sent(now, seq);
        }
    }

    fn report_health(&mut self) {
        let now = self.now();
        let mut health = Health {
            uptime_s: now.0 / 1_000,
            encoder_fps: self.meters.encoder_fps,
            mic_dbfs: self.meters.mic_dbfs,
            channels_dbfs: self.meters.channels_dbfs.clone(),
            loudspeaker: self.volume(),
            link: self.meters.link.clone(),
            clock_offset_ms: self.server_clock.offset_ms(),
            version: VERSION.into(),
            media: self.supervisor.word(self.session.running().is_some()).into(),
            ..Health::default()
        };
        self.gauges.read(self.life.as_ref().map(|life| life.pid), &mut health);
        self.uplink.say_health(health);
    }
}
