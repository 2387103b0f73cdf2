//! Checks: commands that agents may request, run on a checkout of a git revision.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use holdshort_common::reference::RevisionPattern;

/// A check, and its access to the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The time limit.
    pub timeout_ms: u64,
    /// The variables that the check gets from the host's environment. It gets no others.
    pub environment: Vec<String>,
    /// Patterns of references. The check runs on a git revision only if the revision was found
    /// through a reference that matches a pattern.
    pub revisions: Vec<RevisionPattern>,
    /// Whether it runs confined.
    pub confinement: Confinement,
    /// Files and folders that a confined check may read, besides the system's programs.
    pub paths: Vec<PathBuf>,
    /// Whether a confined check can use the network.
    pub network: bool,
    /// The memory limit of each confined process in MiB; by default half of the machine's memory.
    pub memory_mib: Option<u64>,
}

/// Whether a check runs in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`required`, `when-available` or `off`")]
pub enum Confinement {
    /// The host does not start without a sandbox.
    Required,
    /// Without a sandbox the check runs as the host's user, and its report says so.
    WhenAvailable,
    /// The check runs as the host's user, and its report says so.
    Off,
}
