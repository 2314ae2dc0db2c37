//! What carries VISCA: a serial port, datagrams, a TCP connection.

use std::io;
use std::time::Duration;

use bridgepoint_board::{Transport, ViscaLine};
use bridgepoint_drivers::visca::{Address, Config, Dialect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::serial;

/// A line that takes no byte, or no connection, for this long is broken.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open line.
pub(super) enum Wire {
    Serial(pipe::Receiver, pipe::Sender),
    Datagrams(UdpSocket),
    Stream(TcpStream),
}

/// How VISCA is spoken on a line.
pub(super) fn config(line: &ViscaLine) -> Config {
    match line {
        ViscaLine::Serial { address, .. } => {
            // A board's address is checked when its profile is read.
            let address = Address::new(*address).unwrap_or(Address::MIN);
            Config { address, ..Config::new(Dialect::Serial) }
        }
        ViscaLine::Ip { .. } => Config::new(Dialect::Ip),
        ViscaLine::Raw { .. } => Config::new(Dialect::Raw),
    }
}

/// The line, for messages.
pub(super) fn name(line: &ViscaLine) -> String {
    match line {
        ViscaLine::Serial { port, .. } => port.device.display().to_string(),
        ViscaLine::Ip { host, port } | ViscaLine::Raw { host, transport: Transport::Udp, port } => {
            format!("{host}:{port}/udp")
        }
        ViscaLine::Raw { host, transport: Transport::Tcp, port } => format!("{host}:{port}/tcp"),
    }
}

impl Wire {
    pub async fn open(line: &ViscaLine) -> io::Result<Self> {
        match line {
            ViscaLine::Serial { port, .. } => {
                let (reader, writer) = serial::open(&port.device, port.baud)?;
                Ok(Self::Serial(reader, writer))
            }
            ViscaLine::Ip { host, port } | ViscaLine::Raw { host, transport: Transport::Udp, port } => {
                let to = timeout(PATIENCE, tokio::net::lookup_host((host.as_str(), *port))).await??.next();
                let to = to.ok_or(io::ErrorKind::NotFound)?;
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(to).await?;
                Ok(Self::Datagrams(socket))
            }
            ViscaLine::Raw { host, transport: Transport::Tcp, port } => {
                let stream = timeout(PATIENCE, TcpStream::connect((host.as_str(), *port))).await??;
                // A stop does not wait for company.
                stream.set_nodelay(true)?;
                Ok(Self::Stream(stream))
            }
        }
    }

    /// Whether each read is one whole message.
    pub const fn is_datagrams(&self) -> bool {
        matches!(self, Self::Datagrams(_))
    }

    /// Bytes that have come. Cancel-safe.
    pub async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::Serial(reader, _) => reader.read(bytes).await?,
            Self::Stream(stream) => stream.read(bytes).await?,
            Self::Datagrams(socket) => loop {
                match socket.recv(bytes).await {
                    // Nobody there yet: the session goes on asking.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    received => return received,
                }
            },
        };
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }

    /// Writes all of it. What a datagram could not carry is as lost as one on its way.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Serial(_, writer) => timeout(PATIENCE, writer.write_all(bytes)).await?,
            Self::Stream(stream) => timeout(PATIENCE, stream.write_all(bytes)).await?,
            Self::Datagrams(socket) => {
                if let Err(error) = socket.send(bytes).await {
                    tracing::debug!(%error, "a datagram to the camera was not sent");
                }
                Ok(())
            }
        }
    }
}
