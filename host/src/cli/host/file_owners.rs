//! Checks files that the configuration names before they are read: files that affect decisions, and files that are
//! executed. The configuration file itself is checked in the same way.
//!
//! A repository is not checked: developers may write to it, and a push decides nothing by itself. A workspace that
//! other users can change is no error either, because its content is no instruction to the host. The host prints a note.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{CapabilityPattern, Command, Config, Deploy, Mail};
use crate::own::{self, NotOurs};

/// A file that other users can change, and the setting that names it.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {source}")]
pub(super) struct NamedPath {
    setting: String,
    source: NotOurs,
}

/// Fails at the first file that other users can change. Missing files are reported where they are used. Returns a note
/// for each workspace that other users can change.
pub(super) fn look(config: &Config) -> Result<Vec<String>, NamedPath> {
    for path in &config.policies {
        there("[policy] files", own::unwritable(path))?;
    }
    for (name, agent) in &config.agents {
        there(&format!("[agents.{name}] component"), own::unwritable(&agent.component))?;
    }
    if let Mail::Smtp(relay) = &config.email.connector {
        relay.ca_file.iter().try_for_each(|path| there("[email] ca-file", own::unwritable(path)))?;
    }
    for (name, check) in &config.checks {
        runs(&format!("[checks.{name}] command"), &check.argv, None)?;
        check.paths.iter().try_for_each(|path| there(&format!("[checks.{name}] paths"), own::installed(path)))?;
    }
    if let Some(deployment) = &config.deployment
        && let Deploy::Command(Command { argv, .. }) = &deployment.connector
    {
        runs("[deployment] command", argv, Some(&deployment.repository))?;
    }
    for (pattern, rule) in &config.capabilities {
        let function = match pattern {
            CapabilityPattern::Function(capability) => capability.to_string(),
            CapabilityPattern::Interface(interface) => format!("{interface}#*"),
        };
        for argv in rule.programs() {
            runs(&format!("[capabilities.\"{function}\"]"), argv, Some(&config.folder))?;
        }
    }
    let workspaces = config.agents.iter().filter_map(|(name, agent)| Some((name, agent.workspace.as_ref()?)));
    let open = workspaces.filter_map(|(name, path)| Some((name, there("", own::installed(path)).err()?.source)));
    Ok(open
        .map(|(name, error)| {
            format!("agents may read and attach files from `{name}` that other users can change: {error}")
        })
        .collect())
}

fn there(setting: &str, looked: Result<(), NotOurs>) -> Result<(), NamedPath> {
    match looked {
        Err(NotOurs::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
        looked => looked.map_err(|source| NamedPath { setting: setting.to_owned(), source }),
    }
}

/// Checks a command: its program, and its arguments that are files, because an interpreter may run
/// them. `folder` is its working folder; `None` means a checkout, whose files come from the commit.
fn runs(setting: &str, argv: &[String], folder: Option<&Path>) -> Result<(), NamedPath> {
    let (program, arguments) = argv.split_first().map_or(("", argv), |(program, rest)| (program.as_str(), rest));
    let program = if program.contains('/') { placed(program, folder) } else { found(program) };
    let files = arguments.iter().filter_map(|argument| placed(argument, folder)).filter(|path| path.is_file());
    program.into_iter().chain(files).try_for_each(|path| there(setting, own::installed(&path)))
}

fn placed(name: &str, folder: Option<&Path>) -> Option<PathBuf> {
    let path = folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    path.is_absolute().then_some(path)
}

/// The path at which the system finds a program.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path).map(|folder| folder.join(program)).filter(|path| path.is_absolute()).find(runs)
}
