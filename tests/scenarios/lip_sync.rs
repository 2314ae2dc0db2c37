//! A short sample of `cargo xtask soak lipsync`: picture and sound of each site stay together in the program, with a fast
//! clock, a long way, a slow or fast camera and late sound among the sites.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::time::Duration;

use xtask::soak::lipsync;
use xtask::workspace::target;

#[test]
fn picture_and_sound_of_each_site_stay_together() {
    let folder = target().unwrap().join("scenarios").join("lip-sync");
    let lines = lipsync::measure(&folder, 4, Duration::from_secs(30)).unwrap();
    // How long the centre takes depends on the machine and on what else it does.
    let missed: Vec<_> = lines.iter().filter(|line| !line.reached() && !line.name.contains("added")).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}
