//! Every import goes through one gate. An interface of another company is refused until the operator classifies it.
//! Then its calls are held, shown, performed by a program and answered, by configuration alone. An import that cannot
//! be gated is refused when the agent is loaded, and the error names it and says what to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "any_import/attacks.rs"]
mod attacks;
#[path = "any_import/credentials.rs"]
mod credentials;
#[path = "any_import/crm.rs"]
mod crm;
#[path = "any_import/differences.rs"]
mod differences;
#[path = "any_import/doubt.rs"]
mod doubt;
#[path = "any_import/facts.rs"]
mod facts;
#[path = "any_import/file_drop.rs"]
mod file_drop;
#[path = "any_import/gated.rs"]
mod gated;
#[path = "any_import/keyed.rs"]
mod keyed;
#[path = "any_import/long.rs"]
mod long;
#[path = "any_import/oauth.rs"]
mod oauth;
#[path = "any_import/page.rs"]
mod page;
#[path = "any_import/refused.rs"]
mod refused;
#[path = "any_import/requests.rs"]
mod requests;
#[path = "any_import/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;
