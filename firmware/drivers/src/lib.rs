//! Drivers that talk a wire protocol, for a microcontroller and for the box alike.
//!
//! Each protocol is a module with its types, its codec and, where there is something to decide, a session without input
//! or output; a thin driver over `embedded-io` or `embedded-hal` carries the bytes. Time is passed in.
#![cfg_attr(not(test), no_std)]

pub mod expander;
pub mod mic_array;
pub mod visca;

pub use bridgepoint_panel::Millis;
