//! The access units of all programs in one line, so that whoever changes programs does so between two frames: the last
//! one of the old program is through before the first one of the new is, and none is missing or comes twice.

use std::collections::{BTreeMap, VecDeque};

use bridgepoint_wire::local::{Program, Routes};
use bridgepoint_wire::media::AccessUnit;

/// Units that wait for an encoder that does not deliver: half a second of two programs. Then the change is made without it.
const MOST_HELD: usize = 25;

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Routed {
    /// From here on, these get those.
    Routes(Routes),
    /// A program's next unit.
    Unit {
        /// Which program's.
        program: Program,
        /// The unit.
        unit: AccessUnit,
        /// It is to be recorded.
        recorded: bool,
    },
}

struct Change {
    at: u64,
    routes: Routes,
    /// The last ticks before `at` that each encoder was given.
    after: BTreeMap<Program, u64>,
}

/// See the file's text.
#[derive(Default)]
pub struct Routing {
    recorded: Program,
    /// A key frame of the recorded program came since it is the recorded one: the record begins with it.
    decodable: bool,
    changes: VecDeque<Change>,
    newest: BTreeMap<Program, u64>,
    held: VecDeque<(Program, AccessUnit)>,
    ready: VecDeque<Routed>,
}

impl Routing {
    /// From the frame with ticks `at` on, others get other programs. `after`: the last ticks before that, as each encoder
    /// was given them.
    pub fn handle_change(&mut self, at: u64, routes: Routes, after: BTreeMap<Program, u64>) {
        self.changes.push_back(Change { at, routes, after });
        self.settle();
    }

    /// A program's encoder has made this.
    pub fn handle_unit(&mut self, program: Program, unit: AccessUnit) {
        self.newest.insert(program, unit.ticks);
        self.pass(program, unit);
        self.settle();
    }

    /// What is next.
    pub fn poll(&mut self) -> Option<Routed> {
        self.ready.pop_front()
    }

    fn pass(&mut self, program: Program, unit: AccessUnit) {
        if self.changes.front().is_some_and(|change| unit.ticks >= change.at) {
            self.held.push_back((program, unit));
            return;
        }
        let recorded = program == self.recorded && (self.decodable || unit.key);
        self.decodable |= recorded;
        self.ready.push_back(Routed::Unit { program, unit, recorded });
    }

    fn settle(&mut self) {
        while let Some(change) = self.changes.pop_front_if(|change| {
            let came = |(program, last)| self.newest.get(program).is_some_and(|newest| newest >= last);
            self.held.len() >= MOST_HELD || change.after.iter().all(came)
        }) {
            if change.routes.recorded != self.recorded {
                (self.recorded, self.decodable) = (change.routes.recorded, false);
            }
            self.ready.push_back(Routed::Routes(change.routes));
            for (program, unit) in std::mem::take(&mut self.held) {
                self.pass(program, unit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Program::{Main, Officials};

    fn unit(ticks: u64, key: bool) -> AccessUnit {
        AccessUnit { ticks, key, data: Vec::new().into() }
    }

    /// What comes out, in short: `m3*` is a recorded unit of the main program, `>` a change.
    fn all(routing: &mut Routing) -> String {
        let mut said = Vec::new();
        while let Some(routed) = routing.poll() {
            said.push(match routed {
                Routed::Routes(routes) => format!(">{}", routes.recorded),
                Routed::Unit { program, unit, recorded } => {
                    format!("{}{}{}", &program.name()[..1], unit.ticks, if recorded { "*" } else { "" })
                }
            });
        }
        said.join(" ")
    }

    #[test]
    fn a_change_is_between_two_frames_whichever_encoder_is_slower() {
        for slow in [Main, Officials] {
            let mut routing = Routing::default();
            routing.handle_unit(Main, unit(1, true));
            routing.handle_unit(Officials, unit(1, true));
            assert_eq!(all(&mut routing), "m1* o1");
            let routes = Routes { recorded: Officials, ..Routes::default() };
            routing.handle_change(3, routes, [(Main, 2), (Officials, 2)].into());
            let fast = if slow == Main { Officials } else { Main };
            for ticks in 2..5 {
                routing.handle_unit(fast, unit(ticks, ticks == 3));
            }
            assert!(!all(&mut routing).contains('>'), "{slow} was not waited for");
            routing.handle_unit(slow, unit(2, false));
            for ticks in 3..5 {
                routing.handle_unit(slow, unit(ticks, ticks == 3));
            }
            let said = all(&mut routing);
            let (before, after) = said.split_once(">officials ").unwrap();
            assert!(!before.contains(['3', '4']), "{said}");
            assert!(after.contains("o3*") && after.contains("o4*") && !after.contains("m3*"), "{said}");
        }
    }

    #[test]
    fn the_record_of_another_program_begins_with_its_key_frame() {
        let mut routing = Routing::default();
        routing.handle_change(0, Routes { recorded: Officials, ..Routes::default() }, BTreeMap::new());
        for ticks in 0..3 {
            routing.handle_unit(Officials, unit(ticks, ticks == 1));
        }
        assert_eq!(all(&mut routing), ">officials o0 o1* o2*");
    }

    #[test]
    fn an_encoder_that_died_before_a_change_holds_it_up_for_a_while_only() {
        let mut routing = Routing::default();
        routing.handle_change(1, Routes::default(), [(Main, 0), (Officials, 0)].into());
        for ticks in 0..MOST_HELD as u64 {
            routing.handle_unit(Main, unit(ticks, ticks == 0));
        }
        assert_eq!(all(&mut routing), "m0*");
        routing.handle_unit(Main, unit(MOST_HELD as u64, false));
        assert!(all(&mut routing).starts_with(">main m1* m2*"));
    }
}
