//! One box in one session: what its camera sees goes to the recorder and to the centre, what comes back is played.
//!
//! ```text
//! camera ─┬─ Encodings ─┬─► link (main, thumb)
//!         │             └─► recorder (main)
//!         └─ Microphone ──► link, recorder
//! link ───► playout (program)
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bridgepoint_link::{BoxEvent, BoxLink, Encoding, Identity, LinkHealth, Wish};
use bridgepoint_record::{RecordError, RecordEvent, Recorder, RecorderConfig, Role, Stream};
use bridgepoint_wire::command::{Join, VideoOrder};
use bridgepoint_wire::jws::Signer;
use bridgepoint_wire::local::{Camera, FromMedia, MediaConfig};
use bridgepoint_wire::media::{AccessUnit, OpusPacket, VIDEO_RATE};
use bridgepoint_wire::text::Text;
use bridgepoint_wire::{SessionId, SiteCode};

use crate::clip::ClipCamera;
use crate::device::DeviceCamera;
use crate::encode::{Encoders, Encodings};
use crate::playout::{Feed, Playout, PlayoutEvent, PlayoutSettings};
use crate::sound::Microphone;
use crate::timeline::Timeline;
use crate::{Captured, MediaError};

/// Blocks of sound between two readings of the meter: 1 s.
const METER_BLOCKS: u32 = 50;
/// How long closing the record's file may take when the process must end.
const CLOSE_WITHIN: Duration = Duration::from_millis(800);
/// A record that was closed before goes on beside itself, at most so often.
const FOLDERS: u32 = 99;

/// Camera and microphone, ready to start.
pub enum Source {
    /// A file.
    Clip(ClipCamera),
    /// Devices.
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
            Camera::Device { video, audio } => DeviceCamera::open(video, audio.as_deref()).map(Self::Device),
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

    const fn is_clip(&self) -> bool {
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

/// A running session.
pub struct Session {
    order: Join,
    site: SiteCode,
    encoders: Encoders,
    timeline: Timeline,
    source: Option<Source>,
    link: Arc<BoxLink>,
    recorder: Arc<Recorder>,
    playout: Option<Playout>,
    gauges: Arc<Gauges>,
    tell: Tell,
    file_closed: Receiver<()>,
}

/// What threads of a session share.
#[derive(Default)]
struct Gauges {
    muted: AtomicBool,
    frames: AtomicU32,
    dbfs: AtomicU32,
    keys: [AtomicBool; 2],
    /// What the centre wishes of the small encoding, until it is done.
    wish: Mutex<Option<Wish>>,
    link: Mutex<LinkHealth>,
    /// The record has an open file.
    recording: AtomicBool,
}

impl Gauges {
    fn want_key(&self, encoding: Encoding) {
        self.key(encoding).store(true, Ordering::Relaxed);
    }

    fn set_wish(&self, wish: Wish) {
        *self.wish.lock().unwrap_or_else(PoisonError::into_inner) = Some(wish);
    }

    fn take_wish(&self) -> Option<Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn key(&self, encoding: Encoding) -> &AtomicBool {
        match encoding {
            Encoding::Main => &self.keys[0],
            Encoding::Thumb => &self.keys[1],
        }
    }
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
        muted: bool,
        keys: SessionKeys,
        encoders: Encoders,
        source: Source,
        tell: Tell,
    ) -> Result<Self, JoinError> {
        let timeline = Timeline::new(order.origin_ms);
        let gauges = Arc::new(Gauges::default());
        gauges.muted.store(muted, Ordering::Relaxed);
        gauges.dbfs.store((-127.0_f32).to_bits(), Ordering::Relaxed);
        let (closed, file_closed) = sync_channel(1);
        let recorder = open_record(config, &order, &keys, &gauges, &tell, &closed)?;
        let playout = start_playout(config, &order, timeline, &tell)?;
        let link = {
            let (tell, feed, gauges) = (Arc::clone(&tell), playout.feed(), Arc::clone(&gauges));
            let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            BoxLink::start(local, &order, keys.dtls, move |event| {
                receive(event, &tell, &feed, &gauges);
            })?
        };
        let mut session = Self {
            site: config.site.clone(),
            order,
            encoders,
            timeline,
            source: None,
            link: Arc::new(link),
            recorder: Arc::new(recorder),
            playout: Some(playout),
            gauges,
            tell,
            file_closed,
        };
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
        let contribution = self.contribution(source.is_clip())?;
        let (main, thumb) = (self.order.main, self.order.thumb);
        source.start(main, main.fps.max(thumb.fps), contribution)?;
        self.source = Some(source);
        Ok(())
    }

    /// What is done with everything that the camera captures.
    fn contribution(&self, is_clip: bool) -> Result<impl FnMut(Captured) + Send + 'static, MediaError> {
        let (timeline, tell, gauges) = (self.timeline, Arc::clone(&self.tell), Arc::clone(&self.gauges));
        let mut microphone = Microphone::new(self.order.audio_kbps, gauges.muted.load(Ordering::Relaxed))?;
        let stream = Stream::Site(self.site.clone());
        let send_unit = {
            let (link, recorder, gauges) = (Arc::clone(&self.link), Arc::clone(&self.recorder), Arc::clone(&gauges));
            let stream = stream.clone();
            move |encoding, unit: AccessUnit| {
                if encoding == Encoding::Main {
                    gauges.frames.fetch_add(1, Ordering::Relaxed);
                    recorder.video(&stream, unit.clone());
                }
                let captured = timeline.system_time(timeline.instant(unit.ticks, VIDEO_RATE));
                link.send_video(encoding, unit, captured);
            }
        };
        let mut encodings = Encodings::new(&self.encoders, self.order.main, self.order.thumb, send_unit);
        let (link, recorder) = (Arc::clone(&self.link), Arc::clone(&self.recorder));
        let send_sound = move |packet: OpusPacket, at| {
            recorder.audio(&stream, packet.clone());
            link.send_audio(packet, timeline.system_time(at));
        };
        let mut begun =
            Begun { session: self.order.session.clone(), is_clip, picture: None, sound: false, said: false };
        let mut blocks = 0;
        Ok(move |captured| {
            let now = Instant::now();
            match captured {
                Captured::Picture { picture, at } => {
                    match gauges.take_wish() {
                        Some(Wish::Thumb(order)) => encodings.order_thumb(Some(order)),
                        Some(Wish::Nothing) => encodings.order_thumb(None),
                        None => {}
                    }
                    for encoding in [Encoding::Main, Encoding::Thumb] {
                        if gauges.key(encoding).swap(false, Ordering::Relaxed) {
                            encodings.force_key(encoding, now);
                        }
                    }
                    let Some(ticks) = timeline.video_ticks(at) else {
                        return;
                    };
                    if let Err(error) = encodings.push(&picture, ticks, now) {
                        tracing::error!("{error}");
                        fault(&tell, &error);
                    }
                    begun.picture.get_or_insert_with(|| timeline.utc_ms(at));
                }
                Captured::Sound { block, at } => {
                    let Some(ticks) = timeline.audio_ticks(at) else {
                        return;
                    };
                    microphone.set_muted(gauges.muted.load(Ordering::Relaxed));
                    match microphone.encode(&block, ticks) {
                        Ok(packet) => send_sound(packet, at),
                        Err(error) => fault(&tell, &error),
                    }
                    blocks += 1;
                    if blocks % METER_BLOCKS == 0 {
                        gauges.dbfs.store(microphone.take_dbfs().to_bits(), Ordering::Relaxed);
                    }
                    begun.sound = true;
                }
                Captured::Failed(error) => tell(SessionEvent::CameraFailed(error)),
            }
            begun.say_once(&tell);
        })
    }

    /// Mutes or opens the microphone.
    pub fn set_muted(&self, muted: bool) {
        self.gauges.muted.store(muted, Ordering::Relaxed);
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
            link: self.gauges.link.lock().unwrap_or_else(PoisonError::into_inner).clone(),
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
        if let Some(playout) = self.playout.take() {
            playout.finish();
        }
    }
}

/// The first picture and the first sound of a camera.
struct Begun {
    session: SessionId,
    is_clip: bool,
    picture: Option<u64>,
    sound: bool,
    said: bool,
}

impl Begun {
    fn say_once(&mut self, tell: &Tell) {
        let (Some(picture), true, false) = (self.picture, self.sound, self.said) else {
            return;
        };
        self.said = true;
        let clip_started_at_ms = self.is_clip.then_some(picture);
        tell(SessionEvent::Say(FromMedia::Capturing { session: self.session.clone(), clip_started_at_ms }));
    }
}

fn fault(tell: &Tell, error: &MediaError) {
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
            *gauges.link.lock().unwrap_or_else(PoisonError::into_inner) = health;
        }
    }
}

fn start_playout(config: &MediaConfig, order: &Join, timeline: Timeline, tell: &Tell) -> Result<Playout, MediaError> {
    let settings = |returns: Option<PathBuf>| PlayoutSettings {
        decode: config.decode_return,
        returns,
        session: order.session.clone(),
        origin_ms: order.origin_ms,
        screen: config.screen.clone(),
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
