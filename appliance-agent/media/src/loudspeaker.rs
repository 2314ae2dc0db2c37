//! Plays what the room hears: the session's sound, and the box's own tones.
//!
//! ```text
//! blocks ─► appsrc ! webrtcechoprobe ! volume ! audioconvert ! audioresample ! alsasink
//! ```
//! A device that is away is looked for again; nothing waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::MediaError;
use crate::epoch::{BlockSource, Epoch};
use crate::pace::BLOCK;
use crate::pipeline::{chain, error_on, make, play, stop_within};

/// The element that the echo canceller listens to.
pub const PROBE: &str = "bridgepoint-loudspeaker";
/// Blocks that may wait for the device: 1 s.
const WAITING: usize = 50;
/// Who paces blocks by himself hands each over so long before it is heard.
pub const LEAD: Duration = Duration::from_millis(60);
/// How often it is looked whether the device still plays.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a device may take to stop.
const CLOSING: Duration = Duration::from_millis(500);
/// A device that is away is tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// A loudspeaker until it is dropped.
#[derive(Debug)]
pub struct Loudspeaker {
    orders: SyncSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// Where the sound is put. Never waits.
#[derive(Debug, Clone)]
pub struct Mouth(SyncSender<Order>);

#[derive(Debug)]
enum Order {
    Play(Box<[i16; BLOCK]>, Instant),
    Volume(u8),
    End,
}

impl Mouth {
    /// A block that is to be heard from `at` on, as soon as the device can. A device that is behind leaves some out.
    pub fn play(&self, block: &[i16; BLOCK], at: Instant) {
        let _ = self.0.try_send(Order::Play(Box::new(*block), at));
    }
}

impl Loudspeaker {
    /// On an ALSA device, at `percent` of what it can do. `on_fault` is told when the device goes away or is not there.
    ///
    /// # Errors
    /// [`MediaError::Element`], [`MediaError::Framework`]; never because of the device.
    pub fn start(
        device: &str,
        percent: u8,
        epoch: Epoch,
        on_fault: impl FnMut(MediaError) + Send + 'static,
    ) -> Result<Self, MediaError> {
        let output = Output::new(device, percent, epoch)?;
        let (orders, to_do) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("loudspeaker".into())
            .spawn(move || output.run(&to_do, on_fault))
            .map_err(|e| MediaError::Framework(e.to_string()))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Another volume, percent, from the next block on.
    pub fn set_volume(&self, percent: u8) {
        // A full queue is emptied within its second; the thread ends only after us.
        let _ = self.orders.send(Order::Volume(percent));
    }

    /// Where to put the sound.
    pub fn mouth(&self) -> Mouth {
        Mouth(self.orders.clone())
    }
}

impl Drop for Loudspeaker {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the loudspeaker's thread panicked");
        }
    }
}

/// The element counts from 0 to 1.
fn set(level: &gst::Element, percent: u8) {
    level.set_property("volume", f64::from(percent) / 100.0);
}

struct Output {
    device: String,
    pipeline: gst::Pipeline,
    source: BlockSource,
    level: gst::Element,
    /// When to try the device again; none while it plays.
    again: Option<Instant>,
    look: Instant,
}

impl Output {
    fn new(device: &str, percent: u8, epoch: Epoch) -> Result<Self, MediaError> {
        let pipeline = gst::Pipeline::new();
        epoch.rule(&pipeline);
        let source = BlockSource::new(epoch);
        let level = make("volume")?;
        set(&level, percent);
        let sink = make("alsasink")?;
        sink.set_property("device", device);
        sink.set_property("provide-clock", false);
        sink.set_property("buffer-time", 60_000_i64);
        sink.set_property("latency-time", 10_000_i64);
        let (convert, resample) = (make("audioconvert")?, make("audioresample")?);
        // Without the canceller's library the sound is played all the same.
        let probe = gst::ElementFactory::make("webrtcechoprobe").name(PROBE).build().ok();
        let entry = source.element();
        let elements = [Some(&entry), Some(&level), probe.as_ref(), Some(&convert), Some(&resample), Some(&sink)];
        chain(&pipeline, &elements.into_iter().flatten().collect::<Vec<_>>())?;
        let now = Instant::now();
        Ok(Self { device: device.into(), pipeline, source, level, again: Some(now), look: now })
    }

    fn run(mut self, orders: &Receiver<Order>, mut on_fault: impl FnMut(MediaError)) {
        loop {
            let wake = self.again.unwrap_or(self.look);
            match orders.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(Order::Play(block, at)) if self.again.is_none() => self.source.push(&block, at),
                Ok(Order::Volume(percent)) => set(&self.level, percent),
                Ok(Order::Play(..)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Err(reason) = self.look(Instant::now()) {
                on_fault(MediaError::Loudspeaker { device: self.device.clone(), reason });
            }
        }
        stop_within(self.pipeline, CLOSING);
    }

    /// Starts the device when it is time; looks whether it still plays.
    fn look(&mut self, now: Instant) -> Result<(), String> {
        match self.again {
            Some(at) if at <= now => {
                self.again = Some(now + AGAIN);
                play(&self.pipeline)?;
                self.again = None;
            }
            None if self.look <= now => {
                let stuck = self.source.is_stuck().then(|| "it takes no sound".to_owned());
                if let Some(reason) = error_on(&self.pipeline).or(stuck) {
                    stop_within(self.pipeline.clone(), CLOSING);
                    self.again = Some(now + AGAIN);
                    return Err(reason);
                }
            }
            Some(_) | None => return Ok(()),
        }
        self.look = now + LOOK_EVERY;
        Ok(())
    }
}
