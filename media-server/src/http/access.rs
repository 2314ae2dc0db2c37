//! Who may ask: operators in a browser (cookie) and scripts (bearer token).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;
use server_core::session::{By, Origin};

use super::error::ApiError;
use super::{App, Peer};
use crate::clock::now_ms;
use crate::{auth, secret};

/// Name of the cookie.
const COOKIE: &str = "bp";
/// A login is good for a working day.
const LOGIN_MS: u64 = 12 * 3_600_000;
/// A page of somebody else cannot set this header on a request to us without our consent (CORS).
const CSRF: (&str, &str) = ("x-requested-with", "bridgepoint");

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    name: String,
    origin: Origin,
}

impl Who {
    /// As the journal names them.
    pub fn by(&self) -> By {
        By { kind: self.origin, who: self.name.clone() }
    }

    /// Their name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Body of a login.
#[derive(Deserialize)]
pub struct Login {
    user: String,
    password: String,
}

/// `POST /api/login`
pub async fn login(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    Json(login): Json<Login>,
) -> Result<Response, ApiError> {
    let address = peer.map_or_else(String::new, |Extension(Peer(address))| address.ip().to_string());
    if !app.wrong_passwords().may_try(&address, now_ms()) {
        let text = "too many wrong passwords; try again in five minutes".to_owned();
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, text));
    }
    let stored = app.store.password(&login.user)?;
    let checked = tokio::task::spawn_blocking(move || auth::check_password(&login.password, stored.as_deref()));
    if !checked.await.map_err(ApiError::internal)? {
        app.wrong_passwords().handle_failure(address, now_ms());
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong user name or password"));
    }
    let token = secret::token().map_err(ApiError::internal)?;
    let now = now_ms();
    app.store.put_login(&secret::sha256(token.as_bytes()), &login.user, now + LOGIN_MS, now)?;
    let cookie = format!("{COOKIE}={token}; Path=/; Max-Age={}; HttpOnly; Secure; SameSite=Strict", LOGIN_MS / 1_000);
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({ "user": login.user }))).into_response())
}

/// `POST /api/logout`
pub async fn logout(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(token) = cookie(&headers) {
        app.store.remove_login(&secret::sha256(token.as_bytes()))?;
    }
    let gone = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict");
    Ok(([(header::SET_COOKIE, gone)], Json(json!({}))).into_response())
}

/// `GET /api/me`
pub async fn me(Extension(who): Extension<Who>) -> Json<serde_json::Value> {
    Json(json!({ "user": who.name }))
}

/// Lets a request pass that comes from a known operator, with their name.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let headers = request.headers();
    let unknown = || ApiError::new(StatusCode::UNAUTHORIZED, "log in first");
    let who = match (bearer(headers), cookie(headers)) {
        (Some(token), _) => {
            let name = app.store.token(&secret::sha256(token.as_bytes()))?.ok_or_else(unknown)?;
            Who { name, origin: Origin::Bpctl }
        }
        (None, Some(token)) => {
            let name = app.store.login(&secret::sha256(token.as_bytes()), now_ms())?.ok_or_else(unknown)?;
            let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
            if changes && headers.get(CSRF.0).is_none_or(|value| value != CSRF.1) {
                let text = format!("the header {}: {} is missing", CSRF.0, CSRF.1);
                return Err(ApiError::new(StatusCode::FORBIDDEN, text));
            }
            Who { name, origin: Origin::Console }
        }
        (None, None) => return Err(unknown()),
    };
    request.extensions_mut().insert(who);
    Ok(next.run(request).await)
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}
