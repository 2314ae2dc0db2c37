//! The worker's end of the line to the control process: frames of `wire::local` over a listening Unix socket.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{FromWorker, Reader, ToWorker, encode};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// A control process that does not read for this long is treated as gone.
const WRITE_DEADLINE: Duration = Duration::from_secs(2);

/// What the line delivers.
pub enum FromLine {
    /// A message of the control process.
    Message(ToWorker),
    /// The control process has gone.
    Gone,
}

/// The listening end; dropping it does not end its thread, the process does.
pub struct Line {
    shared: Arc<Mutex<Shared>>,
}

/// Says things to whichever control process is connected.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    control: Option<UnixStream>,
    /// What a control process that adopts this worker must know, newest of each kind.
    facts: BTreeMap<Fact, FromWorker>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    Opened,
    FirstProgramFrame,
    Recording,
    Site(SiteCode),
}

fn fact(message: &FromWorker) -> Option<Fact> {
    match message {
        FromWorker::Opened { .. } => Some(Fact::Opened),
        FromWorker::FirstProgramFrame { .. } => Some(Fact::FirstProgramFrame),
        FromWorker::Recording { .. } => Some(Fact::Recording),
        FromWorker::Site { code, .. } => Some(Fact::Site(code.clone())),
        FromWorker::Stats(_)
        | FromWorker::WhepAnswer { .. }
        | FromWorker::WhipAnswer { .. }
        | FromWorker::Fault { .. }
        | FromWorker::Closed { .. } => None,
    }
}

impl Line {
    /// Listens at `path` (a socket left there by a dead worker is replaced) and delivers what comes into `inputs`.
    pub fn listen(path: &Path, inputs: mpsc::Sender<FromLine>) -> std::io::Result<Self> {
        if UnixStream::connect(path).is_err() {
            let _ = std::fs::remove_file(path);
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let accepting = Arc::clone(&shared);
        std::thread::Builder::new().name("line".into()).spawn(move || accept(&listener, &accepting, &inputs))?;
        Ok(Self { shared })
    }

    /// A handle for those who have something to say.
    pub fn sender(&self) -> Sender {
        Sender { shared: Arc::clone(&self.shared) }
    }

    /// A control process is connected.
    pub fn is_connected(&self) -> bool {
        lock(&self.shared).control.is_some()
    }

    /// Ends the connection.
    pub fn close(&self) {
        if let Some(control) = lock(&self.shared).control.take() {
            let _ = control.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Sender {
    /// Says `message`; without a control process only what the next one must know is kept.
    pub fn say(&self, message: FromWorker) {
        let mut shared = lock(&self.shared);
        let frame = encode(&message);
        if let Some(fact) = fact(&message) {
            shared.facts.insert(fact, message);
        }
        if let Some(control) = shared.control.as_mut()
            && let Err(error) = control.write_all(&frame)
        {
            tracing::warn!(%error, "control process does not read");
            shared.control = None;
        }
    }
}

fn accept(listener: &UnixListener, shared: &Mutex<Shared>, inputs: &mpsc::Sender<FromLine>) {
    for stream in listener.incoming().flatten() {
        if !is_same_user(&stream) {
            tracing::warn!("refused a connection of another user");
            continue;
        }
        let Ok(mut reading) = stream.try_clone() else { continue };
        let _ = stream.set_write_timeout(Some(WRITE_DEADLINE));
        adopt(shared, stream);
        if deliver(&mut reading, inputs).is_none() {
            return;
        }
        lock(shared).control = None;
        if inputs.send(FromLine::Gone).is_err() {
            return;
        }
    }
}

/// Tells a control process what it must know of a conference that runs already.
fn adopt(shared: &Mutex<Shared>, mut stream: UnixStream) {
    let mut shared = lock(shared);
    let known = shared.facts.values().try_for_each(|fact| stream.write_all(&encode(fact)));
    shared.control = known.is_ok().then_some(stream);
}

/// Delivers messages until the control process goes; `None` when nobody takes them any more.
fn deliver(stream: &mut UnixStream, inputs: &mpsc::Sender<FromLine>) -> Option<()> {
    let mut reader = Reader::default();
    let mut piece = [0_u8; 16 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return Some(()),
            Ok(len) => reader.push(&piece[..len]),
        }
        loop {
            match reader.next::<ToWorker>() {
                Ok(Some(message)) => inputs.send(FromLine::Message(message)).ok()?,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "control process sent what cannot be read");
                    return Some(());
                }
            }
        }
    }
}

fn is_same_user(stream: &UnixStream) -> bool {
    getsockopt(stream, PeerCredentials).is_ok_and(|peer| peer.uid() == nix::unistd::getuid().as_raw())
}

/// A thread that panicked while it held this lock has left whole values behind: there is no half-done state in it.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
