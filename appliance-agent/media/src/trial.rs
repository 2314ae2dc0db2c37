//! What an installation tries out with camera, microphone, encoder and line: each trial runs on a thread of its own and
//! ends by itself, or when it is told to stop.

mod call;
mod playback;
mod sound_test;
mod watching;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::local::{FromMedia, MediaConfig};
use bridgepoint_wire::trial::{Found, Trial};

use crate::encode::Encoders;
use crate::epoch::Epoch;
use crate::loudspeaker::Loudspeaker;
use crate::microphones::{FromMicrophones, Microphones};
use crate::painter::{PaintError, Painter};
use crate::session::Source;
use crate::{Captured, MediaError};

/// How large trials capture: as a session does unless the centre says otherwise.
const ORDER: VideoOrder = VideoOrder { width: 1_280, height: 720, fps: 25, kbps: 2_000 };
/// A camera that is there brings its first picture within this.
const FIRST: Duration = Duration::from_secs(6);
/// The screen is handed over within this.
const SCREEN_WITHIN: Duration = Duration::from_secs(3);
/// How often a trial looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// Captured pictures and blocks that may wait; then new ones are dropped.
const QUEUE: usize = 64;

/// What a trial works with.
pub struct Bench<'a> {
    /// As for sessions.
    pub config: &'a MediaConfig,
    /// Those that work here.
    pub encoders: &'a Encoders,
    /// Open, or to be opened.
    pub source: Option<Source>,
    /// Set from outside: nobody waits for the trial any more.
    pub stop: &'a AtomicBool,
    /// Set from outside: the screen may be drawn on.
    pub screen: &'a AtomicBool,
    /// For what is told while it goes on.
    pub say: &'a dyn Fn(FromMedia),
}

/// Runs a trial to its end.
pub fn run(trial: Trial, mut bench: Bench<'_>) -> Found {
    let none = match &trial {
        Trial::WatchForCode => Found::Stopped,
        Trial::LookAtPicture => Found::Picture(None),
        Trial::Listen { .. } => Found::Sound(Vec::new()),
        Trial::Encode { .. } => Found::Encoder(None),
        Trial::MeasureLine { .. } => Found::Line(None),
        Trial::Call { .. } => Found::Call(None),
        Trial::TestSound => Found::SoundTest(Vec::new()),
        Trial::RecordAndPlay { .. } => Found::Playback(None),
    };
    let tried = match trial {
        Trial::WatchForCode => watching::for_code(&mut bench),
        Trial::LookAtPicture => watching::picture(&mut bench),
        Trial::Listen { seconds } => watching::sound(&mut bench, seconds),
        Trial::Encode { seconds } => watching::encoder(&mut bench, seconds),
        Trial::MeasureLine { order, seconds, up_kbps, down_kbps } => {
            call::line(&bench, &order, seconds, [up_kbps, down_kbps]).map(|line| Found::Line(Some(line)))
        }
        Trial::Call { order, seconds } => call::call(&mut bench, &order, seconds).map(|call| Found::Call(Some(call))),
        Trial::TestSound => sound_test::run(&bench),
        Trial::RecordAndPlay { seconds } => {
            playback::record_and_play(&mut bench, seconds).map(|played| Found::Playback(Some(played)))
        }
    };
    match tried {
        Ok(_) if bench.stop.load(Ordering::Relaxed) => Found::Stopped,
        Ok(found) => found,
        Err(error) => {
            tracing::warn!("trial: {error}");
            none
        }
    }
}

/// Why a trial has no result.
#[derive(Debug, thiserror::Error)]
enum TrialError {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("the link: {0}")]
    Link(#[from] bridgepoint_link::LinkError),
    #[error("{0}")]
    Key(String),
    #[error(transparent)]
    Screen(#[from] PaintError),
    #[error("no connection to the echo for {0:?}")]
    NoLink(Duration),
    #[error("no picture within {FIRST:?}")]
    NoPicture,
    #[error("nobody waits for it any more")]
    Stopped,
}

impl Bench<'_> {
    /// The camera and the microphone, running.
    fn capture(&mut self, order: VideoOrder) -> Result<Capture, TrialError> {
        let mut source = match self.source.take() {
            Some(source) => source,
            None => Source::open(&self.config.camera)?,
        };
        let (to, captured) = sync_channel(QUEUE);
        let own_sound = self.config.microphones.is_none() && source.is_clip();
        let microphones = if own_sound { None } else { Some(self.listen(to.clone())?) };
        source.start(order, order.fps, move |captured| {
            if own_sound || !matches!(captured, Captured::Sound { .. }) {
                // What is captured while nobody looks is worth nothing.
                let _ = to.try_send(captured);
            }
        })?;
        Ok(Capture { _source: source, _microphones: microphones, captured })
    }

    /// The room's microphones, as a session hears them.
    fn listen(&self, to: SyncSender<Captured>) -> Result<Microphones, MediaError> {
        let on_heard = move |brought| match brought {
            FromMicrophones::Block(block, at) => drop(to.try_send(Captured::Sound { block, at })),
            FromMicrophones::Event(event) => tracing::info!(?event, "microphones"),
            FromMicrophones::Fault(error) => tracing::warn!("{error}"),
            FromMicrophones::Heard(_) => {}
        };
        Microphones::start(self.config.microphones.as_ref(), Epoch::now(), false, on_heard)
    }

    /// The loudspeaker as the box's own configuration has it, where there is one.
    fn loudspeaker(
        &self,
        on_fault: impl FnMut(MediaError) + Send + 'static,
    ) -> Result<Option<Loudspeaker>, MediaError> {
        let Some(on) = &self.config.loudspeaker else { return Ok(None) };
        crate::pipeline::init()?;
        Loudspeaker::start(&on.device, on.volume, Epoch::now(), on_fault).map(Some)
    }

    /// The screen, where there is one, from its owner; given back when it is dropped.
    fn painter(&self) -> Result<Option<Painter>, TrialError> {
        let Some(at) = &self.config.screen else { return Ok(None) };
        (self.say)(FromMedia::ScreenWanted);
        let until = Instant::now() + SCREEN_WITHIN;
        while !self.screen.load(Ordering::Relaxed) && Instant::now() < until {
            self.stopped()?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(Painter::open(at)?))
    }

    fn stopped(&self) -> Result<(), TrialError> {
        if self.stop.load(Ordering::Relaxed) { Err(TrialError::Stopped) } else { Ok(()) }
    }

    /// Hands over what is captured, until `each` has enough or `until` is there.
    fn watch(
        &self,
        capture: &Capture,
        until: Instant,
        mut each: impl FnMut(Captured) -> Result<ControlFlow<()>, TrialError>,
    ) -> Result<(), TrialError> {
        loop {
            self.stopped()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            match capture.captured.recv_timeout(left.min(LOOK)) {
                Ok(Captured::Failed(error) | Captured::Lost(error)) => return Err(error.into()),
                Ok(captured) => {
                    if each(captured)?.is_break() {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(TrialError::NoPicture),
            }
        }
    }
}

/// A running camera.
struct Capture {
    _source: Source,
    _microphones: Option<Microphones>,
    captured: Receiver<Captured>,
}
