//! What a factory reset erases, and what it keeps.
//!
//! Gone: identity and keys, store, desired state, everything else in `data_dir`, a bundle that was fetched, records
//! that the centre has acknowledged. Kept: records that it has not, and events that still waited for it, each with the
//! signature of the identity that is erased. A power cut in the middle loses nothing of either: the reset goes on at
//! the next start.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_wire::Topic;
use serde::Serialize;

use crate::config::Config;
use crate::durable;
use crate::identity::Identity;
use crate::store::Store;

/// In `data_dir`: a reset has begun and is not complete.
const BEGUN: &str = "factory-reset";
/// In a session's folder: the centre has all of this record. Only such a folder is erased.
pub const ACKNOWLEDGED: &str = "acknowledged";

/// What a reset has kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Sessions.
    pub records_kept: usize,
    /// Events.
    pub events_kept: usize,
}

/// Where a reset came to a halt.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct EraseError {
    /// What could not be read, kept or erased.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> EraseError {
    move |source| EraseError { path: path.to_owned(), source }
}

/// An event that waited, as it is kept: a line of `unsent-events-….jsonl`.
#[derive(Serialize)]
struct Unsent<'a> {
    topic: &'a str,
    /// The envelope, base64: what is signed are its bytes.
    envelope: String,
    /// As it would have been sent.
    jws: String,
}

/// A store whose events are kept elsewhere.
const GONE: &str = "store.erased";

/// Whether a reset was broken off.
pub fn is_begun(data_dir: &Path) -> bool {
    data_dir.join(BEGUN).exists()
}

/// Resets the box. May be called again after it was broken off anywhere.
///
/// # Errors
/// [`EraseError`]; what was to be kept is kept.
pub fn erase(config: &Config) -> Result<Erased, EraseError> {
    let begun = config.data_dir.join(BEGUN);
    if !begun.exists() {
        durable::write_private(&begun, &[])
            .and_then(|()| durable::sync_folder(&config.data_dir))
            .map_err(at(&begun))?;
    }
    fs::create_dir_all(&config.records_dir).map_err(at(&config.records_dir))?;
    // First what is kept, then what it was made from, last the mark.
    keep_events(config)?;
    clear(&config.data_dir, &|path| path == begun || config.records_dir.starts_with(path))?;
    if let Some(update) = &config.update
        && update.dir.is_dir()
    {
        clear(&update.dir, &|path| config.records_dir.starts_with(path))?;
    }
    clear(&config.records_dir, &|path| !path.join(ACKNOWLEDGED).exists())?;
    let erased = count(&config.records_dir)?;
    fs::remove_file(&begun).and_then(|()| durable::sync_folder(&config.data_dir)).map_err(at(&begun))?;
    Ok(erased)
}

/// Writes the events that wait into the records' folder. A store that cannot be read is moved there as it is.
fn keep_events(config: &Config) -> Result<(), EraseError> {
    keep_events_of(config, Identity::load(&config.data_dir).ok().flatten())
}

/// What an identity leaves that another one takes the place of: its unsent events, and no store.
///
/// # Errors
/// [`EraseError`]; what was to be kept is kept.
pub fn leave_behind(config: &Config, before: Identity) -> Result<(), EraseError> {
    keep_events_of(config, Some(before))?;
    let gone = config.data_dir.join(GONE);
    if gone.exists() {
        fs::remove_dir_all(&gone).map_err(at(&gone))?;
    }
    Ok(())
}

fn keep_events_of(config: &Config, identity: Option<Identity>) -> Result<(), EraseError> {
    let store = config.data_dir.join("store");
    if !store.exists() {
        return Ok(());
    }
    let read = identity.map(|identity| (waiting(&store, &identity), identity));
    let Some((Ok((first, events)), identity)) = read else {
        tracing::error!(store = %store.display(), "its events cannot be read: it is kept as it is");
        let kept = free_name(&config.records_dir);
        return fs::rename(&store, &kept).and_then(|()| durable::sync_folder(&config.records_dir)).map_err(at(&kept));
    };
    if !events.is_empty() {
        write_unsent(config, &identity, first, &events)?;
    }
    // In one step: half a store, or one without its identity, would be read as another.
    let gone = config.data_dir.join(GONE);
    if gone.exists() {
        fs::remove_dir_all(&gone).map_err(at(&gone))?;
    }
    fs::rename(&store, &gone).and_then(|()| durable::sync_folder(&config.data_dir)).map_err(at(&gone))
}

fn write_unsent(config: &Config, identity: &Identity, first: u64, events: &[Vec<u8>]) -> Result<(), EraseError> {
    let topic = Topic::Event(identity.appliance.clone()).to_string();
    let mut lines = Vec::new();
    // The same name each time: a reset that goes on keeps the same events again.
    let file = config.records_dir.join(format!("unsent-events-{}-{first}.jsonl", identity.appliance));
    for envelope in events {
        let jws = identity.signer.sign(&topic, envelope).map_err(io::Error::other).map_err(at(&file))?;
        let unsent = Unsent { topic: &topic, envelope: B64.encode(envelope), jws };
        serde_json::to_writer(&mut lines, &unsent).map_err(io::Error::from).map_err(at(&file))?;
        lines.write_all(b"\n").map_err(at(&file))?;
    }
    durable::replace(&file, &lines).map_err(at(&file))
}

/// The number of the first event that waits, and all that do.
fn waiting(store: &Path, identity: &Identity) -> Result<(u64, Vec<Vec<u8>>), crate::store::StoreError> {
    let (store, left) = Store::open(store, &identity.appliance)?;
    let (first, next) = left.events;
    let mut events = Vec::new();
    for seq in first..next {
        events.extend(store.event(seq)?);
    }
    Ok((first, events))
}

fn free_name(folder: &Path) -> PathBuf {
    let mut n = 1;
    loop {
        let path = folder.join(format!("unread-store-{n}"));
        if !path.exists() {
            return path;
        }
        n += 1;
    }
}

/// Removes everything in a folder but what is to stay.
fn clear(folder: &Path, stays: &dyn Fn(&Path) -> bool) -> Result<(), EraseError> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if stays(&path) {
            continue;
        }
        let is_folder = fs::symlink_metadata(&path).map_err(at(&path))?.is_dir();
        if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(at(&path))?;
    }
    durable::sync_folder(folder).map_err(at(folder))
}

fn count(records_dir: &Path) -> Result<Erased, EraseError> {
    let mut erased = Erased::default();
    for entry in fs::read_dir(records_dir).map_err(at(records_dir))? {
        let path = entry.map_err(at(records_dir))?.path();
        if path.is_dir() {
            erased.records_kept += 1;
        } else if path.extension() == Some(OsStr::new("jsonl")) {
            erased.events_kept += fs::read_to_string(&path).map_err(at(&path))?.lines().count();
        }
    }
    Ok(erased)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_wire::Envelope;
    use bridgepoint_wire::event::Event;
    use bridgepoint_wire::jws::PublicKey;

    use crate::identity::{Facts, Pems};

    struct Boxed {
        folder: tempfile::TempDir,
        config: Config,
        key: PublicKey,
    }

    /// An enrolled box with three events of which the first is acknowledged, one record that is, one that is not.
    fn enrolled() -> Boxed {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        let board = concat!(env!("CARGO_MANIFEST_DIR"), "/../board/sim");
        let text = format!(
            "data_dir = \"data\"\nrecords_dir = \"data/records\"\nruntime_dir = \"run\"\nserial = \"s\"\nboard = \"{board}\"\n\
             [camera]\nclip = \"c\"\n[update]\ncompatible = \"x\"\ndir = \"update\"\n"
        );
        fs::write(&file, text).unwrap();
        let config = Config::load(&file).unwrap();
        fs::create_dir_all(&config.data_dir).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "bp-1");
        let cert = params.self_signed(&key).unwrap().pem();
        let facts = Facts {
            v: Facts::VERSION,
            appliance: "bp-1".parse().unwrap(),
            site: "17611".parse().unwrap(),
            replaces: None,
            broker: "h:1".into(),
            server_key: base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([0; 32]),
        };
        let pems = Pems { key: &key.serialize_pem(), cert: &cert, ca: &cert };
        Identity::store(&config.data_dir, &facts, &pems).unwrap();
        let (store, _) = Store::open(&config.data_dir.join("store"), &facts.appliance).unwrap();
        for seq in 1..=3 {
            let event = Event::Started { version: seq.to_string() };
            store.put_event(seq, &Envelope::new(seq, 7, event).to_bytes()).unwrap();
        }
        store.forget_events(1).unwrap();
        for (session, acknowledged) in [("s1", true), ("s2", false)] {
            let session = config.records_dir.join(session);
            fs::create_dir_all(&session).unwrap();
            fs::write(session.join("site.mp4"), session.display().to_string()).unwrap();
            if acknowledged {
                fs::write(session.join(ACKNOWLEDGED), []).unwrap();
            }
        }
        fs::write(config.data_dir.join("media-keys.json"), "secret").unwrap();
        fs::create_dir_all(folder.path().join("update")).unwrap();
        fs::write(folder.path().join("update/bundle.raucb"), "b").unwrap();
        let key = Identity::load(&config.data_dir).unwrap().unwrap().signer.public();
        Boxed { folder, config, key }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Nothing of the identity is left, everything unacknowledged is, and its signatures hold.
    fn is_reset(of: &Boxed) {
        assert_eq!(names(&of.config.data_dir), ["records"]);
        assert_eq!(names(&of.folder.path().join("update")), [""; 0]);
        let kept = names(&of.config.records_dir);
        assert_eq!(kept, ["s2", "unsent-events-bp-1-2.jsonl"]);
        assert!(of.config.records_dir.join("s2/site.mp4").exists());
        let events = fs::read_to_string(of.config.records_dir.join(&kept[1])).unwrap();
        let seqs: Vec<u64> = events
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let envelope = B64.decode(line["envelope"].as_str().unwrap()).unwrap();
                of.key.verify(line["topic"].as_str().unwrap(), &envelope, line["jws"].as_str().unwrap()).unwrap();
                Envelope::<Event>::from_bytes(&envelope).unwrap().seq
            })
            .collect();
        assert_eq!(seqs, [2, 3]);
    }

    #[test]
    fn identity_keys_and_acknowledged_records_go_and_what_the_centre_lacks_stays() {
        let of = enrolled();
        assert_eq!(erase(&of.config).unwrap(), Erased { records_kept: 1, events_kept: 2 });
        is_reset(&of);
        assert!(!is_begun(&of.config.data_dir));
        // A box that is as delivered stays so.
        erase(&of.config).unwrap();
        is_reset(&of);
    }

    #[test]
    fn a_reset_that_was_broken_off_anywhere_goes_on() {
        type Cut = fn(&Config);
        let cuts: [Cut; 4] = [
            |config| fs::write(config.data_dir.join(BEGUN), []).unwrap(),
            |config| keep_events(config).unwrap(),
            |config| {
                let identity = Identity::load(&config.data_dir).unwrap().unwrap();
                let (first, events) = waiting(&config.data_dir.join("store"), &identity).unwrap();
                write_unsent(config, &identity, first, &events).unwrap();
            },
            |config| {
                keep_events(config).unwrap();
                fs::remove_dir_all(config.data_dir.join("identity")).unwrap();
            },
        ];
        for (n, cut) in cuts.into_iter().enumerate() {
            let of = enrolled();
            cut(&of.config);
            fs::write(of.config.data_dir.join(BEGUN), []).unwrap();
            assert!(is_begun(&of.config.data_dir));
            erase(&of.config).unwrap_or_else(|e| panic!("cut {n}: {e}"));
            is_reset(&of);
        }
    }

    #[test]
    fn a_store_that_cannot_be_read_is_kept_as_it_is() {
        let of = enrolled();
        fs::remove_dir_all(of.config.data_dir.join("identity")).unwrap();
        erase(&of.config).unwrap();
        assert_eq!(names(&of.config.records_dir), ["s2", "unread-store-1"]);
        assert!(of.config.records_dir.join("unread-store-1/db").exists());
    }
}
