//! Which events are to be sent when. The events themselves are in the store; here are only their numbers.

use crate::Millis;

/// What an acknowledgement means for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckEffect {
    /// Nothing new.
    Nothing,
    /// Events up to and including this number may be forgotten.
    Forget {
        /// Through this number.
        through: u64,
    },
    /// The server has seen numbers that this store never gave out (it was restored from an old copy): the waiting
    /// events get new numbers from `next` on, or the server would take them for old ones. Then [`Outbox::new`].
    Renumber {
        /// The first number that is free.
        next: u64,
    },
}

/// Sends events in order, again until they are acknowledged, and never more than a window of them at once.
#[derive(Debug)]
pub struct Outbox {
    /// First number that is not acknowledged.
    first: u64,
    /// First number that is not given out.
    next: u64,
    line: Line,
}

#[derive(Debug, Clone, Copy)]
enum Line {
    Down,
    Up {
        /// First number that was not sent on this connection.
        unsent: u64,
        /// When what was sent is sent again.
        again_at: Option<Millis>,
    },
}

impl Outbox {
    /// At most this many events are on their way.
    pub const WINDOW: u64 = 32;
    /// At most this many wait; a newer one is then dropped (and said so in the log): the oldest explain what began.
    pub const CAPACITY: u64 = 20_000;
    /// A server that was restarted between receiving and storing an event needs it again.
    pub const AGAIN_MS: u64 = 5_000;

    /// Events `first..next` wait in the store.
    pub const fn new(first: u64, next: u64) -> Self {
        Self { first, next, line: Line::Down }
    }

    /// Number for a new event; `None` when the outbox is full. Call [`Outbox::handle_stored`] when it is on disk.
    pub const fn number(&self) -> Option<u64> {
        if self.next - self.first < Self::CAPACITY { Some(self.next) } else { None }
    }

    /// The event with this number is on disk.
    pub fn handle_stored(&mut self, seq: u64) {
        debug_assert_eq!(seq, self.next, "numbers are given out in order");
        self.next = seq + 1;
    }

    /// Events that wait.
    pub const fn waiting(&self) -> u64 {
        self.next - self.first
    }

    /// A connection is up: nobody knows what the last one has carried.
    pub const fn handle_up(&mut self) {
        self.line = Line::Up { unsent: self.first, again_at: None };
    }

    /// The connection is down.
    pub const fn handle_down(&mut self) {
        self.line = Line::Down;
    }

    /// The server has stored everything up to a number.
    pub fn handle_ack(&mut self, now: Millis, through: u64) -> AckEffect {
        if through >= self.next {
            return AckEffect::Renumber { next: through + 1 };
        }
        if through < self.first {
            return AckEffect::Nothing;
        }
        self.first = through + 1;
        if let Line::Up { unsent, again_at } = &mut self.line {
            *unsent = (*unsent).max(self.first);
            *again_at = (*unsent > self.first).then(|| now.after(Self::AGAIN_MS));
        }
        AckEffect::Forget { through }
    }

    /// The next event to send, if one may be sent now; confirm with [`Outbox::handle_sent`].
    pub fn poll_send(&self) -> Option<u64> {
        match self.line {
            Line::Up { unsent, .. } if unsent < self.next && unsent < self.first + Self::WINDOW => Some(unsent),
            Line::Up { .. } | Line::Down => None,
        }
    }

    /// The event is handed to the connection.
    pub fn handle_sent(&mut self, now: Millis, seq: u64) {
        if let Line::Up { unsent, again_at } = &mut self.line {
            *unsent = seq + 1;
            again_at.get_or_insert(now.after(Self::AGAIN_MS));
        }
    }

    /// When [`Outbox::handle_timeout`] has something to do.
    pub const fn poll_timeout(&self) -> Option<Millis> {
        match self.line {
            Line::Up { again_at, .. } => again_at,
            Line::Down => None,
        }
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        if let Line::Up { unsent, again_at } = &mut self.line
            && again_at.is_some_and(|at| now >= at)
        {
            *unsent = self.first;
            *again_at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn send_all(outbox: &mut Outbox, now: u64) -> Vec<u64> {
        let mut sent = Vec::new();
        while let Some(seq) = outbox.poll_send() {
            outbox.handle_sent(Millis(now), seq);
            sent.push(seq);
        }
        sent
    }

    #[test]
    fn everything_unacknowledged_is_sent_again_on_each_connection() {
        let mut outbox = Outbox::new(4, 7);
        assert!(send_all(&mut outbox, 0).is_empty());
        outbox.handle_up();
        assert_eq!(send_all(&mut outbox, 0), [4, 5, 6]);
        assert_eq!(outbox.handle_ack(Millis(1), 4), AckEffect::Forget { through: 4 });
        outbox.handle_down();
        outbox.handle_stored(7);
        outbox.handle_up();
        assert_eq!(send_all(&mut outbox, 2), [5, 6, 7]);
    }

    #[test]
    fn silence_of_the_server_makes_it_say_again() {
        let mut outbox = Outbox::new(1, 3);
        outbox.handle_up();
        assert_eq!(send_all(&mut outbox, 0), [1, 2]);
        outbox.handle_timeout(Millis(4_999));
        assert!(send_all(&mut outbox, 0).is_empty());
        outbox.handle_timeout(Millis(5_000));
        assert_eq!(send_all(&mut outbox, 5_000), [1, 2]);
        outbox.handle_ack(Millis(5_001), 2);
        assert_eq!(outbox.poll_timeout(), None);
    }

    #[test]
    fn the_window_moves_with_the_acknowledgements() {
        let mut outbox = Outbox::new(1, 101);
        outbox.handle_up();
        assert_eq!(send_all(&mut outbox, 0), (1..=32).collect::<Vec<_>>());
        outbox.handle_ack(Millis(0), 10);
        assert_eq!(send_all(&mut outbox, 0), (33..=42).collect::<Vec<_>>());
    }

    #[test]
    fn an_acknowledgement_of_numbers_never_given_out_renumbers() {
        let mut outbox = Outbox::new(1, 3);
        assert_eq!(outbox.handle_ack(Millis(0), 900), AckEffect::Renumber { next: 901 });
        assert_eq!(outbox.handle_ack(Millis(0), 0), AckEffect::Nothing);
    }

    #[test]
    fn a_full_outbox_keeps_what_it_has() {
        assert_eq!(Outbox::new(1, 1 + Outbox::CAPACITY).number(), None);
        assert_eq!(Outbox::new(2, 1 + Outbox::CAPACITY).number(), Some(1 + Outbox::CAPACITY));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Store,
        Up,
        Down,
        /// Sends at most this many; the flag says whether the line delivers them.
        Send(u8, bool),
        /// The server's acknowledgement arrives.
        Ack,
        Wait,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Store),
            Just(Step::Up),
            Just(Step::Down),
            (1_u8..50, any::<bool>()).prop_map(|(n, delivered)| Step::Send(n, delivered)),
            Just(Step::Ack),
            Just(Step::Wait),
        ]
    }

    proptest! {
        /// Any order of losses: when the line holds at last, the server has every event, each exactly in order.
        #[test]
        fn no_event_is_lost_or_reordered(steps in proptest::collection::vec(step(), 0..200)) {
            let mut outbox = Outbox::new(1, 1);
            let mut stored = 0_u64; // at the server, without a gap
            let mut now = 0;
            let end = [Step::Up, Step::Send(200, true), Step::Ack].repeat(12);
            for step in steps.into_iter().chain(end) {
                match step {
                    Step::Store => {
                        let seq = outbox.number().unwrap();
                        outbox.handle_stored(seq);
                    }
                    Step::Up => outbox.handle_up(),
                    Step::Down => outbox.handle_down(),
                    Step::Send(n, delivered) => {
                        for _ in 0..n {
                            let Some(seq) = outbox.poll_send() else { break };
                            outbox.handle_sent(Millis(now), seq);
                            prop_assert!(seq > 0);
                            if delivered && seq == stored + 1 {
                                stored = seq;
                            }
                        }
                    }
                    Step::Ack => {
                        if stored > 0 {
                            outbox.handle_ack(Millis(now), stored);
                        }
                    }
                    Step::Wait => {
                        now += Outbox::AGAIN_MS;
                        outbox.handle_timeout(Millis(now));
                    }
                }
            }
            prop_assert_eq!(outbox.waiting(), 0);
        }
    }
}
