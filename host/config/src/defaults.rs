//! The defaults of the configuration, and the fixed limits. The names contain the units.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::resolved::Confinement;
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
/// No TLS proxy in front of the host.
pub const BEHIND_PROXY: bool = false;
/// Without TLS, each browser session gets a host name of its own, so that no other program on this
/// machine receives its cookie.
pub const SESSION_NAMES: bool = true;

/// The CPU time of a run, across all waits. An agent that mostly waits needs far less, and an
/// endless loop ends here.
pub const CPU_MS: u64 = 10_000;
/// The linear memory of an instance in MiB. A large Python agent needs about 50.
pub const MEMORY_MIB: u64 = 256;
/// Held calls in one run. More would flood the reviewers.
pub const HELD_CALLS: u64 = 100;
/// Host calls in one run, except log lines. The journal keeps each.
pub const CALLS: u64 = 100_000;
/// Data of one run in the journal in MiB, so that no agent can fill the disk.
pub const JOURNAL_MIB: u64 = 256;
/// How long an instance waits in memory for a fast answer before it is parked.
pub const LINGER_MS: u64 = 2_000;
/// Agents that compute at the same time. As many again may wait in memory for a fast answer; all
/// other runs wait on disk.
pub const LIVE_RUNS: u64 = 64;
/// Consecutive failures to bring a run forward before reviewers are notified: about half a minute,
/// in which most such failures pass.
pub const TOLD_AFTER_TRIES: u64 = 6;
/// Argument bytes of a consequential call, as much as a reviewer can be asked to read.
pub const ARGUMENTS_BYTES_MAX: u64 = 64 * 1024;
/// Argument lines of a consequential call as a reviewer sees them.
pub const ARGUMENTS_LINES_MAX: u64 = 400;
/// Bytes of a run's task.
pub const TASK_BYTES_MAX: u64 = 64 * 1024;

/// The size of a component file in MiB. A large agent in Python or JavaScript has 18 to 49.
pub const COMPONENT_MIB: u64 = 128;
/// The memory of the child process that compiles a component, in MiB. A component of 18 MB needs up
/// to 500, one of 49 MB about 1,000.
pub const LOAD_MEMORY_MIB: u64 = 2_048;
/// The CPU time of that process. A component of 49 MB needs 25 s, and twice as much in a debug
/// build.
pub const LOAD_CPU_SECONDS: u64 = 180;
/// The wall-clock time of that process. It runs at low priority, so on a busy machine it needs ten
/// times its CPU time or more.
pub const LOAD_SECONDS: u64 = 1_800;
/// The compiled code of one component in MiB, shared by all its runs. A component of 18 MB compiles
/// to about 100.
pub const LOAD_COMPILED_MIB: u64 = 1_024;
/// The memory of the child process that reads policies, in MiB. Hundreds of policies need tens.
pub const POLICY_MEMORY_MIB: u64 = 512;
/// The CPU time of that process. Hundreds of policies need less than a second.
pub const POLICY_CPU_SECONDS: u64 = 10;
/// The wall-clock time of that process at its low priority.
pub const POLICY_SECONDS: u64 = 60;
/// The time zone for policies. The journal, the logs and the daily totals use UTC too.
pub const TIME_ZONE: Zone = Zone::UTC;

/// The number of different reviewers who must approve.
pub const QUORUM: u64 = 1;
/// Whether the person who started a run is excluded from approving its calls. Off, because the
/// first reviewer is usually the only one.
pub const FOUR_EYES: bool = false;
/// An approval waits without a deadline: silence decides nothing.
pub const EXPIRES_AFTER_MS: Option<u64> = None;
/// How long after its clearance an effect may still start: an hour, so that nothing starts days
/// later.
pub const START_WITHIN_MS: u64 = 60 * 60 * 1_000;

/// The sender of agents' emails.
pub const EMAIL_FROM: &str = "agent@localhost";
/// The relay's time limit for an answer.
pub const SMTP_TIMEOUT_MS: u64 = 30_000;
/// The wait before the first repeated attempt at an email that the relay deferred: a minute, which
/// suits most relays.
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
/// The git revisions that a check may run on: all in the repository, because the operator chose the
/// repository.
pub const CHECK_REVISIONS: RevisionPattern = RevisionPattern::Any;
/// Checks are confined wherever this machine supports it. With `required`, the host does not start
/// on other machines.
pub const CHECK_CONFINEMENT: Confinement = Confinement::WhenAvailable;
/// A confined check has no network.
pub const CHECK_NETWORK: bool = false;
/// The time limit of a capability's command: one minute.
pub const CAPABILITY_TIMEOUT_MS: u64 = 60_000;

/// Repeated attempts at a notification before it is given up. With the waits in between, about half
/// an hour.
pub const NOTICE_RETRIES: u32 = 11;
/// The highest useful number of attempts.
pub const NOTICE_RETRIES_MAX: u64 = 1_000;
/// The wait before the first repeated attempt.
pub const NOTICE_RETRY_AFTER_MS: u64 = 1_000;
/// The minimum time between a reminder and the deadline. The usual time is a quarter of the period
/// for deciding.
pub const NOTICE_REMIND_BEFORE_MIN_MS: u64 = 5 * 60 * 1_000;

/// The maximum linear memory of wasm32.
pub const MEMORY_MIB_MAX: u64 = 4_096;
/// The maximum for a component, its compiled code and the memory for reading: 64 GiB. A larger
/// number is a typing error.
pub const READ_MIB_MAX: u64 = 65_536;
/// One hour.
pub const READ_SECONDS_MAX: u64 = 3_600;
/// One TiB, more than a check's process should need.
pub const CHECK_MEMORY_MIB_MAX: u64 = 1_048_576;
/// One TiB, more than a journal in one file should hold.
pub const JOURNAL_MIB_MAX: u64 = 1_048_576;
/// More instances fail on a default kernel (`vm.max_map_count`).
pub const LIVE_RUNS_MAX: u64 = 10_000;
/// The maximum that any configuration lets a reviewer read. Exhibits may be larger, because they
/// are split into pages.
pub const ARGUMENTS_BYTES_LIMIT: u64 = 1024 * 1024;
/// The maximum duration: ten years. A longer one is a typing error.
pub const DURATION_MS_MAX: u64 = 3_650 * 24 * 60 * 60 * 1_000;
/// The maximum length of the name of an agent, reviewer, check or target, in characters.
pub const NAME_CHARS_MAX: usize = 64;
