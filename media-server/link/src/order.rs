//! Puts the packets of one stream in order and waits a while for the missing ones. No I/O, no clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a gap is waited for: two rounds of NACK and repair on a line of 50 ms.
pub const PATIENCE: Duration = Duration::from_millis(150);

/// More than this many packets ahead is no gap but a sender that began anew.
const RESTART: u64 = 4_096;

/// An item in its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InOrder<T> {
    /// The item.
    pub item: T,
    /// How many before it are lost for good.
    pub lost: u64,
}

/// Orders the packets of one stream by extended sequence number.
#[derive(Debug)]
pub struct Reorder<T> {
    patience: Duration,
    next: Option<u64>,
    waiting: BTreeMap<u64, (Instant, T)>,
    delivered: u64,
    lost: u64,
}

impl<T> Reorder<T> {
    /// An empty buffer that waits for gaps as long as `patience`.
    pub fn new(patience: Duration) -> Self {
        Self { patience, next: None, waiting: BTreeMap::new(), delivered: 0, lost: 0 }
    }

    /// The first packet will have the number `first`: should it be missing, that shows.
    #[must_use]
    pub fn starting_at(mut self, first: u64) -> Self {
        self.next = Some(first);
        self
    }

    /// Delivered and lost since the last call.
    pub fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.delivered), std::mem::take(&mut self.lost))
    }

    /// A packet arrived. Repeated and too late ones are ignored.
    pub fn push(&mut self, seq: u64, now: Instant, item: T) {
        if let Some(next) = self.next {
            if seq + RESTART < next || seq > next + RESTART {
                self.waiting.clear();
                self.next = None;
            } else if seq < next {
                return;
            }
        }
        self.waiting.entry(seq).or_insert((now, item));
    }

    /// The next item whose turn has come.
    pub fn pop(&mut self, now: Instant) -> Option<InOrder<T>> {
        let first = *self.waiting.keys().next()?;
        let next = self.next.unwrap_or(first);
        if first > next && self.poll_timeout().is_some_and(|at| now < at) {
            return None;
        }
        let (_, item) = self.waiting.remove(&first)?;
        self.next = Some(first + 1);
        self.delivered += 1;
        self.lost += first - next;
        Some(InOrder { item, lost: first - next })
    }

    /// When the gap in front is given up; `None` without a gap.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = self.waiting.keys().next()?;
        if self.next.is_none_or(|next| next == *first) {
            return None;
        }
        self.waiting.values().map(|(arrived, _)| *arrived + self.patience).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(buffer: &mut Reorder<u64>, now: Instant) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| buffer.pop(now)).map(|o| (o.item, o.lost)).collect()
    }

    #[test]
    fn a_repaired_packet_comes_in_its_turn() {
        let (t, mut b) = (Instant::now(), Reorder::new(PATIENCE));
        for seq in [5, 6, 8, 9] {
            b.push(seq, t, seq);
        }
        assert_eq!(drain(&mut b, t), [(5, 0), (6, 0)]);
        assert_eq!(b.poll_timeout(), Some(t + PATIENCE));
        b.push(7, t + Duration::from_millis(90), 7);
        assert_eq!(drain(&mut b, t + Duration::from_millis(90)), [(7, 0), (8, 0), (9, 0)]);
        assert_eq!(b.poll_timeout(), None);
    }

    #[test]
    fn a_gap_is_given_up_after_its_time_and_no_earlier() {
        let (t, mut b) = (Instant::now(), Reorder::new(PATIENCE));
        b.push(1, t, 1);
        b.push(4, t, 4);
        assert_eq!(drain(&mut b, t + Duration::from_millis(149)), [(1, 0)]);
        assert_eq!(drain(&mut b, t + PATIENCE), [(4, 2)]);
        b.push(3, t + PATIENCE, 3);
        assert_eq!(drain(&mut b, t + PATIENCE * 2), []);
        assert_eq!(b.take_counts(), (2, 2));
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed_at_once() {
        let (t, mut b) = (Instant::now(), Reorder::new(PATIENCE));
        b.push(60_000, t, 60_000);
        assert_eq!(drain(&mut b, t), [(60_000, 0)]);
        b.push(3, t, 3);
        assert_eq!(drain(&mut b, t), [(3, 0)]);
    }

    #[test]
    fn a_missing_first_packet_is_noticed() {
        let (t, mut b) = (Instant::now(), Reorder::new(PATIENCE).starting_at(1));
        b.push(2, t, 2);
        assert_eq!(drain(&mut b, t), []);
        assert_eq!(drain(&mut b, t + PATIENCE), [(2, 1)]);
    }

    proptest! {
        #[test]
        fn any_shuffle_within_the_patience_comes_out_sorted(order in Just((0..60_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let (t, mut b) = (Instant::now(), Reorder::new(PATIENCE));
            b.push(0, t, 0);
            let mut out = drain(&mut b, t);
            for seq in order {
                b.push(seq, t, seq);
                out.extend(drain(&mut b, t));
            }
            prop_assert_eq!(out, (0..60).map(|seq| (seq, 0)).collect::<Vec<_>>());
        }
    }
}
