//! The media child: started, spoken to, watched, ended. One [`Life`] per process.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bridgepoint_wire::SiteCode;
use bridgepoint_wire::local::{FromMedia, Lettering, MediaConfig, Reader, ToMedia, encode};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::media_keys::MediaKeys;

/// After it has closed its socket, or was asked to end, a child may take this long.
const GRACE: Duration = Duration::from_secs(1);

/// What a child needs to know: of the box, and the site whose name its records have.
pub fn media_config(config: &Config, site: SiteCode, keys: &MediaKeys) -> MediaConfig {
    MediaConfig {
        site,
        camera: config.camera.clone(),
        microphones: config.sound.microphones.clone(),
        loudspeaker: config.sound.loudspeaker.clone(),
        sound_server: config.sound.server,
        encoders: config.board.encoder.order.clone(),
        preset: config.preset.clone(),
        records: config.records_dir.display().to_string(),
        returns: config.returns_dir.as_ref().map(|folder| folder.display().to_string()),
        decode_return: config.decode_return,
        dtls_cert: keys.dtls_cert(),
        dtls_key: keys.dtls_key(),
        screen: config.screen.as_ref().map(|screen| screen.at.clone()),
        lettering: config.screen.as_ref().map(|screen| Lettering {
            fonts: screen.fonts.clone().map(|file| file.display().to_string()),
            lang: screen.lang,
        }),
    }
}

/// What a child brings.
#[derive(Debug)]
pub enum MediaEvent {
    /// It has connected and waits for its configuration.
    Connected,
    /// It said something.
    Said(FromMedia),
    /// It is gone.
    Gone {
        /// Exit status or signal.
        seen: String,
    },
}

/// Where children connect.
pub struct Nursery {
    listener: Arc<UnixListener>,
    socket: PathBuf,
    events: mpsc::Sender<MediaEvent>,
}

/// A running child.
#[derive(Debug)]
pub struct Life {
    /// Its process id.
    pub pid: u32,
    commands: mpsc::Sender<ToMedia>,
    kill: mpsc::Sender<()>,
}

/// The child takes no more messages: it hangs or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the media child takes no more messages")]
pub struct Deaf;

impl Life {
    /// Tells the child something. Never waits.
    pub fn tell(&self, message: ToMedia) -> Result<(), Deaf> {
        self.commands.try_send(message).map_err(|_| Deaf)
    }

    /// Kills the child; [`MediaEvent::Gone`] follows.
    pub fn kill(&self) {
        let _ = self.kill.try_send(());
    }
}

impl Nursery {
    /// Listens on a socket in the runtime folder.
    ///
    /// # Errors
    /// The system's reason.
    pub fn open(runtime_dir: &Path) -> io::Result<(Self, mpsc::Receiver<MediaEvent>)> {
        let socket = runtime_dir.join("media.sock");
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // What a killed agent has left: the store's lock has shown that no other agent runs here.
            Ok(()) | Err(_) => {}
        }
        let listener = Arc::new(UnixListener::bind(&socket)?);
        let (events, received) = mpsc::channel(64);
        Ok((Self { listener, socket, events }, received))
    }

    /// Starts a child: this very program, as `media --socket`.
    ///
    /// # Errors
    /// The system's reason.
    pub fn start(&self) -> io::Result<Life> {
        let mut command = Command::new(own_program());
        command.arg("media").arg("--socket").arg(&self.socket);
        // Whether the program makes progress is the control process's to say.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command.stdin(Stdio::null()).kill_on_drop(true);
        // The kernel kills it at the moment when this process dies: two media children, the old one closing and the new one
        // opening the same session's files, would get in each other's way. Not the child's own first act: one that is
        // stopped before it came to that would stay for ever.
        // SAFETY: between fork and exec only one system call is made, prctl, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| set_pdeathsig(Some(Signal::SIGKILL)).map_err(Into::into));
        }
        let mut child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("ended at once"))?;
        let (commands, orders) = mpsc::channel(64);
        let (kill, killed) = mpsc::channel(1);
        let (listener, events) = (self.listener.clone(), self.events.clone());
        tokio::spawn(async move {
            let seen = live(&mut child, pid, &listener, orders, killed, &events).await;
            let _ = events.send(MediaEvent::Gone { seen }).await;
        });
        Ok(Life { pid, commands, kill })
    }

    /// Removes the socket.
    pub fn close(self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn live(
    child: &mut Child,
    pid: u32,
    listener: &UnixListener,
    orders: mpsc::Receiver<ToMedia>,
    mut killed: mpsc::Receiver<()>,
    events: &mpsc::Sender<MediaEvent>,
) -> String {
    let ended = tokio::select! {
        status = child.wait() => Some(status),
        asked = killed.recv() => {
            if asked.is_some() {
                let _ = child.start_kill();
            }
            None
        }
        () = converse(listener, pid, orders, events) => None,
    };
    let status = match ended {
        Some(status) => status,
        // The conversation is over: it has a moment to end by itself.
        None => match tokio::time::timeout(GRACE, child.wait()).await {
            Ok(status) => status,
            Err(_) => match child.start_kill() {
                Ok(()) => child.wait().await,
                Err(error) => Err(error),
            },
        },
    };
    status.map_or_else(|error| error.to_string(), describe)
}

/// The file that this program was started from; the kernel's own link to it when an update has replaced the file.
pub fn own_program() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        Ok(_) | Err(_) => PathBuf::from("/proc/self/exe"),
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Until the child hangs up or says what cannot be read.
async fn converse(
    listener: &UnixListener,
    pid: u32,
    mut orders: mpsc::Receiver<ToMedia>,
    events: &mpsc::Sender<MediaEvent>,
) {
    let Some(stream) = accept(listener, pid).await else { return };
    let (mut reader, mut writer) = stream.into_split();
    if events.send(MediaEvent::Connected).await.is_err() {
        return;
    }
    let write = async {
        while let Some(order) = orders.recv().await {
            if writer.write_all(&encode(&order)).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let mut frames = Reader::default();
        let mut bytes = vec![0_u8; 16 << 10];
        loop {
            match reader.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(read) => frames.push(&bytes[..read]),
            }
            loop {
                match frames.next() {
                    Ok(Some(message)) => {
                        if events.send(MediaEvent::Said(message)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the media child said something unreadable");
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

/// The connection of that very process; anybody else's is closed.
async fn accept(listener: &UnixListener, pid: u32) -> Option<UnixStream> {
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "media socket");
                return None;
            }
        };
        match stream.peer_cred() {
            Ok(peer) if peer.pid() == Some(pid as i32) => return Some(stream),
            Ok(peer) => tracing::warn!(pid = peer.pid(), "a stranger on the media socket was turned away"),
            Err(error) => tracing::warn!(%error, "media socket"),
        }
    }
}
