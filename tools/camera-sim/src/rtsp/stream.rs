//! A file of H.264 as access units.

use anyhow::{Result, bail};

/// Access units, each a list of NAL units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// In decoding order.
    pub units: Vec<Vec<Vec<u8>>>,
    /// The first sequence parameter set.
    pub sps: Vec<u8>,
    /// The first picture parameter set.
    pub pps: Vec<u8>,
}

pub const SPS: u8 = 7;
pub const PPS: u8 = 8;

/// A NAL unit's type (ITU-T H.264, table 7-1).
pub fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |byte| byte & 0x1f)
}

impl Stream {
    /// From a byte stream (ITU-T H.264, Annex B).
    ///
    /// # Errors
    /// No picture, or no parameter sets.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let nals = nals(bytes);
        let of = |wanted: u8| nals.iter().find(|nal| kind(nal) == wanted).map(|nal| nal.to_vec());
        let (Some(sps), Some(pps)) = (of(SPS), of(PPS)) else { bail!("no parameter sets: is this a file of H.264?") };
        let mut units: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut unit: Vec<Vec<u8>> = Vec::new();
        let mut has_picture = false;
        for nal in nals {
            let is_picture = matches!(kind(nal), 1 | 5);
            // `first_mb_in_slice` is 0, one bit that is set, in the first slice of a picture (§7.3.3).
            let begins = is_picture && nal.get(1).is_some_and(|byte| byte & 0x80 != 0);
            if has_picture && (begins || !is_picture) {
                units.push(std::mem::take(&mut unit));
                has_picture = false;
            }
            has_picture |= is_picture;
            unit.push(nal.to_vec());
        }
        if has_picture {
            units.push(unit);
        }
        if units.is_empty() {
            bail!("no picture");
        }
        Ok(Self { units, sps, pps })
    }
}

/// The NAL units of a byte stream, without start codes and trailing zeros.
fn nals(bytes: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = bytes.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let all = starts.iter().zip(ends).map(|(start, end)| {
        let nal = &bytes[start + 3..end];
        let len = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &nal[..len]
    });
    all.filter(|nal| !nal.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_ends_before_what_belongs_to_the_next_picture() {
        let file = [
            &[0, 0, 0, 1, 0x67, 1][..],
            &[0, 0, 0, 1, 0x68, 2],
            &[0, 0, 1, 0x65, 0x80, 3],
            // The same picture's second slice.
            &[0, 0, 1, 0x65, 0x40, 4],
            &[0, 0, 0, 1, 0x06, 5],
            &[0, 0, 1, 0x41, 0x80, 6, 0, 0],
            &[0, 0, 1, 0x41, 0x80, 7],
        ];
        let stream = Stream::parse(&file.concat()).unwrap();
        let first_bytes: Vec<Vec<u8>> =
            stream.units.iter().map(|unit| unit.iter().map(|nal| nal[0]).collect()).collect();
        assert_eq!(first_bytes, [vec![0x67, 0x68, 0x65, 0x65], vec![0x06, 0x41], vec![0x41]]);
        assert_eq!(stream.units[1][1], [0x41, 0x80, 6]);
        assert!(Stream::parse(b"no video").is_err());
    }
}
