//! Requests that wait for their turn. Stops are not among them: they wait for nothing.

use heapless::Vec;

use super::{Motion, Request, Ticket};
use crate::Millis;

/// How many a program may have waiting; more means that it asks faster than the camera can answer.
pub(super) const LIMIT: usize = 10;

/// One request that was not sent yet, or is to be sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub ticket: Ticket,
    pub request: Request,
    /// What is not sent by then is not done: a camera that begins to move long after it was asked to frightens people.
    pub until: Millis,
    pub not_before: Millis,
    /// How often it has been sent.
    pub attempts: u8,
}

/// In the order in which they were asked for. Room for one more than [`LIMIT`]: the one that comes back from the line.
#[derive(Debug, Default)]
pub(super) struct Queue(Vec<Waiting, { LIMIT + 1 }>);

impl Queue {
    /// Whether a program may add one more.
    pub fn has_room(&self) -> bool {
        self.0.len() < LIMIT
    }

    /// At the end.
    pub fn push(&mut self, waiting: Waiting) {
        let fits = self.0.push(waiting);
        debug_assert!(fits.is_ok(), "asked has_room before");
    }

    /// Back to where it came from. Returns it when there is no room.
    pub fn put_back(&mut self, waiting: Waiting) -> Result<(), Waiting> {
        self.0.insert(0, waiting)
    }

    /// Takes out one that meets the condition, the oldest first.
    pub fn take(&mut self, mut condition: impl FnMut(&Waiting) -> bool) -> Option<Waiting> {
        let at = self.0.iter().position(&mut condition)?;
        Some(self.0.remove(at))
    }

    /// Takes out one that `motion` makes useless.
    pub fn take_superseded(&mut self, motion: Motion) -> Option<Waiting> {
        self.take(|waiting| waiting.request.motion().is_some_and(|older| motion.supersedes(older)))
    }

    /// The oldest command: later ones must not overtake it.
    pub fn first_command(&self) -> Option<&Waiting> {
        self.0.iter().find(|waiting| matches!(waiting.request, Request::Command(_)))
    }

    /// The oldest of those that may be sent: commands where `commands` says so, inquiries always.
    pub fn next(&mut self, now: Millis, commands: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let command = self.first_command().filter(|first| commands(first)).map(|first| first.ticket);
        self.take(|waiting| {
            waiting.not_before <= now
                && (matches!(waiting.request, Request::Inquiry(_)) || Some(waiting.ticket) == command)
        })
    }

    /// When the next one must be sent, or is given up.
    pub fn poll_timeout(&self, now: Millis) -> Option<Millis> {
        let due = |waiting: &Waiting| {
            if waiting.not_before > now { waiting.not_before.min(waiting.until) } else { waiting.until }
        };
        self.0.iter().map(due).min()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
