//! The picture of a live camera: opened, watched, and opened again for as long as it takes, in a thread of its own.
//! What happens to it never touches the sound.

mod coded;
mod decode;
mod fitness;
mod rtsp;
mod sets;
mod v4l2;
mod watch;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bridgepoint_wire::local::RtspStream;
use gst::prelude::*;
use gst_app::AppSink;

use self::coded::Coded;
use self::fitness::Fitness;
use self::rtsp::Offer;
use self::v4l2::Wanted;
use self::watch::Watch;
use crate::device::{Sink, give};
use crate::pipeline::{nice_threads, play, reason, stop};
use crate::{Captured, MediaError, lock};

/// How often the thread looks after the camera; what its device says wakes it at once.
const LOOK_EVERY_MS: u64 = 50;

/// Where pictures come from.
#[derive(Debug, Clone)]
pub enum Lens {
    /// A V4L2 node.
    V4l2(String),
    /// A camera on the network.
    Rtsp(RtspStream),
}

impl Lens {
    /// As people call it: device or address.
    pub fn name(&self) -> &str {
        match self {
            Self::V4l2(device) => device,
            Self::Rtsp(stream) => &stream.url,
        }
    }

    const fn latency(&self) -> Duration {
        match self {
            // The kernel stamps a picture when it was exposed.
            Self::V4l2(_) => Duration::ZERO,
            Self::Rtsp(stream) => Duration::from_millis(stream.latency_ms as u64),
        }
    }
}

/// A live camera. It is let go when this is dropped, which does not wait for its driver.
pub(crate) struct Eye {
    _over: Sender<()>,
    _thread: JoinHandle<()>,
}

impl Eye {
    /// Pictures of at most this size and rate from now on, and again whenever they stopped.
    pub(crate) fn open(lens: Lens, size: (u16, u16), fps: u8, sink: &Sink) -> Result<Self, MediaError> {
        let (over, ends) = channel();
        let keeper = Keeper {
            outlet: Outlet { camera: lens.name().to_owned(), sink: Arc::clone(sink), last: Arc::default() },
            lens,
            wanted: Wanted { size, fps },
            fitness: Arc::default(),
            watch: Watch::new(Instant::now()),
        };
        let thread = std::thread::Builder::new()
            .name("eye".into())
            .spawn(move || keeper.run(&ends))
            .map_err(|e| MediaError::Framework(e.to_string()))?;
        Ok(Self { _over: over, _thread: thread })
    }
}

/// Where what is seen goes.
#[derive(Clone)]
struct Outlet {
    camera: String,
    sink: Sink,
    /// When the newest picture came.
    last: Arc<Mutex<Option<Instant>>>,
}

impl Outlet {
    fn give(&self, captured: Captured) {
        give(&self.sink, captured);
    }

    fn seen(&self) {
        *lock(&self.last) = Some(Instant::now());
    }

    fn take_seen(&self) -> Option<Instant> {
        lock(&self.last).take()
    }
}

/// A pipeline's running time on the axis of [`Instant`]: both count the system's monotonic clock.
struct Axis {
    /// Running time zero.
    zero: OnceLock<Instant>,
    /// From a picture's exposure to its time stamp.
    latency: Duration,
}

impl Axis {
    fn running(&self, sink: &AppSink, sample: &gst::Sample) -> Option<gst::ClockTime> {
        let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
        let running = segment.to_running_time(sample.buffer()?.pts()?)?;
        if self.zero.get().is_none() {
            let since_zero = sink.clock()?.time().checked_sub(sink.base_time()?)?;
            let zero = Instant::now().checked_sub(Duration::from_nanos(since_zero.nseconds()))?;
            self.zero.get_or_init(|| zero);
        }
        Some(running)
    }

    /// When what has this running time was captured.
    fn instant(&self, running: gst::ClockTime) -> Instant {
        let zero = *self.zero.get_or_init(Instant::now);
        let at = zero + Duration::from_nanos(running.nseconds());
        at.checked_sub(self.latency).unwrap_or(at)
    }
}

/// A camera that is open, but not yet started.
struct Opened {
    pipeline: gst::Pipeline,
    offer: Arc<Mutex<Offer>>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        stop(&self.pipeline);
    }
}

struct Keeper {
    lens: Lens,
    wanted: Wanted,
    outlet: Outlet,
    fitness: Arc<Mutex<Fitness>>,
    watch: Watch,
}

impl Keeper {
    fn run(mut self, ends: &Receiver<()>) {
        loop {
            self.outlet.take_seen();
            self.watch.handle_opening(Instant::now());
            let fault = match self.open() {
                Ok(opened) => match self.attend(&opened, ends) {
                    Some(fault) => fault,
                    None => return,
                },
                Err(fault) => fault,
            };
            tracing::debug!("{fault}");
            let wants_login = matches!(fault, MediaError::CameraLogin { .. });
            let certain = wants_login || matches!(fault, MediaError::CameraCodec { .. });
            if self.watch.handle_fault(Instant::now(), certain) {
                self.outlet.give(Captured::Lost(fault));
            }
            match ends.recv_timeout(Watch::rest(wants_login)) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn open(&self) -> Result<Opened, MediaError> {
        let axis = Arc::new(Axis { zero: OnceLock::new(), latency: self.lens.latency() });
        let coded = || Coded::new(self.outlet.clone(), Arc::clone(&axis), Arc::clone(&self.fitness));
        let opened = match &self.lens {
            Lens::V4l2(device) => {
                // Its driver's words for it are many.
                std::fs::metadata(device).map_err(|e| self.failed(&e.to_string()))?;
                v4l2::open(device, self.wanted, &axis, &self.outlet, coded)?
            }
            Lens::Rtsp(stream) => rtsp::open(stream, &axis, coded())?,
        };
        nice_threads(&opened.pipeline);
        // The one clock that `Instant` counts on, for all cameras and microphones.
        opened.pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        play(&opened.pipeline).map_err(|reason| self.failed(&reason))?;
        Ok(opened)
    }

    fn failed(&self, reason: &str) -> MediaError {
        MediaError::CameraFailed { camera: self.outlet.camera.clone(), reason: reason.to_owned() }
    }

    /// Until it fails; `None`: it is not wanted any more.
    fn attend(&mut self, opened: &Opened, ends: &Receiver<()>) -> Option<MediaError> {
        let bus = opened.pipeline.bus()?;
        let wanted = [gst::MessageType::Error, gst::MessageType::Application];
        loop {
            if ends.try_recv() != Err(TryRecvError::Empty) {
                return None;
            }
            let message = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(LOOK_EVERY_MS), &wanted);
            if let Some(after) = self.outlet.take_seen().and_then(|at| self.watch.handle_picture(at)) {
                self.outlet.give(Captured::Back { camera: self.outlet.camera.clone(), after });
            }
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => return Some(self.fault(error, &opened.offer)),
                Some(_) => return Some(self.failed("it ended the stream")),
                None => {}
            }
            if let Some(silent) = self.watch.silence(Instant::now()) {
                return Some(self.failed(&format!("nothing for {} ms", silent.as_millis())));
            }
        }
    }

    fn fault(&self, error: &gst::message::Error, offer: &Mutex<Offer>) -> MediaError {
        let camera = self.outlet.camera.clone();
        if error.error().matches(gst::ResourceError::NotAuthorized) {
            return MediaError::CameraLogin { camera };
        }
        match lock(offer).only_other() {
            Some(codec) => MediaError::CameraCodec { camera, codec: codec.to_owned() },
            None => self.failed(&reason(error)),
        }
    }
}

/// The camera ends its stream, which is no error to GStreamer.
fn say_ended(pipeline: &gst::Pipeline) {
    let ended = gst::message::Application::new(gst::Structure::new_empty("bridgepoint-ended"));
    if pipeline.post_message(ended).is_err() {
        tracing::debug!("the camera's bus is gone");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err takes")]
fn linking(error: gst::glib::BoolError) -> MediaError {
    MediaError::Framework(format!("the camera's pipeline cannot be built: {error}"))
}
