//! What can be seen of a DTLS 1.2 datagram without keys (RFC 6347 §4.1, §4.2).

/// A datagram that is DTLS by its first byte (RFC 7983).
pub(crate) fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|byte| (20..64).contains(byte))
}

/// What its first record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datagram {
    /// The begin of a handshake, with the client's random number: the same when it is repeated.
    ClientHello([u8; 32]),
    /// Some other unprotected record: anybody can make one.
    Plain,
    /// A protected record.
    Protected,
}

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// `None` when it is no whole record.
pub(crate) fn inspect(datagram: &[u8]) -> Option<Datagram> {
    let header = datagram.get(..RECORD_HEADER)?;
    let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let body = datagram.get(RECORD_HEADER..RECORD_HEADER + len)?;
    if header[3..5] != [0, 0] {
        return Some(Datagram::Protected);
    }
    if header[0] != HANDSHAKE || body.first() != Some(&CLIENT_HELLO) {
        return Some(Datagram::Plain);
    }
    // Version (2), then random (32).
    let random = body.get(HANDSHAKE_HEADER + 2..HANDSHAKE_HEADER + 34)?.try_into().ok()?;
    Some(Datagram::ClientHello(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn garbage_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = inspect(&bytes);
        }
    }
}
