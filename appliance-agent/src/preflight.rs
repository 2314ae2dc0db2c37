//! What must be right in the world before the program starts.

use std::fmt::Display;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bridgepoint_board::Part;
use bridgepoint_wire::local::Camera;
use bridgepoint_wire::text::{Lang, Text};

use crate::config::Config;
use crate::ending::Ending;
use crate::health::Disk;

/// The disk for all that is kept is there.
///
/// # Errors
/// An [`Ending`].
pub fn check_disk(config: &Config) -> Result<(), Ending> {
    let Some(disk) = &config.data_disk else { return Ok(()) };
    // Another device than the folder's that it is in (stat(2)): also where the service manager has put the same file system
    // over itself, to make it writable.
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev());
    match (device(disk), device(disk.parent().unwrap_or(disk))) {
        (Ok(own), Ok(around)) if own != around => Ok(()),
        _ => Err(Ending::world(Text::DataDiskMissing, [&disk.display()])),
    }
}

/// The data folder: enough for enrolling.
///
/// # Errors
/// An [`Ending`].
pub fn check_data(config: &Config) -> Result<(), Ending> {
    check_disk(config)?;
    writable(&config.data_dir, config.min_free_mib)
}

/// Folders, disk and clip.
///
/// # Errors
/// An [`Ending`].
pub fn check(config: &Config) -> Result<(), Ending> {
    check_disk(config)?;
    let folders = [&config.data_dir, &config.runtime_dir, &config.records_dir];
    let update_dir = config.update.as_ref().map(|update| &update.dir);
    for folder in folders.into_iter().chain(&config.returns_dir).chain(update_dir) {
        writable(folder, config.min_free_mib)?;
    }
    if let Some(disk) = Disk::read(&config.records_dir)
        && disk.free_mib < config.min_free_mib
    {
        return Err(Ending::world(
            Text::DiskFull,
            [&config.records_dir.display(), &disk.free_mib, &config.min_free_mib],
        ));
    }
    match &config.camera {
        Camera::Clip(clip) if !Path::new(clip).is_file() => Err(Ending::world(Text::CameraMissing, [clip])),
        Camera::Clip(_) | Camera::Device { .. } | Camera::Rtsp(_) => Ok(()),
    }
}

/// What the board names, this machine has not and a session can do without: each has a stand-in, or is worth less than
/// the session.
pub fn tell_gaps(config: &Config) {
    for missing in config.board.missing() {
        match missing.part {
            // Refused already where they are used.
            Part::Camera | Part::Panel => {}
            Part::CameraControl
            | Part::Microphones
            | Part::Encoder
            | Part::Decoder
            | Part::Display
            | Part::Thermal
            | Part::Led
            | Part::Watchdog
            | Part::Storage
            | Part::Console => tracing::warn!("{}", missing.fault.text(Lang::En)),
        }
    }
}

/// Makes the folder when it is not there, and tries to write into it.
fn writable(folder: &Path, needed_mib: u64) -> Result<(), Ending> {
    let cannot = |reason: &dyn Display| Ending::world(Text::DiskNotWritable, [&folder.display(), reason]);
    std::fs::create_dir_all(folder).map_err(|e| cannot(&e))?;
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let tried = std::fs::write(&probe, [0_u8; 4096]);
    let _ = std::fs::remove_file(&probe);
    tried.map_err(|e| match e.kind() {
        std::io::ErrorKind::StorageFull => {
            let free = Disk::read(folder).map_or(0, |disk| disk.free_mib);
            Ending::world(Text::DiskFull, [&folder.display(), &free, &needed_mib.max(1)])
        }
        _ => cannot(&e),
    })
}
