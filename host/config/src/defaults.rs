//! The defaults of the configuration, and the fixed limits. The names contain the units.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::resolved::checks::Confinement;
use super::zone::Zone;
use holdshort_common::reference::RevisionPattern;

/// The usual name of the configuration file.
pub const FILE_NAME: &str = "holdshort.toml";
/// The state folder with all the host's files, beside the configuration file; mode 0700.
pub const STATE_FOLDER: &str = ".holdshort";
/// The journal's file in the state folder.
pub const JOURNAL_FILE: &str = "journal.db";
/// The local operator's token in the state folder; mode 0600.
pub const TOKEN_FILE: &str = "token";
/// The local operator's name in the state folder, beside the token; mode 0600.
pub const OPERATOR_FILE: &str = "operator";
/// The Maildir connector's folder in the state folder.
pub const MAIL_FOLDER: &str = "mail";
/// The payments connector's ledger in the state folder.
pub const LEDGER_FILE: &str = "ledger.db";
/// The local operator's name as a reviewer, if `$USER` is not a plain name at the first start.
pub const OPERATOR: &str = "operator";

/// Loopback: other machines can reach the host only if the operator configures it.
pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7411));
/// By default there is no TLS proxy in front of the host.
pub const BEHIND_PROXY: bool = false;
/// Without TLS, each browser session gets a host name of its own, so that no other program on this
/// machine receives its cookie.
pub const SESSION_NAMES: bool = true;

/// The CPU time of a run in total, without its waits. An agent that mostly waits needs far less,
/// and an endless loop is stopped at this limit.
pub const CPU_MS: u64 = 10_000;
/// The linear memory of an instance in MiB. A large Python agent needs about 50.
pub const MEMORY_MIB: u64 = 256;
/// The maximum number of held calls in one run. More would flood the reviewers.
pub const HELD_CALLS: u64 = 100;
/// The maximum number of calls in one run, without log lines. The journal keeps each call.
pub const CALLS: u64 = 100_000;
/// The maximum data of one run in the journal in MiB, so that no agent can fill the disk.
pub const JOURNAL_MIB: u64 = 256;
/// How long an instance waits in memory for a fast answer before it is parked.
pub const LINGER_MS: u64 = 2_000;
/// The maximum number of agents that compute at the same time. As many again may wait in memory for
/// a fast answer. All other runs wait on disk.
pub const LIVE_RUNS: u64 = 64;
/// Reviewers are notified after this many failures in a row to continue a run. This takes about half
/// a minute, because most such failures end within this time.
pub const TOLD_AFTER_TRIES: u64 = 6;
/// The maximum argument bytes of a consequential call: as much as a reviewer can be asked to read.
pub const ARGUMENTS_BYTES_MAX: u64 = 64 * 1024;
/// The maximum argument lines of a consequential call, counted as a reviewer sees them.
pub const ARGUMENTS_LINES_MAX: u64 = 400;
/// The maximum bytes of data in one call of any kind. A conversation with a language model grows to this size, and
/// nobody reads it if policy clears it.
pub const CALL_BYTES_MAX: u64 = 1024 * 1024;
/// The maximum bytes of a run's task.
pub const TASK_BYTES_MAX: u64 = 64 * 1024;

/// The maximum size of a component file in MiB. A large agent in Python or JavaScript has 18 to 49.
pub const COMPONENT_MIB: u64 = 128;
/// The memory of the child process that compiles a component, in MiB. A component of 18 MB needs up
/// to 500, a component of 49 MB about 1,000.
pub const LOAD_MEMORY_MIB: u64 = 2_048;
/// The CPU time of the child process that compiles a component. A component of 49 MB needs 25 s,
/// and twice as much in a debug build.
pub const LOAD_CPU_SECONDS: u64 = 180;
/// The wall-clock time of the child process that compiles a component. Its priority is low, so on a
/// busy machine it takes ten times its CPU time or more.
pub const LOAD_SECONDS: u64 = 1_800;
/// The maximum compiled code of one component in MiB. All its runs share the code. A component of
/// 18 MB compiles to about 100.
pub const LOAD_COMPILED_MIB: u64 = 1_024;
/// The memory of the child process that reads policies, in MiB. Hundreds of policies need a few
/// tens of MiB.
pub const POLICY_MEMORY_MIB: u64 = 512;
/// The CPU time of the child process that reads policies. Hundreds of policies need less than a
/// second.
pub const POLICY_CPU_SECONDS: u64 = 10;
/// The wall-clock time of the child process that reads policies. Its priority is low.
pub const POLICY_SECONDS: u64 = 60;
/// The time zone for policies. The default is UTC, because the journal, the logs and the daily
/// totals use UTC.
pub const TIME_ZONE: Zone = Zone::UTC;

/// The number of different reviewers who must approve.
pub const QUORUM: u64 = 1;
/// Whether the person who started a run is excluded from approving its calls. By default they are
/// not, because at first there is usually only one reviewer.
pub const FOUR_EYES: bool = false;
/// How long a held call waits for decisions. By default there is no deadline, because a call should
/// not be rejected only because nobody decided.
pub const EXPIRES_AFTER_MS: Option<u64> = None;
/// How long after its clearance an effect may still start. With one hour, no effect starts days
/// after its clearance.
pub const START_WITHIN_MS: u64 = 60 * 60 * 1_000;

/// The sender of agents' emails.
pub const EMAIL_FROM: &str = "agent@localhost";
/// How long the relay may take for an answer.
pub const SMTP_TIMEOUT_MS: u64 = 30_000;
/// The wait before the second attempt at an email that the relay deferred. A minute suits most
/// relays.
pub const SMTP_RETRY_AFTER_MS: u64 = 60_000;
/// The relay's port for TLS from the start.
pub const SMTP_PORT_TLS: u16 = 465;
/// The relay's port for STARTTLS.
pub const SMTP_PORT_STARTTLS: u16 = 587;
/// The relay's port without TLS.
pub const SMTP_PORT_PLAIN: u16 = 25;

/// The default target of deployments: its name and branch.
pub const DEPLOYMENT_TARGET: (&str, &str) = ("production", "refs/heads/production");
/// The time limit of a deploy command: ten minutes.
pub const DEPLOYMENT_TIMEOUT_MS: u64 = 10 * 60 * 1_000;
/// The time limit of a check: ten minutes.
pub const CHECK_TIMEOUT_MS: u64 = 10 * 60 * 1_000;
/// The git revisions on which a check may run. By default these are all revisions of the
/// repository, because the operator chose the repository.
pub const CHECK_REVISIONS: RevisionPattern = RevisionPattern::Any;
/// When checks are confined. By default they are confined wherever this machine supports it. With
/// `required`, the host does not start on a machine that does not support it.
pub const CHECK_CONFINEMENT: Confinement = Confinement::WhenAvailable;
/// Whether a confined check can use the network.
pub const CHECK_NETWORK: bool = false;
/// The time limit of a capability's command: one minute.
pub const CAPABILITY_TIMEOUT_MS: u64 = 60_000;

/// How often a notification is tried again before it is given up. With the waits in between, this
/// takes about half an hour.
pub const NOTICE_RETRIES: u32 = 11;
/// The maximum of repeated attempts that an operator can configure.
pub const NOTICE_RETRIES_MAX: u64 = 1_000;
/// The wait before the first repeated attempt.
pub const NOTICE_RETRY_AFTER_MS: u64 = 1_000;
/// A reminder is sent at least this long before the deadline. By default it is sent when a quarter
/// of the time for deciding is left, if that is longer.
pub const NOTICE_REMIND_BEFORE_MIN_MS: u64 = 5 * 60 * 1_000;

/// The maximum linear memory of wasm32.
pub const MEMORY_MIB_MAX: u64 = 4_096;
/// The maximum for the settings of a component's size, its compiled code, and the memory for
/// reading: 64 GiB. A larger number is probably a typing error.
pub const READ_MIB_MAX: u64 = 65_536;
/// The maximum for the time limits of reading: one hour.
pub const READ_SECONDS_MAX: u64 = 3_600;
/// The maximum for the memory limit of a check's process: one TiB. No check should need more.
pub const CHECK_MEMORY_MIB_MAX: u64 = 1_048_576;
/// The maximum for a run's data in the journal: one TiB. A journal in one file should not hold
/// more.
pub const JOURNAL_MIB_MAX: u64 = 1_048_576;
/// The maximum number of live runs. With a default kernel (`vm.max_map_count`), more instances
/// fail.
pub const LIVE_RUNS_MAX: u64 = 10_000;
/// The maximum for the size of arguments that a reviewer must read. Exhibits may be larger, because
/// they are split into pages.
pub const ARGUMENTS_BYTES_LIMIT: u64 = 1024 * 1024;
/// The maximum for the data in one call, which an agent has in memory several times.
pub const CALL_BYTES_LIMIT: u64 = 16 * 1024 * 1024;
/// The maximum duration: ten years. A longer duration is probably a typing error.
pub const DURATION_MS_MAX: u64 = 3_650 * 24 * 60 * 60 * 1_000;
/// The maximum length of the name of an agent, reviewer, check or target, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// The time limit for an agent's HTTP request and its answer.
pub const HTTP_TIMEOUT_MS: u64 = 30_000;
/// The maximum size of the answer to an agent's HTTP request. A journal keeps every answer.
pub const HTTP_ANSWER_KIB: u64 = 1_024;
/// The largest such maximum that an operator can configure.
pub const HTTP_ANSWER_KIB_MAX: u64 = 16 * 1_024;
/// The largest bound that an operator can configure on the URL and the headers of a routine request. A request has no
/// more of them.
pub const HTTP_HEAD_BYTES_MAX: u64 = 16 * 1_024;

/// The time limit for one attempt at a question to a model. Models that think first can take minutes.
pub const MODEL_TIMEOUT_MS: u64 = 300_000;
/// The maximum size of an answer of a model. A journal keeps every answer.
pub const MODEL_ANSWER_KIB: u64 = 1_024;
/// The largest such maximum that an operator can configure.
pub const MODEL_ANSWER_KIB_MAX: u64 = 16 * 1_024;
/// The number of answers to a question, if the host measures by them how unsure a model is.
pub const MODEL_SAMPLES: u64 = 3;
/// The largest such number that an operator can configure. Each answer is paid for.
pub const MODEL_SAMPLES_MAX: u64 = 10;
