//! As much of ISO/IEC 14496-12 as says where fragments begin and end, and which half second they claim to be.

/// The boxes that `bytes` consists of: kind and content. `None` unless they fill it exactly.
pub fn split(mut bytes: &[u8]) -> Option<Vec<([u8; 4], &[u8])>> {
    let mut boxes = Vec::new();
    while !bytes.is_empty() {
        let (length, _) = bytes.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let whole = bytes.get(..length).filter(|whole| whole.len() >= 8)?;
        let kind = [whole[4], whole[5], whole[6], whole[7]];
        boxes.push((kind, &whole[8..]));
        bytes = &bytes[length..];
    }
    Some(boxes)
}

/// Whether `bytes` are the head of a file: `ftyp` and `moov`.
pub fn is_header(bytes: &[u8]) -> bool {
    kinds(bytes).is_some_and(|kinds| kinds == [*b"ftyp", *b"moov"])
}

/// Whether `bytes` are a seek index: `mfra`; or nothing, where it could not be written.
pub fn is_index(bytes: &[u8]) -> bool {
    kinds(bytes).is_some_and(|kinds| kinds.is_empty() || kinds == [*b"mfra"])
}

/// Which half second the fragment in `bytes` claims to be: the sequence number of its `mfhd`, less one.
pub fn fragment_index(bytes: &[u8]) -> Option<u64> {
    let boxes = split(bytes)?;
    let [(first, moof), (second, _)] = boxes.as_slice() else { return None };
    if first != b"moof" || second != b"mdat" {
        return None;
    }
    let inner = split(moof)?;
    let (_, mfhd) = inner.iter().find(|(kind, _)| kind == b"mfhd")?;
    let sequence = mfhd.get(4..8)?; // after version and flags
    u64::from(u32::from_be_bytes(sequence.try_into().ok()?)).checked_sub(1)
}

fn kinds(bytes: &[u8]) -> Option<Vec<[u8; 4]>> {
    Some(split(bytes)?.into_iter().map(|(kind, _)| kind).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_that_do_not_fill_their_bytes_are_none() {
        assert_eq!(split(b"\0\0\0\x08free"), Some(vec![(*b"free", &[][..])]));
        for bad in [&b"\0\0\0\x09free"[..], b"\0\0\0\x07free", b"\0\0\0", b"\0\0\0\x08free\0", b"\0\0\0\0free"] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
        assert_eq!(fragment_index(b"\0\0\0\x10moof\0\0\0\x08mfhd\0\0\0\x08mdat"), None);
    }
}
