//! The archive folder: can it be written, and what is in a session's folder?

use std::fs;
use std::io;
use std::path::Path;

use bridgepoint_wire::text::Text;
use nix::sys::statvfs::statvfs;
use serde::Serialize;

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not writable.
    #[error("{}", Text::DiskNotWritable.both(&[folder, &source.to_string()]))]
    NotWritable {
        /// Which folder.
        folder: String,
        /// What the system says.
        source: io::Error,
    },
    /// Not enough space.
    #[error("{}", Text::DiskFull.both(&[folder, &free_mib.to_string(), &needed_mib.to_string()]))]
    Full {
        /// Which folder.
        folder: String,
        /// What is left.
        free_mib: u64,
        /// What is needed.
        needed_mib: u64,
    },
}

/// Makes the folder if it is not there, writes and removes a file, asks for the free space.
///
/// # Errors
/// [`ArchiveError`], whose text is for the operator.
pub fn check(folder: &Path, needed_mib: u64) -> Result<(), ArchiveError> {
    let name = folder.display().to_string();
    let not_writable = |source| ArchiveError::NotWritable { folder: name.clone(), source };
    fs::create_dir_all(folder).map_err(not_writable)?;
    let free_mib = {
        let stat = statvfs(folder).map_err(|errno| not_writable(errno.into()))?;
        stat.blocks_available() * stat.fragment_size() / (1 << 20)
    };
    if free_mib < needed_mib {
        return Err(ArchiveError::Full { folder: name, free_mib, needed_mib });
    }
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let written = fs::write(&probe, b"probe");
    let _ = fs::remove_file(&probe);
    match written {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            Err(ArchiveError::Full { folder: name, free_mib, needed_mib: needed_mib.max(1) })
        }
        written => written.map_err(not_writable),
    }
}

/// A file of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileJson {
    name: String,
    bytes: u64,
    kind: &'static str,
    site: Option<String>,
}

/// The files of a session's folder, by name.
pub fn files(folder: &Path) -> Vec<FileJson> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<FileJson> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let name = entry.file_name().into_string().ok()?;
            let (kind, site) = kind(&name)?;
            Some(FileJson { bytes: meta.len(), kind, site: site.map(ToOwned::to_owned), name })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// What a name in a session's folder says; `None` for what is no part of the record.
pub fn kind(name: &str) -> Option<(&'static str, Option<&str>)> {
    match name {
        "session.json" | "seal.json" => return Some(("statement", None)),
        "journal.jsonl" | "access.jsonl" => return Some(("journal", None)),
        _ => {}
    }
    let stem = name.strip_suffix(".mp4")?;
    if stem.contains('/') || stem.contains("..") {
        return None;
    }
    let stem = stem.split('.').next()?;
    match stem.strip_prefix("site-") {
        Some(site) if !site.is_empty() => Some(("site", Some(site))),
        Some(_) => None,
        None => (stem == "program").then_some(("program", None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_of_a_record_have_a_kind() {
        assert_eq!(kind("program.2.mp4"), Some(("program", None)));
        assert_eq!(kind("site-17611.mp4"), Some(("site", Some("17611"))));
        assert_eq!(kind("journal.jsonl"), Some(("journal", None)));
        for bad in ["../program.mp4", "site-../x.mp4", "site-.mp4", "x.mp4", "server.db", "", ".mp4"] {
            assert_eq!(kind(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_and_a_full_disk_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(matches!(check(&file.join("archive"), 1), Err(ArchiveError::NotWritable { .. })));
        assert!(matches!(check(dir.path(), u64::MAX), Err(ArchiveError::Full { .. })));
        check(&dir.path().join("archive"), 1).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("archive")).unwrap().count(), 0);
    }
}
