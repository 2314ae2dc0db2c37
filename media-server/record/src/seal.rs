//! `seal.json`: the sealing key's word over a closed record.

use std::path::Path;

use bridgepoint_wire::SessionId;
use bridgepoint_wire::jws::Signer;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk as _, RealDisk};
use crate::error::RecordError;
use crate::journal::{self, canonical, sha256};
use crate::recorder::utc_ms;
use crate::replay::Replay;
use crate::session;
use crate::statement::{Certificate, check_signed, signed};

/// The file's name.
pub const FILE: &str = "seal.json";
const CONTEXT: &[u8] = b"bridgepoint seal 1\n";

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    pub v: u16,
    pub session: SessionId,
    /// Hash of the journal's last line.
    pub head: String,
    /// How many lines it has.
    pub entries: u64,
    pub session_sha256: String,
    pub at_ms: u64,
    /// The sealing certificate, PEM.
    pub by: String,
}

/// Seals a closed record whose journal ends with `head`. Sealing it again with the same head changes nothing.
///
/// # Errors
/// [`RecordError::Unfit`] when the journal is not closed, ends with something else, or is sealed otherwise.
pub fn seal(folder: &Path, sealing_key: &Signer, sealing_cert_pem: &str, head: &str) -> Result<(), RecordError> {
    let journal = folder.join(journal::FILE);
    let unfit = |why: &str| RecordError::Unfit { path: journal.clone(), why: why.into() };
    let replay = Replay::read(folder)?;
    let start = replay.start.ok_or_else(|| unfit("there is no record"))?;
    if !replay.ended || replay.torn > 0 {
        return Err(unfit("the record is not closed"));
    }
    if replay.chain.head != head {
        return Err(unfit("the journal does not end with the given head"));
    }
    let path = folder.join(FILE);
    if let Ok(bytes) = std::fs::read(&path)
        && let Ok((seal, _)) = read(&bytes)
    {
        if seal.head == head {
            return Ok(());
        }
        return Err(RecordError::Unfit { path, why: "the record is sealed with another head".into() });
    }
    let session_path = folder.join(session::FILE);
    let session = std::fs::read(&session_path).map_err(RecordError::io(&session_path, "read"))?;
    let seal = Seal {
        v: 1,
        session: start.session,
        head: head.into(),
        entries: replay.chain.next,
        session_sha256: sha256(&session),
        at_ms: utc_ms(),
        by: sealing_cert_pem.into(),
    };
    let seal = serde_json::to_value(&seal).expect("a struct with text keys");
    let mut bytes = canonical(&signed(sealing_key, sealing_cert_pem, CONTEXT, seal)?);
    bytes.push(b'\n');
    let disk = RealDisk;
    disk.replace(&path, &bytes).map_err(RecordError::io(&path, "write"))?;
    disk.sync_folder(folder).map_err(RecordError::io(folder, "sync"))
}

/// A seal's content and who sealed, its own signature checked.
pub(crate) fn read(bytes: &[u8]) -> Result<(Seal, Certificate), String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| format!("not readable ({e})"))?;
    let mut expected = canonical(&value);
    expected.push(b'\n');
    if expected != bytes {
        return Err("not in canonical form: it was altered".into());
    }
    let by = check_signed(&value, CONTEXT)?;
    let seal: Seal = Seal::deserialize(&value).map_err(|e| format!("not readable ({e})"))?;
    if seal.v != 1 {
        return Err(format!("version {} is not known", seal.v));
    }
    Ok((seal, by))
}
