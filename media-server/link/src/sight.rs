//! What a box says of its own picture: it rides on each of the box's beats, as a [`crate::Wish`] does on the centre's.

/// Bytes of a [`Sight`] behind a beat's own: its number, three zeros.
pub(crate) const LEN: usize = 4;

/// Whether a box has a picture to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sight {
    /// It sends what it sees.
    #[default]
    Clear,
    /// Its camera is away. Sound goes on.
    CameraAway,
}

impl Sight {
    pub(crate) const fn to_bytes(self) -> [u8; LEN] {
        match self {
            Self::Clear => [0; LEN],
            Self::CameraAway => [1, 0, 0, 0],
        }
    }

    /// What a newer box may say besides is no reason to hide its picture.
    pub(crate) const fn from_bytes(bytes: [u8; LEN]) -> Self {
        match bytes[0] {
            1 => Self::CameraAway,
            _ => Self::Clear,
        }
    }
}
