//! What a session tells its owner.

use super::{Information, Refusal};

/// Names one request from `submit` to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u32);

/// What has happened. Each ticket ends with exactly one of `Done`, `Answer` and `Failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The camera answers; requests are sent from now on. Said again after each time that it was lost.
    Ready {
        /// How many cameras the chain has, where it was asked.
        cameras: Option<u8>,
    },
    /// The camera does not answer any more. Said once; requests fail, a stop waits and is repeated all the same.
    Silent,
    /// A camera was switched on or the chain has changed. What moved has stopped, what was executed is lost.
    NetworkChange,
    /// The camera has accepted a command and executes it.
    Accepted(Ticket),
    /// The camera has executed a command.
    Done(Ticket),
    /// The camera has answered an inquiry.
    Answer(Ticket, Information),
    /// The request came to nothing.
    Failed(Ticket, Failure),
}

/// Why a request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A newer request made it useless: a stop, or a newer motion of the same axes.
    #[error("a newer request took its place")]
    Superseded,
    /// It could not be sent in time, and what is late is not done: the room has changed since.
    #[error("it waited too long to be sent")]
    Expired,
    /// It was cancelled, by its owner or at the camera.
    #[error("cancelled")]
    Cancelled,
    /// The camera said no.
    #[error("the camera refused it: {0}")]
    Refused(Refusal),
    /// Neither accepted nor refused, also when it was repeated; it may have been executed.
    #[error("the camera does not answer")]
    NoAck,
    /// Accepted, but its end was never said.
    #[error("the camera did not say that it has finished")]
    NoCompletion,
    /// Lost when the camera was started again or its buffers were cleared.
    #[error("the camera has forgotten it")]
    Forgotten,
}
