//! A technician is at work at a box that has its identity: the later steps, and the report.

use agent_core::commissioning::Key;
use agent_core::screen::Screen;
use bridgepoint_panel::{Press, Showing};
use bridgepoint_wire::command::Join;
use bridgepoint_wire::event::{CommandRefusal, Event};
use bridgepoint_wire::local::ToMedia;
use bridgepoint_wire::trial::{Found, Trial};
use tokio::time::Instant;

use super::Agent;
use crate::senses::Sense;
use crate::wizard::{Installation, Marker, Wish};

/// What a technician types, and Enter, when the box is to be another site's.
const MOVE: &str = "MOVE";

/// An installation, and what of it is under way here.
pub(super) struct Installing {
    core: Installation,
    /// Told to a child that becomes ready.
    trial: Option<(u32, Trial)>,
    /// The report's number in the outbox.
    report: Option<u64>,
}

impl Installing {
    pub(super) const fn new(core: Installation) -> Self {
        Self { core, trial: None, report: None }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.core.poll_timeout()
    }

    pub(super) fn screen(&self) -> Screen {
        self.core.screen()
    }

    pub(super) const fn showing(&self) -> Showing {
        self.core.showing()
    }
}

impl Agent {
    /// Keyboard, stick, network.
    pub(super) fn handle_sense(&mut self, sense: Sense) {
        if let Sense::Fact(fact) = &sense {
            self.network.handle(fact);
        }
        match (&mut self.installing, sense) {
            (Some(installing), sense) => installing.core.handle_sense(sense),
            (None, Sense::Key(key)) => self.handle_key(key),
            (None, _) => {}
        }
    }

    /// At an installed box a keyboard has one use, and a cat on it none.
    fn handle_key(&mut self, key: Key) {
        match key {
            Key::Char(typed) if self.typed.len() < MOVE.len() => self.typed.push(typed.to_ascii_uppercase()),
            Key::Enter if self.typed == MOVE && self.session.running().is_none() => {
                self.typed.clear();
                self.begin_move();
            }
            Key::Char(_) | Key::Backspace | Key::Enter | Key::Escape => self.typed.clear(),
        }
    }

    /// A technician at an installed box: it is to be another site's.
    fn begin_move(&mut self) {
        match Installation::of_move(&self.config, self.site().clone(), self.answers.clone()) {
            Ok(mut core) => {
                // What is known is not told again.
                self.network.facts().for_each(|fact| core.handle_sense(Sense::Fact(fact)));
                self.installing = Some(Installing::new(core));
            }
            Err(ending) => tracing::error!("{ending}"),
        }
    }

    /// The button: in a session it is the session's, whoever is at work.
    pub(super) fn handle_press(&mut self, press: Press) {
        tracing::info!(?press, "button");
        match &mut self.installing {
            Some(installing) if self.session.running().is_none() => installing.core.handle_press(press),
            Some(_) | None => {
                let now = self.now();
                self.session.handle_press(now, press);
            }
        }
    }

    /// Carries out what the installation wants.
    pub(super) fn settle_installation(&mut self) {
        let Some(installing) = &mut self.installing else { return };
        installing.core.handle_timeout();
        if installing.core.is_cancelled() {
            tracing::info!("the box stays where it is");
            self.carry(Wish::Stop);
            Marker::clear(&self.config.data_dir);
            self.installing = None;
            return;
        }
        if installing.core.is_over() {
            tracing::info!("the installation is over");
            self.installing = None;
            return;
        }
        while let Some(wish) = self.installing.as_mut().and_then(|installing| installing.core.poll_wish()) {
            self.carry(wish);
        }
    }

    fn carry(&mut self, wish: Wish) {
        let Some(installing) = &mut self.installing else { return };
        match wish {
            Wish::Try(attempt, trial) => {
                installing.trial = Some((attempt.0, trial));
                self.tell_trial();
            }
            Wish::Stop => {
                if installing.trial.take().is_some() && self.supervisor.is_ready() {
                    self.tell(ToMedia::StopTrying);
                }
            }
            Wish::TestCall => self.say(Event::TestCallWanted),
            Wish::Report(report) => {
                let said = self.say_numbered(Event::Commissioned(report));
                if let (Some(installing), Some(_)) = (&mut self.installing, said) {
                    installing.report = said;
                    Marker::clear(&self.config.data_dir);
                }
            }
            // It has another one: this process ends as who it was.
            Wish::Enrolled => self.reborn = true,
        }
    }

    /// What is to be tried, to a child that can.
    pub(super) fn tell_trial(&mut self) {
        let wanted = self.installing.as_ref().and_then(|installing| installing.trial.clone());
        if let Some((attempt, trial)) = wanted.filter(|_| self.supervisor.is_ready()) {
            self.tell(ToMedia::Try { attempt, trial });
        }
    }

    pub(super) fn handle_tried(&mut self, attempt: u32, found: Found) {
        if self.handle_sound_tested(attempt, &found) {
            return;
        }
        let Some(installing) = &mut self.installing else { return };
        installing.trial.take_if(|(wanted, _)| *wanted == attempt);
        installing.core.handle_found(attempt, found);
    }

    pub(super) fn handle_code_seen(&mut self, text: String) {
        if let Some(installing) = &mut self.installing {
            installing.core.handle_code(text);
        }
    }

    /// The centre's echo listens.
    pub(super) fn handle_test_call(&mut self, order: Box<Join>) -> Result<(), CommandRefusal> {
        let wish = self.installing.as_mut().and_then(|installing| installing.core.handle_order(order));
        let wish = wish.ok_or(CommandRefusal::NotNow)?;
        self.carry(wish);
        Ok(())
    }

    /// The centre has stored all events up to this one.
    pub(super) fn handle_stored(&mut self, through: u64) {
        if let Some(installing) = &mut self.installing
            && installing.report.take_if(|report| *report <= through).is_some()
        {
            installing.core.handle_stored();
        }
    }

    /// Events have other numbers now, the last one that before `end`: the report is among them.
    pub(super) fn handle_renumbered(&mut self, end: u64) {
        if let Some(report) = self.installing.as_mut().and_then(|installing| installing.report.as_mut()) {
            *report = end.saturating_sub(1);
        }
    }
}
