//! The kinds of problems with status, stable name and title.

use axum::http::StatusCode;

/// The kind of a problem. Its name is part of the API, and clients may depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    BadRequest,
    Unauthenticated,
    NotEligible,
    OriginNotAllowed,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    StaleDigest,
    AlreadyDecided,
    NotNow,
    Expired,
    TooLarge,
    NotJson,
    HostNotServed,
    WrongType,
    DoesNotFit,
    NotPossible,
    NotAllowed,
    NoReceipt,
    Contradictory,
    KeyUsed,
    UnknownAgent,
    CannotRun,
    UnsoundPolicies,
    TooMany,
    Internal,
    NotWritten,
    OutcomeUnknown,
    Unavailable,
}

impl Kind {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    /// The name after `urn:holdshort:problem:` in the member `type`.
    pub fn slug(self) -> &'static str {
        self.row().1
    }

    /// The title.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    #[rustfmt::skip]
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        type S = StatusCode;
        match self {
            Self::BadRequest => (S::BAD_REQUEST, "bad-request", "The request cannot be understood"),
            Self::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated", "A reviewer's token is needed"),
            Self::NotEligible => (S::FORBIDDEN, "not-eligible", "You may not decide on this call"),
            Self::OriginNotAllowed => (S::FORBIDDEN, "origin-not-allowed", "Requests from this web page are refused"),
            Self::NotFound => (S::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::TooSlow => (S::REQUEST_TIMEOUT, "too-slow", "The request took too long to arrive"),
            Self::StaleDigest => (S::CONFLICT, "stale-digest", "The approval has changed since it was shown"),
            Self::AlreadyDecided => (S::CONFLICT, "already-decided", "Already decided"),
            Self::NotNow => (S::CONFLICT, "not-now", "The current state does not allow this request"),
            Self::Expired => (S::GONE, "expired", "The approval has expired"),
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::NotJson => (S::UNSUPPORTED_MEDIA_TYPE, "not-json", "The body must be JSON"),
            Self::HostNotServed => (S::MISDIRECTED_REQUEST, "host-not-served", "Unknown host name"),
            Self::WrongType => (S::UNPROCESSABLE_ENTITY, "wrong-type", "This type of decision does not fit the approval"),
            Self::DoesNotFit => (S::UNPROCESSABLE_ENTITY, "does-not-fit", "The value does not fit the function's type"),
            Self::NotPossible => (S::UNPROCESSABLE_ENTITY, "not-possible", "The edited action is invalid"),
            Self::NotAllowed => (S::UNPROCESSABLE_ENTITY, "not-allowed", "The edited action is not allowed"),
            Self::NoReceipt => (S::UNPROCESSABLE_ENTITY, "no-receipt", "A receipt is needed"),
            Self::Contradictory => (S::UNPROCESSABLE_ENTITY, "contradictory", "The parts of the request contradict each other"),
            Self::KeyUsed => (S::UNPROCESSABLE_ENTITY, "key-used", "The idempotency key was sent before with another request"),
            Self::UnknownAgent => (S::UNPROCESSABLE_ENTITY, "unknown-agent", "There is no such agent"),
            Self::CannotRun => (S::UNPROCESSABLE_ENTITY, "cannot-run", "The agent cannot be run here"),
            Self::UnsoundPolicies => (S::UNPROCESSABLE_ENTITY, "unsound-policies", "The policies are invalid"),
            Self::TooMany => (S::TOO_MANY_REQUESTS, "too-many", "Too many requests"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "The host failed"),
            Self::NotWritten => (S::SERVICE_UNAVAILABLE, "not-written", "Nothing was written"),
            Self::OutcomeUnknown => (S::SERVICE_UNAVAILABLE, "outcome-unknown", "The outcome of the write is unknown"),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
        }
    }
}
