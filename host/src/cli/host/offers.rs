//! Registers every capability of a configuration: the answer or preview for the driver, and the
//! performer for the dispatcher.

mod others;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdshort_gate::{Capability, FunctionType};
use holdshort_journal::{Clock, Journal};

use super::kinds::{Kind, kind};
use super::state::{self, CHECKOUTS_FOLDER, CHILDREN_FOLDER};
use super::types::ComponentTypes;
use super::{Contained, system_clock};
use crate::agent::{self, Reader};
use crate::cli::exit::{Exit, Failure};
use crate::config::{self, Config, Deploy, Mail, Tls};
use crate::connectors::checks::Checks;
use crate::connectors::child::Children;
use crate::connectors::deploy_command::DeployCommand;
use crate::connectors::deploy_git::DeployGit;
use crate::connectors::git::Git;
use crate::connectors::guidance::Guidance;
use crate::connectors::ledger::{Funding, Ledger, OpenError};
use crate::connectors::maildir::Maildir;
use crate::connectors::message::Composer;
use crate::connectors::program::Program;
use crate::connectors::repository::Repository;
use crate::connectors::smtp::{Encryption, Login, Relay, Secret, Smtp};
use crate::connectors::workspace::Workspace;
use crate::connectors::{Perform, Preview, Routine};
use crate::effects::Performers;
use crate::runs::{Catalogue, Offer, Offered};

/// The reason why agents cannot deploy or read files without a repository.
pub(in crate::cli) const NO_DEPLOYMENT: &str =
    "the host's folder is not a git repository: name one with `repository` in the section `[deployment]`";
pub(in crate::cli) const NO_REPOSITORY: &str =
    "the host's folder is not a git repository: name one in the section `[repository]`";

/// A host's capabilities, with separate parts for driver and dispatcher.
pub(in crate::cli) struct Offers {
    pub(in crate::cli) catalogue: Catalogue,
    pub(in crate::cli) performers: Performers,
}

/// Creates every connector of `config` and the folders that they need. Errors in the configuration
/// or the machine stop the host here, before it announces itself.
pub(super) fn offers(
    config: &Config,
    journal: &Journal,
    reader: &Reader,
    contained: &Contained,
) -> Result<Offers, Failure> {
    let mut wiring = Wiring::new(system_clock())?;
    wiring.guidance_and_log()?;
    wiring.email(config)?;
    wiring.deployment(config)?;
    wiring.payments(config)?;
    wiring.reading(config, contained)?;
    wiring.others(config, ComponentTypes::of(journal.clone(), reader.clone()))?;
    Ok(wiring.offers)
}

struct Wiring {
    offers: Offers,
    /// The clock for the dates of emails and ledger entries.
    clock: Clock,
    /// The types of our own interfaces.
    types: BTreeMap<Capability, FunctionType>,
}

impl Wiring {
    fn new(clock: Clock) -> Result<Self, Failure> {
        let functions = agent::functions().map_err(|error| failed(&error))?;
        let types = functions.into_iter().map(|import| (import.capability, import.ty)).collect();
        let offers = Offers { catalogue: Catalogue::default(), performers: Performers::default() };
        Ok(Self { offers, clock, types })
    }

    /// Guidance and log need no configuration, so on every host an agent can ask a question and
    /// write to the operator's log.
    fn guidance_and_log(&mut self) -> Result<(), Failure> {
        self.offer("guidance", "ask", Offer::Consequential { preview: Arc::new(Guidance), refusal: None })?;
        self.offer("log", "log", Offer::Log)
    }

    /// Email goes into a Maildir unless a relay is configured. Both use one composer, so their
    /// previews are the same. An invalid sender or domain is a configuration error; a folder that
    /// cannot be created is the machine's.
    fn email(&mut self, config: &Config) -> Result<(), Failure> {
        let email = &config.email;
        let composer = Composer::new(&email.from, &email.own_domains, workspaces(config))
            .and_then(|composer| composer.with_reply_to(email.reply_to.as_deref()))
            .map_err(|error| wrong(&format!("[email]: {error}")))?;
        match &email.connector {
            Mail::Maildir { path } => {
                let maildir = Maildir::open(path, composer, self.clock.clone())
                    .map_err(|error| failed(&format!("cannot make the maildir `{}`: {error}", path.display())))?;
                self.perform("email", "send-email", Arc::new(maildir))
            }
            Mail::Smtp(relay) => {
                let smtp = Smtp::new(self::relay(relay)?, composer, self.clock.clone())
                    .map_err(|error| wrong(&format!("[email]: {error}")))?;
                self.perform("email", "send-email", Arc::new(smtp))
            }
        }
    }

    /// Without a repository, deployments are withheld with a reason that operators read when the
    /// agent is loaded.
    fn deployment(&mut self, config: &Config) -> Result<(), Failure> {
        let Some(deployment) = &config.deployment else {
            return self.withhold("deployment", NO_DEPLOYMENT);
        };
        let (git, children) = (Git::at(&deployment.repository), children(config)?);
        match &deployment.connector {
            Deploy::Git => {
                let connector = DeployGit::new(git, deployment.targets.clone(), children);
                self.perform("deployment", "deploy", Arc::new(connector))
            }
            Deploy::Command(command) => {
                let program = program(command, &deployment.repository);
                let targets = deployment.targets.clone();
                self.perform("deployment", "deploy", Arc::new(DeployCommand::new(program, git, targets, children)))
            }
        }
    }

    /// Opens the ledger, so that a changed opening balance stops the host before any run. Every
    /// host offers payments. Without accounts, each transfer is refused as impossible with that
    /// reason.
    fn payments(&mut self, config: &Config) -> Result<(), Failure> {
        let config::Payments { path, accounts } = &config.payments;
        let accounts = accounts.iter().map(|(name, account)| (name.clone(), fundings(account))).collect();
        let ledger = Ledger::open(path, &accounts, self.clock.clone()).map_err(|error| match &error {
            OpenError::Accounts(_) => wrong(&format!("[payments.accounts]: {error}")),
            OpenError::Books(_) => failed(&error),
        })?;
        self.perform("payments", "transfer-funds", Arc::new(ledger))
    }

    /// The functions with which agents read.
    fn reading(&mut self, config: &Config, contained: &Contained) -> Result<(), Failure> {
        let workspace = Workspace::open(workspaces(config))
            .map_err(|error| wrong(&error).hint("make the folder, or take `workspace` out of the section"))?;
        self.answer("workspace", Arc::new(workspace))?;
        let Some(repository) = &config.repository else {
            self.withhold("checks", NO_REPOSITORY)?;
            return self.withhold("repository", NO_REPOSITORY);
        };
        let git = Git::at(repository);
        self.answer("repository", Arc::new(Repository::new(git.clone())))?;
        let scratch = config.state.join(CHECKOUTS_FOLDER);
        let checks = Checks::open(git, contained.checks.clone(), children(config)?, scratch.clone())
            .map_err(|error| failed(&format!("cannot make `{}`: {error}", scratch.display())))?;
        self.answer("checks", Arc::new(checks))
    }

    /// Registers a connector that previews and performs one of our functions. Both rooms share it,
    /// so an effect uses the settings of its preview.
    fn perform<C: Preview + Perform + 'static>(
        &mut self,
        interface: &str,
        function: &str,
        connector: Arc<C>,
    ) -> Result<(), Failure> {
        self.offers.performers.insert(ours(interface, function)?, connector.clone());
        self.offer(interface, function, Offer::Consequential { preview: connector, refusal: None })
    }

    /// Registers a connector that answers all functions of one of our interfaces.
    fn answer(&mut self, interface: &str, connector: Arc<dyn Routine>) -> Result<(), Failure> {
        for function in self.functions(interface) {
            self.offer(interface, &function, Offer::Routine(connector.clone()))?;
        }
        Ok(())
    }

    /// Withholds an interface that this host is not configured for. An agent that imports it is
    /// refused with this reason, which says more than "unclassified".
    fn withhold(&mut self, interface: &str, why: &str) -> Result<(), Failure> {
        for function in self.functions(interface) {
            self.offers.catalogue.withhold(ours(interface, &function)?, why.to_owned());
        }
        Ok(())
    }

    /// The published functions of one of our interfaces, so that a function added to the WIT is
    /// included.
    fn functions(&self, interface: &str) -> Vec<String> {
        let name = agent::interface(interface);
        let of = |capability: &&Capability| capability.interface() == name;
        self.types.keys().filter(of).map(|capability| capability.function().to_owned()).collect()
    }

    /// Offers a function with its published type and its class in the list. An agent with another
    /// type for it is refused.
    fn offer(&mut self, interface: &str, function: &str, offer: Offer) -> Result<(), Failure> {
        let capability = ours(interface, function)?;
        let served = match &offer {
            Offer::Log => Kind::Log,
            Offer::Routine(_) => Kind::Routine,
            Offer::Consequential { .. } => Kind::Consequential,
        };
        if kind(&capability).is_none_or(|(_, kind)| kind != served) {
            return Err(failed(&format!("`{capability}` is served as {served:?}, which is not what it is")));
        }
        let ty = self.types.get(&capability).cloned();
        self.offers.catalogue.offer(capability, Offered { offer, ty });
        Ok(())
    }
}

/// A capability of ours. It fails only for a misspelled name in this file.
fn ours(interface: &str, function: &str) -> Result<Capability, Failure> {
    Capability::new(&agent::interface(interface), function).map_err(|error| failed(&error))
}

/// The folder in which running programs leave data for lookups. It outlives the host. All
/// connectors share it and name their children differently: by effect key, by random number, or by
/// counter.
fn children(config: &Config) -> Result<Children, Failure> {
    let folder = config.state.join(CHILDREN_FOLDER);
    Children::open(&folder).map_err(|error| failed(&format!("cannot make `{}`: {error}", folder.display())))
}

/// An operator's program that runs in `folder`.
fn program(command: &config::Command, folder: &Path) -> Program {
    Program {
        argv: command.argv.clone(),
        folder: folder.to_owned(),
        time_out: Duration::from_millis(command.timeout_ms),
        environment: command.environment.clone(),
        not_done: command.not_done_codes.clone(),
    }
}

/// The workspaces by agent: the files that an agent may read and attach to emails.
fn workspaces(config: &Config) -> BTreeMap<String, PathBuf> {
    let folder = |(name, agent): (&String, &config::Agent)| Some((name.clone(), agent.workspace.clone()?));
    config.agents.iter().filter_map(folder).collect()
}

/// The opening balance and deposits of an account, under the names by which the ledger identifies
/// them.
fn fundings(account: &config::Account) -> Vec<Funding> {
    let funding = |label, amount: &config::Amount| Funding {
        label,
        minor_units: amount.minor_units,
        currency: amount.currency.clone(),
    };
    let opening = account.opening.iter().map(|amount| funding(format!("opening {}", amount.currency), amount));
    let deposits = account.deposits.iter().map(|(name, amount)| funding(format!("deposit {name}"), amount));
    opening.chain(deposits).collect()
}

/// Reads passwords and certificates now, so that a missing file is found at the start and not at
/// the first email.
pub(super) fn relay(smtp: &config::Smtp) -> Result<Relay, Failure> {
    let read = |path: &Path| {
        let why = |error| failed(&format!("cannot read `{}`: {error}", path.display()));
        std::fs::read(path).map_err(why)
    };
    let login = smtp.login.as_ref().map(|(user, file)| {
        let password = String::from_utf8_lossy(&state::secret(file)?).trim_end_matches(['\r', '\n']).to_owned();
        Ok::<_, Failure>(Login { user: user.clone(), password: Secret::new(password) })
    });
    Ok(Relay {
        host: smtp.host.clone(),
        port: smtp.port,
        encryption: match smtp.tls {
            Tls::Required => Encryption::Implicit,
            Tls::Starttls => Encryption::StartTls,
            Tls::None => Encryption::None,
        },
        authority: smtp.ca_file.as_deref().map(read).transpose()?,
        login: login.transpose()?,
        hello: "localhost".into(),
        time_out: Duration::from_millis(smtp.timeout_ms),
        retry_after: Duration::from_millis(smtp.retry_after_ms),
    })
}

/// A problem of the machine, such as a folder that cannot be created: exit code 1.
fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// A configuration error that only the connector can find: exit code 2, like all others.
fn wrong(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, error.to_string())
}
