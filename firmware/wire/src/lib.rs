//! What two programs of Bridgepoint say to each other.
//!
//! One place for each protocol: its topics or frames, its payloads, their codec and their documentation.
//! The bytes of every released version are kept under `tests/golden/` and are never edited.
#![cfg_attr(not(feature = "sign"), no_std)]

extern crate alloc;

pub mod camera;
pub mod command;
pub mod enrol;
pub mod envelope;
pub mod event;
pub mod health;
pub mod id;
#[cfg(feature = "sign")]
pub mod jws;
pub mod local;
pub mod media;
pub mod panel;
pub mod presence;
pub mod sound;
pub mod text;
pub mod topic;
pub mod twin;
pub mod update;

pub use envelope::{Envelope, VERSION, WireError};
pub use id::{ApplianceId, ClientId, SessionId, SiteCode};
pub use topic::Topic;
