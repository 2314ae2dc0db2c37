//! `/api/sessions`

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use bridgepoint_wire::id::BadId;
use bridgepoint_wire::local::Program;
use bridgepoint_wire::{SessionId, SiteCode};
use serde::Deserialize;

use super::App;
use super::access::Who;
use super::error::ApiError;
use crate::hub::{Hub, OfSite, Picture};
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
pub async fn layouts(State(app): State<App>) -> Result<Json<Vec<String>>, ApiError> {
    let names = |hub: &mut Hub| hub.layouts().map(str::to_owned).collect();
    Ok(Json(app.hub.call(names).await?))
}

/// `POST /api/sessions/{id}/layout`
pub async fn lay_out(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Json(wanted): Json<Picture>,
) -> Result<Json<SessionJson>, ApiError> {
    let id = session(&id)?;
    Ok(Json(app.hub.call(move |hub| hub.lay_out(&id, wanted, &who.by())).await??))
}

/// Body of a switch of a program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    program: Program,
    on: bool,
}

/// `POST /api/sessions/{id}/program`
pub async fn switch_program(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Json(switch): Json<Switch>,
) -> Result<Json<SessionJson>, ApiError> {
    let id = session(&id)?;
    Ok(Json(app.hub.call(move |hub| hub.switch_program(&id, switch.program, switch.on, &who.by())).await??))
}

/// Body of a choice of the recorded program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    program: Program,
}

/// `POST /api/sessions/{id}/recorded`
pub async fn record_program(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Json(recorded): Json<Recorded>,
) -> Result<Json<SessionJson>, ApiError> {
    let id = session(&id)?;
    Ok(Json(app.hub.call(move |hub| hub.record_program(&id, recorded.program, &who.by())).await??))
}

/// `POST /api/sessions/{id}/site`
pub async fn stage_site(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Json(wanted): Json<OfSite>,
) -> Result<Json<SessionJson>, ApiError> {
    let id = session(&id)?;
    Ok(Json(app.hub.call(move |hub| hub.stage_site(&id, wanted, &who.by())).await??))
}

/// Body of a change of the floor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    sites: Vec<SiteCode>,
}

/// `POST /api/sessions/{id}/floor`
pub async fn floor(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
    Json(body): Json<Floor>,
) -> Result<Json<SessionJson>, ApiError> {
    let id = session(&id)?;
    Ok(Json(app.hub.call(move |hub| hub.give_floor(&id, body.sites, &who.by())).await??))
}

/// A session's id in a path.
pub fn session(text: &str) -> Result<SessionId, ApiError> {
    text.parse().map_err(|error: BadId| ApiError::bad(error.to_string()))
}
