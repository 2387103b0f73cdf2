//! Deploys by moving a branch: the operator's own machinery takes it from there.
//!
//! The branch is moved to exactly the commit that was shown, and only from the commit that was shown as its old tip.
//! In the same transaction of git a marker is made, `refs/holdshort/effects/KEY`, which also keeps the deployed commit from being collected.
//! So the repository itself remembers what was done: after a crash it is asked, and nothing is ever guessed.

pub(super) mod change;
pub(super) mod state;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, Consequence, EffectClass, EffectKey};
use holdshort_journal::Authorized;
use serde_json::Value;

use self::change::Change;
use self::state::{Facts, Judged, MARKERS_ABOVE, State, marker};
use super::child::{Children, Ended, How, Leftovers, NotStarted, Order, Trace};
use super::git::{self, Git, GitError};
use super::history::History;
use super::release::{Release, impossible, unknown_target};
use super::{
    Attempt, CannotPreview, Finding, IfLost, Inquiry, Known, PROGRAMS_AT_A_TIME, Perform, Preview, Previewed, Sentence,
    key, quote, say,
};
use holdshort_common::reference::BranchName;

/// How long moving a branch may take. It takes milliseconds; a slow disk is given time, because git should not be killed in the middle.
const MOVE_MAX: Duration = Duration::from_secs(60);
/// How long a lookup waits for a git that outlived its host, and for locks of somebody else's git.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often locks are looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How a lost outcome is settled.
pub const IF_LOST: IfLost = IfLost {
    class: EffectClass::Reconcilable,
    evidence: "the host looks in the repository for the marker that the deployment writes: with the marker it happened; without it, and with the branch unmoved and no git running, it did not",
};

/// Moves branches of one repository.
#[derive(Clone, Debug)]
pub struct DeployGit {
    git: Git,
    /// The operator's names, each with the whole reference of its branch.
    targets: BTreeMap<String, BranchName>,
    /// Where a running git and a host that comes later meet: the lock of the attempt's child.
    children: Children,
}

impl DeployGit {
    /// `targets` are the operator's names with the whole references of their branches; `children` holds what a running git leaves for lookups.
    pub fn new(git: Git, targets: BTreeMap<String, BranchName>, children: Children) -> Self {
        Self { git, targets, children }
    }

    /// What would move, and the facts that must still hold when it does. Nothing is written, not even a lock.
    /// Everything that makes the move impossible is told to the agent here, before anybody is asked; what changes after that is found
    /// by [`check`](Self::check) at the moment of acting.
    async fn look_ahead(&self, action: &Action) -> Result<Previewed, CannotPreview> {
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
            let (target, branch) = (Known::configured(release.target), Known::configured(branch));
            let why =
                say!("`{}` ({}) is at {} already: there is nothing to deploy", target, branch, Known::label(&new));
            return Err(CannotPreview::Impossible(why));
        }
        let branch = branch.as_str();
        let change = Change { git: &self.git, target: release.target, branch, old: old.as_ref(), new: &new };
        let (summary, extent, exhibits) = change.describe().await?;
        let (repository, reference) = (self.repository(), resolved.reference().cloned());
        let standing = Facts { repository, branch: branch.to_owned(), old, new, reference };
        let facts = change::facts(&standing, Some(&extent));
        let (preconditions, consequence) = (standing.to_json(), Consequence::High);
        let mut previewed = Previewed { summary, exhibits, preconditions, facts, consequence };
        change::tell_branches(&self.git, &standing.new, &mut previewed).await?;
        Ok(previewed)
    }

    /// The same for what is cleared, which waits for nothing that agents want to look at.
    fn acting(&self) -> Self {
        Self { git: self.git.apart(), ..self.clone() }
    }

    /// The repository as the operator names it, in a form that stands in clearances.
    fn repository(&self) -> String {
        self.git.repository().display().to_string()
    }

    /// Why git would not move the branch, or must not, whatever it is moved to.
    /// A branch that is checked out is among it: its files would stay as they were, and the next commit made there would undo the deployment.
    async fn in_the_way(
        &self,
        branch: &BranchName,
        tip: Option<&git::Reference>,
    ) -> Result<Option<Sentence>, GitError> {
        let name = Known::configured(branch);
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
                "{} cannot be moved while there is {}: git keeps no reference below another one; \
                 rename {}, or name another branch for the target",
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

    /// Looks, moves, and finds out what came of it.
    ///
    /// Nothing has happened as long as git was not started, so that failing before is `NotDone`. The lock of another attempt is not failing: that git
    /// may still move the branch. The child's files are kept only while the outcome is unknown, because a lookup tells by them whether git still runs.
    async fn attempt(&self, action: &Action, preconditions: &Value, key: &EffectKey, reason: &str) -> Attempt {
        let release = match Release::of(action) {
            Ok(release) => release,
            Err(error) => return Attempt::NotDone(error.sentence()),
        };
        let Some(facts) = Facts::read(preconditions) else {
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
                    Known::path(&path)
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

    /// What can be seen before anything is begun.
    /// `Err` is the outcome if there is nothing left to do. The marker is asked before all else: an attempt that has happened is done, whatever has
    /// become of the branch since. What is not as it was shown goes back to the reviewers.
    async fn check(&self, release: &Release<'_>, facts: &Facts, key: &EffectKey) -> Result<(), Attempt> {
        let (here, target) = (self.repository(), Known::configured(release.target));
        if facts.repository != here {
            let (was, here) = (Known::configured(&facts.repository), Known::configured(here));
            let why = say!("`{}` was in {} when it was shown and is in {} now", target, was, here);
            return Err(Attempt::FactsChanged(why));
        }
        let not_done = |error: GitError| Attempt::NotDone(error.sentence());
        let state = State::look(&self.git, facts, key).await.map_err(not_done)?;
        match &state.marker {
            Some(marker) if marker.id == facts.new => return Err(self.done(release, facts, key).await),
            Some(_) => return Err(Attempt::NotDone(state.describe(facts, key))),
            None => {}
        }
        let branch = self.targets.get(release.target);
        let Some(branch) = branch.filter(|branch| branch.as_str() == facts.branch) else {
            let (was, now) = (Known::configured(&facts.branch), branch.map_or("no branch", BranchName::as_str));
            let why = say!("`{}` was {} when it was shown and is {} now", target, was, Known::configured(now));
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

    /// Whatever git leaves behind is killed: hooks are switched off, so it has nothing to start that should outlive it.
    fn order(&self, facts: &Facts, key: &EffectKey, reason: &str) -> Order {
        Order {
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

    /// Takes git's own words together with what the repository shows. That nothing happened is certain only if git ended by itself, and either
    /// had prepared nothing or has left the repository as it was and without a lock. A git that was killed in the middle leaves a doubt.
    async fn outcome(&self, release: &Release<'_>, facts: &Facts, key: &EffectKey, ended: &Ended) -> Attempt {
        // The program says each step that it has done. Without `prepare` it was not about to change anything when it ended.
        let said = |step: &[u8]| ended.stdout.bytes.split(|byte| *byte == b'\n').any(|line| line == step);
        let exited = matches!(ended.how, How::Exited(_)) && !ended.lingers;
        let never_begun = exited && !ended.stdout.is_cut() && !said(b"prepare: ok");
        let (complaint, how) = (ended.stderr.tail(500), Known::label(format_args!("{:?}", ended.how)));
        let state = match State::look(&self.git, facts, key).await {
            Ok(state) => state,
            Err(error) if never_begun => return Attempt::NotDone(say!("git refused: {}; {}", quote(complaint), error)),
            Err(error) => return Attempt::Unknown(say!("git ended ({}), and {}", how, error)),
        };
        if ended.how == How::Exited(0) && said(b"commit: ok") || state.judge(facts) == Judged::Happened {
            return self.done(release, facts, key).await;
        }
        if never_begun && state.tip() != facts.old.as_ref() {
            return Attempt::FactsChanged(tip_moved(&state, facts));
        }
        if never_begun || state.judge(facts) == Judged::DidNotHappen && exited {
            return Attempt::NotDone(say!("git did not move the branch: {}", quote(complaint)));
        }
        Attempt::Unknown(say!("git ended ({}) in the middle; {}", how, state.describe(facts, key)))
    }

    /// It is not done before it would outlast a power cut: a receipt for a move that is lost afterwards would be wrong for ever.
    async fn done(&self, release: &Release<'_>, facts: &Facts, key: &EffectKey) -> Attempt {
        match self.sync(facts, key).await {
            Ok(()) => Attempt::Done(release.receipt(&facts.new, facts.old.as_ref())),
            Err(error) => {
                Attempt::Unknown(say!("the branch was moved, but a power cut may undo the move: {}", quote(error)))
            }
        }
    }

    /// What became of a lost attempt. Its git has to be gone first, since it could move the branch right after the look.
    async fn find(&self, inquiry: &Inquiry) -> Finding {
        let key = &inquiry.key;
        let (Some(facts), Some(receipt)) = (Facts::read(&inquiry.preconditions), self.receipt(inquiry)) else {
            return Finding::Unknown { evidence: "the clearance does not name the commits that were shown".into() };
        };
        if facts.repository != self.repository() {
            // What this repository tells says nothing about that one.
            let evidence = say!(
                "this effect belongs to {}, where this host no longer deploys",
                Known::configured(facts.repository)
            );
            return Finding::Unknown { evidence };
        }
        let name = child_name(key);
        if self.children.wait_until_gone(&name, PATIENCE).await == Trace::Running {
            let lock = self.children.lock_path(&name);
            let evidence = say!("the git of an earlier attempt still runs and holds the lock `{}`", Known::path(&lock));
            return Finding::Unknown { evidence };
        }
        let mut waited = Duration::ZERO;
        loop {
            let state = match State::look(&self.git, &facts, key).await {
                Ok(state) => state,
                Err(error) => return Finding::Unknown { evidence: say!("the repository cannot be read: {}", error) },
            };
            let evidence = state.describe(&facts, key);
            match state.judge(&facts) {
                Judged::Happened => return Finding::Happened { receipt, evidence },
                Judged::DidNotHappen => {
                    let evidence = say!("no git process of this attempt runs, and {}", evidence);
                    return Finding::DidNotHappen { evidence };
                }
                // Somebody else's git may be at work on the same branch.
                Judged::Unclear if !state.locks.is_empty() && waited < PATIENCE => {}
                Judged::Unclear => return Finding::Unknown { evidence },
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
    }

    /// Git makes the content of references outlast a power cut, but not their names.
    /// The folder of the repository itself is left out: the `refs` in it was there before.
    async fn sync(&self, facts: &Facts, key: &EffectKey) -> Result<(), String> {
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
    fn name(&self) -> &str {
        "git"
    }

    fn class(&self) -> EffectClass {
        IF_LOST.class
    }

    fn evidence(&self) -> &str {
        IF_LOST.evidence
    }

    fn preview<'a>(&'a self, _: &'a str, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        self.look_ahead(action).boxed()
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
        let facts = Facts::read(&inquiry.preconditions)?;
        Some(Release::of(&inquiry.action).ok()?.receipt(&facts.new, facts.old.as_ref()))
    }
}

/// By the key, so that a host that comes later finds the child of an attempt that it did not make itself.
fn child_name(key: &EffectKey) -> String {
    format!("deploy-{}", key::plain(key))
}

/// Both values, because this is what the reviewers read when they are asked again.
fn tip_moved(state: &State, facts: &Facts) -> Sentence {
    let (before, now) = (state::place(facts.old.as_ref()), state::place(state.tip()));
    say!("{} was {} when it was shown and is {} now", Known::configured(&facts.branch), before, now)
}

/// A folder that is not there holds nothing to lose: its references are packed, or kept in tables that git syncs itself.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
