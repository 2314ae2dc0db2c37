//! Files that are whole or not there, whenever the power goes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Replaces `path` by a private file (mode 0600) with these bytes: written aside, synced, renamed, folder synced.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    write_private(&aside, bytes)?;
    std::fs::rename(&aside, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Writes a private file (mode 0600) and syncs it.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename or a new file in the folder survive a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What [`save`] has kept. A file that is missing, or cannot be read, is as if nothing had been kept; the second is said.
pub fn load<T: DeserializeOwned + Default>(file: &Path) -> T {
    let read = match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return T::default(),
        Err(error) => Err(error.to_string()),
    };
    read.unwrap_or_else(|error| {
        tracing::error!(error, file = %file.display(), "what was kept here cannot be read: the box begins without");
        T::default()
    })
}

/// Keeps a value as JSON.
pub fn save<T: Serialize>(what: &T, file: &Path) -> io::Result<()> {
    let bytes = serde_json::to_vec(what).map_err(io::Error::other)?;
    replace(file, &bytes)
}
