//! `Idempotency-Key`: a client that lost an answer may repeat a request that creates something. The
//! request takes effect once (draft-ietf-httpapi-idempotency-key-header).
//!
//! A key belongs to its sender: two reviewers may use the same key. The result is in the journal,
//! in the event that the request wrote. So a key remains valid as long as the journal exists, also
//! after `kill -9`. The same key with another request is refused (422). Run and key are written
//! together, so no request is "in progress": the second of two concurrent requests gets the answer
//! of the first.
//!
//! Other `POST` requests need no key, because path and body identify them: a decision names the
//! digest, a resolution the attempt, a cancellation the run, a revocation the grant, and each
//! counts once. A draft and a backtest change nothing. An unused sign-in link expires.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use holdshort_gate::{AgentName, Digest, Request, ReviewerName};
use serde_json::json;

use super::problem::{Kind, Problem};

/// The header's name.
const HEADER: &str = "idempotency-key";
/// The maximum length of a key, enough for any UUID or hash.
const KEY_CHARS_MAX: usize = 128;

/// The key of a request, if it has one.
pub(super) struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let key = value.to_str().ok().and_then(read).filter(|_| values.next().is_none());
        let wrong = || {
            let detail = format!(
                "send `Idempotency-Key` once, with 1 to {KEY_CHARS_MAX} letters, digits or `._:+/=-`, such as a UUID"
            );
            Problem::new(Kind::BadRequest, detail)
        };
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(wrong)
    }
}

/// Reads a key in quotes, as the draft requires, or without quotes, as many clients send it.
fn read(text: &str) -> Option<&str> {
    let key = text.strip_prefix('"').map_or(Some(text), |rest| rest.strip_suffix('"'))?;
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:+/=-".contains(&byte));
    (plain && (1..=KEY_CHARS_MAX).contains(&key.len())).then_some(key)
}

impl IdempotencyKey {
    /// The identity of a request to start a run.
    pub(super) fn of_run(self, by: &ReviewerName, agent: &AgentName, task: &str) -> Option<Request> {
        let digest = |value: serde_json::Value| Digest::of(value.to_string().as_bytes());
        let key = self.0?;
        Some(Request { key: digest(json!(["start-run", by, key])), asks: digest(json!([agent, task])) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_two_spellings_and_no_others() {
        let long = "k".repeat(KEY_CHARS_MAX);
        for (text, key) in [
            ("a", "a"),
            ("\"a\"", "a"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (&long, &long),
        ] {
            assert_eq!(read(text), Some(key), "{text}");
        }
        let longer = "k".repeat(KEY_CHARS_MAX + 1);
        for text in ["", "\"", "\"\"", "\"a", "a\"", "a b", "a,b", "\"a\";b=1", "é", "a\\", "'a'", &longer] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_its_senders_own() {
        let request = |key: &str, by: &'static str, agent: &'static str, task| {
            IdempotencyKey(Some(key.into())).of_run(&by.into(), &agent.into(), task).unwrap()
        };
        let first = request("k", "alice", "clerk", "pay");
        assert_eq!(request("k", "alice", "clerk", "pay"), first);
        assert_ne!(request("k", "bob", "clerk", "pay").key, first.key);
        assert_ne!(request("l", "alice", "clerk", "pay").key, first.key);
        assert_ne!(request("k", "alice", "clerkpay", "").asks, first.asks);
        assert_eq!(IdempotencyKey(None).of_run(&"alice".into(), &"clerk".into(), "pay"), None);
    }
}
