//! `/api/sites`

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use bridgepoint_wire::SiteCode;
use bridgepoint_wire::camera::{CameraAction, CameraOrder};
use bridgepoint_wire::command::{Order, Outcome};
use bridgepoint_wire::event::CommandRefusal;
use bridgepoint_wire::id::BadId;
use bridgepoint_wire::text::Text;
use bridgepoint_wire::twin::Volume;
use serde::Deserialize;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;

use super::App;
use super::access::Who;
use super::error::ApiError;
use crate::secret;
use crate::store::{EventRecord, ReportRecord};
use crate::views::SiteJson;

/// A box on the slowest of lines answers within this; an operator at a joystick waits no longer.
const BOX_ANSWERS: Duration = Duration::from_secs(3);
/// So many of a site's sound tests are told, newest first.
const SOUND_TESTS: u32 = 20;
/// The longest name of a site that fits a plate.
const NAME: usize = 80;

/// `GET /api/sites`
pub async fn list(State(app): State<App>) -> Result<Json<Vec<SiteJson>>, ApiError> {
    Ok(Json(app.hub.snapshot().await?.sites))
}

/// `GET /api/sites/{code}`
pub async fn show(State(app): State<App>, Path(code): Path<String>) -> Result<Json<SiteJson>, ApiError> {
    let sites = app.hub.snapshot().await?.sites;
    let site = sites.into_iter().find(|site| site.code.as_str() == code);
    site.map(Json).ok_or_else(|| ApiError::missing(format!("there is no site {code}")))
}

/// Body of a new site.
#[derive(Deserialize)]
pub struct New {
    code: SiteCode,
    name: String,
}

/// `POST /api/sites`
pub async fn add(State(app): State<App>, Json(new): Json<New>) -> Result<(StatusCode, Json<Value>), ApiError> {
    let name = line("a site's name", &new.name, NAME)?;
    let answer = json!({ "code": new.code, "name": name });
    app.hub.call(move |hub| hub.add_site(&new.code, &name)).await??;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// `POST /api/sites/{code}/code`
pub async fn make_code(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(code): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let site = site(&code)?;
    let (code, expires_at_ms) = app.hub.call(move |hub| hub.make_code(&site, who.name())).await??;
    Ok(Json(json!({ "code": code, "expires_at_ms": expires_at_ms })))
}

/// `GET /api/sites/{code}/reports`
pub async fn reports(State(app): State<App>, Path(code): Path<String>) -> Result<Json<Vec<ReportRecord>>, ApiError> {
    Ok(Json(app.store.reports(&site(&code)?)?))
}

/// `PUT /api/sites/{code}/calls`
pub async fn set_calls(
    State(app): State<App>,
    Path(code): Path<String>,
    Json(calls): Json<Vec<SiteCode>>,
) -> Result<Json<Value>, ApiError> {
    let site = site(&code)?;
    if calls.contains(&site) {
        return Err(ApiError::bad("a site does not call itself"));
    }
    let answer = json!(calls);
    app.hub.call(move |hub| hub.set_calls(&site, &calls)).await??;
    Ok(Json(answer))
}

/// `PUT /api/sites/{code}/loudspeaker`: `null` leaves it to the box's own configuration.
pub async fn set_loudspeaker(
    State(app): State<App>,
    Path(code): Path<String>,
    Json(volume): Json<Option<Volume>>,
) -> Result<Json<Value>, ApiError> {
    let site = site(&code)?;
    if volume.is_some_and(|volume| volume.percent > 100) {
        return Err(ApiError::bad("a loudspeaker's percent is 0 to 100"));
    }
    app.hub.call(move |hub| hub.set_loudspeaker(&site, volume)).await??;
    Ok(Json(json!(volume)))
}

/// `POST /api/sites/{code}/whip`
pub async fn open_whip(State(app): State<App>, Path(code): Path<String>) -> Result<Json<Value>, ApiError> {
    let site = site(&code)?;
    let token = secret::token().map_err(ApiError::internal)?;
    let url = format!("{}whip/{site}", app.config.console());
    let answer = json!({ "url": url, "token": token });
    app.hub.call(move |hub| hub.set_whip(&site, Some(&token))).await??;
    Ok(Json(answer))
}

/// `DELETE /api/sites/{code}/whip`
pub async fn close_whip(State(app): State<App>, Path(code): Path<String>) -> Result<StatusCode, ApiError> {
    let site = site(&code)?;
    app.hub.call(move |hub| hub.set_whip(&site, None)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/sites/{code}/camera`: answered when the box has begun it, or would not.
pub async fn camera(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(code): Path<String>,
    Json(action): Json<CameraAction>,
) -> Result<Json<Value>, ApiError> {
    let site = site(&code)?;
    let order = Order::Camera(CameraOrder { operator: who.name().to_owned(), action });
    match app.ask_box(&site, order).await? {
        Some(Outcome::Accepted) => Ok(Json(json!({ "site": site }))),
        Some(Outcome::Refused(CommandRefusal::Camera(reason))) => Err(ApiError::refused(reason.text(), &site)),
        Some(Outcome::Refused(_)) | None => Err(ApiError::refused(Text::BoxNotReached, &site)),
    }
}

/// Body of a test of a site's sound.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundTest {
    /// What is measured becomes what later tests are compared with.
    #[serde(default)]
    install: bool,
}

/// `POST /api/sites/{code}/sound-test`: answered when the box has begun it, or would not.
pub async fn test_sound(
    State(app): State<App>,
    Path(code): Path<String>,
    Json(test): Json<SoundTest>,
) -> Result<Json<Value>, ApiError> {
    let site = site(&code)?;
    match app.ask_box(&site, Order::TestSound { install: test.install }).await? {
        Some(Outcome::Accepted) => Ok(Json(json!({ "site": site }))),
        Some(Outcome::Refused(CommandRefusal::NotNow)) => Err(ApiError::refused(Text::SoundTestNotNow, &site)),
        Some(Outcome::Refused(_)) | None => Err(ApiError::refused(Text::BoxNotReached, &site)),
    }
}

/// `GET /api/sites/{code}/sound-tests`
pub async fn sound_tests(State(app): State<App>, Path(code): Path<String>) -> Result<Json<Vec<EventRecord>>, ApiError> {
    Ok(Json(app.store.sound_tests(&site(&code)?, SOUND_TESTS)?))
}

impl App {
    /// What the box says to it; `None` when it does not answer in time.
    pub async fn ask_box(&self, site: &SiteCode, order: Order) -> Result<Option<Outcome>, ApiError> {
        let of = site.clone();
        let answer = self.hub.call(move |hub| hub.ask_box(&of, order)).await??;
        Ok(tokio::time::timeout(BOX_ANSWERS, answer).await.ok().and_then(Result::ok))
    }
}

/// A text that is shown on one line: trimmed, NFC, of at most `most` characters.
pub fn line(what: &str, text: &str, most: usize) -> Result<String, ApiError> {
    let line: String = text.trim().nfc().collect();
    if line.is_empty() || line.chars().count() > most || line.chars().any(char::is_control) {
        return Err(ApiError::bad(format!("{what} has 1 to {most} characters and no control characters")));
    }
    Ok(line)
}

/// A site's code in a path.
pub fn site(text: &str) -> Result<SiteCode, ApiError> {
    text.parse().map_err(|error: BadId| ApiError::bad(error.to_string()))
}
