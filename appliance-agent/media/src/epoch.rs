//! One time for pipelines that are fed and read by this program, and the way of sound into them.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::{AppLeakyType, AppSrc};

use crate::clip::sound_caps;
use crate::jitter::BLOCK_NS;
use crate::pace::BLOCK;

/// Blocks that may wait before a pipeline: 1 s. One that is further behind loses the oldest.
const WAITING: u64 = 50;

/// The same moment by `Instant` and by the pipelines' clock, which run alike.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    instant: Instant,
    clock: gst::ClockTime,
}

impl Epoch {
    /// Now.
    pub fn now() -> Self {
        Self { instant: Instant::now(), clock: gst::SystemClock::obtain().time() }
    }

    /// From now on this pipeline's running time is the time since the epoch, also after it was stopped and started.
    pub fn rule(&self, pipeline: &gst::Pipeline) {
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(self.clock);
    }

    /// The running time of `at`; an instant before the epoch is at its begin.
    pub fn running_time(&self, at: Instant) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(at.saturating_duration_since(self.instant).as_nanos() as u64)
    }

    /// The instant of a running time.
    pub fn instant(&self, running_time: gst::ClockTime) -> Instant {
        self.instant + Duration::from_nanos(running_time.nseconds())
    }
}

/// A pipeline's begin: takes blocks, and never waits.
#[derive(Debug)]
pub struct BlockSource {
    source: AppSrc,
    epoch: Epoch,
}

impl BlockSource {
    /// To be added to a pipeline that is ruled by `epoch`.
    pub fn new(epoch: Epoch) -> Self {
        let source = AppSrc::builder()
            .caps(&sound_caps())
            .format(gst::Format::Time)
            .is_live(true)
            .max_buffers(WAITING)
            .leaky_type(AppLeakyType::Downstream)
            .build();
        Self { source, epoch }
    }

    /// The element.
    pub fn element(&self) -> gst::Element {
        self.source.clone().upcast()
    }

    /// Whether so much waits that whatever comes after it must have stopped.
    pub fn is_stuck(&self) -> bool {
        2 * self.source.current_level_buffers() >= WAITING
    }

    /// A block whose first sample belongs to `at`. A pipeline that has failed takes nothing: its bus says why.
    pub fn push(&self, block: &[i16; BLOCK], at: Instant) {
        let bytes: Vec<u8> = block.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
        let mut buffer = gst::Buffer::from_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(self.epoch.running_time(at));
            buffer.set_duration(gst::ClockTime::from_nseconds(BLOCK_NS));
        }
        let _ = self.source.push_buffer(buffer);
    }
}
