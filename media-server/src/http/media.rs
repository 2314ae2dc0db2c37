//! WHEP for the console, WHIP for sites that are browsers or encoders.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::App;
use super::access::bearer;
use super::error::ApiError;
use super::sessions::session;
use super::sites::site;
use crate::hub::Answer;
use crate::secret;

/// The worker's answer must come within this.
const ANSWER: Duration = Duration::from_secs(5);
const SDP: &str = "application/sdp";

/// `POST /api/whep/{id}`
pub async fn whep(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    offer: String,
) -> Result<Response, ApiError> {
    must_be_sdp(&headers)?;
    let of = session(&id)?;
    let (viewer, answer) = app.hub.call(move |hub| hub.whep(&of, offer)).await??;
    created(answer, format!("/api/whep/{id}/{viewer}")).await
}

/// `DELETE /api/whep/{id}/{viewer}`
pub async fn whep_end(State(app): State<App>, Path((id, viewer)): Path<(String, u64)>) -> Result<StatusCode, ApiError> {
    let id = session(&id)?;
    app.hub.call(move |hub| hub.whep_end(&id, viewer)).await?;
    Ok(StatusCode::OK)
}

/// `POST /whip/{site}`
pub async fn whip(
    State(app): State<App>,
    Path(code): Path<String>,
    headers: HeaderMap,
    offer: String,
) -> Result<Response, ApiError> {
    let site = site(&code)?;
    must_hold_token(&app, &site, &headers)?;
    must_be_sdp(&headers)?;
    let answer = app.hub.call(move |hub| hub.whip(&site, offer)).await??;
    created(answer, format!("/whip/{code}")).await
}

/// `DELETE /whip/{site}`
pub async fn whip_end(
    State(app): State<App>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let site = site(&code)?;
    must_hold_token(&app, &site, &headers)?;
    app.hub.call(move |hub| hub.whip_end(&site)).await?;
    Ok(StatusCode::OK)
}

fn must_hold_token(app: &App, site: &bridgepoint_wire::SiteCode, headers: &HeaderMap) -> Result<(), ApiError> {
    let offered = bearer(headers).map(|token| secret::sha256(token.as_bytes()));
    // Hashes are compared: how long that takes tells nothing of the token.
    match (app.store.whip(site)?, offered) {
        (Some(stored), Some(offered)) if stored == offered => Ok(()),
        _ => Err(ApiError::new(StatusCode::UNAUTHORIZED, "this site is not open for WHIP with that token")),
    }
}

fn must_be_sdp(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(SDP) {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the body must be {SDP}")))
}

async fn created(answer: oneshot::Receiver<Answer>, location: String) -> Result<Response, ApiError> {
    let unavailable = |what: &str| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, what.to_owned());
    let answer = tokio::time::timeout(ANSWER, answer).await;
    let answer = answer.map_err(|_| unavailable("the conference does not answer; try again"))?;
    let answer = answer.map_err(|_| unavailable("the conference has ended"))?;
    let sdp = answer.map_err(ApiError::bad)?;
    Ok((StatusCode::CREATED, [(header::CONTENT_TYPE, SDP.to_owned()), (header::LOCATION, location)], sdp)
        .into_response())
}
