//! The box's own tones while nothing else is played. In a session the playout mixes them in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bridgepoint_wire::local;

use crate::blocks::BLOCK_TIME;
use crate::epoch::Epoch;
use crate::loudspeaker::{LEAD, Loudspeaker};
use crate::pace::BLOCK;

/// A device that was just opened may take so long to come into its stride: what comes before is silence.
const OPENING: Duration = Duration::from_millis(300);
/// What was handed over last is still to be heard.
const DRAIN: Duration = Duration::from_millis(200);

/// Tones that are being played; dropped, they end, and the device is free.
pub struct Chiming {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Chiming {
    /// Plays samples at 48 kHz on a loudspeaker of its own. A device that is away plays nothing, and nobody waits for it.
    pub fn start(on: &local::Loudspeaker, percent: u8, samples: Vec<i16>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (device, stopped) = (on.device.clone(), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("chime".into())
            .spawn(move || play(&device, percent, &samples, &stopped))
            .inspect_err(|error| tracing::warn!("no tones: {error}"))
            .ok();
        Self { stop, thread }
    }
}

impl Drop for Chiming {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the chime's thread panicked");
        }
    }
}

fn play(device: &str, percent: u8, samples: &[i16], stop: &AtomicBool) {
    let loudspeaker = Loudspeaker::start(device, percent, Epoch::now(), |error| tracing::warn!("no tones: {error}"));
    let loudspeaker = match loudspeaker {
        Ok(loudspeaker) => loudspeaker,
        Err(error) => return tracing::warn!("no tones: {error}"),
    };
    let (mouth, mut at) = (loudspeaker.mouth(), Instant::now() + LEAD);
    let silence = vec![0; (OPENING.as_millis() / BLOCK_TIME.as_millis()) as usize * BLOCK];
    for samples in silence.chunks(BLOCK).chain(samples.chunks(BLOCK)) {
        std::thread::sleep((at.checked_sub(LEAD).unwrap_or(at)).saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mut block = [0; BLOCK];
        block[..samples.len()].copy_from_slice(samples);
        mouth.play(&block, at);
        at += BLOCK_TIME;
    }
    std::thread::sleep((at + DRAIN).saturating_duration_since(Instant::now()));
}
