//! The versioned envelope around every MQTT payload.

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The payload version that this build speaks.
pub const VERSION: u16 = 1;

/// The largest payload that is looked at; larger ones are refused unread.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Why a payload was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than [`MAX_PAYLOAD`].
    #[error("payload of {0} bytes, more than {MAX_PAYLOAD}")]
    TooLong(usize),
    /// A version that this build does not speak.
    #[error("payload version {got}, this program speaks {VERSION}")]
    Version {
        /// What came.
        got: u16,
    },
    /// Not JSON, or not of this payload's shape.
    #[error("malformed payload: {0}")]
    Malformed(String),
    /// No signature, one of another key, or one over other bytes or another topic.
    #[error("bad signature: {0}")]
    Signature(&'static str),
}

/// A payload with its version, its place in the sender's sequence and the sender's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// [`VERSION`] of the sender.
    pub v: u16,
    /// Counts up by one per sender and topic, also across restarts: the receiver drops what it has seen.
    pub seq: u64,
    /// Sender's clock, milliseconds since 1970-01-01T00:00:00Z. For display and expiry; never for ordering.
    pub at_ms: u64,
    /// What is said.
    pub body: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u16,
}

impl<T: Serialize + DeserializeOwned> Envelope<T> {
    /// An envelope of this build's version.
    pub const fn new(seq: u64, at_ms: u64, body: T) -> Self {
        Self { v: VERSION, seq, at_ms, body }
    }

    /// The bytes that cross the wire (JSON, UTF-8).
    #[allow(clippy::missing_panics_doc, reason = "our payload types always serialise: no maps with non-string keys")]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("payload types have string keys and no failing serializers")
    }

    /// Reads what crossed the wire. Unknown fields are ignored, unknown versions refused.
    ///
    /// # Errors
    /// [`WireError::TooLong`], [`WireError::Version`], [`WireError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_PAYLOAD {
            return Err(WireError::TooLong(bytes.len()));
        }
        let malformed = |e: serde_json::Error| WireError::Malformed(alloc::format!("{e}"));
        let VersionOnly { v } = serde_json::from_slice(bytes).map_err(malformed)?;
        if v != VERSION {
            return Err(WireError::Version { got: v });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }
}
