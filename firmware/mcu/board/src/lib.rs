//! The boards that a front panel can be made of.
//!
//! Each module has the same items; a feature chooses one. A board brings a line to the agent, a button, three lamps, a
//! watchdog that resets it, and flash for two programs and the log of choices between them.
#![no_std]

#[cfg(feature = "mps2-an386")]
mod mps2_an386;
#[cfg(feature = "nucleo-f411re")]
mod nucleo_f411re;

#[cfg(feature = "mps2-an386")]
pub use mps2_an386::{Board, LAYOUT, Line, LogFlash, SlotFlash, Watchdog, boot};
#[cfg(feature = "nucleo-f411re")]
pub use nucleo_f411re::{Board, LAYOUT, Line, LogFlash, SlotFlash, Watchdog, boot};

/// A panel that has not looked after everything for this long starts anew: longer than the erasure of the largest flash
/// sector (2 s for the 128 KB of an STM32F411, datasheet table 46), during which the processor stands still.
pub const WATCHDOG_MS: u32 = 8_000;
