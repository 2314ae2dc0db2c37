//! Drivers that talk a wire protocol, for a microcontroller and for the box alike.
//!
//! Each protocol is a module with its types, its codec and a session that decides without input or output; a thin
//! driver over `embedded-io` carries the bytes. Time is passed in.
#![cfg_attr(not(test), no_std)]

pub mod visca;

pub use bridgepoint_panel::Millis;
