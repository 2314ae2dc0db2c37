//! What two programs of Bridgepoint say to each other.
//!
//! One place for each protocol: its topics or frames, its payloads, their codec and their documentation.
//! The bytes of every released version are kept under `tests/golden/` and are never edited.
#![cfg_attr(not(feature = "sign"), no_std)]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;

#[cfg(feature = "alloc")]
pub mod camera;
#[cfg(feature = "alloc")]
pub mod command;
#[cfg(feature = "alloc")]
pub mod commissioning;
#[cfg(feature = "alloc")]
pub mod echo;
#[cfg(feature = "alloc")]
pub mod enrol;
#[cfg(feature = "alloc")]
pub mod envelope;
#[cfg(feature = "alloc")]
pub mod event;
#[cfg(feature = "alloc")]
pub mod health;
#[cfg(feature = "alloc")]
pub mod id;
#[cfg(feature = "sign")]
pub mod jws;
#[cfg(feature = "alloc")]
pub mod local;
#[cfg(feature = "alloc")]
pub mod media;
pub mod panel;
#[cfg(feature = "alloc")]
pub mod picture;
#[cfg(feature = "alloc")]
pub mod presence;
#[cfg(feature = "alloc")]
pub mod sound;
#[cfg(feature = "alloc")]
pub mod text;
#[cfg(feature = "alloc")]
pub mod topic;
#[cfg(feature = "alloc")]
pub mod trial;
#[cfg(feature = "alloc")]
pub mod twin;
#[cfg(feature = "alloc")]
pub mod update;

#[cfg(feature = "alloc")]
pub use envelope::{Envelope, VERSION, WireError};
#[cfg(feature = "alloc")]
pub use id::{ApplianceId, ClientId, SessionId, SiteCode};
#[cfg(feature = "alloc")]
pub use topic::Topic;
