//! A complete host in this process, made from a configuration.
//!
//! This is the only place that uses all modules of the host. It gives the driver the previews and answers, the
//! dispatcher the performers, and the endpoint the driver. No module gets anything else.

mod check_sandboxes;
mod clock;
mod connectors;
mod driver;
mod file_owners;
mod notifiers;
pub(super) mod policy_setup;
pub(super) mod registry;
mod spending;
mod state;
mod types;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdshort_gate::RunLimits;
use holdshort_journal::{Desk, Notifier, OpenError, Opened, ReadError};
use tokio::net::UnixListener;
use tokio::task::JoinError;

use super::exit::{Exit, Failure};
use super::listening::Listening;
use super::socket::{self, Bound};
use crate::agent::{Engine, ReadLimits, Reader};
use crate::analysis::review_load::Directory;
use crate::api::{self, Api, ApiParts, Limits, Listeners, SessionCookie};
use crate::config::{self, Config};
use crate::effects::Effects;
use crate::notify::{Notify, Target};
use crate::page;
use crate::policy::PolicySetup;
use crate::runs::{DisplayLimit, DriverSettings, Runs};
use holdshort_common::isolate::{self, Isolate};

pub(super) use check_sandboxes::CheckSandboxes;
pub(super) use clock::system_clock;
pub(super) use connectors::HostConnectors;
pub(super) use notifiers::targets;
use state::CACHE_FOLDER;
pub(super) use state::keep_private;

/// A host with an open journal, which runs nothing yet.
pub(super) struct Host {
    pub(super) config: Config,
    desk: Desk,
    notifier: Notifier,
    pub(super) runs: Runs,
    effects: Effects,
    targets: Vec<Target>,
    policy_setup: PolicySetup,
    known: Directory,
    sandboxes: CheckSandboxes,
}

/// What a host has of the world outside of it.
enum Outside {
    /// The connectors and the notifications of its configuration.
    Real,
    /// The answers of a script.
    Scripted { connectors: HostConnectors, state: PathBuf },
}

/// Opens the configured journal. No other host can open it meanwhile.
pub(super) fn open_journal(config: &Config) -> Result<Opened, OpenError> {
    Opened::at(&config.journal, system_clock())
}

impl Host {
    /// Makes the host of a configuration from its open journal: creates the parts of the host and connects them.
    pub(super) fn new(config: Config, opened: Opened) -> Result<Self, Failure> {
        Self::with(config, opened, Outside::Real)
    }

    /// Makes a host that has `outside` of the world.
    fn with(config: Config, opened: Opened, outside: Outside) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error.to_string());
        let Opened { journal, driver, dispatcher, desk, notifier } = opened;
        let sandboxes = CheckSandboxes::of(&config)?.demanded()?;
        let compiled = match &outside {
            Outside::Real => config.state.join(CACHE_FOLDER),
            Outside::Scripted { state, .. } => state.join(CACHE_FOLDER),
        };
        let reader = Reader::isolated(this_program(), read_limits(&config), &compiled);
        let reader = reader.map_err(|error| failed(&error))?;
        let (HostConnectors { catalogue, performers }, targets) = match outside {
            Outside::Real => (
                connectors::open(&config, &journal, &reader, &sandboxes)?,
                notifiers::targets(&config, &system_clock())?,
            ),
            Outside::Scripted { connectors, .. } => (connectors, Vec::new()),
        };
        let live = config.limits.live_runs;
        let guests_max = u32::try_from(instances_max(live)).unwrap_or(u32::MAX);
        let engine = Engine::new(reader.clone(), guests_max, live).map_err(|error| failed(&error))?;
        let policy_setup = policy_setup::load(&config, policy_setup::sources(&config)?, &reader)?;
        let policy = policy_setup::policy(&config, &policy_setup);
        let free = config.models.iter().find(|(_, model)| model.price.is_none());
        if let Some((name, _)) = free.filter(|_| policy.model_totals().contains(&"model_cost")) {
            let why =
                format!("a policy reads `model_cost`, and `[models.{name}]` has no price, so it would cost nothing");
            let hint =
                "add `price = { input = \"…\", output = \"…\" }` to the section of each model, or use `model_tokens`";
            return Err(Failure::new(Exit::Usage, why).hint(hint));
        }
        let known =
            Directory { groups: config.groups.clone(), types: policy_setup.types.clone(), policies: policy.names() };
        let runs = Runs::new(driver, engine, catalogue, policy, self::settings(&config));
        let effects = Effects::new(dispatcher, performers, runs.refresher());
        Ok(Self { config, desk, notifier, runs, effects, targets, policy_setup, known, sandboxes })
    }

    /// Makes a host in which a script stands for the world outside: no connector of the configuration is opened, and
    /// nobody is notified. Compiled code is kept in the folder `state` of the host that the script is tried for.
    pub(super) fn scripted(
        config: Config,
        opened: Opened,
        connectors: HostConnectors,
        state: PathBuf,
    ) -> Result<Self, Failure> {
        Self::with(config, opened, Outside::Scripted { connectors, state })
    }

    /// The reason why links in notifications do not work; `None` if they work.
    pub(super) fn broken_links(&self, bound: SocketAddr) -> Option<String> {
        self.config.server.broken_links(bound, !self.targets.is_empty())
    }

    /// For operators: what separates the checks from the rest of the machine. `None` if there are no checks.
    pub(super) fn checks_note(&self) -> Option<String> {
        self.sandboxes.note()
    }

    /// Prepares the host to serve. When this returns, the local operator's token exists and the
    /// address is announced.
    ///
    /// The future drives runs, performs effects and answers requests until `shutdown` completes.
    /// Waiting runs continue when a host opens the journal again.
    pub(super) fn serve<S: Future + Send>(
        self,
        listening: Listening,
        shutdown: S,
    ) -> Result<impl Future<Output = Result<(), Failure>> + use<S>, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error.to_string());
        let Listening { main, twin } = listening;
        let bound = main.local_addr().map_err(|error| failed(&error))?;
        let gone = Arc::default();
        let api = self.api(bound, Arc::clone(&gone))?;
        let (local, socket) = match self.local() {
            Some((local, socket)) => (Some(local), Some(socket)),
            None => (None, None),
        };
        self.desk.announce(&base(bound))?;
        let links = public_base(&self.config, bound);
        let notify = Notify::new(self.notifier, self.targets, links, system_clock(), gone);
        Ok(async move {
            // Notifications begin first, so that every event comes after the targets' starting
            // positions.
            notify.begin().await.map_err(|error| failed(&error))?;
            let mut effects = tokio::spawn(self.effects.run());
            let mut runs = tokio::spawn(self.runs.run());
            let notify = tokio::spawn(notify.run());
            // If one of these tasks ends, the host ends. Otherwise it could accept decisions and
            // not act on them.
            let ended = tokio::select! {
                served = api::serve(Listeners::new(main, twin, local), api, shutdown) => served.map_err(|error| failed(&error)),
                ended = &mut effects => Err(stopped("performs effects", ended)),
                ended = &mut runs => Err(stopped("drives runs", ended)),
            };
            drop(socket);
            runs.abort();
            effects.abort();
            notify.abort();
            ended
        })
    }

    /// Opens the socket for commands in the host's folder. If that fails, the host serves only over
    /// the network.
    fn local(&self) -> Option<(UnixListener, Bound)> {
        let state = self.config.state.display();
        let bound =
            socket::bind(&self.config.state).and_then(|(local, bound)| Ok((UnixListener::from_std(local)?, bound)));
        bound
            .inspect_err(|error| {
                tracing::warn!("cannot make the local socket in {state}: {error}; commands reach this host only with `--url` and `--token-file`");
            })
            .ok()
    }

    fn api(&self, bound: SocketAddr, targets_gone: Arc<Mutex<BTreeSet<String>>>) -> Result<Api, Failure> {
        let config = &self.config;
        let failed = |error: api::TokenError| Failure::new(Exit::Failed, error.to_string());
        let operator = api::ensure_local_name(&config.operator_file, &config.operator).map_err(failed)?;
        let local = api::ensure_local_token(&config.token_file).map_err(failed)?;
        if let Some(user) = config::user().filter(|user| user != operator.as_str()) {
            let file = config.operator_file.display();
            tracing::warn!(
                "the local operator's name in decisions stays `{operator}`, although the user is `{user}`: the name comes from {file}"
            );
        }
        let named = config.reviewers.iter().map(|reviewer| (reviewer.name.clone(), reviewer.token_sha256));
        let reviewers = api::Reviewers::new(named.chain([(operator, local)]))
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        let cookie = SessionCookie::new(config.server.behind_proxy, bound.port());
        let cookie = if config.server.twin(bound).is_some() { cookie.with_names() } else { cookie };
        let places = config.delegations.iter().map(|one| (one.from.clone(), one.to.clone(), one.until));
        let reviewers = reviewers.with_delegations(places);
        Ok(Api::new(ApiParts {
            desk: self.desk.clone(),
            driver: Arc::new(driver::HostDriver { runs: self.runs.clone(), effects: self.effects.clone() }),
            reviewers,
            allowed_hosts: config.server.hosts(bound),
            allowed_origins: config.server.origins(bound),
            policy_setup: self.policy_setup.clone(),
            pages: page::pages(),
            cookie,
            limits: Limits::STANDARD,
            known: self.known.clone(),
            unconfined: self.sandboxes.is_unconfined(),
            targets_gone,
        }))
    }
}

/// The error that a part of the host ended unexpectedly.
fn stopped(what: &str, ended: Result<Result<(), ReadError>, JoinError>) -> Failure {
    let why = match ended {
        Ok(Ok(())) => "the journal is closed".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let message = format!("the host has stopped, because the part that {what} has stopped: {why}");
    Failure::new(Exit::Failed, message).hint("nothing is lost; correct the cause, then start the host again")
}

/// The address at which this machine reaches an endpoint bound to `bound`.
pub(super) fn base(bound: SocketAddr) -> String {
    let near = if bound.is_ipv4() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { IpAddr::from(Ipv6Addr::LOCALHOST) };
    let reached = if bound.ip().is_unspecified() { SocketAddr::new(near, bound.port()) } else { bound };
    format!("http://{reached}")
}

/// The address for reviewers: the configured public URL, or else the address on this machine.
pub(super) fn public_base(config: &Config, bound: SocketAddr) -> String {
    config.server.public_url.clone().unwrap_or_else(|| base(bound))
}

/// The maximum number of instances in memory: twice the number of those that compute, so that as many can wait.
fn instances_max(live_runs: usize) -> usize {
    live_runs.saturating_mul(2)
}

/// Starts children from the running program's own code, even if its file was replaced by another
/// version.
pub(super) fn this_program() -> Isolate {
    Isolate::of(Path::new("/proc/self/exe"))
}

/// A reader of components for one command, without a cache.
pub(super) fn forgetful_reader(config: &Config) -> Result<Reader, Failure> {
    let reader = Reader::forgetful(this_program(), read_limits(config));
    reader.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

/// A reader of components for a command that runs one, with the cache of this folder's host.
pub(super) fn replay_reader(config: &Config) -> Result<Reader, Failure> {
    let reader = Reader::isolated(this_program(), read_limits(config), &config.state.join(CACHE_FOLDER));
    reader.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

/// The limits for reading a component.
fn read_limits(config: &Config) -> ReadLimits {
    let limits = &config.limits;
    let child = isolate::Limits {
        settings: "load",
        memory_mib: limits.load_memory_mib,
        cpu_seconds: limits.load_cpu_seconds,
        seconds: limits.load_seconds,
        file_mib: limits.load_compiled_mib,
    };
    ReadLimits { component_mib: limits.component_mib, child }
}

fn settings(config: &Config) -> DriverSettings {
    let limits = &config.limits;
    DriverSettings {
        limits: RunLimits {
            cpu_ms: limits.cpu_ms,
            memory_bytes: limits.memory_bytes,
            held_calls: limits.held_calls,
            calls: limits.calls,
            journal_bytes: limits.journal_bytes,
        },
        linger: Duration::from_millis(limits.linger_ms),
        instances_max: instances_max(limits.live_runs),
        told_after_tries: limits.told_after_tries,
        task_bytes_max: limits.task_bytes_max,
        arguments_max_bytes: limits.call_bytes_max,
        display_limit: DisplayLimit { bytes_max: limits.arguments_bytes_max, lines_max: limits.arguments_lines_max },
        agents: config.agents.iter().map(|(name, agent)| (name.clone(), agent.component.clone())).collect(),
    }
}
