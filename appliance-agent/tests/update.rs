//! Updates with the real RAUC: bundles, slots and boot loader are files, the machine's restart is the test's.
//!
//! RAUC mounts a bundle by a loop device, so this needs root. A *plain* bundle stands in for the verity bundles that
//! boxes take: those need the device mapper, which is tried in the QEMU guest.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;
mod slots;

use bridgepoint_wire::event::Event;
use bridgepoint_wire::update::{UpdateEnd, UpdateFault};
use centre::{Agent, Centre, until};
use nix::sys::signal::Signal;
use slots::Machine;

fn started(centre: &mut Centre) {
    centre.event_until("Started", |event| matches!(event, Event::Started { .. }));
}

fn ended(centre: &mut Centre) -> UpdateEnd {
    let mut end = None;
    centre.event_until("the update's end", |event| match event {
        Event::Updated { end: said, .. } => {
            end = Some(*said);
            true
        }
        _ => false,
    });
    end.unwrap()
}

fn kill(agent: Agent) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(agent.0.id() as i32), Signal::SIGKILL).unwrap();
    drop(agent);
}

#[test]
fn a_new_system_is_fetched_installed_tried_kept_and_said_to_be_new() {
    let mut centre = Centre::new();
    let mut machine = Machine::new(&mut centre);
    let agent = machine.run_agent();
    started(&mut centre);
    until("slot A marked good", || machine.is_good("A").then_some(()));
    machine.order(&mut centre, "2.0");
    machine.wait_for_reboot();
    kill(agent);
    assert_eq!(machine.boot(), "B");
    assert!(machine.has_system("B", "2.0"));

    let agent = machine.run_agent();
    // Its acknowledgement is the centre's sign of life: nothing is kept before it.
    assert!(!machine.is_good("B"));
    started(&mut centre);
    assert_eq!(ended(&mut centre), UpdateEnd::New);
    until("slot B marked good", || machine.is_good("B").then_some(()));
    until("nothing left of it", || machine.is_clean().then_some(()));
    kill(agent);

    // Long afterwards the power goes three times before the box is up.
    let boots: Vec<String> = (0..4).map(|_| machine.boot()).collect();
    assert_eq!(boots, ["B", "B", "B", "A"]);
    let _agent = machine.run_agent();
    started(&mut centre);
    centre.event_until("the fall", |event| matches!(event, Event::FellBack { slot } if slot == "A"));
    until("slot A is the first choice", || machine.is_first_choice("A").then_some(()));
}

#[test]
fn a_system_that_never_starts_is_left_after_three_attempts_and_the_old_one_says_so() {
    let mut centre = Centre::new();
    let mut machine = Machine::new(&mut centre);
    let agent = machine.run_agent();
    started(&mut centre);
    machine.order(&mut centre, "2.0");
    machine.wait_for_reboot();
    kill(agent);
    let boots: Vec<String> = (0..4).map(|_| machine.boot()).collect();
    assert_eq!(boots, ["B", "B", "B", "A"]);
    let _agent = machine.run_agent();
    started(&mut centre);
    assert_eq!(ended(&mut centre), UpdateEnd::Old(UpdateFault::NotStarted));
    until("nothing left of it", || machine.is_clean().then_some(()));
    until("slot A marked good", || machine.is_good("A").then_some(()));
    // However often the power goes now, the system that never starts is not tried again.
    until("slot A is the first choice", || machine.is_first_choice("A").then_some(()));
    let boots: Vec<String> = (0..4).map(|_| machine.boot()).collect();
    assert_eq!(boots, ["A"; 4]);
}

#[test]
fn killed_at_every_step_it_ends_in_the_new_system() {
    let mut centre = Centre::new();
    let mut machine = Machine::new(&mut centre);
    let mut agent = machine.run_agent();
    started(&mut centre);
    machine.order(&mut centre, "2.0");
    for step in ["Download", "Verify", "Install", "Switch"] {
        machine.wait_for_step(step);
        kill(agent);
        // RAUC's own service goes down with the machine.
        machine.power_cut();
        agent = machine.run_agent();
        if step != "Switch" {
            // Heard by its centre: the boot is good, and the update goes on.
            started(&mut centre);
        }
    }
    // The cut at *Switch* has started the new slot already; killed once more on trial.
    machine.wait_for_step("Trial");
    kill(agent);
    machine.power_cut();
    let _agent = machine.run_agent();
    started(&mut centre);
    assert_eq!(ended(&mut centre), UpdateEnd::New);
    assert_eq!(machine.booted(), "B");
    assert!(machine.has_system("B", "2.0"));
}

#[test]
fn what_is_for_another_box_of_another_format_altered_or_foreign_is_refused_and_nothing_is_written() {
    let mut centre = Centre::new();
    let mut machine = Machine::new(&mut centre);
    let _agent = machine.run_agent();
    started(&mut centre);
    for (bundle, fault) in [
        (machine.bundle("other-board", "2.0"), UpdateFault::Refused),
        (machine.bundle("bridgepoint-sim", "1.9"), UpdateFault::Refused),
        (machine.foreign_bundle(), UpdateFault::Refused),
        (machine.torn_bundle(), UpdateFault::Refused),
    ] {
        machine.order_file(&mut centre, &bundle, "2.0");
        assert_eq!(ended(&mut centre), UpdateEnd::Old(fault), "{}", bundle.display());
        until("nothing left of it", || machine.is_clean().then_some(()));
    }
    machine.order_wrong_sum(&mut centre);
    assert_eq!(ended(&mut centre), UpdateEnd::Old(UpdateFault::Altered));
    // The boxes' own configuration takes no plain bundle, whoever has signed it.
    let said = machine.ask_shipped_configuration();
    assert!(said.contains("'plain' not allowed"), "{said}");
    assert!(machine.is_empty("B"));
}
