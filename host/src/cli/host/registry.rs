//! The connector of each capability, derived from the configuration alone, without opening or creating anything.
//!
//! `holdshort inspect` prints the connectors, and a host opens them ([`super::connectors`]). The one classifier,
//! [`Catalogue::classify`], refuses every import without an entry.

mod others;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use holdshort_gate::{Capability, FunctionType};
use serde_json::Value;

pub(in crate::cli) use self::settings::http_host;
pub(super) use self::settings::{ConnectorContext, relay};
use self::settings::{fundings, http_credential, program, workspaces};
use super::spending::ModelSpending;
use super::state::CHECKOUTS_FOLDER;
use crate::agent;
use crate::cli::exit::{Exit, Failure};
use crate::config::{self, CapabilityPattern, Config, Deploy, Mail};
use crate::connectors::checks::{self, Checks};
use crate::connectors::deploy_command::{self, DeployCommand};
use crate::connectors::deploy_git::{self, DeployGit};
use crate::connectors::descriptor::{Class, Descriptor};
use crate::connectors::git::Git;
use crate::connectors::guidance::{self, Guidance};
use crate::connectors::http::{self, Http};
use crate::connectors::ledger::{self, Ledger, OpenError};
use crate::connectors::maildir::{self, Maildir};
use crate::connectors::message::Composer;
use crate::connectors::model::{self, Models, Spending};
use crate::connectors::repository::{self, Repository};
use crate::connectors::smtp::{self, Smtp};
use crate::connectors::workspace::{self, Workspace};
use crate::connectors::{LOG, Perform, Preview, Routine};
use crate::runs::{Catalogue, Offer, OfferedFunction, RequiredType, Servable};

pub(in crate::cli) use self::others::facts;

/// The reason why agents cannot deploy or read files without a repository.
const NO_DEPLOYMENT: &str =
    "the host's folder is not a git repository: name a repository with `repository` in the section `[deployment]`";
const NO_HTTP: &str = "no host is named that agents may send requests to: name a host with a section such as `[http.\"api.example.org\"]`";
const NO_MODEL: &str = "no model is named that agents may ask: name one with a section such as `[models.default]`";
const NO_REPOSITORY: &str =
    "the host's folder is not a git repository: name a repository with `path` in the section `[repository]`";

/// A configured connector that is not open yet.
pub(in crate::cli) struct ConfiguredConnector<'a> {
    pub(in crate::cli) descriptor: Descriptor,
    /// The performer of a consequential call, for operators to read.
    pub(in crate::cli) by: String,
    /// The error value that means "refused", as configured, for a function whose error type is neither a `refusal` nor
    /// a string.
    pub(in crate::cli) refusal: Option<Value>,
    /// Whether the connector can serve a third-party function of a given type.
    servable: Servable,
    open: OpenConnector<'a>,
}

type OpenConnector<'a> = Box<dyn FnOnce(&ConnectorContext<'_>) -> Result<OpenedConnector, Failure> + 'a>;

/// An open connector, with separate parts for driver and dispatcher.
pub(super) enum OpenedConnector {
    Log,
    Routine(Arc<dyn Routine>),
    Consequential(Arc<dyn Preview>, Option<Arc<dyn Perform>>),
    /// A call's arguments decide whether the call is answered at once or is consequential.
    ByCall(Arc<dyn Routine>, Arc<dyn Preview>, Arc<dyn Perform>),
}

/// An interface of ours on this host.
enum OwnInterface<'a> {
    Serves(ConfiguredConnector<'a>),
    /// This host is not configured for the interface. An agent that imports it is refused with this reason, which says
    /// more than "unclassified".
    Withheld(Descriptor, &'static str),
}

impl<'a> ConfiguredConnector<'a> {
    fn new(
        descriptor: Descriptor,
        by: impl Into<String>,
        open: impl FnOnce(&ConnectorContext<'_>) -> Result<OpenedConnector, Failure> + 'a,
    ) -> Self {
        Self { descriptor, by: by.into(), refusal: None, servable: Arc::new(|_| Ok(())), open: Box::new(open) }
    }

    /// Opens the connector. It must have the class that its descriptor declares.
    pub(super) fn open(self, context: &ConnectorContext<'_>) -> Result<OpenedConnector, Failure> {
        let opened = (self.open)(context)?;
        match (&opened, self.descriptor.class) {
            (OpenedConnector::Log, Class::Log)
            | (OpenedConnector::Routine(_), Class::Routine)
            | (OpenedConnector::Consequential(..) | OpenedConnector::ByCall(..), Class::Consequential(_)) => Ok(opened),
            (_, class) => Err(failed(&format!("{:?} is declared as {class:?}", self.descriptor.functions))),
        }
    }
}

impl OpenedConnector {
    /// A connector that previews and performs. `runs` and `effects` share it, so an effect uses the settings of its
    /// preview.
    fn acts<C: Preview + Perform + 'static>(connector: C) -> Self {
        let connector = Arc::new(connector);
        Self::Consequential(connector.clone(), Some(connector))
    }
}

/// All capabilities of a configuration. `offer` makes the entry of a connector: a host opens the connector, and
/// `inspect` takes its description.
pub(in crate::cli) fn catalogue<R: Clone, C: Clone>(
    config: &Config,
    mut offer: impl FnMut(&[CapabilityPattern], ConfiguredConnector<'_>) -> Result<Offer<R, C>, Failure>,
) -> Result<Catalogue<R, C>, Failure> {
    let functions = agent::functions().map_err(|error| failed(&error))?.into_iter().chain(agent::http_import());
    let types: BTreeMap<Capability, FunctionType> = functions.map(|import| (import.capability, import.ty)).collect();
    let mut catalogue = Catalogue::default();
    for entry in ours(config) {
        match entry {
            OwnInterface::Serves(served) => {
                let functions: Vec<_> = served.descriptor.capabilities().collect();
                let patterns: Vec<_> = functions.iter().cloned().map(CapabilityPattern::Function).collect();
                let offer = offer(&patterns, served)?;
                for function in functions {
                    // An agent that imports one of our functions with another type is refused.
                    let ours = types.get(&function).cloned();
                    let ours = ours.ok_or_else(|| failed(&format!("`{function}` is in no published interface")))?;
                    catalogue.offer(
                        function,
                        OfferedFunction { offer: offer.clone(), required: RequiredType::Exactly(ours) },
                    );
                }
            }
            OwnInterface::Withheld(descriptor, why) => {
                descriptor.capabilities().for_each(|function| catalogue.withhold(function, why.to_owned()));
            }
        }
    }
    for (pattern, rule) in &config.capabilities {
        let served = others::served(rule, config);
        let required = RequiredType::Servable(served.servable.clone());
        let offered = OfferedFunction { offer: offer(std::slice::from_ref(pattern), served)?, required };
        match pattern {
            CapabilityPattern::Function(capability) => catalogue.offer(capability.clone(), offered),
            CapabilityPattern::Interface(interface) => catalogue.offer_interface(interface.clone(), offered),
        }
    }
    Ok(catalogue)
}

/// The host's own interfaces, in the order in which the host opens their connectors. Guidance and log need no
/// configuration, so on every host an agent can ask a question and write to the operator's log.
fn ours(config: &Config) -> Vec<OwnInterface<'_>> {
    let guidance = |_: &ConnectorContext<'_>| Ok(OpenedConnector::Consequential(Arc::new(Guidance), None));
    let mut all = vec![
        OwnInterface::Serves(ConfiguredConnector::new(guidance::DESCRIPTOR, "the person who answers", guidance)),
        OwnInterface::Serves(ConfiguredConnector::new(LOG, "", |_| Ok(OpenedConnector::Log))),
        OwnInterface::Serves(email(config)),
        deployment(config),
        OwnInterface::Serves(payments(config)),
        http(config),
        models(config),
    ];
    all.extend(reading(config));
    all
}

/// Email goes into a Maildir unless a relay is configured. Both use one composer, so their previews are the same. An
/// invalid sender or domain is a configuration error; a folder that cannot be created is an error of the machine.
fn email(config: &Config) -> ConfiguredConnector<'_> {
    let email = &config.email;
    let composer = || {
        Composer::new(&email.from, &email.own_domains, workspaces(config))
            .and_then(|composer| composer.with_reply_to(email.reply_to.as_deref()))
            .map_err(|error| wrong(&format!("[email]: {error}")))
    };
    match &email.connector {
        Mail::Maildir { path } => {
            let by = format!("delivery into the maildir {}", path.display());
            ConfiguredConnector::new(maildir::DESCRIPTOR, by, move |context| {
                let maildir = Maildir::open(path, composer()?, context.clock.clone());
                let unmade = |error| failed(&format!("cannot make the maildir `{}`: {error}", path.display()));
                Ok(OpenedConnector::acts(maildir.map_err(unmade)?))
            })
        }
        Mail::Smtp(relay) => {
            let by = format!("the mail relay {}:{}", relay.host, relay.port);
            ConfiguredConnector::new(smtp::DESCRIPTOR, by, move |context| {
                let composer = composer()?;
                let smtp = Smtp::new(self::relay(relay)?, composer, context.clock.clone());
                Ok(OpenedConnector::acts(smtp.map_err(|error| wrong(&format!("[email]: {error}")))?))
            })
        }
    }
}

/// Without a repository, deployments are withheld with a reason that operators read when the agent is loaded.
fn deployment(config: &Config) -> OwnInterface<'_> {
    let Some(deployment) = &config.deployment else {
        return OwnInterface::Withheld(deploy_git::DESCRIPTOR, NO_DEPLOYMENT);
    };
    let (git, targets) = (Git::at(&deployment.repository), deployment.targets.clone());
    OwnInterface::Serves(match &deployment.connector {
        Deploy::Git => {
            ConfiguredConnector::new(deploy_git::DESCRIPTOR, "moving the target's git branch", move |context| {
                Ok(OpenedConnector::acts(DeployGit::new(git, targets, context.children()?)))
            })
        }
        Deploy::Command(command) => {
            let by = by_command(&command.argv);
            ConfiguredConnector::new(deploy_command::DESCRIPTOR, by, move |context| {
                let program = program(command, &deployment.repository);
                Ok(OpenedConnector::acts(DeployCommand::new(program, git, targets, context.children()?)))
            })
        }
    })
}

/// The ledger is opened at the start, so that a changed opening balance stops the host before any run. Every host
/// offers payments. Without accounts, each transfer is refused as impossible, because there are no accounts.
fn payments(config: &Config) -> ConfiguredConnector<'_> {
    let config::Payments { path, accounts } = &config.payments;
    let names = accounts.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let by = if names.is_empty() {
        "which has no account: add a section `[payments.accounts.NAME]`".to_owned()
    } else {
        format!("from {names}")
    };
    let by = format!("booking in the ledger {}, {by}", path.display());
    ConfiguredConnector::new(ledger::DESCRIPTOR, by, move |context| {
        let accounts = accounts.iter().map(|(name, account)| (name.clone(), fundings(account))).collect();
        let ledger = Ledger::open(path, &accounts, context.clock.clone()).map_err(|error| match &error {
            OpenError::Accounts(_) => wrong(&format!("[payments.accounts]: {error}")),
            OpenError::Books(_) => failed(&error),
        })?;
        Ok(OpenedConnector::acts(ledger))
    })
}

/// Without a named host, an agent that sends requests is refused when it is loaded.
fn http(config: &Config) -> OwnInterface<'_> {
    if config.http.is_empty() {
        return OwnInterface::Withheld(http::DESCRIPTOR, NO_HTTP);
    }
    let methods = |methods: &[config::Method]| methods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let host = |(name, host): (&String, &config::HttpHost)| match (&host.routine[..], &host.consequential[..]) {
        (routine, []) => format!("{name} ({} at once)", methods(routine)),
        ([], held) => format!("{name} ({})", methods(held)),
        (routine, held) => format!("{name} ({}; {} at once)", methods(held), methods(routine)),
    };
    let named = config.http.iter().map(host).collect::<Vec<_>>().join(", ");
    OwnInterface::Serves(ConfiguredConnector::new(http::DESCRIPTOR, format!("a request to {named}"), |context| {
        let hosts = config.http.iter().map(|(name, host)| (name.clone(), http_host(host)));
        let credentials = config.credentials.iter().map(|(name, credential)| http_credential(name, credential));
        let http = Arc::new(Http::new(hosts.collect(), credentials.collect::<Result<_, _>>()?, context.mask.clone()));
        Ok(OpenedConnector::ByCall(http.clone(), http.clone(), http))
    }))
}

/// Without a model, an agent that asks models is refused when it is loaded.
fn models(config: &Config) -> OwnInterface<'_> {
    if config.models.is_empty() {
        return OwnInterface::Withheld(model::DESCRIPTOR, NO_MODEL);
    }
    OwnInterface::Serves(ConfiguredConnector::new(model::DESCRIPTOR, "", |context| {
        let model = |(name, model): (&String, _)| Ok::<_, Failure>((name.clone(), settings::model(model, config)?));
        let models = config.models.iter().map(model).collect::<Result<_, _>>()?;
        let budget = config.model_budget.as_ref().map(|budget| {
            let spending = ModelSpending { journal: context.journal.clone(), clock: context.clock.clone() };
            (settings::budget(budget, config), Arc::new(spending) as Arc<dyn Spending>)
        });
        Ok(OpenedConnector::Routine(Arc::new(Models::new(models, workspaces(config), budget, context.mask.clone()))))
    }))
}

/// The interfaces with which agents read.
fn reading(config: &Config) -> [OwnInterface<'_>; 3] {
    let workspace = ConfiguredConnector::new(workspace::DESCRIPTOR, "", |_| {
        let workspace = Workspace::open(workspaces(config))
            .map_err(|error| wrong(&error).hint("make the folder, or remove `workspace` from the section"))?;
        Ok(OpenedConnector::Routine(Arc::new(workspace)))
    });
    let entry = |descriptor, open: fn(&ConnectorContext<'_>, Git) -> Result<OpenedConnector, Failure>| match &config
        .repository
    {
        Some(at) => {
            OwnInterface::Serves(ConfiguredConnector::new(descriptor, "", move |context| open(context, Git::at(at))))
        }
        None => OwnInterface::Withheld(descriptor, NO_REPOSITORY),
    };
    let repository =
        entry(repository::DESCRIPTOR, |_, git| Ok(OpenedConnector::Routine(Arc::new(Repository::new(git)))));
    let checks = entry(checks::DESCRIPTOR, |context, git| {
        let scratch = context.config.state.join(CHECKOUTS_FOLDER);
        let checks = Checks::open(git, context.sandboxes.checks.clone(), context.children()?, scratch.clone())
            .map_err(|error| failed(&format!("cannot make `{}`: {error}", scratch.display())))?;
        Ok(OpenedConnector::Routine(Arc::new(checks)))
    });
    [OwnInterface::Serves(workspace), repository, checks]
}

fn by_command(argv: &[String]) -> String {
    format!("the operator's command `{}`", argv.join(" "))
}

/// A problem of the machine, such as a folder that cannot be created: exit code 1.
fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// A configuration error that only the connector can find: exit code 2, like every configuration error.
fn wrong(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, error.to_string())
}

#[cfg(test)]
mod tables;
#[cfg(test)]
mod tests;
