//! `installation.json` in the data folder: an installation has begun and its report is not in the outbox yet. So a box that
//! loses power on the way goes on with it, and one that was enrolled without a screen never begins one.

use std::path::Path;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::text::Text;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::ending::Ending;

const FILE: &str = "installation.json";

/// The mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Layout of the file.
    v: u16,
    /// The box stood there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SiteCode>,
}

impl Marker {
    /// What is there. A file that cannot be read is as good as one without a site: the steps are the same.
    ///
    /// # Errors
    /// An [`Ending`] when the disk does not answer.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, Ending> {
        let path = data_dir.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or(Self { v: 1, from: None }))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Ending::world(Text::DiskNotWritable, [&path.display(), &error])),
        }
    }

    /// An installation begins.
    ///
    /// # Errors
    /// An [`Ending`].
    pub fn set(data_dir: &Path, from: Option<SiteCode>) -> Result<Self, Ending> {
        let marker = Self { v: 1, from };
        let path = data_dir.join(FILE);
        let written = serde_json::to_vec(&marker).map_err(std::io::Error::other);
        let written = written.and_then(|json| durable::replace(&path, &json));
        written.map_err(|e| Ending::world(Text::DiskNotWritable, [&path.display(), &e]))?;
        Ok(marker)
    }

    /// Its report is in the outbox.
    pub fn clear(data_dir: &Path) {
        let path = data_dir.join(FILE);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(%error, "{} stays: the next start begins the installation again", path.display());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_there_until_it_is_cleared_and_says_from_where() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Marker::read(folder.path()).unwrap(), None);
        let set = Marker::set(folder.path(), Some("16756".parse().unwrap())).unwrap();
        assert_eq!(Marker::read(folder.path()).unwrap(), Some(set));
        std::fs::write(folder.path().join(FILE), "half").unwrap();
        assert_eq!(Marker::read(folder.path()).unwrap().unwrap().from, None);
        Marker::clear(folder.path());
        Marker::clear(folder.path());
        assert_eq!(Marker::read(folder.path()).unwrap(), None);
    }
}
