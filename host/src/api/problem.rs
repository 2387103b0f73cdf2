//! Every error meets HTTP here (RFC 9457): the client gets a plain sentence and stable words to act on, the log gets the rest.

mod from;
mod kind;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdshort_gate::{Decision, Digest, Mismatch};
use serde::Serialize;
use utoipa::ToSchema;

pub use kind::Kind;

use super::json::Json;
use super::shapes::{DecisionShape, DigestShape};

/// The media type of every error answer.
pub const MEDIA: &str = "application/problem+json";

/// An error answer. Boxed, so that a `Result` stays small where nothing goes wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    retry_after_s: Option<u64>,
    details: Box<Details>,
}

/// What went wrong, and what to do about it.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = Problem)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// Says which problem it is, for programs; never changes its meaning.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:holdshort:problem:[a-z-]+$")]
    uri: String,
    /// The same for people.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// This very case, in plain words.
    detail: String,
    /// The digest to look at now, if the one that was named is out of date.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DigestShape>)]
    current_digest: Option<Digest>,
    /// The decision that came first, if a person's did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DecisionShape>)]
    winner: Option<Box<Decision>>,
    /// Where the call or the run stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// The attempt to look at now.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_attempt: Option<u32>,
    /// Where a value does not fit its type, or may not stand, such as `arguments.to[2]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// What the type asks for there.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// What was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    /// The names that would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Vec<String>>,
    /// The limit that was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
}

impl Problem {
    /// A problem of a kind, with this case in plain words.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (uri, title) = (format!("urn:holdshort:problem:{}", kind.slug()), kind.title());
        let details =
            Details { uri, title, status: kind.status().as_u16(), detail: detail.into(), ..Details::default() };
        Self { kind, retry_after_s: None, details: Box::new(details) }
    }

    /// There is no such thing.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what}"))
    }

    /// Which problem it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// This very case, in plain words.
    pub fn detail(&self) -> &str {
        &self.details.detail
    }

    /// When it is worth trying again.
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The limit that was passed.
    pub fn max(mut self, max: usize) -> Self {
        self.details.max = u64::try_from(max).ok();
        self
    }

    /// The names that would do.
    pub fn known(mut self, known: Vec<String>) -> Self {
        self.details.known = Some(known);
        self
    }

    pub(super) fn state(mut self, state: &'static str) -> Self {
        self.details.state = Some(state);
        self
    }

    fn mismatch(mut self, Mismatch { path, expected, found }: Mismatch) -> Self {
        self.details.path = Some(path);
        self.details.expected = Some(expected);
        self.details.found = Some(found);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.details.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self.details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA));
        if self.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"holdshort\""));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // For the door, which tells it as a page where a page was asked for.
        response.extensions_mut().insert(self);
        response
    }
}
