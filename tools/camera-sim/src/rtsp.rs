//! A camera that streams H.264 by RTSP (RFC 2326): a file of access units, played round and round at its own pace.
//!
//! One video track, over the RTSP connection itself (*interleaved*, §10.12); who asks for UDP is refused (461), as
//! cameras behind a firewall do. Each client gets a stream of its own, which begins with the file's first picture.

mod rtp;
mod session;
mod stream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

pub use stream::Stream;

/// What to stream, and how badly.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// H.264 in the byte stream format (ITU-T H.264, Annex B), which begins with parameter sets and a key frame.
    pub file: PathBuf,
    /// Pictures a second.
    pub fps: u32,
    /// Who may watch (digest, RFC 2069); everybody when absent.
    pub account: Option<(String, String)>,
    /// How far its clock, which its sender reports tell, is ahead, milliseconds.
    pub skew_ms: i64,
    /// Parameter sets are in the session description and nowhere else.
    pub sets_outside: bool,
    /// After so long it sends no more pictures and keeps the connection open.
    pub stalls_after: Option<Duration>,
    /// It takes connections and answers nothing.
    pub deaf: bool,
}

/// Serves clients, each in a task of its own, until the task is dropped. `told` hears of the address first.
///
/// # Errors
/// The file or the address cannot be used.
pub async fn serve(config: Config, told: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let bytes = std::fs::read(&config.file).with_context(|| config.file.display().to_string())?;
    let stream = Arc::new(Stream::parse(&bytes).with_context(|| config.file.display().to_string())?);
    let listener = TcpListener::bind(config.listen).await.with_context(|| config.listen.to_string())?;
    told(listener.local_addr()?);
    let config = Arc::new(config);
    loop {
        let (socket, from) = listener.accept().await?;
        tracing::info!(%from, "a client");
        let (config, stream) = (Arc::clone(&config), Arc::clone(&stream));
        tokio::spawn(async move {
            match session::serve(socket, &config, &stream).await {
                Ok(()) => tracing::info!(%from, "has left"),
                Err(error) => tracing::info!(%from, "lost: {error}"),
            }
        });
    }
}
