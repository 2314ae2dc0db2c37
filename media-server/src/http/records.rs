//! `/api/records`: what was recorded.

use std::path::PathBuf;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use super::error::ApiError;
use super::sessions::session;
use super::{App, files};
use crate::archive::{self, FileJson};
use crate::views::SessionJson;

/// A session and its files.
#[derive(Serialize)]
pub struct RecordJson {
    #[serde(flatten)]
    session: SessionJson,
    files: Vec<FileJson>,
}

/// `GET /api/records`
pub async fn list(State(app): State<App>) -> Result<Json<Vec<RecordJson>>, ApiError> {
    let sessions = app.hub.snapshot().await?.sessions;
    let ended = sessions.into_iter().filter(|session| session.ended_at_ms.is_some());
    let record = |session: SessionJson| RecordJson { files: archive::files(session.archive.as_ref()), session };
    Ok(Json(ended.map(record).collect()))
}

/// `POST /api/records/{id}/verify`
pub async fn verify(State(app): State<App>, Path(id): Path<String>) -> Result<Json<serde_json::Value>, ApiError> {
    let id = session(&id)?;
    let folder = folder(&app, id.as_str())?;
    let trust = app.trust_pem.clone();
    let report = tokio::task::spawn_blocking(move || crate::verdict::verify(&folder, &trust));
    let (verdict, report) = report.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    app.hub.call(move |hub| hub.set_verdict(&id, &verdict)).await??;
    Ok(Json(report))
}

/// `GET /api/records/{id}/files/{name}`
pub async fn file(
    State(app): State<App>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let missing = || ApiError::missing(format!("the record has no file {name}"));
    archive::kind(&name).ok_or_else(missing)?;
    let path = folder(&app, &id)?.join(&name);
    files::serve(&path, content_type(&name), &headers).await?.ok_or_else(missing)
}

fn folder(app: &App, id: &str) -> Result<PathBuf, ApiError> {
    app.store.archive(id)?.ok_or_else(|| ApiError::missing(format!("there is no record {id}")))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "mp4")) => "video/mp4",
        Some((_, "jsonl")) => "application/x-ndjson",
        _ => "application/json",
    }
}
