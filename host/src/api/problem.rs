//! Converts every error to HTTP (RFC 9457): the client gets a plain sentence and stable members,
//! the log gets the details.

mod from;
mod kind;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdshort_gate::{CallState, Decision, Digest, Mismatch, RunState};
use serde::Serialize;
use utoipa::ToSchema;

pub use kind::Kind;

use super::json::Json;

/// The media type of error answers.
pub const MEDIA: &str = "application/problem+json";

/// An error answer. The details are boxed, so that a `Result` stays small.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    retry_after_s: Option<u64>,
    details: Box<Details>,
}

/// An error with its remedy.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// The kind of problem, for programs; its meaning never changes.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:holdshort:problem:[a-z-]+$")]
    uri: String,
    /// The kind of problem, for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The error of this request, in plain words.
    detail: String,
    /// The current digest, if the digest in the request is outdated.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_digest: Option<Digest>,
    /// The earlier decision, if a reviewer decided first.
    #[serde(skip_serializing_if = "Option::is_none")]
    winner: Option<Box<Decision>>,
    /// The state of the call or run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    state: Option<State>,
    /// The current attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_attempt: Option<u32>,
    /// The position of a value with the wrong type or in the wrong place, such as
    /// `arguments.to[2]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The expected type at that position.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// The value found there.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    /// The accepted names.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Vec<String>>,
    /// The limit that was exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
}

/// The state of a call or of a run.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum State {
    Call(CallState),
    Run(RunState),
}

impl From<CallState> for State {
    fn from(state: CallState) -> Self {
        Self::Call(state)
    }
}

impl From<RunState> for State {
    fn from(state: RunState) -> Self {
        Self::Run(state)
    }
}

impl Problem {
    /// A problem of a kind, with a description of this case.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (uri, title) = (format!("urn:holdshort:problem:{}", kind.slug()), kind.title());
        let details =
            Details { uri, title, status: kind.status().as_u16(), detail: detail.into(), ..Details::default() };
        Self { kind, retry_after_s: None, details: Box::new(details) }
    }

    /// The problem that something does not exist.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what}"))
    }

    /// The kind of the problem.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The description of this case.
    pub fn detail(&self) -> &str {
        &self.details.detail
    }

    /// Sets the seconds after which the client should try again (`Retry-After`).
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Sets the limit that was exceeded.
    pub fn max(mut self, max: usize) -> Self {
        self.details.max = u64::try_from(max).ok();
        self
    }

    /// Sets the accepted names.
    pub fn known(mut self, known: Vec<String>) -> Self {
        self.details.known = Some(known);
        self
    }

    pub(super) fn state(mut self, state: impl Into<State>) -> Self {
        self.details.state = Some(state.into());
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
        // The problem is attached to the answer, because the admission check converts it to a page if a page was
        // requested.
        response.extensions_mut().insert(self);
        response
    }
}
