//! What a caller reads when a request was not served.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bridgepoint_wire::text::{Lang, Text};
use serde_json::{Value, json};

use crate::archive::ArchiveError;
use crate::hub::{Ended, Refused};
use crate::store::StoreError;

/// A request that was not served: status, one sentence, and the text for a person where there is one.
#[derive(Debug)]
pub struct ApiError(StatusCode, String, Option<(Text, String)>);

impl ApiError {
    /// Without a text of its own.
    pub fn new(status: StatusCode, what: impl Into<String>) -> Self {
        Self(status, what.into(), None)
    }

    /// The request itself is wrong.
    pub fn bad(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what)
    }

    /// What it names does not exist.
    pub fn missing(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// It was not carried out, and a person is told why.
    pub fn refused(why: Text, place: &impl ToString) -> Self {
        let place = place.to_string();
        let said = why.fill(Lang::En, &[&place]).replace('\n', " ");
        Self(StatusCode::CONFLICT, said, Some((why, place)))
    }

    /// The server's own fault; the log has the details.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0, Json(self.body())).into_response()
    }
}

impl ApiError {
    fn body(&self) -> Value {
        let mut body = json!({ "error": self.1 });
        if let Some((text, place)) = &self.2 {
            let say = |lang| {
                let message = text.message(lang);
                let fill = |part: &str| part.replace("{0}", place);
                json!({ "what": fill(message.what), "means": fill(message.means), "cure": fill(message.cure) })
            };
            body["message"] = json!({ "vi": say(Lang::Vi), "en": say(Lang::En) });
        }
        body
    }
}

impl From<Ended> for ApiError {
    fn from(error: Ended) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
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
            Refused::Exists(_)
            | Refused::Busy
            | Refused::NotCalled(_)
            | Refused::NoProgram(_)
            | Refused::TooManyPrograms(_)
            | Refused::Needed(_)
            | Refused::NoBox(_) => StatusCode::CONFLICT,
            Refused::TooFew | Refused::NoLayout { .. } | Refused::BadGain => StatusCode::BAD_REQUEST,
            Refused::Open(OpenError::Archive(ArchiveError::Full { .. } | ArchiveError::NotWritable { .. })) => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Refused::Open(
                OpenError::Closing | OpenError::Ports { .. } | OpenError::TooMany { .. } | OpenError::NoRoom(_),
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Open(_) | Refused::Store(_) | Refused::Random(_) => return Self::internal(error),
        };
        Self(status, error.to_string(), error.text())
    }
}

/// The answer for what does not exist.
pub async fn no_such_path() -> ApiError {
    ApiError::missing("there is no such path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_too_many_is_refused_in_both_languages() {
        let error = ApiError::from(Refused::TooManyPrograms(2));
        let body = error.body();
        assert_eq!(error.0, StatusCode::CONFLICT);
        assert!(body["error"].as_str().is_some_and(|said| said.starts_with("This server makes 2 programs")), "{body}");
        assert!(body["message"]["vi"]["what"].as_str().is_some_and(|said| said.contains("2 chương trình")), "{body}");
        assert!(ApiError::from(Refused::BadGain).body()["message"].is_null());
    }
}
