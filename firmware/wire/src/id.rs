//! Identities, checked once where they are made.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{text}” is not a {kind}: 1 to {max} characters of A-Z a-z 0-9 and “-” are allowed")]
pub struct BadId {
    /// What it should have been.
    pub kind: &'static str,
    /// What came.
    pub text: String,
    /// How long one may be.
    pub max: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identity as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                let fits = (1..=$max).contains(&text.len());
                if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                    Ok(Self(text))
                } else {
                    Err(BadId { kind: $kind, text, max: $max })
                }
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::try_from(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// One box, as its certificate names it (subject CN) and as the broker knows it.
    ApplianceId, "appliance id", 40
);
id!(
    /// One bridge point (điểm cầu): the official code of its commune or ward, such as `17611`.
    SiteCode, "site code", 16
);
id!(
    /// One session (phiên), such as `20261124-101530-17611`: date and time (UTC) and the site that called.
    SessionId, "session id", 40
);
id!(
    /// What a box that has no certificate yet calls itself while it enrols; also the MQTT client id there.
    ClientId, "client id", 40
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_split_a_topic_or_leave_a_folder_is_an_identity() {
        for bad in ["", "a/b", "+", "#", "..", "a b", "Tri-Lễ", "$SYS", "a\0"] {
            assert!(SiteCode::from_str(bad).is_err(), "{bad:?}");
        }
        assert!(SiteCode::from_str("17611").is_ok());
        assert!(SiteCode::from_str("12345678901234567").is_err());
    }
}
