//! Deploys with a program of the operator's, run without a shell.
//!
//! The program reads one JSON object on its standard input (`release`, `commit`, `key`, `run`, `call`, `attempt`) and finds the plain ones
//! in its environment as well (`HOLDSHORT_TARGET`, `HOLDSHORT_REVISION`, `HOLDSHORT_COMMIT`, `HOLDSHORT_KEY`).
//! It says by its exit status what came of it, as every [`Program`] does. There is nothing that could be asked afterwards, so the key is for
//! the program's own use.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, EffectClass};
use holdshort_journal::Authorized;
use serde_json::{Value, json};

use super::child::{Children, Order};
use super::git::{CommitId, Git, GitError};
use super::program::{Left, Origin, PATIENCE, Program};
use super::release::{Release, impossible, unknown_target};
use super::{
    Attempt, CannotPreview, EXHIBIT_BYTES_MAX, Exhibit, Finding, IfLost, Inquiry, Perform, Preview, Previewed,
};

/// How a lost outcome is settled.
pub const IF_LOST: IfLost = IfLost {
    class: EffectClass::OneShot,
    evidence: "the host looks whether the program still runs, and keeps what it said",
};

/// Deploys a commit of one repository with the operator's program.
#[derive(Clone, Debug)]
pub struct DeployCommand {
    program: Program,
    git: Git,
    targets: BTreeSet<String>,
    children: Children,
}

impl DeployCommand {
    /// Revisions are those of `git`'s repository. `children` holds what the running program leaves for lookups.
    pub fn new(program: Program, git: Git, targets: BTreeSet<String>, children: Children) -> Self {
        Self { program, git, targets, children }
    }

    /// Shows the commit that the revision is now, and the program; the program itself is not asked, because it could only deploy.
    async fn look_ahead(&self, action: &Action) -> Result<Previewed, CannotPreview> {
        let release = Release::of(action).map_err(|error| impossible(&error))?;
        if !self.targets.contains(release.target) {
            return Err(unknown_target(release.target, self.targets.iter()));
        }
        let commit = release.commit(&self.git).await?;
        let show = ["log", "-1", "--no-color", "--no-decorate", "--no-notes", "--no-mailmap", "--encoding=UTF-8"];
        let format = "--format=commit %H%nAuthor: %an <%ae>%nDate:   %aI%n%n%w(0,4,4)%B";
        let arguments: Vec<&str> = show.into_iter().chain([format, commit.as_str()]).collect();
        let unavailable = |error: GitError| CannotPreview::Unavailable(error.to_string());
        let looked = self.git.read(&arguments, EXHIBIT_BYTES_MAX).await.map_err(unavailable)?;
        if !looked.is_whole() {
            let instead = "give the commit a shorter message";
            return Err(CannotPreview::too_large("the commit", looked.bytes_all, instead));
        }
        let summary = format!("deploy {} to {} by running `{}`", commit.short(), release.target, self.program.name());
        let exhibits = vec![
            Exhibit { title: "the commit".into(), media: "text/plain", bytes: looked.bytes },
            self.program.exhibit(),
        ];
        let preconditions = json!({ "commit": commit.as_str(), "program": self.program.precondition() });
        Ok(Previewed { summary, exhibits, preconditions })
    }

    /// Runs the program if everything is as it was shown.
    /// It gets the commit that was shown, and only as long as the agent's revision still means that one; otherwise reviewers are asked again.
    async fn attempt(&self, action: &Action, preconditions: &Value, origin: Origin<'_>) -> Attempt {
        let release = match Release::of(action) {
            Ok(release) => release,
            Err(error) => return Attempt::NotDone(error.to_string()),
        };
        let Some(commit) = shown_commit(preconditions) else {
            return Attempt::NotDone("the clearance does not say which commit was shown".into());
        };
        if let Some(changed) = self.program.changed(preconditions.get("program")) {
            return Attempt::FactsChanged(changed);
        }
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
        let order = self.order(&release, &commit, &origin);
        self.program.attempt(&self.children, &origin, order, |_| Ok(release.receipt(&commit, None))).await
    }

    /// What the program reads and finds in its environment.
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
        let order = self.program.order(&self.program.argv, input.to_string().into_bytes(), &own);
        // Nothing of it is a result, so it is read in the order in which it was written.
        Order { merged: true, ..order }
    }
}

impl Preview for DeployCommand {
    fn name(&self) -> &str {
        "command"
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
}

impl Perform for DeployCommand {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move {
            self.attempt(authorized.action(), authorized.preconditions(), Origin::permitted(&authorized)).await
        }
        .boxed()
    }

    /// It waits for a program that outlived its host, and can then say no more than that it is over: whether it deployed is written nowhere.
    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        async move {
            let Left { evidence, .. } = Left::by(&self.children, &Origin::of(inquiry), PATIENCE).await;
            Finding::Unknown { evidence }
        }
        .boxed()
    }

    /// What the target ran before is not known here, so that no previous commit is named.
    fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        Some(Release::of(&inquiry.action).ok()?.receipt(&shown_commit(&inquiry.preconditions)?, None))
    }
}

/// The commit that reviewers saw.
fn shown_commit(preconditions: &Value) -> Option<CommitId> {
    preconditions.get("commit")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
