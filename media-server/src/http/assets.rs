//! The console's pages, built into the program.

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::App;
use super::error::ApiError;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $kind:ident) => {
        Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../../console/", $name)) }
    };
}

const INDEX: Asset = asset!("index.html", HTML);

/// Every other file of `console/`; a test compares.
const ASSETS: &[Asset] = &[
    asset!("api.js", SCRIPT),
    asset!("app.js", SCRIPT),
    asset!("camera.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("events.js", SCRIPT),
    asset!("faults.js", SCRIPT),
    asset!("format.js", SCRIPT),
    asset!("live.js", SCRIPT),
    asset!("login.js", SCRIPT),
    asset!("logo.svg", IMAGE),
    asset!("loudspeaker.js", SCRIPT),
    asset!("planned.js", SCRIPT),
    asset!("records.js", SCRIPT),
    asset!("report.js", SCRIPT),
    asset!("session.js", SCRIPT),
    asset!("sessions.js", SCRIPT),
    asset!("sites.js", SCRIPT),
    asset!("soundtest.js", SCRIPT),
    asset!("style.css", STYLE),
    asset!("texts.js", SCRIPT),
    asset!("whep.js", SCRIPT),
];

/// `GET /` and `GET /assets/{name}`
pub fn router() -> Router<App> {
    Router::new().route("/", get(async || serve(&INDEX))).route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    asset.map(serve).ok_or_else(|| ApiError::missing(format!("there is no asset {name}")))
}

/// The browser asks again each time: the pages are small, and belong to this server's version.
fn serve(asset: &Asset) -> Response {
    ([(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "no-cache")], asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_console_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/console");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for name in names.filter(|name| name != "index.html") {
            assert!(ASSETS.iter().any(|asset| asset.name == name), "{name} is missing in ASSETS");
        }
    }
}
