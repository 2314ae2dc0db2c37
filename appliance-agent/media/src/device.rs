//! A real camera and microphone: the picture as [`crate::eye`] gets it, the sound from ALSA.
//!
//! ```text
//! Eye ─► on_captured
//! alsasrc ! audioconvert ! audioresample ! S16 mono 48k ! appsink ─► blocks of 20 ms ─► on_captured
//! ```
//! Capture instants are the buffers' time stamps on the pipeline's clock, which is the system's monotonic clock: the
//! kernel stamps a picture when it was exposed, not when it arrives here.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};

use crate::eye::{Eye, Lens};
use crate::pace::{BLOCK, SOUND_RATE};
use crate::pipeline::{make, nice_threads, play, reason, set_if_there, stop};
use crate::{Captured, MediaError};

/// How often the microphone's watcher looks whether it is still wanted.
const LOOK_EVERY_MS: u64 = 100;

/// A live camera, and a microphone on an ALSA device.
pub struct DeviceCamera {
    lens: Lens,
    audio: Option<String>,
    running: Option<Running>,
}

struct Running {
    /// Let go first: it waits for nobody.
    _eye: Eye,
    sound: gst::Pipeline,
    /// Ends the watcher.
    over: Sender<()>,
    watcher: JoinHandle<()>,
    sink: Sink,
}

/// Where everything that is captured goes; to nobody once the camera was let go.
pub(crate) type Sink = Arc<Mutex<Option<Box<dyn FnMut(Captured) + Send>>>>;

impl DeviceCamera {
    /// Opens nothing, so that a camera's light stays off until it is needed; one that is away is waited for then.
    ///
    /// # Errors
    /// [`MediaError::Framework`].
    pub fn open(lens: Lens, audio: Option<&str>) -> Result<Self, MediaError> {
        crate::pipeline::init()?;
        Ok(Self { lens, audio: audio.map(Into::into), running: None })
    }

    /// Starts to capture, pictures of at most this size and rate. A camera that is away, or is lost, is told of and
    /// waited for.
    ///
    /// # Errors
    /// [`MediaError::CameraMissing`] when the microphone does not start.
    pub fn start(
        &mut self,
        size: (u16, u16),
        fps: u8,
        on_captured: impl FnMut(Captured) + Send + 'static,
    ) -> Result<Instant, MediaError> {
        let sink: Sink = Arc::new(Mutex::new(Some(Box::new(on_captured))));
        let pipeline = gst::Pipeline::new();
        nice_threads(&pipeline);
        // Time stamps of picture and sound on one clock, the one that `Instant` counts on.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        match &self.audio {
            Some(device) => sound(&pipeline, device, &sink)?,
            None => silence(&pipeline, &sink)?,
        }
        let microphone = self.audio.clone().unwrap_or_default();
        let failed = |reason| MediaError::CameraMissing { camera: microphone.clone(), reason };
        play(&pipeline).map_err(failed)?;
        let (over, ends) = channel();
        let watcher = {
            let (pipeline, sink) = (pipeline.clone(), Arc::clone(&sink));
            std::thread::Builder::new()
                .name("device".into())
                .spawn(move || watch(&pipeline, &microphone, &sink, &ends))
                .map_err(|e| MediaError::Framework(e.to_string()))?
        };
        let eye = Eye::open(self.lens.clone(), size, fps, &sink)?;
        self.running = Some(Running { _eye: eye, sound: pipeline, over, watcher, sink });
        Ok(Instant::now())
    }
}

impl Drop for DeviceCamera {
    fn drop(&mut self) {
        let Some(Running { sound, over, watcher, sink, .. }) = self.running.take() else {
            return;
        };
        // Out of the lock before it is dropped: its encoders' threads may be about to give something.
        let on_captured = sink.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(on_captured);
        drop(over);
        stop(&sound);
        if watcher.join().is_err() {
            tracing::error!("the microphone's watcher panicked");
        }
    }
}

/// Ends with the camera, or when a device fails.
fn watch(pipeline: &gst::Pipeline, camera: &str, on_captured: &Sink, ends: &Receiver<()>) {
    let Some(bus) = pipeline.bus() else { return };
    // Not told of its end by the bus: a pipeline that stops throws away what is on it.
    let message = loop {
        let message = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(LOOK_EVERY_MS), &[gst::MessageType::Error]);
        if message.is_some() || ends.try_recv() != Err(TryRecvError::Empty) {
            break message;
        }
    };
    if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|message| message.view()) {
        let failed = MediaError::CameraFailed { camera: camera.into(), reason: reason(error) };
        give(on_captured, Captured::Failed(failed));
    }
}

pub(crate) fn give(sink: &Sink, captured: Captured) {
    if let Some(on_captured) = &mut *sink.lock().unwrap_or_else(PoisonError::into_inner) {
        on_captured(captured);
    }
}

/// Connects a chain and adds it to the pipeline.
fn chain(pipeline: &gst::Pipeline, elements: &[&gst::Element]) -> Result<(), MediaError> {
    let failed = |e: gst::glib::BoolError| MediaError::Framework(format!("the camera's pipeline cannot be built: {e}"));
    pipeline.add_many(elements.iter().copied()).map_err(failed)?;
    gst::Element::link_many(elements.iter().copied()).map_err(failed)
}

/// When the sample was captured.
fn captured_at(sink: &AppSink, sample: &gst::Sample) -> Option<Instant> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let running = segment.to_running_time(sample.buffer()?.pts()?)?;
    let age = sink.clock()?.time().checked_sub(sink.base_time()? + running).unwrap_or(gst::ClockTime::ZERO);
    Instant::now().checked_sub(Duration::from_nanos(age.nseconds()))
}

fn live_sink(caps: &gst::Caps) -> AppSink {
    AppSink::builder().caps(caps).sync(false).max_buffers(8).drop(true).enable_last_sample(false).build()
}

fn sound(pipeline: &gst::Pipeline, device: &str, on_captured: &Sink) -> Result<(), MediaError> {
    let source = make("alsasrc")?;
    source.set_property("device", device);
    source.set_property("provide-clock", false);
    source.set_property("buffer-time", 80_000_i64);
    source.set_property("latency-time", 10_000_i64);
    microphone(pipeline, &source, on_captured)
}

/// A box without a microphone sends silence, so that its record has no gap.
fn silence(pipeline: &gst::Pipeline, on_captured: &Sink) -> Result<(), MediaError> {
    let source = make("audiotestsrc")?;
    source.set_property("is-live", true);
    source.set_property_from_str("wave", "silence");
    microphone(pipeline, &source, on_captured)
}

fn microphone(pipeline: &gst::Pipeline, source: &gst::Element, on_captured: &Sink) -> Result<(), MediaError> {
    let convert = make("audioconvert")?;
    set_if_there(&convert, "dithering", "none");
    let resample = make("audioresample")?;
    let sink = live_sink(&crate::clip::sound_caps());
    chain(pipeline, &[source, &convert, &resample, sink.upcast_ref()])?;
    let on_captured = Arc::clone(on_captured);
    let blocks = Mutex::new(Blocks::default());
    let on_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let (Some(at), Some(map)) = (captured_at(sink, &sample), sample.buffer().and_then(|b| b.map_readable().ok()))
        else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let samples = map.chunks_exact(2).map(|b| i16::from_ne_bytes([b[0], b[1]]));
        let mut blocks = blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.push(at, samples, |block, at| {
            give(&on_captured, Captured::Sound { block, at });
        });
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
    Ok(())
}

/// Cuts a microphone's samples into blocks, each with the capture instant of its first sample.
#[derive(Default)]
struct Blocks {
    waiting: Vec<i16>,
}

impl Blocks {
    /// Samples whose first was captured at `at`.
    fn push(
        &mut self,
        at: Instant,
        samples: impl Iterator<Item = i16>,
        mut block: impl FnMut(Box<[i16; BLOCK]>, Instant),
    ) {
        // The waiting samples were captured just before these.
        let mut first = at.checked_sub(duration_of(self.waiting.len())).unwrap_or(at);
        self.waiting.extend(samples);
        while let Some((whole, _)) = self.waiting.split_first_chunk::<BLOCK>() {
            block(Box::new(*whole), first);
            first += duration_of(BLOCK);
            self.waiting.drain(..BLOCK);
        }
    }
}

fn duration_of(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * 1_000_000_000 / SOUND_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_carry_the_instant_of_their_first_sample() {
        let (mut blocks, start) = (Blocks::default(), Instant::now());
        let mut got = Vec::new();
        for n in 0..10_u32 {
            let samples = (0..480).map(|i| (n * 480 + i) as i16);
            blocks.push(start + Duration::from_millis(10) * n, samples, |block, at| got.push((block[0], at)));
        }
        assert_eq!(got.len(), 5);
        for (n, (first, at)) in got.into_iter().enumerate() {
            assert_eq!(first, n as i16 * 960);
            assert_eq!(at, start + Duration::from_millis(20 * n as u64));
        }
    }
}
