//! What can go wrong with a record, and what it means.

use std::io;
use std::path::PathBuf;

/// Why a record could not be begun, closed, sealed or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk refused.
    #[error("{path}: {doing} failed ({source})", path = path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Such as `write`.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Another program records into this folder.
    #[error("{path}: another program writes this record", path = path.display())]
    Busy {
        /// The journal.
        path: PathBuf,
    },
    /// The folder belongs to another session, or its record is closed.
    #[error("{path}: {why}", path = path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The content contradicts itself; a crash alone cannot do that.
    #[error("{path}: damaged at entry {entry}: {why}", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The journal's entry.
        entry: u64,
        /// In which way.
        why: String,
    },
    /// A key or certificate cannot be used.
    #[error("key or certificate: {0}")]
    Key(String),
    /// The writer did not answer in time: the disk hangs.
    #[error("the recorder did not close its files within {seconds} s: the disk does not answer")]
    Stuck {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The recorder's thread is gone.
    #[error("the recorder has stopped")]
    Gone,
}

impl RecordError {
    /// For `map_err` on an operation on `path`.
    pub(crate) fn io(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::WouldBlock => Self::Busy { path },
            _ => Self::Io { path, doing, source },
        }
    }

    /// The folder cannot be read at all, as opposed to holding something wrong.
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Busy { .. })
    }
}
