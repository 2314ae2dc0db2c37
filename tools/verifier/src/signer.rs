//! Keys, signatures and certificates: who stands for a record.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use x509_parser::prelude::{FromDer as _, Pem, X509Certificate};

/// SHA-256 as lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    let nibbles = digest(&SHA256, bytes).as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]).collect::<Vec<u8>>();
    nibbles.into_iter().filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub enum Key {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
}

impl Key {
    /// The signature (64 bytes, base64) in `signature` over `context` and the canonical form of `value`.
    fn fits(&self, context: &str, value: &Value, signature: &str) -> bool {
        let Ok(signature) = BASE64.decode(signature) else { return false };
        let Ok(canonical) = serde_json_canonicalizer::to_vec(value) else { return false };
        let message = [context.as_bytes(), &canonical].concat();
        match self {
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(&message, &signature),
            Self::P256(key) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(&message, &signature),
        }
        .is_ok()
    }
}

/// Checks the member `signature` of `object` over everything else in it.
pub fn check(object: &Value, context: &str, key: &Key) -> Result<(), String> {
    let mut unsigned = object.clone();
    let signature = unsigned.as_object_mut().and_then(|members| members.remove("signature"));
    let signature = signature.as_ref().and_then(Value::as_str).ok_or("it has no signature")?;
    if key.fits(context, &unsigned, signature) { Ok(()) } else { Err("its signature does not fit".into()) }
}

/// A certificate, as far as it matters here.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    pub key: Key,
    /// SHA-256 of the `SubjectPublicKeyInfo`, hex.
    pub key_id: String,
    pub subject: String,
    /// Its common name is an appliance's (1 to 40 letters, digits, hyphens).
    pub is_box: bool,
}

impl Certificate {
    /// The first in a PEM text.
    pub fn parse(pem: &str) -> Result<Self, String> {
        let der = ders(pem).into_iter().next().ok_or("its certificate cannot be read")?;
        let (_, x509) = &X509Certificate::from_der(&der).map_err(|_| "its certificate cannot be read")?;
        let spki = x509.public_key();
        let raw = spki.subject_public_key.data.to_vec();
        let key = match (spki.algorithm.algorithm.to_id_string().as_str(), raw.len()) {
            ("1.3.101.112", 32) => Key::Ed25519(raw),
            ("1.2.840.10045.2.1", 65) => Key::P256(raw),
            _ => return Err("its certificate's key is of a kind that is not known".into()),
        };
        let name = x509.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or("");
        let is_box = (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let (key_id, subject) = (sha256(spki.raw), x509.subject().to_string());
        Ok(Self { der, key, key_id, subject, is_box })
    }

    /// Whether `trust` (PEM) holds it, or an authority that signed it, and it was valid at `at_ms`.
    pub fn is_trusted(&self, trust: &str, at_ms: u64) -> bool {
        let Ok((_, own)) = X509Certificate::from_der(&self.der) else { return false };
        let at = (at_ms / 1_000) as i64;
        let valid = own.validity().not_before.timestamp() <= at && at <= own.validity().not_after.timestamp();
        valid && ders(trust).iter().any(|anchor| *anchor == self.der || is_issuer(anchor, &own))
    }
}

fn is_issuer(der: &[u8], of: &X509Certificate<'_>) -> bool {
    let Ok((_, authority)) = X509Certificate::from_der(der) else { return false };
    let algorithm: &'static dyn VerificationAlgorithm = match of.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.4.3.2" => &ECDSA_P256_SHA256_ASN1,
        "1.2.840.10045.4.3.3" => &ECDSA_P384_SHA384_ASN1,
        "1.3.101.112" => &ED25519,
        _ => return false,
    };
    let key = UnparsedPublicKey::new(algorithm, authority.public_key().subject_public_key.data.to_vec());
    authority.is_ca()
        && authority.subject().as_raw() == of.issuer().as_raw()
        && key.verify(of.tbs_certificate.as_ref(), &of.signature_value.data).is_ok()
}

fn ders(pem: &str) -> Vec<Vec<u8>> {
    Pem::iter_from_buffer(pem.as_bytes())
        .filter_map(Result::ok)
        .filter(|block| block.label == "CERTIFICATE")
        .map(|block| block.contents)
        .collect()
}

/// The statement in a `start` entry: which key signs the heads, and who says so.
pub fn session_key(statement: &Value, session: &str) -> Result<(Key, Certificate), String> {
    let member = |name: &str| statement[name].as_str().ok_or_else(|| format!("the key's statement has no {name}"));
    let by = Certificate::parse(member("by")?)?;
    check(statement, "bridgepoint session key 1\n", &by.key).map_err(|why| format!("the key's statement: {why}"))?;
    if member("session")? != session {
        return Err("the key's statement was made for another session".into());
    }
    let raw = BASE64.decode(member("key")?).map_err(|_| "the key's statement holds no key")?;
    match member("alg")? {
        "Ed25519" => Ok((Key::Ed25519(raw), by)),
        "P-256" => Ok((Key::P256(raw), by)),
        _ => Err("the key's statement is about a key of a kind that is not known".into()),
    }
}
