//! The microphone's way to the line: mute, meter, Opus.

use bridgepoint_wire::media::OpusPacket;

use crate::MediaError;
use crate::pace::{BLOCK, SOUND_RATE};

/// Steps of the capture clock up to this many samples (10 ms) are jitter; larger ones are real gaps.
const JITTER: u64 = 480;
/// The largest packet that Opus makes (RFC 6716 §3.4).
const LARGEST: usize = 1_275;

/// Encodes 20 ms blocks, with a mute switch in front.
pub struct Microphone {
    encoder: opus::Encoder,
    /// How much later than its input the decoder's output is, samples.
    look_ahead: u64,
    muted: bool,
    next: Option<u64>,
    meter: Meter,
}

impl Microphone {
    /// An encoder of `kbps`.
    ///
    /// # Errors
    /// [`MediaError::Opus`].
    pub fn new(kbps: u32, muted: bool) -> Result<Self, MediaError> {
        let failed = |e: opus::Error| MediaError::Opus(e.to_string());
        let mut encoder =
            opus::Encoder::new(SOUND_RATE as u32, opus::Channels::Mono, opus::Application::Audio).map_err(failed)?;
        encoder.set_bitrate(opus::Bitrate::Bits((kbps.clamp(6, 510) * 1_000) as i32)).map_err(failed)?;
        encoder.set_complexity(5).map_err(failed)?;
        encoder.set_inband_fec(true).map_err(failed)?;
        encoder.set_packet_loss_perc(3).map_err(failed)?;
        // Silence is sent too: a gap in the record must mean that something is missing.
        encoder.set_dtx(false).map_err(failed)?;
        let look_ahead = encoder.get_lookahead().map_err(failed)?.unsigned_abs().into();
        Ok(Self { encoder, look_ahead, muted, next: None, meter: Meter::default() })
    }

    /// Mutes or opens the microphone, from the next block on.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Encodes a block whose first sample was captured at `ticks` of the 48 kHz clock since the session's origin.
    ///
    /// # Errors
    /// [`MediaError::Opus`].
    pub fn encode(&mut self, block: &[i16; BLOCK], ticks: u64) -> Result<OpusPacket, MediaError> {
        let silence = [0; BLOCK];
        let block = if self.muted { &silence } else { block };
        self.meter.add(block);
        let ticks = match self.next {
            Some(next) if next.abs_diff(ticks) <= JITTER => next,
            Some(_) | None => ticks,
        };
        self.next = Some(ticks + BLOCK as u64);
        let data = self.encoder.encode_vec(block, LARGEST).map_err(|e| MediaError::Opus(e.to_string()))?;
        Ok(OpusPacket { ticks: ticks.saturating_sub(self.look_ahead), data: data.into(), level: level(block) })
    }

    /// What was sent since the last call: dBFS (RMS), −127 to 0.
    pub fn take_dbfs(&mut self) -> f32 {
        self.meter.take()
    }
}

#[derive(Default)]
struct Meter {
    squares: f64,
    samples: usize,
}

impl Meter {
    fn add(&mut self, block: &[i16]) {
        self.squares += squares(block);
        self.samples += block.len();
    }

    fn take(&mut self) -> f32 {
        let Self { squares, samples } = std::mem::take(self);
        dbfs(squares, samples)
    }
}

fn squares(block: &[i16]) -> f64 {
    block.iter().map(|s| f64::from(*s) * f64::from(*s)).sum()
}

fn dbfs(squares: f64, samples: usize) -> f32 {
    let rms = (squares / samples.max(1) as f64).sqrt() / 32_768.0;
    (20.0 * rms.max(1e-7).log10()).clamp(-127.0, 0.0) as f32
}

/// −dBov as RFC 6464 §3 carries it: 0 is loudest, 127 is silence.
fn level(block: &[i16]) -> u8 {
    (-dbfs(squares(block), block.len())).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(from: usize) -> [i16; BLOCK] {
        std::array::from_fn(|n| ((((from + n) as f64) * std::f64::consts::TAU / 48.0).sin() * 16_384.0) as i16)
    }

    #[test]
    fn decoded_sound_sits_at_its_capture_time() {
        // Silence, then a tone from sample 9,600 on; found again at 9,600 by the packets' ticks.
        let mut microphone = Microphone::new(64, false).unwrap();
        let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
        let start = 1_000_000;
        let mut onset = None;
        for n in 0..20 {
            let block = if n < 10 { [0; BLOCK] } else { tone((n - 10) * BLOCK) };
            let packet = microphone.encode(&block, start + (n * BLOCK) as u64).unwrap();
            let mut out = [0; BLOCK];
            assert_eq!(decoder.decode(&packet.data, &mut out, false).unwrap(), BLOCK);
            if let Some(at) = out.iter().position(|s| s.unsigned_abs() > 3_000) {
                onset.get_or_insert(packet.ticks + at as u64);
            }
        }
        let error = onset.unwrap() as i64 - (start as i64 + 9_600);
        assert!(error.abs() < 48, "{error} samples");
    }

    #[test]
    fn a_muted_microphone_sends_silence_and_says_so() {
        let mut microphone = Microphone::new(64, false).unwrap();
        let loud = microphone.encode(&tone(0), 0).unwrap();
        assert_eq!(loud.level, 9);
        assert!((microphone.take_dbfs() + 9.03).abs() < 0.1);
        microphone.set_muted(true);
        let muted = microphone.encode(&tone(0), 960).unwrap();
        assert_eq!(muted.level, 127);
        assert!(microphone.take_dbfs() <= -120.0);
    }

    #[test]
    fn ticks_advance_by_whole_blocks_and_follow_a_real_gap() {
        let mut microphone = Microphone::new(24, false).unwrap();
        let mut ticks = |at| microphone.encode(&[0; BLOCK], at).unwrap().ticks;
        let first = ticks(10_000);
        assert_eq!(ticks(10_970), first + 960);
        assert_eq!(ticks(11_900), first + 1_920);
        assert_eq!(ticks(60_000), first + 50_000);
    }
}
