//! Reads and checks `board.toml`: what a board's hardware is, as data.
//!
//! Boards differ in this file only, never in code. All faults of a file are found in one go ([`keys`]).

pub mod keys;
mod profile;

pub use profile::{Board, Camera, Panel};
