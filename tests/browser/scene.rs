//! Hosts that people sign in to.

use std::path::Path;

use holdshort_gate::Digest;

use crate::outside::agent;
use crate::support::{Folder, Host, Repository, until};

/// The tokens of reviewers, for [`people`] and [`person`].
pub const ALICE: &str = "token-of-alice-0123456789";
pub const BOB: &str = "token-of-bob-0123456789";
pub const ANN: &str = "token-of-ann-0123456789";

/// The section of the reviewers.
pub fn people() -> String {
    person("alice", ALICE) + &person("bob", BOB)
}

/// The section of a reviewer.
pub fn person(name: &str, token: &str) -> String {
    let hash = Digest::of(token.as_bytes()).to_string();
    format!("[reviewers.{name}]\ntoken-sha256 = \"{}\"\n", hash.trim_start_matches("sha256:"))
}

/// A folder with a repository, a ledger and a Maildir, in which these agents act; `more` is added to the configuration.
pub fn shop(agents: &[&str], more: &str) -> Folder {
    let folder = Folder::new(&[], "");
    let agents: String = agents.iter().map(|name| agent(name)).collect();
    folder.configure(&format!(
        "{}{agents}{more}\n\
         [deployment]\nrepository = \"shop.git\"\n[repository]\npath = \"shop.git\"\n[checks.tests]\ncommand = [\"true\"]\n\
         [email]\npath = \"mail\"\nown-domains = [\"example.org\"]\n\
         [payments]\npath = \"books.db\"\n[payments.accounts.operating]\nopening = [\"1000.00 EUR\"]\n",
        people()
    ));
    Repository::bare(&folder.path().join("shop.git"));
    folder
}

/// The repository of a shop.
pub fn repository(folder: &Folder) -> Repository {
    Repository(folder.path().join("shop.git"))
}

/// Starts a run of this agent and waits for its held call. Returns the id of the run and the id of the call.
pub fn held(host: &Host, agent: &str, task: &str) -> (String, String) {
    let run = host.start(agent, task);
    let id = host.held(&run)["id"].as_str().unwrap().to_owned();
    (run, id)
}

/// A path in a folder.
pub fn at(folder: &Folder, name: &str) -> std::path::PathBuf {
    Path::new(folder.path()).join(name)
}

/// The id of the approval that a run waits for after the approval `id`.
pub fn next(host: &Host, run: &str, id: &str) -> String {
    until("next proposal", || Some(host.held(run)["id"].as_str()?.to_owned()).filter(|next| next != id))
}
