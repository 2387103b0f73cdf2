//! The configuration as the operator wrote it. No default is filled in: an absent value is `None`.
//!
//! A key is [`Spanned`] if a rule about several keys may report an error at it. All other errors
//! are found while a single value is parsed.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::defaults::{
    ARGUMENTS_BYTES_LIMIT, CALL_BYTES_LIMIT, CHECK_MEMORY_MIB_MAX, JOURNAL_MIB_MAX, LIVE_RUNS_MAX, MEMORY_MIB_MAX,
    NOTICE_RETRIES_MAX, READ_MIB_MAX, READ_SECONDS_MAX,
};
use super::notices::{NoticeEvent, NoticeFormat, WebUrl};
use super::resolve::budget::Section as BudgetSection;
use super::resolve::capabilities::Section;
use super::resolve::credentials::Section as CredentialSection;
use super::resolve::http::Section as HttpSection;
use super::resolve::models::Section as ModelSection;
use super::resolved::checks::Confinement;
use super::value::{
    Address, Argv, Authority, Between, Branch, ExitCode, Host, Mailbox, Name, Named, Origin, Revisions, Sender, Span,
    Text, TokenHash, Variable,
};
use super::zone::Zone;

/// A whole number in the range of the gate's counters.
pub(super) type Count = Between<1, { u32::MAX as u64 }>;
/// A number of bytes that a reviewer can be asked to read.
pub(super) type ReadableBytes = Between<1, ARGUMENTS_BYTES_LIMIT>;
/// Milliseconds, up to one day.
pub(super) type DayMs = Between<0, 86_400_000>;

/// The whole configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct File {
    pub(super) server: Option<Server>,
    pub(super) limits: Option<Limits>,
    pub(super) approval: Option<Approval>,
    pub(super) agents: Option<Named<Agent>>,
    pub(super) email: Option<Email>,
    pub(super) deployment: Option<Deployment>,
    pub(super) payments: Option<Payments>,
    pub(super) repository: Option<Repository>,
    pub(super) checks: Option<Named<Check>>,
    pub(super) http: Option<Named<HttpSection>>,
    pub(super) credentials: Option<Named<CredentialSection>>,
    pub(super) models: Option<Named<ModelSection>>,
    pub(super) model_budget: Option<BudgetSection>,
    pub(super) capabilities: Option<Named<Section>>,
    pub(super) reviewers: Option<Named<Reviewer>>,
    pub(super) groups: Option<Named<Vec<Spanned<Name>>>>,
    pub(super) delegations: Option<Named<Delegation>>,
    pub(super) policy: Option<Policy>,
    pub(super) notify: Option<Named<Notice>>,
}

/// `[server]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Server {
    pub(super) listen: Option<Spanned<Address>>,
    pub(super) allowed_hosts: Option<Vec<Authority>>,
    pub(super) allowed_origins: Option<Vec<Origin>>,
    pub(super) behind_proxy: Option<bool>,
    pub(super) public_url: Option<Origin>,
    pub(super) session_names: Option<bool>,
}

/// `[policy]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Policy {
    pub(super) files: Vec<PathBuf>,
    pub(super) time_zone: Option<Zone>,
}

/// `[limits]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Limits {
    pub(super) cpu_ms: Option<Between<1, 86_400_000>>,
    pub(super) memory_mib: Option<Between<1, MEMORY_MIB_MAX>>,
    pub(super) held_calls: Option<Count>,
    pub(super) calls: Option<Count>,
    pub(super) journal_mib: Option<Between<1, JOURNAL_MIB_MAX>>,
    pub(super) linger_ms: Option<DayMs>,
    pub(super) told_after_tries: Option<Count>,
    pub(super) live_runs: Option<Between<1, LIVE_RUNS_MAX>>,
    pub(super) arguments_bytes_max: Option<ReadableBytes>,
    pub(super) arguments_lines_max: Option<Count>,
    pub(super) call_bytes_max: Option<Between<1, CALL_BYTES_LIMIT>>,
    pub(super) task_bytes_max: Option<ReadableBytes>,
    pub(super) component_mib: Option<Between<1, READ_MIB_MAX>>,
    pub(super) load_memory_mib: Option<Between<1, READ_MIB_MAX>>,
    pub(super) load_cpu_seconds: Option<Between<1, READ_SECONDS_MAX>>,
    pub(super) load_seconds: Option<Between<1, READ_SECONDS_MAX>>,
    pub(super) load_compiled_mib: Option<Between<1, READ_MIB_MAX>>,
    pub(super) policy_memory_mib: Option<Between<1, READ_MIB_MAX>>,
    pub(super) policy_cpu_seconds: Option<Between<1, READ_SECONDS_MAX>>,
    pub(super) policy_seconds: Option<Between<1, READ_SECONDS_MAX>>,
}

/// `[approval]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Approval {
    pub(super) reviewers: Option<Vec<Spanned<Name>>>,
    pub(super) quorum: Option<Spanned<Count>>,
    pub(super) four_eyes: Option<Spanned<bool>>,
    pub(super) grantors: Option<Vec<Spanned<Name>>>,
    pub(super) expires_after: Option<Span>,
    pub(super) start_within: Option<Span>,
}

/// `[delegations.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Delegation {
    pub(super) to: Spanned<Name>,
    pub(super) until: Spanned<toml::value::Datetime>,
}

/// `[agents.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Agent {
    pub(super) component: PathBuf,
    pub(super) workspace: Option<PathBuf>,
    pub(super) build: Option<Argv>,
}

/// The connectors for email.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`maildir` or `smtp`")]
pub(super) enum MailConnector {
    Maildir,
    Smtp,
}

/// The encryption of the connection to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`required`, `starttls` or `none`")]
pub(super) enum Tls {
    Required,
    Starttls,
    None,
}

/// `[email]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Email {
    pub(super) connector: Option<Spanned<MailConnector>>,
    pub(super) from: Option<Sender>,
    pub(super) reply_to: Option<Sender>,
    pub(super) own_domains: Option<Vec<Host>>,
    pub(super) path: Option<Spanned<PathBuf>>,
    pub(super) host: Option<Spanned<Text>>,
    pub(super) port: Option<Spanned<Between<1, 65_535>>>,
    pub(super) tls: Option<Spanned<Tls>>,
    pub(super) ca_file: Option<Spanned<PathBuf>>,
    pub(super) username: Option<Spanned<Text>>,
    pub(super) password_file: Option<Spanned<PathBuf>>,
    pub(super) timeout: Option<Spanned<Span>>,
    pub(super) retry_after: Option<Spanned<Span>>,
    pub(super) notices: Option<Vec<NoticeEvent>>,
    pub(super) notices_from: Option<Mailbox>,
    pub(super) operator: Option<Mailbox>,
}

/// The connectors for deployments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`git` or `command`")]
pub(super) enum DeployConnector {
    Git,
    Command,
}

/// `[deployment]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Deployment {
    pub(super) connector: Option<Spanned<DeployConnector>>,
    pub(super) repository: Option<PathBuf>,
    pub(super) targets: Option<Spanned<Named<Branch>>>,
    pub(super) command: Option<Spanned<Argv>>,
    pub(super) not_done_codes: Option<Spanned<Vec<ExitCode>>>,
    pub(super) timeout: Option<Spanned<Span>>,
    pub(super) environment: Option<Spanned<Vec<Variable>>>,
}

/// The connectors for payments.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`ledger`")]
pub(super) enum PayConnector {
    Ledger,
}

/// `[payments]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Payments {
    pub(super) connector: Option<PayConnector>,
    pub(super) path: Option<PathBuf>,
    pub(super) accounts: Option<Named<Account>>,
}

/// `[payments.accounts.NAME]`
///
/// Amounts are parsed only when they are resolved. While an array is parsed, an error could not
/// report the position of a single amount.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Account {
    pub(super) opening: Option<Vec<Spanned<String>>>,
    pub(super) deposits: Option<Named<Spanned<String>>>,
}

/// `[repository]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Repository {
    pub(super) path: PathBuf,
}

/// `[checks.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Check {
    pub(super) command: Argv,
    pub(super) timeout: Option<Span>,
    pub(super) environment: Option<Vec<Variable>>,
    pub(super) revisions: Option<Vec<Revisions>>,
    pub(super) confinement: Option<Confinement>,
    pub(super) paths: Option<Vec<PathBuf>>,
    pub(super) network: Option<bool>,
    pub(super) memory_mib: Option<Between<1, CHECK_MEMORY_MIB_MAX>>,
}

/// `[reviewers.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Reviewer {
    pub(super) token_sha256: Spanned<TokenHash>,
    pub(super) email: Option<Mailbox>,
}

/// `[notify.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(super) struct Notice {
    pub(super) url: Option<Spanned<WebUrl>>,
    pub(super) url_file: Option<Spanned<PathBuf>>,
    pub(super) secret_file: Option<Spanned<PathBuf>>,
    pub(super) format: Option<NoticeFormat>,
    pub(super) events: Option<Vec<NoticeEvent>>,
    pub(super) remind_before: Option<Span>,
    pub(super) retries: Option<Between<0, NOTICE_RETRIES_MAX>>,
    pub(super) retry_after: Option<Span>,
    pub(super) allow_http: Option<bool>,
    pub(super) allow_private: Option<bool>,
}
