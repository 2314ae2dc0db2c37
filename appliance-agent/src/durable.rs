//! Files that are whole or not there, whenever the power goes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

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
