//! Who the box is: key, certificate, the centre's key. Files in `data_dir/identity/`, there as a whole or not at all.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use bridgepoint_wire::jws::{PublicKey, Signer};
use bridgepoint_wire::text::Text;
use bridgepoint_wire::{ApplianceId, SiteCode};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

use crate::config::HostPort;
use crate::durable;
use crate::ending::Ending;

/// A loaded identity.
pub struct Identity {
    /// The certificate's CN.
    pub appliance: ApplianceId,
    /// The site at enrolment; the twin may say another one later.
    pub site: SiteCode,
    /// The box that stood there until this one was enrolled.
    pub replaces: Option<ApplianceId>,
    /// The fleet's broker.
    pub broker: HostPort,
    /// The fleet's CA, PEM.
    pub ca_pem: String,
    /// The box's certificate, PEM.
    pub cert_pem: String,
    /// The box's private key, PEM.
    pub key_pem: String,
    /// Signs events and vouches for session keys.
    pub signer: Signer,
    /// What commands, twins and acknowledgements are checked against.
    pub server_key: PublicKey,
}

/// `identity.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Layout of the folder.
    pub v: u16,
    /// The certificate's CN.
    pub appliance: ApplianceId,
    /// The site at enrolment.
    pub site: SiteCode,
    /// The box that stood there until this one was enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ApplianceId>,
    /// The fleet's broker, `host:port`.
    pub broker: String,
    /// Ed25519 public key, base64url.
    pub server_key: String,
}

impl Facts {
    /// The layout that this build writes and reads.
    pub const VERSION: u16 = 1;
}

const FOLDER: &str = "identity";
/// Of a box that was moved: until what it leaves is kept.
const BEFORE: &str = "identity.before";

/// Why an identity does not hold.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFault {
    /// A file is not there or cannot be read.
    #[error("{file}: {source}")]
    File {
        /// Its name.
        file: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// `identity.json` cannot be understood.
    #[error("identity.json: {0}")]
    Facts(String),
    /// A key, a certificate or an address cannot be understood, or they do not belong together.
    #[error("{0}")]
    Bad(String),
}

impl Identity {
    /// What is in the data folder; `None` when the box is not enrolled.
    ///
    /// # Errors
    /// An [`Ending`] when there is something that does not hold.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, Ending> {
        let (folder, before) = (data_dir.join(FOLDER), data_dir.join(BEFORE));
        if !folder.exists() {
            // The power went between two renames: the box is what it was.
            if !before.exists() || std::fs::rename(&before, &folder).is_err() {
                return Ok(None);
            }
        }
        read(&folder).map(Some).map_err(|e| Ending::world(Text::IdentityUnusable, [&folder.display(), &e]))
    }

    /// Puts an identity into the data folder: a folder written aside, synced, and renamed.
    ///
    /// # Errors
    /// The system's reason.
    pub fn store(data_dir: &Path, facts: &Facts, pems: &Pems<'_>) -> std::io::Result<()> {
        let aside = data_dir.join("identity.new");
        if aside.exists() {
            std::fs::remove_dir_all(&aside)?;
        }
        std::fs::create_dir_all(&aside)?;
        let json = serde_json::to_vec_pretty(facts).map_err(std::io::Error::other)?;
        durable::write_private(&aside.join("identity.json"), &json)?;
        durable::write_private(&aside.join("key.pem"), pems.key.as_bytes())?;
        durable::write_private(&aside.join("cert.pem"), pems.cert.as_bytes())?;
        durable::write_private(&aside.join("ca.pem"), pems.ca.as_bytes())?;
        durable::sync_folder(&aside)?;
        let (folder, before) = (data_dir.join(FOLDER), data_dir.join(BEFORE));
        if folder.exists() {
            if before.exists() {
                std::fs::remove_dir_all(&before)?;
            }
            std::fs::rename(&folder, &before)?;
        }
        std::fs::rename(&aside, folder)?;
        durable::sync_folder(data_dir)
    }

    /// Who the box was until it was moved, as long as what it leaves is not kept yet.
    pub fn before(data_dir: &Path) -> Option<Self> {
        let folder = data_dir.join(BEFORE);
        folder.exists().then(|| read(&folder).ok()).flatten()
    }

    /// What it leaves is kept.
    pub fn forget_before(data_dir: &Path) {
        if let Err(error) = std::fs::remove_dir_all(data_dir.join(BEFORE))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(%error, "the identity of before stays");
        }
    }
}

/// The three PEM files.
pub struct Pems<'a> {
    /// Private key.
    pub key: &'a str,
    /// Certificate.
    pub cert: &'a str,
    /// The fleet's CA.
    pub ca: &'a str,
}

fn read(folder: &Path) -> Result<Identity, IdentityFault> {
    let text = |file: &'static str| {
        std::fs::read_to_string(folder.join(file)).map_err(|source| IdentityFault::File { file, source })
    };
    let facts: Facts =
        serde_json::from_str(&text("identity.json")?).map_err(|e| IdentityFault::Facts(e.to_string()))?;
    if facts.v != Facts::VERSION {
        return Err(IdentityFault::Facts(format!("v {} is not {}", facts.v, Facts::VERSION)));
    }
    let (key_pem, cert_pem, ca_pem) = (text("key.pem")?, text("cert.pem")?, text("ca.pem")?);
    let signer = check(&facts, &Pems { key: &key_pem, cert: &cert_pem, ca: &ca_pem })?;
    Ok(Identity {
        server_key: server_key(&facts.server_key)?,
        broker: broker(&facts.broker)?,
        appliance: facts.appliance,
        site: facts.site,
        replaces: facts.replaces,
        ca_pem,
        cert_pem,
        key_pem,
        signer,
    })
}

/// Whether key, certificate, CA, names and addresses can be used and belong together.
///
/// # Errors
/// What does not hold.
pub fn check(facts: &Facts, pems: &Pems<'_>) -> Result<Signer, IdentityFault> {
    server_key(&facts.server_key)?;
    broker(&facts.broker)?;
    let bad = |what: &str, e: &dyn std::fmt::Display| IdentityFault::Bad(format!("{what}: {e}"));
    CertificateDer::from_pem_slice(pems.ca.as_bytes()).map_err(|e| bad("CA", &e))?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(pems.key.as_bytes()).map_err(|e| bad("key", &e))?;
    let signer = Signer::from_pkcs8(key.secret_pkcs8_der()).map_err(|e| bad("key", &e))?;
    let cert = CertificateDer::from_pem_slice(pems.cert.as_bytes()).map_err(|e| bad("certificate", &e))?;
    let (_, cert) = x509_parser::parse_x509_certificate(&cert).map_err(|e| bad("certificate", &e))?;
    let (PublicKey::P256(public) | PublicKey::Ed25519(public)) = signer.public();
    if *cert.public_key().subject_public_key.data != *public {
        return Err(IdentityFault::Bad("the certificate is for another key".into()));
    }
    let names: Vec<_> = cert.subject().iter_common_name().filter_map(|name| name.as_str().ok()).collect();
    if names != [facts.appliance.as_str()] {
        return Err(IdentityFault::Bad(format!("the certificate is for {names:?}, not for {}", facts.appliance)));
    }
    Ok(signer)
}

fn server_key(text: &str) -> Result<PublicKey, IdentityFault> {
    match B64.decode(text) {
        Ok(key) if key.len() == 32 => Ok(PublicKey::Ed25519(key)),
        _ => Err(IdentityFault::Bad(format!("“{text}” is not an Ed25519 key"))),
    }
}

fn broker(text: &str) -> Result<HostPort, IdentityFault> {
    text.parse().map_err(|e: crate::config::NotHostPort| IdentityFault::Bad(e.to_string()))
}

/// A client's TLS 1.3 configuration: trusts one CA, shows one certificate.
///
/// # Errors
/// What cannot be used.
pub fn tls(ca_pem: &[u8], cert_pem: &[u8], key_pem: &[u8]) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(ca_pem) {
        let cert = cert.map_err(|e| format!("CA: {e}"))?;
        roots.add(cert).map_err(|e| format!("CA: {e}"))?;
    }
    if roots.is_empty() {
        return Err("CA: no certificate".into());
    }
    let chain = CertificateDer::pem_slice_iter(cert_pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| format!("certificate: {e}"))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|e| format!("key: {e}"))?;
    // Passed explicitly: with two providers in the tree rustls has no default one.
    rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|e| format!("certificate and key: {e}"))
}
