//! One element between two pads of our own: what is pushed comes out before the push returns.
//!
//! ```text
//! input (ours) ── sink │ element │ src ── output (ours): a queue that the caller empties
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::{MediaError, locked};

/// How long an element may take to change its state.
const STATE_DEADLINE: gst::ClockTime = gst::ClockTime::from_seconds(5);

pub(crate) struct Chain {
    element: gst::Element,
    bus: gst::Bus,
    input: gst::Pad,
    output: gst::Pad,
    made: Arc<Mutex<VecDeque<gst::Buffer>>>,
}

impl Chain {
    /// `given` are the caps of what will be pushed, `wanted` those of what shall come out.
    pub(crate) fn start(element: &gst::Element, given: &gst::Caps, wanted: &gst::Caps) -> Result<Self, MediaError> {
        let failed = |reason: String| MediaError::NotStarted { element: kind(element), reason };
        let pad = |name: &str| element.static_pad(name).ok_or_else(|| failed(format!("no pad {name}")));
        let (sink, src) = (pad("sink")?, pad("src")?);

        let made = Arc::new(Mutex::new(VecDeque::new()));
        let queue = Arc::clone(&made);
        let template = gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, wanted)
            .map_err(|error| failed(error.to_string()))?;
        let output = gst::Pad::builder_from_template(&template)
            .name("output")
            .chain_function(move |_, _, buffer| {
                locked(&queue).push_back(buffer);
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(|_, _, _| true)
            .query_function(|pad, parent, query| {
                if let gst::QueryViewMut::Allocation(allocation) = query.view_mut() {
                    // Then a decoder may hand out its own pictures with strides of its own, without a copy.
                    allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                    return true;
                }
                gst::Pad::query_default(pad, parent, query)
            })
            .build();
        let input = gst::Pad::builder(gst::PadDirection::Src).name("input").build();

        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        input.link(&sink).map_err(|error| failed(error.to_string()))?;
        src.link(&output).map_err(|error| failed(error.to_string()))?;
        let chain = Self { element: element.clone(), bus, input, output, made };
        for pad in [&chain.output, &chain.input] {
            pad.set_active(true).map_err(|error| failed(error.to_string()))?;
        }
        element.set_state(gst::State::Playing).map_err(|error| failed(error.to_string()))?;
        element.state(STATE_DEADLINE).0.map_err(|error| failed(error.to_string()))?;

        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for event in [
            gst::event::StreamStart::new("bridgepoint"),
            gst::event::Caps::new(given),
            gst::event::Segment::new(&segment),
        ] {
            if !chain.input.push_event(event) {
                return Err(failed(chain.complaint().unwrap_or_else(|| "the format was refused".into())));
            }
        }
        Ok(chain)
    }

    /// Returns when all that follows from `buffer` has been made; take it from [`Chain::made`].
    pub(crate) fn push(&self, buffer: gst::Buffer) -> Result<(), MediaError> {
        let pushed = self.input.push(buffer);
        match (pushed, self.complaint()) {
            (Ok(_), None) => Ok(()),
            (_, Some(reason)) => Err(MediaError::Failed { element: kind(&self.element), reason }),
            (Err(error), None) => Err(MediaError::Failed { element: kind(&self.element), reason: error.to_string() }),
        }
    }

    pub(crate) fn made(&self) -> Option<gst::Buffer> {
        locked(&self.made).pop_front()
    }

    /// The format of what was made last.
    pub(crate) fn made_as(&self) -> Option<gst::Caps> {
        self.output.current_caps()
    }

    /// An event for the element from below, such as a wish for a key frame.
    pub(crate) fn ask(&self, event: gst::Event) -> bool {
        self.output.push_event(event)
    }

    /// Error of the element, if it has one.
    fn complaint(&self) -> Option<String> {
        let message = self.bus.pop_filtered(&[gst::MessageType::Error]);
        // Warnings and the like are not read by anybody else.
        while self.bus.pop().is_some() {}
        match message?.view() {
            gst::MessageView::Error(error) => Some(match error.debug() {
                Some(debug) => format!("{} ({debug})", error.error()),
                None => error.error().to_string(),
            }),
            _ => None,
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // Nothing streams outside of `push`, so this does not wait for anything.
        let _ = self.input.set_active(false);
        let _ = self.element.set_state(gst::State::Null);
        let _ = self.output.set_active(false);
        self.element.set_bus(None);
    }
}

/// What an element is, for people.
pub(crate) fn kind(element: &gst::Element) -> String {
    element.factory().map_or_else(|| element.name().to_string(), |factory| factory.name().to_string())
}

/// The first of `names` that is installed.
pub(crate) fn first_of(names: &[&str]) -> Result<gst::Element, MediaError> {
    names
        .iter()
        .find_map(|name| gst::ElementFactory::make(name).build().ok())
        .ok_or_else(|| MediaError::Missing { names: names.join(", ") })
}

/// Sets a property that not all versions and elements have.
pub(crate) fn set(element: &gst::Element, name: &str, value: &str) {
    if element.find_property(name).is_some() {
        element.set_property_from_str(name, value);
    }
}

/// An instant of the 90 kHz clock as GStreamer's: rounded down, and back by [`ticks`] without loss.
pub(crate) const fn clock_time(ticks: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds((ticks as u128 * 100_000 / 9) as u64)
}

/// See [`clock_time`].
pub(crate) const fn ticks(time: gst::ClockTime) -> u64 {
    ((time.nseconds() as u128 * 9 + 50_000) / 100_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_survive_the_way_through_nanoseconds() {
        for n in (0..100_000).chain(7_776_000_000_000..7_776_000_010_000) {
            assert_eq!(ticks(clock_time(n)), n);
        }
    }
}
