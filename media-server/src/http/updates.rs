//! `/bundles` and `/api/sites/{code}/update`: systems of boxes, and the order to install one.
//!
//! A bundle needs no guard of its own: it holds no secret, and a box takes none but those that the fleet's key has signed.

use std::io::Read as _;
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bridgepoint_record::journal::hex;
use bridgepoint_wire::command::{Order, Outcome};
use bridgepoint_wire::text::Text;
use bridgepoint_wire::update::Update;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::sites::site;
use super::{App, files};

/// What bundles end with.
const ENDING: &str = ".raucb";
/// The longest version that a manifest has.
const VERSION: usize = 64;

/// `GET /bundles/{name}`
pub async fn file(State(app): State<App>, Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let missing = || ApiError::missing(format!("there is no bundle {name}"));
    let path = bundle(&app, &name).ok_or_else(missing)?;
    files::serve(&path, "application/vnd.rauc.bundle", &headers).await?.ok_or_else(missing)
}

/// `GET /api/bundles`: what lies there.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Value>>, ApiError> {
    let dir = app.config.bundles_dir.clone();
    let found = tokio::task::spawn_blocking(move || {
        let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let named =
            entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?.len())));
        let mut bundles: Vec<(String, u64)> = named.filter(|(name, _)| is_name(name)).collect();
        bundles.sort();
        bundles
    });
    let found = found.await.map_err(ApiError::internal)?;
    Ok(Json(found.into_iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect()))
}

/// Body of an update.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct New {
    bundle: String,
    version: String,
}

/// `POST /api/sites/{code}/update`: answered when the box has begun it, or would not.
pub async fn order(
    State(app): State<App>,
    Path(code): Path<String>,
    Json(new): Json<New>,
) -> Result<Json<Value>, ApiError> {
    let site = site(&code)?;
    let New { bundle: name, version } = new;
    if version.is_empty() || version.len() > VERSION || version.chars().any(char::is_control) {
        return Err(ApiError::bad(format!("a version has 1 to {VERSION} bytes, as the bundle's manifest says it")));
    }
    let missing = || ApiError::missing(format!("there is no bundle {name}"));
    let path = bundle(&app, &name).ok_or_else(missing)?;
    let measured = tokio::task::spawn_blocking(move || measure(&path)).await.map_err(ApiError::internal)?;
    let (bytes, sha256) = measured.map_err(|_| missing())?;
    let url = format!("{}bundles/{name}", app.config.console());
    let update = Update { version, url, bytes, sha256 };
    let answer = json!({ "site": site, "update": update });
    match app.ask_box(&site, Order::Update(Box::new(update))).await? {
        Some(Outcome::Accepted) => Ok(Json(answer)),
        Some(Outcome::Refused(_)) => Err(ApiError::refused(Text::UpdateNotNow, &site)),
        None => Err(ApiError::refused(Text::BoxNotReached, &site)),
    }
}

/// Where a bundle of this name would lie.
fn bundle(app: &App, name: &str) -> Option<PathBuf> {
    is_name(name).then(|| app.config.bundles_dir.join(name))
}

/// A name leads nowhere else.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.len() > ENDING.len() && name.ends_with(ENDING) && !name.starts_with('.') && name.bytes().all(plain)
}

/// Length and SHA-256.
fn measure(path: &std::path::Path) -> std::io::Result<(u64, String)> {
    let mut file = std::fs::File::open(path)?;
    let (mut context, mut bytes, mut block) = (Context::new(&SHA256), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok((bytes, hex(context.finish().as_ref()))),
            read => {
                context.update(&block[..read]);
                bytes += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for good in ["a.raucb", "bridgepoint-bundle-rpi-cm4_1.2.0.raucb"] {
            assert!(is_name(good), "{good}");
        }
        for bad in [".raucb", "..raucb", "a", "../a.raucb", "a/b.raucb", "a b.raucb", "a%2f.raucb", ".hidden.raucb"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
