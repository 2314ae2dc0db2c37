//! A million datagrams of garbage on the media port, from strangers and with a live site's address and SSRC: dropped;
//! picture, sound and record do not notice.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::net::UdpSocket;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, socket};
use scenarios::chance::Chance;
use scenarios::measure::{Part, counters, longest_freeze, longest_step, times};
use scenarios::running::{Running, tile_of};
use xtask::clips::Marks;

const FROM_STRANGERS: u32 = 800_000;
const WITH_A_SITES_ADDRESS: u32 = 200_000;
/// Then a pause of a millisecond: an attacker's line is not endless, and the socket's buffer is the kernel's.
const BURST: u32 = 50;
const HEADERS: usize = 20 + 8;

#[test]
fn a_million_datagrams_change_nothing() {
    let mut stack = Running::start("garbage", 2).unwrap();
    stack.on_record().unwrap();
    stack.record_for(Duration::from_secs(2)).unwrap();
    let port = stack.centre().media_port;
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    println!("seed {:#x}", chance.0);

    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..FROM_STRANGERS {
        let _ = stranger.send_to(&chance.datagram(), ("127.0.0.1", port));
        breathe(n);
    }
    match RawUdp::open() {
        Ok(raw) => pretend_to_be_a_site(&raw, port, &mut chance).unwrap(),
        Err(Errno::EPERM) => println!("not root: nobody can pretend to be a site here"),
        Err(error) => panic!("raw socket: {error}"),
    }
    for code in stack.codes() {
        stack.wait_up(code, Duration::from_secs(3)).unwrap();
    }
    stack.record_for(Duration::from_secs(2)).unwrap();
    let sessions = stack.api("/api/sessions").unwrap();
    let counted = sessions[0]["figures"]["dropped_datagrams"].as_u64().unwrap();
    println!("{counted} datagrams counted as dropped");
    // The kernel drops some before the worker sees them, and forged RTCP is dropped without being counted.
    assert!(counted > u64::from(FROM_STRANGERS + WITH_A_SITES_ADDRESS) / 2, "{counted} counted");
    let archive = stack.finish().unwrap();

    let program = archive.join("program.mp4");
    assert!(longest_step(&times(&program, "v").unwrap()) <= 0.0405);
    for marks in &Marks::THREE[..2] {
        let tile = tile_of(&program, *marks, 3.0).unwrap();
        let count = counters(&program, Part::COUNTER.within(tile)).unwrap();
        let count: Vec<_> = count.into_iter().filter(|(at, _)| *at > 3.0).collect();
        let frozen = longest_freeze(&count);
        assert!(frozen <= 0.2, "the tile of colour {:06x} stood still for {frozen} s", marks.colour);
    }
}

fn breathe(n: u32) {
    if n.is_multiple_of(BURST) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Takes datagrams of a live site and sends them again: as they were, cut, and with changed bytes.
fn pretend_to_be_a_site(raw: &RawUdp, port: u16, chance: &mut Chance) -> Result<()> {
    let mut live = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while live.len() < 200 {
        anyhow::ensure!(Instant::now() < deadline, "no datagram of a site was seen");
        // 128 to 191 in the first byte: SRTP or SRTCP (RFC 7983).
        live.extend(
            raw.next_to(port)?.filter(|(_, payload)| payload.first().is_some_and(|byte| (128..192).contains(byte))),
        );
    }
    for n in 0..WITH_A_SITES_ADDRESS {
        let (source, genuine) = &live[chance.below(live.len())];
        let mut payload = genuine.clone();
        match n % 4 {
            0 => {}
            1 => payload.truncate(chance.below(genuine.len())),
            // After the header: the SSRC stays the live one.
            _ => {
                for _ in 0..4 {
                    let at = (12 + chance.below(genuine.len())) % genuine.len();
                    payload[at] ^= 1 << chance.below(8);
                }
                if n % 4 == 3 && payload.len() > 4 {
                    // A sequence number from the future.
                    payload[2] = payload[2].wrapping_add(chance.below(128) as u8);
                }
            }
        }
        raw.send(*source, port, &payload)?;
        breathe(n);
    }
    Ok(())
}

/// UDP below the sockets: sees every datagram of this machine, and may say any port.
struct RawUdp(OwnedFd);

impl RawUdp {
    fn open() -> nix::Result<Self> {
        socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Udp).map(Self)
    }

    /// The next datagram of the loopback, when it goes to that port: source port and payload.
    fn next_to(&self, port: u16) -> Result<Option<(u16, Vec<u8>)>> {
        let mut buffer = [0; 2_048];
        let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).context("raw socket")?;
        let number = |at: usize| u16::from_be_bytes([buffer[at], buffer[at + 1]]);
        let fits = len > HEADERS && buffer[0] == 0x45 && number(22) == port;
        Ok(fits.then(|| (number(20), buffer[HEADERS..len].to_vec())))
    }

    fn send(&self, source: u16, port: u16, payload: &[u8]) -> Result<()> {
        let mut datagram = Vec::with_capacity(8 + payload.len());
        // Checksum 0: none (RFC 768).
        for number in [source, port, 8 + payload.len() as u16, 0] {
            datagram.extend_from_slice(&number.to_be_bytes());
        }
        datagram.extend_from_slice(payload);
        match sendto(self.0.as_raw_fd(), &datagram, &SockaddrIn::new(127, 0, 0, 1, port), MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENOBUFS) => Ok(()),
            Err(error) => Err(error).context("raw socket"),
        }
    }
}
