//! Who signs: the sealing key's statement that a session's key is its own, and the certificates above it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_wire::jws::{PublicKey, Signer};
use bridgepoint_wire::{ApplianceId, SessionId};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, Pem, X509Certificate};

use crate::error::RecordError;
use crate::journal::{canonical, hex};

const STATEMENT_CONTEXT: &[u8] = b"bridgepoint session key 1\n";

/// The sealing key's statement that `session_public` signs for `session`.
///
/// # Errors
/// [`RecordError::Key`] when the certificate cannot be read, is not the key's, or the key cannot sign.
pub fn certify_session_key(
    sealing: &Signer,
    sealing_cert_pem: &str,
    session: &SessionId,
    session_public: &PublicKey,
) -> Result<Value, RecordError> {
    let (alg, key) = match session_public {
        PublicKey::Ed25519(key) => ("Ed25519", key),
        PublicKey::P256(key) => ("P-256", key),
    };
    let statement = json!({ "v": 1, "session": session, "alg": alg, "key": B64.encode(key), "by": sealing_cert_pem });
    signed(sealing, sealing_cert_pem, STATEMENT_CONTEXT, statement)
}

/// `statement` with `"signature"` over its canonical bytes.
pub(crate) fn signed(key: &Signer, cert_pem: &str, context: &[u8], mut statement: Value) -> Result<Value, RecordError> {
    if Certificate::from_pem(cert_pem).map_err(RecordError::Key)?.key != key.public() {
        return Err(RecordError::Key("the certificate belongs to another key".into()));
    }
    let message = [context, &canonical(&statement)].concat();
    let signature = key.sign_raw(&message).map_err(|e| RecordError::Key(e.to_string()))?;
    statement["signature"] = B64.encode(signature).into();
    Ok(statement)
}

/// Checks what [`signed`] made; gives the certificate it names in `by`.
pub(crate) fn check_signed(statement: &Value, context: &[u8]) -> Result<Certificate, String> {
    let certificate = Certificate::from_pem(text(statement, "by")?)?;
    let signature = B64.decode(text(statement, "signature")?).map_err(|_| "its signature is not base64")?;
    let mut unsigned = statement.clone();
    unsigned.as_object_mut().ok_or("it is no object")?.remove("signature");
    let message = [context, &canonical(&unsigned)].concat();
    certificate.key.verify_raw(&message, &signature).map_err(|_| "its signature does not fit")?;
    Ok(certificate)
}

/// A session's key, and the certificate of the key that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionKey {
    pub key: PublicKey,
    pub by: Certificate,
}

impl SessionKey {
    /// From the statement in a `start` or `resumed` entry.
    pub fn of(statement: &Value, session: &str) -> Result<Self, String> {
        let by = check_signed(statement, STATEMENT_CONTEXT)?;
        if text(statement, "session")? != session {
            return Err("it was made for another session".into());
        }
        let key = B64.decode(text(statement, "key")?).map_err(|_| "its key is not base64")?;
        let key = match text(statement, "alg")? {
            "Ed25519" => PublicKey::Ed25519(key),
            "P-256" => PublicKey::P256(key),
            other => return Err(format!("its key's kind {other} is not known")),
        };
        Ok(Self { key, by })
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| format!("it has no {key}"))
}

/// What is needed of an X.509 certificate (RFC 5280).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// As a whole.
    pub der: Vec<u8>,
    /// Its key.
    pub key: PublicKey,
    /// SHA-256 of its `SubjectPublicKeyInfo`, hex: how people name the key.
    pub key_id: String,
    /// Its subject, such as `CN=sealing`.
    pub subject: String,
    /// Its subject's common name is an appliance's: the fleet vouches for it as a box, not as the centre.
    pub is_box: bool,
}

impl Certificate {
    /// The first certificate of a PEM text.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let der = certificates(pem).into_iter().next().ok_or("no certificate in the PEM text")?;
        let certificate = &parse(&der)?;
        let spki = certificate.public_key();
        let bits = spki.subject_public_key.data.as_ref();
        let key = match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => PublicKey::Ed25519(bits.to_vec()),
            "1.2.840.10045.2.1" if bits.len() == 65 => PublicKey::P256(bits.to_vec()),
            other => return Err(format!("a certificate with a key of a kind that is not known ({other})")),
        };
        let key_id = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki.raw).as_ref());
        let subject = certificate.subject().to_string();
        let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let is_box = name.is_some_and(|name| name.parse::<ApplianceId>().is_ok());
        Ok(Self { der, key, key_id, subject, is_box })
    }

    /// Whether one of the certificates of `trust` (PEM) is this one, or has signed it; `at_ms` is when it was used.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn anchored(&self, trust: &str, at_ms: u64) -> Result<(), String> {
        let certificate = parse(&self.der)?;
        let at = (at_ms / 1000) as i64;
        let validity = certificate.validity();
        if at < validity.not_before.timestamp() || at > validity.not_after.timestamp() {
            return Err(format!("the certificate {} was not valid at the time of the session", self.subject));
        }
        let anchors = certificates(trust);
        if anchors.is_empty() {
            return Err("the trust file holds no certificate".into());
        }
        let anchored = anchors.iter().any(|der| *der == self.der || issued(&certificate, der));
        anchored
            .then_some(())
            .ok_or_else(|| format!("the certificate {} is not signed by the given trust", self.subject))
    }
}

/// Whether the certificate authority in `der` has signed `certificate`.
fn issued(certificate: &X509Certificate<'_>, der: &[u8]) -> bool {
    let Ok(issuer) = parse(der) else { return false };
    if !issuer.is_ca() || issuer.subject().as_raw() != certificate.issuer().as_raw() {
        return false;
    }
    let algorithm: &'static dyn VerificationAlgorithm =
        match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.10045.4.3.2" => &ECDSA_P256_SHA256_ASN1,
            "1.2.840.10045.4.3.3" => &ECDSA_P384_SHA384_ASN1,
            "1.3.101.112" => &ED25519,
            _ => return false,
        };
    UnparsedPublicKey::new(algorithm, issuer.public_key().subject_public_key.data.as_ref())
        .verify(certificate.tbs_certificate.as_ref(), certificate.signature_value.data.as_ref())
        .is_ok()
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|e| format!("no X.509 certificate ({e})"))
}

fn certificates(pem: &str) -> Vec<Vec<u8>> {
    let blocks = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
    blocks.filter(|block| block.label == "CERTIFICATE").map(|block| block.contents).collect()
}
