//! `/api/sessions`

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use bridgepoint_wire::id::BadId;
use bridgepoint_wire::{SessionId, SiteCode};
use serde::{Deserialize, Deserializer};

use super::App;
use super::access::Who;
use super::error::ApiError;
use crate::hub::Front;
use crate::views::SessionJson;

/// `GET /api/sessions`
pub async fn list(State(app): State<App>) -> Result<Json<Vec<SessionJson>>, ApiError> {
    Ok(Json(app.hub.snapshot().await?.sessions))
}

/// `GET /api/sessions/{id}`
pub async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<SessionJson>, ApiError> {
    let sessions = app.hub.snapshot().await?.sessions;
    let session = sessions.into_iter().find(|session| session.id.as_str() == id);
    session.map(Json).ok_or_else(|| ApiError::missing(format!("there is no session {id}")))
}

/// Body of a start.
#[derive(Deserialize)]
pub struct Start {
    sites: Vec<SiteCode>,
}

/// `POST /api/sessions`
pub async fn start(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Json(start): Json<Start>,
) -> Result<(StatusCode, Json<SessionJson>), ApiError> {
    let session = app.hub.call(move |hub| hub.start_session(&start.sites, who.by())).await??;
    Ok((StatusCode::CREATED, Json(session)))
}

/// `POST /api/sessions/{id}/stop`
pub async fn stop(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
) -> Result<Json<SessionJson>, ApiError> {
    let id = session(&id)?;
    Ok(Json(app.hub.call(move |hub| hub.stop(&id, &who.by())).await??))
}

/// Body of a mute.
#[derive(Deserialize)]
pub struct Mute {
    site: SiteCode,
    on: bool,
}

/// `POST /api/sessions/{id}/mute`
pub async fn mute(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Json(mute): Json<Mute>,
) -> Result<Json<SessionJson>, ApiError> {
    let id = session(&id)?;
    Ok(Json(app.hub.call(move |hub| hub.mute(&id, &mute.site, mute.on, &who.by())).await??))
}

/// `GET /api/layouts`: the names of all layouts.
pub async fn layouts() -> Json<Vec<&'static str>> {
    Json(server_core::Layout::names().collect())
}

/// Body of a change of layout; what is absent stays.
#[derive(Deserialize)]
pub struct LayOut {
    layout: Option<String>,
    #[serde(default, deserialize_with = "pinned_or_nobody")]
    front: Front,
}

/// A site's code, or `null` for nobody; an absent key keeps who is there.
fn pinned_or_nobody<'de, D: Deserializer<'de>>(value: D) -> Result<Front, D::Error> {
    Ok(Option::deserialize(value)?.map_or(Front::Nobody, Front::Pinned))
}

/// `POST /api/sessions/{id}/layout`
pub async fn lay_out(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Json(body): Json<LayOut>,
) -> Result<Json<SessionJson>, ApiError> {
    let id = session(&id)?;
    Ok(Json(app.hub.call(move |hub| hub.lay_out(&id, body.layout.as_deref(), body.front, &who.by())).await??))
}

/// A session's id in a path.
pub fn session(text: &str) -> Result<SessionId, ApiError> {
    text.parse().map_err(|error: BadId| ApiError::bad(error.to_string()))
}
