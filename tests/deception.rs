//! Deception: texts that are made to be misread (`data/deception/corpus.json`), in every field that an agent or a
//! program can fill, in every output that a person reads.
//!
//! Every character of each text can be seen, and none has an effect on the output. A disguised text has a warning, and
//! no line of a text looks like a line of the host's. Otherwise the call is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "http/client.rs"]
#[allow(dead_code, reason = "the tests of the endpoint use more of it")]
mod client;
#[path = "http/schema.rs"]
#[allow(dead_code, reason = "the tests of the endpoint use more of it")]
mod schema;
#[path = "support/mod.rs"]
mod support;
#[path = "http/world.rs"]
#[allow(dead_code, reason = "the tests of the endpoint use more of it")]
mod world;

#[path = "deception/browsed.rs"]
mod browsed;
#[path = "deception/corpus.rs"]
mod corpus;
#[path = "deception/honest.rs"]
mod honest;
#[path = "deception/hosted.rs"]
mod hosted;
#[path = "deception/pages.rs"]
mod pages;
#[path = "deception/printed.rs"]
mod printed;

use support::evidence;
