//! Random secrets, and what is kept of them.

use aws_lc_rs::{digest, hmac, rand};
use bridgepoint_record::journal::hex;
use bridgepoint_wire::enrol::CODE_ALPHABET as CLEAR;

/// The system's random source failed; nothing secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("the system's random source failed")]
pub struct NoRandom;

/// `len` random characters that are easy to read out and to type.
pub fn clear(len: usize) -> Result<String, NoRandom> {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let mut bytes = [0_u8; 32];
        rand::fill(&mut bytes).map_err(|_| NoRandom)?;
        // Bytes beyond the largest multiple of 30 go: each character is equally likely.
        let fair = bytes.iter().filter(|byte| **byte < 240).map(|byte| CLEAR[usize::from(*byte) % CLEAR.len()]);
        text.extend(fair.take(len - text.len()).map(char::from));
    }
    Ok(text)
}

/// 256 random bits, hex: a bearer token or a cookie.
pub fn token() -> Result<String, NoRandom> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(hex(&bytes))
}

/// What is stored of a token: it has 256 random bits, so a plain hash cannot be guessed back.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// What is stored of an enrolment code: it has 39 random bits, so the hash needs a key that is not in the database.
pub fn keyed(key: &[u8], text: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_secrets_hold_no_ambiguous_letter() {
        let text = clear(5_000).unwrap();
        assert_eq!(text.len(), 5_000);
        assert!(text.bytes().all(|byte| CLEAR.contains(&byte)));
        assert!(CLEAR.iter().all(|letter| text.contains(char::from(*letter))));
        assert_ne!(clear(8).unwrap(), clear(8).unwrap());
    }
}
