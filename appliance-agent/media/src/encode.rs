//! The box's two encodings: pictures in, H.264 access units out.
//!
//! ```text
//! Picture ─► Scaler (main size) ─┬─► appsrc ! encoder ! appsink ─► on_unit(Main)
//!                                └─► Scaler (thumb size) ─► appsrc ! encoder ! appsink ─► on_unit(Thumb)
//! ```
//! Each picture is scaled once per encoding, the small one from the big one. Where both would have one size, there is
//! one encoder and its units are both encodings.

mod controls;
mod element;
mod ladder;
mod probe;
mod running;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::AccessUnit;

pub use self::element::Encoder;
use self::ladder::{Ladder, Step};
pub use self::probe::Encoders;
use self::running::{OnUnit, Running, pts_of};
use crate::pace::Thinning;
use crate::picture::{Picture, Scaler};
use crate::{Encoding, MediaError};

/// One encoding: the encoder that makes it now, and what takes its place.
struct VideoEncoder {
    ladder: Ladder,
    order: VideoOrder,
    on_unit: OnUnit,
    running: Option<Running>,
}

impl VideoEncoder {
    fn push(&mut self, picture: &Picture, fps: gst::Fraction, ticks: u64, now: Instant) -> Result<(), MediaError> {
        let size = (picture.width(), picture.height());
        if self.running.as_ref().is_some_and(|running| running.size != size) {
            self.running = None;
        }
        let mut failed = self.running.as_ref().and_then(|running| running.fault(now)).map(|why| self.fail(why, now));
        if self.running.is_none() && self.ladder.may_start(now) {
            match Running::start(self.ladder.encoder(), &self.order, picture, fps, &self.on_unit) {
                Ok(running) => self.running = Some(running),
                Err(MediaError::Encoder { reason, .. }) => failed = Some(self.fail(reason, now)),
                Err(other) => failed = Some(self.fail(other.to_string(), now)),
            }
        }
        if let Some(running) = &self.running {
            running.push(picture, ticks);
        }
        failed.map_or(Ok(()), Err)
    }

    /// It begins anew, or another one takes its place.
    fn fail(&mut self, reason: String, now: Instant) -> MediaError {
        self.running = None;
        let encoder = self.ladder.encoder().name().to_owned();
        match self.ladder.handle_fault(now) {
            Step::Reset => MediaError::Encoder { encoder, reason },
            Step::Replaced => {
                MediaError::EncoderReplaced { encoder, reason, by: self.ladder.encoder().name().to_owned() }
            }
        }
    }

    fn force_key(&mut self, now: Instant) {
        if let Some(running) = &mut self.running {
            running.force_key(now);
        }
    }
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
    scaler: Scaler,
    thinning: Thinning,
    encoder: VideoEncoder,
}

impl Lane {
    fn new(encoders: &Encoders, order: VideoOrder, on_unit: OnUnit) -> Self {
        let encoder = VideoEncoder { ladder: Ladder::new(encoders.clone()), order, on_unit, running: None };
        Self { scaler: Scaler::default(), thinning: Thinning::new(order.fps), encoder }
    }

    /// Another bit rate alone costs no key frame.
    fn set_order(&mut self, order: VideoOrder) {
        let before = std::mem::replace(&mut self.encoder.order, order);
        if (VideoOrder { kbps: order.kbps, ..before }) != order {
            self.encoder.running = None;
            (self.scaler, self.thinning) = (Scaler::default(), Thinning::new(order.fps));
        } else if before != order && !self.encoder.running.as_ref().is_some_and(|running| running.set_kbps(order.kbps))
        {
            self.encoder.running = None;
        }
    }

    fn push(&mut self, picture: &Picture, native: gst::Fraction, ticks: u64, now: Instant) -> Result<(), MediaError> {
        self.encoder.push(picture, self.fps(native), ticks, now)
    }

    /// Pictures per second of a camera with `native` (0: it does not say), thinned to what was ordered.
    fn fps(&self, native: gst::Fraction) -> gst::Fraction {
        let ordered = gst::Fraction::new(self.encoder.order.fps.max(1).into(), 1);
        if native.numer() > 0 { native.min(ordered) } else { ordered }
    }
}

impl Encodings {
    /// Encoders for both orders, each of them the best one until it fails; `on_unit` is called on their threads, in the
    /// order of each encoding's pictures.
    pub fn new(
        encoders: &Encoders,
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
        let (main, thumb) = (Lane::new(encoders, main, main_unit), Lane::new(encoders, thumb, thumb_unit));
        Self { main, thumb, thumb_wanted: true, shared }
    }

    /// What the small encoding is to be from the next picture on, which is a key frame unless only the bit rate is
    /// another; `None`: none is made. The main encoder is not touched by this: its stream is the record.
    pub fn order_thumb(&mut self, order: Option<VideoOrder>) {
        self.thumb_wanted = order.is_some();
        match order {
            None => self.thumb.encoder.running = None,
            Some(order) => self.thumb.set_order(order),
        }
    }

    /// Encodes a picture that was captured at `ticks`. An error means that an encoder failed and begins anew, or that
    /// another one has taken its place: the next picture is encoded.
    ///
    /// # Errors
    /// [`MediaError::Encoder`], [`MediaError::EncoderReplaced`], [`MediaError::Picture`].
    pub fn push(&mut self, picture: &Picture, ticks: u64, now: Instant) -> Result<(), MediaError> {
        let native = picture.info.fps();
        let (main, thumb) = (picture.fitted(&self.main.encoder.order), picture.fitted(&self.thumb.encoder.order));
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
            let second = self.thumb.push(&small, native, ticks, now);
            if let (Err(_), Err(error)) = (&first, &second) {
                tracing::error!("the small encoding as well: {error}");
            }
            return first.and(second);
        }
        first
    }

    /// The same of a picture whose main encoding the camera has made itself: the small one alone.
    ///
    /// # Errors
    /// As [`Encodings::push`].
    pub fn push_small(&mut self, picture: &Picture, ticks: u64, now: Instant) -> Result<(), MediaError> {
        self.shared.store(false, Ordering::Relaxed);
        self.main.encoder.running = None;
        if !self.thumb_wanted || !self.thumb.thinning.keep(pts_of(ticks)) {
            return Ok(());
        }
        let small = self.thumb.scaler.scale(picture, picture.fitted(&self.thumb.encoder.order))?;
        self.thumb.push(&small, picture.info.fps(), ticks, now)
    }

    /// A receiver cannot decode what it has: a key frame, soon.
    pub fn force_key(&mut self, encoding: Encoding, now: Instant) {
        match (encoding, self.shared.load(Ordering::Relaxed)) {
            (Encoding::Thumb, false) => self.thumb.encoder.force_key(now),
            (Encoding::Main, _) | (Encoding::Thumb, true) => self.main.encoder.force_key(now),
        }
    }
}
