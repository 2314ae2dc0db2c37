//! A camera's own H.264, decoded: the small encoding is made from it, and the main one where it is not fit to be sent.
//!
//! ```text
//! appsrc ! avdec_h264 or openh264dec ! videoconvert ! I420 ! appsink ─► on_picture
//! ```

use bridgepoint_wire::media::AccessUnit;
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use gst_video::VideoInfo;

use crate::MediaError;
use crate::picture::Picture;
use crate::pipeline::{chain, error_on, make, nice_threads, play, set_if_there, stop};

/// Units that may wait for the decoder; beyond that it goes on with the next key frame.
const WAITING: u64 = 25;
/// Best first.
const DECODERS: [&str; 2] = ["avdec_h264", "openh264dec"];

pub(super) struct Decoder {
    pipeline: gst::Pipeline,
    source: AppSrc,
    /// Nothing is given to it before a key frame.
    rests: bool,
}

impl Decoder {
    /// `on_picture` gets each picture with the time that its unit was pushed with.
    pub(super) fn start(on_picture: impl Fn(Picture, gst::ClockTime) + Send + 'static) -> Result<Self, MediaError> {
        let failed = |reason: String| MediaError::Framework(format!("the camera's stream cannot be decoded: {reason}"));
        let caps =
            gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au").build();
        let source =
            AppSrc::builder().caps(&caps).format(gst::Format::Time).is_live(true).max_buffers(2 * WAITING).build();
        let [best, other] = DECODERS;
        let decode = make(best).or_else(|_| make(other))?;
        set_if_there(&decode, "max-threads", "1");
        let convert = make("videoconvert")?;
        let raw = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::I420).build();
        let sink =
            AppSink::builder().caps(&raw).sync(false).async_(false).max_buffers(2).enable_last_sample(false).build();
        let on_sample = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let picture = sample.buffer_owned().zip(sample.caps()).and_then(|(buffer, caps)| {
                let pts = buffer.pts()?;
                Some((Picture { buffer, info: VideoInfo::from_caps(caps).ok()? }, pts))
            });
            if let Some((picture, pts)) = picture {
                on_picture(picture, pts);
            }
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
        let pipeline = gst::Pipeline::new();
        nice_threads(&pipeline);
        chain(&pipeline, &[source.upcast_ref(), &decode, &convert, sink.upcast_ref()])?;
        play(&pipeline).map_err(failed)?;
        Ok(Self { pipeline, source, rests: true })
    }

    /// `has_keys`: the stream has key frames to begin with; else it begins with what there is.
    pub(super) fn push(&mut self, unit: &AccessUnit, at: gst::ClockTime, has_keys: bool) -> Result<(), MediaError> {
        if let Some(reason) = error_on(&self.pipeline) {
            return Err(MediaError::Framework(format!("the camera's stream cannot be decoded: {reason}")));
        }
        // Old pictures are worth nothing, and a unit that is left out spoils those that refer to it.
        self.rests |= self.source.current_level_buffers() > WAITING;
        if self.rests && has_keys && !unit.key {
            return Ok(());
        }
        self.rests = false;
        let mut buffer = gst::Buffer::from_slice(unit.to_annex_b());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(at);
        }
        if let Err(e) = self.source.push_buffer(buffer) {
            tracing::debug!("a unit of the camera was refused: {e}");
        }
        Ok(())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        stop(&self.pipeline);
    }
}
