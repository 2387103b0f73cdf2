//! What the host uses: every value present, every path absolute, every length of time in milliseconds.
//!
//! It holds no secret, only the names of the files that do, and so it can be printed (`holdshort config`).

mod checks;
mod people;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;

use holdshort_gate::{Capability, Digest};
use serde::Serialize;
use serde_json::Value;

use super::fact::FactType;
use super::notices::{NoticeEvent, NoticeTarget};
use super::zone::Zone;
use holdshort_common::reference::BranchName;

pub use checks::{Check, Confinement};
pub use people::{Approval, Delegation};
pub use server::{ListenError, Server};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// The folder that relative paths started from: where the file is, or the current one.
    pub folder: PathBuf,
    /// The file, if there is one.
    pub source: Option<PathBuf>,
    /// The folder of everything the host keeps; the host creates it with mode 0700.
    pub state: PathBuf,
    /// The journal.
    pub journal: PathBuf,
    /// The local operator's token; the host creates it with mode 0600.
    pub token_file: PathBuf,
    /// The local operator's name, kept beside the token; the host creates it with mode 0600.
    pub operator_file: PathBuf,
    /// The name under which the local operator decides: the one that is kept; before the first start `$USER`, else `operator`.
    pub operator: String,
    /// The webhooks that are told, by name.
    pub notify: BTreeMap<String, NoticeTarget>,
    /// The HTTP endpoint.
    pub server: Server,
    /// What agents may use.
    pub limits: Limits,
    /// What it takes to clear a held call.
    pub approval: Approval,
    /// The mail connector.
    pub email: Email,
    /// The deploy connector; none outside a git repository, unless one is configured.
    pub deployment: Option<Deployment>,
    /// The payments connector.
    pub payments: Payments,
    /// The git repository that agents may read; none outside one.
    pub repository: Option<PathBuf>,
    /// The commands that agents may ask for, by name.
    pub checks: BTreeMap<String, Check>,
    /// The agents that can be started by name.
    pub agents: BTreeMap<String, Agent>,
    /// Other people's functions and how they are served.
    pub capabilities: BTreeMap<CapabilityPattern, CapabilityRule>,
    /// Everyone with a token of their own, by name. The local operator is a reviewer too, so the report lists them together.
    #[serde(skip)]
    pub reviewers: Vec<Reviewer>,
    /// Groups of them, by name.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Who may decide in whose place, and until when.
    pub delegations: Vec<Delegation>,
    /// Files of policies; without any, all that is consequential is held.
    pub policies: Vec<PathBuf>,
    /// The time zone whose calendar and clock policies read.
    pub time_zone: Zone,
}

impl Config {
    /// The rule for a function: its own, else its interface's.
    pub fn rule(&self, capability: &Capability) -> Option<&CapabilityRule> {
        let own = self.capabilities.get(&CapabilityPattern::Function(capability.clone()));
        own.or_else(|| self.capabilities.get(&CapabilityPattern::Interface(capability.interface().into())))
    }
}

/// What agents may use. See [`defaults`](super::defaults) for the meaning of each.
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

/// An agent that can be started by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Agent {
    /// Its component.
    pub component: PathBuf,
    /// The folder of files that it may read.
    pub workspace: Option<PathBuf>,
}

/// The mail connector.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Email {
    /// The sender, with its display name if it has one.
    pub from: String,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// The domains that are not marked as outside, in ASCII and lower case.
    pub own_domains: Vec<String>,
    /// How mail leaves.
    pub connector: Mail,
    /// What reviewers are written of.
    pub notices: Vec<NoticeEvent>,
    /// The sender of that.
    pub notices_from: String,
    /// The local operator's own address.
    pub operator: Option<String>,
    /// How long before a deadline reviewers are reminded.
    pub remind_before_ms: u64,
}

/// How mail leaves.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mail {
    /// Into a maildir.
    Maildir {
        /// Its folder.
        path: PathBuf,
    },
    /// Through a relay.
    Smtp(Smtp),
}

/// A mail relay.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Smtp {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// A certificate authority (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The user to log in as, with the file that holds the password.
    pub login: Option<(String, PathBuf)>,
    /// How long the relay may take.
    pub timeout_ms: u64,
    /// How long before a message is tried again that the relay has not taken yet.
    pub retry_after_ms: u64,
}

/// How the connection to a relay is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// From the first byte.
    Required,
    /// After STARTTLS, which must succeed.
    Starttls,
    /// Not at all.
    None,
}

/// The deploy connector.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deployment {
    /// The repository that revisions are resolved in, and whose branches the git connector moves.
    pub repository: PathBuf,
    /// What may be deployed to: its name, and its branch as a whole reference.
    pub targets: BTreeMap<String, BranchName>,
    /// How it happens.
    pub connector: Deploy,
}

/// How a deployment happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deploy {
    /// The target's branch is moved.
    Git,
    /// A program of the operator's does it.
    Command(Command),
}

/// A program of the operator's, run without a shell.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Command {
    /// The program and its arguments; a program with a `/` in it is an absolute path.
    pub argv: Vec<String>,
    /// How long it may take.
    pub timeout_ms: u64,
    /// The variables of the host's environment that it gets; the rest is scrubbed.
    pub environment: Vec<String>,
    /// The exit codes by which it says that nothing was done and nothing will be.
    pub not_done_codes: Vec<u8>,
}

/// The payments connector: a ledger of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Payments {
    /// Its file.
    pub path: PathBuf,
    /// The operator's accounts, from which agents may pay.
    pub accounts: BTreeMap<String, Account>,
}

/// An account of the operator's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Account {
    /// What it has when it is opened, once for each currency.
    pub opening: Vec<Amount>,
    /// What it got later, each once, by a name.
    pub deposits: BTreeMap<String, Amount>,
}

/// An amount of money; as text like `10000.00 EUR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// In the currency's smallest unit; more than zero.
    pub minor_units: i64,
    /// The currency's ISO 4217 code.
    pub currency: String,
    /// The currency's decimals.
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

/// Whom a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CapabilityPattern {
    /// One function.
    Function(Capability),
    /// Every function of an interface that has no rule of its own; written `package:name/interface@version#*`.
    Interface(String),
}

impl Serialize for CapabilityPattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Function(capability) => serializer.collect_str(capability),
            Self::Interface(interface) => serializer.collect_str(&format_args!("{interface}#*")),
        }
    }
}

/// How a function of somebody else's interface is served.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "class")]
pub enum CapabilityRule {
    /// The command answers: arguments on its input, the result on its output.
    Routine(Command),
    /// People decide, then the command acts.
    Consequential(Perform),
}

/// How a cleared call of somebody else's function is performed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Perform {
    /// What acts.
    pub command: Command,
    /// Whether the far end recognises the key, so that a person may send again.
    pub idempotent: bool,
    /// What shows beforehand what would happen; it must change nothing.
    pub preview: Option<Vec<String>>,
    /// What finds out whether a lost attempt happened; it must change nothing.
    pub lookup: Option<Vec<String>>,
    /// What finds out beforehand what policies may rest on; it must change nothing.
    pub facts: Option<Vec<String>>,
    /// The value of the function's own error type that tells the agent of a refusal, if that type is neither a `refusal` nor a string.
    #[serde(serialize_with = "as_json_text")]
    pub refusal: Option<Value>,
    /// What `facts` finds out, by name.
    pub fact_types: BTreeMap<String, FactType>,
}

/// TOML has no null, so the value is written as it is in the file: as JSON text.
fn as_json_text<S: serde::Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Value::to_string).serialize(serializer)
}

/// Somebody who may decide.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reviewer {
    /// Their name, as it stands in decisions.
    pub name: String,
    /// The SHA-256 of their token.
    pub token_sha256: Digest,
    /// Where they are written to.
    pub email: Option<String>,
}
