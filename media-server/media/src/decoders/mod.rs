//! Decoders as processes: what a site sends is parsed where there is nothing to steal, and a decoder that crashes, hangs
//! or is shot costs its own tile alone.
//!
//! ```text
//! worker                                            fork server (single-threaded, confined, plug-in loaded)
//!   ForkServer ── start: socket, memory ──────────►   │ fork
//!   VideoDecoder ── access units ─────────────────►  decoder process, one for each site in sight
//!        ▲  └────── answers (where the picture is) ◄──┤
//!        └───────── picture, by pread ◄── memory ◄────┘
//! ```
//!
//! `messages.rs` says what they say to each other, `memory.rs` where pictures lie, `feed.rs` decides what a decoder is
//! given and when it is taken for lost. Nobody waits for a decoder: units go out without blocking, and the tick thread
//! takes what has been answered.

mod feed;
mod fork_server;
mod memory;
mod messages;
mod process;

pub use self::fork_server::{ForkServer, serve};
pub use self::process::{DecoderEvent, Lost, VideoDecoder};
