//! Garbage on the media port, from strangers and with a live site's address: counted, dropped, without any effect.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bridgepoint_link::{BoxEvent, CentreEvent, Encoding, Identity};
use common::*;

/// xorshift64*: reproducible, seed printed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> usize {
        (self.next() % n) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// A DTLS 1.2 record around `body`.
fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xFE, 0xFD];
    record.extend(epoch.to_be_bytes());
    record.extend([0, 0, 0, 0, 0, 9]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

fn client_hello(random: &mut Random) -> Vec<u8> {
    let mut hello = vec![0xFE, 0xFD];
    hello.extend(random.bytes(32));
    hello.extend([0, 0, 0, 4, 0xC0, 0x2B, 0xC0, 0x2C, 1, 0, 0, 0]);
    let len = (hello.len() as u32).to_be_bytes();
    let mut body = vec![1, len[1], len[2], len[3], 0, 0, 0, 0, 0, len[1], len[2], len[3]];
    body.extend(hello);
    record(22, 0, &body)
}

fn garbage(random: &mut Random) -> Vec<u8> {
    const SSRCS: [u32; 7] = [0x4250_0010, 0x4250_0011, 0x4250_0020, 0x4250_0030, 0x4250_0110, 0, 1];
    let whole = match random.below(9) {
        0 => {
            let len = random.below(1_500);
            random.bytes(len)
        }
        // STUN with a plausible head.
        1 => {
            let len = random.below(120);
            let mut stun = vec![0, 1, 0, len as u8, 0x21, 0x12, 0xA4, 0x42];
            stun.extend(random.bytes(12 + len));
            stun
        }
        2 => client_hello(random),
        // Alerts, fatal, close_notify, in the clear and as if protected.
        3 => {
            let (epoch, what) = (random.below(2) as u16, random.below(60) as u8);
            record(21, epoch, &[2, what])
        }
        4 => {
            let (kind, epoch, len) = (20 + random.below(5) as u8, random.below(3) as u16, random.below(300));
            let body = random.bytes(len);
            record(kind, epoch, &body)
        }
        // SRTP of a live stream, with extensions or not.
        5 | 6 => {
            let mut rtp = vec![0x80 | random.below(64) as u8, [96, 97, 111, 112, 0xE0][random.below(5)]];
            rtp.extend(random.bytes(6));
            rtp.extend(SSRCS[random.below(7)].to_be_bytes());
            let len = random.below(1_200);
            rtp.extend(random.bytes(len));
            rtp
        }
        // SRTCP.
        7 => {
            let mut rtcp = vec![0x80 | random.below(32) as u8, 200 + random.below(8) as u8];
            let len = random.below(300);
            rtcp.extend(random.bytes(2));
            rtcp.extend(SSRCS[random.below(7)].to_be_bytes());
            rtcp.extend(random.bytes(len));
            rtcp
        }
        _ => {
            let first = random.next() as u8;
            let len = random.below(30);
            let mut short = vec![first];
            short.extend(random.bytes(len));
            short
        }
    };
    let keep = if random.below(3) == 0 { random.below(whole.len() as u64 + 1) } else { whole.len() };
    whole[..keep].to_vec()
}

/// Beside media that flow, `count` datagrams of garbage to `target`, from each socket in turn.
fn attack(seed: u64, count: u32, from: Vec<UdpSocket>, target: std::net::SocketAddr) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut random = Random(seed);
        let begin = Instant::now();
        for n in 0..count {
            let datagram = garbage(&mut random);
            from[n as usize % from.len()].send_to(&datagram, target).unwrap();
            // As fast as two loaded cores take it: beyond that the kernel's buffer drops the good ones as well.
            if n % 250 == 249 {
                let due = begin + Duration::from_micros(36) * n;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
    })
}

#[test]
fn garbage_from_strangers_and_in_a_live_sites_name_changes_nothing() {
    let seed = now_ms() | 1;
    println!("seed {seed}");
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let centre = centre(anywhere(), &identity, origin);
    let pairing = Pairing::new(0);
    pairing.admit(&centre.link);
    // The relay's outer socket is the live site's address as the centre knows it.
    let relay = Relay::start(centre.address, anywhere());
    let site = pairing.start(anywhere(), &pairing.join(relay.address, &identity, origin));
    wait(&site.events, Duration::from_secs(5), |_, e| matches!(e, BoxEvent::Up).then_some(()));
    let base = now_ms() - origin;
    let frames = 100;
    let count = 100_000;
    let sockets = vec![UdpSocket::bind(anywhere()).unwrap(), relay.out.try_clone().unwrap()];
    let attack = attack(seed, count, sockets, centre.address);
    paced(frames, |n| {
        send_as_box(&site, 1, n, base);
        send_as_centre(&centre.link, n, base);
    });
    attack.join().unwrap();
    let dropped = dropped_without_effect(&centre, &site, frames, base);
    println!("{dropped} of {count} counted as dropped");
    // Forged SRTCP is dropped by str0m without a word; everything else is counted.
    assert!(dropped > u64::from(count) * 8 / 10, "{dropped}");
}

#[test]
fn garbage_in_the_centres_name_does_nothing_to_a_box() {
    let seed = now_ms() | 1;
    println!("seed {seed}");
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let centre = centre(anywhere(), &identity, origin);
    let pairing = Pairing::new(0);
    pairing.admit(&centre.link);
    let relay = Relay::start(centre.address, anywhere());
    let site = pairing.start(anywhere(), &pairing.join(relay.address, &identity, origin));
    wait(&site.events, Duration::from_secs(5), |_, e| matches!(e, BoxEvent::Up).then_some(()));
    let base = now_ms() - origin;
    let sockets = vec![UdpSocket::bind(anywhere()).unwrap(), relay.inner.try_clone().unwrap()];
    let attack = attack(seed, 50_000, sockets, relay.site());
    paced(50, |n| {
        send_as_box(&site, 1, n, base);
        send_as_centre(&centre.link, n, base);
    });
    attack.join().unwrap();
    dropped_without_effect(&centre, &site, 50, base);
}

#[test]
fn a_box_comes_back_while_somebody_begins_handshakes_in_its_name() {
    let seed = now_ms() | 1;
    println!("seed {seed}");
    let identity = Identity::generate();
    let origin = now_ms() - 500;
    let centre = centre(anywhere(), &identity, origin);
    let pairing = Pairing::new(0);
    pairing.admit(&centre.link);
    let relay = Relay::start(centre.address, anywhere());
    let join = pairing.join(relay.address, &identity, origin);
    let old = pairing.start(anywhere(), &join);
    wait(&old.events, Duration::from_secs(5), |_, e| matches!(e, BoxEvent::Up).then_some(()));
    let mut random = Random(seed);
    for _ in 0..100 {
        relay.out.send_to(&client_hello(&mut random), centre.address).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    // The live session has not noticed, and a new one gets in between those that lead nowhere.
    assert!(!old.events.try_iter().any(|(_, e)| matches!(e, BoxEvent::Down)));
    relay.forget_box();
    std::mem::forget(old.link);
    let begin = Instant::now();
    let new = pairing.start(anywhere(), &join);
    let up = wait(&new.events, Duration::from_secs(5), |at, e| matches!(e, BoxEvent::Up).then_some(at));
    println!("back after {:?}", up - begin);
    assert!(!centre.events.try_iter().any(|(_, e)| matches!(e, CentreEvent::SiteDown(..))));
}

fn dropped_without_effect(centre: &Centre, site: &Site, frames: u64, base: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(1_300));
    let (mut main, mut dropped) = (0, 0);
    for (_, event) in centre.events.try_iter() {
        match event {
            CentreEvent::Video { encoding: Encoding::Main, unit: got, .. } => {
                assert!(got == unit(1, (got.ticks - base * 90) / 3_600, got.ticks));
                main += 1;
            }
            CentreEvent::SiteDown(..) => panic!("the site went down"),
            CentreEvent::Stats(stats) => dropped = stats.dropped_total,
            _ => {}
        }
    }
    let mut program = 0;
    for (_, event) in site.events.try_iter() {
        match event {
            BoxEvent::Program(_) => program += 1,
            BoxEvent::Down => panic!("the link went down"),
            _ => {}
        }
    }
    assert_eq!((main, program), (frames, frames));
    dropped
}
