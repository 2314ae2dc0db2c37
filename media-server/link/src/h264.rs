//! H.264 in RTP (RFC 6184): access units to payloads and back. No I/O, no clock.

use std::sync::Arc;

use bridgepoint_wire::media::AccessUnit;

/// Largest RTP payload that we make: with RTP header, extensions, RTX's two bytes and the GCM tag a datagram
/// stays below 1,200 bytes, which passes every tunnel.
pub const MAX_PAYLOAD: usize = 1_140;

/// An access unit larger than this is an attack or a fault (the level limits of 4.2 allow 0.8 MB at most).
const MAX_UNIT: usize = 8 << 20;

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_AUD: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

/// One RTP payload of an access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The payload, shared by all receivers.
    pub data: Arc<[u8]>,
    /// Marker bit: the last of its access unit (RFC 6184 §5.1).
    pub marker: bool,
}

/// Cuts an access unit into payloads (packetization mode 1, single NAL units and FU-A): every NAL unit, in order.
pub fn packetize(unit: &AccessUnit) -> Vec<Payload> {
    let mut payloads = Vec::with_capacity(unit.data.len() / MAX_PAYLOAD + 4);
    for nal in unit.nals() {
        let Some((&header, body)) = nal.split_first() else {
            continue;
        };
        let kind = header & 0x1F;
        // Types 0 and 24 to 31 would be read as aggregates or fragments when sent alone.
        if nal.len() <= MAX_PAYLOAD && (1..STAP_A).contains(&kind) {
            payloads.push(Payload { data: nal.into(), marker: false });
        } else {
            fragment(header, body, &mut payloads);
        }
    }
    if let Some(last) = payloads.last_mut() {
        last.marker = true;
    }
    payloads
}

/// FU-A (RFC 6184 §5.8), at least two fragments (one with both bits set is forbidden), all about the same size.
fn fragment(header: u8, body: &[u8], payloads: &mut Vec<Payload>) {
    let room = MAX_PAYLOAD - 2;
    let count = body.len().div_ceil(room).max(2);
    let size = body.len().div_ceil(count);
    for n in 0..count {
        let from = (n * size).min(body.len());
        let piece = &body[from..(from + size).min(body.len())];
        let start = if n == 0 { FU_START } else { 0 };
        let end = if n + 1 == count { FU_END } else { 0 };
        let mut data = Vec::with_capacity(piece.len() + 2);
        data.push((header & 0xE0) | FU_A);
        data.push(start | end | (header & 0x1F));
        data.extend_from_slice(piece);
        payloads.push(Payload { data: data.into(), marker: false });
    }
}

/// What arrived of one RTP packet, in order.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// RTP payload.
    pub payload: &'a [u8],
    /// RTP time stamp.
    pub timestamp: u32,
    /// RTP marker bit.
    pub marker: bool,
    /// Packets before this one are lost for good, or this is the first of a stream that may have begun earlier.
    pub after_gap: bool,
}

/// A complete access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// RTP time stamp.
    pub timestamp: u32,
    /// Holds an IDR picture.
    pub key: bool,
    /// NAL units, each after its length (`u32`, big endian).
    pub data: Arc<[u8]>,
    /// Something before it was lost: pictures that refer to it may be damaged until the next key frame.
    pub after_loss: bool,
}

/// Puts access units together. An access unit of which anything is or may be missing is dropped, and the next
/// says so.
#[derive(Debug, Default)]
pub struct Depacketizer {
    unit: Option<Building>,
    /// A unit was dropped since the last complete one.
    lost: bool,
    /// The stream begins its access units with delimiters.
    delimited: bool,
    /// The packet before the next ended an access unit, so the next begins one.
    at_boundary: bool,
    dropped: u64,
}

#[derive(Debug)]
struct Building {
    timestamp: u32,
    data: Vec<u8>,
    key: bool,
    /// Where the length of the NAL unit begins that fragments are appended to.
    open: Option<usize>,
    broken: bool,
}

impl Depacketizer {
    /// Access units dropped because they were incomplete.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes the next packet in order; returns the access units that it completes (two at most).
    pub fn push(&mut self, arrived: Arrived<'_>) -> Vec<Frame> {
        let mut frames = Vec::new();
        let begins = self.unit.as_ref().is_none_or(|unit| unit.timestamp != arrived.timestamp);
        if begins {
            // A sender that sets no markers ends a unit by the next time stamp; after a gap its end may be lost.
            if arrived.after_gap {
                self.spoil();
            }
            frames.extend(self.finish());
        }
        let whole_start = !arrived.after_gap || self.opens(arrived.payload);
        let boundary = self.at_boundary || begins;
        let unit = self.unit.get_or_insert_with(|| Building {
            timestamp: arrived.timestamp,
            data: Vec::new(),
            key: false,
            open: None,
            broken: false,
        });
        if arrived.after_gap && !(boundary && whole_start && unit.data.is_empty()) {
            unit.broken = true;
        }
        if arrived.after_gap {
            self.lost = true;
        }
        if !unit.broken && unit.take(arrived.payload).is_none() {
            unit.broken = true;
        }
        self.at_boundary = arrived.marker;
        if arrived.marker {
            frames.extend(self.finish());
        }
        frames
    }

    /// After a gap only a NAL unit that is always the first of its access unit proves that nothing of it is lost.
    fn opens(&self, payload: &[u8]) -> bool {
        let first = if self.delimited { NAL_AUD } else { NAL_SPS };
        let kind = payload.first().map(|header| header & 0x1F);
        let inner = match kind {
            Some(STAP_A) => payload.get(3).map(|header| header & 0x1F),
            Some(FU_A) => payload.get(1).filter(|fu| **fu & FU_START != 0).map(|fu| fu & 0x1F),
            other => other,
        };
        inner.is_some_and(|kind| kind == first || kind == NAL_AUD)
    }

    fn spoil(&mut self) {
        if let Some(unit) = &mut self.unit {
            unit.broken = true;
        }
    }

    fn finish(&mut self) -> Option<Frame> {
        let unit = self.unit.take()?;
        if unit.broken || unit.open.is_some() || unit.data.is_empty() {
            self.lost = true;
            self.dropped += 1;
            return None;
        }
        self.delimited |= unit.data.get(4).is_some_and(|header| header & 0x1F == NAL_AUD);
        let after_loss = std::mem::take(&mut self.lost);
        Some(Frame { timestamp: unit.timestamp, key: unit.key, data: unit.data.into(), after_loss })
    }
}

impl Building {
    /// `None` when the payload cannot be right here.
    fn take(&mut self, payload: &[u8]) -> Option<()> {
        let (&header, rest) = payload.split_first()?;
        if self.data.len() + payload.len() > MAX_UNIT {
            return None;
        }
        match header & 0x1F {
            1..STAP_A => self.whole(payload),
            STAP_A => {
                let mut rest = rest;
                while let Some((len, tail)) = rest.split_first_chunk::<2>() {
                    let nal = tail.get(..u16::from_be_bytes(*len) as usize)?;
                    self.whole(nal)?;
                    rest = &tail[nal.len()..];
                }
                rest.is_empty().then_some(())
            }
            FU_A => {
                let (&fu, piece) = rest.split_first()?;
                if fu & FU_START != 0 {
                    let nal = (header & 0xE0) | (fu & 0x1F);
                    self.whole(&[nal])?;
                    self.open = Some(self.data.len() - 5);
                }
                let at = self.open?;
                // Every fragment repeats the type of its NAL unit.
                if self.data[at + 4] & 0x1F != fu & 0x1F {
                    return None;
                }
                self.data.extend_from_slice(piece);
                let len = (self.data.len() - at - 4) as u32;
                self.data[at..at + 4].copy_from_slice(&len.to_be_bytes());
                if fu & FU_END != 0 {
                    self.open = None;
                }
                Some(())
            }
            _ => None,
        }
    }

    fn whole(&mut self, nal: &[u8]) -> Option<()> {
        if self.open.is_some() {
            return None;
        }
        self.key |= nal.first()? & 0x1F == NAL_IDR;
        self.data.extend_from_slice(&(nal.len() as u32).to_be_bytes());
        self.data.extend_from_slice(nal);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(nals: &[Vec<u8>]) -> AccessUnit {
        AccessUnit::from_nals(3600, nals.iter().map(Vec::as_slice)).unwrap()
    }

    fn feed(depacketizer: &mut Depacketizer, payloads: &[Payload], timestamp: u32, lose: &[usize]) -> Vec<Frame> {
        let mut after_gap = false;
        let mut frames = Vec::new();
        for (n, payload) in payloads.iter().enumerate() {
            if lose.contains(&n) {
                after_gap = true;
                continue;
            }
            frames.extend(depacketizer.push(Arrived {
                payload: &payload.data,
                timestamp,
                marker: payload.marker,
                after_gap: std::mem::take(&mut after_gap),
            }));
        }
        frames
    }

    #[test]
    fn a_unit_with_one_lost_fragment_is_dropped_and_the_next_says_so() {
        let picture = packetize(&unit(&[vec![0x41; 5_000]]));
        assert_eq!(picture.len(), 5);
        for lost in 0..4 {
            let mut d = Depacketizer::default();
            assert_eq!(feed(&mut d, &picture, 1, &[]).len(), 1);
            assert_eq!(feed(&mut d, &picture, 2, &[lost]), []);
            let next = feed(&mut d, &picture, 3, &[]);
            assert!(next[0].after_loss);
            assert!(!feed(&mut d, &picture, 4, &[])[0].after_loss);
        }
    }

    #[test]
    fn a_lost_last_packet_spoils_its_unit_and_the_unit_whose_start_is_unknown() {
        let picture = packetize(&unit(&[vec![0x41; 5_000]]));
        let mut d = Depacketizer::default();
        feed(&mut d, &picture, 1, &[]);
        assert_eq!(feed(&mut d, &picture, 2, &[4]), []);
        let first = Arrived { payload: &picture[0].data, timestamp: 3, marker: false, after_gap: true };
        assert_eq!(d.push(first), []);
        assert_eq!(feed(&mut d, &picture[1..], 3, &[]), []);
        assert!(feed(&mut d, &picture, 4, &[])[0].after_loss);
        assert_eq!(d.dropped(), 2);
    }

    #[test]
    fn a_key_frame_after_a_gap_is_taken_when_it_begins_with_its_parameter_sets() {
        let key = packetize(&unit(&[vec![0x67, 1], vec![0x68, 2], vec![0x65; 3_000]]));
        let mut d = Depacketizer::default();
        let mut frames = Vec::new();
        for (n, payload) in key.iter().enumerate() {
            frames.extend(d.push(Arrived {
                payload: &payload.data,
                timestamp: 9,
                marker: payload.marker,
                after_gap: n == 0,
            }));
        }
        assert!(frames[0].key && frames[0].after_loss);
    }

    #[test]
    fn aggregates_of_browsers_are_taken_apart() {
        let stap = [24, 0, 2, 0x67, 1, 0, 3, 0x68, 2, 3];
        let mut d = Depacketizer::default();
        let first = Arrived { payload: &stap, timestamp: 1, marker: false, after_gap: false };
        assert_eq!(d.push(first), []);
        let last = Arrived { payload: &[0x65, 9], timestamp: 1, marker: true, after_gap: false };
        let frames = d.push(last);
        let expected = unit(&[vec![0x67, 1], vec![0x68, 2, 3], vec![0x65, 9]]);
        assert_eq!((frames[0].key, &frames[0].data), (true, &expected.data));
    }

    #[test]
    fn a_stream_without_markers_ends_units_by_time_stamp() {
        let mut d = Depacketizer::default();
        let packet = |timestamp| Arrived { payload: &[0x41, 1, 2], timestamp, marker: false, after_gap: false };
        assert_eq!(d.push(packet(1)), []);
        assert_eq!(d.push(packet(2))[0].timestamp, 1);
    }

    proptest! {
        #[test]
        fn every_nal_unit_survives_bit_for_bit(
            nals in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..6_000), 1..8)
        ) {
            let unit = unit(&nals);
            let payloads = packetize(&unit);
            prop_assert!(payloads.iter().all(|p| p.data.len() <= MAX_PAYLOAD));
            prop_assert_eq!(payloads.iter().filter(|p| p.marker).count(), 1);
            let frames = feed(&mut Depacketizer::default(), &payloads, 7, &[]);
            prop_assert_eq!(frames.len(), 1);
            prop_assert_eq!(&frames[0].data, &unit.data);
            prop_assert_eq!(frames[0].key, unit.key);
        }

        #[test]
        fn garbage_is_survived(
            packets in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..40), 0_u32..4, any::<bool>(), any::<bool>()), 0..60)
        ) {
            let mut d = Depacketizer::default();
            for (payload, timestamp, marker, after_gap) in &packets {
                for frame in d.push(Arrived { payload, timestamp: *timestamp, marker: *marker, after_gap: *after_gap }) {
                    let unit = AccessUnit { ticks: 0, key: frame.key, data: frame.data.clone() };
                    let total: usize = unit.nals().map(|nal| nal.len() + 4).sum();
                    prop_assert_eq!(total, frame.data.len());
                }
            }
        }

        #[test]
        fn what_comes_out_under_loss_is_what_went_in(
            seed in prop::collection::vec(any::<bool>(), 200)
        ) {
            let mut d = Depacketizer::default();
            let mut lost = seed.iter().cycle();
            let mut after_gap = false;
            for n in 0..40_u32 {
                let body = vec![n as u8; 2_600];
                let unit = unit(&[vec![0x67, n as u8], vec![0x68, 1], [vec![0x65], body].concat()]);
                for payload in packetize(&unit) {
                    if *lost.next().unwrap() && *lost.next().unwrap() {
                        after_gap = true;
                        continue;
                    }
                    let gap = std::mem::take(&mut after_gap);
                    for frame in d.push(Arrived { payload: &payload.data, timestamp: n, marker: payload.marker, after_gap: gap }) {
                        prop_assert_eq!(&frame.data, &unit.data);
                    }
                }
            }
        }
    }
}
