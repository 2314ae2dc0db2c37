//! Serial ports of the box: 8 data bits, no parity, one stop bit.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::sys::termios::{self, BaudRate, SetArg};
use tokio::net::unix::pipe;

/// Opens a port in raw mode. Both ends are the port itself: the kernel's line can be polled like a pipe.
///
/// # Errors
/// The system's reason; a rate that no board names.
pub fn open(device: &Path, baud: u32) -> io::Result<(pipe::Receiver, pipe::Sender)> {
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
        2_400 => Ok(BaudRate::B2400),
        4_800 => Ok(BaudRate::B4800),
        9_600 => Ok(BaudRate::B9600),
        19_200 => Ok(BaudRate::B19200),
        38_400 => Ok(BaudRate::B38400),
        57_600 => Ok(BaudRate::B57600),
        115_200 => Ok(BaudRate::B115200),
        921_600 => Ok(BaudRate::B921600),
        other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{other} bit/s"))),
    }
}
