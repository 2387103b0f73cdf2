//! Deploys by moving a branch. The operator's own systems then deploy the branch.
//!
//! The branch is moved exactly to the shown commit, and only from the shown old commit. The same git transaction
//! creates a marker, `refs/holdshort/effects/KEY`, which also protects the deployed commit from garbage collection. So
//! the repository itself records the deployment, and after a crash the host reads the outcome from the repository.

pub(super) mod change;
pub(super) mod state;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, AgentName, Consequence, EffectClass, EffectKey};
use holdshort_journal::Authorized;
use serde_json::Value;

use self::change::BranchChange;
use self::state::{BranchState, DeployFacts, MARKERS_ABOVE, StateFinding, marker};
use super::child::{ChildCommand, ChildEnd, Children, ExitKind, Leftovers, LockState, NotStarted};
use super::descriptor::{DeclaredFacts, Descriptor, Effect};
use super::git::{self, Git, GitError};
use super::history::History;
use super::release::{Release, impossible, unknown_target};
use super::{
    Attempt, CannotPreview, Finding, Inquiry, PROGRAMS_AT_A_TIME, Perform, Preview, Previewed, Sentence, Trusted, key,
    quote, say,
};
use holdshort_common::reference::BranchName;

/// The time limit for moving a branch. A move takes milliseconds. The limit is much higher, so that a slow disk does
/// not make the host kill git in the middle of a move.
const MOVE_MAX: Duration = Duration::from_secs(60);
/// How long a lookup waits for a git process that outlived its host, and for the locks of another git process.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval for checking locks while a lookup waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The connector.
pub const DESCRIPTOR: Descriptor = state::deployment(EFFECT);

const EFFECT: Effect = Effect {
    connector: "git",
    class: EffectClass::Reconcilable,
    evidence: "the host looks in the repository for the marker that a deployment writes; if the marker is there, the deployment happened; if it is missing, the deployment did not happen, provided that the branch has not moved and that no git process runs",
    facts: DeclaredFacts::Fixed(change::FACTS),
    preconditions: &state::PRECONDITIONS,
};

/// Moves branches of one repository.
#[derive(Clone, Debug)]
pub struct DeployGit {
    git: Git,
    /// The target names with their branches.
    targets: BTreeMap<String, BranchName>,
    /// The folder for the output and the lock file of each attempt's git process. A process that still runs holds its
    /// lock, so a restarted host finds it.
    children: Children,
}

impl DeployGit {
    /// `targets` are the target names with their branches. `children` keeps the output and lock files of git processes.
    pub fn new(git: Git, targets: BTreeMap<String, BranchName>, children: Children) -> Self {
        Self { git, targets, children }
    }

    /// The preview: the move, and the facts that must still hold at the effect. It writes nothing, not even a lock.
    /// Anything that makes the move impossible is reported to the agent here, before a reviewer is asked.
    /// [`check`](Self::check) finds later changes.
    async fn preview_now(&self, action: &Action) -> Result<Previewed, CannotPreview> {
        let release = Release::of(action).map_err(|error| impossible(&error))?;
        let Some(branch) = self.targets.get(release.target) else {
            return Err(unknown_target(release.target, self.targets.keys()));
        };
        let resolved = release.resolve(&self.git).await?;
        let new = resolved.commit().clone();
        let [tip] = self.git.references([branch.as_str()]).await?;
        if let Some(why) = self.in_the_way(branch, tip.as_ref()).await? {
            return Err(CannotPreview::Impossible(why));
        }
        let old = tip.map(|tip| tip.id);
        if old.as_ref() == Some(&new) {
            let (target, branch) = (Trusted::configured(release.target), Trusted::configured(branch));
            let why =
                say!("`{}` ({}) is already at {}: there is nothing to deploy", target, branch, Trusted::label(&new));
            return Err(CannotPreview::Impossible(why));
        }
        let branch = branch.as_str();
        let change = BranchChange { git: &self.git, target: release.target, branch, old: old.as_ref(), new: &new };
        let (summary, extent, exhibits) = change.describe().await?;
        let (repository, reference) = (self.repository(), resolved.reference().cloned());
        let standing = DeployFacts { repository, branch: branch.to_owned(), old, new, reference };
        let facts = change::facts(&standing, Some(&extent));
        let (preconditions, consequence) = (standing.to_json(), Consequence::High);
        let mut previewed = Previewed { summary, exhibits, preconditions, facts, consequence };
        change::add_branch_facts(&self.git, &standing.new, &mut previewed).await?;
        Ok(previewed)
    }

    /// The connector for cleared calls, which do not wait for git programs that agents cause.
    fn acting(&self) -> Self {
        Self { git: self.git.with_own_turns(), ..self.clone() }
    }

    /// The repository's path, which identifies the repository in a clearance.
    fn repository(&self) -> String {
        self.git.repository().display().to_string()
    }

    /// Why the branch cannot be moved to any commit. A checked-out branch must not be moved, because its files would
    /// stay as they were, and the next commit there would undo the deployment.
    async fn in_the_way(
        &self,
        branch: &BranchName,
        tip: Option<&git::Reference>,
    ) -> Result<Option<Sentence>, GitError> {
        let name = Trusted::configured(branch);
        let symbolic = match tip {
            Some(tip) => tip.symbolic.clone(),
            None => self.git.target_of(branch.as_str()).await?,
        };
        if let Some(other) = symbolic {
            let other = quote(other);
            let why = say!("{} is a symbolic reference to {}; name {} as the target's branch", name, other, other);
            return Ok(Some(why));
        }
        let above: Vec<&str> = MARKERS_ABOVE.into_iter().chain(branch.above()).collect();
        if let Some(other) = self.git.obstacle(&above, branch.as_str()).await? {
            let other = quote(other);
            let why = say!(
                "{} cannot be moved while {} exists: git does not allow a reference below another reference; rename {}, or use another branch for the target",
                name,
                other,
                other
            );
            return Ok(Some(why));
        }
        let looked = self.git.read(&["worktree", "list", "--porcelain", "-z"], 1024 * 1024).await?;
        let text = looked.text();
        let mut folder = "";
        for line in text.split('\0') {
            if let Some(path) = line.strip_prefix("worktree ") {
                folder = path;
            } else if line.strip_prefix("branch ") == Some(branch.as_str()) {
                return Ok(Some(say!(
                    "{} is checked out in {}, and moving the branch would not update the files there; \
                     check out another commit there (`git switch --detach`), or deploy to a bare repository",
                    name,
                    quote(folder)
                )));
            }
        }
        Ok(None)
    }

    /// Checks the facts, moves the branch, and determines the outcome.
    ///
    /// Before git starts, nothing can have happened, so a failure is `NotDone`. There is one exception: if an earlier
    /// attempt holds the lock, its git process may still move the branch. The child's files are kept only while the
    /// outcome is unknown, because a lookup uses them to tell whether git still runs.
    async fn attempt(&self, action: &Action, preconditions: &Value, key: &EffectKey, reason: &str) -> Attempt {
        let release = match Release::of(action) {
            Ok(release) => release,
            Err(error) => return Attempt::NotDone(error.sentence()),
        };
        let Some(facts) = DeployFacts::read(preconditions) else {
            return Attempt::NotDone("the clearance does not name the commits that were shown".into());
        };
        if let Err(ended_before) = self.check(&release, &facts, key).await {
            return ended_before;
        }
        let name = child_name(key);
        let ended = match self.children.run(&name, self.order(&facts, key, reason)).await {
            Ok(ended) => ended,
            Err(NotStarted::Busy(path)) => {
                return Attempt::Unknown(say!(
                    "an earlier attempt still runs and holds the lock `{}`",
                    Trusted::path(&path)
                ));
            }
            Err(error) => return Attempt::NotDone(error.sentence()),
        };
        let attempt = self.outcome(&release, &facts, key, &ended).await;
        match attempt {
            Attempt::Unknown(_) => {}
            Attempt::Done(_)
            | Attempt::DoneDespite(..)
            | Attempt::NotDone(_)
            | Attempt::Postponed(..)
            | Attempt::FactsChanged(_) => self.children.forget(&name).await,
        }
        attempt
    }

    /// The checks before git starts. `Err` is the outcome if git must not start. The marker is checked first: if it
    /// exists, the attempt is done, even if the branch has moved since. Changed facts hold the call again.
    async fn check(&self, release: &Release<'_>, facts: &DeployFacts, key: &EffectKey) -> Result<(), Attempt> {
        let (here, target) = (self.repository(), Trusted::configured(release.target));
        if facts.repository != here {
            let (was, here) = (Trusted::configured(&facts.repository), Trusted::configured(here));
            let why = say!("`{}` was in {} when the call was shown and is in {} now", target, was, here);
            return Err(Attempt::FactsChanged(why));
        }
        let not_done = |error: GitError| Attempt::NotDone(error.sentence());
        let state = BranchState::look(&self.git, facts, key).await.map_err(not_done)?;
        match &state.marker {
            Some(marker) if marker.id == facts.new => return Err(self.done(release, facts, key).await),
            Some(_) => return Err(Attempt::NotDone(state.describe(facts, key))),
            None => {}
        }
        let branch = self.targets.get(release.target);
        let Some(branch) = branch.filter(|branch| branch.as_str() == facts.branch) else {
            let (was, now) = (Trusted::configured(&facts.branch), branch.map_or("no branch", BranchName::as_str));
            let why = say!("`{}` was {} when the call was shown and is {} now", target, was, Trusted::configured(now));
            return Err(Attempt::FactsChanged(why));
        };
        if state.tip() != facts.old.as_ref() {
            return Err(Attempt::FactsChanged(tip_moved(&state, facts)));
        }
        match self.in_the_way(branch, state.branch.as_ref()).await.map_err(not_done)? {
            Some(why) => Err(Attempt::FactsChanged(why)),
            None => Ok(()),
        }
    }

    /// The git command that moves the branch. It leaves no process behind: hooks are switched off, and any process left
    /// in its group is killed.
    fn order(&self, facts: &DeployFacts, key: &EffectKey, reason: &str) -> ChildCommand {
        ChildCommand {
            argv: self.git.argv(&["update-ref", "-m", reason, "--stdin"]),
            folder: self.git.folder().map(Path::to_owned),
            environment: git::environment(),
            stdin: facts.transaction(key).into_bytes(),
            time_out: MOVE_MAX,
            kept_bytes_max: 16 * 1024,
            written_bytes_max: 1024 * 1024,
            reserve: None,
            bounds: Some(git::BOUNDS),
            merged: false,
            leftovers: Leftovers::Kill,
        }
    }

    /// Concludes the outcome from git's output and the repository's state. "Nothing happened" is certain on two
    /// conditions: git exited without being killed; and it never reported `prepare`, or the repository is unchanged and
    /// has no lock. If git was killed in the middle, the effect is in doubt.
    async fn outcome(&self, release: &Release<'_>, facts: &DeployFacts, key: &EffectKey, ended: &ChildEnd) -> Attempt {
        // Git reports each completed step. If it did not report `prepare`, it had not begun to change anything.
        let said = |step: &[u8]| ended.stdout.bytes.split(|byte| *byte == b'\n').any(|line| line == step);
        let exited = matches!(ended.how, ExitKind::Exited(_)) && !ended.lingers;
        let never_begun = exited && !ended.stdout.is_cut() && !said(b"prepare: ok");
        let (complaint, how) = (ended.stderr.tail(500), Trusted::label(format_args!("{:?}", ended.how)));
        let state = match BranchState::look(&self.git, facts, key).await {
            Ok(state) => state,
            Err(error) if never_begun => return Attempt::NotDone(say!("git refused: {}; {}", quote(complaint), error)),
            Err(error) => return Attempt::Unknown(say!("git ended ({}), and {}", how, error)),
        };
        if ended.how == ExitKind::Exited(0) && said(b"commit: ok") || state.judge(facts) == StateFinding::Happened {
            return self.done(release, facts, key).await;
        }
        if never_begun && state.tip() != facts.old.as_ref() {
            return Attempt::FactsChanged(tip_moved(&state, facts));
        }
        if never_begun || state.judge(facts) == StateFinding::DidNotHappen && exited {
            return Attempt::NotDone(say!("git did not move the branch: {}", quote(complaint)));
        }
        Attempt::Unknown(say!("git ended ({}) before it was done; {}", how, state.describe(facts, key)))
    }

    /// Reports success only after a sync. Without it, a power failure could undo a move whose receipt was recorded.
    async fn done(&self, release: &Release<'_>, facts: &DeployFacts, key: &EffectKey) -> Attempt {
        match self.sync(facts, key).await {
            Ok(()) => Attempt::Done(release.receipt(&facts.new, facts.old.as_ref())),
            Err(error) => {
                Attempt::Unknown(say!("the branch was moved, but a power cut may undo the move: {}", quote(error)))
            }
        }
    }

    /// Looks up an attempt in doubt, after the attempt's git has ended. Until then, git could still move the branch.
    async fn find(&self, inquiry: &Inquiry) -> Finding {
        let key = &inquiry.key;
        let (Some(facts), Some(receipt)) = (DeployFacts::read(&inquiry.preconditions), self.receipt(inquiry)) else {
            return Finding::Unknown { evidence: "the clearance does not name the commits that were shown".into() };
        };
        if facts.repository != self.repository() {
            // The attempt was made in another repository, so this repository cannot tell its outcome.
            let evidence = say!(
                "this effect was started in {}, but this host no longer deploys there",
                Trusted::configured(facts.repository)
            );
            return Finding::Unknown { evidence };
        }
        let name = child_name(key);
        if self.children.wait_until_gone(&name, PATIENCE).await == LockState::Running {
            let lock = self.children.lock_path(&name);
            let evidence =
                say!("the git of an earlier attempt still runs and holds the lock `{}`", Trusted::path(&lock));
            return Finding::Unknown { evidence };
        }
        let mut waited = Duration::ZERO;
        loop {
            let state = match BranchState::look(&self.git, &facts, key).await {
                Ok(state) => state,
                Err(error) => return Finding::Unknown { evidence: say!("the repository cannot be read: {}", error) },
            };
            let evidence = state.describe(&facts, key);
            match state.judge(&facts) {
                StateFinding::Happened => return Finding::Happened { receipt, evidence },
                StateFinding::DidNotHappen => {
                    let evidence = say!("no git process of this attempt runs, and {}", evidence);
                    return Finding::DidNotHappen { evidence };
                }
                // Another git process may hold the lock at this moment, so the lookup tries again.
                StateFinding::Unclear if !state.locks.is_empty() && waited < PATIENCE => {}
                StateFinding::Unclear => return Finding::Unknown { evidence },
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
    }

    /// Makes the names of the moved references durable, because git itself makes only their content durable. The
    /// repository's own folder needs no sync, because the `refs` in it existed before.
    async fn sync(&self, facts: &DeployFacts, key: &EffectKey) -> Result<(), String> {
        let common = self.git.common_folder().await.map_err(|error| error.to_string())?;
        let paths = [common.join(&facts.branch), common.join(marker(key))];
        let synced = tokio::task::spawn_blocking(move || {
            let inside = |folder: &&Path| folder.starts_with(&common) && *folder != common;
            paths.iter().flat_map(|path| path.ancestors().skip(1)).filter(inside).try_for_each(sync_folder)
        });
        synced.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

impl Preview for DeployGit {
    fn effect(&self) -> Effect {
        EFFECT
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        self.preview_now(action).boxed()
    }

    fn recall(&self, _: &Action, history: &History, previewed: &mut Previewed) {
        change::recall(history, previewed);
    }
}

impl Perform for DeployGit {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            let reason = format!("holdshort: run {}, call {}", authorized.run(), authorized.call());
            let (key, preconditions) = (authorized.key(), authorized.preconditions());
            self.acting().attempt(authorized.action(), preconditions, key, &reason).await
        }
        .boxed()
    }

    fn attempts_at_a_time(&self) -> usize {
        PROGRAMS_AT_A_TIME
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async move { self.acting().find(inquiry).await }.boxed()
    }

    fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        let facts = DeployFacts::read(&inquiry.preconditions)?;
        Some(Release::of(&inquiry.action).ok()?.receipt(&facts.new, facts.old.as_ref()))
    }
}

/// The name of an attempt's child. It is made from the key, so that a restarted host finds an earlier host's child.
fn child_name(key: &EffectKey) -> String {
    format!("deploy-{}", key::plain(key))
}

/// The sentence that the branch has moved. It names both commits, because reviewers read it when the call
/// is held again.
fn tip_moved(state: &BranchState, facts: &DeployFacts) -> Sentence {
    let (before, now) = (state::place(facts.old.as_ref()), state::place(state.tip()));
    say!("{} was {} when the call was shown and is {} now", Trusted::configured(&facts.branch), before, now)
}

/// Syncs a folder. A missing folder needs no sync: its references are packed, or in tables that git syncs itself.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
