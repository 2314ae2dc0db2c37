//! The archive's format, both ends: fragments, journal, seal, verify.
//!
//! A [`Recorder`] writes a session's folder, [`recover`] closes one that a crash left, [`seal`] signs it, [`verify`]
//! checks it. What the folder holds is laid down to the byte in `docs/ref/record.md`.

pub mod avc;
mod body;
pub mod boxes;
pub mod cutter;
mod disk;
mod error;
#[cfg(test)]
mod faults;
pub mod journal;
mod recorder;
mod recover;
mod replay;
mod seal;
mod session;
mod statement;
mod verify;
mod writer;

pub use body::{GapWhy, RecoveredFile};
pub use error::RecordError;
pub use recorder::{Closed, RecordEvent, Recorder, RecorderConfig};
pub use recover::{Recovered, recover};
pub use seal::seal;
pub use session::{FileAbout, Role, Session, Stream};
pub use statement::certify_session_key;
pub use verify::{FileReport, Finding, Gap, Report, Verdict, verify};
