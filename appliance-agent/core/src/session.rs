//! The session as one box lives it: what presses and orders mean now.

use std::collections::{BTreeSet, VecDeque};

use bridgepoint_panel::{Press, REFUSAL_MS, Showing};
use bridgepoint_wire::camera::CameraRefusal;
use bridgepoint_wire::command::{Join, Order};
use bridgepoint_wire::event::{CommandRefusal, Event, MutedBy, PressRefusal};
use bridgepoint_wire::{SessionId, SiteCode};
use serde::{Deserialize, Serialize};

use crate::{Millis, earlier};

/// What the shell has to carry out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Put this event into the outbox.
    Say(Event),
    /// Tell the media child to join [`Session::running`]. A child that is not there is told when it is ready.
    Join,
    /// Tell the media child to leave.
    Leave,
    /// Tell the media child to mute or open the microphone.
    Mute(bool),
    /// Tell the media child what the screen shows about the record.
    Tally(bool),
    /// Report health now.
    ReportHealth,
}

/// A session that this box takes part in: all that a restarted agent needs to come back into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The centre's order.
    pub join: Box<Join>,
    /// The microphone is muted.
    pub muted: bool,
    /// What the centre said last about the record.
    pub on_record: bool,
}

/// Whether messages to and from the centre pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centre {
    /// They pass.
    Reachable,
    /// They wait.
    Away,
}

/// The box's part in sessions. One at a time.
#[derive(Debug)]
pub struct Session {
    site: SiteCode,
    calls: Vec<SiteCode>,
    centre: Centre,
    state: State,
    /// A session that is left; its files are being closed.
    closing: Option<Closing>,
    refused_until: Option<Millis>,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
enum State {
    Idle,
    /// The call is on its way to the centre.
    Calling {
        until: Millis,
    },
    Part(Part),
}

#[derive(Debug)]
struct Part {
    running: Running,
    role: Role,
    /// The session's `Joined` is said.
    joined: bool,
    /// Files of which `Recording` is said.
    files: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Caller,
    Guest,
}

#[derive(Debug)]
struct Closing {
    session: SessionId,
    until: Millis,
}

impl Session {
    /// A call that the centre has not answered for this long has failed.
    pub const CALL_MS: u64 = 10_000;
    /// Files are closed within this time, or the box says that it has left anyway.
    pub const CLOSING_MS: u64 = 8_000;

    /// A box at `site`, in no session, or back in the one that it was in before a restart.
    pub fn new(site: SiteCode, running: Option<Running>) -> Self {
        let state = match running {
            None => State::Idle,
            Some(running) => State::Part(Part::new(&site, running)),
        };
        let mut actions = VecDeque::new();
        if matches!(state, State::Part(_)) {
            actions.push_back(Action::Join);
        }
        Self { site, calls: Vec::new(), centre: Centre::Away, state, closing: None, refused_until: None, actions }
    }

    /// The twin says where the box stands and whom it calls.
    pub fn handle_twin(&mut self, site: SiteCode, calls: Vec<SiteCode>) {
        self.site = site;
        self.calls = calls;
        if let State::Part(part) = &mut self.state {
            part.role = Role::of(&self.site, &part.running.join);
        }
    }

    /// The connection to the centre came or went. A running session does not care.
    pub fn handle_centre(&mut self, centre: Centre) {
        self.centre = centre;
    }

    /// The button was pressed.
    pub fn handle_press(&mut self, now: Millis, press: Press) {
        match (&mut self.state, press) {
            (State::Idle, Press::Long) => self.call(now),
            (State::Calling { .. }, Press::Long) => self.refuse(now, PressRefusal::CallUnderWay),
            (State::Part(part), Press::Long) => match part.role {
                Role::Caller => {
                    let session = part.running.join.session.clone();
                    self.say(Event::EndRequested { session });
                }
                Role::Guest => self.refuse(now, PressRefusal::NotTheCaller),
            },
            (State::Idle | State::Calling { .. }, Press::Short) => self.refuse(now, PressRefusal::NoSession),
            (State::Part(part), Press::Short) => {
                let on = !part.running.muted;
                self.mute(on, MutedBy::Button);
            }
        }
    }

    fn call(&mut self, now: Millis) {
        match self.centre {
            Centre::Away => self.refuse(now, PressRefusal::NoCentre),
            Centre::Reachable if self.calls.is_empty() => self.refuse(now, PressRefusal::NobodyToCall),
            Centre::Reachable => {
                self.say(Event::CallRequested { sites: self.calls.clone() });
                self.state = State::Calling { until: now.after(Self::CALL_MS) };
            }
        }
    }

    fn refuse(&mut self, now: Millis, reason: PressRefusal) {
        self.refused_until = Some(now.after(REFUSAL_MS));
        self.say(Event::PressRefused { reason });
    }

    fn say(&mut self, event: Event) {
        self.actions.push_back(Action::Say(event));
    }

    fn mute(&mut self, on: bool, by: MutedBy) {
        let State::Part(part) = &mut self.state else { return };
        if part.running.muted == on {
            return;
        }
        part.running.muted = on;
        self.actions.push_back(Action::Mute(on));
        self.say(Event::Muted { on, by });
    }

    /// An order that passed the gate.
    ///
    /// # Errors
    /// [`CommandRefusal::NotNow`] when it does not fit the present state.
    pub fn handle_order(&mut self, now: Millis, order: Order) -> Result<(), CommandRefusal> {
        match order {
            Order::Join(join) => {
                self.join(now, join);
                Ok(())
            }
            Order::Leave { session } => {
                self.part_of(&session)?;
                self.leave(now);
                Ok(())
            }
            Order::Tally { session, on_record } => {
                let part = self.part_of(&session)?;
                if part.running.on_record != on_record {
                    part.running.on_record = on_record;
                    self.actions.push_back(Action::Tally(on_record));
                }
                Ok(())
            }
            Order::Mute { on } => match self.state {
                State::Part(_) => {
                    self.mute(on, MutedBy::Centre);
                    Ok(())
                }
                State::Idle | State::Calling { .. } => Err(CommandRefusal::NotNow),
            },
            Order::CallRefused { reason } => match self.state {
                State::Calling { .. } => {
                    self.state = State::Idle;
                    self.refuse(now, reason);
                    Ok(())
                }
                State::Idle | State::Part(_) => Err(CommandRefusal::NotNow),
            },
            Order::ReportHealth => {
                self.actions.push_back(Action::ReportHealth);
                Ok(())
            }
            // Not a session's: the shell carries these out, or gives them to other cores.
            Order::TestCall(_) | Order::TestSound { .. } | Order::Update(_) => Err(CommandRefusal::NotNow),
            // The shell gives these to the camera's core; one that comes here is for a box that has none.
            Order::Camera(_) => Err(CommandRefusal::Camera(CameraRefusal::NoCamera)),
        }
    }

    fn part_of(&mut self, session: &SessionId) -> Result<&mut Part, CommandRefusal> {
        match &mut self.state {
            State::Part(part) if part.running.join.session == *session => Ok(part),
            State::Part(_) | State::Idle | State::Calling { .. } => Err(CommandRefusal::NotNow),
        }
    }

    /// The centre decides in which session a box is: a new one replaces one that it never ended for this box.
    fn join(&mut self, now: Millis, join: Box<Join>) {
        let mut muted = false;
        let mut on_record = false;
        if let State::Part(part) = &self.state {
            if part.running.join == join {
                return;
            }
            if part.running.join.session == join.session {
                // The same session with other addresses or keys: the old connection is of no use, the rest stays.
                muted = part.running.muted;
                on_record = part.running.on_record;
                self.actions.push_back(Action::Leave);
            } else {
                self.leave(now);
            }
        }
        self.state = State::Part(Part::new(&self.site, Running { join, muted, on_record }));
        self.actions.push_back(Action::Join);
        if on_record {
            self.actions.push_back(Action::Tally(true));
        }
    }

    fn leave(&mut self, now: Millis) {
        let State::Part(part) = std::mem::replace(&mut self.state, State::Idle) else { return };
        self.say_left();
        self.closing = Some(Closing { session: part.running.join.session, until: now.after(Self::CLOSING_MS) });
        self.actions.push_back(Action::Leave);
    }

    fn say_left(&mut self) {
        if let Some(Closing { session, .. }) = self.closing.take() {
            self.say(Event::Left { session });
        }
    }

    /// The media child has captured its first picture and sound.
    pub fn handle_capturing(&mut self, session: &SessionId) {
        if let Ok(part) = self.part_of(session)
            && !std::mem::replace(&mut part.joined, true)
        {
            self.say(Event::Joined { session: session.clone() });
        }
    }

    /// The box's own recorder has confirmed a fragment of this file.
    pub fn handle_fragment(&mut self, file: &str) {
        if let State::Part(part) = &mut self.state
            && !part.files.contains(file)
        {
            part.files.insert(file.to_owned());
            let session = part.running.join.session.clone();
            self.say(Event::Recording { session, file: file.to_owned() });
        }
    }

    /// The media child has closed a session's files.
    pub fn handle_left(&mut self, session: &SessionId) {
        if self.closing.as_ref().is_some_and(|closing| closing.session == *session) {
            self.say_left();
        }
    }

    /// The media child is gone: it closes no files any more.
    pub fn handle_media_lost(&mut self) {
        self.say_left();
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let calling = match self.state {
            State::Calling { until } => Some(until),
            State::Idle | State::Part(_) => None,
        };
        let closing = self.closing.as_ref().map(|closing| closing.until);
        earlier(earlier(calling, closing), self.refused_until)
    }

    /// Time passed. Harmless when called early.
    pub fn handle_timeout(&mut self, now: Millis) {
        if self.refused_until.is_some_and(|until| now >= until) {
            self.refused_until = None;
        }
        if self.closing.as_ref().is_some_and(|closing| now >= closing.until) {
            self.say_left();
        }
        if matches!(self.state, State::Calling { until } if now >= until) {
            self.state = State::Idle;
            self.refuse(now, PressRefusal::NoCentre);
        }
    }

    /// The next thing to carry out.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The session that the box takes part in.
    pub const fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Part(part) => Some(&part.running),
            State::Idle | State::Calling { .. } => None,
        }
    }

    /// What the panel shows, and whether it shows a refused press.
    pub fn showing(&self) -> (Showing, bool) {
        let showing = match &self.state {
            State::Idle => match self.centre {
                Centre::Reachable => Showing::Ready,
                Centre::Away => Showing::Alone,
            },
            State::Calling { .. } => Showing::Calling,
            State::Part(Part { running, .. }) => {
                Showing::Session { on_record: running.on_record, muted: running.muted }
            }
        };
        (showing, self.refused_until.is_some())
    }
}

impl Part {
    fn new(site: &SiteCode, running: Running) -> Self {
        Self { role: Role::of(site, &running.join), running, joined: false, files: BTreeSet::new() }
    }
}

impl Role {
    fn of(site: &SiteCode, join: &Join) -> Self {
        if join.caller == *site { Self::Caller } else { Self::Guest }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
