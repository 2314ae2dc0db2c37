//! From a request for the camera to its first byte at the other end of the wire, in figures, as JSON: the core and the
//! driver of the box, on a pseudo-terminal and on a UDP socket of this machine. A real serial line adds its own time: one
//! byte at 9,600 bit/s takes 1.04 ms. `cargo xtask bench camera` runs it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use agent_camera::driver::{Driver, Told, Way};
use agent_core::Millis;
use agent_core::camera::{Action, Call, Camera, Limits, Presets, Ticket};
use anyhow::{Context as _, bail};
use bridgepoint_board::{SerialPort, ViscaLine};
use bridgepoint_wire::camera::{CameraAction, Drive, Mover, Speed};
use serde::Serialize;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const ROUNDS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(10);

/// When a packet of pan and tilt was read, and whether it was a stop.
type Seen = (Instant, bool);

#[derive(Serialize)]
struct Row {
    line: &'static str,
    request: &'static str,
    median_us: u64,
    p99_us: u64,
    max_us: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let (line, seen) = serial()?;
    rows.extend(measure("serial", line, seen).await?);
    let (line, seen) = udp()?;
    rows.extend(measure("UDP", line, seen).await?);
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}

/// A camera behind a pseudo-terminal.
fn serial() -> anyhow::Result<(ViscaLine, UnboundedReceiver<Seen>)> {
    let pty = nix::pty::openpty(None, None)?;
    let device = nix::unistd::ttyname(&pty.slave)?;
    let (seen, sightings) = unbounded_channel();
    let mut master = File::from(pty.master);
    std::thread::spawn(move || {
        // Held open: a line without anybody at it would end.
        let _slave = pty.slave;
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
    Ok((ViscaLine::Serial { port: SerialPort { device, baud: 9_600 }, address: 1 }, sightings))
}

/// A camera behind UDP with Sony's header.
fn udp() -> anyhow::Result<(ViscaLine, UnboundedReceiver<Seen>)> {
    let camera = UdpSocket::bind("127.0.0.1:0")?;
    let address = camera.local_addr()?;
    let (seen, sightings) = unbounded_channel();
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
    Ok((ViscaLine::Ip { host: address.ip().to_string(), port: address.port() }, sightings))
}

/// The replies of a camera that is never at a loss, and knows no questions.
fn answer(packet: &[u8], at: Instant, seen: &UnboundedSender<Seen>) -> Vec<u8> {
    match packet {
        [0x88, 0x30, ..] => vec![0x88, 0x30, 0x02, 0xFF],
        [0x88, ..] => packet.to_vec(),
        [_, 0x01, 0x00, 0x01, _] => vec![0x90, 0x50, 0xFF],
        [_, 0x01, rest @ ..] => {
            if let [0x06, 0x01, .., pan, tilt, _] = rest {
                let _ = seen.send((at, (*pan, *tilt) == (3, 3)));
            }
            vec![0x90, 0x41, 0xFF, 0x90, 0x51, 0xFF]
        }
        [_, 0x09, ..] => vec![0x90, 0x60, 0x02, 0xFF],
        _ => Vec::new(),
    }
}

/// The box's camera, as the agent's loop plays it.
struct Rig {
    core: Camera,
    driver: Driver,
    told: Receiver<Told>,
    begun: Instant,
    here: bool,
    /// The newest stop, until it is confirmed.
    stop: Option<Ticket>,
}

impl Rig {
    fn now(&self) -> Millis {
        Millis(self.begun.elapsed().as_millis() as u64)
    }

    fn ask(&mut self, action: CameraAction) -> anyhow::Result<()> {
        let now = self.now();
        self.core
            .handle_request(now, &Mover::Operator("lan".into()), action)
            .map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        self.settle();
        Ok(())
    }

    fn settle(&mut self) {
        while let Some(action) = self.core.poll_action() {
            if let Action::Call { ticket, call } = action {
                if call == Call::Stop {
                    self.stop = Some(ticket);
                }
                self.driver.call(ticket, call);
            }
        }
    }

    async fn hear(&mut self) -> anyhow::Result<()> {
        let told = timeout(PATIENCE, self.told.recv()).await.context("the camera says nothing")?;
        let now = self.now();
        match told.context("the driver has ended")? {
            Told::Here(capabilities) => {
                self.here = true;
                self.core.handle_connected(now, capabilities);
            }
            Told::Done(ticket) => {
                self.stop.take_if(|stop| *stop == ticket);
                self.core.handle_done(now, ticket);
            }
            Told::Failed(ticket, fault) => self.core.handle_failed(now, ticket, fault),
            Told::Position(ticket, position) => self.core.handle_position(now, Some(ticket), position),
            Told::Away => bail!("the camera is lost"),
            Told::Tried(_) => {}
            Told::Fault(text, details) => bail!("{text:?} {details:?}"),
        }
        self.settle();
        Ok(())
    }
}

async fn measure(
    name: &'static str,
    line: ViscaLine,
    mut sightings: UnboundedReceiver<Seen>,
) -> anyhow::Result<[Row; 2]> {
    let (driver, told) = Driver::start(Way::Visca { line, travel: None, presets: 6 }, None);
    let core = Camera::new(Millis(0), Limits::none(), Presets::default());
    let mut rig = Rig { core, driver, told, begun: Instant::now(), here: false, stop: None };
    while !rig.here || rig.stop.is_some() {
        rig.hear().await?;
    }
    let left = CameraAction::Drive(Drive { pan: Speed::clamped(-50), ..Drive::default() });
    let (mut drives, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (action, is_stop, figures) in [(left.clone(), false, &mut drives), (CameraAction::Stop, true, &mut stops)] {
            while sightings.try_recv().is_ok() {}
            let asked = Instant::now();
            rig.ask(action)?;
            let seen = loop {
                let seen = timeout(PATIENCE, sightings.recv()).await.context("nothing arrived")?;
                let (at, was_stop) = seen.context("the camera has ended")?;
                if was_stop == is_stop && at >= asked {
                    break at;
                }
            };
            figures.push(seen - asked);
        }
        // Until its stop was confirmed the next drive waits by intention.
        while rig.stop.is_some() {
            rig.hear().await?;
        }
    }
    Ok([row(name, "drive", drives), row(name, "stop", stops)])
}

fn row(line: &'static str, request: &'static str, mut figures: Vec<Duration>) -> Row {
    figures.sort();
    let at = |share: f64| figures[((figures.len() - 1) as f64 * share) as usize].as_micros() as u64;
    Row { line, request, median_us: at(0.5), p99_us: at(0.99), max_us: at(1.0) }
}
