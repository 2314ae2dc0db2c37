//! What a box and the centre's echo say to each other inside a test call, so that the line is measured with what sessions
//! use: the media link, and pictures of a chosen size at a chosen pace.
//!
//! The echo sends back every picture and every block of sound as they came. A picture that is a [`Probe`] gets a
//! [`Return`] instead: as large as the probe asks for, with what arrived until then. So one box finds out about both ways.
//!
//! Both are H.264 access units in form (a parameter set and an IDR unit, so that every receiver takes each of them), and
//! in nothing else: no decoder ever sees them.

use alloc::vec;
use alloc::vec::Vec;

use crate::media::AccessUnit;

/// A parameter set without content: after a loss, a receiver knows by it where a unit begins.
const SPS: [u8; 1] = [0x67];
/// Header of an IDR unit.
const IDR: u8 = 0x65;
const PROBE: [u8; 4] = *b"BPP1";
const RETURN: [u8; 4] = *b"BPR1";
/// The largest unit that is asked for, bytes: 25 a second are 20 Mbit/s.
pub const LARGEST: usize = 100_000;

/// A picture that asks for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Counts up by one.
    pub number: u32,
    /// How large the return shall be, bytes; at most [`LARGEST`].
    pub want: u32,
}

/// What the centre answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return {
    /// The probe's number.
    pub number: u32,
    /// Probes that have come, with this one.
    pub units: u32,
    /// Their bytes.
    pub bytes: u64,
}

impl Probe {
    /// As a picture of `size` bytes (what it says takes 13 of them).
    pub fn unit(self, ticks: u64, size: usize) -> AccessUnit {
        let mut body = PROBE.to_vec();
        body.extend_from_slice(&self.number.to_be_bytes());
        body.extend_from_slice(&self.want.to_be_bytes());
        filled(ticks, body, size)
    }

    /// Out of a picture; `None` when it is a real one.
    pub fn read(unit: &AccessUnit) -> Option<Self> {
        let (number, rest) = body(unit, PROBE)?.split_first_chunk::<4>()?;
        let (want, _) = rest.split_first_chunk::<4>()?;
        let want = u32::from_be_bytes(*want).min(LARGEST as u32);
        Some(Self { number: u32::from_be_bytes(*number), want })
    }
}

impl Return {
    /// As a picture of `size` bytes (what it says takes 21 of them).
    pub fn unit(self, ticks: u64, size: usize) -> AccessUnit {
        let mut body = RETURN.to_vec();
        body.extend_from_slice(&self.number.to_be_bytes());
        body.extend_from_slice(&self.units.to_be_bytes());
        body.extend_from_slice(&self.bytes.to_be_bytes());
        filled(ticks, body, size)
    }

    /// Out of a picture; `None` when it is none.
    pub fn read(unit: &AccessUnit) -> Option<Self> {
        let (number, rest) = body(unit, RETURN)?.split_first_chunk::<4>()?;
        let (units, rest) = rest.split_first_chunk::<4>()?;
        let (bytes, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            number: u32::from_be_bytes(*number),
            units: u32::from_be_bytes(*units),
            bytes: u64::from_be_bytes(*bytes),
        })
    }
}

fn filled(ticks: u64, body: Vec<u8>, size: usize) -> AccessUnit {
    let mut nal = vec![IDR];
    nal.extend(body);
    let size = size.clamp(nal.len(), LARGEST);
    nal.resize(size, 0xA5);
    let data: Vec<u8> =
        [&SPS[..], &nal].iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect();
    AccessUnit { ticks, key: true, data: data.into() }
}

fn body(unit: &AccessUnit, magic: [u8; 4]) -> Option<&[u8]> {
    let mut nals = unit.nals();
    if nals.next()? != SPS {
        return None;
    }
    nals.next()?.strip_prefix(&[IDR])?.strip_prefix(&magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_and_returns_come_back_out_of_pictures_of_their_size() {
        let probe = Probe { number: 7, want: 12_000 };
        let unit = probe.unit(90, 5_000);
        assert_eq!((Probe::read(&unit), Return::read(&unit)), (Some(probe), None));
        assert_eq!((unit.key, unit.ticks, unit.data.len()), (true, 90, 5_000 + 9));
        let back = Return { number: 7, units: 8, bytes: 40_072 };
        let unit = back.unit(91, 0);
        assert_eq!((Return::read(&unit), Probe::read(&unit)), (Some(back), None));
    }

    #[test]
    fn real_pictures_and_greed_are_neither() {
        let real = AccessUnit::from_nals(0, [&[0x67, 1, 2][..], &[0x65, 9, 9]]).unwrap();
        assert_eq!(Probe::read(&real), None);
        let greedy = Probe { number: 1, want: u32::MAX }.unit(0, usize::MAX);
        assert_eq!(Probe::read(&greedy).unwrap().want as usize, LARGEST);
        assert!(greedy.data.len() <= LARGEST + 9);
        assert_eq!(
            Return::read(&AccessUnit { data: vec![0, 0, 0, 1, 0x67, 0, 0, 0, 3, 0x65, b'B', b'P'].into(), ..real }),
            None
        );
    }
}
