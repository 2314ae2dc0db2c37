//! Who may ask: WS-UsernameToken by the camera's own clock, or HTTP digest.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use roxmltree::Document;
use time::PrimitiveDateTime;
use time::macros::format_description;

/// The only account.
#[derive(Debug, Clone)]
pub struct Account {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// What was seen at the doors: nothing is let in twice.
#[derive(Debug, Default)]
pub struct Doors {
    tokens: BTreeSet<String>,
    /// Nonce given out: uses that are left, last count.
    nonces: BTreeMap<String, (u32, u32)>,
    given: u32,
}

/// A token may be this old, or this much ahead.
const FRESH_MS: i64 = 5_000;
const REALM: &str = "camera-sim";

impl Doors {
    /// Whether the token in the request's header is good at `now_ms` of the camera's clock.
    pub fn token(&mut self, account: &Account, request: &Document, now_ms: i64) -> bool {
        let text = |name: &str| {
            let found = request.descendants().find(|node| node.tag_name().name() == name);
            found.and_then(|node| node.text()).map(str::trim)
        };
        let (Some(user), Some(digest), Some(nonce), Some(created)) =
            (text("Username"), text("Password"), text("Nonce"), text("Created"))
        else {
            return false;
        };
        let Some(at_ms) = milliseconds(created) else { return false };
        let Ok(random) = BASE64_STANDARD.decode(nonce) else { return false };
        let mut all = random;
        all.extend_from_slice(created.as_bytes());
        all.extend_from_slice(account.password.as_bytes());
        let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &all);
        user == account.user
            && BASE64_STANDARD.encode(sha1) == digest
            && (at_ms - now_ms).abs() <= FRESH_MS
            && self.tokens.insert(nonce.to_owned())
    }

    /// A challenge for HTTP digest.
    pub fn challenge(&mut self, uses: u32, stale: bool) -> String {
        self.given += 1;
        let nonce = format!("{:08x}n", self.given.wrapping_mul(0x9e37_79b9));
        self.nonces.insert(nonce.clone(), (uses, 0));
        let stale = if stale { ", stale=true" } else { "" };
        format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5, opaque=\"5ccc\"{stale}")
    }

    /// Whether an `Authorization` header is good for a POST to `path`. `Err`: the nonce is used up.
    pub fn digest(&mut self, account: &Account, header: &str, path: &str) -> Result<bool, ()> {
        let Some(list) = header.strip_prefix("Digest ") else { return Ok(false) };
        let fields: BTreeMap<&str, &str> = list
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        let count = u32::from_str_radix(field("nc"), 16).unwrap_or(0);
        let Some((left, last)) = self.nonces.get_mut(field("nonce")) else { return Ok(false) };
        if *left == 0 {
            return Err(());
        }
        let ha1 = hex(&format!("{}:{REALM}:{}", account.user, account.password));
        let ha2 = hex(&format!("POST:{path}"));
        let middle = [field("nonce"), field("nc"), field("cnonce"), field("qop")].join(":");
        let good = field("username") == account.user
            && field("realm") == REALM
            && field("uri") == path
            && field("opaque") == "5ccc"
            && count > *last
            && field("response") == hex(&format!("{ha1}:{middle}:{ha2}"));
        if good {
            (*left, *last) = (*left - 1, count);
        }
        Ok(good)
    }
}

fn hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn milliseconds(created: &str) -> Option<i64> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]Z");
    let at = PrimitiveDateTime::parse(created, format).ok()?.assume_utc();
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}
