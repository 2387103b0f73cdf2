//! `Idempotency-Key`: a request that makes something may be sent again when its answer was lost, and makes it once
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! A key is its sender's own: two people may use the same one. What it has made is in the journal, in the event that made it, so a key is good for as
//! long as the journal, and after `kill -9`. The same key with another request is refused (422). Nothing is ever "in progress": the run and its key are
//! written together, so of two that come at the same time the second is answered like the first.
//!
//! No other `POST` needs one, because its path and body say what it is about: a decision names the digest of what was shown, a resolution the attempt,
//! a cancellation the run, a revocation the grant, and each counts once. A draft and a trial change nothing; a sign-in link that nobody follows ends by itself.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use holdshort_gate::{Digest, Request};
use serde_json::json;

use super::problem::{Kind, Problem};

/// The header's name.
const HEADER: &str = "idempotency-key";
/// Characters of a key: room for any UUID or hash.
const KEY_CHARS_MAX: usize = 128;

/// The key of a request, if its sender gave one.
pub(super) struct Key(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
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

/// A key as the draft writes it, in quotes, or without them, as many clients do.
fn read(text: &str) -> Option<&str> {
    let key = text.strip_prefix('"').map_or(Some(text), |rest| rest.strip_suffix('"'))?;
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:+/=-".contains(&byte));
    (plain && (1..=KEY_CHARS_MAX).contains(&key.len())).then_some(key)
}

impl Key {
    /// The request by which somebody asks for a run.
    pub(super) fn of_run(self, by: &str, agent: &str, task: &str) -> Option<Request> {
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
        let request = |key: &str, by, agent, task| Key(Some(key.into())).of_run(by, agent, task).unwrap();
        let first = request("k", "alice", "clerk", "pay");
        assert_eq!(request("k", "alice", "clerk", "pay"), first);
        assert_ne!(request("k", "bob", "clerk", "pay").key, first.key);
        assert_ne!(request("l", "alice", "clerk", "pay").key, first.key);
        assert_ne!(request("k", "alice", "clerkpay", "").asks, first.asks);
        assert_eq!(Key(None).of_run("alice", "clerk", "pay"), None);
    }
}
