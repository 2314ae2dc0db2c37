//! What all pipelines of this crate share: making elements, nice threads, errors as values.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use gst::prelude::*;

use crate::MediaError;

/// How much nicer than link, pacing and playout the threads of decoders and encoders are: a late packet is a gap for
/// everybody, a late picture only for itself.
const NICER: i32 = 5;

/// Starts GStreamer. May be called again.
///
/// # Errors
/// [`MediaError::Framework`].
pub fn init() -> Result<(), MediaError> {
    gst::init().map_err(|e| MediaError::Framework(e.to_string()))
}

pub fn make(element: &'static str) -> Result<gst::Element, MediaError> {
    gst::ElementFactory::make(element).build().map_err(|_| MediaError::Element { element })
}

/// Sets a property that only some versions or kinds of an element have.
pub fn set_if_there(element: &gst::Element, property: &str, value: &str) {
    if element.has_property(property) {
        element.set_property_from_str(property, value);
    }
}

/// Makes every streaming thread of this pipeline [`NICER`], and keeps only messages that somebody reads.
pub fn nice_threads(pipeline: &gst::Pipeline) {
    let Some(bus) = pipeline.bus() else { return };
    bus.set_sync_handler(|_, message| match message.view() {
        gst::MessageView::StreamStatus(status) => {
            // Linux: the priority of the calling thread alone, which is the streaming thread that begins.
            if status.get().0 == gst::StreamStatusType::Enter
                && let Err(e) = rustix::process::setpriority_process(None, NICER)
            {
                tracing::debug!("a streaming thread stays at its priority: {e}");
            }
            gst::BusSyncReply::Drop
        }
        gst::MessageView::Error(_) | gst::MessageView::Application(_) => gst::BusSyncReply::Pass,
        _ => gst::BusSyncReply::Drop,
    });
}

/// The first error on the bus, if there is one now.
pub fn error_on(pipeline: &gst::Pipeline) -> Option<String> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(reason(error)),
        _ => None,
    }
}

/// An error message as one line: where and what.
pub fn reason(error: &gst::message::Error) -> String {
    let source = error.src().map(|s| s.name().to_string()).unwrap_or_default();
    format!("{source}: {}", error.error())
}

/// Starts a pipeline; one that refuses is stopped again, and the reason returned.
pub fn play(pipeline: &gst::Pipeline) -> Result<(), String> {
    bring_to(pipeline, gst::State::Playing)
}

/// The same, to another state.
pub fn bring_to(pipeline: &gst::Pipeline, state: gst::State) -> Result<(), String> {
    pipeline.set_state(state).map(drop).map_err(|e| {
        let reason = error_on(pipeline).unwrap_or_else(|| e.to_string());
        stop(pipeline);
        reason
    })
}

/// Connects a chain and adds it to the pipeline.
pub fn chain(pipeline: &gst::Pipeline, elements: &[&gst::Element]) -> Result<(), MediaError> {
    let failed = |e: gst::glib::BoolError| MediaError::Framework(format!("a pipeline cannot be built: {e}"));
    pipeline.add_many(elements.iter().copied()).map_err(failed)?;
    gst::Element::link_many(elements.iter().copied()).map_err(failed)
}

/// Stops a pipeline; waits for its threads, at most as long as they need for one buffer.
pub fn stop(pipeline: &gst::Pipeline) {
    if pipeline.set_state(gst::State::Null).is_err() {
        tracing::warn!("a pipeline would not stop");
    }
    if let Some(bus) = pipeline.bus() {
        bus.unset_sync_handler();
    }
}

/// Stops a pipeline whose device may hang: one that has not stopped within this time is left behind, with its threads.
/// Whether it has.
pub fn stop_within(pipeline: gst::Pipeline, patience: Duration) -> bool {
    let (done, stopped) = sync_channel(1);
    let closing = std::thread::Builder::new().name("closing".into()).spawn(move || {
        stop(&pipeline);
        // Nobody waits any more after the patience.
        let _ = done.send(());
    });
    closing.is_ok() && stopped.recv_timeout(patience).is_ok()
}

/// A running time or duration in nanoseconds.
pub fn ns(time: Option<gst::ClockTime>) -> Option<u64> {
    time.map(gst::ClockTime::nseconds)
}
