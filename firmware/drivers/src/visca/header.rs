//! The eight bytes before each message of VISCA over IP.
//!
//! Source: SRG-300H, *VISCA over IP*, *Communication method*: payload type, payload length and sequence number, each
//! highest byte first; UDP port 52381 on both sides.

use heapless::Vec;

use super::MAX_PACKET;

/// Type, length and number of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub payload: PayloadType,
    /// Counts a controller's messages; replies carry the number of what they answer.
    pub number: u32,
}

/// What follows a [`Header`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum PayloadType {
    Command = 0x0100,
    Inquiry = 0x0110,
    Reply = 0x0111,
    DeviceSetting = 0x0120,
    Control = 0x0200,
    ControlReply = 0x0201,
}

/// Why a datagram is no message of VISCA over IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than a header and a payload have.
    #[error("{0} bytes are too few for a message")]
    Short(usize),
    /// No such payload type.
    #[error("payload type {0:#06x} is unknown")]
    Type(u16),
    /// The header's length is not that of what follows it, or not 1 to 16.
    #[error("the header says {said} bytes, {found} follow")]
    Length {
        /// In the header.
        said: u16,
        /// After the header.
        found: usize,
    },
}

impl Header {
    /// Bytes of a header.
    pub const LEN: usize = 8;
    /// The UDP port of cameras and controllers.
    pub const PORT: u16 = 52_381;

    /// Header and payload. At most 16 bytes of the payload are taken.
    pub fn encode(self, payload: &[u8]) -> Vec<u8, { Self::LEN + MAX_PACKET }> {
        let payload = &payload[..payload.len().min(MAX_PACKET)];
        let mut bytes = Vec::new();
        // 2 + 2 + 4 + at most 16 bytes fit.
        let _ = bytes.extend_from_slice(&(self.payload as u16).to_be_bytes());
        let _ = bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        let _ = bytes.extend_from_slice(&self.number.to_be_bytes());
        let _ = bytes.extend_from_slice(payload);
        bytes
    }

    /// Splits a datagram into header and payload.
    ///
    /// # Errors
    /// [`HeaderError`] when the datagram is not exactly one message.
    pub fn decode(datagram: &[u8]) -> Result<(Self, &[u8]), HeaderError> {
        let Some((&[type1, type2, length1, length2, number @ ..], payload)) =
            datagram.split_first_chunk::<{ Self::LEN }>()
        else {
            return Err(HeaderError::Short(datagram.len()));
        };
        let kind = PayloadType::from_code(u16::from_be_bytes([type1, type2]))?;
        let said = u16::from_be_bytes([length1, length2]);
        if usize::from(said) != payload.len() || !(1..=MAX_PACKET).contains(&payload.len()) {
            return Err(HeaderError::Length { said, found: payload.len() });
        }
        Ok((Self { payload: kind, number: u32::from_be_bytes(number) }, payload))
    }
}

impl PayloadType {
    const fn from_code(code: u16) -> Result<Self, HeaderError> {
        match code {
            0x0100 => Ok(Self::Command),
            0x0110 => Ok(Self::Inquiry),
            0x0111 => Ok(Self::Reply),
            0x0120 => Ok(Self::DeviceSetting),
            0x0200 => Ok(Self::Control),
            0x0201 => Ok(Self::ControlReply),
            other => Err(HeaderError::Type(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Captured on the way to a camera: obs-ptz, issue 7, a stop with number 3.
    #[test]
    fn a_stop_is_that_of_a_capture() {
        let header = Header { payload: PayloadType::Command, number: 3 };
        let datagram = header.encode(b"\x81\x01\x06\x01\x00\x00\x03\x03\xFF");
        assert_eq!(&datagram[..], b"\x01\x00\x00\x09\x00\x00\x00\x03\x81\x01\x06\x01\x00\x00\x03\x03\xFF");
    }

    #[test]
    fn a_message_has_a_known_type_and_the_length_that_it_says() {
        let ack = b"\x01\x11\x00\x03\x00\x00\x00\x2A\x90\x41\xFF";
        let header = Header { payload: PayloadType::Reply, number: 42 };
        assert_eq!(Header::decode(ack), Ok((header, &b"\x90\x41\xFF"[..])));
        assert_eq!(Header::decode(&ack[..7]), Err(HeaderError::Short(7)));
        assert_eq!(Header::decode(&ack[..10]), Err(HeaderError::Length { said: 3, found: 2 }));
        assert_eq!(Header::decode(b"\x01\x11\0\0\0\0\0\0"), Err(HeaderError::Length { said: 0, found: 0 }));
        assert_eq!(Header::decode(b"\x03\x00\0\x01\0\0\0\0\x01"), Err(HeaderError::Type(0x0300)));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(datagram in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok((header, payload)) = Header::decode(&datagram) {
                prop_assert_eq!(&header.encode(payload)[..], &datagram[..]);
            }
        }
    }
}
