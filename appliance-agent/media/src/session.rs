//! One box in one session: what its camera sees goes to the recorder and to the centre, what comes back is played.
//!
//! ```text
//! camera ──────── Contribution ─┬─► link (main, thumb)
//!                              └─► recorder (main)
//! microphones ─── Voice ───────────► link, recorder
//! link ───► playout (program) ─────► loudspeaker
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bridgepoint_link::{BoxEvent, BoxLink, Identity};
use bridgepoint_record::{RecordError, RecordEvent, Recorder, RecorderConfig, Role, Stream};
use bridgepoint_wire::command::{Join, VideoOrder};
use bridgepoint_wire::event::PressRefusal;
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::local::{Camera, FromMedia, MediaConfig};
use bridgepoint_wire::text::Text;
use bridgepoint_wire::{SessionId, SiteCode};

use crate::clip::ClipCamera;
use crate::contribution::{Begun, Contribution, Ends, Gauges, Voice};
use crate::device::DeviceCamera;
use crate::encode::Encoders;
use crate::epoch::Epoch;
use crate::eye::Lens;
use crate::loudspeaker::Loudspeaker;
use crate::microphones::{FromMicrophones, Microphones};
use crate::painter::Letters;
use crate::playout::{Feed, Playout, PlayoutEvent, PlayoutSettings};
use crate::timeline::Timeline;
use crate::{Captured, MediaError, lock};

/// How long closing the record's file may take when the process must end.
const CLOSE_WITHIN: Duration = Duration::from_millis(800);
/// A record that was closed before goes on beside itself, at most so often.
const FOLDERS: u32 = 99;

/// A camera, ready to start.
pub enum Source {
    /// A file, with its sound.
    Clip(ClipCamera),
    /// A device.
    Device(DeviceCamera),
}

impl Source {
    /// Opens what the configuration names; a clip's first pictures are decoded already.
    ///
    /// # Errors
    /// As [`ClipCamera::open`] and [`DeviceCamera::open`].
    pub fn open(camera: &Camera) -> Result<Self, MediaError> {
        match camera {
            // Until an order comes every picture is kept.
            Camera::Clip(path) => ClipCamera::open(Path::new(path), u8::MAX).map(Self::Clip),
            Camera::Device { video } => DeviceCamera::open(Lens::V4l2(video.clone())).map(Self::Device),
            Camera::Rtsp(stream) => DeviceCamera::open(Lens::Rtsp(stream.clone())).map(Self::Device),
        }
    }

    /// Starts to capture, pictures of at most the size of `main`, `fps` of them a second.
    pub(crate) fn start(
        &mut self,
        main: VideoOrder,
        fps: u8,
        on_captured: impl FnMut(Captured) + Send + 'static,
    ) -> Result<Instant, MediaError> {
        match self {
            Self::Clip(clip) => {
                clip.set_fps(fps);
                Ok(clip.start(on_captured))
            }
            Self::Device(device) => device.start((main.width, main.height), fps, on_captured),
        }
    }

    pub(crate) const fn is_clip(&self) -> bool {
        matches!(self, Self::Clip(_))
    }
}

/// What a session tells the child's main thread.
#[derive(Debug)]
pub enum SessionEvent {
    /// To the control process.
    Say(FromMedia),
    /// The camera stopped for good; the session goes on without it until it is given another.
    CameraFailed(MediaError),
}

/// Where a session says what happens; must not wait.
pub type Tell = Arc<dyn Fn(SessionEvent) + Send + Sync>;

/// The keys of a session, out of their base64.
pub struct SessionKeys {
    /// Signs the box's own record: PKCS #8, DER.
    pub record: Vec<u8>,
    /// The device key's statement about it.
    pub statement: serde_json::Value,
    /// DTLS.
    pub dtls: Identity,
}

/// How the room is when a session begins.
#[derive(Clone)]
pub struct Room {
    /// Its microphone is closed.
    pub muted: bool,
    /// How loud the return is, percent.
    pub volume: u8,
    /// For what is written over the program; none: nothing is.
    pub letters: Option<Letters>,
}

/// A running session.
pub struct Session {
    order: Join,
    site: SiteCode,
    encoders: Encoders,
    timeline: Timeline,
    source: Option<Source>,
    begun: Arc<Mutex<Begun>>,
    /// None where the clip's own sound is sent.
    microphones: Option<Microphones>,
    link: Arc<BoxLink>,
    recorder: Arc<Recorder>,
    playout: Option<Playout>,
    // After everything that plays on it.
    loudspeaker: Option<Loudspeaker>,
    gauges: Arc<Gauges>,
    tell: Tell,
    file_closed: Receiver<()>,
}

/// A session could not begin.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Camera, encoder, sound or playout.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The box's own record.
    #[error("the box's own record: {0}")]
    Record(#[from] RecordError),
    /// The link.
    #[error("the link: {0}")]
    Link(#[from] bridgepoint_link::LinkError),
}

impl JoinError {
    /// What a person is told: key and details.
    pub fn text(&self, records: &Path) -> (Text, Vec<String>) {
        match self {
            Self::Media(error) => error.text(),
            Self::Record(error) => (Text::RecorderFailed, vec![records.display().to_string(), error.to_string()]),
            Self::Link(error) => (Text::MediaUnusable, vec![error.to_string()]),
        }
    }
}

impl Session {
    /// Captures, records and connects, from now on.
    ///
    /// # Errors
    /// [`JoinError`]: nothing runs.
    pub fn start(
        config: &MediaConfig,
        order: Join,
        keys: SessionKeys,
        encoders: Encoders,
        source: Source,
        room: &Room,
        tell: Tell,
    ) -> Result<Self, JoinError> {
        let timeline = Timeline::new(order.origin_ms);
        let gauges = Arc::new(Gauges::default());
        gauges.muted.store(room.muted, Ordering::Relaxed);
        gauges.dbfs.store((-127.0_f32).to_bits(), Ordering::Relaxed);
        let (closed, file_closed) = sync_channel(1);
        let recorder = open_record(config, &order, &keys, &gauges, &tell, &closed)?;
        let epoch = Epoch::now();
        let loudspeaker = start_loudspeaker(config, room.volume, epoch, &tell)?;
        let playout = start_playout(config, &order, timeline, loudspeaker.as_ref(), room, &tell)?;
        let link = {
            let (tell, feed, gauges) = (Arc::clone(&tell), playout.feed(), Arc::clone(&gauges));
            let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            BoxLink::start(local, &order, keys.dtls, move |event| {
                receive(event, &tell, &feed, &gauges);
            })?
        };
        let mut session = Self {
            begun: Arc::new(Mutex::new(Begun::new(order.session.clone()))),
            site: config.site.clone(),
            order,
            encoders,
            timeline,
            source: None,
            microphones: None,
            link: Arc::new(link),
            recorder: Arc::new(recorder),
            playout: Some(playout),
            loudspeaker,
            gauges,
            tell,
            file_closed,
        };
        if config.microphones.is_some() || !source.is_clip() {
            session.listen(config, epoch)?;
        }
        session.set_source(source)?;
        Ok(session)
    }

    /// Which session.
    pub const fn id(&self) -> &SessionId {
        &self.order.session
    }

    /// A camera from now on, at the session's begin or after one failed.
    ///
    /// # Errors
    /// [`MediaError`]: the session goes on without a camera.
    pub fn set_source(&mut self, mut source: Source) -> Result<(), MediaError> {
        // The old camera's threads end before new encoders send on the same streams.
        self.source = None;
        // Each camera's begin is said.
        lock(&self.begun).handle_camera(source.is_clip());
        let mut contribution = Contribution::new(self.ends(), &self.order, &self.encoders);
        let mut voice = if self.microphones.is_none() { Some(Voice::new(self.ends(), &self.order)?) } else { None };
        let (main, thumb) = (self.order.main, self.order.thumb);
        source.start(main, main.fps.max(thumb.fps), move |captured| match (captured, &mut voice) {
            (Captured::Sound { block, at }, Some(voice)) => voice.handle(&block, at, Instant::now()),
            (Captured::Sound { .. }, None) => {}
            (captured, _) => contribution.handle(captured, Instant::now()),
        })?;
        self.source = Some(source);
        Ok(())
    }

    /// The room's microphones, or silence where there are none. They outlive every camera of the session.
    fn listen(&mut self, config: &MediaConfig, epoch: Epoch) -> Result<(), MediaError> {
        let (mut voice, tell) = (Voice::new(self.ends(), &self.order)?, Arc::clone(&self.tell));
        let on_heard = move |brought| match brought {
            FromMicrophones::Block(block, at) => voice.handle(&block, at, Instant::now()),
            FromMicrophones::Event(event) => tell(SessionEvent::Say(FromMedia::Microphone(event))),
            FromMicrophones::Heard(heard) => tell(SessionEvent::Say(FromMedia::Heard(heard))),
            FromMicrophones::Fault(error) => fault(&tell, &error),
        };
        let echo = self.loudspeaker.is_some();
        self.microphones = Some(Microphones::start(config.microphones.as_ref(), epoch, echo, on_heard)?);
        Ok(())
    }

    fn ends(&self) -> Ends {
        Ends {
            timeline: self.timeline,
            stream: Stream::Site(self.site.clone()),
            link: Arc::clone(&self.link),
            recorder: Arc::clone(&self.recorder),
            gauges: Arc::clone(&self.gauges),
            begun: Arc::clone(&self.begun),
            tell: Arc::clone(&self.tell),
        }
    }

    /// Mutes or opens the microphone.
    pub fn set_muted(&self, muted: bool) {
        self.gauges.muted.store(muted, Ordering::Relaxed);
    }

    /// Another volume of the return, percent.
    pub fn set_volume(&self, percent: u8) {
        if let Some(loudspeaker) = &self.loudspeaker {
            loudspeaker.set_volume(percent);
        }
    }

    /// A press means nothing: the room hears that, and sees why over the program.
    pub fn refuse(&self, reason: PressRefusal) {
        if let Some(playout) = &self.playout {
            playout.feed().refused(reason);
        }
    }

    /// The screen's owner has let go of it: the program is drawn from now on.
    pub fn take_screen(&self) {
        if let Some(playout) = &self.playout {
            playout.feed().screen();
        }
    }

    /// Figures since the last call, which was `since` ago.
    pub fn meters(&self, since: Duration) -> FromMedia {
        let frames = self.gauges.frames.swap(0, Ordering::Relaxed);
        FromMedia::Meters {
            encoder_fps: frames as f32 / since.as_secs_f32().max(0.001),
            mic_dbfs: f32::from_bits(self.gauges.dbfs.load(Ordering::Relaxed)),
            channels_dbfs: self.microphones.as_ref().map(Microphones::take_dbfs).unwrap_or_default(),
            link: lock(&self.gauges.link).clone(),
        }
    }

    /// Leaves the session: the record ends here.
    ///
    /// # Errors
    /// [`RecordError`] when the record's end is not on the disk.
    pub fn leave(mut self) -> Result<(), RecordError> {
        self.stop_media();
        let Self { recorder, .. } = self;
        match Arc::into_inner(recorder) {
            Some(recorder) => recorder.finish().map(drop),
            None => Ok(()),
        }
    }

    /// The process must end while the session goes on elsewhere: its file is closed, its record stays open, so that
    /// the next process can go on with it.
    pub fn suspend(mut self) {
        self.stop_media();
        while self.file_closed.try_recv().is_ok() {}
        if self.gauges.recording.load(Ordering::Relaxed) {
            self.recorder.close_stream(&Stream::Site(self.site.clone()));
            if self.file_closed.recv_timeout(CLOSE_WITHIN).is_err() {
                tracing::warn!("the record's file was not closed in time: the next process repairs it");
            }
        }
        // Dropped, the recorder would end the journal.
        std::mem::forget(self.recorder);
    }

    fn stop_media(&mut self) {
        self.source = None;
        self.microphones = None;
        if let Some(playout) = self.playout.take() {
            playout.finish();
        }
    }
}

pub(crate) fn fault(tell: &Tell, error: &MediaError) {
    let (text, details) = error.text();
    tell(SessionEvent::Say(FromMedia::Fault { text: text.name().into(), details }));
}

/// Called on the link's thread: only hands on.
fn receive(event: BoxEvent, tell: &Tell, feed: &Feed, gauges: &Gauges) {
    match event {
        BoxEvent::Up => tell(SessionEvent::Say(FromMedia::Link { up: true })),
        BoxEvent::Down => tell(SessionEvent::Say(FromMedia::Link { up: false })),
        BoxEvent::Program(unit) => feed.picture(unit),
        BoxEvent::Sound(packet) => feed.sound(packet),
        BoxEvent::KeyWanted(encoding) => gauges.want_key(encoding),
        BoxEvent::ThumbWished(wish) => gauges.set_wish(wish),
        BoxEvent::Stats(health) => {
            *lock(&gauges.link) = health;
        }
    }
}

/// The loudspeaker, where there is one. A device that is not there keeps nobody out of a session.
fn start_loudspeaker(
    config: &MediaConfig,
    percent: u8,
    epoch: Epoch,
    tell: &Tell,
) -> Result<Option<Loudspeaker>, MediaError> {
    let Some(wanted) = &config.loudspeaker else { return Ok(None) };
    crate::pipeline::init()?;
    let tell = Arc::clone(tell);
    Loudspeaker::start(&wanted.device, percent, epoch, move |error| fault(&tell, &error)).map(Some)
}

fn start_playout(
    config: &MediaConfig,
    order: &Join,
    timeline: Timeline,
    loudspeaker: Option<&Loudspeaker>,
    room: &Room,
    tell: &Tell,
) -> Result<Playout, MediaError> {
    let settings = |returns: Option<PathBuf>| PlayoutSettings {
        mouth: loudspeaker.map(Loudspeaker::mouth),
        decode: config.decode_return,
        returns,
        session: order.session.clone(),
        origin_ms: order.origin_ms,
        screen: config.screen.clone(),
        letters: room.letters.clone(),
    };
    let events = || {
        let tell = Arc::clone(tell);
        move |event| match event {
            PlayoutEvent::FirstShown(at) => {
                tell(SessionEvent::Say(FromMedia::ProgramShown { at_ms: timeline.utc_ms(at) }));
            }
            PlayoutEvent::ScreenWanted => tell(SessionEvent::Say(FromMedia::ScreenWanted)),
            PlayoutEvent::Fault(error) => {
                tracing::error!("{error}");
                fault(&tell, &error);
            }
        }
    };
    match Playout::start(&settings(config.returns.as_ref().map(PathBuf::from)), timeline, events()) {
        // A folder for measurements must not keep a box out of its session.
        Err(error @ MediaError::File { .. }) => {
            fault(tell, &error);
            Playout::start(&settings(None), timeline, events())
        }
        started => started,
    }
}

/// The box's own record of this session: begun, or gone on with where a killed process left it. A record that was ended
/// stays as it is; what follows goes beside it.
fn open_record(
    config: &MediaConfig,
    order: &Join,
    keys: &SessionKeys,
    gauges: &Arc<Gauges>,
    tell: &Tell,
    closed: &SyncSender<()>,
) -> Result<Recorder, RecordError> {
    let mut n = 1;
    loop {
        let name = if n == 1 { order.session.to_string() } else { format!("{}.{n}", order.session) };
        let folder = Path::new(&config.records).join(name);
        let recorder = RecorderConfig {
            part: if folder.exists() { 2 } else { 1 },
            folder,
            session: order.session.clone(),
            origin_ms: order.origin_ms,
            role: Role::Box,
            session_key: Signer::from_pkcs8(&keys.record).map_err(|e| RecordError::Key(e.to_string()))?,
            session_cert: keys.statement.clone(),
            about: serde_json::json!({ "site": config.site, "caller": order.caller }),
        };
        let (tell, gauges, closed) = (Arc::clone(tell), Arc::clone(gauges), closed.clone());
        match Recorder::start(recorder, move |event| {
            recorded(event, &tell, &gauges, &closed);
        }) {
            Err(RecordError::Unfit { path, why }) if n < FOLDERS => {
                tracing::warn!("{} is not gone on with: {why}", path.display());
                n += 1;
            }
            opened => return opened,
        }
    }
}

/// Called on the recorder's thread.
fn recorded(event: RecordEvent, tell: &Tell, gauges: &Gauges, closed: &SyncSender<()>) {
    match event {
        RecordEvent::Written { file, index, .. } => {
            tell(SessionEvent::Say(FromMedia::Fragment { file, index }));
        }
        RecordEvent::Failed { file, error } => {
            let details = vec![file, error];
            tell(SessionEvent::Say(FromMedia::Fault { text: Text::RecorderFailed.name().into(), details }));
        }
        RecordEvent::Opened { .. } => gauges.recording.store(true, Ordering::Relaxed),
        RecordEvent::Closed { .. } => {
            gauges.recording.store(false, Ordering::Relaxed);
            // Only `suspend` listens.
            let _ = closed.try_send(());
        }
    }
}
