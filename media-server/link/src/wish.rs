//! What the centre wants of a site's small encoding: it rides on each of the centre's beats, so that a lost one is made
//! good within 200 ms and a box that comes back is told at once.

use bridgepoint_wire::command::VideoOrder;

/// Bytes of a [`Wish`] behind a beat's own: width, height (`u16`), rate in kbit/s (`u32`), frames per second (`u8`), three
/// zeros; big endian. All zero: nothing.
pub(crate) const LEN: usize = 12;

/// What a site's small encoding is to be from now on. A box that was told nothing sends what its order to join says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nobody sees it: none is sent (and none encoded).
    Nothing,
    /// It is shown in a tile of this size.
    Thumb(VideoOrder),
}

impl Wish {
    pub(crate) fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        if let Self::Thumb(VideoOrder { width, height, fps, kbps }) = self {
            bytes[..2].copy_from_slice(&width.to_be_bytes());
            bytes[2..4].copy_from_slice(&height.to_be_bytes());
            bytes[4..8].copy_from_slice(&kbps.to_be_bytes());
            bytes[8] = fps;
        }
        bytes
    }

    /// `None` for what no encoder could make.
    pub(crate) fn from_bytes(bytes: &[u8; LEN]) -> Option<Self> {
        if *bytes == [0; LEN] {
            return Some(Self::Nothing);
        }
        let [w0, w1, h0, h1, k0, k1, k2, k3, fps, ..] = *bytes;
        let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
        let order = VideoOrder { width, height, fps, kbps: u32::from_be_bytes([k0, k1, k2, k3]) };
        let sound = width >= 16 && height >= 16 && (1..=60).contains(&fps) && (10..=20_000).contains(&order.kbps);
        sound.then_some(Self::Thumb(order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_survives_the_way_and_nonsense_is_none() {
        let order = VideoOrder { width: 426, height: 240, fps: 25, kbps: 350 };
        for wish in [Wish::Nothing, Wish::Thumb(order)] {
            assert_eq!(Wish::from_bytes(&wish.to_bytes()), Some(wish));
        }
        for broken in [
            VideoOrder { width: 0, ..order },
            VideoOrder { height: 8, ..order },
            VideoOrder { fps: 0, ..order },
            VideoOrder { kbps: u32::MAX, ..order },
        ] {
            assert_eq!(Wish::from_bytes(&Wish::Thumb(broken).to_bytes()), None, "{broken:?}");
        }
    }
}
