//! What a person at the box sees: lamps and screen.

use agent_core::commissioning::Fault;
use agent_core::panel_update::Occupation;
use agent_core::screen::Idle;
use bridgepoint_panel::{Showing, lamps};
use bridgepoint_wire::event::Event;
use bridgepoint_wire::local::ToMedia;
use bridgepoint_wire::text::Text;

use super::Agent;
use crate::panel::Face;
use crate::{mqtt, wall_ms};

/// What the panel is given for a state of the session.
const fn face(showing: Showing, refused: bool) -> Face {
    let occupation = match showing {
        Showing::Alone | Showing::Ready => Occupation::Idle,
        Showing::Calling | Showing::Session { .. } => Occupation::Busy,
    };
    Face { lamps: lamps(showing, refused), occupation }
}

impl Agent {
    /// Lamps and screen as everything is now.
    pub(super) fn show(&mut self) {
        let (mut showing, refused) = self.session.showing();
        // A box that is being put up is not ready, whatever its connection says; a session is none the less shown.
        if let (Some(installing), Showing::Alone | Showing::Ready) = (&self.installing, showing) {
            showing = installing.showing();
        }
        self.face.send_if_modified(|shown| {
            let wanted = face(showing, refused);
            let changed = *shown != wanted;
            *shown = wanted;
            changed
        });
        if !self.glass.is_there() {
            return;
        }
        let screen = match &self.installing {
            Some(installing) if self.session.running().is_none() => installing.screen(),
            Some(_) | None => self.screens.screen(&self.idle(showing), self.fault().as_ref()),
        };
        self.glass.show(screen);
    }

    /// A press that means nothing is answered by the screen and the loudspeaker, too.
    pub(super) fn show_refusal(&mut self, event: &Event) {
        if let Event::PressRefused { reason } = event {
            let now = self.now();
            self.screens.handle_refused(now, *reason);
            self.tell(ToMedia::Refused(*reason));
        }
    }

    fn idle(&self, showing: Showing) -> Idle {
        let name = self.twin.good().map_or_else(|| self.identity.site.to_string(), |twin| twin.name.clone());
        Idle {
            name,
            site: self.site().clone(),
            appliance: self.identity.appliance.clone(),
            next: self.twin.good().and_then(|twin| twin.next(wall_ms())).cloned(),
            showing,
        }
    }

    /// What is wrong, if a person in the room can do something about it.
    fn fault(&self) -> Option<Fault> {
        if self.network.cable_out() {
            return Some(Fault::CableOut);
        }
        if !self.supervisor.is_ready()
            && self.last_fault.as_ref().is_some_and(|(text, _)| text == Text::CameraMissing.name())
        {
            return Some(Fault::CameraMissing);
        }
        match self.down_said.as_ref().filter(|_| !self.uplink.is_up())? {
            mqtt::Fault::Foreign(_) => Some(Fault::CentreForeign),
            mqtt::Fault::Refused(_) => Some(Fault::CentreSilent),
        }
    }
}
