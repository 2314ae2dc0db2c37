//! Packets, and putting them together again from what a line delivers.

use heapless::Vec;

use super::Received;

/// The longest packet, its end byte included (EVI-D70, *VISCA packet structure*).
pub const MAX_PACKET: usize = 16;
pub(super) const END: u8 = 0xFF;

/// The bytes of one packet, end byte included.
pub type Packet = Vec<u8, MAX_PACKET>;

/// Finds replies in whatever pieces, noise and halves of packets the line delivers.
///
/// Packets have no checksum: a reply is what ends in `FF` and reads as one. When the bytes before an `FF` do not, the
/// longest part of them that begins with a header and does is taken, so noise before a reply, or a reply that was cut
/// off, costs nothing of the next one.
#[derive(Debug, Default)]
pub struct Reader {
    piece: Packet,
    /// Bytes thrown away since the start.
    pub dropped: u32,
}

impl Reader {
    /// One byte came. Returns the reply that it completes.
    pub fn push(&mut self, byte: u8) -> Option<Received> {
        if self.piece.is_full() {
            // The oldest byte can be part of no packet that ends now.
            self.piece.remove(0);
            self.drop_bytes(1);
        }
        // Not full any more.
        let _ = self.piece.push(byte);
        if byte != END {
            return None;
        }
        let found = (0..self.piece.len()).find_map(|at| Some((at, Received::decode(&self.piece[at..])?)));
        // A lone FFh is how some cameras clear their throat: nothing is lost with it.
        self.drop_bytes(found.as_ref().map_or(self.piece.len() - 1, |(at, _)| *at));
        self.piece.clear();
        found.map(|(_, received)| received)
    }

    /// What came so far belongs to nothing that follows: the end of a datagram, a line that was opened anew.
    pub fn reset(&mut self) {
        self.drop_bytes(self.piece.len());
        self.piece.clear();
    }

    fn drop_bytes(&mut self, bytes: usize) {
        self.dropped = self.dropped.saturating_add(bytes as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visca::{Inquiry, Reply, Sender, Socket};
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> (std::vec::Vec<Reply>, u32) {
        let mut reader = Reader::default();
        let replies = bytes.iter().filter_map(|byte| reader.push(*byte)).map(|received| received.reply).collect();
        (replies, reader.dropped)
    }

    const ACK: Reply = Reply::Ack(Socket::from_reply(0x41));
    const DONE: Reply = Reply::Completion(Socket::from_reply(0x51));

    #[test]
    fn replies_that_follow_each_other_are_read_one_by_one() {
        assert_eq!(read(b"\x90\x41\xFF\x90\x51\xFF"), (vec![ACK, DONE], 0));
    }

    #[test]
    fn a_reply_that_was_cut_off_costs_only_itself() {
        assert_eq!(read(b"\x90\x41\x90\x51\xFF"), (vec![DONE], 2));
        assert_eq!(read(b"\x90\x50\x02\x00\x90\x41\xFF\x90\x51\xFF"), (vec![ACK, DONE], 4));
        assert_eq!(read(b"\x90\x90\x41\xFF"), (vec![ACK], 1));
    }

    #[test]
    fn noise_before_between_and_after_costs_no_reply() {
        let line = b"\x00\xFF\xFF\x37\x90\x41\xFF\x12\x34\x90\x51\xFF\x55";
        assert_eq!(read(line).0, [ACK, DONE]);
        let mut long = vec![0x23; 1_000];
        long.extend_from_slice(b"\x90\x41\xFF");
        assert_eq!(read(&long), (vec![ACK], 1_000));
    }

    #[test]
    fn the_end_of_a_datagram_ends_a_half_packet() {
        let mut reader = Reader::default();
        assert_eq!(reader.push(0x90), None);
        assert_eq!(reader.push(0x41), None);
        reader.reset();
        assert_eq!(reader.push(0xFF), None);
        assert_eq!(reader.dropped, 2);
    }

    proptest! {
        #[test]
        fn after_any_garbage_the_second_reply_is_read(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::default();
            for byte in &garbage {
                reader.push(*byte);
            }
            // The first may be swallowed: what came before can look like the beginning of a longer reply.
            let mut last = None;
            for byte in b"\x90\x42\xFF\x90\x51\xFF" {
                last = reader.push(*byte).or(last);
            }
            let expected = Received { from: Sender::Camera(1), reply: DONE };
            prop_assert_eq!(last, Some(expected));
        }

        #[test]
        fn no_bytes_make_the_reader_or_an_answer_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = Reader::default();
            for byte in bytes {
                if let Some(Received { reply: Reply::Information(_, data), .. }) = reader.push(byte) {
                    for inquiry in Inquiry::ALL {
                        let _ = inquiry.read(&data);
                    }
                }
            }
        }
    }
}
