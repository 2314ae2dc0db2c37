//! Reads and checks `board.toml`: what a board's hardware is, as data.
//!
//! Boards differ in this file only, never in code. [`Board::parse`] opens nothing but files of boards and finds all their
//! faults in one go; whether this machine has what is named is another question ([`Board::missing`]). Every key is
//! explained in `docs/ref/board.md`.

mod audio;
mod camera;
mod codec;
mod fault;
mod inherit;
pub mod keys;
mod machine;
mod panel;
mod profile;
mod reading;

pub use audio::{Alsa, ArrayAt, Audio, Directions, Microphone, Spare};
pub use camera::{Camera, Control, Rtsp, Source, Transport, Travel, ViscaLine};
pub use codec::{Codec, DECODERS, Display, ENCODERS, SOFTWARE_DECODERS, SOFTWARE_ENCODERS};
pub use machine::{Bootloader, Leds, Locator, SerialPort, SerialPorts, Storage, ThermalZone, Watchdog};
pub use panel::{Active, Bus, Expander, Line, Lines, Panel, Pull};
pub use profile::{Board, Inherited};
pub use reading::{Missing, Part};
