//! Folders for the tests of the command line.

use std::fs;
use std::path::Path;

use crate::support::{Folder, Repository, until};

/// The configuration for the bare repository `shop.git` in the same folder. Its check always passes.
pub const SHOP: &str = r#"
[deployment]
repository = "shop.git"

[repository]
path = "shop.git"

[checks.tests]
command = ["true"]
confinement = "off"
"#;

/// A folder with a repository in which `main` is one commit ahead of `production`.
pub fn shop(agents: &[&str]) -> (Folder, Repository) {
    let folder = Folder::new(agents, SHOP);
    let repository = Repository::bare(&folder.path().join("shop.git"));
    (folder, repository)
}

/// A folder with the agent that makes the calls of its task, and the Maildir `mail`.
pub fn post_office(more: &str) -> Folder {
    let mail = "[email]\npath = \"mail\"\nown-domains = [\"example.org\"]\n";
    let folder = Folder::new(&["scripted"], &format!("{SHOP}{mail}{more}"));
    Repository::bare(&folder.path().join("shop.git"));
    folder
}

/// The number of emails that have been delivered.
pub fn letters(folder: &Folder) -> usize {
    fs::read_dir(folder.path().join("mail/new")).unwrap().count()
}

/// Waits until `find` finds something in a file. It is used for the output of a program that still runs.
pub fn in_file<T>(what: &str, path: &Path, mut find: impl FnMut(&str) -> Option<T>) -> T {
    until(what, || find(&fs::read_to_string(path).unwrap_or_default()))
}
