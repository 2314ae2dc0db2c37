//! Carries a [`Device`]: pseudo-terminal, UDP or TCP on one side, standard input on the other.
//!
//! On standard input `state` prints the state, `faults NAMES` changes the faults (`faults none`), `reboot` starts the
//! camera again.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::device::{Caller, Device, Dialect, Out};
use super::state::State;

/// How long a reply may wait for somebody to read the ones before it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where the camera is reached.
#[derive(Debug, Clone, Copy)]
pub enum Link {
    /// A pseudo-terminal.
    Serial,
    /// UDP with headers.
    Ip(SocketAddr),
    /// Bare packets on UDP.
    RawUdp(SocketAddr),
    /// Bare packets on TCP; the newest connection is served.
    RawTcp(SocketAddr),
}

impl Link {
    /// How packets travel on it.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Serial => Dialect::Serial,
            Self::Ip(_) => Dialect::Ip,
            Self::RawUdp(_) | Self::RawTcp(_) => Dialect::Raw,
        }
    }
}

/// What a camera is served with.
#[derive(Debug)]
pub struct Options {
    /// Where.
    pub link: Link,
    /// Where its state is kept.
    pub state: Option<PathBuf>,
}

/// The two ways of each line.
enum Wire {
    Pty {
        reader: pipe::Receiver,
        writer: pipe::Sender,
        /// Held open, so that the line outlives who uses it.
        _slave: File,
    },
    Udp(UdpSocket),
    Tcp {
        listener: TcpListener,
        connection: Option<(OwnedReadHalf, OwnedWriteHalf)>,
    },
}

/// Runs until SIGTERM or SIGINT. The first line on standard output says where the camera is.
pub async fn serve(mut device: Device, options: Options) -> anyhow::Result<()> {
    let mut wire = open(options.link).await?;
    let begun = Instant::now();
    let now = || begun.elapsed().as_millis() as u64;
    let mut orders = orders();
    let mut listening = true;
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut written = None;
    let mut bytes = [0; 256];
    loop {
        device.pass(now());
        while let Some(out) = device.take_due(now()) {
            wire.send(&out).await;
        }
        let state = State::of(&device);
        if let Some(path) = &options.state
            && written.as_ref() != Some(&state)
        {
            state.write(path).with_context(|| path.display().to_string())?;
            written = Some(state);
        }
        let wake = device.next_at(now()).map(|at| begun + Duration::from_millis(at));
        tokio::select! {
            heard = wire.receive(&mut bytes) => match heard {
                Ok((len, Some(peer))) if options.link.dialect() == Dialect::Ip => {
                    device.hear_datagram(now(), peer, &bytes[..len]);
                }
                Ok((len, peer)) => device.hear_bytes(now(), Caller { peer, number: 0 }, &bytes[..len]),
                Err(error) => anyhow::bail!("the line is lost: {error}"),
            },
            () = sleep_until(wake) => {}
            line = orders.recv(), if listening => match line {
                Some(line) => obey(&mut device, now(), line.trim(), &mut wire),
                None => listening = false,
            },
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
        }
    }
}

/// The lines of standard input. Read by a thread of its own, which nobody waits for at the end.
fn orders() -> mpsc::Receiver<String> {
    let (orders, received) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if orders.blocking_send(line).is_err() {
                return;
            }
        }
    });
    received
}

fn obey(device: &mut Device, now: u64, line: &str, wire: &mut Wire) {
    device.pass(now);
    match line.split_once(' ').unwrap_or((line, "")) {
        ("state", "") => match serde_json::to_string(&State::of(device)) {
            Ok(json) => println!("{json}"),
            Err(error) => eprintln!("camera-sim: {error}"),
        },
        ("reboot", "") => {
            device.reboot(now);
            if let Wire::Tcp { connection, .. } = wire {
                *connection = None;
            }
        }
        ("faults", "none") => device.faults.set(Vec::new()),
        ("faults", names) => match names.split(',').map(str::parse).collect() {
            Ok(faults) => device.faults.set(faults),
            Err(error) => eprintln!("camera-sim: {error}"),
        },
        _ => eprintln!("camera-sim: “{line}” is none of state, reboot, faults NAMES"),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn open(link: Link) -> anyhow::Result<Wire> {
    match link {
        Link::Serial => {
            let pty = openpty(None, None).context("no pseudo-terminal")?;
            let mut raw = tcgetattr(&pty.slave)?;
            cfmakeraw(&mut raw);
            tcsetattr(&pty.slave, SetArg::TCSANOW, &raw)?;
            println!("{}", nix::unistd::ttyname(&pty.slave)?.display());
            let master = File::from(pty.master);
            nix::fcntl::fcntl(&master, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
            let writer = pipe::Sender::from_file_unchecked(master.try_clone()?)?;
            Ok(Wire::Pty { reader: pipe::Receiver::from_file_unchecked(master)?, writer, _slave: pty.slave.into() })
        }
        Link::Ip(at) | Link::RawUdp(at) => {
            let socket = UdpSocket::bind(at).await.with_context(|| format!("cannot listen on UDP {at}"))?;
            println!("{}", socket.local_addr()?);
            Ok(Wire::Udp(socket))
        }
        Link::RawTcp(at) => {
            let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen on TCP {at}"))?;
            println!("{}", listener.local_addr()?);
            Ok(Wire::Tcp { listener, connection: None })
        }
    }
}

impl Wire {
    /// Waits for bytes, and on UDP says from whom. A connection that ends is waited for again.
    async fn receive(&mut self, bytes: &mut [u8]) -> io::Result<(usize, Option<SocketAddr>)> {
        match self {
            Self::Pty { reader, .. } => Ok((reader.read(bytes).await?, None)),
            Self::Udp(socket) => socket.recv_from(bytes).await.map(|(len, peer)| (len, Some(peer))),
            Self::Tcp { listener, connection } => loop {
                let heard = async {
                    match connection {
                        Some((reader, _)) => reader.read(bytes).await.unwrap_or(0),
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    len = heard => {
                        if len > 0 {
                            return Ok((len, None));
                        }
                        *connection = None;
                    }
                    accepted = listener.accept() => {
                        let (stream, _) = accepted?;
                        stream.set_nodelay(true)?;
                        *connection = Some(stream.into_split());
                    }
                }
            },
        }
    }

    /// What nobody takes is lost, as on a real line.
    async fn send(&mut self, out: &Out) {
        match self {
            Self::Pty { writer, .. } => {
                let _ = tokio::time::timeout(PATIENCE, writer.write_all(&out.bytes)).await;
            }
            Self::Udp(socket) => {
                if let Some(peer) = out.to.peer {
                    let _ = socket.send_to(&out.bytes, peer).await;
                }
            }
            Self::Tcp { connection, .. } => {
                let Some((_, writer)) = connection else { return };
                let written = tokio::time::timeout(PATIENCE, writer.write_all(&out.bytes)).await;
                if !matches!(written, Ok(Ok(()))) {
                    *connection = None;
                }
            }
        }
    }
}
