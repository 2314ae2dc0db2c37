//! The media child's main thread: what the control process asks, in order; one session at a time.
//!
//! Ends when the control process is gone, or when it is told to: then the files are closed, and the session can be gone
//! on with by the next child.

mod confinement;

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use agent_core::chime;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_link::Identity;
use bridgepoint_wire::command::Join;
use bridgepoint_wire::event::PressRefusal;
use bridgepoint_wire::local::{FromMedia, MediaConfig, Reader, ToMedia, encode};
use bridgepoint_wire::text::Text;
use bridgepoint_wire::trial::{Found, Trial};

use self::confinement::restrict;
use crate::chime::Chiming;
use crate::encode::Encoders;
use crate::painter::Letters;
use crate::session::{Room, Session, SessionEvent, SessionKeys, Source, Tell};
use crate::trial::{self, Bench};
use crate::{MediaError, lock};

/// Between two reports of the meters.
const METERS_EVERY: Duration = Duration::from_secs(1);
/// A camera that failed is tried again so often.
const CAMERA_AGAIN: Duration = Duration::from_secs(2);
/// Messages that may wait for a control process that does not read; then new ones are dropped.
const UNREAD: usize = 1_024;
/// A control process that does not read for this long is as good as gone.
const WRITE_WITHIN: Duration = Duration::from_millis(500);

/// What wakes the child.
#[derive(Debug)]
enum Input {
    Asked(Box<ToMedia>),
    Happened(SessionEvent),
    /// A trial has ended, and gives back what it worked with.
    Tried(Box<Tried>),
    /// The control process is gone, or this process was told to end.
    Over,
}

/// Tells a child that runs to end; may be kept by a signal handler's thread.
#[derive(Clone)]
pub struct Stopper(Sender<Input>);

impl Stopper {
    /// Close the files and end.
    pub fn stop(&self) {
        // A child that has ended already needs no telling.
        let _ = self.0.send(Input::Over);
    }
}

/// A media child on its socket.
pub struct Child {
    inputs: Receiver<Input>,
    tell: Tell,
    say: SyncSender<FromMedia>,
    /// Where trials give back what they worked with.
    done: Sender<Input>,
    writer: JoinHandle<()>,
    state: State,
    room: Room,
    /// Tones outside a session.
    chiming: Option<Chiming>,
    metered: Instant,
    /// Orders that came while a session was being left.
    postponed: VecDeque<Input>,
    confined: bool,
}

enum State {
    /// Nothing is known yet.
    New,
    Idle(Box<Idle>),
    Joined(Box<Joined>),
    /// Something is tried, on a thread of its own.
    Trying(Trying),
}

struct Trying {
    stop: Arc<AtomicBool>,
    /// The screen is the trial's.
    screen: Arc<AtomicBool>,
    /// Orders that wait until it has stopped.
    then: Vec<ToMedia>,
}

/// A trial that is over.
struct Tried {
    attempt: u32,
    found: Found,
    config: MediaConfig,
    encoders: Encoders,
}

impl std::fmt::Debug for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tried").field("attempt", &self.attempt).field("found", &self.found).finish_non_exhaustive()
    }
}

struct Idle {
    config: MediaConfig,
    encoders: Encoders,
    /// Open already, so that a session begins at once. `None` when it could not be opened again.
    source: Option<Source>,
}

struct Joined {
    config: MediaConfig,
    encoders: Encoders,
    session: Session,
    camera_again: Option<Instant>,
}

impl Child {
    /// A child that speaks over `socket`.
    ///
    /// # Errors
    /// The system's reason when the socket cannot be used.
    pub fn new(socket: UnixStream) -> std::io::Result<(Self, Stopper)> {
        let (to, inputs) = channel();
        let reading = socket.try_clone()?;
        let writing = socket;
        writing.set_write_timeout(Some(WRITE_WITHIN))?;
        thread::Builder::new().name("orders".into()).spawn({
            let to = to.clone();
            move || read(reading, &to)
        })?;
        let (say, said) = sync_channel(UNREAD);
        let writer = thread::Builder::new().name("reports".into()).spawn({
            let to = to.clone();
            move || write(writing, &said, &to)
        })?;
        let tell: Tell = {
            let to = std::sync::Mutex::new(to.clone());
            Arc::new(move |event| {
                let to = lock(&to);
                // Nobody listens any more only when this process ends.
                let _ = to.send(Input::Happened(event));
            })
        };
        Ok((
            Self {
                inputs,
                tell,
                say,
                done: to.clone(),
                writer,
                state: State::New,
                room: Room { muted: false, volume: 100, letters: None },
                chiming: None,
                metered: Instant::now(),
                postponed: VecDeque::new(),
                confined: false,
            },
            Stopper(to),
        ))
    }

    /// As soon as its configuration is there, the whole process keeps only what that names: folders, devices, UDP.
    #[must_use]
    pub const fn confined(mut self) -> Self {
        self.confined = true;
        self
    }

    /// Serves until the control process is gone or [`Stopper::stop`] was called.
    ///
    /// # Errors
    /// [`MediaError`] when the configuration cannot work; it was reported before.
    pub fn run(mut self) -> Result<(), MediaError> {
        let outcome = loop {
            let input = match self.postponed.pop_front() {
                Some(input) => Ok(input),
                None => self.inputs.recv_timeout(self.until_next()),
            };
            match input {
                Ok(Input::Asked(message)) => {
                    if let Err(error) = self.asked(*message) {
                        break Err(error);
                    }
                }
                Ok(Input::Happened(event)) => self.happened(event),
                Ok(Input::Tried(tried)) => self.tried(*tried),
                Ok(Input::Over) | Err(RecvTimeoutError::Disconnected) => break Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.timers();
        };
        match self.state {
            State::Joined(joined) => joined.session.suspend(),
            State::Trying(trying) => trying.stop.store(true, Ordering::Relaxed),
            State::New | State::Idle(_) => {}
        }
        // What was said is still written, as far as somebody reads.
        drop((self.say, self.tell));
        drop(self.inputs);
        if self.writer.join().is_err() {
            tracing::error!("the reporting thread panicked");
        }
        outcome
    }

    fn say(&self, message: FromMedia) {
        if self.say.try_send(message).is_err() {
            tracing::warn!("the control process does not read: a report was dropped");
        }
    }

    fn until_next(&self) -> Duration {
        match &self.state {
            State::New | State::Idle(_) | State::Trying(_) => Duration::from_hours(1),
            State::Joined(_) => (self.metered + METERS_EVERY).saturating_duration_since(Instant::now()),
        }
    }

    fn asked(&mut self, message: ToMedia) -> Result<(), MediaError> {
        let message = match (&mut self.state, message) {
            // The session, and whoever else wants the camera, comes first; each waits for the trial's end.
            (State::Trying(trying), ToMedia::ScreenYours) => {
                trying.screen.store(true, Ordering::Relaxed);
                return Ok(());
            }
            // These want neither the camera nor the end of what is tried.
            (State::Trying(_), message @ (ToMedia::Volume(_) | ToMedia::Refused(_))) => message,
            (State::Trying(trying), message) => {
                trying.stop.store(true, Ordering::Relaxed);
                trying.then.push(message);
                return Ok(());
            }
            (_, message) => message,
        };
        match message {
            ToMedia::Configure(config) => self.configure(*config)?,
            ToMedia::Join { order, muted, session_key, session_cert } => {
                self.join(*order, muted, &session_key, session_cert);
            }
            ToMedia::Leave => self.leave(),
            ToMedia::Mute(on) => {
                if let State::Joined(joined) = &self.state {
                    joined.session.set_muted(on);
                }
            }
            // The program itself says it, in its corner.
            ToMedia::Tally(on) => tracing::info!(on, "tally"),
            ToMedia::Volume(percent) => self.set_volume(percent),
            ToMedia::Refused(reason) => self.refuse(reason),
            ToMedia::Try { attempt, trial } => self.attempt(attempt, trial),
            // It has ended by itself.
            ToMedia::StopTrying => {}
            ToMedia::ScreenYours => {
                if let State::Joined(joined) = &self.state {
                    joined.session.take_screen();
                }
            }
        }
        Ok(())
    }

    fn set_volume(&mut self, percent: u8) {
        self.room.volume = percent;
        if let State::Joined(joined) = &self.state {
            joined.session.set_volume(percent);
        }
    }

    fn refuse(&mut self, reason: PressRefusal) {
        match &self.state {
            State::Joined(joined) => joined.session.refuse(reason),
            State::Idle(idle) => {
                // Pressed again: the tones begin again.
                self.chiming = None;
                let loudspeaker = idle.config.loudspeaker.as_ref();
                self.chiming = loudspeaker.map(|on| Chiming::start(on, self.room.volume, chime::refused()));
            }
            // The loudspeaker is the trial's, or not known yet.
            State::New | State::Trying(_) => {}
        }
    }

    fn attempt(&mut self, attempt: u32, trial: Trial) {
        let idle = match std::mem::replace(&mut self.state, State::New) {
            State::Idle(idle) => idle,
            busy => {
                self.state = busy;
                self.say(FromMedia::Tried { attempt, found: Found::Stopped });
                return;
            }
        };
        // The loudspeaker is free.
        self.chiming = None;
        let Idle { config, encoders, source } = *idle;
        let (stop, screen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let trying = Trying { stop: Arc::clone(&stop), screen: Arc::clone(&screen), then: Vec::new() };
        self.state = State::Trying(trying);
        let (say, done) = (self.say.clone(), self.done.clone());
        thread::spawn(move || {
            let say = move |message| {
                if say.try_send(message).is_err() {
                    tracing::warn!("the control process does not read: a report was dropped");
                }
            };
            let bench = Bench { config: &config, encoders: &encoders, source, stop: &stop, screen: &screen, say: &say };
            let found = trial::run(trial, bench);
            // Nobody listens any more only when this process ends.
            let _ = done.send(Input::Tried(Box::new(Tried { attempt, found, config, encoders })));
        });
    }

    fn tried(&mut self, tried: Tried) {
        let Tried { attempt, found, config, encoders } = tried;
        let source = reopen(&config);
        let before = std::mem::replace(&mut self.state, State::Idle(Box::new(Idle { config, encoders, source })));
        self.say(FromMedia::Tried { attempt, found });
        if let State::Trying(Trying { then, .. }) = before {
            self.postponed.extend(then.into_iter().map(|message| Input::Asked(Box::new(message))));
        }
    }

    fn configure(&mut self, config: MediaConfig) -> Result<(), MediaError> {
        if !matches!(self.state, State::New) {
            tracing::warn!("configured twice: the first configuration stays");
            return Ok(());
        }
        // Before the process is confined.
        let letters = config.lettering.as_ref().and_then(|described| {
            Letters::read(described)
                .inspect_err(|error| tracing::warn!("nothing is written over the program: {error}"))
                .ok()
        });
        self.room = Room {
            muted: false,
            volume: config.loudspeaker.as_ref().map_or(100, |loudspeaker| loudspeaker.volume),
            letters,
        };
        let records = Path::new(&config.records);
        let opened = std::fs::create_dir_all(records)
            .map_err(|e| MediaError::File { file: config.records.clone(), reason: e.to_string() })
            .and_then(|()| {
                if self.confined {
                    crate::pipeline::init()?;
                    restrict(&config);
                }
                Ok(())
            })
            .and_then(|()| Ok((Encoders::choose(&config.encoders, &config.preset)?, Source::open(&config.camera)?)));
        match opened {
            Ok((encoders, source)) => {
                tracing::info!(encoder = encoders.best().name(), "ready");
                self.state = State::Idle(Box::new(Idle { config, encoders, source: Some(source) }));
                self.say(FromMedia::Ready);
                Ok(())
            }
            Err(error) => {
                let (text, details) = match &error {
                    MediaError::File { file, reason } => (Text::DiskNotWritable, vec![file.clone(), reason.clone()]),
                    other => other.text(),
                };
                self.say(FromMedia::Fatal { text: text.name().into(), details });
                Err(error)
            }
        }
    }

    fn join(&mut self, order: Join, muted: bool, session_key: &str, statement: serde_json::Value) {
        if let State::Joined(joined) = &self.state {
            if *joined.session.id() == order.session {
                return;
            }
            self.leave();
        }
        let State::Idle(idle) = std::mem::replace(&mut self.state, State::New) else {
            tracing::error!("asked to join before it was configured");
            return;
        };
        self.chiming = None;
        let Idle { config, encoders, source } = *idle;
        let room = Room { muted, ..self.room.clone() };
        match begin(&config, &encoders, source, order, (session_key, statement), (&room, &self.tell)) {
            Ok(session) => {
                self.metered = Instant::now();
                self.state = State::Joined(Box::new(Joined { config, encoders, session, camera_again: None }));
            }
            Err((text, details)) => {
                tracing::error!("cannot join: {text:?} {details:?}");
                self.say(FromMedia::Fault { text: text.name().into(), details });
                let source = reopen(&config);
                self.state = State::Idle(Box::new(Idle { config, encoders, source }));
            }
        }
    }

    fn leave(&mut self) {
        let State::Joined(joined) = std::mem::replace(&mut self.state, State::New) else {
            return;
        };
        let Joined { config, encoders, session, .. } = *joined;
        let id = session.id().clone();
        if let Err(error) = session.leave() {
            let details = vec![config.records.clone(), error.to_string()];
            self.say(FromMedia::Fault { text: Text::RecorderFailed.name().into(), details });
        }
        // Fragments that were written at the end are told before the end is.
        while let Ok(input) = self.inputs.try_recv() {
            match input {
                Input::Happened(event) => self.happened(event),
                order => self.postponed.push_back(order),
            }
        }
        self.say(FromMedia::Left { session: id });
        let source = reopen(&config);
        self.state = State::Idle(Box::new(Idle { config, encoders, source }));
    }

    fn happened(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Say(message) => self.say(message),
            SessionEvent::CameraFailed(error) => {
                tracing::error!("{error}");
                let (text, details) = error.text();
                self.say(FromMedia::Fault { text: text.name().into(), details });
                if let State::Joined(joined) = &mut self.state {
                    joined.camera_again = Some(Instant::now() + CAMERA_AGAIN);
                }
            }
        }
    }

    fn timers(&mut self) {
        let State::Joined(joined) = &mut self.state else {
            return;
        };
        let now = Instant::now();
        if joined.camera_again.is_some_and(|at| now >= at) {
            let opened = Source::open(&joined.config.camera).and_then(|source| joined.session.set_source(source));
            joined.camera_again = match opened {
                Ok(()) => None,
                Err(error) => {
                    tracing::debug!("{error}");
                    Some(now + CAMERA_AGAIN)
                }
            };
        }
        let since = now.saturating_duration_since(self.metered);
        if since >= METERS_EVERY {
            self.metered = now;
            let meters = joined.session.meters(since);
            self.say(meters);
        }
    }
}

/// Opens the camera for the next session. One that is away then is looked for when that session begins.
fn reopen(config: &MediaConfig) -> Option<Source> {
    Source::open(&config.camera).inspect_err(|error| tracing::warn!("{error}")).ok()
}

fn begin(
    config: &MediaConfig,
    encoders: &Encoders,
    source: Option<Source>,
    order: Join,
    (session_key, statement): (&str, serde_json::Value),
    (room, tell): (&Room, &Tell),
) -> Result<Session, (Text, Vec<String>)> {
    let bytes = |name: &str, base64: &str| {
        B64.decode(base64).map_err(|e| (Text::RecorderFailed, vec![name.to_owned(), e.to_string()]))
    };
    let keys = SessionKeys {
        record: bytes("session key", session_key)?,
        statement,
        dtls: Identity {
            cert_der: bytes("DTLS certificate", &config.dtls_cert)?,
            key_der: bytes("DTLS key", &config.dtls_key)?,
        },
    };
    let source = match source {
        Some(source) => source,
        None => Source::open(&config.camera).map_err(|error| error.text())?,
    };
    Session::start(config, order, keys, encoders.clone(), source, room, Arc::clone(tell))
        .map_err(|error| error.text(Path::new(&config.records)))
}

fn read(mut socket: UnixStream, to: &Sender<Input>) {
    let mut frames = Reader::default();
    let mut bytes = [0; 16 << 10];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => break,
            Ok(n) => frames.push(&bytes[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        loop {
            match frames.next::<ToMedia>() {
                Ok(Some(message)) => {
                    if to.send(Input::Asked(Box::new(message))).is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!("the control process said something unreadable: {error}");
                    let _ = to.send(Input::Over);
                    return;
                }
            }
        }
    }
    let _ = to.send(Input::Over);
}

fn write(mut socket: UnixStream, said: &Receiver<FromMedia>, to: &Sender<Input>) {
    for message in said {
        if let Err(error) = socket.write_all(&encode(&message)) {
            tracing::warn!("the control process does not listen any more: {error}");
            let _ = to.send(Input::Over);
            return;
        }
    }
}
