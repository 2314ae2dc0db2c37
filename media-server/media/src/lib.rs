//! Decodes and encodes for the mixer: pictures with GStreamer, sound with libopus. Nobody else at the centre sees
//! either of them.
//!
//! # How to drive it
//! Call [`init`] once. Then:
//!
//! * one [`ForkServer`] for a conference, started before the process is confined; the program that it runs calls
//!   [`serve`];
//! * one [`VideoDecoder`] for each visible site, a process of its own: `push` from the link's callback (never blocks; says
//!   when a key frame is wanted from the site), `take` at each tick, before `server_core::Mixer::poll`: it hands on
//!   pictures (`now` less a picture's age is `arrived` of `server_core::Mixer::handle_picture`);
//! * one [`ProgramEncoder`] for each program: `push` each `Output::Frame` (never blocks); its callback runs in the encoder's thread and
//!   hands on access units, each before the next frame is taken;
//! * [`OpusEnc`] for the shared mix and one for each site that gets its own mix, called in the tick thread;
//! * [`OpusDec`] goes into `MixerConfig::decoder`.
//!
//! An element works inside of the call that pushes a buffer into it (`chain`): there are no streaming threads, no
//! clock and no state that a pipeline would have to reach. Dropping an encoder closes its queue, and its thread ends by
//! itself; dropping a decoder ends its process.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod chain;
pub mod decode;
pub mod decoders;
pub mod encode;
pub mod sound;

pub use decode::Decoder;
pub use decoders::{DecoderEvent, ForkServer, VideoDecoder, serve};
pub use encode::{Encoder, EncoderEvent, ProgramEncoder};
pub use sound::{OpusDec, OpusEnc, Use};

/// What can go wrong here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// GStreamer itself does not start.
    #[error("GStreamer does not start: {reason}")]
    NoGStreamer {
        /// What it says.
        reason: String,
    },
    /// None of the elements that would do is installed.
    #[error("none of these GStreamer elements is installed: {names}")]
    Missing {
        /// Their names.
        names: String,
    },
    /// An element could not be set up or left its playing state.
    #[error("{element} does not start: {reason}")]
    NotStarted {
        /// Which element.
        element: String,
        /// What it says.
        reason: String,
    },
    /// An element refused what it was given.
    #[error("{element} failed: {reason}")]
    Failed {
        /// Which element.
        element: String,
        /// What it says.
        reason: String,
    },
    /// Pictures in a format that the mixer does not take.
    #[error("pictures come as {format}, only 4:2:0 with 8 bits is taken")]
    Format {
        /// Which format.
        format: String,
    },
    /// A thread could not be started.
    #[error("no thread for {what}: {reason}")]
    NoThread {
        /// For what.
        what: String,
        /// What the system says.
        reason: String,
    },
    /// A process could not be started.
    #[error("no process for decoding: {reason}")]
    NoProcess {
        /// What the system says.
        reason: String,
    },
    /// libopus refused.
    #[error("libopus: {reason}")]
    Opus {
        /// What it says.
        reason: String,
    },
}

/// Starts GStreamer. To be called once, before anything else here; calling it again does nothing.
///
/// # Errors
/// [`MediaError::NoGStreamer`].
pub fn init() -> Result<(), MediaError> {
    gst::init().map_err(|error| MediaError::NoGStreamer { reason: error.to_string() })
}

/// A thread that panicked while it held one of this crate's locks has left whole what is in it: nothing stops halfway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
