//! What the worker, the fork server and decoder processes say to each other over `SOCK_SEQPACKET` pairs: one message,
//! one packet; numbers are little-endian.
//!
//! | from, to | bytes |
//! |---|---|
//! | worker, fork server | `1`, id (4), with two descriptors: the decoder's socket and its memory |
//! | worker, fork server | `2`, id (4): end that one |
//! | fork server, worker | `1`: the next decoder is forked |
//! | worker, decoder | a unit lies in the memory: `1` for a key frame, else `0`; number (8), length (4), ticks (8) |
//! | decoder, worker | `0`: done, no picture |
//! | decoder, worker | `1`, ticks (8), when it was done (8, `CLOCK_MONOTONIC`, ns), number (8), width (2), height (2), three strides (2 each) |
//! | decoder, worker | `2`, text: it failed, and begins anew at the next key frame |
//!
//! Each unit gets one answer, in order.

use server_core::Size;

use super::memory::{Laid, MOST_UNIT};

/// Longest answer.
pub(super) const MOST_ANSWER: usize = 256;

/// What the fork server says for each [`Order::Start`].
pub(super) const FORKED: u8 = 1;

/// What the fork server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Fork a decoder; its descriptors come along.
    Start(u32),
    /// It is not needed any more, or does not answer.
    End(u32),
}

impl Order {
    pub(super) fn to_bytes(self) -> [u8; 5] {
        let (kind, id) = match self {
            Self::Start(id) => (1, id),
            Self::End(id) => (2, id),
        };
        let [a, b, c, d] = id.to_le_bytes();
        [kind, a, b, c, d]
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [kind, id @ ..] = bytes.first_chunk::<5>()?;
        let id = u32::from_le_bytes(*id);
        match kind {
            1 => Some(Self::Start(id)),
            2 => Some(Self::End(id)),
            _ => None,
        }
    }
}

/// An access unit that lies in the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) key: bool,
    /// Counts units; says where it lies.
    pub(super) number: u64,
    /// Bytes.
    pub(super) len: usize,
    pub(super) ticks: u64,
}

impl Given {
    pub(super) const BYTES: usize = 21;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = self.key.into();
        bytes[1..9].copy_from_slice(&self.number.to_le_bytes());
        // A unit in the memory is shorter than MOST_UNIT.
        bytes[9..13].copy_from_slice(&(self.len as u32).to_le_bytes());
        bytes[13..].copy_from_slice(&self.ticks.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let len = u32::from_le_bytes(*len) as usize;
        let ticks = u64::from_le_bytes(rest.try_into().ok()?);
        (len <= MOST_UNIT).then_some(Self { key: *key == 1, number: u64::from_le_bytes(*number), len, ticks })
    }
}

/// What a decoder answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    Picture {
        ticks: u64,
        /// `CLOCK_MONOTONIC`, ns.
        done_ns: u64,
        laid: Laid,
    },
    Failed(String),
}

impl Answer {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Nothing => vec![0],
            Self::Picture { ticks, done_ns, laid } => {
                let mut bytes = vec![1];
                for number in [*ticks, *done_ns, laid.number] {
                    bytes.extend(number.to_le_bytes());
                }
                // A laid picture is small enough: `Laid::new`.
                for number in [laid.size.width, laid.size.height].into_iter().chain(laid.strides) {
                    bytes.extend((number as u16).to_le_bytes());
                }
                bytes
            }
            Self::Failed(reason) => {
                let end = reason.floor_char_boundary(MOST_ANSWER - 1);
                [&[2], &reason.as_bytes()[..end]].concat()
            }
        }
    }

    /// `None`: this is no answer, or no picture that could be.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            0 => Some(Self::Nothing),
            1 => {
                let (numbers, sizes) = rest.split_first_chunk::<24>()?;
                let numbers = numbers.as_chunks::<8>().0;
                let sizes: &[u8; 10] = sizes.try_into().ok()?;
                let size = |n: usize| usize::from(u16::from_le_bytes([sizes[2 * n], sizes[2 * n + 1]]));
                let of = Size { width: size(0), height: size(1) };
                Some(Self::Picture {
                    ticks: u64::from_le_bytes(numbers[0]),
                    done_ns: u64::from_le_bytes(numbers[1]),
                    laid: Laid::new(u64::from_le_bytes(numbers[2]), of, [size(2), size(3), size(4)])?,
                })
            }
            2 => Some(Self::Failed(String::from_utf8_lossy(rest).into_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back() {
        for order in [Order::Start(7), Order::End(u32::MAX)] {
            assert_eq!(Order::read(&order.to_bytes()), Some(order));
        }
        let given = Given { key: true, number: u64::MAX, len: MOST_UNIT, ticks: 7 };
        assert_eq!(Given::read(&given.to_bytes()), Some(given));
        assert_eq!(Given::read(&Given { len: MOST_UNIT + 1, ..given }.to_bytes()), None);
        let laid = Laid::new(9, Size { width: 321, height: 181 }, [384, 192, 200]).unwrap();
        for answer in
            [Answer::Nothing, Answer::Failed("đứt".into()), Answer::Picture { ticks: u64::MAX, done_ns: 5, laid }]
        {
            assert_eq!(Answer::read(&answer.to_bytes()), Some(answer));
        }
        let long = Answer::Failed("ữ".repeat(200)).to_bytes();
        assert!(long.len() <= MOST_ANSWER && Answer::read(&long).is_some());
    }

    #[test]
    fn what_a_decoder_makes_up_is_refused_or_harmless() {
        let mut noise = 1_u64;
        for _ in 0..200_000 {
            let mut byte = || {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (noise >> 56) as u8
            };
            let mut bytes: Vec<u8> = (0..byte() % 40).map(|_| byte()).collect();
            if let Some(kind) = bytes.first_mut() {
                *kind %= 4;
            }
            if let Some(Answer::Picture { laid, .. }) = Answer::read(&bytes) {
                assert!(laid.len() <= super::super::memory::MOST_PICTURE, "{laid:?}");
            }
            let _ = (Order::read(&bytes), Given::read(&bytes));
        }
    }
}
