//! Takes the loudspeaker's echo and the room's noise out of the microphone's sound, and evens its level.
//!
//! ```text
//! blocks ─► appsrc ! webrtcdsp ! appsink ─► blocks
//!                        ▲
//!          webrtcechoprobe of the loudspeaker
//! ```

use std::sync::Mutex;
use std::time::Instant;

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};

use crate::blocks::Blocks;
use crate::clip::sound_caps;
use crate::epoch::{BlockSource, Epoch};
use crate::loudspeaker::PROBE;
use crate::pace::BLOCK;
use crate::pipeline::{chain, error_on, make, play, set_if_there, stop};
use crate::{MediaError, lock};

/// Cleans one microphone's sound.
#[derive(Debug)]
pub struct Canceller {
    pipeline: gst::Pipeline,
    source: BlockSource,
}

impl Canceller {
    /// `echo`: there is a loudspeaker, started before, whose sound is to be taken out. `on_block` gets what is left.
    ///
    /// # Errors
    /// [`MediaError::Element`] where the library is not installed, [`MediaError::Framework`].
    pub fn start(
        epoch: Epoch,
        echo: bool,
        mut on_block: impl FnMut(&[i16; BLOCK], Instant) + Send + 'static,
    ) -> Result<Self, MediaError> {
        let failed = |reason: String| MediaError::Framework(format!("the echo cannot be cancelled: {reason}"));
        let pipeline = gst::Pipeline::new();
        epoch.rule(&pipeline);
        let source = BlockSource::new(epoch);
        let dsp = make("webrtcdsp")?;
        dsp.set_property("echo-cancel", echo);
        if echo {
            dsp.set_property("probe", PROBE);
            // Loudspeaker and microphones share one small, hard room. Newer versions of the library know no levels.
            set_if_there(&dsp, "echo-suppression-level", "high");
        }
        let sink = AppSink::builder().caps(&sound_caps()).sync(false).enable_last_sample(false).build();
        let blocks = Mutex::new(Blocks::new(1));
        let on_sample = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let Some((pts, map)) = sample.buffer().and_then(|buffer| buffer.pts().zip(buffer.map_readable().ok()))
            else {
                return Ok(gst::FlowSuccess::Ok);
            };
            let samples = map.chunks_exact(2).map(|b| i16::from_ne_bytes([b[0], b[1]]));
            lock(&blocks).push(epoch.instant(pts), samples, |block, at| {
                if let Some(block) = block.as_array() {
                    on_block(block, at);
                }
            });
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
        chain(&pipeline, &[&source.element(), &dsp, sink.upcast_ref()])?;
        play(&pipeline).map_err(failed)?;
        Ok(Self { pipeline, source })
    }

    /// A block that was captured at `at`.
    pub fn push(&self, block: &[i16; BLOCK], at: Instant) {
        self.source.push(block, at);
    }

    /// Why it works no longer.
    pub fn fault(&self) -> Option<MediaError> {
        error_on(&self.pipeline).map(|e| MediaError::Framework(format!("the echo is no longer cancelled: {e}")))
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        stop(&self.pipeline);
    }
}
