//! Access units to pictures, one decoder for each visible site.
//!
//! ```text
//! push ─ queue ─ thread: annex B ─ avdec_h264 (one thread, no reordering) ─ mapped, not copied ─ callback
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use bridgepoint_wire::media::AccessUnit;
use gst_video::VideoFrameExt;
use server_core::{Picture, PlaneRef, Planes, Size};

use crate::MediaError;
use crate::chain::{self, Chain};

/// Access units that wait for the decoder. What would come out after more than half a second is worth nothing: when it
/// is full, all until the next key frame are left out.
const MOST_WAITING: usize = 16;
/// A wish for a key frame is repeated after this many units that could not be used: half a second.
const ASK_AGAIN: u32 = 12;

/// What a [`VideoDecoder`] tells.
#[derive(Debug)]
pub enum DecoderEvent {
    /// A picture.
    Picture {
        /// As its access unit had.
        ticks: u64,
        /// The picture.
        picture: Picture,
    },
    /// Nothing can be decoded until the site sends a key frame: ask it for one.
    KeyWanted,
    /// The decoder failed and begins anew at the next key frame.
    Failed(MediaError),
}

/// Decodes one site's pictures in a thread of its own.
#[derive(Debug)]
pub struct VideoDecoder {
    queue: SyncSender<(AccessUnit, bool)>,
    /// A unit was left out: the next one follows a loss.
    overrun: AtomicBool,
    dropped: AtomicU64,
}

impl VideoDecoder {
    /// `setup` is called first in the new thread (its priority), `events` for all that happens, also there.
    ///
    /// # Errors
    /// [`MediaError::Missing`] without a decoder, [`MediaError::NotStarted`], [`MediaError::NoThread`].
    pub fn start(
        name: &str,
        setup: impl FnOnce() + Send + 'static,
        mut events: impl FnMut(DecoderEvent) + Send + 'static,
    ) -> Result<Self, MediaError> {
        let decoder = Decoder::new()?;
        let (queue, units) = sync_channel(MOST_WAITING);
        thread::Builder::new()
            .name(format!("decode {name}"))
            .spawn(move || {
                setup();
                run(decoder, &units, &mut events);
            })
            .map_err(|error| MediaError::NoThread { what: format!("decoding {name}"), reason: error.to_string() })?;
        Ok(Self { queue, overrun: AtomicBool::new(false), dropped: AtomicU64::new(0) })
    }

    /// The next access unit. `after_loss`: at least one before it is missing. Never blocks.
    pub fn push(&self, unit: AccessUnit, after_loss: bool) {
        let after_loss = self.overrun.swap(false, Ordering::Relaxed) || after_loss;
        match self.queue.try_send((unit, after_loss)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.overrun.store(true, Ordering::Relaxed);
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many units were left out because the decoder did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn run(decoder: Decoder, units: &Receiver<(AccessUnit, bool)>, events: &mut impl FnMut(DecoderEvent)) {
    let mut decoder = Some(decoder);
    let mut waited = Some(0_u32);
    while let Ok((unit, after_loss)) = units.recv() {
        if after_loss && waited.is_none() {
            waited = Some(0);
        }
        if unit.key {
            waited = None;
        } else if let Some(units) = &mut waited {
            if *units % ASK_AGAIN == 0 {
                events(DecoderEvent::KeyWanted);
            }
            *units += 1;
            continue;
        }
        let result = match decoder.take().map_or_else(Decoder::new, Ok) {
            Ok(mut ready) => {
                let result = ready.decode(&unit, |ticks, picture| events(DecoderEvent::Picture { ticks, picture }));
                if result.is_ok() {
                    decoder = Some(ready);
                }
                result
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            events(DecoderEvent::Failed(error));
            waited = Some(0);
        }
    }
}

/// The decoder itself: what goes in comes out before the call returns.
pub struct Decoder {
    chain: Chain,
    format: Option<(gst::Caps, gst_video::VideoInfo)>,
}

impl Decoder {
    /// Needs a key frame first.
    ///
    /// # Errors
    /// [`MediaError::Missing`], [`MediaError::NotStarted`].
    pub fn new() -> Result<Self, MediaError> {
        let element = chain::first_of(&["avdec_h264", "openh264dec"])?;
        // One thread: more would hold frames back, one per thread. Errors are not hidden: we begin anew and ask for a
        // key frame instead of showing what is left.
        for (name, value) in [("max-threads", "1"), ("output-corrupt", "false"), ("max-errors", "0"), ("qos", "false")]
        {
            chain::set(&element, name, value);
        }
        let given =
            gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au").build();
        let wanted = gst::Caps::builder("video/x-raw").build();
        Ok(Self { chain: Chain::start(&element, &given, &wanted)?, format: None })
    }

    /// Decodes one access unit; `out` gets its picture and ticks.
    ///
    /// # Errors
    /// [`MediaError::Failed`], [`MediaError::Format`]: this decoder is of no more use.
    pub fn decode(&mut self, unit: &AccessUnit, mut out: impl FnMut(u64, Picture)) -> Result<(), MediaError> {
        let mut buffer = gst::Buffer::from_slice(unit.to_annex_b());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(chain::clock_time(unit.ticks));
            if !unit.key {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        self.chain.push(buffer)?;
        while let Some(buffer) = self.chain.made() {
            let Some(pts) = buffer.pts() else { continue };
            let picture = self.picture(buffer)?;
            out(chain::ticks(pts), picture);
        }
        Ok(())
    }

    fn picture(&mut self, buffer: gst::Buffer) -> Result<Picture, MediaError> {
        let unusable = |format: &str| MediaError::Format { format: format.to_owned() };
        let caps = self.chain.made_as().ok_or_else(|| unusable("an unknown format"))?;
        if self.format.as_ref().is_none_or(|(have, _)| *have != caps) {
            let info = gst_video::VideoInfo::from_caps(&caps).map_err(|_| unusable("an unknown format"))?;
            if info.format() != gst_video::VideoFormat::I420 {
                return Err(unusable(info.format().to_str()));
            }
            self.format = Some((caps, info));
        }
        let (_, info) = self.format.as_ref().ok_or_else(|| unusable("an unknown format"))?;
        let frame =
            gst_video::VideoFrame::from_buffer_readable(buffer, info).map_err(|_| unusable("unreadable memory"))?;
        Picture::new(Arc::new(Mapped { frame })).ok_or_else(|| unusable("planes that are too short"))
    }
}

/// A decoder's own memory; it goes back to the decoder when the last one has let go of the picture.
struct Mapped {
    frame: gst_video::VideoFrame<gst_video::video_frame::Readable>,
}

impl Planes for Mapped {
    fn size(&self) -> Size {
        Size { width: self.frame.width() as usize, height: self.frame.height() as usize }
    }

    fn plane(&self, index: usize) -> PlaneRef<'_> {
        PlaneRef {
            data: self.frame.plane_data(index as u32).unwrap_or_default(),
            stride: self.frame.plane_stride().get(index).map_or(0, |stride| usize::try_from(*stride).unwrap_or(0)),
        }
    }
}
