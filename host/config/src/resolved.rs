//! The resolved configuration: every value is present, every path is absolute, every duration is in
//! milliseconds.
//!
//! It contains no secrets, only the names of their files, so `holdshort config` can print it.

pub(super) mod checks;
mod people;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;

use holdshort_gate::{AgentName, Capability, Digest, ReviewerName};
use serde::Serialize;

use super::command::Command;
use super::notices::{NoticeEvent, NoticeTarget};
use super::resolve::budget::ModelBudget;
use super::resolve::capabilities::{CapabilityPattern, CapabilityRule};
use super::resolve::credentials::Credential;
use super::resolve::http::HttpHost;
use super::resolve::models::Model;
use super::zone::Zone;
use holdshort_common::reference::BranchName;

pub use checks::{Check, Confinement};
pub use people::{Approval, Delegation};
pub use server::{ListenError, Server};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// The base folder of relative paths: the folder of the file, or the current folder.
    pub folder: PathBuf,
    /// The file, if there is one.
    pub source: Option<PathBuf>,
    /// The state folder. The host creates it with mode 0700.
    pub state: PathBuf,
    /// The journal's file.
    pub journal: PathBuf,
    /// The file with the local operator's token. The host creates it with mode 0600.
    pub token_file: PathBuf,
    /// The file with the local operator's name. The host creates it with mode 0600.
    pub operator_file: PathBuf,
    /// The local operator's name: the saved name or, before the first start, `$USER` if this is a
    /// plain name, or else `operator`.
    pub operator: ReviewerName,
    /// The webhooks by name.
    pub notify: BTreeMap<String, NoticeTarget>,
    pub server: Server,
    /// The limits on agents.
    pub limits: Limits,
    /// The requirement for held calls.
    pub approval: Approval,
    pub email: Email,
    /// The deploy connector. Outside a git repository it is `None`, unless the operator configured
    /// it.
    pub deployment: Option<Deployment>,
    pub payments: Payments,
    /// The git repository that agents may read; `None` if there is none.
    pub repository: Option<PathBuf>,
    /// The checks by name.
    pub checks: BTreeMap<String, Check>,
    /// The agents by name.
    pub agents: BTreeMap<AgentName, Agent>,
    /// The hosts that agents may send HTTP requests to, by the name and the port in their URLs.
    pub http: BTreeMap<String, HttpHost>,
    /// The language models that agents may ask, by name.
    pub models: BTreeMap<String, Model>,
    /// The limits on what these models cost; `None` if there is none.
    pub model_budget: Option<ModelBudget>,
    /// The secrets that the host adds to requests and to questions to models, by name.
    pub credentials: BTreeMap<String, Credential>,
    /// The rules for foreign functions.
    pub capabilities: BTreeMap<CapabilityPattern, CapabilityRule>,
    /// The reviewers with configured tokens, by name. The local operator is a reviewer too;
    /// `holdshort config` lists them together.
    #[serde(skip)]
    pub reviewers: Vec<Reviewer>,
    /// The groups of reviewers by name.
    pub groups: BTreeMap<String, Vec<ReviewerName>>,
    pub delegations: Vec<Delegation>,
    /// The policy files. Without any, every consequential call is held.
    pub policies: Vec<PathBuf>,
    /// The time zone of policies.
    pub time_zone: Zone,
}

impl Config {
    /// The rule for a function. If the function has no rule of its own, this is the rule of its
    /// interface.
    pub fn rule(&self, capability: &Capability) -> Option<&CapabilityRule> {
        let own = self.capabilities.get(&CapabilityPattern::Function(capability.clone()));
        own.or_else(|| self.capabilities.get(&CapabilityPattern::Interface(capability.interface().into())))
    }
}

/// The limits on agents. [`defaults`](super::defaults) explains each.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    pub cpu_ms: u64,
    pub memory_bytes: u64,
    pub held_calls: u32,
    pub calls: u32,
    pub journal_bytes: u64,
    pub linger_ms: u64,
    pub live_runs: usize,
    pub told_after_tries: u32,
    pub arguments_bytes_max: usize,
    pub arguments_lines_max: usize,
    pub call_bytes_max: usize,
    pub task_bytes_max: usize,
    pub component_mib: u64,
    pub load_memory_mib: u64,
    pub load_cpu_seconds: u64,
    pub load_seconds: u64,
    pub load_compiled_mib: u64,
    pub policy_memory_mib: u64,
    pub policy_cpu_seconds: u64,
    pub policy_seconds: u64,
}

/// A configured agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Agent {
    pub component: PathBuf,
    /// The folder that the agent may read.
    pub workspace: Option<PathBuf>,
    /// The command of `holdshort dev` that writes the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Vec<String>>,
}

/// The mail connector.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Email {
    /// The sender, with its display name if configured.
    pub from: String,
    /// The address for answers, if it differs from the sender.
    pub reply_to: Option<String>,
    /// The domains that count as inside, in ASCII and lower case.
    pub own_domains: Vec<String>,
    pub connector: Mail,
    /// The kinds of notifications that reviewers get by email.
    pub notices: Vec<NoticeEvent>,
    /// The sender of notifications.
    pub notices_from: String,
    /// The local operator's email address.
    pub operator: Option<String>,
    /// How long before the deadline a reminder is sent.
    pub remind_before_ms: u64,
}

/// The connectors for email.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mail {
    /// Delivers into a Maildir.
    Maildir { path: PathBuf },
    /// Sends through a relay.
    Smtp(Smtp),
}

/// A mail relay.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Smtp {
    /// The relay's name or address.
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// A certificate authority (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The user name, and the file with the password.
    pub login: Option<(String, PathBuf)>,
    /// How long the relay may take for an answer.
    pub timeout_ms: u64,
    /// The wait before the first repeated attempt at an email that the relay deferred.
    pub retry_after_ms: u64,
}

/// The encryption of the connection to a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// TLS from the start.
    Required,
    /// STARTTLS, which must succeed.
    Starttls,
    /// No encryption.
    None,
}

/// The deploy connector.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deployment {
    /// The repository in which git revisions are resolved and whose branches the git connector
    /// moves.
    pub repository: PathBuf,
    /// The deployment targets by name, each with its branch.
    pub targets: BTreeMap<String, BranchName>,
    pub connector: Deploy,
}

/// The connectors for deployments.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deploy {
    /// Moves the target's branch.
    Git,
    /// Runs the operator's program.
    Command(Command),
}

/// The payments connector: a ledger of the host's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Payments {
    pub path: PathBuf,
    /// The accounts from which agents may pay.
    pub accounts: BTreeMap<String, Account>,
}

/// One of the operator's accounts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Account {
    /// The opening balance, once for each currency.
    pub opening: Vec<Amount>,
    /// Later deposits by name. Each is booked once.
    pub deposits: BTreeMap<String, Amount>,
}

/// An amount of money. As text it is written `10000.00 EUR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The amount in the currency's smallest unit; more than zero.
    pub minor_units: i64,
    /// The currency's ISO 4217 code.
    pub currency: String,
    pub decimals: usize,
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { minor_units, currency, decimals } = self;
        let mut digits = format!("{minor_units:0>width$}", width = decimals + 1);
        if *decimals > 0 {
            digits.insert(digits.len().saturating_sub(*decimals), '.');
        }
        serializer.collect_str(&format_args!("{digits} {currency}"))
    }
}

/// A reviewer with a configured token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reviewer {
    /// The name in decisions.
    pub name: ReviewerName,
    /// The SHA-256 of the token.
    pub token_sha256: Digest,
    /// The address for notifications.
    pub email: Option<String>,
}
