//! Sound, by libopus.

use bridgepoint_wire::media::OpusPacket;
use server_core::{BLOCK, Block, DecodeFailed, SoundDecoder};

use crate::MediaError;

/// The longest packet that is made: 20 ms at 64 kbit/s are 160 bytes.
const LONGEST: usize = 1_275;
/// The longest that a packet may be, in samples: 120 ms (RFC 6716 §2.1.4).
const LONGEST_SAMPLES: usize = 5_760;

/// What an encoder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The program: everybody's sound, recorded.
    Program,
    /// One site's own mix.
    MixMinus,
}

/// Encodes blocks of 20 ms.
#[derive(Debug)]
pub struct OpusEnc {
    encoder: opus::Encoder,
    lookahead: u64,
    room: Vec<u8>,
}

impl OpusEnc {
    /// 64 kbit/s for the program, 48 for a site's own mix; in-band FEC, so that a lost packet can be made again.
    ///
    /// # Errors
    /// [`MediaError::Opus`].
    pub fn new(purpose: Use) -> Result<Self, MediaError> {
        // A site's own mix is speech, of which the speech mode with its in-band FEC is the costly part: at complexity 3 it
        // costs a third less than at 5, and 48 kbit/s leave room enough.
        let (application, kbps, complexity) = match purpose {
            Use::Program => (opus::Application::Audio, 64, 5),
            Use::MixMinus => (opus::Application::Voip, 48, 3),
        };
        let mut encoder =
            opus::Encoder::new(48_000, opus::Channels::Mono, application).map_err(|error| refused(&error))?;
        encoder.set_bitrate(opus::Bitrate::Bits(kbps * 1_000)).map_err(|error| refused(&error))?;
        encoder.set_complexity(complexity).map_err(|error| refused(&error))?;
        encoder.set_inband_fec(true).map_err(|error| refused(&error))?;
        encoder.set_packet_loss_perc(5).map_err(|error| refused(&error))?;
        let lookahead = encoder.get_lookahead().map_err(|error| refused(&error))?.unsigned_abs().into();
        Ok(Self { encoder, lookahead, room: vec![0; LONGEST] })
    }

    /// The block whose first sample belongs to `ticks`. The packet's ticks are earlier by the encoder's look-ahead: that
    /// is when the first sample that decoding it gives belongs.
    ///
    /// # Errors
    /// [`MediaError::Opus`].
    pub fn encode(&mut self, ticks: u64, block: &Block) -> Result<OpusPacket, MediaError> {
        let length = self.encoder.encode(block, &mut self.room).map_err(|error| refused(&error))?;
        Ok(OpusPacket {
            ticks: ticks.saturating_sub(self.lookahead),
            data: self.room[..length].into(),
            level: level(block),
        })
    }

    /// Samples by which decoded sound is later than what was encoded.
    pub fn lookahead(&self) -> u64 {
        self.lookahead
    }
}

/// RMS as RFC 6464 carries it: −dBov, 0 to 127.
fn level(block: &Block) -> u8 {
    let power = block.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / BLOCK as f64;
    (-20.0 * (power.sqrt() / 32_768.0).max(1e-7).log10()).round().clamp(0.0, 127.0) as u8
}

/// Decodes one site's sound to mono, whatever it sends.
#[derive(Debug)]
pub struct OpusDec {
    decoder: opus::Decoder,
    room: Vec<f32>,
}

impl OpusDec {
    /// A fresh one.
    ///
    /// # Errors
    /// [`MediaError::Opus`].
    pub fn new() -> Result<Self, MediaError> {
        let decoder = opus::Decoder::new(48_000, opus::Channels::Mono).map_err(|error| refused(&error))?;
        Ok(Self { decoder, room: vec![0.0; LONGEST_SAMPLES] })
    }
}

impl SoundDecoder for OpusDec {
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        let samples = self.decoder.decode_float(packet, &mut self.room, false).map_err(|_| DecodeFailed)?;
        out.extend_from_slice(&self.room[..samples]);
        Ok(())
    }

    fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<f32>) -> Result<(), DecodeFailed> {
        let room = self.room.get_mut(..samples).ok_or(DecodeFailed)?;
        let samples = self.decoder.decode_float(next, room, true).map_err(|_| DecodeFailed)?;
        out.extend_from_slice(&self.room[..samples]);
        Ok(())
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) {
        let samples = samples.min(self.room.len());
        // libopus makes up exactly as much as there is room for; where it cannot, silence is plausible too.
        match self.decoder.decode_float(&[], &mut self.room[..samples], false) {
            Ok(made) => out.extend_from_slice(&self.room[..made]),
            Err(_) => out.resize(out.len() + samples, 0.0),
        }
    }
}

fn refused(error: &opus::Error) -> MediaError {
    MediaError::Opus { reason: error.to_string() }
}
