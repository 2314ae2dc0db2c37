//! One-time enrolment codes, and how often a wrong secret may be tried. No I/O.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How long an enrolment code is valid.
pub const VALID_MS: u64 = 24 * 3_600_000;

/// A code as a technician types it, without what typing adds: case, spaces and hyphens.
pub fn normal(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_uppercase).take(64).collect()
}

/// `7KQ2M9FD` as `7KQ2-M9FD`.
pub fn grouped(code: &str) -> String {
    let (a, b) = code.split_at(code.len() / 2);
    format!("{a}-{b}")
}

/// What the store knows of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRecord<A> {
    /// After this it does nothing.
    pub expires_at_ms: u64,
    /// Which box's key it was used for (hash), and what was answered.
    pub used: Option<(String, A)>,
}

/// What a code is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<A> {
    /// Enrol the box.
    Good,
    /// The same box asks again, because the answer was lost: it gets the same answer.
    Again(A),
    /// No such code.
    Unknown,
    /// Used by another box.
    Used,
    /// Too old.
    Expired,
}

/// What `record` is good for now, for the box with that key.
pub fn judge<A>(record: Option<CodeRecord<A>>, request_key: &str, now_ms: u64) -> Verdict<A> {
    match record {
        None => Verdict::Unknown,
        Some(CodeRecord { used: Some((hash, answer)), .. }) if hash == request_key => Verdict::Again(answer),
        Some(CodeRecord { used: Some(_), .. }) => Verdict::Used,
        Some(CodeRecord { expires_at_ms, .. }) if now_ms >= expires_at_ms => Verdict::Expired,
        Some(_) => Verdict::Good,
    }
}

/// Counts failures per caller and in all; too many within a while lock the caller, or everybody, out for the rest of it.
#[derive(Debug)]
pub struct Tries<K> {
    per_key: usize,
    in_all: usize,
    window_ms: u64,
    failed: HashMap<K, VecDeque<u64>>,
    all: VecDeque<u64>,
}

impl<K: Hash + Eq + Clone> Tries<K> {
    /// At most `per_key` failures per caller and `in_all` of everybody within `window_ms`.
    pub fn new(per_key: usize, in_all: usize, window_ms: u64) -> Self {
        Self { per_key, in_all, window_ms, failed: HashMap::new(), all: VecDeque::new() }
    }

    /// May this caller try now?
    pub fn may_try(&mut self, key: &K, now_ms: u64) -> bool {
        self.forget(now_ms);
        self.all.len() < self.in_all && self.failed.get(key).is_none_or(|times| times.len() < self.per_key)
    }

    /// It failed.
    pub fn handle_failure(&mut self, key: K, now_ms: u64) {
        self.forget(now_ms);
        self.all.push_back(now_ms);
        self.failed.entry(key).or_default().push_back(now_ms);
    }

    /// Bounded by `in_all`: nothing is tried beyond it.
    fn forget(&mut self, now_ms: u64) {
        let window_ms = self.window_ms;
        let old = |at: &u64| now_ms >= at + window_ms;
        while self.all.front().is_some_and(old) {
            self.all.pop_front();
        }
        self.failed.retain(|_, times| {
            while times.front().is_some_and(old) {
                times.pop_front();
            }
            !times.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        for typed in ["7KQ2-M9FD", "7kq2m9fd", " 7kq2 m9fd\n", "7KQ2M9-FD"] {
            assert_eq!(normal(typed), "7KQ2M9FD");
        }
        assert_eq!(grouped("7KQ2M9FD"), "7KQ2-M9FD");
        assert_eq!(normal(&"x".repeat(10_000)).len(), 64);
    }

    #[test]
    fn a_code_works_once_for_one_box_for_a_day() {
        let fresh = Some(CodeRecord { expires_at_ms: VALID_MS, used: None });
        assert_eq!(judge::<u8>(None, "a", 0), Verdict::Unknown);
        assert_eq!(judge::<u8>(fresh.clone(), "a", VALID_MS - 1), Verdict::Good);
        assert_eq!(judge::<u8>(fresh, "a", VALID_MS), Verdict::Expired);
        let used = Some(CodeRecord { expires_at_ms: VALID_MS, used: Some(("a".into(), 7)) });
        assert_eq!(judge(used.clone(), "b", 1), Verdict::Used);
        assert_eq!(judge(used, "a", 1), Verdict::Again(7));
    }

    #[test]
    fn guessing_is_locked_per_caller_and_in_all_until_the_window_is_over() {
        let mut tries = Tries::new(3, 5, 1_000);
        for at in 0..3 {
            assert!(tries.may_try(&"a", at));
            tries.handle_failure("a", at);
        }
        assert!(!tries.may_try(&"a", 10));
        assert!(tries.may_try(&"b", 10));
        tries.handle_failure("b", 10);
        tries.handle_failure("c", 10);
        assert!(!tries.may_try(&"d", 20));
        assert!(tries.may_try(&"a", 1_001));
    }
}
