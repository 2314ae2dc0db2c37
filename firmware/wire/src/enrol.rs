//! How a box that holds only the bootstrap credential gets an identity of its own.

use alloc::boxed::Box;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::id::{ApplianceId, SiteCode};

/// `bp/1/enrol/{client}/up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The one-time code that the operator gave to the technician, such as `7KQ2-M9FD`.
    pub code: String,
    /// The box's serial number.
    pub serial: String,
    /// PKCS #10 request, PEM, for the key (ECDSA P-256) that was made on the box and never leaves it.
    pub csr_pem: String,
}

/// `bp/1/enrol/{client}/down`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Enrolled.
    Enrolled(Box<Enrolled>),
    /// Refused.
    Refused(Refusal),
}

/// The new identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Who the box is from now on (the certificate's CN).
    pub appliance: ApplianceId,
    /// The site that the code was made for.
    pub site: SiteCode,
    /// The box's certificate, PEM.
    pub cert_pem: String,
    /// The fleet's CA, PEM.
    pub ca_pem: String,
    /// The key that signs commands and twins: Ed25519 public key, 32 bytes, base64url without padding.
    pub server_key: String,
    /// The fleet's broker, `host:port` (TLS).
    pub broker: String,
}

/// Why enrolment was refused. The text for the technician is in [`crate::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such code.
    UnknownCode,
    /// The code has done its work already.
    UsedCode,
    /// Older than 24 hours.
    ExpiredCode,
    /// The request for a certificate does not hold.
    BadRequest,
    /// Too many wrong codes from this client; try again later.
    TooManyTries,
}
