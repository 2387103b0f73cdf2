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
                match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be understood"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "A reviewer's token is needed"),
            Self::NotEligible => (StatusCode::FORBIDDEN, "not-eligible", "You may not decide on this call"),
            Self::OriginNotAllowed => (StatusCode::FORBIDDEN, "origin-not-allowed", "Requests from this web page are refused"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "The request took too long to arrive"),
            Self::StaleDigest => (StatusCode::CONFLICT, "stale-digest", "The approval has changed since it was shown"),
            Self::AlreadyDecided => (StatusCode::CONFLICT, "already-decided", "Already decided"),
            Self::NotNow => (StatusCode::CONFLICT, "not-now", "The current state does not allow this request"),
            Self::Expired => (StatusCode::GONE, "expired", "The approval has expired"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "The body must be JSON"),
            Self::HostNotServed => (StatusCode::MISDIRECTED_REQUEST, "host-not-served", "Unknown host name"),
            Self::WrongType => (StatusCode::UNPROCESSABLE_ENTITY, "wrong-type", "This type of decision does not fit the approval"),
            Self::DoesNotFit => (StatusCode::UNPROCESSABLE_ENTITY, "does-not-fit", "The value does not fit the function's type"),
            Self::NotPossible => (StatusCode::UNPROCESSABLE_ENTITY, "not-possible", "The edited action is invalid"),
            Self::NotAllowed => (StatusCode::UNPROCESSABLE_ENTITY, "not-allowed", "The edited action is not allowed"),
            Self::NoReceipt => (StatusCode::UNPROCESSABLE_ENTITY, "no-receipt", "A receipt is needed"),
            Self::Contradictory => (StatusCode::UNPROCESSABLE_ENTITY, "contradictory", "The parts of the request contradict each other"),
            Self::KeyUsed => (StatusCode::UNPROCESSABLE_ENTITY, "key-used", "The idempotency key was sent before with another request"),
            Self::UnknownAgent => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-agent", "There is no such agent"),
            Self::CannotRun => (StatusCode::UNPROCESSABLE_ENTITY, "cannot-run", "The agent cannot be run here"),
            Self::UnsoundPolicies => (StatusCode::UNPROCESSABLE_ENTITY, "unsound-policies", "The policies are invalid"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many requests"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The host failed"),
            Self::NotWritten => (StatusCode::SERVICE_UNAVAILABLE, "not-written", "Nothing was written"),
            Self::OutcomeUnknown => (StatusCode::SERVICE_UNAVAILABLE, "outcome-unknown", "The outcome of the write is unknown"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
        }
    }
}
