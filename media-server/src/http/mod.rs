//! HTTPS: the API, the console's pages, files of the archive. See docs/ref/http.md.

mod access;
mod assets;
mod error;
mod files;
mod live;
mod media;
mod planned;
mod records;
mod sessions;
mod sites;
mod updates;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post, put};
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::codes::Tries;
use crate::config::Config;
use crate::hub::HubHandle;
use crate::store::Store;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 512;
/// TLS handshake and request head must come within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest request body: an SDP offer, a list of sites.
const BODY: usize = 64 * 1024;
/// Wrong passwords: per address and in all, within five minutes.
const WRONG_PASSWORDS: (usize, usize, u64) = (8, 200, 300_000);

/// What every handler sees.
#[derive(Clone)]
pub struct App {
    hub: HubHandle,
    store: Arc<Store>,
    config: Arc<Config>,
    trust_pem: Arc<str>,
    wrong_passwords: Arc<Mutex<Tries<String>>>,
}

/// Who connects.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

impl App {
    /// What the handlers need.
    pub fn new(hub: HubHandle, store: Arc<Store>, config: Arc<Config>, trust_pem: &str) -> Self {
        let (per_address, in_all, window_ms) = WRONG_PASSWORDS;
        let wrong_passwords = Arc::new(Mutex::new(Tries::new(per_address, in_all, window_ms)));
        Self { hub, store, config, trust_pem: trust_pem.into(), wrong_passwords }
    }

    fn wrong_passwords(&self) -> std::sync::MutexGuard<'_, Tries<String>> {
        self.wrong_passwords.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All paths.
pub fn router(app: App) -> Router {
    let guarded = Router::new()
        .route("/api/me", get(access::me))
        .route("/api/logout", post(access::logout))
        .route("/api/sites", get(sites::list).post(sites::add))
        .route("/api/sites/{code}", get(sites::show))
        .route("/api/sites/{code}/code", post(sites::make_code))
        .route("/api/sites/{code}/reports", get(sites::reports))
        .route("/api/sites/{code}/calls", put(sites::set_calls))
        .route("/api/sites/{code}/loudspeaker", put(sites::set_loudspeaker))
        .route("/api/sites/{code}/camera", post(sites::camera))
        .route("/api/sites/{code}/sound-test", post(sites::test_sound))
        .route("/api/sites/{code}/sound-tests", get(sites::sound_tests))
        .route("/api/sites/{code}/update", post(updates::order))
        .route("/api/bundles", get(updates::list))
        .route("/api/sites/{code}/whip", post(sites::open_whip).delete(sites::close_whip))
        .route("/api/sessions", get(sessions::list).post(sessions::start))
        .route("/api/sessions/{id}", get(sessions::show))
        .route("/api/sessions/{id}/stop", post(sessions::stop))
        .route("/api/sessions/{id}/mute", post(sessions::mute))
        .route("/api/sessions/{id}/layout", post(sessions::lay_out))
        .route("/api/sessions/{id}/program", post(sessions::switch_program))
        .route("/api/sessions/{id}/recorded", post(sessions::record_program))
        .route("/api/sessions/{id}/site", post(sessions::stage_site))
        .route("/api/sessions/{id}/floor", post(sessions::floor))
        .route("/api/planned", get(planned::list).post(planned::add))
        .route("/api/planned/{id}", axum::routing::delete(planned::remove))
        .route("/api/layouts", get(sessions::layouts))
        .route("/api/records", get(records::list))
        .route("/api/records/{id}/files/{name}", get(records::file))
        .route("/api/records/{id}/verify", post(records::verify))
        .route("/api/whep/{id}", post(media::whep))
        .route("/api/whep/{id}/{viewer}", axum::routing::delete(media::whep_end))
        .route("/api/live", get(live::live))
        .route("/api/events", get(live::events))
        .route("/api/{*rest}", any(error::no_such_path))
        .layer(middleware::from_fn_with_state(app.clone(), access::guard));
    Router::new()
        .route("/api/login", post(access::login))
        .route("/bundles/{name}", get(updates::file))
        .route("/whip/{site}", post(media::whip).delete(media::whip_end))
        .merge(guarded)
        .merge(assets::router())
        .fallback(error::no_such_path)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(harden))
        .with_state(app)
}

/// Headers that keep a page of ours from being used by somebody else's, and answers from staying in a cache.
async fn harden(request: Request, next: Next) -> Response {
    const CSP: &str = "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; object-src 'none'; \
                       base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    const ALWAYS: [(HeaderName, &str); 7] = [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Serves until the listener fails for good.
pub async fn serve(listener: TcpListener, tls: TlsAcceptor, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                // Out of file descriptors, or the client has gone: neither ends the server.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, tls.accept(stream)).await else { return };
            let service = TowerToHyperService::new(router.layer(Extension(Peer(peer))));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
