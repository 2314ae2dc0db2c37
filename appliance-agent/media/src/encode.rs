//! The box's two encodings: pictures in, H.264 access units out.
//!
//! ```text
//! Picture ─► Scaler (main size) ─┬─► appsrc ! encoder ! appsink ─► on_unit(Main)
//!                                └─► Scaler (thumb size) ─► appsrc ! encoder ! appsink ─► on_unit(Thumb)
//! ```
//! Each picture is scaled once per encoding, the small one from the big one. Where both would have one size, there is
//! one encoder and its units are both encodings.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::{AccessUnit, VIDEO_RATE};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use gst_video::{VideoFormat, VideoInfo};

use crate::pace::Thinning;
use crate::picture::{Picture, Scaler};
use crate::pipeline::{error_on, nice_threads, play, stop};
use crate::{Encoding, MediaError};

/// An encoder that gives nothing for this long is started again.
const STALL: Duration = Duration::from_secs(1);
/// Key frames that receivers ask for come at most this often: each is as big as ten other frames.
const KEY_DISTANCE: Duration = Duration::from_millis(400);
/// A receiver that joins without asking waits at most this long.
const KEY_EVERY_S: u32 = 2;
/// Raw pictures that wait for an encoder; then the oldest goes, for late video is worth nothing.
const WAITING: u64 = 2;

/// An encoder element of GStreamer, and the only place that knows its odd properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoder {
    /// Hardware through V4L2's stateful M2M interface.
    V4l2,
    /// x264 with this speed preset.
    X264 {
        /// Such as `ultrafast`.
        preset: String,
    },
    /// Cisco's `OpenH264`.
    OpenH264,
}

impl Encoder {
    /// The first of `names` that works on this machine.
    ///
    /// # Errors
    /// [`MediaError::NoEncoder`].
    pub fn choose(names: &[String], preset: &str) -> Result<Self, MediaError> {
        crate::pipeline::init()?;
        let known = |name: &String| match name.as_str() {
            "v4l2h264enc" => Some(Self::V4l2),
            "x264enc" => Some(Self::X264 { preset: preset.to_owned() }),
            "openh264enc" => Some(Self::OpenH264),
            other => {
                tracing::warn!("encoder {other} is not known and not tried");
                None
            }
        };
        let works = |encoder: &Self| {
            let Ok(element) = encoder.make(&VideoOrder { width: 640, height: 360, fps: 25, kbps: 500 }) else {
                return false;
            };
            // READY opens the device.
            let works = element.set_state(gst::State::Ready).is_ok();
            element.set_state(gst::State::Null).is_ok() && works
        };
        let found = names.iter().filter_map(known).find(works);
        found.ok_or_else(|| MediaError::NoEncoder { tried: names.join(", ") })
    }

    /// The element's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::V4l2 => "v4l2h264enc",
            Self::X264 { .. } => "x264enc",
            Self::OpenH264 => "openh264enc",
        }
    }

    fn make(&self, order: &VideoOrder) -> Result<gst::Element, MediaError> {
        let factory = gst::ElementFactory::make(self.name());
        let gop = u32::from(order.fps.max(1)) * KEY_EVERY_S;
        let builder = match self {
            Self::X264 { preset } => factory
                .property_from_str("speed-preset", preset)
                .property_from_str("tune", "zerolatency")
                .property("bitrate", order.kbps.max(1))
                .property("threads", 1_u32)
                .property("sliced-threads", false)
                .property("bframes", 0_u32)
                .property("key-int-max", gop)
                .property("byte-stream", true),
            Self::OpenH264 => factory
                .property("bitrate", order.kbps.max(1) * 1_000)
                .property("gop-size", gop)
                .property_from_str("complexity", "low")
                .property_from_str("rate-control", "bitrate")
                .property("multi-thread", 1_u32),
            Self::V4l2 => factory.property(
                "extra-controls",
                gst::Structure::builder("controls")
                    .field("video_bitrate", (order.kbps.max(1) * 1_000) as i32)
                    .field("h264_i_frame_period", gop as i32)
                    .field("repeat_sequence_header", 1_i32)
                    .build(),
            ),
        };
        builder.build().map_err(|_| MediaError::Element { element: self.name() })
    }

    /// x264 repeats its parameter sets by itself; the others need a parser that does.
    const fn needs_parser(&self) -> bool {
        !matches!(self, Self::X264 { .. })
    }
}

type OnUnit = Arc<dyn Fn(AccessUnit) + Send + Sync>;

/// One encoding of one size.
struct VideoEncoder {
    encoder: Encoder,
    order: VideoOrder,
    on_unit: OnUnit,
    running: Option<Running>,
}

struct Running {
    pipeline: gst::Pipeline,
    source: AppSrc,
    element: gst::Element,
    size: (u32, u32),
    waiting: Arc<Mutex<Waiting>>,
    asked: Option<Instant>,
}

/// What was pushed and has not come out.
struct Waiting {
    pushed: VecDeque<(u64, u64)>,
    /// When the last unit came out, or the encoder started.
    alive: Instant,
}

impl VideoEncoder {
    fn push(&mut self, picture: &Picture, fps: gst::Fraction, ticks: u64, now: Instant) -> Result<(), MediaError> {
        let size = (picture.width(), picture.height());
        if self.running.as_ref().is_some_and(|running| running.size != size) {
            self.running = None;
        }
        let fault = self.running.as_ref().and_then(|running| running.fault(now));
        if fault.is_some() {
            self.running = None;
        }
        if self.running.is_none() {
            self.running = Some(Running::start(&self.encoder, &self.order, picture, fps, &self.on_unit)?);
        }
        if let Some(running) = &self.running {
            running.push(picture, ticks);
        }
        let encoder = self.encoder.name().to_owned();
        fault.map_or(Ok(()), |reason| Err(MediaError::Encoder { encoder, reason }))
    }

    fn force_key(&mut self, now: Instant) {
        let Some(running) = &mut self.running else {
            return;
        };
        if running.asked.is_some_and(|asked| now.saturating_duration_since(asked) < KEY_DISTANCE) {
            return;
        }
        running.asked = Some(now);
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        if !running.element.static_pad("src").is_some_and(|pad| pad.send_event(event)) {
            tracing::warn!("{} did not take the request for a key frame", self.encoder.name());
        }
    }
}

impl Running {
    fn start(
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
        play(&pipeline).map_err(failed)?;
        let size = (picture.width(), picture.height());
        Ok(Self { pipeline, source, element, size, waiting, asked: None })
    }

    fn push(&self, picture: &Picture, ticks: u64) {
        let pts = pts_of(ticks);
        let mut buffer = picture.buffer.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(pts));
            buffer.set_dts(gst::ClockTime::NONE);
            buffer.set_duration(gst::ClockTime::NONE);
        }
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Why this pipeline must be replaced.
    fn fault(&self, now: Instant) -> Option<String> {
        if let Some(reason) = error_on(&self.pipeline) {
            return Some(reason);
        }
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
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
fn pts_of(ticks: u64) -> u64 {
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
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Both encodings of a box.
pub struct Encodings {
    main: Lane,
    thumb: Lane,
    /// Somebody sees the small one.
    thumb_wanted: bool,
    /// Both have one size: what the main encoder makes serves both. Shared with its thread.
    shared: Arc<AtomicBool>,
}

struct Lane {
    order: VideoOrder,
    scaler: Scaler,
    thinning: Thinning,
    encoder: VideoEncoder,
}

impl Lane {
    fn new(encoder: &Encoder, order: VideoOrder, on_unit: OnUnit) -> Self {
        let encoder = VideoEncoder { encoder: encoder.clone(), order, on_unit, running: None };
        Self { order, scaler: Scaler::default(), thinning: Thinning::new(order.fps), encoder }
    }

    fn push(&mut self, picture: &Picture, native: gst::Fraction, ticks: u64, now: Instant) -> Result<(), MediaError> {
        self.encoder.push(picture, self.fps(native), ticks, now)
    }

    /// Pictures per second of a camera with `native` (0: it does not say), thinned to what was ordered.
    fn fps(&self, native: gst::Fraction) -> gst::Fraction {
        let ordered = gst::Fraction::new(self.order.fps.max(1).into(), 1);
        if native.numer() > 0 { native.min(ordered) } else { ordered }
    }
}

impl Encodings {
    /// Encoders for both orders; `on_unit` is called on their threads, in the order of each encoding's pictures.
    pub fn new(
        encoder: &Encoder,
        main: VideoOrder,
        thumb: VideoOrder,
        on_unit: impl Fn(Encoding, AccessUnit) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(AtomicBool::new(false));
        let (of_main, of_thumb) = (Arc::new(on_unit), Arc::clone(&shared));
        let for_thumb = Arc::clone(&of_main);
        let main_unit: OnUnit = Arc::new(move |unit: AccessUnit| {
            if of_thumb.load(Ordering::Relaxed) {
                of_main(Encoding::Thumb, unit.clone());
            }
            of_main(Encoding::Main, unit);
        });
        let thumb_unit: OnUnit = Arc::new(move |unit| for_thumb(Encoding::Thumb, unit));
        let (main, thumb) = (Lane::new(encoder, main, main_unit), Lane::new(encoder, thumb, thumb_unit));
        Self { main, thumb, thumb_wanted: true, shared }
    }

    /// What the small encoding is to be from the next picture on, which is a key frame; `None`: none is made. The main
    /// encoder is not touched by this: its stream is the record.
    pub fn order_thumb(&mut self, order: Option<VideoOrder>) {
        self.thumb_wanted = order.is_some();
        match order {
            None => self.thumb.encoder.running = None,
            Some(order) if order != self.thumb.order => {
                let on_unit = Arc::clone(&self.thumb.encoder.on_unit);
                self.thumb = Lane::new(&self.thumb.encoder.encoder, order, on_unit);
            }
            Some(_) => {}
        }
    }

    /// Encodes a picture that was captured at `ticks`. An error means that an encoder failed and was started again:
    /// the next picture is encoded.
    ///
    /// # Errors
    /// [`MediaError::Encoder`], [`MediaError::Picture`].
    pub fn push(&mut self, picture: &Picture, ticks: u64, now: Instant) -> Result<(), MediaError> {
        let native = picture.info.fps();
        let (main, thumb) = (picture.fitted(&self.main.order), picture.fitted(&self.thumb.order));
        let shared = self.thumb_wanted && main == thumb && self.main.fps(native) <= self.thumb.fps(native);
        if self.shared.swap(shared, Ordering::Relaxed) != shared && shared {
            self.thumb.encoder.running = None;
            self.main.encoder.force_key(now);
        }
        let position = pts_of(ticks);
        let main_keeps = self.main.thinning.keep(position);
        let thumb_keeps = self.thumb_wanted && !shared && self.thumb.thinning.keep(position);
        if !main_keeps && !thumb_keeps {
            return Ok(());
        }
        let big = self.main.scaler.scale(picture, main)?;
        let first = if main_keeps { self.main.push(&big, native, ticks, now) } else { Ok(()) };
        if thumb_keeps {
            let from = if thumb.0 <= main.0 && thumb.1 <= main.1 { &big } else { picture };
            let small = self.thumb.scaler.scale(from, thumb)?;
            self.thumb.push(&small, native, ticks, now)?;
        }
        first
    }

    /// A receiver cannot decode what it has: a key frame, soon.
    pub fn force_key(&mut self, encoding: Encoding, now: Instant) {
        match (encoding, self.shared.load(Ordering::Relaxed)) {
            (Encoding::Thumb, false) => self.thumb.encoder.force_key(now),
            (Encoding::Main, _) | (Encoding::Thumb, true) => self.main.encoder.force_key(now),
        }
    }
}
