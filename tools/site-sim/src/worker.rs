//! A real conference worker, driven as the server's control process drives it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bridgepoint_wire::local::{FromWorker, Reader, ToWorker, encode};

/// How long anything may take that a worker is asked for.
const DEADLINE: Duration = Duration::from_secs(20);

/// A worker and the line to it.
pub struct Worker {
    child: Child,
    line: UnixStream,
    reader: Reader,
}

impl Worker {
    /// Starts `server worker` and connects to it.
    pub fn start(server: &Path, socket: &Path) -> anyhow::Result<Self> {
        let child = Command::new(server)
            .args(["worker", "--socket"])
            .arg(socket)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{}", server.display()))?;
        let since = Instant::now();
        let line = loop {
            match UnixStream::connect(socket) {
                Ok(line) => break line,
                Err(error) if since.elapsed() > DEADLINE => bail!("{}: {error}", socket.display()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        Ok(Self { child, line, reader: Reader::default() })
    }

    /// The worker's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says `message`.
    pub fn say(&mut self, message: &ToWorker) -> anyhow::Result<()> {
        Ok(self.line.write_all(&encode(message))?)
    }

    /// Waits for the first message that `wanted` takes; the others are dropped.
    pub fn wait_for<T>(&mut self, mut wanted: impl FnMut(FromWorker) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + DEADLINE;
        let mut piece = [0_u8; 16 * 1024];
        loop {
            while let Some(message) = self.reader.next::<FromWorker>()? {
                if let Some(found) = wanted(message) {
                    return Ok(found);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the worker did not answer within {DEADLINE:?}");
            }
            self.line.set_read_timeout(Some(left))?;
            match self.line.read(&mut piece)? {
                0 => bail!("the worker has gone"),
                len => self.reader.push(&piece[..len]),
            }
        }
    }

    /// Ends the conference and waits for the process.
    pub fn close(mut self) -> anyhow::Result<String> {
        self.say(&ToWorker::Close)?;
        let head = self.wait_for(|message| match message {
            FromWorker::Closed { head } => Some(head),
            _ => None,
        })?;
        self.child.wait()?;
        Ok(head)
    }
}
