//! The programs' encoders, and where their access units go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bridgepoint_link::raise_priority;
use bridgepoint_record::{Recorder, Stream};
use bridgepoint_wire::command::VideoOrder;
use bridgepoint_wire::local::{Program, Routes};
use bridgepoint_wire::text::Text;
use server_core::{Routed, Routing};
use server_media::{EncoderEvent, MediaError, ProgramEncoder};

use super::conference::fault;
use super::line;
use super::slot::LinkSlot;

/// An encoder for each program that somebody gets.
pub type Encoders = BTreeMap<Program, Arc<ProgramEncoder>>;

/// Where access units go. Used by every encoder's thread.
pub struct Outlet {
    link: LinkSlot,
    recorder: Arc<Recorder>,
    line: line::Sender,
    routing: Mutex<Routing>,
}

impl Outlet {
    /// To that link and that record.
    pub fn new(link: LinkSlot, recorder: Arc<Recorder>, line: line::Sender) -> Self {
        Self { link, recorder, line, routing: Mutex::default() }
    }

    /// From the frame with ticks `at` on, others get other programs; `after`: the last ticks before that, as each encoder
    /// was given them.
    pub fn change(&self, at: u64, routes: Routes, after: BTreeMap<Program, u64>) {
        self.pass(|routing| routing.handle_change(at, routes, after));
    }

    fn pass(&self, input: impl FnOnce(&mut Routing)) {
        // Held until all is passed on: the order is the point. Neither link nor recorder makes its caller wait.
        let mut routing = self.routing.lock().unwrap_or_else(PoisonError::into_inner);
        input(&mut routing);
        while let Some(routed) = routing.poll() {
            match routed {
                Routed::Routes(routes) => self.link.with(|link| link.route(routes)),
                Routed::Unit { program, unit, recorded } => {
                    self.link.with(|link| link.send_program(program, unit.clone()));
                    if recorded {
                        self.recorder.video(&Stream::Program, unit);
                    }
                }
            }
        }
    }

    fn handle(&self, program: Program, event: EncoderEvent) {
        match event {
            EncoderEvent::Unit(unit) => self.pass(|routing| routing.handle_unit(program, unit)),
            EncoderEvent::Failed(error) => {
                tracing::error!(%error, %program, "a program's encoder was started anew");
                self.line.say(fault(Text::EncoderStalled, [error.to_string()]));
            }
        }
    }
}

/// Starts an encoder for each of `programs`; those of `before` go on.
pub fn encoders(
    order: VideoOrder,
    outlet: &Arc<Outlet>,
    programs: impl IntoIterator<Item = Program>,
    before: &Encoders,
) -> Result<Encoders, MediaError> {
    let start = |program: Program| {
        if let Some(running) = before.get(&program) {
            return Ok((program, Arc::clone(running)));
        }
        let outlet = Arc::clone(outlet);
        let events = move |event| outlet.handle(program, event);
        Ok((program, Arc::new(ProgramEncoder::start(order, raise_priority, events)?)))
    };
    programs.into_iter().map(start).collect()
}
