//! A real conference worker, driven as the server's control process drives it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bridgepoint_wire::local::{FromWorker, Reader, ToWorker, encode};

/// How long anything may take that a worker is asked for.
const DEADLINE: Duration = Duration::from_secs(20);

/// A worker and the line to it.
pub struct Worker {
    child: Child,
    line: Mutex<UnixStream>,
    /// What the worker says, read at once: one that is not listened to takes its control process for dead.
    said: Mutex<Receiver<FromWorker>>,
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
        let reading = line.try_clone()?;
        let (to, said) = channel();
        std::thread::spawn(move || listen(reading, &to));
        Ok(Self { child, line: Mutex::new(line), said: Mutex::new(said) })
    }

    /// The worker's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says `message`.
    pub fn say(&self, message: &ToWorker) -> anyhow::Result<()> {
        Ok(self.line.lock().unwrap_or_else(PoisonError::into_inner).write_all(&encode(message))?)
    }

    /// Waits for the first message that `wanted` takes; the others are dropped.
    pub fn wait_for<T>(&self, mut wanted: impl FnMut(FromWorker) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + DEADLINE;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = said.recv_timeout(left).context("the worker has gone, or does not answer")?;
            if let Some(found) = wanted(message) {
                return Ok(found);
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

fn listen(mut line: UnixStream, to: &Sender<FromWorker>) {
    let mut reader = Reader::default();
    let mut piece = [0_u8; 16 * 1024];
    while let Ok(len @ 1..) = line.read(&mut piece) {
        reader.push(&piece[..len]);
        while let Ok(Some(message)) = reader.next() {
            if to.send(message).is_err() {
                return;
            }
        }
    }
}
