//! Deploys with a program of the operator's, run without a shell.
//!
//! The program reads one JSON object on its standard input (`release`, `commit`, `key`, `run`, `call`, `attempt`) and finds the plain ones
//! in its environment as well (`HOLDSHORT_TARGET`, `HOLDSHORT_REVISION`, `HOLDSHORT_COMMIT`, `HOLDSHORT_KEY`).
//! It says by its exit status what came of it: 0, deployed; one of the operator's codes, nothing was done and nothing will be;
//! anything else, a person finds out. There is nothing that could be asked afterwards, so the key is for the program's own use.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, CallNumber, EffectClass, EffectKey, RunId};
use holdshort_journal::Authorized;
use serde_json::{Value, json};

use super::child::{Children, Ended, How, Leftovers, NotStarted, Order, Trace, environment};
use super::git::{CommitId, Git};
use super::release::{Release, impossible, unknown_target};
use super::{Attempt, CannotPreview, Exhibit, Finding, Inquiry, Perform, Preview, Previewed, key};

/// How much of the program's output is kept for messages.
const KEPT_BYTES_MAX: u64 = 64 * 1024;
/// How much it may print before it is stopped: a log, not a disk.
const WRITTEN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How much of it is told.
const TAIL_CHARS_MAX: usize = 2_000;
/// How long a lookup waits for a program that outlived its host.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who made a commit and what it is about; a commit's message is not limited, an exhibit is.
const COMMIT_BYTES_MAX: usize = 256 * 1024;

/// The operator's program and how its exit statuses are read.
#[derive(Clone, Debug)]
pub struct DeployProgram {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How long it may run.
    pub time_out: Duration,
    /// The variables of the host's environment that it gets, besides `PATH`.
    pub environment: Vec<String>,
    /// The exit statuses by which it says that nothing was done and nothing will be.
    pub not_done: Vec<u8>,
}

/// Deploys a commit of one repository with the operator's program.
#[derive(Clone, Debug)]
pub struct DeployCommand {
    program: DeployProgram,
    git: Git,
    targets: BTreeSet<String>,
    children: Children,
}

/// Which attempt it is; for the program and the files that it leaves.
struct Origin<'a> {
    run: &'a RunId,
    call: CallNumber,
    attempt: u32,
    key: &'a EffectKey,
}

impl DeployCommand {
    /// Revisions are those of `git`'s repository. `children` holds what the running program leaves for lookups.
    pub fn new(program: DeployProgram, git: Git, targets: BTreeSet<String>, children: Children) -> Self {
        Self { program, git, targets, children }
    }

    async fn look_ahead(&self, action: &Action) -> Result<Previewed, CannotPreview> {
        let release = Release::of(action).map_err(|error| impossible(&error))?;
        if !self.targets.contains(release.target) {
            return Err(unknown_target(release.target, self.targets.iter()));
        }
        let commit = release.commit(&self.git).await?;
        let show = ["log", "-1", "--no-color", "--no-decorate", "--no-notes", "--no-mailmap", "--encoding=UTF-8"];
        let format = "--format=commit %H%nAuthor: %an <%ae>%nDate:   %aI%n%n%w(0,4,4)%B";
        let arguments: Vec<&str> = show.into_iter().chain([format, commit.as_str()]).collect();
        let mut looked = self
            .git
            .read(&arguments, COMMIT_BYTES_MAX)
            .await
            .map_err(|error| CannotPreview::Unavailable(error.to_string()))?;
        if !looked.is_whole() {
            let text =
                format!("commit {commit}\n\nIts message of {} bytes is too large to be shown.\n", looked.bytes_all);
            looked.bytes = text.into_bytes();
        }
        let summary = format!(
            "deploy {} to {} by running `{}`",
            commit.short(),
            release.target,
            self.program.argv.first().map_or("", String::as_str),
        );
        let exhibits = vec![
            Exhibit { title: "the commit".into(), media: "text/plain", bytes: looked.bytes },
            Exhibit { title: "the program".into(), media: "application/json", bytes: self.describe().into_bytes() },
        ];
        Ok(Previewed { summary, exhibits, preconditions: json!({ "commit": commit.as_str() }) })
    }

    /// What will be run, as far as it can be told before: the rest is the release itself.
    fn describe(&self) -> String {
        let program = &self.program;
        let text = json!({
            "argv": program.argv,
            "environment": program.environment,
            "time-out-ms": u64::try_from(program.time_out.as_millis()).unwrap_or(u64::MAX),
            "exit-status": { "deployed": 0, "nothing-done": program.not_done },
        });
        format!("{text:#}\n")
    }

    async fn attempt(&self, action: &Action, preconditions: &Value, origin: Origin<'_>) -> Attempt {
        let release = match Release::of(action) {
            Ok(release) => release,
            Err(error) => return Attempt::NotDone(error.to_string()),
        };
        let Some(commit) = shown_commit(preconditions) else {
            return Attempt::NotDone("the clearance does not say which commit was shown".into());
        };
        match release.commit(&self.git).await {
            Ok(now) if now == commit => {}
            Ok(now) => {
                let text = format!("`{}` was {commit} when it was shown and is {now} now", release.revision);
                return Attempt::FactsChanged(text);
            }
            Err(CannotPreview::Impossible(why)) => {
                return Attempt::FactsChanged(format!("it was {commit} when it was shown, and now {why}"));
            }
            Err(CannotPreview::Unavailable(why)) => return Attempt::NotDone(why),
        }
        let name = child_name(origin.key, origin.attempt);
        match self.children.run(&name, self.order(&release, &commit, &origin)).await {
            Ok(ended) => {
                let attempt = self.outcome(&release, &commit, &ended);
                match attempt {
                    // What it printed is kept for whoever has to find out.
                    Attempt::Unknown(_) => {}
                    Attempt::Done(_) | Attempt::NotDone(_) | Attempt::FactsChanged(_) => {
                        self.children.forget(&name).await;
                    }
                }
                attempt
            }
            Err(NotStarted::Busy(path)) => {
                Attempt::Unknown(format!("an earlier attempt still runs and holds `{}`", path.display()))
            }
            Err(error) => Attempt::NotDone(error.to_string()),
        }
    }

    fn order(&self, release: &Release<'_>, commit: &CommitId, origin: &Origin<'_>) -> Order {
        let own = [
            ("HOLDSHORT_TARGET", release.target.to_owned()),
            ("HOLDSHORT_REVISION", release.revision.to_owned()),
            ("HOLDSHORT_COMMIT", commit.to_string()),
            ("HOLDSHORT_KEY", origin.key.to_string()),
        ];
        let input = json!({
            "release": release.record,
            "commit": commit.as_str(),
            "key": origin.key.to_string(),
            "run": origin.run,
            "call": origin.call,
            "attempt": origin.attempt,
        });
        Order {
            argv: self.program.argv.clone(),
            folder: Some(self.git.repository().to_owned()),
            environment: environment(&self.program.environment, &own),
            stdin: input.to_string().into_bytes(),
            time_out: self.program.time_out,
            kept_bytes_max: KEPT_BYTES_MAX,
            written_bytes_max: WRITTEN_BYTES_MAX,
            merged: true,
            leftovers: Leftovers::Leave,
        }
    }

    fn outcome(&self, release: &Release<'_>, commit: &CommitId, ended: &Ended) -> Attempt {
        let said = ended.stderr.tail(TAIL_CHARS_MAX);
        let is_not_done = |status: &i32| self.program.not_done.iter().any(|code| i32::from(*code) == *status);
        match &ended.how {
            How::Exited(0) => Attempt::Done(release.receipt(commit, None)),
            How::Exited(status) if is_not_done(status) && !ended.lingers => {
                Attempt::NotDone(format!("exit status {status}: {said}"))
            }
            How::Exited(status) if is_not_done(status) => {
                Attempt::Unknown(format!("exit status {status}, but what it started still runs: {said}"))
            }
            How::Exited(status) => Attempt::Unknown(format!("exit status {status}: {said}")),
            How::Signalled(signal) => Attempt::Unknown(format!("ended by signal {signal}: {said}")),
            How::TimedOut => {
                let seconds = self.program.time_out.as_secs();
                Attempt::Unknown(format!("stopped, because it ran longer than {seconds} seconds: {said}"))
            }
            How::WroteTooMuch => {
                Attempt::Unknown(format!("stopped, because it printed more than {WRITTEN_BYTES_MAX} bytes: {said}"))
            }
            How::Lost(error) => Attempt::Unknown(format!("how it ended cannot be told: {error}")),
        }
    }
}

impl Preview for DeployCommand {
    fn name(&self) -> &str {
        "command"
    }

    fn class(&self) -> EffectClass {
        EffectClass::OneShot
    }

    fn evidence(&self) -> &str {
        "looks whether the program still runs; what came of it only a person can find out"
    }

    fn preview<'a>(&'a self, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        self.look_ahead(action).boxed()
    }
}

impl Perform for DeployCommand {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            let permit = &*authorized;
            let origin =
                Origin { run: permit.run(), call: permit.call(), attempt: permit.attempt(), key: permit.key() };
            self.attempt(permit.action(), permit.preconditions(), origin).await
        }
        .boxed()
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async move {
            let name = child_name(&inquiry.key, inquiry.attempt);
            let path = self.children.lock_path(&name);
            let path = path.display();
            let evidence = match self.children.wait_until_gone(&name, PATIENCE).await {
                Trace::Running => format!("the program, or something that it started, still runs and holds `{path}`"),
                Trace::Gone => format!("the program has ended; what it printed is in `{path}`"),
                // A power cut may take the file and leave the deployment.
                Trace::None => format!("the program does not run and has left no `{path}`"),
            };
            Finding::Unknown { evidence }
        }
        .boxed()
    }

    fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        Some(Release::of(&inquiry.action).ok()?.receipt(&shown_commit(&inquiry.preconditions)?, None))
    }
}

fn shown_commit(preconditions: &Value) -> Option<CommitId> {
    preconditions.get("commit")?.as_str()?.parse().ok()
}

fn child_name(key: &EffectKey, attempt: u32) -> String {
    format!("deploy-{}-{attempt}", key::plain(key))
}

#[cfg(test)]
mod tests;
