//! Carries a session's bytes over `embedded-io`.

use embedded_io::{Error as _, ErrorKind, Read, ReadReady, Write};

use super::Session;
use crate::Millis;

/// The line is broken, or the device behind it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError<E: core::error::Error + 'static> {
    /// Reading or writing failed.
    #[error("line lost")]
    Lost {
        /// What the device says.
        source: E,
    },
    /// The other end has hung up.
    #[error("line closed")]
    Closed,
}

/// A [`Session`] on a serial port, or on anything else that carries bytes.
///
/// A program on a microcontroller calls [`Line::poll`] in its loop, which never waits. On the box, where `serialport`
/// waits for bytes as long as its own timeout says, [`Line::listen`] is that wait.
pub struct Line<Io> {
    io: Io,
    /// What is carried: requests go in and events come out here.
    pub session: Session,
}

impl<Io: Read + Write> Line<Io> {
    /// A session on its line.
    pub const fn new(io: Io, session: Session) -> Self {
        Self { io, session }
    }

    /// Writes everything that is to be said now.
    ///
    /// # Errors
    /// [`LineError`]; what was being said is said again when the session hears no answer.
    pub fn transmit(&mut self, now: Millis) -> Result<(), LineError<Io::Error>> {
        let mut wrote = false;
        while let Some(bytes) = self.session.poll_transmit(now) {
            self.io.write_all(&bytes).map_err(lost)?;
            wrote = true;
        }
        if wrote { self.io.flush().map_err(lost) } else { Ok(()) }
    }

    /// Reads once, for as long as the line's own read waits. A read that times out is silence, not an error.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn listen(&mut self, clock: impl FnOnce() -> Millis) -> Result<(), LineError<Io::Error>> {
        let mut bytes = [0; 64];
        match self.io.read(&mut bytes) {
            Ok(0) => Err(LineError::Closed),
            Ok(read) => {
                self.session.handle_bytes(clock(), &bytes[..read]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(()),
            Err(source) => Err(lost(source)),
        }
    }

    /// The line, for example to change its baud rate.
    pub const fn io_mut(&mut self) -> &mut Io {
        &mut self.io
    }
}

impl<Io: Read + ReadReady + Write> Line<Io> {
    /// Reads what is there, lets time pass, writes what is to be said. Never waits for bytes.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn poll(&mut self, now: Millis) -> Result<(), LineError<Io::Error>> {
        while self.io.read_ready().map_err(lost)? {
            self.listen(|| now)?;
        }
        self.session.handle_timeout(now);
        self.transmit(now)
    }
}

const fn lost<E: core::error::Error>(source: E) -> LineError<E> {
    LineError::Lost { source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visca::{Config, Dialect, Event};
    use std::collections::VecDeque;

    /// A line whose other end is two queues.
    #[derive(Default)]
    struct Wire {
        to_us: VecDeque<u8>,
        from_us: Vec<u8>,
    }

    impl embedded_io::ErrorType for Wire {
        type Error = ErrorKind;
    }

    impl Read for Wire {
        fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
            // One at a time: pieces of packets, as a UART delivers them.
            let Some(byte) = self.to_us.pop_front() else { return Err(ErrorKind::TimedOut) };
            into[0] = byte;
            Ok(1)
        }
    }

    impl ReadReady for Wire {
        fn read_ready(&mut self) -> Result<bool, ErrorKind> {
            Ok(!self.to_us.is_empty())
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
            self.from_us.extend_from_slice(&bytes[..1]);
            Ok(1)
        }
        fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_takes_and_gives_one_byte_at_a_time_carries_a_session() {
        let session = Session::new(Config::new(Dialect::Serial), Millis(0));
        let mut line = Line::new(Wire::default(), session);
        line.poll(Millis(0)).unwrap();
        assert_eq!(line.io_mut().from_us, b"\x88\x30\x01\xFF");
        line.io_mut().to_us.extend(b"\x88\x30\x02\xFF");
        line.poll(Millis(5)).unwrap();
        assert_eq!(line.io_mut().from_us, b"\x88\x30\x01\xFF\x88\x01\x00\x01\xFF");
        line.io_mut().to_us.extend(b"\x88\x01\x00\x01\xFF");
        line.poll(Millis(9)).unwrap();
        assert_eq!(line.session.poll_event(), Some(Event::Ready { cameras: Some(1) }));
        line.listen(|| Millis(10)).unwrap();
    }
}
