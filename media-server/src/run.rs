//! `run`: checks everything that can be wrong before anything is begun, then starts the pieces.

use std::fs;
use std::io::{self, Read as _};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bridgepoint_wire::text::Text;
use nix::fcntl::{Flock, FlockArg};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::http::{self, App};
use crate::hub::{Hub, HubHandle, Parts};
use crate::pki::Pki;
use crate::store::Store;
use crate::{archive, tls};

/// At the end: closing and sealing must be done within this.
const END_WITHIN: Duration = Duration::from_secs(40);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// What stops the start, as a text for the operator; [`crate::config::Faults`] for a wrong configuration.
pub fn run(file: &Path) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    archive::check(&config.archive_dir, config.min_free_mib)?;
    fs::create_dir_all(&config.runtime_dir).with_context(|| config.runtime_dir.display().to_string())?;
    fs::set_permissions(&config.runtime_dir, fs::Permissions::from_mode(0o700))
        .with_context(|| config.runtime_dir.display().to_string())?;
    let _lock = lock(&config.runtime_dir)?;
    let pki = Pki::load(&config.pki_dir)?;
    let store = Store::open(&config.database)?;
    let http = std::net::TcpListener::bind(config.http)
        .map_err(|error| port_taken(error, &config.http.to_string(), &config, "http.listen"))?;
    http.set_nonblocking(true)?;
    if store.unfinished()?.is_empty() {
        let address = format!("{}:{}", config.media.listen, config.media.port);
        UdpSocket::bind(&address).map_err(|error| port_taken(error, &address, &config, "media.port"))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let handle = runtime.handle().clone();
    runtime.block_on(serve(config, pki, store, http, handle))
}

async fn serve(
    config: Config,
    pki: Pki,
    store: Store,
    http: std::net::TcpListener,
    runtime: tokio::runtime::Handle,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (config, pki, store) = (Arc::new(config), Arc::new(pki), Arc::new(store));
    let acceptor = TlsAcceptor::from(Arc::new(tls::server((pki.server.0.clone(), pki.server.1.clone_key()))?));
    let parts = Parts { config: Arc::clone(&config), pki: Arc::clone(&pki), store: Arc::clone(&store) };
    let (hub, thread) = Hub::start(parts, runtime)?;
    let app = App::new(hub.clone(), store, Arc::clone(&config), &pki.trust_pem);
    let listener = tokio::net::TcpListener::from_std(http)?;
    let serving = tokio::spawn(http::serve(listener, acceptor, http::router(app)));
    tracing::info!(console = config.console(), "the centre runs");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending: running sessions are closed and sealed");
    let ended = tokio::time::timeout(END_WITHIN, end(&hub)).await;
    // The last requests and the hub's own handle go: its thread ends.
    serving.abort();
    let _ = serving.await;
    drop(hub);
    let _ = tokio::time::timeout(Duration::from_secs(2), tokio::task::spawn_blocking(move || thread.join())).await;
    match ended {
        Ok(ended) => ended,
        Err(_) => anyhow::bail!("a session could not be closed within {END_WITHIN:?}; the next start seals its record"),
    }
}

async fn end(hub: &HubHandle) -> anyhow::Result<()> {
    hub.call(Hub::stop_all).await?;
    while !hub.call(|hub| hub.is_idle()).await? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cool_down = hub.call(|hub| hub.cool_down()).await?;
    cool_down.await;
    // Orders to leave are on their way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(())
}

/// One control process per runtime folder.
fn lock(runtime_dir: &Path) -> anyhow::Result<Flock<fs::File>> {
    let path = runtime_dir.join("lock");
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        anyhow::anyhow!(
            "another server (process {}) runs with the folder {}. End it first, or use another configuration.",
            pid.trim(),
            runtime_dir.display()
        )
    })?;
    locked.set_len(0)?;
    io::Write::write_all(&mut &*locked, std::process::id().to_string().as_bytes())?;
    Ok(locked)
}

fn port_taken(error: io::Error, address: &str, config: &Config, key: &str) -> anyhow::Error {
    let place = format!("{} ({key})", config.file.display());
    match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!("{}", Text::PortTaken.both(&[address, &place])),
        _ => anyhow::Error::new(error).context(format!("{address}, {place}")),
    }
}
