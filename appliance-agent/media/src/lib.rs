//! Capture, encode, playout and local recording of an appliance.
//!
//! The only crate of the appliance that sees GStreamer. Decisions are in [`pace`]; the others carry.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bridgepoint_wire::media::AccessUnit;
use bridgepoint_wire::picture::PictureEvent;

mod blocks;
mod canceller;
pub mod child;
mod chime;
pub mod clip;
mod contribution;
pub mod device;
mod device_clock;
pub mod encode;
mod epoch;
mod error;
pub mod eye;
pub mod jitter;
mod loudspeaker;
mod microphones;
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
        /// Its main encoding came from the camera, as [`Captured::Unit`].
        coded: bool,
    },
    /// The camera's own encoding of a picture: the main encoding, as it is.
    Unit {
        /// The access unit, not yet on the session's time axis.
        unit: AccessUnit,
        /// Capture instant of its picture.
        at: Instant,
    },
    /// What becomes of the camera's own encoding.
    Stream(PictureEvent),
    /// Something failed and was dealt with.
    Fault(MediaError),
    /// No picture comes any more, or none yet; the camera is looked for. Sound goes on.
    Lost(MediaError),
    /// Pictures come again.
    Back {
        /// What gives them.
        camera: String,
        /// So long there was none.
        after: Duration,
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

/// What another thread left half done is used all the same: none of it is wrong in between.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
