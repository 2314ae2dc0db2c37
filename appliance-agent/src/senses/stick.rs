//! USB sticks. The system mounts one below a folder, read-only (`bridgepoint-stick@.service`); here its file is read, once
//! each time that it is plugged in or changed.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_core::commissioning::{Fact, MAX_STICK_FILE};
use tokio::sync::mpsc;

use super::Sense;

/// How soon a stick is noticed.
const LOOK: Duration = Duration::from_millis(500);
const FILE: &str = "bridgepoint.txt";

/// Tells what is on sticks until nobody listens.
pub async fn watch(folder: PathBuf, told: mpsc::Sender<Sense>) {
    let mut known: Vec<(PathBuf, String)> = Vec::new();
    while !told.is_closed() {
        let now = files(&folder);
        for file in &now {
            if !known.contains(file) && told.send(Sense::Fact(Fact::Stick(file.1.clone()))).await.is_err() {
                return;
            }
        }
        known = now;
        tokio::time::sleep(LOOK).await;
    }
}

/// In the folder itself, and in each folder of it: a stick may have several partitions.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mounted = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = mounted.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.push(folder.to_owned());
    folders.into_iter().filter_map(|folder| read(&folder)).collect()
}

fn read(folder: &Path) -> Option<(PathBuf, String)> {
    // The name as people write it: FAT knows no case.
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let path = entries.map(|entry| entry.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().eq_ignore_ascii_case(FILE)) && path.is_file()
    })?;
    let mut bytes = Vec::new();
    // One more than is allowed, so that the parser sees that it is too much.
    File::open(&path).ok()?.take(MAX_STICK_FILE as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some((path, String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    async fn next(senses: &mut mpsc::Receiver<Sense>) -> String {
        match senses.recv().await {
            Some(Sense::Fact(Fact::Stick(text))) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stick_is_read_once_when_it_comes_when_it_changes_and_when_it_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let (told, mut senses) = mpsc::channel(8);
        tokio::spawn(watch(folder.path().to_owned(), told));
        let stick = folder.path().join("sda1");
        std::fs::create_dir(&stick).unwrap();
        std::fs::write(stick.join("BRIDGEPOINT.TXT"), "code = 1").unwrap();
        assert_eq!(next(&mut senses).await, "code = 1");
        tokio::time::sleep(LOOK * 4).await;
        assert!(senses.is_empty());
        std::fs::write(stick.join("BRIDGEPOINT.TXT"), "code = 2").unwrap();
        assert_eq!(next(&mut senses).await, "code = 2");
        std::fs::remove_dir_all(&stick).unwrap();
        tokio::time::sleep(LOOK * 4).await;
        std::fs::write(folder.path().join("bridgepoint.txt"), vec![b'#'; MAX_STICK_FILE + 100]).unwrap();
        assert_eq!(next(&mut senses).await.len(), MAX_STICK_FILE + 1);
    }
}
