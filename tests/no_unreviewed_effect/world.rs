//! A host with reviewers, and the outside systems at which the effects of its agents arrive.

use holdshort_gate::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::outside::{self, Books, Branch, Maildir, Outside};
use crate::support::{Folder, Host};

/// Two reviewers besides `olivia`, who is the operator and starts the runs.
pub const ALICE: &str = "token-of-alice";
pub const BOB: &str = "token-of-bob";

pub struct World {
    _home: TempDir,
    pub folder: Folder,
    pub mail: Maildir,
    pub branch: Branch,
    pub books: Books,
}

impl World {
    /// A world; `approval` is the content of the configuration section with that name.
    pub fn new(approval: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mail = Maildir(home.path().join("mail"));
        let branch = Branch::new(&home.path().join("shop.git"));
        let books = Books(home.path().join("books.db"));
        let people = [("alice", ALICE), ("bob", BOB)].map(|(name, token)| {
            let hash = Digest::of(token.as_bytes()).to_string().replace("sha256:", "");
            format!("[reviewers.{name}]\ntoken-sha256 = \"{hash}\"\n")
        });
        let more = format!("[approval]\n{approval}\n{}{}{}", people.concat(), branch.section(), books.section());
        Self { folder: outside::folder(&mail, &more), _home: home, mail, branch, books }
    }

    /// The number of effects that have arrived in all places.
    pub fn effects(&self) -> usize {
        self.mail.count() + self.branch.count() + self.books.count()
    }

    /// One call for each capability.
    pub fn lines(&self) -> [String; 3] {
        [self.mail.line(), self.branch.line(), self.books.line()]
    }
}

/// Decides as the reviewer with this token. Returns the status, and the name of the problem if there is one.
pub fn decide(host: &Host, token: &str, id: &str, body: &Value) -> (u16, String) {
    let (status, answer) = host.request(token, &format!("/v1/approvals/{id}/decisions"), Some(body));
    let problem = answer["type"].as_str().unwrap_or_default().trim_start_matches("urn:holdshort:problem:");
    (status, problem.to_owned())
}

/// The decision that approves the revision that `approval` shows.
pub fn approve(approval: &Value) -> Value {
    json!({ "type": "approve", "digest": approval["digest"] })
}

pub fn id(approval: &Value) -> &str {
    approval["id"].as_str().unwrap()
}
