//! RTP packets of H.264 (RFC 6184, packetization mode 1) and sender reports (RFC 3550 §6.4.1), framed for RTSP.

/// Payloads are at most so long: Ethernet, less what is around them.
const MOST: usize = 1_400;
const SSRC: u32 = 0x5ca1_ab1e;
/// Seconds from 1900 to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// One track's packets.
pub struct Track {
    channel: u8,
    payload_type: u8,
    sequence: u16,
    packets: u32,
    bytes: u32,
}

impl Track {
    /// Packets go to `channel`, reports to the one after it.
    pub const fn new(channel: u8, payload_type: u8) -> Self {
        Self { channel, payload_type, sequence: 1_000, packets: 0, bytes: 0 }
    }

    /// All packets of one access unit.
    pub fn unit(&mut self, nals: &[Vec<u8>], timestamp: u32, out: &mut Vec<u8>) {
        for (n, nal) in nals.iter().enumerate() {
            let is_last = n + 1 == nals.len();
            if nal.len() <= MOST {
                self.packet(&[nal], is_last, timestamp, out);
                continue;
            }
            // FU-A: the NAL unit's first byte is spread over two (§5.8).
            let (indicator, kind) = (nal[0] & 0xe0 | 0x1c, nal[0] & 0x1f);
            let pieces: Vec<&[u8]> = nal[1..].chunks(MOST - 2).collect();
            for (at, piece) in pieces.iter().enumerate() {
                let ends = at + 1 == pieces.len();
                let header = kind | u8::from(at == 0) << 7 | u8::from(ends) << 6;
                self.packet(&[&[indicator, header], piece], is_last && ends, timestamp, out);
            }
        }
    }

    fn packet(&mut self, payload: &[&[u8]], marker: bool, timestamp: u32, out: &mut Vec<u8>) {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        frame(self.channel, 12 + len, out);
        out.extend([0x80, self.payload_type | u8::from(marker) << 7]);
        out.extend(self.sequence.to_be_bytes());
        out.extend(timestamp.to_be_bytes());
        out.extend(SSRC.to_be_bytes());
        for part in payload {
            out.extend_from_slice(part);
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.bytes = self.bytes.wrapping_add(len as u32);
    }

    /// `timestamp` is the instant `utc_ms`, ms since 1970 by the camera's clock.
    pub fn report(&self, utc_ms: u64, timestamp: u32, out: &mut Vec<u8>) {
        frame(self.channel + 1, 28, out);
        // Version 2, no report blocks; type 200; six more words.
        out.extend([0x80, 200, 0, 6]);
        out.extend(SSRC.to_be_bytes());
        out.extend(((utc_ms / 1_000 + NTP_EPOCH) as u32).to_be_bytes());
        out.extend((((utc_ms % 1_000) << 32) / 1_000).to_be_bytes()[4..].iter());
        out.extend(timestamp.to_be_bytes());
        out.extend(self.packets.to_be_bytes());
        out.extend(self.bytes.to_be_bytes());
    }
}

/// RFC 2326 §10.12.
fn frame(channel: u8, len: usize, out: &mut Vec<u8>) {
    out.extend([b'$', channel]);
    out.extend((len as u16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_unit_is_cut_and_its_last_packet_is_marked() {
        let mut out = Vec::new();
        let nal: Vec<u8> = std::iter::once(0x65).chain((0..3_000_u16).map(|n| n as u8)).collect();
        Track::new(0, 96).unit(&[vec![0x67, 1], nal.clone()], 7, &mut out);
        let (mut rest, mut kinds, mut whole) = (&out[..], Vec::new(), vec![0x65]);
        while !rest.is_empty() {
            let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            let packet = &rest[4..4 + len];
            kinds.push((packet[12] & 0x1f, packet[1] & 0x80 != 0));
            if packet[12] & 0x1f == 28 {
                whole.extend(&packet[14..]);
            }
            rest = &rest[4 + len..];
        }
        assert_eq!(kinds, [(7, false), (28, false), (28, false), (28, true)]);
        assert_eq!(whole, nal);
    }

    #[test]
    fn half_a_second_is_half_of_the_fraction() {
        let mut out = Vec::new();
        Track::new(0, 96).report(1_500, 90_000, &mut out);
        assert_eq!(out[..8], [b'$', 1, 0, 28, 0x80, 200, 0, 6]);
        assert_eq!(out[16..20], [0x80, 0, 0, 0], "{out:?}");
    }
}
