//! Agents ask language models through the host: each question is a routine call with its answer in the journal, the
//! secret stays with the host, and whatever a server says is a result that the agent can read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "models/answers.rs"]
mod answers;
#[path = "models/endpoint.rs"]
mod endpoint;
#[path = "models/measured.rs"]
mod measured;
#[path = "support/mod.rs"]
mod support;
#[path = "models/talk.rs"]
mod talk;

use support::Host;

/// A tool with which a model asks for an email.
pub const EMAIL: &str =
    r#"tool send_email {"type":"object","properties":{"to":{"type":"string"},"body":{"type":"string"}}}"#;

/// What a run returned.
pub fn result(host: &Host, run: &str) -> String {
    let over = host.over(run);
    assert_eq!(over["state"], "finished", "{over}: {}", host.said());
    over["result"]["ok"].as_str().unwrap_or_else(|| panic!("{over}")).to_owned()
}
