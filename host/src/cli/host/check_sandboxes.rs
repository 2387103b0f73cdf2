//! Finds out which configured checks this machine can confine, and why it cannot confine the
//! others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::exit::{Exit, Failure};
use crate::config::{self, Config, Confinement, Mail};
use crate::connectors::checks::Check;
use crate::connectors::confined::{self, Sandbox, SandboxAccess};

/// Why a check runs unconfined, if the operator has switched its confinement off.
const OFF: &str = "`confinement` is \"off\"";

/// The checks, each with its sandbox if it has one.
pub(in crate::cli) struct CheckSandboxes {
    pub(in crate::cli) checks: BTreeMap<String, Check>,
    /// For each unconfined check, why it runs unconfined.
    unconfined: BTreeMap<String, String>,
    /// The checks that must be confined.
    required: BTreeSet<String>,
}

impl CheckSandboxes {
    /// Tries the sandbox if a check needs a sandbox. It is a configuration error if a check's path
    /// would expose the host's files.
    pub(in crate::cli) fn of(config: &Config) -> Result<Self, Failure> {
        let kept = kept(config);
        let wanted = config.checks.values().any(|check| check.confinement != Confinement::Off);
        let sandbox = wanted.then(|| sandbox(&kept));
        let (mut checks, mut unconfined) = (BTreeMap::new(), BTreeMap::new());
        for (name, check) in &config.checks {
            check.paths.iter().try_for_each(|path| may_be_seen(name, path, &kept))?;
            let confined = match (check.confinement, &sandbox) {
                (Confinement::Required | Confinement::WhenAvailable, Some(Ok(sandbox))) => {
                    Some((sandbox.clone(), given(check)))
                }
                (Confinement::Required | Confinement::WhenAvailable, Some(Err(why))) => {
                    unconfined.insert(name.clone(), why.clone());
                    None
                }
                (Confinement::Off, _) | (_, None) => {
                    unconfined.insert(name.clone(), OFF.to_owned());
                    None
                }
            };
            checks.insert(name.clone(), self::check(check, confined));
        }
        let required = config.checks.iter().filter(|(_, check)| check.confinement == Confinement::Required);
        let required = required.map(|(name, _)| name.clone()).collect();
        Ok(Self { checks, unconfined, required })
    }

    /// Fails if a check must be confined and cannot be.
    pub(in crate::cli) fn demanded(self) -> Result<Self, Failure> {
        let Some((name, why)) = self.unconfined.iter().find(|(name, _)| self.required.contains(*name)) else {
            return Ok(self);
        };
        let message = format!("the check `{name}` must run confined, but this machine cannot confine it: {why}");
        Err(Failure::new(Exit::Failed, message).hint("install util-linux and bubblewrap 0.8 or newer, and let the host's user make namespaces (a setting of the kernel); see \"Checks\" in host/CONFIGURATION.md"))
    }

    /// Whether at least one check runs unconfined, as the host's user.
    pub(in crate::cli) fn is_unconfined(&self) -> bool {
        !self.unconfined.is_empty()
    }

    /// What separates the checks from the rest of the machine, for operators.
    pub(in crate::cli) fn note(&self) -> Option<String> {
        let mut by_reason = BTreeMap::<&str, Vec<&str>>::new();
        self.unconfined.iter().for_each(|(name, why)| by_reason.entry(why).or_default().push(name));
        let reasons = by_reason.iter().map(|(why, names)| format!("{}: {why}", listed(names.iter().copied())));
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        let confined = self.checks.iter().filter(|(_, check)| check.confined.is_some());
        let (mut inside, mut connected) = (Vec::new(), Vec::new());
        for (name, check) in confined {
            inside.push(name.as_str());
            connected.extend(check.confined.iter().filter(|(_, given)| given.network).map(|_| name.as_str()));
        }
        let network = if connected.is_empty() {
            "without network".to_owned()
        } else {
            format!("without network except for {}", listed(connected.iter().copied()))
        };
        match (self.checks.is_empty(), reasons.is_empty(), inside.is_empty()) {
            (true, ..) => None,
            (false, true, _) => Some(format!(
                "checks run the repository's own code confined: the code can use the system's programs, the checkout and the configured `paths`, {network}"
            )),
            (false, false, true) => Some(format!("{UNCONFINED} ({reasons})")),
            (false, false, false) => Some(format!(
                "{UNCONFINED} ({reasons}); these checks run confined, {network}: {}",
                listed(inside.iter().copied())
            )),
        }
    }
}

const UNCONFINED: &str = "checks run the repository's own code unconfined, as the host's user: the code can read the host's files and tokens";

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn check(check: &config::Check, confined: Option<(Sandbox, SandboxAccess)>) -> Check {
    Check {
        argv: check.argv.clone(),
        time_out: Duration::from_millis(check.timeout_ms),
        revisions: check.revisions.clone(),
        environment: check.environment.clone(),
        confined,
    }
}

fn given(check: &config::Check) -> SandboxAccess {
    let memory_bytes = check.memory_mib.map(|mib| mib.saturating_mul(1024 * 1024));
    SandboxAccess { paths: check.paths.clone(), network: check.network, memory_bytes }
}

/// The paths, with links resolved, that confined checks must not see: the host's own files, and the
/// repository with all its branches.
fn kept(config: &Config) -> Vec<PathBuf> {
    let repositories =
        config.repository.iter().chain(config.deployment.as_ref().map(|deployment| &deployment.repository));
    let repositories = repositories.map(|path| {
        let inner = path.join(".git");
        if inner.exists() { inner } else { path.clone() }
    });
    let secrets = config.notify.values().flat_map(|target| [target.url_file.clone(), target.secret_file.clone()]);
    let (mail, password) = match &config.email.connector {
        Mail::Maildir { path } => (Some(path.clone()), None),
        Mail::Smtp(relay) => (None, relay.login.as_ref().map(|(_, file)| file.clone())),
    };
    let workspaces = config.agents.values().filter_map(|agent| agent.workspace.clone());
    let own = [config.state.clone(), config.journal.clone(), config.token_file.clone(), config.payments.path.clone()];
    let optional = [config.source.clone(), mail, password].into_iter().chain(secrets).flatten();
    own.into_iter().chain(optional).chain(repositories).chain(workspaces).map(|path| real(&path)).collect()
}

/// The path with links resolved, as far as the path exists.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => real(folder).join(name),
        (_, _) => path.to_owned(),
    })
}

/// The sandbox, if it works on this machine and hides these paths.
fn sandbox(kept: &[PathBuf]) -> Result<Sandbox, String> {
    if let Some(path) = kept.iter().find(|path| confined::is_system(path)) {
        return Err(format!(
            "`{}` is in a folder of system programs, which every confined check can read: move it to another folder",
            path.display()
        ));
    }
    Sandbox::find().map_err(|error| format!("the sandbox (bubblewrap) does not work here: {error}"))
}

/// Fails if a check's path contains a hidden path or lies in one.
fn may_be_seen(check: &str, path: &Path, kept: &[PathBuf]) -> Result<(), Failure> {
    let shown = path.display();
    let wrong = |what: String| Err(Failure::new(Exit::Usage, format!("[checks.{check}] paths: {what}")));
    let Ok(real) = path.canonicalize() else {
        return wrong(format!("there is no `{shown}`"));
    };
    if let Some(kept) = kept.iter().find(|kept| kept.starts_with(&real) || real.starts_with(kept)) {
        return wrong(format!(
            "`{shown}` would let the check read `{}`, which belongs to the host; name only the paths that the check needs",
            kept.display()
        ));
    }
    if ["/proc", "/sys", "/dev"].iter().any(|folder| real.starts_with(folder)) {
        return wrong(format!(
            "`{shown}` would let the check see other processes or devices; remove it: a confined check has its own `/proc` and `/dev`"
        ));
    }
    Ok(())
}
