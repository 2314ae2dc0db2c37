//! What a reply means: whose it is, and what follows from it.
//!
//! A reply on a line carries a socket at most, so an ACK belongs to the oldest message that waits for one. Over IP it
//! carries its command's number, and one that fits nothing on its way is late or repeated.

use super::super::flight::{Cancel, Message, Stage};
use super::super::{
    Axis, Command, Event, Failure, Header, Motion, PayloadType, Received, Refusal, Reply, Request, Sender, Socket,
};
use super::link::Step;
use super::{ATTEMPTS, Dialect, Encore, STOP_REFUSALS, Session};
use crate::Millis;

/// The control replies of VISCA over IP (SRG-300H, *Control command*).
const RESET_DONE: &[u8] = &[0x01];
const NUMBER_ABNORMAL: &[u8] = &[0x0F, 0x01];
const MESSAGE_ABNORMAL: &[u8] = &[0x0F, 0x02];

/// A packet takes 17 ms at 9,600 bit/s: what stands in the reader for longer than this is no half of one.
const LONGEST_GAP_MS: u64 = 200;

impl Session {
    /// Bytes came from a serial line or a TCP connection, in whatever pieces.
    pub fn handle_bytes(&mut self, now: Millis, bytes: &[u8]) {
        // On a serial line only: a network may deliver the second half of a packet late, but has no noise.
        if self.config.dialect == Dialect::Serial && self.heard_at.after(LONGEST_GAP_MS) < now {
            self.reader.reset();
        }
        self.heard_at = now;
        for byte in bytes {
            if let Some(received) = self.reader.push(*byte) {
                self.handle_reply(now, received, None);
            }
        }
    }

    /// A datagram came. What is no message is dropped.
    pub fn handle_datagram(&mut self, now: Millis, datagram: &[u8]) {
        if self.config.dialect != Dialect::Ip {
            self.handle_bytes(now, datagram);
            self.reader.reset();
            return;
        }
        let Ok((header, payload)) = Header::decode(datagram) else { return };
        match (header.payload, payload) {
            (PayloadType::Reply, packet) => {
                if let Some(received) = Received::decode(packet) {
                    self.handle_reply(now, received, Some(header.number));
                }
            }
            // Cameras differ in which of the two types they send an error with.
            (PayloadType::ControlReply | PayloadType::Control, RESET_DONE) => {
                if matches!(self.link.said(), Some((Step::Reset, _))) {
                    self.opening_answered(now, None);
                }
            }
            (PayloadType::ControlReply | PayloadType::Control, NUMBER_ABNORMAL) => {
                self.number_abnormal(now, header.number);
            }
            (PayloadType::ControlReply | PayloadType::Control, MESSAGE_ABNORMAL) => {
                if let Some(at) = self.by_number(header.number) {
                    self.refused(now, at, Refusal::Message);
                }
            }
            _ => {}
        }
    }

    /// The connection is a new one: half a packet of the old one is worth nothing, and the camera has forgotten us.
    pub fn handle_reconnect(&mut self, now: Millis) {
        self.reader.reset();
        self.resync(now);
    }

    fn handle_reply(&mut self, now: Millis, received: Received, number: Option<u32>) {
        let Received { from, reply } = received;
        // Only a chain has other cameras; where there is one, some makers' replies carry any address.
        let ours = match from {
            Sender::Chain => true,
            Sender::Camera(address) => self.config.dialect != Dialect::Serial || address == self.config.address.get(),
        };
        match reply {
            Reply::NetworkChange => self.network_changed(now),
            Reply::AddressSet(next) => {
                if matches!(self.link.said(), Some((Step::AddressSet, _))) {
                    self.opening_answered(now, Some(next - 1));
                }
            }
            Reply::Cleared => {
                if matches!(self.link.said(), Some((Step::ClearAll, _))) {
                    self.opening_answered(now, None);
                }
            }
            _ if !ours => {}
            reply if self.clears(&reply, number) => self.opening_answered(now, None),
            Reply::Ack(socket) => self.ack(now, socket, number),
            Reply::Completion(socket) => self.completion(now, socket, number),
            Reply::Information(_, data) => self.information(now, &data, number),
            Reply::Error(socket, refusal) => self.error(now, socket, refusal, number),
        }
    }

    /// Whether it answers `IF_Clear`. A camera that does not know the command says so, and is there.
    fn clears(&self, reply: &Reply, number: Option<u32>) -> bool {
        let Some((Step::Clear | Step::ClearAll, said)) = self.link.said() else { return false };
        let kind = match reply {
            Reply::Completion(socket) => socket.get() == 0 || self.link.is_hard(),
            Reply::Error(_, Refusal::Syntax | Refusal::NotExecutable) => !self.flight.awaits_reply(),
            _ => false,
        };
        kind && said == number
    }

    // ---- whose it is -------------------------------------------------------------------------------------------

    fn by_number(&self, number: u32) -> Option<usize> {
        self.flight.find(|message| message.number == Some(number))
    }

    /// The message that an ACK or a refusal belongs to.
    fn waiting(&self, number: Option<u32>, condition: impl Fn(&Message) -> bool) -> Option<usize> {
        self.flight
            .find(|message| message.is_sent() && condition(message) && (number.is_none() || message.number == number))
    }

    fn executing(&self, socket: Socket, number: Option<u32>) -> Option<usize> {
        match number {
            Some(_) => self.flight.find(|message| !message.is_sent() && message.number == number),
            None => self.flight.find(|message| message.executes_in(socket)),
        }
    }

    // ---- replies -----------------------------------------------------------------------------------------------

    fn ack(&mut self, now: Millis, socket: Socket, number: Option<u32>) {
        let memory = &mut self.sockets[usize::from(socket.get())];
        let heard_before = memory.ack.replace(now);
        let head = self.waiting(number, |message| message.command().is_some());
        let Some(head) = head else {
            // Repeated, or of something that was given up.
            self.doubt(now);
            return;
        };
        if let Some(occupant) = self.flight.find(|message| message.executes_in(socket)) {
            let instant = self.flight.get(occupant).and_then(Message::command).is_some_and(Command::instant);
            if number.is_none() && !instant {
                // Said twice: what moves has not ended yet.
                self.doubt(now);
                return;
            }
            // The camera uses the socket again: what was in it has ended, and we were not told.
            let ended = self.flight.remove(occupant);
            self.done(ended.ticket);
            let at = head - usize::from(occupant < head);
            self.accepted(now, at, socket, heard_before, number);
            return;
        }
        self.accepted(now, head, socket, heard_before, number);
    }

    fn accepted(&mut self, now: Millis, at: usize, socket: Socket, heard_before: Option<Millis>, number: Option<u32>) {
        let timing = self.config.timing;
        let echo = heard_before.is_some_and(|before| before.after(timing.echo_ms) > now) || self.doubtful_until > now;
        let Some(message) = self.flight.get_mut(at) else { return };
        let brief = message.command().is_some_and(Command::brief);
        // Cancelled by its owner before its socket was known.
        let cancel = if message.superseded && message.command().is_some_and(|c| !c.instant()) {
            Cancel::Wanted
        } else {
            Cancel::No
        };
        let until = now.after(if brief { timing.brief_ms } else { timing.move_ms });
        message.stage = Stage::Executing { socket, until, cancel };
        let (ticket, stops, motion) = (message.ticket, message.stops(), message.request.motion());
        match stops {
            Some(axis) => self.stop_heard(now, at, axis, number.is_none() && echo),
            None => {
                if let Some(ticket) = ticket {
                    self.tell(Event::Accepted(ticket));
                }
            }
        }
        if let Some(motion) = motion {
            self.end_older(now, at, motion);
        }
    }

    /// What the camera now does instead of it ends soon, if it has not already.
    fn end_older(&mut self, now: Millis, newer: usize, motion: Motion) {
        let soon = now.after(self.config.timing.brief_ms);
        for message in self.flight.iter_mut().take(newer) {
            let useless = message.request.motion().is_some_and(|older| motion.supersedes(older))
                && message.command().is_some_and(Command::instant);
            if let Stage::Executing { until, .. } = &mut message.stage
                && useless
            {
                message.superseded = true;
                *until = soon.min(*until);
            }
        }
    }

    /// A stop was acknowledged. Where that may have been meant for something else it is said once more.
    fn stop_heard(&mut self, now: Millis, at: usize, axis: Axis, doubtful: bool) {
        let stop_ms = self.config.timing.stop_ms;
        let Some(message) = self.flight.get_mut(at) else { return };
        let slot = &mut self.stops[axis.index()];
        let Some(stop) = slot.as_mut().filter(|stop| message.ticket == Some(stop.ticket)) else { return };
        let ticket = stop.ticket;
        match stop.encore {
            Encore::No if doubtful => {
                message.ticket = None;
                stop.encore = Encore::Said;
                stop.due = now;
            }
            Encore::Wanted => {
                message.ticket = None;
                stop.encore = Encore::Said;
                // By then the motion that was under way has arrived, or never will.
                stop.due = now.after(stop_ms);
            }
            Encore::No | Encore::Said => {
                *slot = None;
                // Other copies of it are nobody's.
                self.flight.disown(ticket);
                if let Some(message) = self.flight.get_mut(at) {
                    message.ticket = Some(ticket);
                }
                self.tell(Event::Accepted(ticket));
            }
        }
    }

    fn completion(&mut self, now: Millis, socket: Socket, number: Option<u32>) {
        let memory = &mut self.sockets[usize::from(socket.get())];
        let ended_before = memory.end.replace(now);
        if let Some(at) = self.executing(socket, number) {
            let message = self.flight.remove(at);
            self.done(message.ticket);
            return;
        }
        let repeated = number.is_none() && ended_before.is_some_and(|at| at.after(self.config.timing.echo_ms) > now);
        let head = self.waiting(number, |message| message.command().is_some());
        let (Some(head), false) = (head, repeated) else {
            self.doubt(now);
            return;
        };
        // The ACK was lost.
        self.accepted(now, head, socket, None, number);
        let message = self.flight.remove(head);
        self.done(message.ticket);
    }

    fn information(&mut self, now: Millis, data: &[u8], number: Option<u32>) {
        let asked = self.waiting(number, |message| matches!(message.request, Request::Inquiry(_)));
        let Some(at) = asked else {
            self.doubt(now);
            return;
        };
        let Some((ticket, Request::Inquiry(inquiry))) =
            self.flight.get(at).map(|message| (message.ticket, message.request))
        else {
            return;
        };
        if self.answer(ticket, inquiry, data) {
            self.flight.remove(at);
        } else {
            // The late answer to an earlier question.
            self.doubt(now);
        }
    }

    fn error(&mut self, now: Millis, socket: Socket, refusal: Refusal, number: Option<u32>) {
        if matches!(refusal, Refusal::Cancelled | Refusal::NoSocket) {
            // Over IP it may carry the number of the cancel: the socket says what it means.
            let cancelled = self.flight.find(|message| message.executes_in(socket));
            if let Some(message) = cancelled.map(|at| self.flight.remove(at)) {
                match refusal {
                    // Nothing to cancel: it had ended, and we were not told.
                    Refusal::NoSocket => self.done(message.ticket),
                    _ => self.fail(message.ticket, Failure::Cancelled),
                }
            }
            return;
        }
        let head = self.waiting(number, |_| true);
        let occupant = self.executing(socket, number);
        let instant = |at: usize| self.flight.get(at).and_then(Message::command).is_some_and(Command::instant);
        let meant = match (occupant, head) {
            // A new command is not refused in the name of a socket that is busy.
            (Some(occupant), Some(_)) if socket.get() != 0 && !instant(occupant) => Some(occupant),
            (occupant, head) => head.or(occupant),
        };
        match meant {
            Some(at) => self.refused(now, at, refusal),
            None => self.doubt(now),
        }
    }

    /// The camera says no to a message.
    fn refused(&mut self, now: Millis, at: usize, refusal: Refusal) {
        let timing = self.config.timing;
        let message = self.flight.remove(at);
        if let Some(axis) = message.stops() {
            self.stop_refused(now, axis, &message, refusal);
            return;
        }
        let Some(ticket) = message.ticket else { return };
        let pause = timing.full_ms << u32::from(message.attempts - 1).min(4);
        let again = now.after(pause);
        if refusal == Refusal::BufferFull && message.is_sent() {
            if message.superseded {
                self.fail(Some(ticket), Failure::Superseded);
            } else if again < message.wanted_until {
                self.put_back(message, ticket, again, Failure::Refused(refusal));
            } else {
                self.fail(Some(ticket), Failure::Refused(refusal));
            }
            return;
        }
        self.fail(Some(ticket), Failure::Refused(refusal));
    }

    fn stop_refused(&mut self, now: Millis, axis: Axis, message: &Message, refusal: Refusal) {
        let timing = self.config.timing;
        let slot = &mut self.stops[axis.index()];
        let Some(stop) = slot.as_mut().filter(|stop| message.ticket == Some(stop.ticket)) else { return };
        let ticket = stop.ticket;
        // It answers: nothing to look for.
        stop.copies = stop.copies.min(super::STOP_COPIES - 2);
        if refusal == Refusal::BufferFull {
            // What it would end anyway makes room for it.
            for other in self.flight.iter_mut().filter(|other| other.moves(axis)) {
                if let Stage::Executing { cancel: cancel @ Cancel::No, .. } = &mut other.stage {
                    *cancel = Cancel::Wanted;
                }
            }
            let pause = timing.full_ms << u32::from(stop.copies.saturating_sub(1)).min(4);
            stop.due = now.after(pause.min(timing.stop_slowest_ms));
            return;
        }
        stop.refusals += 1;
        if stop.refusals >= STOP_REFUSALS {
            *slot = None;
            self.flight.disown(ticket);
            self.fail(Some(ticket), Failure::Refused(refusal));
        } else {
            stop.due = now.after(timing.full_ms);
        }
    }

    // ---- numbers -----------------------------------------------------------------------------------------------

    /// The camera does not like a number (SRG-300H, *Delivery confirmation*): it has had it already, or it counts from
    /// elsewhere, because it was started again or somebody else talks to it.
    fn number_abnormal(&mut self, now: Millis, number: u32) {
        let Some(at) = self.by_number(number).filter(|at| self.flight.get(*at).is_some_and(Message::is_sent)) else {
            if matches!(self.link.said(), Some((Step::Clear, said)) if said == Some(number)) {
                self.count_from_other_end(number);
                self.link = super::Link::resync(self.config.dialect, now.after(self.config.timing.full_ms));
            }
            return;
        };
        let Some(message) = self.flight.get(at).copied() else { return };
        let Stage::Sent { sends, .. } = message.stage else { return };
        match (message.request, message.stops()) {
            (Request::Command(command), None) if sends > 1 => {
                // It has been performed, and its ACK was lost. Its completion may still come.
                let soon = if command.instant() { self.config.timing.reply_ms } else { self.config.timing.move_ms };
                let socket = Socket::from_reply(0);
                if let Some(message) = self.flight.get_mut(at) {
                    message.stage = Stage::Executing { socket, until: now.after(soon), cancel: Cancel::No };
                    // What is instant and performed is done when nothing more is heard.
                    message.superseded |= command.instant();
                }
                if let Some(ticket) = message.ticket {
                    self.tell(Event::Accepted(ticket));
                }
            }
            (Request::Inquiry(_), _) if sends > 1 && message.attempts < ATTEMPTS => {
                // The answer was lost: asked again, with a new number.
                let message = self.flight.remove(at);
                self.retry(now, message, Failure::NoAck);
            }
            (_, Some(axis)) if sends > 1 => {
                // Performed as well, it seems; said again with a new number, because a stop is not left to seeming.
                self.flight.remove(at);
                if let Some(stop) = self.stops[axis.index()].as_mut() {
                    stop.due = now;
                }
            }
            _ => {
                self.count_from_other_end(number);
                if let Some(axis) = message.stops()
                    && let Some(stop) = self.stops[axis.index()].as_mut()
                {
                    stop.due = now.after(self.config.timing.full_ms);
                }
                self.resync(now);
            }
        }
    }

    fn count_from_other_end(&mut self, refused: u32) {
        if refused == self.first_number {
            self.first_number ^= 1;
        }
    }
}
