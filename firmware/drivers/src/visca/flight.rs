//! What has been sent and is not at its end: waiting for its ACK or answer, or executing in a socket.

use heapless::Vec;

use super::{Axis, Command, Motion, Request, Socket, Ticket};
use crate::Millis;

/// Two executing, one waiting, and the copies of three stops.
const CAPACITY: usize = 12;

/// One message on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    /// `None` when nobody waits for its end any more.
    pub ticket: Option<Ticket>,
    pub request: Request,
    /// VISCA over IP: what its replies carry.
    pub number: Option<u32>,
    /// As in `Waiting`, for when it must be sent again.
    pub wanted_until: Millis,
    pub attempts: u8,
    /// Something newer was asked for: never sent again.
    pub superseded: bool,
    pub stage: Stage,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// No reply yet.
    Sent {
        until: Millis,
        /// How often with this number.
        sends: u8,
        /// To be sent again now.
        again: bool,
    },
    Executing {
        socket: Socket,
        until: Millis,
        cancel: Cancel,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    Wanted,
    Said,
}

impl Message {
    pub const fn is_sent(&self) -> bool {
        matches!(self.stage, Stage::Sent { .. })
    }

    pub const fn until(&self) -> Millis {
        match self.stage {
            Stage::Sent { until, .. } | Stage::Executing { until, .. } => until,
        }
    }

    pub const fn command(&self) -> Option<&Command> {
        match &self.request {
            Request::Command(command) => Some(command),
            Request::Inquiry(_) => None,
        }
    }

    /// The axis that it stops.
    pub const fn stops(&self) -> Option<Axis> {
        match self.request {
            Request::Command(Command::Stop(axis)) => Some(axis),
            _ => None,
        }
    }

    pub fn executes_in(&self, number: Socket) -> bool {
        matches!(self.stage, Stage::Executing { socket, .. } if socket == number)
    }

    /// Whether it sets the axis in motion.
    pub fn moves(&self, axis: Axis) -> bool {
        matches!(self.request.motion(), Some(Motion::Start(axes) | Motion::Step(axes)) if axes.has(axis))
    }
}

/// All messages on their way, in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Flight(Vec<Message, CAPACITY>);

impl Flight {
    /// Adds a message. When there is no room, a stop that was said often goes for it, and is returned.
    #[must_use]
    pub fn push(&mut self, message: Message) -> Option<Message> {
        let evicted = self.0.is_full().then(|| {
            let copy = self.0.iter().position(|old| old.is_sent() && old.stops().is_some());
            let stop = copy.or_else(|| self.0.iter().position(|old| old.stops().is_some()));
            self.0.remove(stop.unwrap_or(0))
        });
        // Not full any more.
        let _ = self.0.push(message);
        evicted
    }

    /// Nobody waits for this ticket any more.
    pub fn disown(&mut self, ticket: Ticket) {
        for message in self.0.iter_mut().filter(|message| message.ticket == Some(ticket)) {
            message.ticket = None;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.0.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.0.iter_mut()
    }

    pub fn find(&self, condition: impl FnMut(&Message) -> bool) -> Option<usize> {
        self.0.iter().position(condition)
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut Message> {
        self.0.get_mut(at)
    }

    pub fn get(&self, at: usize) -> Option<&Message> {
        self.0.get(at)
    }

    pub fn remove(&mut self, at: usize) -> Message {
        self.0.remove(at)
    }

    pub fn pop_first(&mut self) -> Option<Message> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something waits for its first reply: a camera wants to be asked one thing at a time.
    pub fn awaits_reply(&self) -> bool {
        self.0.iter().any(Message::is_sent)
    }

    /// How many commands occupy a socket.
    pub fn executing(&self) -> usize {
        self.0.iter().filter(|message| !message.is_sent()).count()
    }

    /// Something newer was asked for: what it replaces is not repeated any more.
    pub fn supersede(&mut self, motion: Motion) {
        for message in &mut self.0 {
            if message.request.motion().is_some_and(|older| motion.supersedes(older)) && message.stops().is_none() {
                message.superseded = true;
                if let Stage::Sent { again, .. } = &mut message.stage {
                    *again = false;
                }
            }
        }
    }

    pub fn poll_timeout(&self) -> Option<Millis> {
        self.0.iter().map(Message::until).min()
    }
}
