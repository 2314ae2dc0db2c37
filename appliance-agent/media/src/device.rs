//! A real camera: V4L2.
//!
//! ```text
//! v4l2src ! decodebin ! videoconvert ! I420 ! appsink ─► on_captured
//! ```
//! Capture instants are the buffers' time stamps on the pipeline's clock, which is the system's monotonic clock: the
//! kernel stamps a picture when it was exposed, not when it arrives here.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};
use gst_video::VideoInfo;

use crate::picture::Picture;
use crate::pipeline::{error_on, make, nice_threads, reason, stop};
use crate::{Captured, MediaError};

/// A camera on a V4L2 node.
pub struct DeviceCamera {
    camera: String,
    running: Option<(gst::Pipeline, JoinHandle<()>)>,
}

type Sink = Arc<Mutex<dyn FnMut(Captured) + Send>>;

impl DeviceCamera {
    /// Looks whether the camera is there; opens nothing, so that its light stays off until it is needed.
    ///
    /// # Errors
    /// [`MediaError::CameraMissing`].
    pub fn open(camera: &str) -> Result<Self, MediaError> {
        crate::pipeline::init()?;
        if let Err(e) = std::fs::metadata(camera) {
            return Err(MediaError::CameraMissing { camera: camera.into(), reason: e.to_string() });
        }
        Ok(Self { camera: camera.into(), running: None })
    }

    /// Starts to capture pictures of at most this size and rate.
    ///
    /// # Errors
    /// [`MediaError::CameraMissing`] when the device does not start.
    pub fn start(
        &mut self,
        size: (u16, u16),
        fps: u8,
        on_captured: impl FnMut(Captured) + Send + 'static,
    ) -> Result<Instant, MediaError> {
        let on_captured: Sink = Arc::new(Mutex::new(on_captured));
        let pipeline = gst::Pipeline::new();
        nice_threads(&pipeline);
        // Time stamps on the clock that `Instant` counts on.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pictures(&pipeline, &self.camera, size, fps, &on_captured)?;
        let failed = |pipeline: &gst::Pipeline| MediaError::CameraMissing {
            camera: self.camera.clone(),
            reason: error_on(pipeline).unwrap_or_else(|| "it does not start".into()),
        };
        if pipeline.set_state(gst::State::Playing).is_err() {
            let error = failed(&pipeline);
            stop(&pipeline);
            return Err(error);
        }
        let watcher = {
            let (pipeline, camera) = (pipeline.clone(), self.camera.clone());
            std::thread::Builder::new()
                .name("device".into())
                .spawn(move || watch(&pipeline, &camera, &on_captured))
                .map_err(|e| MediaError::Framework(e.to_string()))?
        };
        self.running = Some((pipeline, watcher));
        Ok(Instant::now())
    }
}

impl Drop for DeviceCamera {
    fn drop(&mut self) {
        let Some((pipeline, watcher)) = self.running.take() else {
            return;
        };
        let over = gst::message::Application::new(gst::Structure::new_empty("bridgepoint-closing"));
        let _ = pipeline.post_message(over);
        stop(&pipeline);
        if watcher.join().is_err() {
            tracing::error!("the camera's watcher panicked");
        }
    }
}

/// Ends with the camera, or when the device fails.
fn watch(pipeline: &gst::Pipeline, camera: &str, on_captured: &Sink) {
    let Some(bus) = pipeline.bus() else { return };
    let wanted = [gst::MessageType::Error, gst::MessageType::Application];
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &wanted);
    if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|message| message.view()) {
        let failed = MediaError::CameraFailed { camera: camera.into(), reason: reason(error) };
        give(on_captured, Captured::Failed(failed));
    }
}

fn give(on_captured: &Sink, captured: Captured) {
    (on_captured.lock().unwrap_or_else(PoisonError::into_inner))(captured);
}

/// Connects a chain and adds it to the pipeline.
pub(crate) fn chain(pipeline: &gst::Pipeline, elements: &[&gst::Element]) -> Result<(), MediaError> {
    let failed = |e: gst::glib::BoolError| MediaError::Framework(format!("a capture pipeline cannot be built: {e}"));
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

fn pictures(
    pipeline: &gst::Pipeline,
    device: &str,
    size: (u16, u16),
    fps: u8,
    on_captured: &Sink,
) -> Result<(), MediaError> {
    let source = make("v4l2src")?;
    source.set_property("device", device);
    let limits = |media: &str| {
        gst::Structure::builder(media)
            .field("width", gst::IntRange::new(16, i32::from(size.0)))
            .field("height", gst::IntRange::new(16, i32::from(size.1)))
            .field(
                "framerate",
                gst::FractionRange::new(gst::Fraction::new(1, 1), gst::Fraction::new(fps.max(1).into(), 1)),
            )
            .build()
    };
    // Raw where the bus carries it, MJPEG else.
    let caps = [limits("video/x-raw"), limits("image/jpeg")].into_iter().collect::<gst::Caps>();
    let filter = make("capsfilter")?;
    filter.set_property("caps", &caps);
    let decode = make("decodebin")?;
    chain(pipeline, &[&source, &filter, &decode])?;
    let convert = make("videoconvert")?;
    let sink = live_sink(&gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::I420).build());
    chain(pipeline, &[&convert, sink.upcast_ref()])?;
    let entry = convert.static_pad("sink").ok_or(MediaError::Element { element: "videoconvert" })?;
    decode.connect_pad_added(move |_, pad| {
        if !entry.is_linked()
            && let Err(e) = pad.link(&entry)
        {
            tracing::warn!("the camera's picture cannot be used: {e}");
        }
    });
    let on_captured = Arc::clone(on_captured);
    let on_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let picture = sample
            .buffer_owned()
            .zip(sample.caps())
            .and_then(|(buffer, caps)| Some(Picture { buffer, info: VideoInfo::from_caps(caps).ok()? }));
        if let Some((picture, at)) = picture.zip(captured_at(sink, &sample)) {
            give(&on_captured, Captured::Picture { picture, at });
        }
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_is_not_there_is_missing() {
        let error = DeviceCamera::open("/dev/no-such-camera").err();
        assert!(matches!(error, Some(MediaError::CameraMissing { .. })));
    }
}
