//! Checks: the commands that agents may ask for, on a checkout of a revision.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use holdshort_common::reference::RevisionPattern;

/// A check, and what it may see of the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How long it may run.
    pub timeout_ms: u64,
    /// The variables of the host's environment that it gets; the rest is scrubbed.
    pub environment: Vec<String>,
    /// What it may run on: patterns for the reference that an agent's revision is found by.
    pub revisions: Vec<RevisionPattern>,
    /// Whether it runs in a sandbox.
    pub confinement: Confinement,
    /// Files and folders of the machine that it may read in the sandbox, besides the system's programs.
    pub paths: Vec<PathBuf>,
    /// Whether it has the machine's network in the sandbox.
    pub network: bool,
    /// What one of its processes may take of memory in the sandbox, in MiB; half of the machine's if absent.
    pub memory_mib: Option<u64>,
}

/// Whether a check runs in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`required`, `when-available` or `off`")]
pub enum Confinement {
    /// Where there is no sandbox the host does not start.
    Required,
    /// Where there is no sandbox it runs as the host's user, and that is said.
    WhenAvailable,
    /// It runs as the host's user, and that is said.
    Off,
}
