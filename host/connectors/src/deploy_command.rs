//! Deploys with an operator's program, run without a shell.
//!
//! The program reads one JSON object on its standard input (`release`, `reference`, `commit`, `previous`, `key`, `run`,
//! `call`, `attempt`). It finds the plain values in its environment too (`HOLDSHORT_TARGET`, `HOLDSHORT_REVISION`,
//! `HOLDSHORT_REFERENCE`, `HOLDSHORT_COMMIT`, `HOLDSHORT_PREVIOUS`, `HOLDSHORT_KEY`).
//!
//! The target's branch shows which commit is deployed now, as for the connector in `deploy_git`. But this connector
//! only reads the branch, and the program must update it. If a target has no branch, the deployed commit is unknown,
//! and reviewers are told this.
//!
//! The exit status gives the outcome, as with every [`Program`]. The host cannot look up an outcome by the idempotency
//! key, so `key` only helps the program to recognise a second attempt.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, AgentName, Consequence, EffectClass};
use holdshort_journal::Authorized;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::child::{ChildCommand, Children};
use super::deploy_git::change::{self, BranchChange, Extent, SHALLOW, commits};
use super::deploy_git::state::{self, DeployFacts};
use super::descriptor::{DeclaredFacts, Descriptor, Effect, Precondition};
use super::git::objects::Objects;
use super::git::relation::Relation;
use super::git::{CommitId, Git};
use super::history::History;
use super::program::{AttemptOrigin, AttemptRemains, PATIENCE, Program};
use super::release::{Release, impossible, unknown_target};
use super::{
    Attempt, CannotPreview, Exhibit, Finding, Inquiry, PROGRAMS_AT_A_TIME, Perform, Preview, Previewed, Sentence,
    Trusted, quote, say,
};
use holdshort_common::reference::{BranchName, ReferenceName};

/// The connector.
pub const DESCRIPTOR: Descriptor = state::deployment(EFFECT);

const EFFECT: Effect = Effect {
    connector: "command",
    class: EffectClass::OneShot,
    evidence: "the host checks whether the program still runs, and keeps its output",
    facts: DeclaredFacts::Fixed(change::FACTS),
    preconditions: &PRECONDITIONS,
};

/// The preconditions of a deployment by `deploy_git`, and the program as one more.
const PRECONDITIONS: [Precondition; 6] = {
    let [repository, branch, old, new, reference] = state::PRECONDITIONS;
    [repository, branch, old, new, reference, Precondition::same("program")]
};

/// Deploys a commit of one repository with the operator's program.
#[derive(Clone, Debug)]
pub struct DeployCommand {
    program: Program,
    git: Git,
    /// The target names, each with the branch that shows what is deployed there.
    targets: BTreeMap<String, BranchName>,
    children: Children,
    /// One lock for each target, held while the program runs. It keeps two deployments to one target apart, because the
    /// first changes the facts that reviewers were shown for the second.
    busy: Arc<BTreeMap<String, Mutex<()>>>,
}

impl DeployCommand {
    /// Makes a connector that deploys commits of `git`'s repository. `children` keeps the output and the lock of a
    /// running program, so that a lookup can find them.
    pub fn new(program: Program, git: Git, targets: BTreeMap<String, BranchName>, children: Children) -> Self {
        let busy = targets.keys().map(|target| (target.clone(), Mutex::default())).collect();
        Self { program, git, targets, children, busy: Arc::new(busy) }
    }

    /// The preview: the change and the program. The program is not run, because the host knows no way to run
    /// it without deploying.
    async fn preview_now(&self, action: &Action) -> Result<Previewed, CannotPreview> {
        let release = Release::of(action).map_err(|error| impossible(&error))?;
        let standing = self.standing(&release).await?;
        let (what, extent, mut exhibits) = self.describe(&release, &standing).await?;
        exhibits.push(self.program.exhibit());
        let (commit, target) = (Trusted::commit(&standing.new), Trusted::configured(release.target));
        let program = Trusted::configured(self.program.name());
        let summary = say!("deploy {} to {} by running `{}`: {}", commit, target, program, what);
        let mut preconditions = standing.to_json();
        if let Some(preconditions) = preconditions.as_object_mut() {
            preconditions.insert("program".into(), self.program.precondition());
        }
        let (facts, consequence) = (change::facts(&standing, extent.as_ref()), Consequence::High);
        let mut previewed = Previewed { summary, exhibits, preconditions, facts, consequence };
        change::add_branch_facts(&self.git, &standing.new, &mut previewed).await?;
        Ok(previewed)
    }

    /// The commits at which the revision and the target's branch are now.
    async fn standing(&self, release: &Release<'_>) -> Result<DeployFacts, CannotPreview> {
        let Some(branch) = self.targets.get(release.target) else {
            return Err(unknown_target(release.target, self.targets.keys()));
        };
        let resolved = release.resolve(&self.git).await?;
        let [tip] = self.git.references([branch.as_str()]).await?;
        let (repository, branch) = (self.git.repository().display().to_string(), branch.as_str().to_owned());
        let (new, reference) = (resolved.commit().clone(), resolved.reference().cloned());
        Ok(DeployFacts { repository, branch, old: tip.map(|tip| tip.id), new, reference })
    }

    /// Describes the change from the branch's commit to the new commit. The evidence is commits and diff; if there is
    /// no other commit to compare with, it is only the new commit. Deploying the same commit again is permitted.
    async fn describe(
        &self,
        release: &Release<'_>,
        facts: &DeployFacts,
    ) -> Result<(Sentence, Option<Extent>, Vec<Exhibit>), CannotPreview> {
        let DeployFacts { branch, old, new, .. } = facts;
        let named = Trusted::configured(branch);
        let old = match old {
            Some(old) if old != new => old,
            Some(_) => return Ok((say!("{} is already at this commit", named), None, self.commit(new).await?)),
            None => {
                let what = say!("the replaced commit is NOT KNOWN, because there is no {}; no diff is shown", named);
                return Ok((what, None, self.commit(new).await?));
            }
        };
        let change = BranchChange { git: &self.git, target: release.target, branch, old: Some(old), new };
        let (extent, exhibits) = change.evidence().await?;
        let (Extent { relation: Relation { added, dropped }, files, .. }, old) = (&extent, Trusted::commit(old));
        let (at, files) = (say!("{}, which is at {}", named, old), Trusted::configured(files));
        let what = match (*dropped, *added) {
            (Some(0), Some(added)) => say!("{} more than {}; {}", commits(added), at, files),
            (Some(lost), Some(added)) => {
                let (lost, added) = (commits(lost), commits(added));
                say!("NOT A FAST-FORWARD: the commit lacks {} of {}, and has {} more; {}", lost, at, added, files)
            }
            (None, _) | (_, None) => {
                say!("the number of commits compared with {} is NOT KNOWN, because {}; {}", at, SHALLOW, files)
            }
        };
        Ok((what, Some(extent), exhibits))
    }

    /// An exhibit of one commit with its complete message.
    async fn commit(&self, commit: &CommitId) -> Result<Vec<Exhibit>, CannotPreview> {
        let objects = Objects::of(&self.git).await?;
        change::log(&objects, say!("the commit"), &["-1", commit.as_str()]).await
    }

    /// Runs the program if everything is as shown: the program, the commit of the agent's revision, and the commit
    /// of the target's branch. Otherwise the call is held again. The host notices no change after this check; only
    /// the program can.
    async fn attempt(&self, action: &Action, preconditions: &Value, origin: AttemptOrigin<'_>) -> Attempt {
        let release = match Release::of(action) {
            Ok(release) => release,
            Err(error) => return Attempt::NotDone(error.sentence()),
        };
        let Some(shown) = DeployFacts::read(preconditions) else {
            return Attempt::NotDone("the clearance does not name the commits that were shown".into());
        };
        if let Some(changed) = self.program.changed(preconditions.get("program")) {
            return Attempt::FactsChanged(changed);
        }
        let lock = self.busy.get(release.target).map(Mutex::try_lock).transpose();
        let Ok(_alone) = lock else {
            let target = Trusted::configured(release.target);
            return Attempt::FactsChanged(say!("another deployment to `{}` was running", target));
        };
        match self.standing(&release).await {
            Ok(now) if now == shown => {}
            Ok(now) => return Attempt::FactsChanged(differences(&release, &shown, &now)),
            Err(CannotPreview::Impossible(why)) => {
                let shown = Trusted::label(&shown.new);
                return Attempt::FactsChanged(say!("the commit was {} when the call was shown; now {}", shown, why));
            }
            Err(CannotPreview::Unavailable(why)) => return Attempt::NotDone(why),
        }
        let order = self.order(&release, &shown, &origin);
        let receipt = || Ok(release.receipt(&shown.new, shown.old.as_ref()));
        self.program.attempt(&self.children, &origin, order, |_| receipt()).await
    }

    /// The command that runs the program, with its input and its environment.
    fn order(&self, release: &Release<'_>, facts: &DeployFacts, origin: &AttemptOrigin<'_>) -> ChildCommand {
        let previous = facts.old.as_ref().map(CommitId::as_str);
        let reference = facts.reference.as_ref().map(ReferenceName::as_str);
        let own = [
            ("HOLDSHORT_TARGET", release.target.to_owned()),
            ("HOLDSHORT_REVISION", release.revision.to_owned()),
            ("HOLDSHORT_REFERENCE", reference.unwrap_or_default().to_owned()),
            ("HOLDSHORT_COMMIT", facts.new.to_string()),
            ("HOLDSHORT_PREVIOUS", previous.unwrap_or_default().to_owned()),
            ("HOLDSHORT_KEY", origin.key.to_string()),
        ];
        let input = json!({
            "release": release.record,
            "reference": reference,
            "commit": facts.new.as_str(),
            "previous": previous,
            "key": origin.key.to_string(),
            "run": origin.run,
            "call": origin.call,
            "attempt": origin.attempt,
        });
        let order = self.program.order(&self.program.argv, input.to_string().into_bytes(), &own);
        // No part of the output is a result, so both streams go into one file, in the order of writing.
        ChildCommand { merged: true, ..order }
    }
}

impl Preview for DeployCommand {
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

impl Perform for DeployCommand {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            // A cleared call does not wait for git programs that agents cause.
            let acting = Self { git: self.git.with_own_turns(), ..self.clone() };
            acting.attempt(authorized.action(), authorized.preconditions(), AttemptOrigin::permitted(&authorized)).await
        }
        .boxed()
    }

    fn attempts_at_a_time(&self) -> usize {
        PROGRAMS_AT_A_TIME
    }

    /// Waits for a program that outlived its host. The lookup can find out that the program has ended, but not whether
    /// it deployed, because no record shows this.
    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async move {
            let AttemptRemains { evidence, .. } =
                AttemptRemains::by(&self.children, &AttemptOrigin::of(inquiry), PATIENCE).await;
            Finding::Unknown { evidence }
        }
        .boxed()
    }

    fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        let facts = DeployFacts::read(&inquiry.preconditions)?;
        Some(Release::of(&inquiry.action).ok()?.receipt(&facts.new, facts.old.as_ref()))
    }
}

/// The changed facts as text, each with the value when the call was shown and the value now.
fn differences(release: &Release<'_>, shown: &DeployFacts, now: &DeployFacts) -> Sentence {
    let found = |facts: &DeployFacts| facts.reference.as_ref().map_or("a commit id".into(), |name| quote(name).into());
    let tip =
        |facts: &DeployFacts| facts.old.as_ref().map_or("absent".into(), |old| say!("at {}", Trusted::label(old)));
    let own = |text: &dyn Display| say!("{}", Trusted::configured(text));
    let target = Trusted::configured(release.target);
    let facts = [
        (say!("the repository"), own(&shown.repository), own(&now.repository)),
        (say!("the branch of `{}`", target), own(&shown.branch), own(&now.branch)),
        (say!("the reference of {}", quote(release.revision)), found(shown), found(now)),
        (quote(release.revision).into(), own(&shown.new), own(&now.new)),
        (own(&shown.branch), tip(shown), tip(now)),
    ];
    let differ = facts.into_iter().filter(|(_, was, is)| was != is);
    let told = differ.map(|(what, was, is)| say!("{} was {} when the call was shown and is {} now", what, was, is));
    Sentence::join(told, "; ")
}

#[cfg(test)]
mod tests;
