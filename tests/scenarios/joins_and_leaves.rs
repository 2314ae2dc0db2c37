//! A short sample of `cargo xtask soak joins`: sites come and go while eight others talk; the program goes on without a
//! gap, and the worker holds no more than before.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use xtask::soak::joins;
use xtask::workspace::target;

#[test]
fn sites_that_come_and_go_leave_nothing_behind() {
    let folder = target().unwrap().join("scenarios").join("joins-and-leaves");
    let lines = joins::measure(&folder, 60, 4).unwrap();
    // How quick the centre is depends on the machine and on what else it does; memory settles later than 60 joins.
    let speed = ["late", "delay", "memory"];
    let missed: Vec<_> =
        lines.iter().filter(|line| !line.reached() && !speed.iter().any(|word| line.name.contains(word))).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}
