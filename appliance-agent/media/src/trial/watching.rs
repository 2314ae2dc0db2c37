//! Trials that look and listen: the picture, the microphones, the encoder, a QR code before the lens.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agent_core::commissioning::judge::measure_picture;
use bridgepoint_wire::commissioning::{ChannelProof, EncoderProof};
use bridgepoint_wire::local::FromMedia;
use bridgepoint_wire::trial::Found;

use super::{Bench, FIRST, ORDER, TrialError};
use crate::encode::Encodings;
use crate::{Captured, Encoding, Picture};

/// A camera that hangs shows one picture for ever; one that lives changes something within this.
const ALIVE: Duration = Duration::from_secs(2);
/// Auto-exposure needs a moment after the camera's start.
const SETTLE: Duration = Duration::from_millis(500);
/// Between two looks for a code: a person holds it still for longer.
const CODE_EVERY: Duration = Duration::from_millis(300);
/// An encoder may still hold a few pictures when the last one has gone in.
const DRAIN: Duration = Duration::from_secs(1);

/// Looks for QR codes, and tells each once.
pub(super) fn for_code(bench: &mut Bench<'_>) -> Result<Found, TrialError> {
    let capture = bench.capture(ORDER)?;
    let (mut look_at, mut told) = (Instant::now(), String::new());
    let forever = Instant::now() + Duration::from_hours(24);
    bench.watch(&capture, forever, |captured| {
        if let Captured::Picture { picture, .. } = captured
            && Instant::now() >= look_at
        {
            for text in codes(&picture) {
                if text != told {
                    (bench.say)(FromMedia::CodeSeen(text.clone()));
                    told = text;
                }
            }
            look_at = Instant::now() + CODE_EVERY;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Found::Stopped)
}

fn codes(picture: &Picture) -> Vec<String> {
    let (luma, width) = (picture.luma(), picture.width() as usize);
    if luma.is_empty() {
        return Vec::new();
    }
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, luma.len() / width, |x, y| luma[y * width + x]);
    image.detect_grids().iter().filter_map(|grid| Some(grid.decode().ok()?.1)).collect()
}

/// Whether the camera sees, and lives.
pub(super) fn picture(bench: &mut Bench<'_>) -> Result<Found, TrialError> {
    let capture = bench.capture(ORDER)?;
    let begun = Instant::now();
    let mut first: Option<(Instant, Vec<u8>)> = None;
    let (mut last, mut alive) = (None, false);
    bench.watch(&capture, begun + FIRST + ALIVE, |captured| {
        let Captured::Picture { picture, .. } = captured else { return Ok(ControlFlow::Continue(())) };
        let now = Instant::now();
        let luma = picture.luma();
        let (since, before) = first.get_or_insert_with(|| (now, luma.clone()));
        alive |= *before != luma;
        let watched = now - *since;
        last = Some(picture);
        let enough = watched >= ALIVE || (alive && watched >= SETTLE);
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let last = last.ok_or(TrialError::NoPicture)?;
    if !alive {
        return Ok(Found::Frozen);
    }
    let width = last.width() as usize;
    Ok(Found::Picture(Some(measure_picture(&last.luma(), width, width))))
}

/// What the microphones hear. The capture mixes its channels into one today: that one is judged.
pub(super) fn sound(bench: &mut Bench<'_>, seconds: u32) -> Result<Found, TrialError> {
    let capture = bench.capture(ORDER)?;
    let mut heard = Heard::default();
    let until = Instant::now() + FIRST + Duration::from_secs(seconds.into());
    let wanted = u64::from(seconds) * crate::pace::SOUND_RATE;
    bench.watch(&capture, until, |captured| {
        if let Captured::Sound { block, .. } = captured {
            heard.add(&block[..]);
        }
        Ok(if heard.samples >= wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(Found::Sound(heard.proof().into_iter().collect()))
}

/// Level of one channel.
#[derive(Default)]
struct Heard {
    samples: u64,
    squares: f64,
    peak: u16,
}

impl Heard {
    fn add(&mut self, block: &[i16]) {
        self.samples += block.len() as u64;
        for sample in block {
            self.squares += f64::from(*sample) * f64::from(*sample);
            self.peak = self.peak.max(sample.unsigned_abs());
        }
    }

    fn proof(&self) -> Option<ChannelProof> {
        if self.samples == 0 {
            return None;
        }
        let dbfs = |level: f64| (20.0 * (level / 32_767.0).max(1e-7).log10()).round().clamp(-127.0, 0.0) as i8;
        let rms = (self.squares / self.samples as f64).sqrt();
        // Rounded up, a peak just below full scale would look clipped.
        let peak = if self.peak >= 32_767 { 0 } else { dbfs(self.peak.into()).min(-1) };
        Some(ChannelProof { dbfs: dbfs(rms), peak_dbfs: peak })
    }
}

/// Whether the encoder keeps up with the camera.
pub(super) fn encoder(bench: &mut Bench<'_>, seconds: u32) -> Result<Found, TrialError> {
    let capture = bench.capture(ORDER)?;
    let done = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&done);
    let mut encodings = Encodings::new(bench.encoders, ORDER, ORDER, move |encoding, _| {
        if encoding == Encoding::Main {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    encodings.order_thumb(None);
    let (mut begun, mut pushed) = (None, 0_u32);
    let until = Instant::now() + FIRST + Duration::from_secs(seconds.into());
    bench.watch(&capture, until, |captured| {
        let Captured::Picture { picture, at, .. } = captured else { return Ok(ControlFlow::Continue(())) };
        let begun = *begun.get_or_insert(at);
        let since = at.saturating_duration_since(begun);
        if since >= Duration::from_secs(seconds.into()) {
            return Ok(ControlFlow::Break(()));
        }
        encodings.push(&picture, (since.as_micros() * 9 / 100) as u64, Instant::now())?;
        pushed += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    let until = Instant::now() + DRAIN;
    while done.load(Ordering::Relaxed) < pushed && Instant::now() < until {
        bench.stopped()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    if pushed == 0 {
        return Err(TrialError::NoPicture);
    }
    let name = bench.encoders.best().name().to_owned();
    let pictures_out = done.load(Ordering::Relaxed);
    Ok(Found::Encoder(Some(EncoderProof { name, pictures_in: pushed, pictures_out })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_that_of_a_full_sine_and_of_silence() {
        let mut heard = Heard::default();
        assert_eq!(heard.proof(), None);
        heard.add(&[0; 960]);
        assert_eq!(heard.proof(), Some(ChannelProof { dbfs: -127, peak_dbfs: -127 }));
        let sine: Vec<i16> = (0..960).map(|n| ((f64::from(n) / 9.6).sin() * 16_384.0) as i16).collect();
        let mut heard = Heard::default();
        heard.add(&sine);
        assert_eq!(heard.proof(), Some(ChannelProof { dbfs: -9, peak_dbfs: -6 }));
        heard.add(&[i16::MIN]);
        assert_eq!(heard.proof().map(|proof| proof.peak_dbfs), Some(0));
    }
}
