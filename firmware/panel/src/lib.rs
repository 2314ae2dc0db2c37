//! The front panel: the button and the lamps, without pins or clocks.
//!
//! The panel's microcontroller and the simulator run this code; both only carry edges, bytes and time into [`Panel`].
#![no_std]

#[cfg(test)]
extern crate std;

mod lamps;
mod panel;
mod press;

pub use lamps::{REFUSAL_MS, Showing, lamps, lit};
pub use panel::{FIRMWARE, Panel};
pub use press::{Level, Millis, Press, PressReader};
