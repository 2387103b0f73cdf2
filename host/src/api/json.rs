//! Writes JSON that is safe to print on a terminal, because a reviewer may use `curl`, and parses
//! requests into types.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};

use super::problem::MEDIA;
use crate::review::visible;

/// A JSON answer. Characters that a screen would hide, reorder or obey are written as JSON escapes;
/// clients read the same value.
pub(super) struct Json<T>(pub(super) T);

/// Writes a value as JSON text with these escapes.
pub(super) fn text(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|text| visible::escaped(&text))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match text(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                let failed = r#"{"type":"urn:holdshort:problem:internal","title":"The host failed","status":500,"detail":"the host failed; the host's log has details"}"#;
                let media = [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA))];
                (StatusCode::INTERNAL_SERVER_ERROR, media, failed).into_response()
            }
        }
    }
}

/// Parses a value into its type. The error names the wrong member and the allowed values.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, inner) = (error.path().to_string(), plain(&error.into_inner().to_string()));
        // For a missing or unknown member, the error itself contains the name.
        if path == "." || inner.contains("field `") { inner } else { format!("`{path}`: {inner}") }
    })
}

/// A JSON object that is parsed into its type. Without this type, the library would also accept an
/// array of the members, which no schema describes.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        typed(Value::Object(Map::deserialize(deserializer)?)).map(Self).map_err(D::Error::custom)
    }
}

/// The library's error text without Rust type names.
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

/// A whole number. JSON allows a decimal point (`3.0`) for the same number.
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
        // A journal cannot store a number above `i64::MAX`.
        let whole = number.as_u64().or_else(|| number.as_f64().and_then(pointed)).filter(|n| i64::try_from(*n).is_ok());
        let wrong = || D::Error::custom(format!("invalid value: {number}, expected a whole number of 0 or more"));
        whole.map(Self).ok_or_else(wrong)
    }
}

/// Deserializes a member that is a whole number.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    let Whole(number) = Whole::deserialize(deserializer)?;
    T::try_from(number).map_err(|_| D::Error::custom(format!("invalid value: {number} is too large")))
}

/// Deserializes a member that is an object of whole numbers.
pub(super) fn whole_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, u64>, D::Error> {
    let all = BTreeMap::<String, Whole>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|(name, Whole(number))| (name, number)).collect())
}

/// Deserializes a member that is present. `null` becomes `Some`, so it differs from a missing
/// member.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
