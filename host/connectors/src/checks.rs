//! Runs configured checks, such as a test suite, on a fresh checkout of a git revision (`checks.run`).
//!
//! A check is the repository's own code. Where the machine supports it, the check is [`confined`]. Otherwise, or if the
//! operator has switched confinement off, the check runs as the host's user. In both cases the checkout is a new
//! repository with only the objects that the commit reaches, so the original repository's hooks, filters and
//! configuration have no effect. The environment is built from nothing, with an empty home folder and the variables
//! that the operator names. Time, output and disk space are limited. The process group is killed when the check ends.

mod checkout;
mod counts;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::Action;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use self::checkout::{Checkout, NotMade};
use super::child::{
    ChildCommand, ChildEnd, ChildOutput, Children, ExitKind, Leftovers, NotStarted, Reserve, environment,
};
use super::confined::{self, NotFound, Sandbox, SandboxAccess};
use super::descriptor::{Class, Descriptor};
use super::git::revision::{NotResolved, Resolved};
use super::git::{CommitId, Git, GitError};
use super::{Routine, RoutineCall, Sentence, Unavailable, quote, quote_start, say};
use holdshort_common::reference::RevisionPattern;

/// The agent gets the end of a check's output, at most this many bytes.
const TAIL_BYTES_MAX: usize = 64 * 1024;
/// At most this many bytes from the end of the output are searched for test counts.
const KEPT_BYTES_MAX: u64 = 1024 * 1024;
/// A check that writes more than this many bytes is stopped.
const WRITTEN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The number of checks that run at the same time. Further checks wait, because two test suites
/// already slow a machine down.
const AT_A_TIME: usize = 2;

/// A configured check.
#[derive(Clone, Debug)]
pub struct Check {
    /// The program and its arguments, run in the checkout's top folder.
    pub argv: Vec<String>,
    /// The time limit.
    pub time_out: Duration,
    /// The check runs only on git revisions that were found by a reference with one of these
    /// patterns.
    pub revisions: Vec<RevisionPattern>,
    /// The variables that the check gets from the host's environment besides `PATH`. They replace
    /// the defaults, such as `HOME`.
    pub environment: Vec<String>,
    /// The sandbox, and the access of the check to the machine. `None`: the check runs as the host's user,
    /// without a sandbox.
    pub confined: Option<(Sandbox, SandboxAccess)>,
}

impl Check {
    /// Compares the patterns with the resolved reference. The agent's text is not compared, because
    /// git could read that text differently from a pattern.
    fn allows(&self, name: &str, resolved: &Resolved) -> Result<(), NotRun> {
        if self.revisions.iter().any(|pattern| pattern.fits(resolved.reference())) {
            return Ok(());
        }
        let found = match resolved.reference() {
            Some(reference) => quote(reference).to_string(),
            None => format!("the bare commit id {}", resolved.commit()),
        };
        let allowed = self.revisions.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ");
        Err(NotRun::NotAllowed { name: name.to_owned(), found, allowed })
    }
}

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "[checks.NAME]",
    interface: Some("holdshort:agent/checks@0.1.0"),
    functions: &["run"],
    class: Class::Routine,
};

/// Runs the checks of one repository.
#[derive(Debug)]
pub struct Checks {
    git: Git,
    checks: BTreeMap<String, Check>,
    children: Children,
    scratch: PathBuf,
    turns: Semaphore,
}

/// Why a check did not run: an error for the agent, or a failure of the host.
#[derive(Debug, thiserror::Error)]
enum NotRun {
    #[error("there is no check {name}; configured: {known}")]
    NoCheck { name: Sentence, known: String },
    #[error(transparent)]
    NotResolved(NotResolved),
    #[error("the check `{name}` may not run on {found}, only on {allowed}")]
    NotAllowed { name: String, found: String, allowed: String },
    #[error("the check `{name}` cannot be run: {source}; ask the operator to correct it")]
    NotStarted { name: String, source: NotStarted },
    #[error("the check `{name}` cannot be run: {source}; ask the operator to correct it")]
    NotFound { name: String, source: NotFound },
    #[error("{0}; this connector serves `holdshort:agent/checks#run`")]
    NotOurs(&'static str),
    /// Git failed. The agent sees only an error that a further try would repeat; any other error makes the host retry.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The host could not make the checkout. The agent does not see this error, and the host retries.
    #[error("the checkout of the commit failed: {0}")]
    Checkout(#[from] io::Error),
    #[error("the check `{name}` does not run on this commit: {limit}")]
    TooLarge { name: String, limit: String },
}

impl From<NotResolved> for NotRun {
    fn from(error: NotResolved) -> Self {
        if let NotResolved::Git(error) = error { Self::Git(error) } else { Self::NotResolved(error) }
    }
}

impl Checks {
    /// Runs checks with checkouts in the folder `scratch`. Checkouts that an earlier host left
    /// there are removed.
    pub fn open(git: Git, checks: BTreeMap<String, Check>, children: Children, scratch: PathBuf) -> io::Result<Self> {
        checkout::empty(&scratch)?;
        Ok(Self { git, checks, children, scratch, turns: Semaphore::new(AT_A_TIME) })
    }

    /// Runs the check and reports its result. It waits for a free slot before it makes the checkout, so that at most
    /// [`AT_A_TIME`] checkouts exist.
    async fn result(&self, action: &Action) -> Result<Value, NotRun> {
        let arguments = action.arguments();
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let (name, revision) =
            text("name").zip(text("revision")).ok_or(NotRun::NotOurs("the arguments have no `name` and `revision`"))?;
        let check = self.checks.get(name).ok_or_else(|| self.no_check(name))?;
        let resolved = self.git.resolve(revision).await?;
        check.allows(name, &resolved)?;
        if let Some((_, given)) = &check.confined {
            let not_found = |source| NotRun::NotFound { name: name.to_owned(), source };
            given.finds(check.argv.first().map_or("", String::as_str)).map_err(not_found)?;
        }
        let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
        let checkout = Checkout::make(&self.git, &resolved, &self.scratch, &self.children).await;
        let checkout = checkout.map_err(|error| match error {
            NotMade::Failed(error) => NotRun::Checkout(error),
            NotMade::TooLarge(limit) => NotRun::TooLarge { name: name.to_owned(), limit },
        })?;
        if let Some((sandbox, _)) = check.confined.clone() {
            let folders = checkout.folders().clone();
            tokio::task::spawn_blocking(move || sandbox.hand_over(&folders)).await.map_err(io::Error::other)??;
        }
        let ended = self.children.run(checkout.name(), order(check, &checkout)?).await;
        self.children.forget(checkout.name()).await;
        let ended = ended.map_err(|source| NotRun::NotStarted { name: name.to_owned(), source })?;
        Ok(report(name, resolved.commit(), check, &ended))
    }

    fn no_check(&self, name: &str) -> NotRun {
        let known = self.checks.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        NotRun::NoCheck { name: quote_start(name, 80), known }
    }
}

impl Routine for Checks {
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async move {
            match self.result(call.action).await {
                Ok(report) => Ok(json!({ "ok": report })),
                Err(NotRun::Git(error)) if !error.is_permanent() => Err(Unavailable(error.sentence())),
                Err(error @ NotRun::Checkout(_)) => Err(Unavailable(say!("the check was not run: {}", quote(error)))),
                Err(why) => Ok(json!({ "err": why.to_string() })),
            }
        }
        .boxed()
    }
}

fn order(check: &Check, checkout: &Checkout) -> io::Result<ChildCommand> {
    let folders = checkout.folders();
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let (argv, home, temporary) = match &check.confined {
        Some((sandbox, given)) => {
            (sandbox.argv(folders, given, &check.argv), confined::HOME.to_owned(), confined::TEMPORARY.to_owned())
        }
        None => (check.argv.clone(), path(folders.home()), path(folders.temporary())),
    };
    let own = [("HOME", home), ("TMPDIR", temporary), ("LANG", "C.UTF-8".to_owned()), ("CI", "true".to_owned())];
    Ok(ChildCommand {
        argv,
        folder: Some(folders.tree()),
        // The operator's variables come last, so they replace the defaults. For example, a check
        // may need the host's own `HOME`, because many tools are found through it.
        environment: environment(&[], &own).into_iter().chain(environment(&check.environment, &[])).collect(),
        stdin: Vec::new(),
        time_out: check.time_out,
        kept_bytes_max: KEPT_BYTES_MAX,
        written_bytes_max: WRITTEN_BYTES_MAX,
        reserve: Some(Reserve::half(folders.all())?),
        bounds: None,
        merged: true,
        leftovers: Leftovers::Kill,
    })
}

/// The report of a check. A failed check is an ordinary answer. A check that was stopped has status
/// -1, which no program can return, and its output gives the reason.
fn report(name: &str, commit: &CommitId, check: &Check, ended: &ChildEnd) -> Value {
    let (status, stopped) = match &ended.how {
        ExitKind::Exited(status) => (*status, None),
        ExitKind::Signalled(signal) => (-1, Some(format!("ended by signal {signal}"))),
        ExitKind::TimedOut => (-1, Some(format!("stopped after {} seconds", check.time_out.as_secs_f64()))),
        ExitKind::WroteTooMuch => (-1, Some(format!("stopped after printing {WRITTEN_BYTES_MAX} bytes"))),
        ExitKind::FilledDisk => (-1, Some("stopped after using half of the free disk space".to_owned())),
        ExitKind::Lost(error) => (-1, Some(format!("the exit status is unknown: {error}"))),
    };
    let mut tail = tail(&ended.stderr);
    if let Some(stopped) = stopped {
        tail += &format!("\n[{stopped}]\n");
    }
    // No test counts are reported if the beginning of the output is missing, because that part could
    // contain further counts.
    let counts = if ended.stderr.is_cut() { None } else { counts::find(&String::from_utf8_lossy(&ended.stderr.bytes)) };
    json!({
        "name": name,
        "revision": commit.as_str(),
        "passed": ended.how == ExitKind::Exited(0),
        "exit-status": status,
        "counts": counts.map(|counts| json!({
            "passed": counts.passed, "failed": counts.failed, "skipped": counts.skipped,
        })),
        "output-tail": tail,
    })
}

/// The end of the output. It begins at the start of a line, and says how many bytes before it are
/// missing.
fn tail(output: &ChildOutput) -> String {
    let start = output.bytes.len().saturating_sub(TAIL_BYTES_MAX);
    let end = output.bytes.get(start..).unwrap_or_default();
    if start == 0 && !output.is_cut() {
        return String::from_utf8_lossy(end).into_owned();
    }
    let line = end.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = end.get(line..).unwrap_or_default();
    let missing = output.written_bytes - end.len() as u64;
    format!("[the first {missing} bytes are left out]\n{}", String::from_utf8_lossy(end))
}

#[cfg(test)]
mod tests;
