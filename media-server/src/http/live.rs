//! What goes on, as it goes on.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, Stream};
use serde::Deserialize;

use super::App;
use super::error::ApiError;
use crate::store::EventRecord;

/// `GET /api/live`: the hub sends a snapshot each second and on change.
pub async fn live(State(app): State<App>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut watch = app.hub.watch();
    watch.mark_changed();
    Sse::new(stream::unfold(watch, async |mut watch| {
        watch.changed().await.ok()?;
        let snapshot = watch.borrow_and_update().clone();
        let event = Event::default().json_data(&*snapshot).unwrap_or_default();
        Some((Ok(event), watch))
    }))
}

/// How many events.
#[derive(Deserialize)]
pub struct Limit {
    limit: Option<u32>,
}

/// `GET /api/events`
pub async fn events(State(app): State<App>, Query(limit): Query<Limit>) -> Result<Json<Vec<EventRecord>>, ApiError> {
    Ok(Json(app.store.events(limit.limit.unwrap_or(100).min(1_000))?))
}
