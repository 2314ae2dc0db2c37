//! The room's microphones: ALSA devices, of which one channel is sent.
//!
//! ```text
//! alsasrc ! audioconvert ! audioresample ! F32 48k ! appsink ─► blocks of 20 ms of all channels
//!   ─► Listening ─► Line ─► Canceller ─► on_heard
//! ```
//! Capture instants are what [`DeviceClock`] makes of a device's own count. Devices that are away are looked for
//! again; meanwhile silence is sent, so that the session has a line to hear this site on, and what happened is said.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agent_core::Millis;
use agent_core::listening::{Device, Listened, Listening};
use bridgepoint_wire::sound::{Heard, MicrophoneEvent, Microphones as Described};
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};

use crate::blocks::{Blocks, Line};
use crate::canceller::Canceller;
use crate::device_clock::DeviceClock;
use crate::epoch::Epoch;
use crate::pace::{BLOCK, SOUND_RATE};
use crate::pipeline::{chain, error_on, make, play, set_if_there, stop_within};
use crate::{MediaError, lock};

/// How often devices are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same while there is no device whose blocks set the pace.
const FILL_EVERY: Duration = Duration::from_millis(20);
/// A device that is away is tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a device may take to stop.
pub const CLOSING: Duration = Duration::from_millis(500);
/// A device that was opened and delivers nothing within this time is opened anew.
const SILENT: Duration = Duration::from_secs(2);
/// A block of a device may be this late before silence takes its place.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the microphones bring.
#[derive(Debug)]
pub enum FromMicrophones {
    /// 20 ms to be sent, and the instant of the first sample.
    Block(Box<[i16; BLOCK]>, Instant),
    /// Something happened with them.
    Event(MicrophoneEvent),
    /// From where a voice comes.
    Heard(Heard),
    /// A device is away, or nothing cancels the echo.
    Fault(MediaError),
}

type Tell = Arc<Mutex<dyn FnMut(FromMicrophones) + Send>>;

/// Listens until it is dropped.
pub struct Microphones {
    shared: Arc<Shared>,
    stop: SyncSender<()>,
    keeper: Option<JoinHandle<()>>,
}

struct Shared {
    begun: Instant,
    /// None where the box has no microphone: silence.
    listening: Option<Mutex<Listening>>,
    line: Mutex<Line>,
    canceller: Mutex<Option<Canceller>>,
    tell: Tell,
}

impl Microphones {
    /// Begins to listen. Devices are opened by a thread of their own: a session does not wait for them. `echo`: a
    /// loudspeaker was started before, on the same epoch.
    ///
    /// # Errors
    /// [`MediaError::Framework`] when they cannot be listened to as they are described.
    pub fn start(
        described: Option<&Described>,
        epoch: Epoch,
        echo: bool,
        tell: impl FnMut(FromMicrophones) + Send + 'static,
    ) -> Result<Self, MediaError> {
        crate::pipeline::init()?;
        let listening = described.map(|described| Listening::new(Millis(0), described)).transpose();
        let listening = listening.map_err(|e| MediaError::Framework(format!("the microphones: {e}")))?;
        let tell: Tell = Arc::new(Mutex::new(tell));
        let canceller = described.and_then(|_| start_canceller(epoch, echo, &tell));
        let begun = Instant::now();
        let shared = Arc::new(Shared {
            begun,
            listening: listening.map(Mutex::new),
            line: Mutex::new(Line::new(begun)),
            canceller: Mutex::new(canceller),
            tell,
        });
        let (stop, stopped) = sync_channel(0);
        let inputs = described.map(inputs).unwrap_or_default();
        let keeper = std::thread::Builder::new()
            .name("microphones".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || keep(&shared, inputs, &stopped)
            })
            .map_err(|e| MediaError::Framework(e.to_string()))?;
        Ok(Self { shared, stop, keeper: Some(keeper) })
    }

    /// RMS of each channel since the last call, dBFS.
    pub fn take_dbfs(&self) -> Vec<f32> {
        self.shared.listening.as_ref().map(|listening| lock(listening).take_dbfs()).unwrap_or_default()
    }
}

impl Drop for Microphones {
    fn drop(&mut self) {
        // It is gone already only if it has panicked.
        let _ = self.stop.send(());
        if self.keeper.take().is_some_and(|keeper| keeper.join().is_err()) {
            tracing::error!("the microphones' thread panicked");
        }
    }
}

/// Where there is none, the sound is sent as it is, and that is said.
fn start_canceller(epoch: Epoch, echo: bool, tell: &Tell) -> Option<Canceller> {
    let to = Arc::clone(tell);
    let started = Canceller::start(epoch, echo, move |block, at| {
        (lock(&to))(FromMicrophones::Block(Box::new(*block), at));
    });
    started.map_err(|error| (lock(tell))(FromMicrophones::Fault(error))).ok()
}

fn inputs(described: &Described) -> Vec<Input> {
    let input = |device, name: &str, channels| Input {
        device,
        name: name.to_owned(),
        channels,
        running: None,
        again: Instant::now(),
        away_said: false,
        left_behind: 0,
    };
    let array = input(Device::Array, &described.device, Some(described.channels));
    let spare = described.spare.as_ref().filter(|spare| spare.device != described.device);
    [array].into_iter().chain(spare.map(|spare| input(Device::Spare, &spare.device, None))).collect()
}

/// Looks after the devices.
fn keep(shared: &Arc<Shared>, mut inputs: Vec<Input>, stopped: &Receiver<()>) {
    loop {
        for input in &mut inputs {
            input.look(shared, Instant::now());
        }
        shared.look();
        let captures = inputs.iter().any(|input| input.running.is_some());
        shared.fill(if captures { PATIENCE } else { Duration::ZERO });
        match stopped.recv_timeout(if captures { LOOK_EVERY } else { FILL_EVERY }) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Shared {
    fn now(&self) -> Millis {
        Millis(self.begun.elapsed().as_millis() as u64)
    }

    fn tell(&self, what: FromMicrophones) {
        (lock(&self.tell))(what);
    }

    /// What the core wants to have said.
    fn settle(&self, listening: &Mutex<Listening>) {
        loop {
            let event = lock(listening).poll_event();
            match event {
                Some(event) => self.tell(FromMicrophones::Event(event)),
                None => break,
            }
        }
        let heard = lock(listening).poll_heard();
        if let Some(heard) = heard {
            self.tell(FromMicrophones::Heard(heard));
        }
    }

    fn block(&self, device: Device, samples: &[f32], at: Instant) {
        let Some(listening) = &self.listening else { return };
        let listened = lock(listening).handle_block(self.now(), device, samples);
        if let Some(Listened { samples, processed }) = listened
            && lock(&self.line).handle_block(at)
        {
            let block = samples.map(|sample| (sample * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16);
            self.send(&block, at, processed);
        }
        self.settle(listening);
    }

    fn send(&self, block: &[i16; BLOCK], at: Instant, processed: bool) {
        match &*lock(&self.canceller) {
            Some(canceller) if !processed => canceller.push(block, at),
            Some(_) | None => self.tell(FromMicrophones::Block(Box::new(*block), at)),
        }
    }

    fn look(&self) {
        let Some(listening) = &self.listening else { return };
        lock(listening).handle_timeout(self.now());
        self.settle(listening);
        let fault = lock(&self.canceller).as_ref().and_then(Canceller::fault);
        if let Some(fault) = fault {
            lock(&self.canceller).take();
            self.tell(FromMicrophones::Fault(fault));
        }
    }

    fn fill(&self, patience: Duration) {
        loop {
            let missing = lock(&self.line).missing(Instant::now(), patience);
            match missing {
                // As if processed: there is no echo in it.
                Some(at) => self.send(&[0; BLOCK], at, true),
                None => return,
            }
        }
    }

    fn away(&self, device: Device) {
        if let Some(listening) = &self.listening {
            lock(listening).handle_away(device);
            self.settle(listening);
        }
    }
}

/// One device.
struct Input {
    device: Device,
    name: String,
    /// None: as many as it has.
    channels: Option<u8>,
    running: Option<gst::Pipeline>,
    again: Instant,
    away_said: bool,
    /// Pipelines that would not stop.
    left_behind: u32,
}

impl Input {
    fn look(&mut self, shared: &Arc<Shared>, now: Instant) {
        let fault = match &self.running {
            Some(pipeline) => error_on(pipeline).or_else(|| self.hangs(shared, now)),
            None if now < self.again => None,
            None => match self.open(shared) {
                Ok(pipeline) => {
                    self.running = Some(pipeline);
                    self.again = now + SILENT;
                    None
                }
                Err(reason) => Some(reason),
            },
        };
        let Some(reason) = fault else { return };
        self.close();
        // One that hangs may never let go: it is not tried for ever.
        self.again = now + AGAIN * (1 << self.left_behind.min(8));
        if !std::mem::replace(&mut self.away_said, true) {
            tracing::warn!(device = self.name, reason, "a microphone's device is away");
            shared.away(self.device);
            shared.tell(FromMicrophones::Fault(MediaError::Microphones { device: self.name.clone(), reason }));
        }
    }

    /// A device may deliver nothing without a word; one that has just been opened may take its time.
    fn hangs(&mut self, shared: &Shared, now: Instant) -> Option<String> {
        let here = shared.listening.as_ref().is_some_and(|listening| lock(listening).is_here(self.device));
        if here {
            self.away_said = false;
        }
        (!here && now >= self.again).then(|| "it delivers nothing".to_owned())
    }

    fn close(&mut self) {
        if let Some(pipeline) = self.running.take()
            && !stop_within(pipeline, CLOSING)
        {
            tracing::error!(device = self.name, "a microphone's device hangs and was left behind");
            self.left_behind += 1;
        }
    }

    fn open(&self, shared: &Arc<Shared>) -> Result<gst::Pipeline, String> {
        let (shared, device) = (Arc::clone(shared), self.device);
        capture(&self.name, self.channels, move |block, at| shared.block(device, block, at))
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.close();
    }
}

/// Opens a device. `on_block` is told, on a thread of the device's, 20 ms of all its channels in turn (48 kHz, −1 to 1),
/// and the instant of the first sample. `channels`: as many as it has where absent.
///
/// # Errors
/// What the device says.
pub fn capture(
    device: &str,
    channels: Option<u8>,
    on_block: impl FnMut(&[f32], Instant) + Send + 'static,
) -> Result<gst::Pipeline, String> {
    let pipeline = gst::Pipeline::new();
    // One clock for the time stamps, the one that `Instant` counts on.
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    build(&pipeline, device, channels, on_block).map_err(|e| e.to_string())?;
    play(&pipeline)?;
    Ok(pipeline)
}

fn build(
    pipeline: &gst::Pipeline,
    device: &str,
    channels: Option<u8>,
    mut on_block: impl FnMut(&[f32], Instant) + Send + 'static,
) -> Result<(), MediaError> {
    let source = make("alsasrc")?;
    source.set_property("device", device);
    source.set_property("provide-clock", false);
    // Its own count of samples: `DeviceClock` makes instants of it. The element would leave out what it takes for late.
    source.set_property_from_str("slave-method", "none");
    source.set_property("use-driver-timestamps", false);
    source.set_property("buffer-time", 200_000_i64);
    source.set_property("latency-time", 10_000_i64);
    let filter = make("capsfilter")?;
    if let Some(channels) = channels {
        // Before any conversion: an array's channels are microphones, not a surround mix to be folded down.
        let caps = gst::Caps::builder("audio/x-raw").field("channels", i32::from(channels)).build();
        filter.set_property("caps", &caps);
    }
    let (convert, resample) = (make("audioconvert")?, make("audioresample")?);
    set_if_there(&convert, "dithering", "none");
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", if cfg!(target_endian = "little") { "F32LE" } else { "F32BE" })
        .field("rate", SOUND_RATE as i32)
        .field("layout", "interleaved")
        .build();
    let sink = AppSink::builder().caps(&caps).sync(false).max_buffers(16).drop(true).build();
    sink.set_property("enable-last-sample", false);
    chain(pipeline, &[&source, &filter, &convert, &resample, sink.upcast_ref()])?;
    let mut clock = DeviceClock::default();
    let mut blocks: Option<Blocks<f32>> = None;
    let on_sample = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let channels = || sample.caps()?.structure(0)?.get::<i32>("channels").ok();
        let buffer = sample.buffer().and_then(|b| Some((b.pts()?, b.duration()?, b.map_readable().ok()?)));
        let Some((pts, duration, map)) = buffer else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let end = clock.handle_arrival(Duration::from_nanos((pts + duration).nseconds()), Instant::now());
        let at = end.checked_sub(Duration::from_nanos(duration.nseconds())).unwrap_or(end);
        let samples = map.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
        let blocks = blocks.get_or_insert_with(|| Blocks::new(channels().unwrap_or(1).max(1) as usize));
        blocks.push(at, samples, &mut on_block);
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(on_sample).build());
    Ok(())
}
