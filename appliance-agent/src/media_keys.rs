//! Keys that the media child is given: the DTLS identity of this run, the record's key of one session.
//!
//! They are kept in a private file while a session runs: an agent that is started again comes back into it with the
//! same DTLS certificate (so that the centre knows it without any message) and goes on with the same record.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_wire::SessionId;
use bridgepoint_wire::jws::Signer;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::identity::Identity;

/// A session whose agent was away for longer than this is not resumed: a camera does not start by itself next morning.
const RESUME_WITHIN: Duration = Duration::from_mins(10);

/// The keys of this run.
pub struct MediaKeys {
    file: PathBuf,
    kept: Kept,
    fingerprint: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    v: u16,
    /// DER, base64.
    dtls_cert: String,
    /// PKCS #8 DER, base64.
    dtls_key: String,
    session: Option<SessionKey>,
}

#[derive(Clone, Serialize, Deserialize)]
struct SessionKey {
    session: SessionId,
    /// Ed25519, PKCS #8 DER, base64.
    key: String,
}

/// A key could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The crypto library.
    #[error("key: {0}")]
    Crypto(String),
    /// The file.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl MediaKeys {
    const VERSION: u16 = 1;

    /// The kept keys of a session that may be resumed, else new ones.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn open(data_dir: &Path, running: Option<&SessionId>) -> Result<Self, KeyError> {
        let file = data_dir.join("media-keys.json");
        let kept = running.and_then(|session| fresh(&file, session));
        let kept = match kept {
            Some(kept) => kept,
            None => generate()?,
        };
        let fingerprint = fingerprint(&kept.dtls_cert);
        Ok(Self { file, kept, fingerprint })
    }

    /// Whether these are the kept keys of that session: then it may be resumed.
    pub fn are_of(&self, session: &SessionId) -> bool {
        self.kept.session.as_ref().is_some_and(|kept| kept.session == *session)
    }

    /// DTLS certificate, DER, base64.
    pub fn dtls_cert(&self) -> String {
        self.kept.dtls_cert.clone()
    }

    /// Its key, PKCS #8 DER, base64.
    pub fn dtls_key(&self) -> String {
        self.kept.dtls_key.clone()
    }

    /// SHA-256 of the certificate, `AA:BB:…`.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// The record's key for a session (PKCS #8 DER, base64) and the device key's statement about it.
    ///
    /// # Errors
    /// When it cannot be made or kept.
    pub fn for_session(
        &mut self,
        session: &SessionId,
        identity: &Identity,
    ) -> Result<(String, serde_json::Value), KeyError> {
        let key = match &self.kept.session {
            Some(kept) if kept.session == *session => kept.key.clone(),
            _ => {
                let random = aws_lc_rs::rand::SystemRandom::new();
                let der = Ed25519KeyPair::generate_pkcs8(&random).map_err(|e| KeyError::Crypto(e.to_string()))?;
                let key = B64.encode(der.as_ref());
                self.kept.session = Some(SessionKey { session: session.clone(), key: key.clone() });
                let json = serde_json::to_vec(&self.kept).map_err(io::Error::other)?;
                durable::replace(&self.file, &json)?;
                key
            }
        };
        let crypto = |e: &dyn std::fmt::Display| KeyError::Crypto(e.to_string());
        let der = B64.decode(&key).map_err(|e| crypto(&e))?;
        let public = Signer::from_pkcs8(&der).map_err(|e| crypto(&e))?.public();
        let statement = bridgepoint_record::certify_session_key(&identity.signer, &identity.cert_pem, session, &public)
            .map_err(|e| crypto(&e))?;
        Ok((key, statement))
    }

    /// The session still runs. Called now and then; a crash later tells by this how long the box was away.
    pub fn touch(&self) {
        let touched = std::fs::File::open(&self.file).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::warn!(%error, file = %self.file.display(), "session mark");
        }
    }

    /// The session is over: its key is not needed again.
    pub fn forget_session(&mut self) {
        if self.kept.session.take().is_some() {
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

fn fresh(file: &Path, session: &SessionId) -> Option<Kept> {
    let modified = std::fs::metadata(file).and_then(|meta| meta.modified()).ok()?;
    // A time in the future means that the clock was set back: the file is of this boot, then.
    if modified.elapsed().is_ok_and(|age| age > RESUME_WITHIN) {
        return None;
    }
    let kept: Kept = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let same = kept.session.as_ref().is_some_and(|kept| kept.session == *session);
    (kept.v == MediaKeys::VERSION && same).then_some(kept)
}

fn fingerprint(cert: &str) -> String {
    let der = B64.decode(cert).unwrap_or_default();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn generate() -> Result<Kept, KeyError> {
    let crypto = |e: rcgen::Error| KeyError::Crypto(e.to_string());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(crypto)?;
    let cert = CertificateParams::default().self_signed(&key).map_err(crypto)?;
    Ok(Kept {
        v: MediaKeys::VERSION,
        dtls_cert: B64.encode(cert.der()),
        dtls_key: B64.encode(key.serialize_der()),
        session: None,
    })
}
