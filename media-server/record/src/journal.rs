//! The journal: one JSON entry a line, each with the hash of the line before, its head signed now and then.
//!
//! A line is RFC 8785 canonical JSON and a line feed; its hash is the SHA-256 of the line without the line feed.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;
use bridgepoint_wire::jws::{PublicKey, Signer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::RecordError;

/// The journal's file name.
pub const FILE: &str = "journal.jsonl";
/// Before the first entry.
pub const NO_PREV: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Signed before a head's canonical bytes, so that such a signature can never pass for one over something else.
const HEAD_CONTEXT: &[u8] = b"bridgepoint journal head 1\n";

/// What an entry is about. Only the recorder itself writes these; every other kind comes from its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first entry: session, origin, role, the session key's statement.
    Start,
    /// A recorder went on after another one; like `Start`.
    Resumed,
    /// A file began: its init segment.
    Opened,
    /// A fragment is on the disk.
    Fragment,
    /// A file ended: its seek index.
    Closed,
    /// Nothing of a stream between two fragments.
    Gap,
    /// Something is not recorded, because.
    Failed,
    /// The state after a crash.
    Recovered,
    /// The session key's signature over everything before.
    Head,
    /// The record is closed; hash of `session.json`.
    End,
}

const KINDS: [(Kind, &str); 10] = [
    (Kind::Start, "start"),
    (Kind::Resumed, "resumed"),
    (Kind::Opened, "opened"),
    (Kind::Fragment, "fragment"),
    (Kind::Closed, "closed"),
    (Kind::Gap, "gap"),
    (Kind::Failed, "failed"),
    (Kind::Recovered, "recovered"),
    (Kind::Head, "head"),
    (Kind::End, "end"),
];

impl Kind {
    /// As it stands in the entry.
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Kind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        KINDS.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or(())
    }
}

/// One entry, as read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Format version, 1.
    pub v: u16,
    /// Counts up by one from 0.
    pub n: u64,
    /// The writer's clock, ms since 1970.
    pub at_ms: u64,
    /// See [`Kind`]; or the user's own, such as `press`.
    pub kind: String,
    /// By kind.
    pub body: Value,
    /// Hash of the line before, hex; [`NO_PREV`] in the first.
    pub prev: String,
}

/// Where a chain stands: what the next entry needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The next entry's number.
    pub next: u64,
    /// Hash of the last line, hex.
    pub head: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next: 0, head: NO_PREV.into() }
    }
}

impl Chain {
    /// The next line, with its line feed.
    pub fn line(&mut self, at_ms: u64, kind: &str, body: Value) -> Vec<u8> {
        let entry = self.entry(at_ms, kind, body);
        self.advance(canonical(&entry))
    }

    /// A line that signs the chain up to and with itself.
    ///
    /// # Errors
    /// [`RecordError::Key`] when the key cannot sign.
    pub fn head_line(&mut self, at_ms: u64, key: &Signer) -> Result<Vec<u8>, RecordError> {
        let mut entry = self.entry(at_ms, Kind::Head.as_str(), json!({}));
        let signature = key.sign_raw(&head_message(&canonical(&entry))).map_err(|e| RecordError::Key(e.to_string()))?;
        entry.body = json!({ "signature": B64.encode(signature) });
        Ok(self.advance(canonical(&entry)))
    }

    fn entry(&self, at_ms: u64, kind: &str, body: Value) -> Entry {
        Entry { v: 1, n: self.next, at_ms, kind: kind.into(), body, prev: self.head.clone() }
    }

    fn advance(&mut self, mut line: Vec<u8>) -> Vec<u8> {
        self.head = sha256(&line);
        self.next += 1;
        line.push(b'\n');
        line
    }

    /// Takes a line (without its line feed) that must be the next one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn accept(&mut self, line: &[u8]) -> Result<Entry, String> {
        let entry: Entry = serde_json::from_slice(line).map_err(|e| format!("no journal entry ({e})"))?;
        if entry.v != 1 {
            return Err(format!("version {} is not known", entry.v));
        }
        if entry.n != self.next {
            return Err(format!("entry {} where {} was expected", entry.n, self.next));
        }
        if entry.prev != self.head {
            return Err("it does not follow the entry before: one of the two was altered".into());
        }
        // A head signs the canonical form: another way to write the same entry would be an alteration unnoticed.
        if entry.kind == Kind::Head.as_str() && canonical(&entry) != line {
            return Err("it is not in canonical form: it was altered".into());
        }
        self.head = sha256(line);
        self.next += 1;
        Ok(entry)
    }
}

/// Checks a head's own signature.
///
/// # Errors
/// What is wrong, in words.
pub fn check_head(entry: &Entry, key: &PublicKey) -> Result<(), String> {
    let text = entry.body.get("signature").and_then(Value::as_str).ok_or("a head without a signature")?;
    let signature = B64.decode(text).map_err(|_| "a head's signature is not base64")?;
    let unsigned = Entry { body: json!({}), ..entry.clone() };
    key.verify_raw(&head_message(&canonical(&unsigned)), &signature)
        .map_err(|_| "the head's signature does not fit the session's key".into())
}

fn head_message(canonical: &[u8]) -> Vec<u8> {
    [HEAD_CONTEXT, canonical].concat()
}

/// RFC 8785 bytes of something that JSON can hold.
pub fn canonical(value: &impl Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap_or_else(|error| {
        // A number beyond what JSON canonicalization knows: said instead of the body.
        tracing::error!(%error, "not canonical");
        format!("{{\"not_canonical\":{}}}", Value::from(error.to_string())).into_bytes()
    })
}

/// SHA-256, lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_canonical_and_holds_the_hash_of_the_one_before() {
        let mut chain = Chain::default();
        let first = chain.line(5, "press", json!({"b": 1, "a": "ễ"}));
        assert_eq!(
            String::from_utf8(first.clone()).unwrap(),
            format!(
                "{{\"at_ms\":5,\"body\":{{\"a\":\"ễ\",\"b\":1}},\"kind\":\"press\",\"n\":0,\"prev\":\"{NO_PREV}\",\"v\":1}}\n"
            )
        );
        let second = chain.line(6, "mute", json!({}));
        let mut reader = Chain::default();
        reader.accept(&first[..first.len() - 1]).unwrap();
        let entry = reader.accept(&second[..second.len() - 1]).unwrap();
        assert_eq!((entry.n, entry.prev), (1, sha256(&first[..first.len() - 1])));
        assert_eq!(reader, chain);
        assert!(reader.accept(&first[..first.len() - 1]).is_err());
    }
}
