//! Parameter sets in band: link and recorder want them in each key frame's access unit.

use bridgepoint_wire::media::AccessUnit;

/// Sequence and picture parameter sets (ITU-T H.264, table 7-1).
const SETS: [u8; 2] = [7, 8];
const DELIMITER: u8 = 9;

/// The newest parameter sets of a stream: some cameras send them once, or only in their session description.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Sequence and picture parameter sets, in that order.
    known: [Vec<Vec<u8>>; 2],
}

impl Sets {
    /// The first unit of a connection, of which GStreamer says the sets of the session description first: without them,
    /// where the camera says the same itself.
    pub(super) fn said_once(unit: AccessUnit) -> AccessUnit {
        let nals: Vec<&[u8]> = unit.nals().collect();
        let said_again = |(n, nal): &(usize, &&[u8])| SETS.contains(&(nal[0] & 0x1F)) && nals[n + 1..].contains(nal);
        match nals.iter().enumerate().take_while(said_again).count() {
            0 => unit,
            before => AccessUnit::from_nals(unit.ticks, nals[before..].iter().copied()).unwrap_or(unit),
        }
    }

    /// The unit, with those parameter sets that its key frame lacks; any other is returned as it is.
    pub(super) fn in_band(&mut self, unit: AccessUnit) -> AccessUnit {
        let of = |kind: u8| unit.nals().filter(move |nal| nal[0] & 0x1F == kind).map(<[u8]>::to_vec);
        let inside = SETS.map(|kind| of(kind).collect::<Vec<_>>());
        let complete = inside.iter().all(|sets| !sets.is_empty());
        for (known, new) in self.known.iter_mut().zip(inside).filter(|(_, new)| !new.is_empty()) {
            *known = new;
        }
        if !unit.key || complete {
            return unit;
        }
        let is_delimiter = |nal: &&[u8]| nal[0] & 0x1F == DELIMITER;
        // The delimiter, where there is one, is an access unit's first; then the sets, each before what refers to it
        // (ITU-T H.264 §7.4.1.2.3).
        let begin = unit.nals().filter(is_delimiter).chain(self.known.iter().flatten().map(Vec::as_slice));
        let rest = unit.nals().filter(|nal| !is_delimiter(nal) && !SETS.contains(&(nal[0] & 0x1F)));
        AccessUnit::from_nals(unit.ticks, begin.chain(rest)).unwrap_or(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(unit: &AccessUnit) -> Vec<u8> {
        unit.nals().map(|nal| nal[0] & 0x1F).collect()
    }

    #[test]
    fn sets_that_the_session_description_has_said_before_are_not_said_twice() {
        let unit = |nals: &[&[u8]]| AccessUnit::from_nals(7, nals.iter().copied()).unwrap();
        let (sps, pps, key): (&[u8], &[u8], &[u8]) = (&[0x67, 1], &[0x68, 2], &[0x65, 3]);
        assert_eq!(Sets::said_once(unit(&[sps, pps, sps, pps, key])), unit(&[sps, pps, key]));
        let sei: &[u8] = &[0x06, 5];
        assert_eq!(Sets::said_once(unit(&[sps, pps, sei, sps, pps, key])), unit(&[sei, sps, pps, key]));
        for as_it_is in [unit(&[sps, pps, key]), unit(&[sps, pps, &[0x67, 9], pps, key]), unit(&[key])] {
            assert_eq!(Sets::said_once(as_it_is.clone()), as_it_is);
        }
    }

    #[test]
    fn a_key_frame_gets_the_sets_that_it_lacks_and_nothing_else_is_touched() {
        let mut sets = Sets::default();
        let unit = |nals: &[&[u8]]| AccessUnit::from_nals(7, nals.iter().copied()).unwrap();
        let full = unit(&[&[0x67, 1], &[0x68, 2], &[0x65, 3]]);
        assert_eq!(sets.in_band(full.clone()), full);
        let plain = unit(&[&[0x41, 3]]);
        assert_eq!(sets.in_band(plain.clone()), plain);
        let bare = sets.in_band(unit(&[&[0x09, 0xF0], &[0x06, 5], &[0x65, 3]]));
        assert_eq!((kinds(&bare), bare.ticks, bare.key), (vec![9, 7, 8, 6, 5], 7, true));
        // The newest are used; a half of them is completed.
        let half = sets.in_band(unit(&[&[0x67, 9], &[0x65, 3]]));
        assert_eq!(half.nals().map(<[u8]>::to_vec).collect::<Vec<_>>(), [vec![0x67, 9], vec![0x68, 2], vec![0x65, 3]]);
        assert_eq!(sets.in_band(unit(&[&[0x65, 3]])).nals().next(), Some(&[0x67, 9][..]));
    }
}
