//! One camera, kept in step: what is sent when, what a reply belongs to, what is repeated.
//!
//! The rules, and why:
//! * A camera executes two commands at a time, and wants the next one only after it has answered the last
//!   (SRG-300H, *Socket number*). So one message waits for its first reply, and two commands execute.
//! * A stop does not wait: not for an answer, not for a socket, not until the camera has been found. It is repeated until
//!   the camera has acknowledged it, takes what would move its axis out of the queue, and keeps later motions waiting
//!   until then. Where the acknowledgement could be somebody else's (replies have no checksum, and on a serial line no
//!   number), the stop is said once more.
//! * Of several motions of an axis only the newest is sent. What waits for too long is not done at all.
//! * Silence makes the session clear the camera's buffers (`IF_Clear`; over IP also RESET) and begin again.

mod link;
mod receive;

use heapless::{Deque, Vec};

use super::flight::{Cancel, Flight, Message, Stage};
use super::queue::{Queue, Waiting};
use super::{Address, Axis, Command, Event, Failure, Header, MAX_PACKET, Motion, Packet, PayloadType, Reader, Request};
use super::{Inquiry, Ticket, command};
use crate::Millis;
use link::Link;

/// The longest that [`Session::poll_transmit`] returns.
pub const MAX_DATAGRAM: usize = Header::LEN + MAX_PACKET;

/// Bytes for the line: one packet, or one datagram.
pub type Transmit = Vec<u8, MAX_DATAGRAM>;

const EVENTS: usize = 32;
/// How often a request is sent, at most, before it fails.
const ATTEMPTS: u8 = 3;
/// How often a stop may be refused, at most, before it fails. Silence never ends it.
const STOP_REFUSALS: u8 = 5;
/// After this many unanswered copies of a stop the camera is looked for again.
const STOP_COPIES: u8 = 4;

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RS-232 or RS-422: bare packets, addresses are set.
    Serial,
    /// Bare packets on TCP 5678 or UDP 1259 (or what the maker chose); the address is 1.
    Raw,
    /// UDP 52381, with a [`Header`]; the address is 1.
    Ip,
}

/// What a session must know about its camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How packets travel.
    pub dialect: Dialect,
    /// Which camera of the chain.
    pub address: Address,
    /// How long to wait.
    pub timing: Timing,
}

impl Config {
    /// The first camera on a line of this kind, with usual patience.
    pub const fn new(dialect: Dialect) -> Self {
        Self { dialect, address: Address::MIN, timing: Timing::new(dialect) }
    }
}

/// How long a session waits, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// For an ACK or an answer. Sony's cameras need 16 to 100 ms, others up to 300 ms.
    pub reply_ms: u64,
    /// For the completion of a command that moves nothing.
    pub brief_ms: u64,
    /// For the completion of one that moves something, or of power on.
    pub move_ms: u64,
    /// Until a stop is said again for the first time; then twice as long each time.
    pub stop_ms: u64,
    /// Until a stop is said again, at most.
    pub stop_slowest_ms: u64,
    /// Until a command is sent again that the camera had no socket for; then twice as long each time.
    pub full_ms: u64,
    /// How long a request may wait to be sent.
    pub wait_ms: u64,
    /// How long after something went wrong a reply may be somebody else's.
    pub echo_ms: u64,
}

impl Timing {
    /// What suits most cameras.
    pub const fn new(dialect: Dialect) -> Self {
        let reply_ms = match dialect {
            Dialect::Serial | Dialect::Raw => 500,
            // Loss is normal here, and a repeated message does no harm: it has the same number.
            Dialect::Ip => 250,
        };
        Self {
            reply_ms,
            brief_ms: 2_000,
            move_ms: 60_000,
            stop_ms: 100,
            stop_slowest_ms: 1_000,
            full_ms: 25,
            wait_ms: 2_000,
            echo_ms: 500,
        }
    }
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Never for a stop.
    #[error("too many requests wait for the camera; ask again when one has ended")]
    Full,
}

/// A stop that the camera has not acknowledged yet.
#[derive(Debug, Clone, Copy)]
struct Stop {
    ticket: Ticket,
    due: Millis,
    copies: u8,
    refusals: u8,
    encore: Encore,
}

/// Whether a stop is said once more after it was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encore {
    No,
    /// A motion was on its way when the stop was sent, and could arrive after it.
    Wanted,
    Said,
}

/// Speaks to one camera. Opens nothing, waits for nothing: bytes and time are passed in.
///
/// After each call that changes something, take everything from [`Session::poll_transmit`] and
/// [`Session::poll_event`], then wait for bytes or until [`Session::poll_timeout`].
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    reader: Reader,
    heard_at: Millis,
    stops: [Option<Stop>; 3],
    queue: Queue,
    flight: Flight,
    sockets: [SocketMemory; 16],
    /// Over IP: the number of the next message.
    next_number: u32,
    /// The number of the first message after RESET: cameras differ in whether 0 was spent on RESET itself.
    first_number: u32,
    /// Until then a reply may belong to something that was given up.
    doubtful_until: Millis,
    silent: bool,
    last_ticket: u32,
    events: Deque<Event, EVENTS>,
}

/// When a socket was last heard of: repeated replies are told from new ones by it.
#[derive(Debug, Clone, Copy, Default)]
struct SocketMemory {
    ack: Option<Millis>,
    end: Option<Millis>,
}

impl Session {
    /// A session that begins to look for its camera at once.
    pub fn new(config: Config, now: Millis) -> Self {
        let mut session = Self {
            config,
            link: Link::open(config.dialect, now),
            reader: Reader::default(),
            heard_at: now,
            stops: [None; 3],
            queue: Queue::default(),
            flight: Flight::default(),
            sockets: [SocketMemory::default(); 16],
            next_number: 1,
            first_number: 1,
            doubtful_until: now,
            silent: false,
            last_ticket: 0,
            events: Deque::new(),
        };
        session.doubt(now);
        session
    }

    /// Takes a command or an inquiry. It ends in an [`Event`] with the ticket that is returned.
    ///
    /// A motion replaces older ones of its axes that were not sent yet; a [`Command::Stop`] is sent before anything else.
    ///
    /// # Errors
    /// [`SubmitError::Full`] when too much waits. A stop is always taken.
    pub fn submit(&mut self, now: Millis, request: impl Into<Request>) -> Result<Ticket, SubmitError> {
        let request = request.into();
        if let Some(motion) = request.motion() {
            while let Some(old) = self.queue.take_superseded(motion) {
                self.fail(Some(old.ticket), Failure::Superseded);
            }
        }
        let stop = if let Request::Command(Command::Stop(axis)) = request { Some(axis) } else { None };
        if stop.is_none() && !self.queue.has_room() {
            return Err(SubmitError::Full);
        }
        if let Some(motion) = request.motion() {
            self.flight.supersede(motion);
        }
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let ticket = Ticket(self.last_ticket);
        match stop {
            Some(axis) => self.submit_stop(now, axis, ticket),
            None => self.queue.push(Waiting {
                ticket,
                request,
                until: now.after(self.config.timing.wait_ms),
                not_before: now,
                attempts: 0,
            }),
        }
        Ok(ticket)
    }

    /// A stop that waits for its acknowledgement serves for the newer one too: nothing was set in motion since.
    fn submit_stop(&mut self, now: Millis, axis: Axis, ticket: Ticket) {
        let slot = &mut self.stops[axis.index()];
        let Some(old) = slot.as_mut() else {
            *slot = Some(Stop { ticket, due: now, copies: 0, refusals: 0, encore: Encore::No });
            return;
        };
        let replaced = core::mem::replace(&mut old.ticket, ticket);
        for message in self.flight.iter_mut().filter(|message| message.ticket == Some(replaced)) {
            message.ticket = Some(ticket);
        }
        self.fail(Some(replaced), Failure::Superseded);
    }

    /// Gives up a request: it is not sent, or the camera is told to cancel it. Unknown and ended tickets do no harm; a
    /// stop cannot be cancelled.
    pub fn cancel(&mut self, ticket: Ticket) {
        if self.queue.take(|waiting| waiting.ticket == ticket).is_some() {
            self.fail(Some(ticket), Failure::Cancelled);
            return;
        }
        let Some(message) = self.flight.iter_mut().find(|message| message.ticket == Some(ticket)) else { return };
        if message.stops().is_some() {
            return;
        }
        match &mut message.stage {
            Stage::Executing { cancel: cancel @ Cancel::No, .. } => *cancel = Cancel::Wanted,
            Stage::Executing { .. } => {}
            // Its socket is known when it is accepted.
            Stage::Sent { .. } => message.superseded = true,
        }
    }

    /// What is to be sent next. Call until it returns `None`.
    pub fn poll_transmit(&mut self, now: Millis) -> Option<Transmit> {
        // A camera that has lost count refuses everything but this, a stop too.
        if self.link.resets(now) {
            return self.say_opening(now);
        }
        let due = |stop: &Option<Stop>| stop.is_some_and(|stop| stop.due <= now);
        if let Some(axis) = Axis::ALL.into_iter().find(|axis| due(&self.stops[axis.index()])) {
            return self.say_stop(now, axis);
        }
        if !self.link.is_ready() {
            return self.say_opening(now);
        }
        self.say_again(now).or_else(|| self.say_cancel(now)).or_else(|| self.say_next(now))
    }

    /// Something happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub fn poll_timeout(&self, now: Millis) -> Option<Millis> {
        let stops = self.stops.iter().flatten().map(|stop| stop.due).min();
        let others = [stops, self.link.poll_timeout(), self.queue.poll_timeout(now), self.flight.poll_timeout()];
        others.into_iter().flatten().min()
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        while let Some(late) = self.queue.take(|waiting| waiting.until <= now) {
            self.fail(Some(late.ticket), if late.attempts == 0 { Failure::Expired } else { Failure::NoAck });
        }
        while let Some(at) = self.flight.find(|message| message.until() <= now) {
            self.overdue(now, at);
        }
        self.opening_timeout(now);
    }

    /// Whether the camera answers, as far as is known.
    pub const fn is_ready(&self) -> bool {
        self.link.is_ready()
    }

    /// Whether nothing waits, executes or is to be said.
    pub fn is_idle(&self) -> bool {
        self.is_ready() && self.queue.is_empty() && self.flight.is_empty() && self.stops.iter().all(Option::is_none)
    }

    /// Bytes that belonged to no reply since the start: noise, cut packets, a wrong baud rate.
    pub const fn dropped_bytes(&self) -> u32 {
        self.reader.dropped
    }

    // ---- sending -----------------------------------------------------------------------------------------------

    fn say_stop(&mut self, now: Millis, axis: Axis) -> Option<Transmit> {
        if self.link.is_ready()
            && let Some(cancel) = self.say_socket_free(now, Motion::Stop(axis))
        {
            return Some(cancel);
        }
        let timing = self.config.timing;
        let datagrams = self.config.dialect != Dialect::Serial;
        let overtaken = datagrams && self.flight.iter().any(|message| message.is_sent() && message.moves(axis));
        let stop = self.stops[axis.index()].as_mut()?;
        let ticket = stop.ticket;
        if overtaken && stop.encore == Encore::No {
            stop.encore = Encore::Wanted;
        }
        stop.copies = stop.copies.saturating_add(1);
        let pause = timing.stop_ms << u32::from(stop.copies - 1).min(10);
        stop.due = now.after(pause.min(timing.stop_slowest_ms));
        let unanswered = stop.copies == STOP_COPIES && self.link.is_ready();

        let until = now.after(timing.reply_ms);
        let sent = |message: &Message| message.is_sent() && message.ticket == Some(ticket);
        let earlier = if self.config.dialect == Dialect::Ip { self.flight.find(sent) } else { None };
        let message = if let Some(message) = earlier.and_then(|at| self.flight.get_mut(at)) {
            // The same message again, with the same number.
            if let Stage::Sent { until: deadline, sends, .. } = &mut message.stage {
                *deadline = until;
                *sends = sends.saturating_add(1);
            }
            *message
        } else {
            let message = Message {
                ticket: Some(ticket),
                request: Request::Command(Command::Stop(axis)),
                number: self.take_number(),
                wanted_until: now,
                attempts: 1,
                superseded: false,
                stage: Stage::Sent { until, sends: 1, again: false },
            };
            self.put_on_its_way(now, message);
            message
        };
        let bytes = self.wrap_request(&message);
        if unanswered {
            self.resync(now);
        }
        Some(bytes)
    }

    /// Messages of VISCA over IP that were not answered.
    fn say_again(&mut self, now: Millis) -> Option<Transmit> {
        let until_reply = now.after(self.config.timing.reply_ms);
        let message = self.flight.iter_mut().find_map(|message| match &mut message.stage {
            Stage::Sent { until, sends, again: again @ true } => {
                *again = false;
                *until = until_reply;
                *sends = sends.saturating_add(1);
                Some(*message)
            }
            _ => None,
        })?;
        Some(self.wrap_request(&message))
    }

    fn say_cancel(&mut self, now: Millis) -> Option<Transmit> {
        let at = self.flight.find(|message| {
            matches!(message.stage, Stage::Executing { socket, cancel: Cancel::Wanted, .. } if socket.get() != 0)
        })?;
        self.cancel_message(now, at)
    }

    /// Both sockets are busy: ends what `motion` makes useless.
    fn say_socket_free(&mut self, now: Millis, motion: Motion) -> Option<Transmit> {
        if self.flight.executing() < 2 {
            return None;
        }
        let useless = |message: &Message| {
            matches!(message.stage, Stage::Executing { socket, cancel: Cancel::No | Cancel::Wanted, .. }
                if socket.get() != 0)
                && message.stops().is_none()
                && message.request.motion().is_some_and(|older| motion.supersedes(older))
        };
        let at = self.flight.find(useless)?;
        self.cancel_message(now, at)
    }

    fn cancel_message(&mut self, now: Millis, at: usize) -> Option<Transmit> {
        let deadline = now.after(self.config.timing.reply_ms);
        let Stage::Executing { socket, until, cancel } = &mut self.flight.get_mut(at)?.stage else { return None };
        *cancel = Cancel::Said;
        *until = deadline.min(*until);
        let packet = command::cancel(self.config.address, *socket);
        let number = self.take_number();
        Some(Self::wrap(PayloadType::Command, number, &packet))
    }

    fn say_next(&mut self, now: Millis) -> Option<Transmit> {
        if self.flight.awaits_reply() {
            return None;
        }
        let executing = self.flight.executing();
        if executing >= 2
            && let Some(motion) = self.queue.first_command().and_then(|first| first.request.motion())
            && let Some(cancel) = self.say_socket_free(now, motion)
        {
            return Some(cancel);
        }
        // A motion waits until the stop before it has been heard: a repeated stop would end it.
        let stopping: Vec<Axis, 3> = Axis::ALL.into_iter().filter(|axis| self.stops[axis.index()].is_some()).collect();
        let free = |waiting: &Waiting| match waiting.request.motion() {
            Some(Motion::Start(axes) | Motion::Step(axes)) => stopping.iter().all(|axis| !axes.has(*axis)),
            Some(Motion::Stop(_)) | None => true,
        };
        let next = self.queue.next(now, |waiting| executing < 2 && free(waiting))?;
        let message = Message {
            ticket: Some(next.ticket),
            request: next.request,
            number: self.take_number(),
            wanted_until: next.until,
            attempts: next.attempts.saturating_add(1),
            superseded: false,
            stage: Stage::Sent { until: now.after(self.config.timing.reply_ms), sends: 1, again: false },
        };
        self.put_on_its_way(now, message);
        Some(self.wrap_request(&message))
    }

    fn put_on_its_way(&mut self, now: Millis, message: Message) {
        if let Some(evicted) = self.flight.push(message) {
            self.lost(now, evicted);
        }
    }

    fn wrap_request(&self, message: &Message) -> Transmit {
        let kind = match message.request {
            Request::Command(_) => PayloadType::Command,
            Request::Inquiry(_) => PayloadType::Inquiry,
        };
        Self::wrap(kind, message.number, &message.request.encode(self.config.address))
    }

    fn wrap(payload: PayloadType, number: Option<u32>, packet: &Packet) -> Transmit {
        match number {
            Some(number) => Header { payload, number }.encode(packet),
            // A packet is shorter than a datagram may be.
            None => Transmit::from_slice(packet).unwrap_or_default(),
        }
    }

    fn take_number(&mut self) -> Option<u32> {
        (self.config.dialect == Dialect::Ip).then(|| {
            let number = self.next_number;
            self.next_number = number.wrapping_add(1);
            number
        })
    }

    // ---- what did not come -------------------------------------------------------------------------------------

    /// The deadline of a message has passed.
    fn overdue(&mut self, now: Millis, at: usize) {
        let Some(message) = self.flight.get_mut(at) else { return };
        // A stop has its own clock.
        let repeats = message.number.is_some() && message.stops().is_none() && !message.superseded;
        match &mut message.stage {
            Stage::Sent { until, sends, again } if repeats && *sends < ATTEMPTS && !*again => {
                *again = true;
                // Until it has been sent, which is the next thing that happens.
                *until = now.after(self.config.timing.reply_ms);
            }
            Stage::Sent { .. } => {
                let message = self.flight.remove(at);
                self.doubt(now);
                self.unanswered(now, message);
            }
            Stage::Executing { cancel, .. } => {
                let cancelled = *cancel == Cancel::Said;
                let message = self.flight.remove(at);
                self.doubt(now);
                if message.stops().is_some() || message.superseded && message.command().is_some_and(Command::instant) {
                    // It was accepted, and nothing of it can be left.
                    self.done(message.ticket);
                } else {
                    let failure = if cancelled { Failure::Cancelled } else { Failure::NoCompletion };
                    self.fail(message.ticket, failure);
                }
                // Over IP a socket is known by its command's number; on a line it must be freed.
                if self.config.dialect != Dialect::Ip {
                    self.resync(now);
                }
            }
        }
    }

    fn unanswered(&mut self, now: Millis, message: Message) {
        if message.stops().is_some() {
            // One copy of it; the stop itself goes on.
            return;
        }
        let first_inquiry = matches!(message.request, Request::Inquiry(_)) && message.attempts == 1;
        self.retry(now, message, Failure::NoAck);
        if !first_inquiry || self.config.dialect == Dialect::Ip {
            self.resync(now);
        }
    }

    /// Sends it again if it may be, else it fails.
    fn retry(&mut self, now: Millis, message: Message, failure: Failure) {
        let Some(ticket) = message.ticket else { return };
        let repeatable = message.command().is_none_or(Command::repeatable);
        if message.superseded {
            self.fail(Some(ticket), Failure::Superseded);
        } else if repeatable && message.attempts < ATTEMPTS && message.wanted_until > now {
            self.put_back(message, ticket, now, failure);
        } else {
            self.fail(Some(ticket), failure);
        }
    }

    fn put_back(&mut self, message: Message, ticket: Ticket, not_before: Millis, failure: Failure) {
        let Message { request, wanted_until: until, attempts, .. } = message;
        if self.queue.put_back(Waiting { ticket, request, until, not_before, attempts }).is_err() {
            self.fail(Some(ticket), failure);
        }
    }

    /// Nobody knows what the camera has heard: its buffers are cleared.
    fn resync(&mut self, now: Millis) {
        if self.link.is_ready() {
            self.link = Link::resync(self.config.dialect, now);
        }
        self.forget(now);
    }

    /// Everything on its way is lost.
    fn forget(&mut self, now: Millis) {
        self.doubt(now);
        while let Some(message) = self.flight.pop_first() {
            self.lost(now, message);
        }
    }

    fn lost(&mut self, now: Millis, message: Message) {
        match message.stage {
            // Only a copy: the stop itself is not in flight.
            Stage::Sent { .. } if message.stops().is_some() => {}
            Stage::Sent { .. } => self.retry(now, message, Failure::Forgotten),
            Stage::Executing { .. } if message.stops().is_some() => self.done(message.ticket),
            Stage::Executing { .. } => self.fail(message.ticket, Failure::Forgotten),
        }
    }

    fn doubt(&mut self, now: Millis) {
        self.doubtful_until = now.after(self.config.timing.echo_ms);
    }

    // ---- events ------------------------------------------------------------------------------------------------

    fn done(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.tell(Event::Done(ticket));
        }
    }

    fn fail(&mut self, ticket: Option<Ticket>, failure: Failure) {
        if let Some(ticket) = ticket {
            self.tell(Event::Failed(ticket, failure));
        }
    }

    /// The oldest event is lost when nobody takes them.
    fn tell(&mut self, event: Event) {
        if self.events.is_full() {
            self.events.pop_front();
        }
        // Not full any more.
        let _ = self.events.push_back(event);
    }

    fn answer(&mut self, ticket: Option<Ticket>, inquiry: Inquiry, data: &[u8]) -> bool {
        let Some(information) = inquiry.read(data) else { return false };
        if let Some(ticket) = ticket {
            self.tell(Event::Answer(ticket, information));
        }
        true
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
