//! From a command to its first byte at the other end of the wire, in figures.
//!
//! `cargo run --release -p camera-sim --example latency`. Each figure is the time from `submit` to when somebody else
//! has read the first byte: on a pseudo-terminal (through `serialport` and `embedded-io-adapters`, as on the box) and on
//! a UDP socket of this machine. A real line adds its own time: one byte at 9,600 bit/s takes 1.04 ms.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bridgepoint_drivers::Millis;
use bridgepoint_drivers::visca::{
    Axis, Command, Config, Dialect, Direction, Drive, Event, Line, PanSpeed, Session, TiltSpeed,
};
use embedded_io_adapters::std::FromStd;

const ROUNDS: usize = 300;
const READ: Duration = Duration::from_millis(2);

/// When a packet of pan and tilt was read, and whether it was a stop.
type Seen = (Instant, bool);

fn main() -> anyhow::Result<()> {
    println!("{ROUNDS} drives, each with a stop right behind it; µs from submit to the byte read by the camera");
    println!("{:<28} {:>8} {:>8} {:>8}", "", "median", "p99", "max");
    serial()?;
    udp()
}

fn drive() -> Command {
    Command::Drive(Drive { direction: Direction::Left, pan: PanSpeed::MIN, tilt: TiltSpeed::MIN })
}

fn serial() -> anyhow::Result<()> {
    let pty = nix::pty::openpty(None, None)?;
    let mut raw = nix::sys::termios::tcgetattr(&pty.slave)?;
    nix::sys::termios::cfmakeraw(&mut raw);
    nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &raw)?;
    let path = nix::unistd::ttyname(&pty.slave)?;
    let (seen, sightings) = channel();
    let mut master = File::from(pty.master);
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        let mut piece = Vec::new();
        while let Ok(len @ 1..) = master.read(&mut bytes) {
            let at = Instant::now();
            piece.extend_from_slice(&bytes[..len]);
            while let Some(end) = piece.iter().position(|byte| *byte == 0xFF) {
                let packet: Vec<u8> = piece.drain(..=end).collect();
                if master.write_all(&answer(&packet, at, &seen)).is_err() {
                    return;
                }
            }
        }
    });
    let port = serialport::new(path.to_string_lossy(), 9_600).timeout(READ).open()?;
    let begun = Instant::now();
    let clock = || Millis(begun.elapsed().as_millis() as u64);
    let session = Session::new(Config::new(Dialect::Serial), clock());
    let mut line = Line::new(FromStd::new(port), session);
    let mut carry = |command: Option<Command>| -> anyhow::Result<Vec<Event>> {
        if let Some(command) = command {
            line.session.submit(clock(), command)?;
            line.transmit(clock())?;
        } else {
            line.listen(clock)?;
            line.session.handle_timeout(clock());
            line.transmit(clock())?;
        }
        Ok(std::iter::from_fn(|| line.session.poll_event()).collect())
    };
    measure("serial (pseudo-terminal)", &mut carry, &sightings)
}

fn udp() -> anyhow::Result<()> {
    let camera = UdpSocket::bind("127.0.0.1:0")?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(camera.local_addr()?)?;
    socket.set_read_timeout(Some(READ))?;
    let (seen, sightings) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((len, peer)) = camera.recv_from(&mut bytes) {
            let at = Instant::now();
            let (header, packet) = bytes[..len].split_at(8.min(len));
            let (kind, replies) = if packet == [0x01] { (0x02, vec![0x01]) } else { (0x01, answer(packet, at, &seen)) };
            for reply in replies.split_inclusive(|byte| *byte == 0xFF) {
                let low = if kind == 0x02 { 0x01 } else { 0x11 };
                let mut datagram = vec![kind, low, 0, reply.len() as u8];
                datagram.extend_from_slice(&header[4..]);
                datagram.extend_from_slice(reply);
                if camera.send_to(&datagram, peer).is_err() {
                    return;
                }
            }
        }
    });
    let begun = Instant::now();
    let clock = || Millis(begun.elapsed().as_millis() as u64);
    let mut session = Session::new(Config::new(Dialect::Ip), clock());
    let mut carry = |command: Option<Command>| -> anyhow::Result<Vec<Event>> {
        let mut bytes = [0; 64];
        if let Some(command) = command {
            session.submit(clock(), command)?;
        } else {
            if let Ok(len) = socket.recv(&mut bytes) {
                session.handle_datagram(clock(), &bytes[..len]);
            }
            session.handle_timeout(clock());
        }
        while let Some(datagram) = session.poll_transmit(clock()) {
            socket.send(&datagram)?;
        }
        Ok(std::iter::from_fn(|| session.poll_event()).collect())
    };
    measure("VISCA over IP (loopback)", &mut carry, &sightings)
}

/// The replies of a camera that is never at a loss.
fn answer(packet: &[u8], at: Instant, seen: &Sender<Seen>) -> Vec<u8> {
    match packet {
        [0x88, 0x30, ..] => vec![0x88, 0x30, 0x02, 0xFF],
        [0x88, ..] => packet.to_vec(),
        [_, 0x01, 0x00, 0x01, _] => vec![0x90, 0x50, 0xFF],
        [_, 0x01, 0x06, 0x01, .., pan, tilt, _] => {
            let _ = seen.send((at, (*pan, *tilt) == (3, 3)));
            vec![0x90, 0x41, 0xFF, 0x90, 0x51, 0xFF]
        }
        _ => Vec::new(),
    }
}

fn measure(
    name: &str,
    carry: &mut impl FnMut(Option<Command>) -> anyhow::Result<Vec<Event>>,
    sightings: &Receiver<Seen>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !carry(None)?.iter().any(|event| matches!(event, Event::Ready { .. })) {
        if begun.elapsed() > Duration::from_secs(10) {
            bail!("{name}: no camera");
        }
    }
    let done = |events: Vec<Event>| events.iter().filter(|event| matches!(event, Event::Done(_))).count();
    let (mut drives, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        while sightings.try_recv().is_ok() {}
        let mut ended = 0;
        for (command, stop, figures) in
            [(drive(), false, &mut drives), (Command::Stop(Axis::PanTilt), true, &mut stops)]
        {
            let asked = Instant::now();
            ended += done(carry(Some(command))?);
            let seen = loop {
                let (at, was_stop) = sightings.recv_timeout(Duration::from_secs(5)).context("nothing arrived")?;
                if was_stop == stop && at >= asked {
                    break at;
                }
            };
            figures.push(seen - asked);
        }
        // Until its stop was acknowledged the next drive waits by intention.
        while ended < 2 {
            ended += done(carry(None)?);
        }
    }
    show(&format!("{name}, drive"), drives);
    show(&format!("{name}, stop"), stops);
    Ok(())
}

fn show(name: &str, mut figures: Vec<Duration>) {
    figures.sort();
    let at = |share: f64| figures[((figures.len() - 1) as f64 * share) as usize].as_micros();
    println!("{name:<28} {:>8} {:>8} {:>8}", at(0.5), at(0.99), at(1.0));
}
