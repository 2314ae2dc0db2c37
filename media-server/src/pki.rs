//! Keys and certificates: who the server is, who may enrol, whose word counts.
//!
//! The fleet's CA vouches for the broker, the HTTPS server, every box and the sealing key. The bootstrap CA vouches for
//! nothing but the credential that a box without identity carries, so the fleet's listener does not know it at all.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridgepoint_wire::ApplianceId;
use bridgepoint_wire::jws::{PublicKey, Signer};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    PublicKeyData as _, date_time_ymd,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::clock::{self, civil};
use crate::secret::{self, NoRandom};

/// Validity of the CAs and of everything that `init` makes, years.
const YEARS_CA: i32 = 20;
/// Validity of a box's certificate, years.
const YEARS_BOX: i32 = 5;

/// Why a key or certificate cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds no key or certificate in PEM.
    #[error("{}: no key or certificate in PEM: {source}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// A certificate could not be made.
    #[error("certificate: {0}")]
    Rcgen(#[from] rcgen::Error),
    /// A request for a certificate is not one that a box makes.
    #[error("request for a certificate: {0}")]
    Request(&'static str),
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// A signing key.
    #[error("signing key: {0}")]
    Signing(#[from] bridgepoint_wire::WireError),
}

/// Names of the files in the PKI folder.
pub struct Files<'a>(pub &'a Path);

impl Files<'_> {
    /// The fleet's CA: what clients, boxes and verifiers trust.
    pub fn trust(&self) -> PathBuf {
        self.0.join("trust.pem")
    }
    fn trust_key(&self) -> PathBuf {
        self.0.join("fleet-ca.key")
    }
    /// Certificate of broker and HTTPS server.
    pub fn server(&self) -> PathBuf {
        self.0.join("server.pem")
    }
    /// Its key.
    pub fn server_key(&self) -> PathBuf {
        self.0.join("server.key")
    }
    fn client(&self) -> PathBuf {
        self.0.join("mqtt-server.pem")
    }
    fn client_key(&self) -> PathBuf {
        self.0.join("mqtt-server.key")
    }
    /// What the enrolment listener trusts.
    pub fn bootstrap_ca(&self) -> PathBuf {
        self.0.join("bootstrap-ca.pem")
    }
    /// What a box without identity carries.
    pub fn bootstrap(&self) -> PathBuf {
        self.0.join("bootstrap.pem")
    }
    /// Its key.
    pub fn bootstrap_key(&self) -> PathBuf {
        self.0.join("bootstrap.key")
    }
    fn command_key(&self) -> PathBuf {
        self.0.join("command.key")
    }
    fn sealing(&self) -> PathBuf {
        self.0.join("sealing.pem")
    }
    fn sealing_key(&self) -> PathBuf {
        self.0.join("sealing.key")
    }
}

/// Makes everything for a new centre. Returns the server's name on the broker.
///
/// That name (its certificate's CN, hence its MQTT client id) has a random part: whoever can connect with a client id of
/// their own choice, as on the enrolment listener, would throw out a client whose id they can guess.
pub fn create(dir: &Path, host: &str) -> Result<String, PkiError> {
    let files = Files(dir);
    let (ca, ca_key) = authority("Bridgepoint fleet CA")?;
    write(&files.trust(), ca.as_bytes(), 0o644)?;
    write(&files.trust_key(), ca_key.serialize_pem().as_bytes(), 0o600)?;
    let fleet = Issuer::from_ca_cert_pem(&ca, ca_key)?;

    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !names.iter().any(|name| name == host) {
        names.insert(0, host.to_owned());
    }
    let mut server = CertificateParams::new(names)?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(&fleet, server, host, &files.server(), &files.server_key())?;

    let name = format!("server-{}", secret::clear(10)?.to_lowercase());
    issue(&fleet, client_params(), &name, &files.client(), &files.client_key())?;

    let (bootstrap_ca, bootstrap_ca_key) = authority("Bridgepoint bootstrap CA")?;
    write(&files.bootstrap_ca(), bootstrap_ca.as_bytes(), 0o644)?;
    // The CA's key is not kept: one credential is all that it is for.
    let bootstrap = Issuer::from_ca_cert_pem(&bootstrap_ca, bootstrap_ca_key)?;
    issue(&bootstrap, client_params(), "bootstrap", &files.bootstrap(), &files.bootstrap_key())?;

    let command = KeyPair::generate_for(&PKCS_ED25519)?;
    write(&files.command_key(), command.serialize_pem().as_bytes(), 0o600)?;

    let sealing = KeyPair::generate_for(&PKCS_ED25519)?;
    let params = leaf(CertificateParams::default(), "Bridgepoint sealing key", YEARS_CA);
    let certificate = params.signed_by(&sealing, &fleet)?;
    write(&files.sealing(), certificate.pem().as_bytes(), 0o644)?;
    write(&files.sealing_key(), sealing.serialize_pem().as_bytes(), 0o600)?;
    Ok(name)
}

/// All that the control process holds.
pub struct Pki {
    /// The fleet's CA, PEM.
    pub trust_pem: String,
    fleet: Issuer<'static, KeyPair>,
    /// Broker and HTTPS server.
    pub server: (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    /// The server as a client of the broker.
    pub client: (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    /// Its name there.
    pub client_name: String,
    /// Signs commands, twins and acknowledgements; see [`Pki::command_signer`].
    command: PrivateKeyDer<'static>,
    command_public: String,
    /// Key for the hashes of enrolment codes.
    pub code_key: Vec<u8>,
    /// Seals records.
    pub sealing: Signer,
    /// The sealing key's certificate, PEM.
    pub sealing_pem: String,
}

impl Pki {
    /// Reads the folder that [`create`] filled.
    pub fn load(dir: &Path) -> Result<Self, PkiError> {
        let files = Files(dir);
        let trust_pem = text(&files.trust())?;
        let ca_key = KeyPair::from_pem(&text(&files.trust_key())?)?;
        let client = pair(&files.client(), &files.client_key())?;
        let client_name = client
            .0
            .first()
            .and_then(|cert| common_name(cert))
            .ok_or(PkiError::Request("mqtt-server.pem has no CN"))?;
        let command = key(&files.command_key())?;
        let code_key = digest::digest(&digest::SHA256, &[b"enrolment codes", command.secret_der()].concat());
        let (PublicKey::Ed25519(public) | PublicKey::P256(public)) = Signer::from_pkcs8(command.secret_der())?.public();
        Ok(Self {
            command_public: URL_SAFE_NO_PAD.encode(public),
            fleet: Issuer::from_ca_cert_pem(&trust_pem, ca_key)?,
            trust_pem,
            server: pair(&files.server(), &files.server_key())?,
            client,
            client_name,
            command,
            code_key: code_key.as_ref().to_vec(),
            sealing: Signer::from_pkcs8(key(&files.sealing_key())?.secret_der())?,
            sealing_pem: text(&files.sealing())?,
        })
    }

    /// The key that signs commands, twins and acknowledgements.
    ///
    /// # Errors
    /// When `command.key` holds no key that can sign.
    pub fn command_signer(&self) -> Result<Signer, PkiError> {
        Ok(Signer::from_pkcs8(self.command.secret_der())?)
    }

    /// The matching public key, as boxes are told it: base64url without padding.
    pub fn command_public(&self) -> String {
        self.command_public.clone()
    }

    /// Which key a request is for: whoever made the request holds it, since the request is signed with it.
    ///
    /// # Errors
    /// When it is no request, or its signature does not fit.
    pub fn request_key(csr_pem: &str) -> Result<String, PkiError> {
        let request = CertificateSigningRequestParams::from_pem(csr_pem)?;
        Ok(secret::sha256(request.public_key.der_bytes()))
    }

    /// A box's certificate, PEM. Only the key of the request counts: the name is ours, and it is good for nothing but
    /// being a client.
    pub fn enrol(&self, csr_pem: &str, appliance: &ApplianceId) -> Result<String, PkiError> {
        let request = CertificateSigningRequestParams::from_pem(csr_pem)?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(PkiError::Request("the key is not ECDSA P-256"));
        }
        let params = leaf(client_params(), appliance.as_str(), YEARS_BOX);
        Ok(params.signed_by(&request.public_key, &self.fleet)?.pem())
    }
}

/// The key that a box signs its events with, from its certificate.
pub fn box_key(cert_pem: &str) -> Option<PublicKey> {
    let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).ok()?;
    let (_, cert) = x509_parser::parse_x509_certificate(&der).ok()?;
    let point = cert.public_key().subject_public_key.data.to_vec();
    (point.len() == 65).then_some(PublicKey::P256(point))
}

/// A certificate and key for one conference's DTLS, both DER.
pub fn conference_identity() -> Result<(Vec<u8>, Vec<u8>), PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let cert = leaf(CertificateParams::default(), "Bridgepoint conference", 1).self_signed(&key)?;
    Ok((cert.der().to_vec(), key.serialize_der()))
}

/// A session's own signing key (Ed25519), PKCS #8 DER.
pub fn session_key() -> Result<Vec<u8>, PkiError> {
    Ok(KeyPair::generate_for(&PKCS_ED25519)?.serialize_der())
}

/// Writes a file that was not there, with its mode from the first byte on.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let file = |source| PkiError::File { path: path.to_owned(), source };
    let mut open = fs::OpenOptions::new();
    open.write(true).create_new(true).mode(mode).open(path).and_then(|mut f| f.write_all(bytes)).map_err(file)
}

fn authority(name: &str) -> Result<(String, KeyPair), PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = leaf(CertificateParams::default(), name, YEARS_CA);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok((params.self_signed(&key)?.pem(), key))
}

fn issue(
    issuer: &Issuer<'_, KeyPair>,
    params: CertificateParams,
    name: &str,
    cert_file: &Path,
    key_file: &Path,
) -> Result<(), PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let cert = leaf(params, name, YEARS_CA).signed_by(&key, issuer)?;
    write(cert_file, cert.pem().as_bytes(), 0o644)?;
    write(key_file, key.serialize_pem().as_bytes(), 0o600)
}

fn client_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Valid from yesterday on: clocks differ.
fn leaf(mut params: CertificateParams, name: &str, years: i32) -> CertificateParams {
    let from = civil(clock::now_ms().saturating_sub(86_400_000));
    params.not_before = date_time_ymd(from.year, from.month, from.day);
    // The 29th of February is not in every year.
    params.not_after = date_time_ymd(from.year + years, from.month, from.day.min(28));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn text(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| PkiError::File { path: path.to_owned(), source })
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, PkiError> {
    let pem = text(path)?;
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|source| PkiError::Pem { path: path.to_owned(), source })
}

fn pair(cert: &Path, key_file: &Path) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
    let pem = text(cert)?;
    let certs = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    Ok((certs.map_err(|source| PkiError::Pem { path: cert.to_owned(), source })?, key(key_file)?))
}

fn common_name(cert: &CertificateDer<'_>) -> Option<String> {
    let (_, cert) = x509_parser::parse_x509_certificate(cert).ok()?;
    cert.subject().iter_common_name().next()?.as_str().ok().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn private_keys_are_readable_by_nobody_else_and_all_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let name = create(dir.path(), "192.0.2.7").unwrap();
        for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let wanted = if path.extension().unwrap() == "key" { 0o600 } else { 0o644 };
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, wanted, "{}", path.display());
        }
        assert_eq!(Pki::load(dir.path()).unwrap().client_name, name);
    }

    #[test]
    fn a_box_gets_our_name_and_only_a_clients_rights() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), "localhost").unwrap();
        let pki = Pki::load(dir.path()).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut wish = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        wish.distinguished_name.push(DnType::CommonName, "server");
        wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wish.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let csr = wish.serialize_request(&key).unwrap().pem().unwrap();
        let pem = pki.enrol(&csr, &"bp-17611-abc".parse().unwrap()).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(common_name(&der).as_deref(), Some("bp-17611-abc"));
        let (_, cert) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert!(!cert.is_ca());
        assert!(cert.subject_alternative_name().unwrap().is_none());
        let eku = cert.extended_key_usage().unwrap().unwrap().value;
        assert!(eku.client_auth && !eku.server_auth);
        assert_eq!(box_key(&pem), Some(PublicKey::P256(key.public_key_raw().to_vec())));
    }

    #[test]
    fn other_keys_and_garbage_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), "localhost").unwrap();
        let pki = Pki::load(dir.path()).unwrap();
        let appliance = "a".parse().unwrap();
        assert!(pki.enrol("nonsense", &appliance).is_err());
        let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let csr = CertificateParams::default().serialize_request(&ed).unwrap().pem().unwrap();
        assert!(matches!(pki.enrol(&csr, &appliance), Err(PkiError::Request(_))));
        let csr = csr.replacen('A', "B", 1);
        assert!(pki.enrol(&csr, &appliance).is_err());
    }
}
