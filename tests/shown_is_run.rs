//! The content that a reviewer is shown, in the API and on a terminal, is exactly what they approve and what is done.
//!
//! The tests compute the digests a second time, from the documented form. They look at effects from outside: with
//! Python's mail parser, with git, and in the rows of the ledger.
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

#[path = "shown_is_run/alike.rs"]
mod alike;
#[path = "shown_is_run/asked.rs"]
mod asked;
#[path = "shown_is_run/attached.rs"]
mod attached;
#[path = "shown_is_run/cases.rs"]
mod cases;
#[path = "shown_is_run/cut_off.rs"]
mod cut_off;
#[path = "shown_is_run/decisions.rs"]
mod decisions;
#[path = "shown_is_run/effects.rs"]
mod effects;
#[path = "shown_is_run/established.rs"]
mod established;
#[path = "shown_is_run/imported.rs"]
mod imported;
#[path = "shown_is_run/large.rs"]
mod large;
#[path = "shown_is_run/performed.rs"]
mod performed;
#[path = "shown_is_run/unsaid.rs"]
mod unsaid;
#[path = "shown_is_run/values.rs"]
mod values;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{Folder, Host, Repository, evidence};

/// An operator's folder with a repository, its reviewers, and an agent that follows its task.
pub fn folder(more: &str) -> (Folder, Repository) {
    let reviewers = ["alice", "bob", "carol"]
        .map(|name| format!("[reviewers.{name}]\ntoken-sha256 = \"{}\"\n", hex(&Sha256::digest(token(name)))));
    let folder = Folder::new(
        &["scripted"],
        &format!("[deployment]\nrepository = \"shop.git\"\n\n{}\n{more}", reviewers.concat()),
    );
    let repository = Repository::bare(&folder.path().join("shop.git"));
    (folder, repository)
}

/// The token of a reviewer.
pub fn token(name: &str) -> String {
    format!("the token of {name}")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the RFC 8785 bytes of `value` under a tag.
fn tagged(tag: &str, value: &Value) -> String {
    let canonical = serde_json_canonicalizer::to_vec(value).unwrap();
    format!("sha256:{}", hex(&Sha256::new().chain_update(tag).chain_update([0]).chain_update(canonical).finalize()))
}

/// The digest of an action, computed from the approval that shows it.
pub fn action_digest(approval: &Value) -> String {
    let mut action = approval["proposal"]["action"].clone();
    action["format"] = json!(1);
    tagged("holdshort/action", &action)
}

/// The digest of everything that a decision rests on, computed from the approval that shows it.
pub fn clearance_digest(approval: &Value) -> String {
    let mut clearance = approval["proposal"].clone();
    clearance["format"] = json!(1);
    for field in ["journal", "run", "call", "revision"] {
        clearance[field] = approval[field].clone();
    }
    clearance["action"] = json!(action_digest(approval));
    tagged("holdshort/clearance", &clearance)
}

/// Checks that both digests of the host are those of the content that it shows, with its evidence, and that the
/// terminal shows the same.
pub fn assert_digests(folder: &Folder, host: &Host, approval: &Value) {
    assert_eq!(approval["action_digest"], action_digest(approval), "{approval}");
    assert_eq!(approval["digest"], clearance_digest(approval), "{approval}");
    let id = approval["id"].as_str().unwrap();
    for exhibit in approval["proposal"]["exhibits"].as_array().unwrap() {
        let text = evidence(host, approval, exhibit["title"].as_str().unwrap());
        assert_eq!(exhibit["digest"], format!("sha256:{}", hex(&Sha256::digest(&text))), "{exhibit}");
        assert_eq!(exhibit["bytes"], text.len(), "{exhibit}");
    }
    let shown = folder.run(&["approvals", "show", id, "--full"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let digest = approval["digest"].as_str().unwrap();
    assert!(shown.contains(digest), "no {digest} in\n{shown}");
}

/// The text of the exhibit whose title begins with `title`.
pub fn evidence(host: &Host, approval: &Value, title: &str) -> String {
    let exhibits = approval["proposal"]["exhibits"].as_array().unwrap();
    let exhibit = exhibits.iter().find(|exhibit| exhibit["title"].as_str().unwrap().starts_with(title));
    let digest = exhibit.unwrap_or_else(|| panic!("no `{title}` in {exhibits:?}"))["digest"].as_str().unwrap();
    let id = approval["id"].as_str().unwrap();
    host.get(&format!("/v1/approvals/{id}/exhibits/{digest}")).as_str().unwrap().to_owned()
}
