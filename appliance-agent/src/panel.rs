//! The front panel's line: presses in, lamps out. Connected again whenever it breaks.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use bridgepoint_panel::Press;
use bridgepoint_wire::panel::{FromPanel, Lamps, PROTOCOL, Reader, ToPanel, encode};
use nix::sys::termios::{self, BaudRate, SetArg};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};

use crate::config::PanelLine;
use crate::dice;

const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// Carries the panel's line for ever; ends when nobody listens any more.
pub async fn serve(line: PanelLine, mut lamps: watch::Receiver<Lamps>, presses: mpsc::Sender<Press>) {
    let mut quiet = false;
    while !presses.is_closed() {
        let ended = match open(&line).await {
            Ok(None) => return,
            Ok(Some((reader, writer))) => carry(reader, writer, &mut lamps, &presses).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => return,
            // Once per outage: a box without its panel must not fill the log.
            Err(error) if !quiet => {
                tracing::warn!(%error, "no panel on its line");
                quiet = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(LONGEST_RETRY / 4 + LONGEST_RETRY * 3 / 4 * u32::from(dice()) / 255).await;
    }
}

/// The two directions of an open line.
pub type Ends = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// Opens the line; `None`: this box has no panel.
///
/// # Errors
/// The system's reason.
pub async fn open(line: &PanelLine) -> io::Result<Option<Ends>> {
    match line {
        PanelLine::None => Ok(None),
        PanelLine::Socket(path) => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            Ok(Some((Box::new(reader), Box::new(writer))))
        }
        PanelLine::Serial { device, baud } => {
            let (reader, writer) = open_serial(device, *baud)?;
            Ok(Some((Box::new(reader), Box::new(writer))))
        }
    }
}

/// One connection. Ends with an error when the line breaks, well when the program ends.
async fn carry(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    lamps: &mut watch::Receiver<Lamps>,
    presses: &mpsc::Sender<Press>,
) -> io::Result<()> {
    let mut frames = Reader::default();
    let mut bytes = [0_u8; 64];
    writer.write_all(&encode(&ToPanel::Hello)).await?;
    loop {
        let shown = *lamps.borrow_and_update();
        writer.write_all(&encode(&ToPanel::Lamps(shown))).await?;
        loop {
            tokio::select! {
                read = reader.read(&mut bytes) => {
                    let read = read?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let mut greeted = false;
                    for byte in &bytes[..read] {
                        let press = match frames.push(*byte) {
                            Some(FromPanel::ShortPress) => Press::Short,
                            Some(FromPanel::LongPress) => Press::Long,
                            Some(FromPanel::Hello { protocol, firmware }) => {
                                greeted = true;
                                greet(protocol, firmware);
                                continue;
                            }
                            // Asked for at boot only, by another program.
                            Some(FromPanel::Button { .. }) | None => continue,
                        };
                        if presses.send(press).await.is_err() {
                            return Ok(());
                        }
                    }
                    if greeted {
                        // It may have just started: its lamps are dark.
                        break;
                    }
                }
                changed = lamps.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    break;
                }
            }
        }
    }
}

fn greet(protocol: u8, firmware: u8) {
    if protocol == PROTOCOL {
        tracing::info!(firmware, "panel");
    } else {
        tracing::warn!(protocol, expected = PROTOCOL, "the panel speaks another protocol");
    }
}

/// A serial port in raw mode. Both ends are the port itself: the kernel's line can be polled like a pipe.
fn open_serial(device: &Path, baud: u32) -> io::Result<(pipe::Receiver, pipe::Sender)> {
    let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
    let port = OpenOptions::new().read(true).write(true).custom_flags(flags).open(device)?;
    let mut settings = termios::tcgetattr(&port)?;
    termios::cfmakeraw(&mut settings);
    termios::cfsetspeed(&mut settings, speed(baud)?)?;
    termios::tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    let other: File = port.try_clone()?;
    Ok((pipe::Receiver::from_file_unchecked(port)?, pipe::Sender::from_file_unchecked(other)?))
}

fn speed(baud: u32) -> io::Result<BaudRate> {
    match baud {
        9_600 => Ok(BaudRate::B9600),
        19_200 => Ok(BaudRate::B19200),
        38_400 => Ok(BaudRate::B38400),
        57_600 => Ok(BaudRate::B57600),
        115_200 => Ok(BaudRate::B115200),
        other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{other} bit/s"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgepoint_wire::panel::Lamp;
    use std::io::{Read as _, Write as _};

    /// A panel on a pseudo-terminal: the same frames as on a serial port.
    #[tokio::test]
    async fn a_panel_on_a_serial_port_hears_the_lamps_and_says_presses() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let name = nix::unistd::ttyname(&pty.slave).unwrap();
        let (lamps, shown) = watch::channel(Lamps { record: Lamp::On, ..Lamps::default() });
        let (presses, mut pressed) = mpsc::channel(4);
        let task = tokio::spawn(serve(PanelLine::Serial { device: name, baud: 115_200 }, shown, presses));

        let mut panel = File::from(pty.master);
        let (mut panel, heard) = tokio::task::spawn_blocking(move || {
            let mut frames = Reader::default();
            let mut heard = Vec::new();
            let mut byte = [0_u8];
            while heard.len() < 2 {
                panel.read_exact(&mut byte).unwrap();
                heard.extend(frames.push::<ToPanel>(byte[0]));
            }
            (panel, heard)
        })
        .await
        .unwrap();
        assert_eq!(heard, [ToPanel::Hello, ToPanel::Lamps(*lamps.borrow())]);
        panel.write_all(&[1, 2, 3, 0]).unwrap();
        panel.write_all(&encode(&FromPanel::LongPress)).unwrap();
        assert_eq!(pressed.recv().await, Some(Press::Long));
        task.abort();
    }
}
