//! Every value that the host assumes when the configuration says nothing, and every bound that it cannot change. Units are in the names.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::resolved::Confinement;
use super::zone::Zone;
use holdshort_common::reference::RevisionPattern;

/// The file's usual name.
pub const FILE_NAME: &str = "holdshort.toml";
/// The folder of everything the host keeps, beside the file; mode 0700.
pub const STATE_FOLDER: &str = ".holdshort";
/// The journal, in the state folder.
pub const JOURNAL_FILE: &str = "journal.db";
/// The local operator's token, in the state folder; mode 0600.
pub const TOKEN_FILE: &str = "token";
/// The local operator's name, in the state folder beside the token that stands for it; mode 0600.
pub const OPERATOR_FILE: &str = "operator";
/// Where the maildir connector delivers, in the state folder.
pub const MAIL_FOLDER: &str = "mail";
/// The ledger that the payments connector books in, in the state folder.
pub const LEDGER_FILE: &str = "ledger.db";
/// The operator's name as a reviewer, if `$USER` is not set or is not a plain name at the first start.
pub const OPERATOR: &str = "operator";

/// Loopback: nothing beyond this machine reaches the host unless the operator says so.
pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7411));
/// No proxy that ends TLS in front of the host.
pub const BEHIND_PROXY: bool = false;
/// Without TLS each browser session has a name of its own, so that no other program of this machine gets its cookie.
pub const SESSION_NAMES: bool = true;

/// A run's CPU time, all its parks included: far more than an agent that mostly waits needs, and a spinner ends within it.
pub const CPU_MS: u64 = 10_000;
/// An instance's linear memory in MiB; a large Python agent takes about 50.
pub const MEMORY_MIB: u64 = 256;
/// Calls that one run may put before people; more is a flood.
pub const HELD_CALLS: u64 = 100;
/// Host calls of any kind in one run, but for lines of its log; each is kept in the journal.
pub const CALLS: u64 = 100_000;
/// What one run's host calls may put into the journal, in MiB; without it an agent could fill the disk.
pub const JOURNAL_MIB: u64 = 256;
/// How long an instance waits in memory for a fast answer before it is parked.
pub const LINGER_MS: u64 = 2_000;
/// Agents that compute at once; as many more may linger in memory, and the other runs wait on disk.
pub const LIVE_RUNS: u64 = 64;
/// How often in a row the host fails to bring a run forward before people are told: about half a minute, in which most such failures pass.
pub const TOLD_AFTER_TRIES: u64 = 6;
/// Bytes of the arguments of a consequential call: what a person can be asked to read.
pub const ARGUMENTS_BYTES_MAX: u64 = 64 * 1024;
/// Lines of the arguments of a consequential call as a reviewer sees them.
pub const ARGUMENTS_LINES_MAX: u64 = 400;
/// Bytes of a run's task.
pub const TASK_BYTES_MAX: u64 = 64 * 1024;

/// A component's file in MiB: a large agent in Python or JavaScript takes 18 to 49.
pub const COMPONENT_MIB: u64 = 128;
/// Memory of the process that reads and compiles a component, in MiB: a component of 18 MB takes up to 500, one of 49 MB about 1,000.
pub const LOAD_MEMORY_MIB: u64 = 2_048;
/// CPU time of that process: a component of 49 MB takes 25 s, and twice as much in a debug build.
pub const LOAD_CPU_SECONDS: u64 = 180;
/// How long it may take by the clock: it has a low priority, so that on a busy machine it takes ten times its CPU time and more.
pub const LOAD_SECONDS: u64 = 1_800;
/// Compiled code of one component in MiB; it is shared by all its runs. That of an 18 MB component takes about 100.
pub const LOAD_COMPILED_MIB: u64 = 1_024;
/// Memory of the process that reads policies, in MiB: hundreds of policies take tens.
pub const POLICY_MEMORY_MIB: u64 = 512;
/// CPU time of that process: hundreds of policies take less than a second.
pub const POLICY_CPU_SECONDS: u64 = 10;
/// How long that process may take by the clock, at its low priority.
pub const POLICY_SECONDS: u64 = 60;
/// The time zone whose clock policies read: the one in which the journal, the logs and the day's totals are kept too.
pub const TIME_ZONE: Zone = Zone::UTC;

/// How many different people must approve.
pub const QUORUM: u64 = 1;
/// Whether who started the run may not approve its calls; off, because the first reviewer is usually the only one.
pub const FOUR_EYES: bool = false;
/// An approval waits for ever: silence decides nothing.
pub const EXPIRES_AFTER_MS: Option<u64> = None;
/// How long after a clearance its effect may still start, so that nothing starts days later: an hour.
pub const START_WITHIN_MS: u64 = 60 * 60 * 1_000;

/// The sender of an agent's mail.
pub const EMAIL_FROM: &str = "agent@localhost";
/// How long a relay may take to answer.
pub const SMTP_TIMEOUT_MS: u64 = 30_000;
/// How long before a message is tried again that a relay has not taken yet, the first time: a minute, which most relays that ask to wait accept.
pub const SMTP_RETRY_AFTER_MS: u64 = 60_000;
/// The relay's port where TLS begins at once.
pub const SMTP_PORT_TLS: u16 = 465;
/// The relay's port where TLS is asked for with STARTTLS.
pub const SMTP_PORT_STARTTLS: u16 = 587;
/// The relay's port without TLS.
pub const SMTP_PORT_PLAIN: u16 = 25;

/// The one target of a deployment, with the branch that it is.
pub const DEPLOYMENT_TARGET: (&str, &str) = ("production", "refs/heads/production");
/// How long an operator's deploy command may take: ten minutes.
pub const DEPLOYMENT_TIMEOUT_MS: u64 = 10 * 60 * 1_000;
/// How long a check may take: ten minutes.
pub const CHECK_TIMEOUT_MS: u64 = 10 * 60 * 1_000;
/// The revisions that a check may run on: any that the repository has, because the operator chose the repository.
pub const CHECK_REVISIONS: RevisionPattern = RevisionPattern::Any;
/// Where a check runs: in a sandbox wherever this machine has one. `required` refuses to start a host where it has none.
pub const CHECK_CONFINEMENT: Confinement = Confinement::WhenAvailable;
/// A confined check has no network.
pub const CHECK_NETWORK: bool = false;
/// How long the command of a capability may take: one minute.
pub const CAPABILITY_TIMEOUT_MS: u64 = 60_000;

/// How often a message is tried again before it is given up: with the waits between, about half an hour in all.
pub const NOTICE_RETRIES: u32 = 11;
/// The most that makes sense.
pub const NOTICE_RETRIES_MAX: u64 = 1_000;
/// The first wait before a message is tried again.
pub const NOTICE_RETRY_AFTER_MS: u64 = 1_000;
/// The least time before a deadline at which people are reminded of it; else a quarter of the time that they have.
pub const NOTICE_REMIND_BEFORE_MIN_MS: u64 = 5 * 60 * 1_000;

/// Linear memory cannot be larger on wasm32.
pub const MEMORY_MIB_MAX: u64 = 4_096;
/// A component, its compiled code and the memory that reading takes: 64 GiB. More is a slip of the pen.
pub const READ_MIB_MAX: u64 = 65_536;
/// An hour.
pub const READ_SECONDS_MAX: u64 = 3_600;
/// A TiB: more than any process of a check should take.
pub const CHECK_MEMORY_MIB_MAX: u64 = 1_048_576;
/// A TiB: more than a journal of one file should hold.
pub const JOURNAL_MIB_MAX: u64 = 1_048_576;
/// More instances than this fail on a default kernel (`vm.max_map_count`).
pub const LIVE_RUNS_MAX: u64 = 10_000;
/// A reviewer reads no more than this however it is configured; exhibits, which may be larger, are paged.
pub const ARGUMENTS_BYTES_LIMIT: u64 = 1024 * 1024;
/// The longest duration: ten years. Anything longer is a slip of the pen.
pub const DURATION_MS_MAX: u64 = 3_650 * 24 * 60 * 60 * 1_000;
/// The longest name of an agent, reviewer, check or target, in characters.
pub const NAME_CHARS_MAX: usize = 64;
