//! One encoder at work: raw pictures in, access units out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::{AccessUnit, VIDEO_RATE};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use gst_video::{VideoFormat, VideoInfo};

use super::controls::Deviation;
use super::element::Encoder;
use crate::picture::Picture;
use crate::pipeline::{bring_to, error_on, nice_threads, play, stop};
use crate::{MediaError, lock};

/// An encoder that gives nothing for this long has failed.
const STALL: Duration = Duration::from_secs(1);
/// Key frames that receivers ask for come at most this often: each is as big as ten other frames.
const KEY_DISTANCE: Duration = Duration::from_millis(400);
/// Raw pictures that wait for an encoder; then the oldest goes, for late video is worth nothing.
const WAITING: u64 = 2;

pub(super) type OnUnit = Arc<dyn Fn(AccessUnit) + Send + Sync>;

/// An encoder for pictures of one size.
pub(super) struct Running {
    encoder: Encoder,
    pipeline: gst::Pipeline,
    source: AppSrc,
    element: gst::Element,
    pub(super) size: (u32, u32),
    /// What the encoder does not do as it was told.
    pub(super) deviations: Vec<Deviation>,
    waiting: Arc<Mutex<Waiting>>,
    asked: Option<Instant>,
}

/// What was pushed and has not come out.
struct Waiting {
    pushed: VecDeque<(u64, u64)>,
    /// When the last unit came out, or the encoder started.
    alive: Instant,
}

impl Running {
    pub(super) fn start(
        encoder: &Encoder,
        order: &VideoOrder,
        picture: &Picture,
        fps: gst::Fraction,
        on_unit: &OnUnit,
    ) -> Result<Self, MediaError> {
        let failed = |reason: String| MediaError::Encoder { encoder: encoder.name().into(), reason };
        let info = VideoInfo::builder(VideoFormat::I420, picture.width(), picture.height())
            .fps(fps)
            .colorimetry(&picture.info.colorimetry())
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let caps = info.to_caps().map_err(|e| failed(e.to_string()))?;
        let source = AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(true)
            .max_buffers(WAITING)
            .leaky_type(gst_app::AppLeakyType::Downstream)
            .build();
        let element = encoder.make(order)?;
        let out = gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .field("profile", gst::List::new(["main", "constrained-baseline", "baseline"]))
            .field_if_some("level", encoder.level(picture.width(), picture.height(), order.fps.into()))
            .build();
        let sink = AppSink::builder().caps(&out).sync(false).async_(false).enable_last_sample(false).build();
        let pipeline = gst::Pipeline::new();
        nice_threads(&pipeline);
        let mut chain: Vec<gst::Element> = vec![source.clone().upcast(), element.clone()];
        if encoder.needs_parser() {
            let parse = crate::pipeline::make("h264parse")?;
            parse.set_property("config-interval", -1_i32);
            chain.push(parse);
        }
        chain.push(sink.clone().upcast());
        pipeline.add_many(&chain).map_err(|e| failed(e.to_string()))?;
        gst::Element::link_many(&chain).map_err(|e| failed(e.to_string()))?;
        let waiting = Arc::new(Mutex::new(Waiting { pushed: VecDeque::new(), alive: Instant::now() }));
        deliver(&sink, &waiting, on_unit);
        let size = (picture.width(), picture.height());
        let mut running = Self {
            encoder: encoder.clone(),
            pipeline,
            source,
            element,
            size,
            deviations: Vec::new(),
            waiting,
            asked: None,
        };
        // From here on it is stopped when it is dropped.
        bring_to(&running.pipeline, gst::State::Ready).map_err(failed)?;
        running.deviations = encoder.set_up(&running.element, order).map_err(failed)?;
        play(&running.pipeline).map_err(failed)?;
        Ok(running)
    }

    pub(super) fn push(&self, picture: &Picture, ticks: u64) {
        let pts = pts_of(ticks);
        let mut buffer = picture.buffer.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(pts));
            buffer.set_dts(gst::ClockTime::NONE);
            buffer.set_duration(gst::ClockTime::NONE);
        }
        {
            let mut waiting = lock(&self.waiting);
            if waiting.pushed.is_empty() {
                // Nothing was expected of the encoder until now.
                waiting.alive = Instant::now();
            }
            waiting.pushed.push_back((pts, ticks));
        }
        if let Err(e) = self.source.push_buffer(buffer) {
            tracing::warn!("a picture was refused: {e}");
        }
    }

    /// At once, unless it was asked a moment ago.
    pub(super) fn force_key(&mut self, now: Instant) {
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < KEY_DISTANCE) {
            return;
        }
        self.asked = Some(now);
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        if !self.element.static_pad("src").is_some_and(|pad| pad.send_event(event)) {
            tracing::warn!("{} did not take the request for a key frame", self.encoder.name());
        }
    }

    /// See [`Encoder::set_kbps`].
    pub(super) fn set_kbps(&self, kbps: u32) -> bool {
        self.encoder.set_kbps(&self.element, kbps)
    }

    /// Why this pipeline must be replaced.
    pub(super) fn fault(&self, now: Instant) -> Option<String> {
        if let Some(reason) = error_on(&self.pipeline) {
            return Some(reason);
        }
        let waiting = lock(&self.waiting);
        let silent = now.saturating_duration_since(waiting.alive);
        (!waiting.pushed.is_empty() && silent > STALL).then(|| format!("nothing for {} ms", silent.as_millis()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        stop(&self.pipeline);
    }
}

/// Ticks as nanoseconds; [`deliver`] finds the ticks again by this number.
pub(super) fn pts_of(ticks: u64) -> u64 {
    (u128::from(ticks) * 1_000_000_000 / u128::from(VIDEO_RATE)) as u64
}

fn deliver(sink: &AppSink, waiting: &Arc<Mutex<Waiting>>, on_unit: &OnUnit) {
    let (waiting, on_unit) = (Arc::clone(waiting), Arc::clone(on_unit));
    let on_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let Some((buffer, pts)) = sample.buffer().and_then(|b| Some((b, running_time(&sample, b)?))) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let ticks = {
            let mut waiting = lock(&waiting);
            waiting.alive = Instant::now();
            // Older ones were dropped before the encoder. There are no B frames: order is kept.
            while waiting.pushed.front().is_some_and(|(pushed, _)| *pushed < pts) {
                waiting.pushed.pop_front();
            }
            waiting.pushed.pop_front().map(|(_, ticks)| ticks)
        };
        let Ok(map) = buffer.map_readable() else {
            return Ok(gst::FlowSuccess::Ok);
        };
        if let Some(unit) = ticks.and_then(|ticks| AccessUnit::from_annex_b(ticks, &map)) {
            on_unit(unit);
        }
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
}

/// What the buffer's time stamp was when it was pushed: x264enc moves time stamps *and* segment by 1,000 hours.
fn running_time(sample: &gst::Sample, buffer: &gst::BufferRef) -> Option<u64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(buffer.pts()?).map(gst::ClockTime::nseconds)
}
