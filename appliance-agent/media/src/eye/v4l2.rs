//! A camera on a V4L2 node: its own H.264 where it has it, else raw pictures, else MJPEG.
//!
//! ```text
//! v4l2src ! video/x-h264 ! appsink ─► Coded
//! v4l2src ! decodebin ! videoconvert ! I420 ! appsink ─► pictures
//! ```

use std::sync::Arc;

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};
use gst_video::VideoInfo;

use super::coded::Coded;
use super::rtsp::deliver;
use super::{Axis, Opened, Outlet, linking};
use crate::picture::Picture;
use crate::pipeline::make;
use crate::{Captured, MediaError};

const H264: &str = "video/x-h264";

/// What is asked of the camera.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The largest picture.
    pub size: (u16, u16),
    /// The most pictures a second.
    pub fps: u8,
}

pub(super) fn open(
    device: &str,
    wanted: Wanted,
    axis: &Arc<Axis>,
    outlet: &Outlet,
    coded: impl FnOnce() -> Coded,
) -> Result<Opened, MediaError> {
    let source = make("v4l2src")?;
    source.set_property("device", device);
    let pipeline = gst::Pipeline::new();
    pipeline.add(&source).map_err(linking)?;
    // Only an open device says what it offers.
    let offers = |media: &str| {
        let caps = source.static_pad("src").map(|pad| pad.query_caps(None));
        caps.is_some_and(|caps| caps.iter().any(|s| s.name() == media))
    };
    if source.set_state(gst::State::Ready).is_ok() && offers(H264) {
        encoded(&pipeline, &source, wanted, axis, coded())?;
    } else {
        decoded(&pipeline, &source, wanted, axis, outlet)?;
    }
    Ok(Opened { pipeline, offer: Arc::default() })
}

fn limits(media: &str, wanted: Wanted) -> gst::structure::Builder {
    let most = gst::Fraction::new(wanted.fps.max(1).into(), 1);
    gst::Structure::builder(media)
        .field("width", gst::IntRange::new(16, i32::from(wanted.size.0)))
        .field("height", gst::IntRange::new(16, i32::from(wanted.size.1)))
        .field("framerate", gst::FractionRange::new(gst::Fraction::new(1, 1), most))
}

fn encoded(
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    wanted: Wanted,
    axis: &Arc<Axis>,
    coded: Coded,
) -> Result<(), MediaError> {
    let caps = limits(H264, wanted).field("stream-format", "byte-stream").field("alignment", "au").build();
    let sink = AppSink::builder()
        .caps(&gst::Caps::from(caps))
        .sync(false)
        .async_(false)
        .max_buffers(50)
        .enable_last_sample(false)
        .build();
    pipeline.add(&sink).map_err(linking)?;
    source.link(&sink).map_err(linking)?;
    deliver(&sink, pipeline, axis, coded);
    Ok(())
}

fn decoded(
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    wanted: Wanted,
    axis: &Arc<Axis>,
    outlet: &Outlet,
) -> Result<(), MediaError> {
    // Raw where the bus carries it, MJPEG else.
    let media = ["video/x-raw", "image/jpeg"].map(|media| limits(media, wanted).build());
    let filter = make("capsfilter")?;
    filter.set_property("caps", media.into_iter().collect::<gst::Caps>());
    let decode = make("decodebin")?;
    let convert = make("videoconvert")?;
    let raw = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::I420).build();
    let sink = AppSink::builder().caps(&raw).sync(false).max_buffers(8).drop(true).enable_last_sample(false).build();
    pipeline.add_many([&filter, &decode, &convert, sink.upcast_ref()]).map_err(linking)?;
    gst::Element::link_many([source, &filter, &decode]).map_err(linking)?;
    convert.link(&sink).map_err(linking)?;
    let entry = convert.static_pad("sink").ok_or(MediaError::Element { element: "videoconvert" })?;
    decode.connect_pad_added(move |_, pad| {
        if !entry.is_linked()
            && let Err(e) = pad.link(&entry)
        {
            tracing::warn!("the camera's picture cannot be used: {e}");
        }
    });
    let (outlet, axis, weak) = (outlet.clone(), Arc::clone(axis), pipeline.downgrade());
    let on_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let picture = sample
            .buffer_owned()
            .zip(sample.caps())
            .and_then(|(buffer, caps)| Some(Picture { buffer, info: VideoInfo::from_caps(caps).ok()? }));
        if let Some((picture, running)) = picture.zip(axis.running(sink, &sample)) {
            outlet.give(Captured::Picture { picture, at: axis.instant(running), coded: false });
            outlet.seen();
        }
        Ok(gst::FlowSuccess::Ok)
    };
    let on_end = move |_: &AppSink| {
        if let Some(pipeline) = weak.upgrade() {
            super::say_ended(&pipeline);
        }
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).eos(on_end).build());
    Ok(())
}
