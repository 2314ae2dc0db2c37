//! What a caller reads when a request was not served.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::archive::ArchiveError;
use crate::hub::{Ended, Refused};
use crate::store::StoreError;

/// A request that was not served: status and one sentence.
#[derive(Debug)]
pub struct ApiError(pub StatusCode, pub String);

impl ApiError {
    /// The request itself is wrong.
    pub fn bad(what: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, what.into())
    }

    /// What it names does not exist.
    pub fn missing(what: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }

    /// The server's own fault; the log has the details.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why".into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<Ended> for ApiError {
    fn from(error: Ended) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<Refused> for ApiError {
    fn from(error: Refused) -> Self {
        use crate::hub::OpenError;
        let status = match &error {
            Refused::NoSite(_) | Refused::NoSession(_) => StatusCode::NOT_FOUND,
            Refused::Exists(_) | Refused::Busy | Refused::NotCalled(_) => StatusCode::CONFLICT,
            Refused::TooFew | Refused::NoLayout { .. } | Refused::BadGain => StatusCode::BAD_REQUEST,
            Refused::Open(OpenError::Archive(ArchiveError::Full { .. } | ArchiveError::NotWritable { .. })) => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Refused::Open(OpenError::Closing | OpenError::Ports { .. } | OpenError::TooMany { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refused::Open(_) | Refused::Store(_) | Refused::Random(_) => return Self::internal(error),
        };
        Self(status, error.to_string())
    }
}

/// The answer for what does not exist.
pub async fn no_such_path() -> ApiError {
    ApiError::missing("there is no such path")
}
