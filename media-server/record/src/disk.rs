//! The recorder's only door to the file system, so that tests can make each call fail.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

/// What the recorder does to files.
pub(crate) trait Disk: Send + 'static {
    type File: Send;
    /// A new file; fails when the name is taken.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// An existing or new file, to append to; nobody else may append to it meanwhile.
    fn append(&self, path: &Path) -> io::Result<Self::File>;
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    fn cut(&self, file: &Self::File, len: u64) -> io::Result<()>;
    /// Puts `bytes` in place of the file at once: a crash leaves the old content or the new one.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes new names in `folder` last.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The real one.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        // Appending, so that after a cut the next write lands at the new end.
        OpenOptions::new().append(true).create_new(true).open(path)
    }

    fn append(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
        Ok(file)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let fresh = path.with_extension("new");
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()?;
            std::fs::rename(&fresh, path)
        });
        if written.is_err() {
            // Half of a file is worth nothing; the old one still stands.
            let _ = std::fs::remove_file(&fresh);
        }
        written
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
