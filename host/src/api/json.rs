//! JSON that may be read as it comes: whoever asks with `curl` in a terminal must not be at the mercy of what an agent wrote. And requests, read as
//! their types.
//!
//! **Invariant:** The endpoint's JSON can be read with `curl` in a terminal: a character that a screen would swallow, reorder or obey is an
//! escape of JSON. Only evidence is served as its bytes, because its digest covers the bytes.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};

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

/// Reads a value as its type; the error says which member is wrong and what is allowed there.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, inner) = (error.path().to_string(), plain(&error.into_inner().to_string()));
        // Of a member that is missing or unknown the error itself says the name.
        if path == "." || inner.contains("field `") { inner } else { format!("`{path}`: {inner}") }
    })
}

/// A JSON object as its type. By itself the library reads an array as well, member by member, which no schema describes.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        typed(Value::Object(Map::deserialize(deserializer)?)).map(Self).map_err(D::Error::custom)
    }
}

/// The words of the JSON library without the names of this program's types.
fn plain(text: &str) -> String {
    let Some((found, expected)) = text.split_once(", expected ") else { return text.to_owned() };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        "any valid JSON value" => "a value".to_owned(),
        text if text.starts_with("struct ") => "an object".to_owned(),
        text if text.starts_with("variant identifier") => "a word".to_owned(),
        text => text.to_owned(),
    };
    format!("{found}, expected {expected}")
}

/// A whole number may be written with a point (`3.0`), which is the same number in JSON.
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and in a range where it is exact"
        )]
        let pointed = |number: f64| {
            (number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
        };
        // No larger than a journal counts.
        let whole = number.as_u64().or_else(|| number.as_f64().and_then(pointed)).filter(|n| i64::try_from(*n).is_ok());
        let wrong = || D::Error::custom(format!("invalid value: {number}, expected a whole number of 0 or more"));
        whole.map(Self).ok_or_else(wrong)
    }
}

/// For a member that is a whole number.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    let Whole(number) = Whole::deserialize(deserializer)?;
    T::try_from(number).map_err(|_| D::Error::custom(format!("invalid value: {number} is too large")))
}

/// For a member that is an object of whole numbers.
pub(super) fn whole_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, u64>, D::Error> {
    let all = BTreeMap::<String, Whole>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|(name, Whole(number))| (name, number)).collect())
}

/// A value that is there, be it null.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
