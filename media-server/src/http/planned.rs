//! `/api/planned`: sessions that are planned. The boxes of their sites say so on their screens.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::twin::Planned;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::sites::line;
use crate::clock::now_ms;
use crate::store::PlannedRecord;

/// Body of a planned session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct New {
    at_ms: u64,
    title: String,
    sites: Vec<SiteCode>,
}

/// `GET /api/planned`
pub async fn list(State(app): State<App>) -> Result<Json<Vec<PlannedRecord>>, ApiError> {
    Ok(Json(app.store.planned()?))
}

/// `POST /api/planned`
pub async fn add(State(app): State<App>, Json(new): Json<New>) -> Result<(StatusCode, Json<Value>), ApiError> {
    let title = line("a title", &new.title, Planned::MAX_TITLE)?;
    if new.at_ms <= now_ms() || i64::try_from(new.at_ms).is_err() {
        return Err(ApiError::bad("a session is planned for a time that is still to come"));
    }
    if new.sites.is_empty() {
        return Err(ApiError::bad("a planned session names the sites that are told of it"));
    }
    let planned = Planned { at_ms: new.at_ms, title };
    let number = app.hub.call(move |hub| hub.plan(&planned, &new.sites)).await??;
    Ok((StatusCode::CREATED, Json(json!({ "id": number }))))
}

/// `DELETE /api/planned/{id}`
pub async fn remove(State(app): State<App>, Path(number): Path<i64>) -> Result<StatusCode, ApiError> {
    if app.hub.call(move |hub| hub.unplan(number)).await?? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::missing(format!("there is no planned session {number}")))
    }
}
