//! Keeps the media child alive.

use crate::Millis;

/// What the shell has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Care {
    /// Start the child.
    Start,
    /// Kill it: it no longer says anything. Its exit is then reported as any other.
    Kill {
        /// What was seen.
        reason: String,
    },
}

/// What a child's end means to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How often the child was lost since the control process started.
    pub count: u32,
    /// What was seen.
    pub reason: String,
    /// It had worked before: worth an event. A child that never got ready has said why itself.
    pub had_worked: bool,
}

/// Starts the child, watches it, starts it again.
#[derive(Debug)]
pub struct Supervisor {
    state: State,
    lost: u32,
    failures: u32,
}

#[derive(Debug)]
enum State {
    Down {
        start_at: Millis,
    },
    /// Started; has not said that it is ready.
    Starting {
        give_up_at: Millis,
    },
    Ready {
        since: Millis,
        silent_at: Option<Millis>,
    },
    /// Killed by us; its exit has not been seen yet.
    Dying {
        reason: String,
        had_worked: Option<Millis>,
    },
    /// The control process ends: nothing is started any more.
    Over,
}

impl Supervisor {
    /// First wait after a loss.
    pub const FIRST_MS: u64 = 100;
    /// Longest wait.
    pub const LONGEST_MS: u64 = 5_000;
    /// A child that worked for this long has earned a quick restart again.
    pub const PROVEN_MS: u64 = 30_000;
    /// In a session the child says something at least every second.
    pub const SILENT_MS: u64 = 3_000;
    /// Opening a camera and making the first picture may take this long before the first message of a session.
    pub const OPENING_MS: u64 = 10_000;
    /// Loading and configuring may take this long (the very first start scans all plug-ins).
    pub const STARTING_MS: u64 = 30_000;

    /// Nothing runs yet; the first start is due at once.
    pub const fn new(now: Millis) -> Self {
        Self { state: State::Down { start_at: now }, lost: 0, failures: 0 }
    }

    /// The child was started.
    pub fn handle_started(&mut self, now: Millis) {
        self.state = State::Starting { give_up_at: now.after(Self::STARTING_MS) };
    }

    /// The child is configured.
    pub fn handle_ready(&mut self, now: Millis) {
        if matches!(self.state, State::Starting { .. }) {
            self.state = State::Ready { since: now, silent_at: None };
        }
    }

    /// It was told to join a session: from now on silence is a stall.
    pub fn handle_joined(&mut self, now: Millis) {
        if let State::Ready { silent_at, .. } = &mut self.state {
            *silent_at = Some(now.after(Self::OPENING_MS));
        }
    }

    /// It was told to leave: silence means nothing any more.
    pub fn handle_left(&mut self) {
        if let State::Ready { silent_at, .. } = &mut self.state {
            *silent_at = None;
        }
    }

    /// It said something.
    pub fn handle_message(&mut self, now: Millis) {
        if let State::Ready { silent_at: Some(at), .. } = &mut self.state {
            // Never earlier than the time for opening the camera allows.
            *at = (*at).max(now.after(Self::SILENT_MS));
        }
    }

    /// It ended, or could not be started. `dice` is random, 0 to 255.
    pub fn handle_exit(&mut self, now: Millis, seen: &str, dice: u8) -> Ended {
        let (reason, worked_since) = match &self.state {
            State::Dying { reason, had_worked } => (reason.clone(), *had_worked),
            State::Ready { since, .. } => (seen.to_owned(), Some(*since)),
            State::Starting { .. } | State::Down { .. } | State::Over => (seen.to_owned(), None),
        };
        if worked_since.is_some_and(|since| since.after(Self::PROVEN_MS) <= now) {
            self.failures = 0;
        }
        let wait = (Self::FIRST_MS << self.failures.min(10)).min(Self::LONGEST_MS);
        // Half of the wait is jitter: nine boxes on one machine do not all load their plug-ins in the same moment.
        let wait = wait / 2 + wait / 2 * u64::from(dice) / 255;
        self.failures += 1;
        self.lost += 1;
        if !matches!(self.state, State::Over) {
            self.state = State::Down { start_at: now.after(wait) };
        }
        Ended { count: self.lost, reason, had_worked: worked_since.is_some() }
    }

    /// The control process ends.
    pub fn handle_shutdown(&mut self) {
        self.state = State::Over;
    }

    /// The child is configured and can be told to join.
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// A word for health reports.
    pub const fn word(&self, in_session: bool) -> &'static str {
        match self.state {
            State::Ready { .. } if in_session => "capturing",
            State::Ready { .. } | State::Over => "idle",
            State::Down { .. } | State::Starting { .. } | State::Dying { .. } => "restarting",
        }
    }

    /// When [`Supervisor::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        match self.state {
            State::Down { start_at: at } | State::Starting { give_up_at: at } => Some(at),
            State::Ready { silent_at, .. } => silent_at,
            State::Dying { .. } | State::Over => None,
        }
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) -> Option<Care> {
        self.poll_timeout().filter(|at| now >= *at)?;
        let (reason, had_worked) = match self.state {
            State::Down { .. } => {
                self.handle_started(now);
                return Some(Care::Start);
            }
            State::Starting { .. } => (format!("not ready within {} s", Self::STARTING_MS / 1_000), None),
            State::Ready { since, .. } => (format!("stalled: silent for {} s", Self::SILENT_MS / 1_000), Some(since)),
            State::Dying { .. } | State::Over => return None,
        };
        self.state = State::Dying { reason: reason.clone(), had_worked };
        Some(Care::Kill { reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(now: u64) -> Supervisor {
        let mut supervisor = Supervisor::new(Millis(now));
        assert_eq!(supervisor.handle_timeout(Millis(now)), Some(Care::Start));
        supervisor.handle_ready(Millis(now));
        supervisor
    }

    #[test]
    fn a_child_that_keeps_dying_is_started_ever_more_slowly_but_for_ever() {
        let mut supervisor = Supervisor::new(Millis(0));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert_eq!(supervisor.handle_timeout(Millis(now)), Some(Care::Start));
            supervisor.handle_exit(Millis(now), "exit 1", 255);
            let next = supervisor.poll_timeout().unwrap().0;
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
    }

    #[test]
    fn a_child_killed_in_the_middle_is_back_at_once() {
        let mut supervisor = ready(0);
        let ended = supervisor.handle_exit(Millis(60_000), "signal 9", 0);
        assert_eq!(ended, Ended { count: 1, reason: "signal 9".into(), had_worked: true });
        assert_eq!(supervisor.poll_timeout(), Some(Millis(60_050)));
    }

    #[test]
    fn silence_counts_in_a_session_only() {
        let mut supervisor = ready(0);
        assert_eq!(supervisor.poll_timeout(), None);
        supervisor.handle_joined(Millis(0));
        assert_eq!(supervisor.poll_timeout(), Some(Millis(10_000)));
        supervisor.handle_message(Millis(500));
        assert_eq!(supervisor.poll_timeout(), Some(Millis(10_000)));
        supervisor.handle_message(Millis(9_500));
        assert_eq!(supervisor.handle_timeout(Millis(12_499)), None);
        assert!(matches!(supervisor.handle_timeout(Millis(12_500)), Some(Care::Kill { .. })));
        assert_eq!(supervisor.handle_timeout(Millis(19_000)), None);
        let ended = supervisor.handle_exit(Millis(12_600), "signal 9", 0);
        assert!(ended.reason.contains("stalled") && ended.had_worked);
        let mut supervisor = ready(0);
        supervisor.handle_joined(Millis(0));
        supervisor.handle_left();
        assert_eq!(supervisor.poll_timeout(), None);
    }

    #[test]
    fn after_the_end_nothing_is_started() {
        let mut supervisor = ready(0);
        supervisor.handle_shutdown();
        supervisor.handle_exit(Millis(5), "exit 0", 0);
        assert_eq!(supervisor.poll_timeout(), None);
        assert_eq!(supervisor.handle_timeout(Millis(99_999)), None);
    }
}
