//! What the body of each entry must hold (docs/ref/record.md). An entry that lacks a part says nothing that counts: what it
//! would have vouched for is then not vouched for.

use serde_json::Value;

/// What a part is.
#[derive(Clone, Copy)]
enum Is {
    Text,
    /// A whole number up to this.
    Number(u64),
    OneOf(&'static [&'static str]),
    /// Looked at by itself.
    Any,
}

use Is::{Any, Number, OneOf, Text};

const ANY: Is = Number(u64::MAX);
const WIDE: Is = Number(u16::MAX as u64);
const START: &[(&str, Is)] = &[
    ("session", Text),
    ("origin_ms", ANY),
    ("role", OneOf(&["centre", "box"])),
    ("part", Number(u32::MAX as u64)),
    ("software", Text),
    ("statement", Any),
];
const OPENED: &[(&str, Is)] = &[
    ("file", Text),
    ("bytes", ANY),
    ("sha256", Text),
    ("starts_ms", ANY),
    ("width", WIDE),
    ("height", WIDE),
    ("channels", Number(u8::MAX as u64)),
];
const FRAGMENT: &[(&str, Is)] = &[
    ("file", Text),
    ("index", ANY),
    ("offset", ANY),
    ("bytes", ANY),
    ("sha256", Text),
    ("video", ANY),
    ("audio", ANY),
];
const CLOSED: &[(&str, Is)] = &[
    ("file", Text),
    ("offset", ANY),
    ("bytes", ANY),
    ("sha256", Text),
    ("why", OneOf(&["end", "format", "step-back", "failed", "crash"])),
];
const END: &[(&str, Is)] = &[("session_sha256", Text), ("why", OneOf(&["finished", "crash"]))];

/// What the body of an entry of that kind lacks; entries of other kinds may hold anything.
pub fn lacks(kind: &str, body: &Value) -> Option<&'static str> {
    let parts = match kind {
        "start" | "resumed" => START,
        "opened" => OPENED,
        "fragment" => FRAGMENT,
        "closed" => CLOSED,
        "end" => END,
        _ => return None,
    };
    let is = |value: &Value, is: Is| match is {
        Text => value.is_string(),
        Number(most) => value.as_u64().is_some_and(|number| number <= most),
        OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Any => !value.is_null(),
    };
    parts.iter().find(|(name, what)| !is(&body[*name], *what)).map(|(name, _)| *name)
}
