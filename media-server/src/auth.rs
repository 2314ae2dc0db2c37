//! Passwords and tokens of operators.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use aws_lc_rs::rand;

/// A password that cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// No salt.
    #[error("the system's random source failed")]
    Random,
    /// Longer than argon2 takes.
    #[error("password: {0}")]
    Hash(argon2::password_hash::Error),
}

/// The argon2id hash of a password, PHC string.
///
/// # Errors
/// [`PasswordError`].
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| PasswordError::Random)?;
    let salt = SaltString::encode_b64(&bytes).map_err(PasswordError::Hash)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// Is that the password? Takes some 20 ms of CPU on purpose, also for a user who does not exist.
pub fn check_password(password: &str, stored: Option<&str>) -> bool {
    /// Of a random password that nobody knows.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGEdW8VpCx9yY";
    let Ok(hash) = PasswordHash::new(stored.unwrap_or(NOBODY)) else { return false };
    let fits = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    fits && stored.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits() {
        let hash = hash_password("mật khẩu").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(check_password("mật khẩu", Some(&hash)));
        assert!(!check_password("mat khau", Some(&hash)));
        assert!(!check_password("x", None));
        assert!(!check_password("x", Some("nonsense")));
    }
}
