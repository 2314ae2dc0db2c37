//! The mixer's decisions: who is where in the picture, which frame and which samples are due, how they are drawn
//! and summed. No GStreamer, no clock, no I/O, no thread: everything is told `now`.
//!
//! # How to drive it
//! ONE thread (the *tick thread*, above the encoders' priority) owns a [`Mixer`]; all others send to its channel:
//!
//! | who | calls |
//! |---|---|
//! | link's callback, for each Opus packet | sends `(site, packet, arrived)`; the tick thread calls [`Mixer::handle_packet`] |
//! | link's callback, for each access unit of a visible site | `server_media::VideoDecoder::push` of that site |
//! | the tick thread | waits for its channel at most until [`Mixer::poll_timeout`]; reads the clock ONCE; empties the channel; calls [`Mixer::handle_picture`] for what decoders have made (`server_media::VideoDecoder::take`); takes [`Mixer::poll`] with that same `now` until `None` |
//!
//! The order in the last line matters: a thread that reads the clock again between two polls, and was put to sleep there
//! by a busy machine, would mix the time it slept through without what has arrived meanwhile.
//! The worker's `mixing.rs` is this loop.
//!
//! `arrived` and `now` are [`Micros`] since the session's origin on the server's own (never stepping) clock; `arrived`
//! is when the thing really became usable: in the callback above, or in the decoder's process; not when the tick thread
//! got to it.
//!
//! [`Mixer::poll`] gives the program in order: [`Output::Frame`] (25 per second; goes to `ProgramEncoder::push`, which
//! encodes in a thread of its own) and [`Output::Sound`] (50 per second: encode `shared` once for everybody and the
//! record, and each of `minus` with an encoder of that site; 0.1 ms each, so in the tick thread).
//!
//! # Time
//! Each site has one [`Playout`]: its picture and its sound of one capture instant get the same program tick. A video
//! frame with tick *t* is composed when *t* has come; a block of sound [*t*, *t* + 20 ms) when its end has come.
//! The program's ticks are what `AccessUnit` and `OpusPacket` carry: 90 kHz and 48 kHz since origin, without a gap.

mod activity;
pub mod arrangement;
pub mod asking;
pub mod audio;
pub mod capacity;
mod channel;
mod comfort;
pub mod composer;
pub mod director;
mod fader;
pub mod fleet;
pub mod layout;
pub mod level;
pub mod limiter;
pub mod mixer;
pub mod overlay;
pub mod picture;
pub mod plate;
pub mod playout;
mod resample;
mod routing;
mod scale;
mod scene;
pub mod session;
pub mod shedding;
pub mod slate;
mod speakers;
pub mod text;
pub mod tick;
pub mod time;
mod voice;

pub use arrangement::{Layout, LayoutFaults, Layouts};
pub use asking::{Asking, Source};
pub use audio::{AudioMixer, BLOCK, Block, DecodeFailed, Mix, SoundDecoder, VoiceStats};
pub use composer::{Composer, LostReason, Presence};
pub use director::{Decision, Director, DirectorInput, Why};
pub use layout::{CANVAS, MOST_TILES, Rect, Size, Tile, grid, tile_size};
pub use level::Levels;
pub use mixer::{FRAME_TICKS, Mixer, MixerConfig, Output, ProgramLayouts};
pub use picture::{Frame, Picture, PlaneRef, Planes};
pub use playout::Playout;
pub use routing::{Routed, Routing};
pub use shedding::{Load, Quality, Shedding};
pub use text::{FontError, Fonts};
pub use tick::{Due, Ticker};
pub use time::Micros;

use bridgepoint_wire::SiteCode;

/// A site as the program shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its code.
    pub code: SiteCode,
    /// Its name, for plate and slate.
    pub name: String,
}
