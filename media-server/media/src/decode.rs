//! Access units to pictures: `annex B ─ avdec_h264 (one thread, no reordering) ─ mapped, not copied`. It runs in processes
//! of its own ([`crate::decoders`]).

use std::sync::Arc;

use bridgepoint_wire::media::AccessUnit;
use gst_video::VideoFrameExt;
use server_core::{Picture, PlaneRef, Planes, Size};

use crate::MediaError;
use crate::chain::{self, Chain};

/// Elements that decode, the best first.
pub(crate) const ELEMENTS: [&str; 2] = ["avdec_h264", "openh264dec"];

/// One site's decoder. What goes in comes out before the call returns.
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
        let element = chain::first_of(&ELEMENTS)?;
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
