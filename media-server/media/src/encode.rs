//! The program's pictures to access units, once for everybody.
//!
//! ```text
//! push ─ queue ─ thread: the canvas itself as a buffer ─ x264enc (superfast, no delay) ─ access units ─ callback
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::media::AccessUnit;
use server_core::{Picture, Size};

use crate::MediaError;
use crate::chain::{self, Chain};

/// Frames that wait for the encoder. A burst after a stall fits (see `server_core::tick`); beyond, the new one is dropped.
const MOST_WAITING: usize = 64;
/// When more wait than this, all of them become the newest: a picture that stands still costs the encoder a third, so
/// it catches up, and the program's time stamps have no gap.
const HURRY: usize = 8;
/// A key frame at least every 2 s: who joins late and who seeks find one soon.
const KEY_EVERY: u32 = 50;

/// What a [`ProgramEncoder`] tells.
#[derive(Debug)]
pub enum EncoderEvent {
    /// The next access unit. Frame in, unit out: each before the next frame is begun.
    Unit(AccessUnit),
    /// The encoder failed and was started anew; this frame is lost.
    Failed(MediaError),
}

/// Encodes the program in a thread of its own.
#[derive(Debug)]
pub struct ProgramEncoder {
    queue: SyncSender<(Picture, u64)>,
    wishes: Arc<Wishes>,
    dropped: AtomicU64,
}

/// What the encoder's thread is told beside frames, and how far it is behind with them.
#[derive(Debug)]
struct Wishes {
    key: AtomicBool,
    /// The first frame with these ticks or later becomes a key frame.
    key_from: AtomicU64,
    half: AtomicBool,
    waiting: AtomicUsize,
}

impl ProgramEncoder {
    /// `setup` is called first in the new thread (its priority), `events` for all that happens, also there.
    ///
    /// # Errors
    /// [`MediaError::Missing`] without an encoder, [`MediaError::NotStarted`], [`MediaError::NoThread`].
    pub fn start(
        order: VideoOrder,
        setup: impl FnOnce() + Send + 'static,
        mut events: impl FnMut(EncoderEvent) + Send + 'static,
    ) -> Result<Self, MediaError> {
        let encoder = Encoder::new(order)?;
        let (queue, frames) = sync_channel(MOST_WAITING);
        let wishes = Arc::new(Wishes {
            key: AtomicBool::new(false),
            key_from: AtomicU64::new(u64::MAX),
            half: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        });
        let wanted = Arc::clone(&wishes);
        thread::Builder::new()
            .name("encode program".into())
            .spawn(move || {
                setup();
                run(order, encoder, &frames, &wanted, &mut events);
            })
            .map_err(|error| MediaError::NoThread { what: "encoding".into(), reason: error.to_string() })?;
        Ok(Self { queue, wishes, dropped: AtomicU64::new(0) })
    }

    /// The next frame, of the ordered size; 90 kHz ticks grow. Never blocks; `false`: the encoder is so far behind that
    /// the frame was dropped.
    pub fn push(&self, picture: Picture, ticks: u64) -> bool {
        // Counted before it is taken out again.
        self.wishes.waiting.fetch_add(1, Ordering::Relaxed);
        let taken = self.queue.try_send((picture, ticks)).is_ok();
        if !taken {
            self.wishes.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// The next frame becomes a key frame. Any number of wishes before it make one.
    pub fn force_key(&self) {
        self.wishes.key.store(true, Ordering::Relaxed);
    }

    /// From the next frame on the program has half its width and height, or all of them: it goes on with a key frame.
    pub fn set_half(&self, on: bool) {
        self.wishes.half.store(on, Ordering::Relaxed);
    }

    /// Frames that wait, or are being encoded.
    pub fn waiting(&self) -> usize {
        self.wishes.waiting.load(Ordering::Relaxed)
    }

    /// The first frame with these ticks or later becomes a key frame, whatever waits before it.
    pub fn force_key_from(&self, ticks: u64) {
        self.wishes.key_from.store(ticks, Ordering::Relaxed);
    }

    /// How many frames were dropped because the encoder did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn run(
    order: VideoOrder,
    encoder: Encoder,
    frames: &Receiver<(Picture, u64)>,
    wishes: &Wishes,
    events: &mut impl FnMut(EncoderEvent),
) {
    let (mut encoder, mut halved) = (Some(encoder), false);
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Ok(next) = frames.recv() else { return };
            waiting.push_back(next);
        }
        waiting.extend(frames.try_iter());
        hurry(&mut waiting);
        let Some((picture, ticks)) = waiting.pop_front() else { continue };
        let half = wishes.half.load(Ordering::Relaxed);
        if half != std::mem::replace(&mut halved, half) {
            encoder = None;
        }
        let (order, picture) = if half { (halve(order), picture.halved()) } else { (order, picture) };
        let result = match encoder.take().map_or_else(|| Encoder::new(order), Ok) {
            Ok(mut ready) => {
                let from = |at: u64| (at <= ticks).then_some(u64::MAX);
                let due = wishes.key_from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, from).is_ok();
                let key = wishes.key.swap(false, Ordering::Relaxed) || due;
                let result = ready.encode(picture, ticks, key, |unit| events(EncoderEvent::Unit(unit)));
                if result.is_ok() {
                    encoder = Some(ready);
                }
                result
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            events(EncoderEvent::Failed(error));
        }
        wishes.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A quarter of the pixels needs more than a quarter of the bits.
fn halve(order: VideoOrder) -> VideoOrder {
    let size = Size { width: order.width.into(), height: order.height.into() }.halved();
    VideoOrder { width: size.width as u16, height: size.height as u16, kbps: order.kbps / 2, ..order }
}

fn hurry(waiting: &mut VecDeque<(Picture, u64)>) {
    if waiting.len() <= HURRY {
        return;
    }
    if let Some((newest, _)) = waiting.back().cloned() {
        for (picture, _) in waiting {
            *picture = newest.clone();
        }
    }
}

/// The encoder itself: what goes in comes out before the call returns.
pub struct Encoder {
    chain: Chain,
    order: VideoOrder,
    /// Ticks of what is inside. x264enc moves its time stamps by a thousand hours: the order is what counts.
    inside: VecDeque<u64>,
}

impl Encoder {
    /// x264, or openh264 where that is missing.
    ///
    /// # Errors
    /// [`MediaError::Missing`], [`MediaError::NotStarted`].
    pub fn new(order: VideoOrder) -> Result<Self, MediaError> {
        let element = chain::first_of(&["x264enc", "openh264enc"])?;
        let mut wanted =
            gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au");
        if chain::kind(&element) == "x264enc" {
            wanted = wanted.field("profile", "main");
            for (name, value) in [
                ("speed-preset", "superfast"),
                ("tune", "zerolatency"),
                ("threads", "1"),
                ("sliced-threads", "false"),
                ("bframes", "0"),
                ("aud", "false"),
                ("byte-stream", "true"),
                ("vbv-buf-capacity", "600"),
                // A flash in one tile is no cut: key frames come when asked for and every 2 s.
                // Cameras do not fade: weights would be looked for in vain.
                ("option-string", "scenecut=0:weightp=0"),
            ] {
                chain::set(&element, name, value);
            }
            chain::set(&element, "bitrate", &order.kbps.to_string());
            chain::set(&element, "key-int-max", &KEY_EVERY.to_string());
        } else {
            for (name, value) in [
                ("complexity", "low"),
                ("rate-control", "bitrate"),
                ("multi-thread", "1"),
                ("usage-type", "camera"),
                ("enable-frame-skip", "false"),
            ] {
                chain::set(&element, name, value);
            }
            chain::set(&element, "bitrate", &(order.kbps * 1_000).to_string());
            chain::set(&element, "gop-size", &KEY_EVERY.to_string());
        }
        let given =
            gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, order.width.into(), order.height.into())
                .fps(gst::Fraction::new(order.fps.into(), 1))
                .colorimetry(&gst_video::VideoColorimetry::new(
                    gst_video::VideoColorRange::Range16_235,
                    gst_video::VideoColorMatrix::Bt709,
                    gst_video::VideoTransferFunction::Bt709,
                    gst_video::VideoColorPrimaries::Bt709,
                ))
                .build()
                .and_then(|info| info.to_caps())
                .map_err(|error| MediaError::NotStarted {
                    element: chain::kind(&element),
                    reason: error.to_string(),
                })?;
        Ok(Self { chain: Chain::start(&element, &given, &wanted.build())?, order, inside: VecDeque::new() })
    }

    /// Encodes one frame; `out` gets its access unit.
    ///
    /// # Errors
    /// [`MediaError::Failed`], [`MediaError::Format`]: this encoder is of no more use.
    pub fn encode(
        &mut self,
        picture: Picture,
        ticks: u64,
        key: bool,
        mut out: impl FnMut(AccessUnit),
    ) -> Result<(), MediaError> {
        if key {
            self.chain.ask(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
        }
        let buffer = self.buffer(picture, ticks)?;
        self.inside.push_back(ticks);
        self.chain.push(buffer)?;
        while let Some(made) = self.chain.made() {
            let failed = |reason: &str| MediaError::Failed { element: "encoder".into(), reason: reason.into() };
            let ticks = self.inside.pop_front().ok_or_else(|| failed("made more than it was given"))?;
            let bytes = made.map_readable().map_err(|_| failed("made what cannot be read"))?;
            out(AccessUnit::from_annex_b(ticks, &bytes).ok_or_else(|| failed("made nothing"))?);
        }
        Ok(())
    }

    /// The picture as a buffer, without a copy: the encoder makes its own.
    fn buffer(&self, picture: Picture, ticks: u64) -> Result<gst::Buffer, MediaError> {
        let failed = |format: String| MediaError::Format { format };
        let size = picture.size();
        let (width, height) = (u32::from(self.order.width), u32::from(self.order.height));
        if (size.width, size.height) != (width as usize, height as usize) {
            return Err(failed(format!("{}×{} instead of {width}×{height}", size.width, size.height)));
        }
        let whole = picture.whole().ok_or_else(|| failed("planes that are apart".into()))?;
        let (offsets, strides) = (whole.offsets, whole.strides.map(|stride| stride as i32));
        let mut buffer = gst::Buffer::from_slice(Canvas(picture));
        if let Some(buffer) = buffer.get_mut() {
            gst_video::VideoMeta::add_full(
                buffer,
                gst_video::VideoFrameFlags::empty(),
                gst_video::VideoFormat::I420,
                width,
                height,
                &offsets,
                &strides,
            )
            .map_err(|error| failed(error.to_string()))?;
            buffer.set_pts(chain::clock_time(ticks));
            buffer.set_duration(gst::ClockTime::from_nseconds(1_000_000_000 / u64::from(self.order.fps.max(1))));
        }
        Ok(buffer)
    }
}

/// A canvas that a buffer keeps alive.
struct Canvas(Picture);

impl AsRef<[u8]> for Canvas {
    fn as_ref(&self) -> &[u8] {
        self.0.whole().map(|whole| whole.data).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use server_core::Frame;

    #[test]
    fn encoder_that_is_far_behind_gets_the_newest_picture_for_every_time_stamp() {
        let picture = |width| Picture::from(Arc::new(Frame::black(Size { width, height: 2 })));
        let mut waiting: VecDeque<_> = (1..=HURRY).map(|n| (picture(2 * n), n as u64)).collect();
        hurry(&mut waiting);
        assert_eq!(waiting[0].0.size().width, 2, "not far enough");
        waiting.push_back((picture(100), 9));
        hurry(&mut waiting);
        assert!(waiting.iter().all(|(picture, _)| picture.size().width == 100));
        assert!(waiting.iter().map(|(_, ticks)| *ticks).eq(1..=9));
    }
}
