//! One end is replaced by a new one with the same ICE credentials and certificate (a process that was killed and
//! started again): how long until pictures flow both ways again.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bridgepoint_link::{BoxEvent, CentreEvent, CentreLink, Down, Identity};
use bridgepoint_wire::local::Program;
use common::*;

fn free_port() -> SocketAddr {
    UdpSocket::bind(anywhere()).unwrap().local_addr().unwrap()
}

/// Runs `with` while the program is sent to all, with a key frame a second and whenever one is wanted.
fn program_beside<R>(link: &CentreLink, origin: u64, with: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                // All key frames: what is measured is the link, not an encoder.
                link.send_program(Program::Main, unit(50, 0, (now_ms() - origin) * 90));
                n += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            n
        });
        let result = with();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn first_program(site: &Site) -> Instant {
    wait(&site.events, Duration::from_secs(8), |at, e| matches!(e, BoxEvent::Program(_)).then_some(at))
}

fn first_main(site: &Site, centre: &Centre, base: u64) -> Instant {
    // What an earlier box sent does not count.
    for _ in centre.events.try_iter() {}
    let end = Instant::now() + Duration::from_secs(8);
    let mut n = 0;
    loop {
        send_as_box(site, 1, 25 * n, base);
        n += 1;
        while let Ok((at, event)) = centre.events.recv_timeout(Duration::from_millis(20)) {
            if matches!(event, CentreEvent::Video { .. }) {
                return at;
            }
        }
        assert!(Instant::now() < end, "no picture from the new box");
    }
}

/// A box killed without a goodbye: its link's thread is left to a socket that answers nobody.
fn vanish(site: Site) {
    // The handle must not be dropped: dropping says goodbye, which a killed process cannot.
    std::mem::forget(site.link);
}

#[test]
fn a_new_box_against_the_old_centre_from_a_new_address() {
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let centre = centre(anywhere(), &identity, origin);
    let pairing = Pairing::new(0);
    pairing.admit(&centre.link);
    let join = pairing.join(centre.address, &identity, origin);
    let mut times = Vec::new();
    program_beside(&centre.link, origin, || {
        let mut old = pairing.start(anywhere(), &join);
        first_program(&old);
        for _ in 0..5 {
            let begin = Instant::now();
            let new = pairing.start(anywhere(), &join);
            let program = first_program(&new) - begin;
            let main = first_main(&new, &centre, now_ms() - origin) - begin;
            times.push((program, main));
            drop(std::mem::replace(&mut old, new));
        }
    });
    println!("new box, new address: (program, contribution) {times:?}");
    let late = times.iter().filter(|(program, main)| (*program).max(*main) > Duration::from_millis(500)).count();
    assert!(late <= 1, "{times:?}");
}

#[test]
fn a_new_box_against_the_old_centre_from_the_same_address() {
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let centre = centre(anywhere(), &identity, origin);
    let pairing = Pairing::new(0);
    pairing.admit(&centre.link);
    let local = free_port();
    let relay = Relay::start(centre.address, local);
    let join = pairing.join(relay.address, &identity, origin);
    let mut times = Vec::new();
    program_beside(&centre.link, origin, || {
        let old = pairing.start(anywhere(), &join);
        first_program(&old);
        relay.forget_box();
        vanish(old);
        for _ in 0..3 {
            let begin = Instant::now();
            let new = pairing.start(anywhere(), &join);
            let program = first_program(&new) - begin;
            let main = first_main(&new, &centre, now_ms() - origin) - begin;
            times.push((program, main));
            relay.forget_box();
            vanish(new);
        }
    });
    println!("new box, same address: (program, contribution) {times:?}");
    let late = times.iter().filter(|(program, main)| (*program).max(*main) > Duration::from_millis(500)).count();
    assert!(late <= 1, "{times:?}");
}

#[test]
fn a_new_centre_against_the_old_box() {
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let first = centre(anywhere(), &identity, origin);
    let address = first.address;
    let pairing = Pairing::new(0);
    pairing.admit(&first.link);
    let relay = Relay::start(address, free_port());
    let site = pairing.start(anywhere(), &pairing.join(relay.address, &identity, origin));
    program_beside(&first.link, origin, || first_program(&site));
    // Killed: no goodbye reaches the box.
    relay.cut(true);
    drop(first);
    let second = centre(address, &identity, origin);
    pairing.admit(&second.link);
    wait(&site.events, Duration::from_secs(3), |_, e| matches!(e, BoxEvent::Down).then_some(()));
    for _ in site.events.try_iter() {}
    let begin = Instant::now();
    relay.cut(false);
    let (program, main) = program_beside(&second.link, origin, || {
        (first_program(&site) - begin, first_main(&site, &second, now_ms() - origin) - begin)
    });
    println!("new centre, old box: program after {program:?}, contribution after {main:?} of being there again");
    // The box tries all the time, a second at most between two sessions; each asks again every 400 ms at most.
    assert!(program < Duration::from_secs(1), "{program:?}");
    assert!(main < Duration::from_millis(1_200), "{main:?}");
}

#[test]
fn a_centre_that_says_goodbye_and_comes_back_is_found_at_once() {
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let first = centre(anywhere(), &identity, origin);
    let address = first.address;
    let pairing = Pairing::new(0);
    pairing.admit(&first.link);
    let site = pairing.start(anywhere(), &pairing.join(address, &identity, origin));
    program_beside(&first.link, origin, || first_program(&site));
    let begin = Instant::now();
    drop(first);
    let second = centre(address, &identity, origin);
    pairing.admit(&second.link);
    for _ in site.events.try_iter() {}
    let again = program_beside(&second.link, origin, || first_program(&site)) - begin;
    println!("goodbye and back: {again:?}");
    assert!(again < Duration::from_secs(1), "{again:?}");
}

#[test]
fn the_centre_knows_a_line_that_is_cut_from_a_box_that_leaves() {
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let centre = centre(anywhere(), &identity, origin);
    let (cut, leaves) = (Pairing::new(0), Pairing::new(1));
    let relay = Relay::start(centre.address, free_port());
    for pairing in [&cut, &leaves] {
        pairing.admit(&centre.link);
    }
    let stays = cut.start(anywhere(), &cut.join(relay.address, &identity, origin));
    let goes = leaves.start(anywhere(), &leaves.join(centre.address, &identity, origin));
    for site in [&stays, &goes] {
        wait(&site.events, Duration::from_secs(5), |_, e| matches!(e, BoxEvent::Up).then_some(()));
    }
    let down = || {
        wait(&centre.events, Duration::from_secs(5), |_, event| match event {
            CentreEvent::SiteDown(site, why) => Some((site, why)),
            _ => None,
        })
    };
    drop(goes);
    assert_eq!(down(), (code(1), Down::Left));
    relay.cut(true);
    assert_eq!(down(), (code(0), Down::Silent));
}
