//! Conference workers as processes: started ahead, spoken to over their socket, watched, ended.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridgepoint_wire::SessionId;
use bridgepoint_wire::local::{FromWorker, Reader, ToWorker, encode};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

/// A worker that does not listen within this is none.
const LISTEN_WITHIN: Duration = Duration::from_secs(10);
/// A worker that does not read for this long is hung.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// After the connection has ended, the process has this long to end by itself.
const END_WITHIN: Duration = Duration::from_millis(100);
/// Messages that wait for a worker.
const QUEUE: usize = 2_048;

/// What comes from workers.
#[derive(Debug)]
pub enum FromWorkers {
    /// A conference has a process.
    Process {
        /// Which session.
        session: SessionId,
        /// Its part.
        part: u32,
        /// Process id.
        pid: i32,
        /// Its socket.
        socket: PathBuf,
    },
    /// It said something.
    Said {
        /// Which session.
        session: SessionId,
        /// Its part.
        part: u32,
        /// What.
        message: FromWorker,
    },
    /// It is dead.
    Gone {
        /// Which session.
        session: SessionId,
        /// Its part.
        part: u32,
        /// What was seen.
        reason: String,
    },
}

/// One conference's worker, as the hub holds it.
#[derive(Debug)]
pub struct Handle {
    to: mpsc::Sender<ToWorker>,
    /// Known once it is there.
    pub pid: Option<i32>,
}

impl Handle {
    /// Says something; `false` when the worker does not keep up.
    pub fn say(&self, message: ToWorker) -> bool {
        self.to.try_send(message).is_ok()
    }

    /// Ends it by force; [`FromWorkers::Gone`] follows.
    pub fn kill(&self) {
        if let Some(pid) = self.pid {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

struct Process {
    stream: UnixStream,
    pid: i32,
    socket: PathBuf,
    /// `None`: a control process before this one started it.
    child: Option<Child>,
}

/// Starts workers and keeps one ready: its plugins are loaded when a button is pressed.
pub struct Workers {
    runtime_dir: PathBuf,
    warm: Arc<Mutex<Option<Process>>>,
    inputs: mpsc::Sender<FromWorkers>,
    runtime: tokio::runtime::Handle,
}

impl Workers {
    /// A pool in `runtime_dir` that reports to `inputs`. Starts the first worker.
    pub fn start(runtime_dir: &Path, inputs: mpsc::Sender<FromWorkers>, runtime: tokio::runtime::Handle) -> Self {
        let pool = Self { runtime_dir: runtime_dir.to_owned(), warm: Arc::new(Mutex::new(None)), inputs, runtime };
        pool.warm_up(Duration::ZERO);
        pool
    }

    /// Gives a part of a session a worker.
    pub fn open(&self, session: SessionId, part: u32, open: ToWorker) -> Handle {
        let (to, from_hub) = mpsc::channel(QUEUE);
        let (warm, dir, inputs) = (Arc::clone(&self.warm), self.runtime_dir.clone(), self.inputs.clone());
        self.runtime.spawn(async move {
            let ready = warm.lock().await.take();
            let process = match ready {
                Some(process) if process.is_alive() => Ok(process),
                _ => start(&dir).await,
            };
            match process {
                Ok(process) => drive(process, session, part, Some(open), from_hub, inputs).await,
                Err(error) => {
                    let reason = format!("it did not start: {error}");
                    let _ = inputs.send(FromWorkers::Gone { session, part, reason }).await;
                }
            }
        });
        // Later: a start must not share the machine with the next worker's start.
        self.warm_up(Duration::from_secs(5));
        Handle { to, pid: None }
    }

    /// Connects to the worker that a control process before this one has left, if it lives.
    pub fn adopt(&self, session: SessionId, part: u32, socket: &Path) -> Option<Handle> {
        let stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
        stream.set_nonblocking(true).ok()?;
        let _inside = self.runtime.enter();
        let stream = UnixStream::from_std(stream).ok()?;
        let pid = peer(&stream).ok()?;
        let process = Process { stream, pid, socket: socket.to_owned(), child: None };
        let (to, from_hub) = mpsc::channel(QUEUE);
        self.runtime.spawn(drive(process, session, part, None, from_hub, self.inputs.clone()));
        Some(Handle { to, pid: Some(pid) })
    }

    /// Ends the worker that was kept ready.
    pub fn cool_down(&self) -> impl Future<Output = ()> + Send + use<> {
        let warm = Arc::clone(&self.warm);
        async move {
            if let Some(mut process) = warm.lock().await.take()
                && let Some(child) = process.child.as_mut()
            {
                let _ = child.kill().await;
                let _ = std::fs::remove_file(&process.socket);
            }
        }
    }

    fn warm_up(&self, after: Duration) {
        let (warm, dir) = (Arc::clone(&self.warm), self.runtime_dir.clone());
        self.runtime.spawn(async move {
            tokio::time::sleep(after).await;
            let mut warm = warm.lock().await;
            if warm.as_ref().is_some_and(Process::is_alive) {
                return;
            }
            match start(&dir).await {
                Ok(process) => *warm = Some(process),
                Err(error) => tracing::error!(%error, "no conference worker could be started ahead"),
            }
        });
    }
}

impl Process {
    fn is_alive(&self) -> bool {
        // Nothing is said before `Open`: what can be read is the end of the connection.
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Starts a process and connects to it.
async fn start(dir: &Path) -> io::Result<Process> {
    let name = crate::secret::token().map_err(io::Error::other)?;
    let socket = dir.join(format!("worker-{}.sock", &name[..12]));
    let program = std::env::current_exe()?;
    let mut child = Command::new(program)
        .arg("worker")
        .arg("--socket")
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // A group of its own: Ctrl-C in a terminal ends the control process, which closes the conference properly.
        .process_group(0)
        .spawn()?;
    let begin = Instant::now();
    let stream = loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => break stream,
            Err(error) => {
                if let Some(status) = child.try_wait()? {
                    return Err(io::Error::other(format!("it ended at once ({status})")));
                }
                if begin.elapsed() > LISTEN_WITHIN {
                    let _ = child.kill().await;
                    return Err(error);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let pid = peer(&stream)?;
    if Some(pid) != child.id().map(|id| id as i32) {
        let _ = child.kill().await;
        return Err(io::Error::other("another process listens on its socket"));
    }
    Ok(Process { stream, pid, socket, child: Some(child) })
}

/// The process at the other end, which must be one of ours.
fn peer(stream: &UnixStream) -> io::Result<i32> {
    let peer = stream.peer_cred()?;
    if peer.uid() != nix::unistd::getuid().as_raw() {
        return Err(io::Error::other("the worker's socket belongs to another user"));
    }
    peer.pid().ok_or_else(|| io::Error::other("the system does not tell the worker's pid"))
}

/// Carries messages both ways until the process is dead.
async fn drive(
    process: Process,
    session: SessionId,
    part: u32,
    open: Option<ToWorker>,
    mut from_hub: mpsc::Receiver<ToWorker>,
    inputs: mpsc::Sender<FromWorkers>,
) {
    let Process { stream, pid, socket, child } = process;
    let started = FromWorkers::Process { session: session.clone(), part, pid, socket: socket.clone() };
    let _ = inputs.send(started).await;
    let (reading, mut writing) = stream.into_split();
    let read = read(reading, session.clone(), part, inputs.clone());
    let write = async {
        let mut next = open;
        loop {
            let message = match next.take() {
                Some(message) => message,
                None => from_hub.recv().await?,
            };
            let written = tokio::time::timeout(READ_WITHIN, writing.write_all(&encode(&message))).await;
            if !matches!(written, Ok(Ok(()))) {
                return Some("it does not read its socket");
            }
        }
    };
    // A hub that has gone is no reason to end a worker: the next control process adopts it.
    let seen = tokio::select! {
        seen = read => seen,
        Some(seen) = write => seen,
    };
    let reason = end(pid, child, seen).await;
    let _ = std::fs::remove_file(&socket);
    let _ = inputs.send(FromWorkers::Gone { session, part, reason }).await;
}

async fn read(
    mut reading: OwnedReadHalf,
    session: SessionId,
    part: u32,
    inputs: mpsc::Sender<FromWorkers>,
) -> &'static str {
    let mut reader = Reader::default();
    let mut piece = vec![0_u8; 64 * 1024];
    loop {
        match reading.read(&mut piece).await {
            Ok(0) | Err(_) => return "its connection ended",
            Ok(len) => reader.push(&piece[..len]),
        }
        loop {
            match reader.next::<FromWorker>() {
                Ok(Some(message)) => {
                    let said = FromWorkers::Said { session: session.clone(), part, message };
                    if inputs.send(said).await.is_err() {
                        return "nobody listens to it any more";
                    }
                }
                Ok(None) => break,
                Err(_) => return "it sent what cannot be read",
            }
        }
    }
}

/// Makes sure that the process is dead, so that its port and its files are free.
async fn end(pid: i32, child: Option<Child>, seen: &str) -> String {
    let Some(mut child) = child else {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        for _ in 0..50 {
            if kill(Pid::from_raw(pid), None).is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        return seen.to_owned();
    };
    let status = if let Ok(status) = tokio::time::timeout(END_WITHIN, child.wait()).await {
        status
    } else {
        let _ = child.start_kill();
        child.wait().await
    };
    match status {
        Ok(status) => format!("{seen}, {status}"),
        Err(error) => format!("{seen}, {error}"),
    }
}
