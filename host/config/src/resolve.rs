//! Resolves the authored configuration: fills in defaults and checks rules about several keys.

pub(super) mod budget;
pub(super) mod capabilities;
mod connectors;
pub(super) mod credentials;
pub(super) mod http;
mod keys;
pub(super) mod models;
mod notices;
mod people;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use holdshort_gate::AgentName;
use toml::Spanned;

use super::error::RuleViolation;
use super::resolved::{Agent, Check, Config, Limits, ListenError, Server};
use super::value::{Name, Named};
use super::{ConfigContext, authored, defaults};

/// Resolves the file and the context to the values that the host uses. This is the only place for
/// defaults and for rules about several keys. It does not read the disk: whether a named file
/// exists is found when it is used.
pub(super) fn resolve(
    file: authored::File,
    source: Option<&Path>,
    context: &ConfigContext,
) -> Result<Config, RuleViolation> {
    let folder = Folder(context.folder.clone());
    let state = folder.path(defaults::STATE_FOLDER);
    let deployment = connectors::deployment(file.deployment, &folder, context.is_repository)?;
    let repository = match file.repository {
        Some(repository) => Some(folder.path(repository.path)),
        None => deployment.as_ref().map(|deployment| deployment.repository.clone()),
    };
    let reviewers = people::reviewers(file.reviewers, &context.operator)?;
    let approval = people::approval(file.approval.as_ref(), &reviewers, &context.operator, file.policy.is_some())?;
    let groups = people::groups(file.groups, &reviewers, &context.operator)?;
    let delegations = people::delegations(file.delegations, &reviewers, &context.operator)?;
    let http = http::hosts(file.http)?;
    let models = models::models(file.models, file.credentials.as_ref())?;
    let agents = named(file.agents, |agent| Ok(self::agent(agent, &folder)))?;
    let (files, time_zone) = file.policy.map(|policy| (policy.files, policy.time_zone)).unwrap_or_default();
    let policies = files.into_iter().map(|path| folder.path(path)).collect();
    Ok(Config {
        source: source.map(Path::to_path_buf),
        journal: state.join(defaults::JOURNAL_FILE),
        token_file: state.join(defaults::TOKEN_FILE),
        operator_file: state.join(defaults::OPERATOR_FILE),
        operator: context.operator.clone(),
        server: server(file.server)?,
        limits: limits(file.limits.as_ref()),
        notify: notices::targets(file.notify, &folder, approval.expires_after_ms)?,
        email: connectors::email(file.email, &folder, &state, approval.expires_after_ms)?,
        approval,
        payments: connectors::payments(file.payments, &folder, &state)?,
        credentials: credentials::credentials(file.credentials, (&http, &models), &folder)?,
        http,
        model_budget: budget::budget(file.model_budget, models.iter())?,
        models,
        checks: named(file.checks, |check| Ok(self::check(check, &folder)))?,
        agents: agents.into_iter().map(|(name, agent)| (AgentName::new(name), agent)).collect(),
        capabilities: capabilities::rules(file.capabilities, &folder)?,
        deployment,
        repository,
        reviewers,
        groups,
        delegations,
        policies,
        time_zone: time_zone.unwrap_or(defaults::TIME_ZONE),
        state,
        folder: folder.0,
    })
}

/// The base folder of relative paths.
struct Folder(PathBuf);

impl Folder {
    /// Resolves a path against the base folder, not against the current folder of the process.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        // `.` parts are removed. `..` parts stay, because a folder may be a link.
        self.0.join(path).components().collect()
    }

    /// Resolves a program with a `/` in its path against the base folder. A name without `/` is
    /// searched in `PATH`.
    fn argv(&self, mut argv: Vec<String>) -> Vec<String> {
        if let Some(program) = argv.first_mut().filter(|program| program.contains('/')) {
            *program = self.path(&*program).display().to_string();
        }
        argv
    }
}

/// Resolves sections with names that the operator chose, and checks each name.
fn named<T, R>(
    sections: Option<Named<T>>,
    resolve: impl Fn(T) -> Result<R, RuleViolation>,
) -> Result<BTreeMap<String, R>, RuleViolation> {
    let sections = sections.into_iter().flatten();
    sections.map(|(name, section)| Ok((plain_name(&name)?, resolve(section)?))).collect()
}

/// Checks that a name is unambiguous in decisions, file names and terminals.
fn plain_name(name: &Spanned<String>) -> Result<String, RuleViolation> {
    let Name(plain) = name.get_ref().parse().map_err(|what| RuleViolation { span: name.span(), what, hint: None })?;
    Ok(plain)
}

fn agent(agent: authored::Agent, folder: &Folder) -> Agent {
    Agent {
        component: folder.path(agent.component),
        workspace: agent.workspace.map(|path| folder.path(path)),
        build: agent.build.map(|build| folder.argv(build.0)),
    }
}

/// Resolves a check. By default it may run on any git revision.
fn check(check: authored::Check, folder: &Folder) -> Check {
    let revisions = check.revisions.map(|all| all.into_iter().map(|pattern| pattern.0).collect());
    Check {
        argv: folder.argv(check.command.0),
        timeout_ms: check.timeout.map_or(defaults::CHECK_TIMEOUT_MS, |span| span.0),
        environment: keys::names(check.environment),
        revisions: revisions.unwrap_or_else(|| vec![defaults::CHECK_REVISIONS]),
        confinement: check.confinement.unwrap_or(defaults::CHECK_CONFINEMENT),
        paths: check.paths.into_iter().flatten().map(|path| folder.path(path)).collect(),
        network: check.network.unwrap_or(defaults::CHECK_NETWORK),
        memory_mib: check.memory_mib.map(|mib| mib.0),
    }
}

/// Converts checked values to plain strings for the other packages.
fn values<T: Into<String>>(values: Vec<T>) -> Vec<String> {
    values.into_iter().map(Into::into).collect()
}

/// Resolves the address. An address that other machines can reach requires a TLS proxy and
/// configured host names. Otherwise a token would cross the network unencrypted, or a foreign web
/// page could send requests to the host under its own host name.
fn server(authored: Option<authored::Server>) -> Result<Server, RuleViolation> {
    let Some(authored) = authored else {
        return Ok(Server {
            listen: defaults::LISTEN,
            allowed_hosts: None,
            allowed_origins: None,
            behind_proxy: defaults::BEHIND_PROXY,
            public_url: None,
            session_names: defaults::SESSION_NAMES,
        });
    };
    let behind_proxy = authored.behind_proxy.unwrap_or(defaults::BEHIND_PROXY);
    let listen = authored.listen.as_ref().map_or(defaults::LISTEN, |listen| listen.get_ref().0);
    if let Some(at) = authored.listen.as_ref().filter(|_| !listen.ip().is_loopback()) {
        if !behind_proxy {
            return Err(RuleViolation { span: at.span(), what: ListenError(listen).to_string(), hint: None });
        }
        if authored.allowed_hosts.is_none() {
            let what = "a host that other machines can reach must know its own names";
            return Err(RuleViolation::at(at, what, "add `allowed-hosts = [\"approvals.example.org\"]`"));
        }
    }
    Ok(Server {
        listen,
        allowed_hosts: authored.allowed_hosts.map(values),
        allowed_origins: authored.allowed_origins.map(values),
        behind_proxy,
        public_url: authored.public_url.map(Into::into),
        session_names: authored.session_names.unwrap_or(defaults::SESSION_NAMES),
    })
}

/// Resolves the limits. Each has a default, so an omitted limit never means "unlimited".
fn limits(authored: Option<&authored::Limits>) -> Limits {
    // The bounds of each type make this conversion exact. A value that did not fit would become the
    // largest number.
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let l = authored;
    Limits {
        cpu_ms: l.and_then(|l| l.cpu_ms).map_or(defaults::CPU_MS, |n| n.0),
        memory_bytes: l.and_then(|l| l.memory_mib).map_or(defaults::MEMORY_MIB, |n| n.0) * 1024 * 1024,
        held_calls: small(l.and_then(|l| l.held_calls).map_or(defaults::HELD_CALLS, |n| n.0)),
        calls: small(l.and_then(|l| l.calls).map_or(defaults::CALLS, |n| n.0)),
        journal_bytes: l.and_then(|l| l.journal_mib).map_or(defaults::JOURNAL_MIB, |n| n.0) * 1024 * 1024,
        linger_ms: l.and_then(|l| l.linger_ms).map_or(defaults::LINGER_MS, |n| n.0),
        told_after_tries: small(l.and_then(|l| l.told_after_tries).map_or(defaults::TOLD_AFTER_TRIES, |n| n.0)),
        live_runs: size(l.and_then(|l| l.live_runs).map_or(defaults::LIVE_RUNS, |n| n.0)),
        arguments_bytes_max: size(l.and_then(|l| l.arguments_bytes_max).map_or(defaults::ARGUMENTS_BYTES_MAX, |n| n.0)),
        arguments_lines_max: size(l.and_then(|l| l.arguments_lines_max).map_or(defaults::ARGUMENTS_LINES_MAX, |n| n.0)),
        call_bytes_max: size(l.and_then(|l| l.call_bytes_max).map_or(defaults::CALL_BYTES_MAX, |n| n.0)),
        task_bytes_max: size(l.and_then(|l| l.task_bytes_max).map_or(defaults::TASK_BYTES_MAX, |n| n.0)),
        component_mib: l.and_then(|l| l.component_mib).map_or(defaults::COMPONENT_MIB, |n| n.0),
        load_memory_mib: l.and_then(|l| l.load_memory_mib).map_or(defaults::LOAD_MEMORY_MIB, |n| n.0),
        load_cpu_seconds: l.and_then(|l| l.load_cpu_seconds).map_or(defaults::LOAD_CPU_SECONDS, |n| n.0),
        load_seconds: l.and_then(|l| l.load_seconds).map_or(defaults::LOAD_SECONDS, |n| n.0),
        load_compiled_mib: l.and_then(|l| l.load_compiled_mib).map_or(defaults::LOAD_COMPILED_MIB, |n| n.0),
        policy_memory_mib: l.and_then(|l| l.policy_memory_mib).map_or(defaults::POLICY_MEMORY_MIB, |n| n.0),
        policy_cpu_seconds: l.and_then(|l| l.policy_cpu_seconds).map_or(defaults::POLICY_CPU_SECONDS, |n| n.0),
        policy_seconds: l.and_then(|l| l.policy_seconds).map_or(defaults::POLICY_SECONDS, |n| n.0),
    }
}
