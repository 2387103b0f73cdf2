//! JSON that may be read as it comes: whoever asks with `curl` in a terminal must not be at the mercy of what an agent wrote.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::MEDIA;
use crate::review::visible;

/// An answer. Every character that a screen would swallow, reorder or obey stands in it as an escape of JSON's own, so that it reads back the same.
pub(super) struct Json<T>(pub(super) T);

/// A value as text in that form.
pub(super) fn text(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|text| visible::escaped(&text))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match text(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                let failed = r#"{"type":"urn:holdshort:problem:internal","title":"The host failed","status":500,"detail":"the host failed; its log says more"}"#;
                let media = [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA))];
                (StatusCode::INTERNAL_SERVER_ERROR, media, failed).into_response()
            }
        }
    }
}
