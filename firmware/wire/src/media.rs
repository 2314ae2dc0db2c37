//! Encoded pictures and sound as they pass between encoder, link, recorder and mixer: one allocation each, shared.

use alloc::sync::Arc;
use alloc::vec::Vec;

/// Clock of video time stamps, ticks per second (RFC 6184 §5.1).
pub const VIDEO_RATE: u64 = 90_000;
/// Clock of audio time stamps, ticks per second (RFC 7587 §4.1).
pub const AUDIO_RATE: u64 = 48_000;

/// One H.264 access unit: all NAL units of one picture, as the encoder delivered them, none added, none dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// Capture instant, ticks of [`VIDEO_RATE`] since the session's origin (not wrapped).
    pub ticks: u64,
    /// Begins a coded video sequence (holds an IDR picture; parameter sets are in it).
    pub key: bool,
    /// NAL units, each after its length (`u32`, big endian): the bytes of an MP4 sample (ISO/IEC 14496-15 §5.3.4.2).
    pub data: Arc<[u8]>,
}

impl AccessUnit {
    /// From an Annex B byte stream (start codes of 3 or 4 bytes, ITU-T H.264 Annex B). `None` without a NAL unit.
    pub fn from_annex_b(ticks: u64, stream: &[u8]) -> Option<Self> {
        Self::from_nals(ticks, annex_b_nals(stream))
    }

    /// From NAL units without start codes or lengths. `None` when there is none.
    pub fn from_nals<'a>(ticks: u64, nals: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut data = Vec::new();
        let mut key = false;
        for nal in nals.into_iter().filter(|nal| !nal.is_empty()) {
            key |= nal[0] & 0x1F == 5;
            data.extend_from_slice(&(nal.len() as u32).to_be_bytes());
            data.extend_from_slice(nal);
        }
        (!data.is_empty()).then(|| Self { ticks, key, data: data.into() })
    }

    /// The NAL units, without their lengths.
    pub fn nals(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.data;
        core::iter::from_fn(move || {
            let (len, tail) = rest.split_first_chunk::<4>()?;
            let nal = tail.get(..u32::from_be_bytes(*len) as usize)?;
            rest = &tail[nal.len()..];
            Some(nal)
        })
    }

    /// The Annex B byte stream that decoders take.
    pub fn to_annex_b(&self) -> Vec<u8> {
        let mut stream = Vec::with_capacity(self.data.len());
        for nal in self.nals() {
            stream.extend_from_slice(&[0, 0, 0, 1]);
            stream.extend_from_slice(nal);
        }
        stream
    }
}

fn annex_b_nals(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = next_start(stream, 0);
    core::iter::from_fn(move || {
        let (_, begin) = at?;
        let next = next_start(stream, begin);
        let end = next.map_or(stream.len(), |(start, _)| start);
        at = next;
        let nal = &stream[begin..end];
        // Trailing zero bytes belong to the byte stream, not to the NAL unit (Annex B.1.1).
        let len = nal.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        Some(&nal[..len])
    })
}

/// Where the next start code begins and where its NAL unit begins.
fn next_start(stream: &[u8], from: usize) -> Option<(usize, usize)> {
    let at = stream.get(from..)?.windows(3).position(|w| w == [0, 0, 1])? + from;
    Some((at, at + 3))
}

/// One Opus packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpusPacket {
    /// Capture instant of the first sample that decoding gives, ticks of [`AUDIO_RATE`] since the session's origin
    /// (not wrapped). The encoder's look-ahead is already taken off.
    pub ticks: u64,
    /// The packet (RFC 6716 §3).
    pub data: Arc<[u8]>,
    /// Level of the block, −dBov 0 (loudest) to 127 (silence), as RFC 6464 carries it.
    pub level: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annex_b_and_lengths_hold_the_same_nal_units() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 9, 9, 9];
        let unit = AccessUnit::from_annex_b(7, &stream).unwrap();
        let nals: Vec<&[u8]> = unit.nals().collect();
        assert_eq!(nals, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 9, 9, 9]]);
        assert!(unit.key);
        assert_eq!(AccessUnit::from_annex_b(7, &unit.to_annex_b()), Some(unit));
        assert_eq!(AccessUnit::from_annex_b(0, &[1, 2, 3]), None);
    }
}
