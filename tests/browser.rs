//! The review page as people use it: the real program, a real repository, ledger and mailbox, and a real browser.
//!
//! Without `chromium` and `chromedriver` on the path these tests are skipped, and the skip is reported.
#![allow(clippy::result_large_err, reason = "the driver's own error")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(clippy::print_stdout, reason = "how heavy a view is may be read")]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "browser/clocks.rs"]
mod clocks;
#[path = "browser/deciding.rs"]
mod deciding;
#[path = "browser/elsewhere.rs"]
mod elsewhere;
#[path = "browser/ink.rs"]
mod ink;
#[path = "browser/keys.rs"]
mod keys;
#[path = "support/outside.rs"]
mod outside;
#[path = "browser/person.rs"]
mod person;
#[path = "browser/scene.rs"]
mod scene;
#[path = "browser/settling.rs"]
mod settling;
#[path = "browser/signing_in.rs"]
mod signing_in;
#[path = "support/mod.rs"]
mod support;
#[path = "browser/together.rs"]
mod together;
#[path = "browser/views.rs"]
mod views;
#[path = "browser/wary.rs"]
mod wary;

use support::evidence;
