//! The media link, both ends: H.264 and Opus over ICE, DTLS-SRTP and one UDP socket, by str0m in RTP mode.
//!
//! [`CentreLink`] serves a whole conference from one socket and one thread; [`BoxLink`] is a site's end, and never
//! gives up. Between our own ends there is no SDP: addresses, credentials and fingerprints travel in signed commands,
//! payload types and SSRCs are the same everywhere. Browsers come in by WHEP and WHIP on the same socket.
//! Time stamps are ticks since the session's origin on both ends.

mod batch;
mod centre;
pub mod clock;
pub mod confine;
mod crowd;
mod dtls;
pub mod h264;
mod meter;
pub mod order;
mod peer;
mod plan;
mod seat;
mod sight;
mod site;
mod stun;
mod viewer;
mod wish;

use std::fmt::Write;
use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use bridgepoint_wire::command::IceCredentials;
use str0m::config::DtlsCert;

pub use batch::raise_priority;
pub use bridgepoint_wire::health::LinkHealth;
pub use centre::{CentreEvent, CentreLink, CentreStats, Down};
pub use crowd::{Crowd, Member};
pub use sight::Sight;
pub use site::{BoxEvent, BoxLink};
pub use wish::Wish;

/// One of a site's two video encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Full size; recorded.
    Main,
    /// The size of the tile in which it is shown.
    Thumb,
}

/// Why a link could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket failed.
    #[error("the media socket failed: {0}")]
    Socket(#[source] std::io::Error),
    /// Not an address that can be reached.
    #[error("{address} cannot be a media address: {reason}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// Not a SHA-256 fingerprint.
    #[error("“{0}” is no SHA-256 certificate fingerprint")]
    Fingerprint(String),
    /// The offer cannot be answered.
    #[error("this offer cannot be answered: {0}")]
    Offer(String),
}

/// A DTLS certificate and its key.
#[derive(Clone)]
pub struct Identity {
    /// Certificate, DER.
    pub cert_der: Vec<u8>,
    /// Private key, PKCS #8 DER, ECDSA P-256.
    pub key_der: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

impl Identity {
    /// A fresh self-signed certificate.
    pub fn generate() -> Self {
        let cert = str0m::crypto::from_feature_flags()
            .dtls_provider
            .generate_certificate()
            .expect("the aws-lc-rs provider makes certificates");
        Self { cert_der: cert.certificate, key_der: cert.private_key }
    }

    /// SHA-256 of the certificate, `AA:BB:…` (RFC 8122 §5).
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.cert_der)
    }

    fn dtls(&self) -> DtlsCert {
        DtlsCert { certificate: self.cert_der.clone(), private_key: self.key_der.clone() }
    }
}

/// SHA-256 of a certificate (DER), `AA:BB:…` (RFC 8122 §5).
pub fn fingerprint(cert_der: &[u8]) -> String {
    let mut text = String::with_capacity(95);
    for (n, byte) in digest(&SHA256, cert_der).as_ref().iter().enumerate() {
        let colon = if n == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

/// New random ICE credentials: 96 bits of user name, so that no two of a fleet are alike, and 192 bits of password.
pub fn fresh_ice() -> IceCredentials {
    IceCredentials { ufrag: random_text(16), pwd: random_text(32) }
}

/// `len` random characters of 6 bits each, all allowed in ICE credentials (RFC 8839 §5.4).
fn random_text(len: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; len];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 63)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_long_enough_and_differ() {
        let (a, b) = (fresh_ice(), fresh_ice());
        assert!(a.ufrag.len() >= 4 && a.pwd.len() >= 22);
        assert_ne!(a, b);
    }

    #[test]
    fn a_fingerprint_has_32_bytes() {
        assert_eq!(Identity::generate().fingerprint().split(':').count(), 32);
    }
}
