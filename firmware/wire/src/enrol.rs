//! How a box that holds only the bootstrap credential gets an identity of its own.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ApplianceId, SiteCode};

/// What codes are made of: letters and digits that nobody mistakes for another one: no `I`, `L`, `O`, `U`, `0`, `1`.
pub const CODE_ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code, hyphen not counted.
pub const CODE_LEN: usize = 8;

/// A one-time code that can be right: 8 characters of [`CODE_ALPHABET`]. Read with or without hyphen, spaces and
/// capitals; written as `7KQ2-M9FD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code([u8; CODE_LEN]);

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCode {
    /// Too few or too many characters.
    #[error("{0} characters, a code has {CODE_LEN}")]
    Length(usize),
    /// A character that no code has, such as the letter O.
    #[error("no code has the character “{0}”")]
    Character(char),
}

/// A typed character as codes have it; `None` for what only separates (spaces, hyphens).
///
/// # Errors
/// [`BadCode::Character`] when no code has it.
pub fn code_character(typed: char) -> Result<Option<u8>, BadCode> {
    if typed.is_whitespace() || typed == '-' {
        return Ok(None);
    }
    let upper = typed.to_ascii_uppercase();
    match u8::try_from(upper) {
        Ok(byte) if CODE_ALPHABET.contains(&byte) => Ok(Some(byte)),
        _ => Err(BadCode::Character(typed)),
    }
}

impl FromStr for Code {
    type Err = BadCode;

    fn from_str(text: &str) -> Result<Self, BadCode> {
        let (mut code, mut len) = ([0; CODE_LEN], 0);
        for typed in text.chars() {
            let Some(byte) = code_character(typed)? else { continue };
            if let Some(place) = code.get_mut(len) {
                *place = byte;
            }
            len += 1;
        }
        if len == CODE_LEN { Ok(Self(code)) } else { Err(BadCode::Length(len)) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            if n == CODE_LEN / 2 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*byte))?;
        }
        Ok(())
    }
}

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
    /// The box that stood at the site until now; its certificate is worth nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ApplianceId>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_code_is_read_however_it_was_typed_and_written_in_two_groups() {
        for typed in ["7KQ2-M9FD", "7kq2m9fd", " 7kq2 m9fd\n", "7KQ2M9-FD"] {
            assert_eq!(typed.parse::<Code>().map(|code| code.to_string()), Ok("7KQ2-M9FD".to_string()), "{typed}");
        }
    }

    #[test]
    fn what_no_code_has_is_named() {
        for bad in ['I', 'L', 'O', 'U', '0', '1', 'o', 'ệ', '\0', '_'] {
            assert_eq!(alloc::format!("7KQ2-M9F{bad}").parse::<Code>(), Err(BadCode::Character(bad)));
        }
        assert_eq!("".parse::<Code>(), Err(BadCode::Length(0)));
        assert_eq!("7KQ2-M9F".parse::<Code>(), Err(BadCode::Length(7)));
        assert_eq!("7KQ2-M9FDD".parse::<Code>(), Err(BadCode::Length(9)));
    }
}
