//! The demo with the agent `release`: a git repository with real tests, whose branch is moved after an approval.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::guided;
use super::scratch::{Scratch, failed};
use crate::cli::args::DemoArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;

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

/// The agent.
const AGENT: &str = "release";
/// The agent's task.
const TASK: &str = "Release main to production";

/// Makes a repository, runs the agent on it, and fails unless the branch moved. The final state of
/// the branch is read with git and not from the host, because the demo must convince people who do
/// not trust the host yet.
pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<Exit, Failure> {
    let scratch = Scratch::make(args.keep.as_deref())?;
    let project = Project::make(&scratch)?;
    let (before, wanted) = (project.tip("production")?, project.tip("main")?);
    let folder = scratch.folder().display();
    output.notes(&[
        &format!("The folder {folder} has a small project with tests; its branch `main` is ahead of `production`."),
        &format!("The task of the agent `{AGENT}`: {TASK}."),
        "The agent runs the tests, reads the log and the diff, and asks to deploy. The agent cannot deploy by itself.",
        "",
    ]);

    let exit = guided(&scratch, AGENT, TASK, "keep the notes short", output)?;

    let after = project.tip("production")?;
    if after == before {
        output.notes(&["", "`production` has not moved: nothing was cleared, so nothing was done."]);
        return Ok(if exit == Exit::Done { Exit::Failed } else { exit });
    }
    if after != wanted {
        let message = format!("`production` moved to {after}, but the cleared commit is {wanted}");
        return Err(Failure::new(Exit::Failed, message));
    }
    output.notes(&["", &format!("`production` moved from {before} to {after}: exactly what was cleared.")]);
    output.note(&scratch.farewell());
    Ok(exit)
}

/// The git repository in the scratch folder.
struct Project(PathBuf);

impl Project {
    /// Makes real commits, with the branch `production` at the first: so the agent has something to
    /// deploy, and the reviewer sees a true diff.
    fn make(scratch: &Scratch) -> Result<Self, Failure> {
        scratch.write("release.wasm", COMPONENT)?;
        scratch.write("holdshort.toml", CONFIGURATION.as_bytes())?;
        let project = Self(scratch.folder().join("project"));
        fs::create_dir(&project.0).map_err(|error| failed(&error))?;
        project.git(&["init", "--quiet", "--initial-branch=main"])?;
        for (index, (subject, source)) in HISTORY.into_iter().enumerate() {
            scratch.write("project/price.py", source.as_bytes())?;
            scratch.write("project/test_price.py", TESTS.as_bytes())?;
            project.git(&["add", "."])?;
            project.git(&["commit", "--quiet", "--message", subject])?;
            if index == 0 {
                project.git(&["branch", "production"])?;
            }
        }
        Ok(project)
    }

    /// The commit of a branch.
    fn tip(&self, branch: &str) -> Result<String, Failure> {
        self.git(&["rev-parse", &format!("refs/heads/{branch}")])
    }

    /// Runs git with a neutral identity, so that the user's settings (signing, hooks) have no
    /// influence.
    fn git(&self, arguments: &[&str]) -> Result<String, Failure> {
        let ended = Command::new("git")
            .current_dir(&self.0)
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
