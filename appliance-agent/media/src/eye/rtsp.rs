//! A camera on the network, by RTSP (RFC 2326).
//!
//! ```text
//! rtspsrc ! rtph264depay ! byte-stream, au ! appsink ─► Coded
//! ```
//! A picture's instant is that of its arrival, freed from jitter (the receiver's clock follows the earliest packets),
//! less the camera's stated latency. What the camera's own clock says (its RTCP sender reports) decides about nothing:
//! cameras of communes are set by nobody, and one that is half a second off would be so for every lip.

use std::sync::{Arc, Mutex};

use bridgepoint_wire::local::{RtspCarrier, RtspStream};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};

use super::coded::Coded;
use super::{Axis, Opened, linking};
use crate::pipeline::make;
use crate::{MediaError, lock};

/// The camera answers within this time, or is tried again, µs.
const ANSWER_US: u64 = 2_000_000;
/// How long packets are waited for and put in order, ms. Over TCP there is nothing to put in order.
const REORDER_MS: u32 = 60;

/// What a camera's session description offers.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// Number of the stream that was chosen.
    taken: Option<u32>,
    /// Codec of another one.
    other: Option<String>,
}

impl Offer {
    /// Whether this stream is wanted.
    fn choose(&mut self, number: u32, caps: &gst::Caps) -> bool {
        let Some(media) = caps.structure(0) else { return false };
        let is_picture = media.get::<&str>("media").is_ok_and(|media| media == "video");
        let codec = media.get::<&str>("encoding-name").unwrap_or("nothing that is known");
        let wanted = is_picture && codec == "H264" && *self.taken.get_or_insert(number) == number;
        if is_picture && !wanted {
            self.other.get_or_insert_with(|| codec.to_owned());
        }
        wanted
    }

    /// There are pictures, and none of them is H.264.
    pub(super) fn only_other(&self) -> Option<&str> {
        self.other.as_deref().filter(|_| self.taken.is_none())
    }
}

pub(super) fn open(stream: &RtspStream, axis: &Arc<Axis>, coded: Coded) -> Result<Opened, MediaError> {
    let source = make("rtspsrc")?;
    source.set_property("location", &stream.url);
    if let Some((user, password)) = &stream.account {
        source.set_property("user-id", user);
        source.set_property("user-pw", password);
    }
    let (protocols, latency) = match stream.carrier {
        RtspCarrier::Tcp => ("tcp", 0),
        RtspCarrier::Udp => ("udp", REORDER_MS),
    };
    source.set_property_from_str("protocols", protocols);
    source.set_property("latency", latency);
    source.set_property_from_str("buffer-mode", "slave");
    source.set_property("tcp-timeout", ANSWER_US);
    source.set_property("timeout", ANSWER_US);
    let offer = choose_h264(&source);

    let depay = make("rtph264depay")?;
    // After a lost packet: what refers to it would be rubbish in the record.
    depay.set_property("wait-for-keyframe", true);
    let caps =
        gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au").build();
    let sink =
        AppSink::builder().caps(&caps).sync(false).async_(false).max_buffers(50).enable_last_sample(false).build();
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, &depay, sink.upcast_ref()]).map_err(linking)?;
    depay.link(&sink).map_err(linking)?;
    let entry = depay.static_pad("sink").ok_or(MediaError::Element { element: "rtph264depay" })?;
    source.connect_pad_added(move |_, pad| {
        if !entry.is_linked()
            && let Err(e) = pad.link(&entry)
        {
            tracing::warn!("the camera's stream cannot be used: {e}");
        }
    });
    deliver(&sink, &pipeline, axis, coded);
    Ok(Opened { pipeline, offer })
}

/// Only the first stream of H.264 is asked for. What else of pictures is offered is noted, for who has to set the camera.
fn choose_h264(source: &gst::Element) -> Arc<Mutex<Offer>> {
    let offer = Arc::new(Mutex::new(Offer::default()));
    let noted = Arc::clone(&offer);
    source.connect("select-stream", false, move |values| {
        let offered = values.get(1).zip(values.get(2));
        let offered =
            offered.and_then(|(number, caps)| Some((number.get::<u32>().ok()?, caps.get::<gst::Caps>().ok()?)));
        let mut offer = lock(&noted);
        let wanted = offered.is_some_and(|(number, caps)| offer.choose(number, &caps));
        Some(wanted.to_value())
    });
    offer
}

/// Used by every camera that gives H.264.
pub(super) fn deliver(sink: &AppSink, pipeline: &gst::Pipeline, axis: &Arc<Axis>, coded: Coded) {
    let axis = Arc::clone(axis);
    let coded = Mutex::new(coded);
    let on_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if let Some(running) = axis.running(sink, &sample)
            && let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok())
        {
            lock(&coded).handle(&map, running);
        }
        Ok(gst::FlowSuccess::Ok)
    };
    let pipeline = pipeline.downgrade();
    let on_end = move |_: &AppSink| {
        if let Some(pipeline) = pipeline.upgrade() {
            super::say_ended(&pipeline);
        }
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).eos(on_end).build());
}
