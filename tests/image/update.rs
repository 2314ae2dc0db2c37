//! An update of a whole box: a bundle in RAUC's format *verity*, signed, fetched from the centre, written into the other slot
//! and started on trial, in the arm64 guest. Its first root stands for the boot loader: it chooses and counts as U-Boot does.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::{Duration, Instant};

use scenarios::emulated::{Bench, PATIENCE};
use serde_json::Value;
use xtask::bundle::{Bundle, Format, System};

/// Fetched, compared, written, started anew and proven, by an emulated processor.
const UPDATE: Duration = Duration::from_mins(12);

/// Has the box install a bundle; waits for what it says of it.
fn update(bench: &mut Bench, bundle: &Bundle) -> Value {
    let begun = Instant::now();
    let version = bundle.version.as_str();
    let order = || {
        let ordered = bench.stack.bpctl(&["site", "update", &bench.code, &bundle.name, version]);
        Ok(ordered.inspect_err(|error| println!("{error:#}")).ok())
    };
    // A box that has just started does not know its slots at once.
    bench.wait("the order taken", PATIENCE, order);
    let said = |event: &Value| Some(event.get("Updated")?).filter(|said| said["version"] == version).cloned();
    let ended = || Ok(bench.events().iter().rev().find_map(|(_, event)| said(event)));
    let ended = bench.wait("what came of the update", UPDATE, ended);
    println!("{version} ({:?}): {ended} after {:.0} s", bundle.format, begun.elapsed().as_secs_f32());
    ended
}

fn slot(bench: &mut Bench) -> String {
    let said = bench.hand.run("sed -n 's/.*rauc.slot=\\(.\\).*/\\1/p' /proc/cmdline; findmnt -n -o SOURCE /").unwrap();
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn wait_good(bench: &mut Bench, slot: &str) {
    let begun = Instant::now();
    let left = format!("cat /var/lib/bridgepoint/rauc/boot/left-{slot}");
    while bench.hand.run(&left).map_or(true, |left| left.trim() != "3") {
        assert!(begun.elapsed() < PATIENCE, "slot {slot} is not good");
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_box_takes_signed_verity_bundles_only_and_ends_in_a_system_that_works() {
    let mut bench = Bench::start("image-update");
    let keys = bench.machine.keys().clone();
    let bundles = bench.stack.bundles();
    let make = |format, system, version: &str| {
        Bundle::make(&bundles, &keys, format, version, bench.machine.root(), system).unwrap()
    };
    let plain = make(Format::Plain, System::Marked("plain"), "1.1");
    let whole = make(Format::Verity, System::Marked("two"), "2.0");
    let dead = make(Format::Verity, System::Nothing, "3.0");
    assert_eq!(slot(&mut bench), "A /dev/vda");
    wait_good(&mut bench, "A");

    assert_eq!(update(&mut bench, &plain)["end"]["Old"], "Refused");
    assert_eq!(slot(&mut bench), "A /dev/vda");

    assert_eq!(update(&mut bench, &whole)["end"], "New");
    bench.wait_ready();
    assert_eq!(slot(&mut bench), "B /dev/vdc");
    assert_eq!(bench.hand.run("cat /usr/lib/bridgepoint/marked").unwrap().trim(), "two");
    wait_good(&mut bench, "B");

    // A system that does not start at all: three tries of the boot loader, then the one before.
    assert_eq!(update(&mut bench, &dead)["end"]["Old"], "NotStarted");
    bench.wait_ready();
    assert_eq!(slot(&mut bench), "B /dev/vdc");
}
