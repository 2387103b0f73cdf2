//! The demo's project: a git repository with real tests, and a configuration beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::cli::exit::{Exit, Failure};

/// The agent, built from `guest-examples/release`.
const COMPONENT: &[u8] = include_bytes!("../../../../guest-examples/built/release.wasm");

/// Everything is inside the scratch folder, so removing the folder leaves nothing behind.
const CONFIGURATION: &str = r#"# What `holdshort demo` uses. `holdshort config` prints every setting with its default.
[agents.release]
component = "release.wasm"

[deployment]
repository = "project"
targets = { production = "refs/heads/production" }

[repository]
path = "project"

[checks.tests]
command = ["python3", "-m", "unittest", "--verbose"]
"#;

/// Tests that need only Python, which more machines have than any test runner.
const TESTS: &str = r#"import unittest
from price import total


class Totals(unittest.TestCase):
    def test_an_empty_basket_costs_nothing(self):
        self.assertEqual(total([]), 0)

    def test_amounts_are_added(self):
        self.assertEqual(total([1250, 399]), 1649)
"#;

/// The project's history, oldest first: the subject and the content of `price.py`. The first commit
/// is in production.
const HISTORY: [(&str, &str); 3] = [
    ("Add up a basket", "def total(cents):\n    return sum(cents)\n"),
    (
        "Say what the amounts are",
        "def total(cents):\n    \"\"\"The sum of amounts in cents.\"\"\"\n    return sum(cents)\n",
    ),
    (
        "Refuse negative amounts",
        "def total(cents):\n    \"\"\"The sum of amounts in cents, none of them negative.\"\"\"\n    if any(amount < 0 for amount in cents):\n        raise ValueError(\"a negative amount\")\n    return sum(cents)\n",
    ),
];

/// The scratch folder. It is removed on drop, unless the user chose its name.
pub(super) struct Scratch {
    folder: PathBuf,
    temporary: Option<TempDir>,
}

impl Scratch {
    /// Creates the project in the new folder `keep`, or in a temporary one.
    pub(super) fn make(keep: Option<&Path>) -> Result<Self, Failure> {
        let scratch = match keep {
            Some(folder) => {
                let cannot = |error: std::io::Error| {
                    Failure::new(Exit::Usage, format!("cannot make the folder `{}`: {error}", folder.display()))
                };
                fs::create_dir(folder).map_err(cannot)?;
                Self { folder: std::path::absolute(folder).map_err(cannot)?, temporary: None }
            }
            None => {
                let temporary =
                    tempfile::Builder::new().prefix("holdshort-demo-").tempdir().map_err(|error| failed(&error))?;
                Self { folder: temporary.path().to_path_buf(), temporary: Some(temporary) }
            }
        };
        scratch.fill()?;
        Ok(scratch)
    }

    /// Makes real commits, with the branch `production` at the first: so the agent has something to
    /// deploy, and the reviewer sees a true diff.
    fn fill(&self) -> Result<(), Failure> {
        let write = |path: PathBuf, bytes: &[u8]| {
            fs::write(&path, bytes).map_err(|error| failed(&format!("cannot write `{}`: {error}", path.display())))
        };
        write(self.folder.join("release.wasm"), COMPONENT)?;
        write(self.folder.join("holdshort.toml"), CONFIGURATION.as_bytes())?;
        let project = self.project();
        fs::create_dir(&project).map_err(|error| failed(&error))?;
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        for (index, (subject, source)) in HISTORY.into_iter().enumerate() {
            write(project.join("price.py"), source.as_bytes())?;
            write(project.join("test_price.py"), TESTS.as_bytes())?;
            self.git(&["add", "."])?;
            self.git(&["commit", "--quiet", "--message", subject])?;
            if index == 0 {
                self.git(&["branch", "production"])?;
            }
        }
        Ok(())
    }

    /// The folder with the configuration.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder, if it will be removed at the end.
    pub(super) fn temporary(&self) -> Option<PathBuf> {
        self.temporary.as_ref().map(|folder| folder.path().to_path_buf())
    }

    /// The commit of a branch.
    pub(super) fn tip(&self, branch: &str) -> Result<String, Failure> {
        self.git(&["rev-parse", &format!("refs/heads/{branch}")])
    }

    /// Advice on what to do with the folder now.
    pub(super) fn farewell(&self) -> String {
        match self.temporary {
            Some(_) => {
                "The scratch folder is removed now; `holdshort demo --keep DIR` keeps the folder for you to look around.".into()
            }
            None => format!(
                "To look around: `cd {}`, start `holdshort serve`, and in another terminal `holdshort runs` and `holdshort approvals --state all`.",
                self.folder.display()
            ),
        }
    }

    /// The folder of the repository.
    fn project(&self) -> PathBuf {
        self.folder.join("project")
    }

    /// Runs git with a neutral identity, so that the user's settings (signing, hooks) have no
    /// influence.
    fn git(&self, arguments: &[&str]) -> Result<String, Failure> {
        let ended = Command::new("git")
            .current_dir(self.project())
            .args(["-c", "user.name=Demo", "-c", "user.email=demo@localhost"])
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .map_err(|error| {
                failed(&format!("cannot run git: {error}")).hint("install git; the demo uses a real repository")
            })?;
        if !ended.status.success() {
            return Err(failed(&format!(
                "git {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&ended.stderr).trim()
            )));
        }
        Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned())
    }
}

/// A problem of this machine that stops the demo.
fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
