//! The box listens to itself: plays the test signal in the room, and measures what each of its microphones brings of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent_core::selftest::{Measured, TestSignal, measure};
use bridgepoint_wire::sound::Microphones as Described;
use bridgepoint_wire::trial::{Found, MeasuredMicrophone};

use super::{Bench, LOOK, TrialError};
use crate::blocks::BLOCK_TIME;
use crate::loudspeaker::{LEAD, Loudspeaker};
use crate::microphones::{CLOSING, capture};
use crate::pace::{BLOCK, SOUND_RATE};
use crate::pipeline::stop_within;
use crate::{MediaError, lock};

/// A device that is there delivers within this.
const FIRST: Duration = Duration::from_secs(3);
/// A loudspeaker that is there takes sound within this, if need be at its second or third start.
const LOUDSPEAKER: Duration = Duration::from_secs(5);
/// Its device plays evenly after this.
const STRIDE: Duration = Duration::from_secs(1);
/// Devices deliver so long after it was heard.
const LATE: Duration = Duration::from_millis(300);
/// A device that is further off than this has lost samples.
const HOLE: Duration = Duration::from_millis(10);

/// Empty: this box has no loudspeaker, or no microphone.
///
/// # Errors
/// The loudspeaker is away. A microphone that is away is [`Measured::NoSignal`].
pub(super) fn run(bench: &Bench<'_>) -> Result<Found, TrialError> {
    let Some(described) = &bench.config.microphones else { return Ok(Found::SoundTest(Vec::new())) };
    let signal = TestSignal::default();
    let played = signal.samples();
    let silent: Arc<Mutex<Option<MediaError>>> = Arc::default();
    let fault = Arc::clone(&silent);
    let loudspeaker = bench.loudspeaker(move |error| {
        lock(&fault).get_or_insert(error);
    })?;
    let Some(loudspeaker) = loudspeaker else { return Ok(Found::SoundTest(Vec::new())) };
    let inputs: Vec<Input> = inputs(described);
    let fault_before = || lock(&silent).take();
    let all_deliver = || inputs.iter().all(|input| lock(&input.tape).first.is_some());
    let begin = play(bench, &loudspeaker, &played, fault_before, all_deliver)?;
    wait_until(bench, begin + duration_of(played.len()) + LATE)?;
    if let Some(error) = lock(&silent).take() {
        return Err(error.into());
    }
    let measured = inputs.iter().flat_map(|input| {
        let tape = lock(&input.tape);
        let heard = |(channel, name): &(usize, u8)| {
            let capture = tape.since(begin, *channel, played.len());
            let measured = capture.map_or(Measured::NoSignal, |capture| measure(&signal, &capture));
            MeasuredMicrophone { channel: *name, measured }
        };
        input.microphones.iter().map(heard).collect::<Vec<_>>()
    });
    Ok(Found::SoundTest(measured.collect()))
}

/// Silence first, until all devices deliver and the loudspeaker's own has come into its stride, which it may do only after
/// a second start; then the signal. Returns when its first sample is to be heard.
fn play(
    bench: &Bench<'_>,
    loudspeaker: &Loudspeaker,
    signal: &[f32],
    fault: impl Fn() -> Option<MediaError>,
    all_deliver: impl Fn() -> bool,
) -> Result<Instant, TrialError> {
    let mouth = loudspeaker.mouth();
    let start = Instant::now() + LEAD;
    let mut at = start;
    let mut say = |block: &[i16; BLOCK]| -> Result<Instant, TrialError> {
        wait_until(bench, at.checked_sub(LEAD).unwrap_or(at))?;
        mouth.play(block, at);
        at += BLOCK_TIME;
        Ok(at)
    };
    let (mut begin, mut well_since) = (start, start);
    while begin < well_since + STRIDE || (begin < start + FIRST && !all_deliver()) {
        begin = say(&[0; BLOCK])?;
        match fault() {
            Some(fault) if begin > start + LOUDSPEAKER => return Err(fault.into()),
            Some(_) => well_since = begin,
            None => {}
        }
    }
    for samples in signal.chunks(BLOCK) {
        let mut block = [0; BLOCK];
        for (out, sample) in block.iter_mut().zip(samples) {
            *out = (sample * 32_767.0).round() as i16;
        }
        say(&block)?;
    }
    Ok(begin)
}

fn wait_until(bench: &Bench<'_>, end: Instant) -> Result<(), TrialError> {
    loop {
        bench.stopped()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// A capture device, and what it has delivered.
struct Input {
    tape: Arc<Mutex<Tape>>,
    /// Channel on the device, and as the box counts.
    microphones: Vec<(usize, u8)>,
    pipeline: Option<gst::Pipeline>,
}

fn inputs(described: &Described) -> Vec<Input> {
    let mut array: Vec<(usize, u8)> =
        described.microphones.iter().map(|one| (usize::from(one.channel), one.channel)).collect();
    let spare = described.spare.as_ref();
    array.extend(
        spare.filter(|spare| spare.device == described.device).map(|spare| (usize::from(spare.channel), spare.channel)),
    );
    let beside = spare.filter(|spare| spare.device != described.device);
    // As events count it: one more after the array's last.
    let beside =
        beside.map(|spare| Input::open(&spare.device, None, vec![(usize::from(spare.channel), described.channels)]));
    [Input::open(&described.device, Some(described.channels), array)].into_iter().chain(beside).collect()
}

impl Input {
    fn open(device: &str, channels: Option<u8>, microphones: Vec<(usize, u8)>) -> Self {
        let tape: Arc<Mutex<Tape>> = Arc::default();
        let on = Arc::clone(&tape);
        let opened = capture(device, channels, move |samples, at| lock(&on).push(samples, at));
        let pipeline = opened.inspect_err(|reason| tracing::warn!("{device}: {reason}")).ok();
        Self { tape, microphones, pipeline }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            stop_within(pipeline, CLOSING);
        }
    }
}

/// All that a device delivers.
#[derive(Default)]
struct Tape {
    first: Option<Instant>,
    channels: usize,
    samples: Vec<f32>,
}

impl Tape {
    /// A block of 20 ms of all channels in turn.
    fn push(&mut self, samples: &[f32], at: Instant) {
        let first = *self.first.get_or_insert(at);
        self.channels = samples.len() / BLOCK;
        let expected = first + duration_of(self.samples.len() / self.channels);
        let missing = at.saturating_duration_since(expected);
        if missing > HOLE {
            let frames = (missing.as_secs_f64() * SOUND_RATE as f64).round() as usize;
            self.samples.resize(self.samples.len() + frames * self.channels, 0.0);
        }
        self.samples.extend_from_slice(samples);
    }

    /// `count` samples of one channel from this instant on; `None` where the device had none by then, or has no such channel.
    fn since(&self, begin: Instant, channel: usize, count: usize) -> Option<Vec<f32>> {
        let skipped = begin.checked_duration_since(self.first?)?;
        let skipped = (skipped.as_secs_f64() * SOUND_RATE as f64).round() as usize;
        let frames = self.samples.chunks_exact(self.channels).skip(skipped).take(count);
        frames.map(|frame| frame.get(channel).copied()).collect()
    }
}

fn duration_of(samples: usize) -> Duration {
    Duration::from_secs_f64(samples as f64 / SOUND_RATE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_gives_one_channel_from_an_instant_on_and_keeps_its_place_over_a_hole() {
        let (mut tape, start) = (Tape::default(), Instant::now());
        let block = |n: usize| (0..2 * BLOCK).map(move |i| if i % 2 == 0 { (n * BLOCK + i / 2) as f32 } else { -1.0 });
        let at = |n: usize| start + BLOCK_TIME * n as u32;
        // The device's clock shivers; the third block is lost.
        for (n, off_ms) in [(0, 0), (1, 4), (3, 0), (4, 3)] {
            tape.push(&block(n).collect::<Vec<_>>(), at(n) + Duration::from_millis(off_ms));
        }
        let heard = tape.since(at(1), 0, 4 * BLOCK).unwrap();
        // Whole numbers, which floats hold.
        let whole: Vec<i64> = heard.iter().map(|sample| *sample as i64).collect();
        let block = BLOCK as i64;
        assert_eq!((whole[0], whole[BLOCK - 1]), (block, 2 * block - 1));
        assert_eq!((whole[BLOCK], whole[2 * BLOCK - 1]), (0, 0), "the hole");
        assert_eq!(whole[2 * BLOCK], 3 * block);
        assert_eq!(heard.len(), 4 * BLOCK);
        assert_eq!(tape.since(at(1), 2, 1), None, "no such channel");
        assert_eq!(tape.since(start.checked_sub(BLOCK_TIME).unwrap(), 0, 1), None, "before it began");
        assert_eq!(Tape::default().since(start, 0, 1), None);
    }
}
