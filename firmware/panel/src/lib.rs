//! The front panel: the button, the lamps and the program itself, without pins or clocks.
//!
//! The panel's microcontroller and the simulator run this code; both only carry edges, bytes and time into [`Panel`].
//! [`slots`] and [`update`] are the microcontroller's alone: which program it starts, and how it is given another.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod boards;
pub mod image;
mod lamps;
mod panel;
mod press;
pub mod slots;
pub mod update;

pub use lamps::{REFUSAL_MS, Showing, lamps, lit};
pub use panel::{FIRMWARE, Heard, Panel};
pub use press::{Level, Millis, Press, PressReader};
