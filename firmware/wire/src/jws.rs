//! Signatures of commands, twins, acknowledgements and events: detached JWS in the MQTT user property [`PROPERTY`].
//!
//! The topic is part of what is signed: a broker alone can neither start a camera, nor forge an event, nor move a
//! genuine message to another box. Source: RFC 7515 (JWS) appendix F (detached), RFC 8037 (`EdDSA`), RFC 7518 §3.4 (ES256).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde::{Deserialize, Serialize};

use crate::envelope::WireError;

/// Name of the MQTT 5 user property that carries the signature.
pub const PROPERTY: &str = "jws";

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    topic: String,
}

/// A private key that signs what this program sends.
pub enum Signer {
    /// The server's (and a session's) key.
    Ed25519(Ed25519KeyPair),
    /// A box's key.
    P256(EcdsaKeyPair),
}

impl Signer {
    /// A key in PKCS #8 (DER): Ed25519, else ECDSA P-256.
    ///
    /// # Errors
    /// [`WireError::Signature`] when it is neither.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, WireError> {
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::Ed25519(key));
        }
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(Self::P256)
            .map_err(|_| WireError::Signature("key is neither Ed25519 nor ECDSA P-256 in PKCS #8"))
    }

    /// The matching public key.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.public_key().as_ref().to_vec()),
            Self::P256(key) => PublicKey::P256(key.public_key().as_ref().to_vec()),
        }
    }

    /// A raw signature over `bytes` (64 bytes).
    ///
    /// # Errors
    /// [`WireError::Signature`] when the random source fails (ECDSA only).
    pub fn sign_raw(&self, bytes: &[u8]) -> Result<Vec<u8>, WireError> {
        match self {
            Self::Ed25519(key) => Ok(key.sign(bytes).as_ref().to_vec()),
            Self::P256(key) => key
                .sign(&SystemRandom::new(), bytes)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| WireError::Signature("the random source failed")),
        }
    }

    /// The detached JWS for `payload` on `topic`.
    ///
    /// # Errors
    /// As [`Signer::sign_raw`].
    pub fn sign(&self, topic: &str, payload: &[u8]) -> Result<String, WireError> {
        let alg = match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
        };
        let header = Header { alg: alg.to_string(), topic: topic.to_string() };
        let header = serde_json::to_vec(&header).map_err(|_| WireError::Signature("header"))?;
        let header = B64.encode(header);
        let signature = self.sign_raw(signing_input(&header, payload).as_bytes())?;
        Ok(format!("{header}..{}", B64.encode(signature)))
    }
}

/// A public key that messages are checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// 32 bytes.
    Ed25519(Vec<u8>),
    /// Uncompressed point, 65 bytes.
    P256(Vec<u8>),
}

impl PublicKey {
    /// Checks a raw signature over `bytes`.
    ///
    /// # Errors
    /// [`WireError::Signature`].
    pub fn verify_raw(&self, bytes: &[u8], signature: &[u8]) -> Result<(), WireError> {
        match self {
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(bytes, signature),
            Self::P256(key) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(bytes, signature),
        }
        .map_err(|_| WireError::Signature("it does not fit the key and the bytes"))
    }

    /// Checks a detached JWS for `payload` on `topic`.
    ///
    /// # Errors
    /// [`WireError::Signature`].
    pub fn verify(&self, topic: &str, payload: &[u8], jws: &str) -> Result<(), WireError> {
        let (header, signature) = jws.split_once("..").ok_or(WireError::Signature("not a detached JWS"))?;
        let bytes = B64.decode(header).map_err(|_| WireError::Signature("header is not base64url"))?;
        let head: Header = serde_json::from_slice(&bytes).map_err(|_| WireError::Signature("header is not JSON"))?;
        if head.topic != topic {
            return Err(WireError::Signature("made for another topic"));
        }
        let expected = match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
        };
        if head.alg != expected {
            return Err(WireError::Signature("another algorithm than the key's"));
        }
        let signature = B64.decode(signature).map_err(|_| WireError::Signature("signature is not base64url"))?;
        self.verify_raw(signing_input(header, payload).as_bytes(), &signature)
    }
}

fn signing_input(header: &str, payload: &[u8]) -> String {
    format!("{header}.{}", B64.encode(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ed() -> Signer {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Signer::from_pkcs8(der.as_ref()).unwrap()
    }

    fn p256() -> Signer {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Signer::from_pkcs8(der.as_ref()).unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_topic_payload_and_key_only() {
        for signer in [ed(), p256()] {
            let jws = signer.sign("bp/1/a/down/command", b"start").unwrap();
            let key = signer.public();
            assert_eq!(key.verify("bp/1/a/down/command", b"start", &jws), Ok(()));
            assert!(key.verify("bp/1/b/down/command", b"start", &jws).is_err());
            assert!(key.verify("bp/1/a/down/command", b"Start", &jws).is_err());
            assert!(ed().public().verify("bp/1/a/down/command", b"start", &jws).is_err());
            assert!(p256().public().verify("bp/1/a/down/command", b"start", &jws).is_err());
            assert!(key.verify("bp/1/a/down/command", b"start", "").is_err());
            assert!(key.verify("bp/1/a/down/command", b"start", "..").is_err());
        }
    }
}
