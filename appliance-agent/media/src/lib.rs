//! Capture, encode, playout and local recording of an appliance.
//!
//! The only crate of the appliance that sees GStreamer. Decisions are in [`pace`]; the others carry.

use std::time::Instant;

pub mod child;
pub mod clip;
pub mod device;
pub mod encode;
mod error;
pub mod jitter;
pub mod pace;
mod painter;
pub mod picture;
mod pipeline;
pub mod playout;
mod returns;
pub mod session;
pub mod sound;
pub mod timeline;
mod trial;

pub use bridgepoint_link::Encoding;
pub use error::MediaError;
pub use picture::Picture;

/// What a camera with a microphone delivers.
#[derive(Debug)]
pub enum Captured {
    /// A picture.
    Picture {
        /// Raw.
        picture: Picture,
        /// Its capture instant.
        at: Instant,
    },
    /// 20 ms of sound, 48 kHz mono.
    Sound {
        /// The samples.
        block: Box<[i16; pace::BLOCK]>,
        /// Capture instant of the first sample.
        at: Instant,
    },
    /// The camera stopped for good.
    Failed(MediaError),
}
