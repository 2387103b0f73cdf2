//! Describes the move of a branch from the repository's data.

use serde_json::{Value, json};

use super::state::DeployFacts;
use crate::descriptor::{Fact, FactReaders, FactType};
use crate::git::diff::{Diff, Gap};
use crate::git::messages::{self, OddMessage};
use crate::git::objects::Objects;
use crate::git::relation::Relation;
use crate::git::tips::BRANCHES_MAX;
use crate::git::{CommitId, Git, GitError};
use crate::history::History;
use crate::{CannotPreview, EXHIBIT_BYTES_MAX, Exhibit, Previewed, Sentence, Trusted, say};
use holdshort_common::aside;

/// The name of the author in exhibits with commits and diffs.
pub(crate) const REPOSITORY: &str = "the repository";

/// A commit's id, author, date and complete message. The message is indented, so that it cannot
/// look like another commit.
const LOG: &str = "--format=commit %H%nAuthor: %an <%ae>%nDate:   %aI%n%n%w(0,4,4)%B";
/// Why the number of commits is unknown, for titles and summaries.
pub(crate) const SHALLOW: &str = "the repository is a shallow clone";

/// A number of commits as text: `1 commit`, `2 commits`.
pub(crate) fn commits(count: u64) -> Sentence {
    say!("{} commit{}", count, if count == 1 { "" } else { "s" })
}

/// A move of a branch that has not happened yet.
pub(crate) struct BranchChange<'a> {
    pub(crate) git: &'a Git,
    /// The target's name, for titles.
    pub(crate) target: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) old: Option<&'a CommitId>,
    pub(crate) new: &'a CommitId,
}

/// The size of a change, for its summary.
pub(crate) struct Extent {
    /// The added and removed commits, if known.
    pub(crate) relation: Relation,
    /// The number of files and lines as text.
    pub(crate) files: String,
    /// The facts about the files.
    counts: Vec<(&'static str, Value)>,
    /// The id and subject of the added commits, newest first, at most [`COMMITS_MAX`].
    commits: Vec<Value>,
}

/// The facts about a deployment. [`History::add_check_reports`] finds the facts about checks.
pub(crate) const FACTS: &[Fact] = &[
    Fact::new(
        "old-commit",
        FactType::Maybe(&FactType::Text),
        "the full id of the target's current commit; `null` if it is unknown",
    ),
    Fact::new("new-commit", FactType::Text, "the full id of the commit that the target would get"),
    Fact::new(
        "reference",
        FactType::Maybe(&FactType::Text),
        "the full name of the branch or tag in the agent's git revision, such as `refs/heads/main`; `null` if the agent gave the id of a commit",
    ),
    Fact::new(
        "branches",
        FactType::TEXTS,
        "the full names of all branches whose tip is exactly `new-commit`, sorted, whatever name the agent gave; missing, with a note in the evidence, if there are more than 64",
    ),
    Fact::new(
        "commit-count",
        FactType::Count,
        "the number of commits that the target would gain; missing if a shallow clone lacks commits that could change the number",
    ),
    Fact::new(
        "lost-commit-count",
        FactType::Count,
        "the number of commits that the target would lose (0 in a fast-forward); missing if a shallow clone lacks commits that could change the number",
    ),
    Fact::new("history-known", FactType::Bool, "whether `commit-count` and `lost-commit-count` are known"),
    Fact::new(
        "commits",
        FactType::List(&FactType::Record(&[("id", FactType::Text), ("subject", FactType::Text)])),
        "the newest 100 of the gained commits, with subjects up to 200 characters; missing if `commit-count` is missing",
    )
    .only_for(FactReaders::Programs),
    Fact::new("files-changed", FactType::Count, "the number of files that differ in content, name or mode"),
    Fact::new(
        "lines-added",
        FactType::Count,
        "the number of added lines of text; a renamed file counts with all of its lines. Missing if a file has content that is not compared as lines (see below)",
    ),
    Fact::new("lines-removed", FactType::Count, "the number of removed lines of text; missing if `lines-added` is missing"),
    Fact::new(
        "files-not-shown",
        FactType::Count,
        "the number of files that [the diff does not show in full](#what-a-diff-does-not-show)",
    ),
    Fact::new("kinds-not-shown", FactType::TEXTS, "the reasons why the diff does not show these files in full"),
    Fact::new(
        "checks",
        FactType::List(&FactType::Record(&[
            ("name", FactType::Text),
            ("passed", FactType::Bool),
            (
                "counts",
                FactType::Maybe(&FactType::Record(&[
                    ("passed", FactType::Count),
                    ("failed", FactType::Count),
                    ("skipped", FactType::Count),
                ])),
            ),
            ("runs", FactType::Count),
            ("failures", FactType::Count),
        ])),
        "the checks that this host ran on `new-commit` in this run: for each check, whether its last run passed, its counts (`null` without counts), the number of its runs and the number of its failures",
    )
    .only_for(FactReaders::Programs),
    Fact::new("checks-passed", FactType::TEXTS, "the names of the checks in `checks` that passed").only_for(FactReaders::Policies),
    Fact::new("checks-failed", FactType::TEXTS, "the names of the checks in `checks` that failed").only_for(FactReaders::Policies),
    Fact::new(
        "checks-on-other-commits",
        FactType::Count,
        "the number of reports of this run on commits other than `new-commit`",
    )
    .only_for(FactReaders::Programs),
];

/// The maximum number of commits in the facts of a deployment. The facts are stored with the call, so their size is
/// limited. The evidence lists all commits.
const COMMITS_MAX: usize = 100;
/// The maximum length of a commit's subject in the facts.
const SUBJECT_CHARS_MAX: usize = 200;

/// Adds a fact with the branches at exactly the deployed commit. If they are too many, it adds an exhibit that says so.
pub(crate) async fn add_branch_facts(
    git: &Git,
    commit: &CommitId,
    previewed: &mut Previewed,
) -> Result<(), CannotPreview> {
    match (git.branches_at(commit).await?, previewed.facts.as_object_mut()) {
        (Some(branches), Some(facts)) => drop(facts.insert("branches".into(), json!(branches))),
        (None, _) => {
            let text =
                say!("More than {} branches are at {}; they are not listed.\n", BRANCHES_MAX, Trusted::commit(commit));
            previewed.exhibits.push(Exhibit::text(say!("the branches at the commit are NOT LISTED"), text));
        }
        (Some(_), None) => {}
    }
    Ok(())
}

/// The facts of a deployment. Without an extent, the change is unknown. An unknown fact is left out, and a policy that
/// uses a missing fact holds the call.
pub(crate) fn facts(standing: &DeployFacts, extent: Option<&Extent>) -> Value {
    let mut facts = json!({
        "old-commit": standing.old.as_ref().map(CommitId::as_str), "new-commit": standing.new.as_str(),
        "reference": standing.reference,
    });
    if let (Some(extent), Some(facts)) = (extent, facts.as_object_mut()) {
        let Relation { added, dropped } = extent.relation;
        let known = [
            ("history-known", Some(json!(extent.relation.is_known()))),
            ("commit-count", added.map(|count| json!(count))),
            ("lost-commit-count", dropped.map(|count| json!(count))),
            ("commits", added.map(|_| json!(extent.commits))),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
        facts.extend(known.chain(extent.counts.iter().cloned()).map(|(name, value)| (name.to_owned(), value)));
    }
    facts
}

/// Adds the run's history to a preview: first an exhibit with the check reports, and last an exhibit with
/// the earlier calls.
pub(crate) fn recall(history: &History, previewed: &mut Previewed) {
    if let Some(commit) = previewed.facts.get("new-commit").and_then(Value::as_str).map(str::to_owned) {
        history.add_check_reports(&commit, previewed);
    }
    history.add_to(previewed);
}

/// The facts about a diff. The line counts are left out if they are unknown.
fn counts(diff: &Diff) -> Vec<(&'static str, Value)> {
    let kinds: Vec<&str> = diff.gaps().into_iter().map(Gap::name).collect();
    let mut counts = vec![
        ("files-changed", json!(diff.files.len())),
        ("files-not-shown", json!(diff.not_shown().count())),
        ("kinds-not-shown", json!(kinds)),
    ];
    if let Some((added, removed)) = diff.lines() {
        counts.extend([("lines-added", json!(added)), ("lines-removed", json!(removed))]);
    }
    counts
}

impl BranchChange<'_> {
    /// The summary, the extent and the evidence of the move.
    pub(super) async fn describe(&self) -> Result<(Sentence, Extent, Vec<Exhibit>), CannotPreview> {
        let (extent, exhibits) = self.evidence().await?;
        Ok((self.summary(extent.relation, &extent.files), extent, exhibits))
    }

    /// The extent of the move, and its exhibits, the most important first.
    pub(crate) async fn evidence(&self) -> Result<(Extent, Vec<Exhibit>), CannotPreview> {
        let objects = Objects::of(self.git).await?;
        let new = self.new.as_str();
        let from = self.old.map_or_else(|| say!("nothing"), |old| say!("{}", Trusted::commit(old)));
        let span = say!("{}..{}", from, Trusted::commit(self.new));
        let added = self.old.map_or_else(|| new.to_owned(), |old| format!("{old}..{new}"));
        let relation = Relation::of(&objects, self.old, self.new).await?;
        let mut exhibits = self.lost(&objects, relation).await?;
        let diff = Diff::between(&objects, self.old, self.new).await?;
        let told = aside::for_agents(move || {
            (diff.stat(), diff.list(|file| !file.gaps.is_empty()), diff.list(|_| true), diff)
        });
        let (stat, not_shown, list, diff) = told.await?;
        if !not_shown.is_empty() {
            let (count, all) = (diff.not_shown().count(), diff.files.len());
            let title = say!("NOT SHOWN IN FULL in the diff: {} of {} files", count, all);
            exhibits.push(whole(title, "text/plain", not_shown)?);
        }
        let list = [list, format!("{stat}\n").into_bytes()].concat();
        exhibits.push(whole(say!("files {}", span), "text/plain", list)?);
        let title = match relation.added {
            Some(count) => say!("commits {} ({})", span, count),
            None => say!("commits {}; the list is uncertain, because {}", span, SHALLOW),
        };
        exhibits.extend(log(&objects, title, &[&added]).await?);
        if let Some(old) = self.old {
            exhibits
                .extend(log(&objects, say!("deployed now: {}", Trusted::commit(old)), &["-1", old.as_str()]).await?);
        }
        let title = say!("diff {}", span);
        if diff.patch_bytes > diff.patch.len() as u64 {
            return Err(CannotPreview::too_large(&title, diff.patch_bytes, INSTEAD));
        }
        let counts = counts(&diff);
        exhibits.push(whole(title, "text/x-diff", diff.patch)?);
        let commits = named(&objects, &added).await?;
        Ok((Extent { relation, files: stat, counts, commits }, exhibits))
    }

    /// Exhibits of the commits that the move would remove from the branch, or of the reason why they are unknown. They
    /// come before the other exhibits, because no other exhibit shows these commits.
    async fn lost(&self, objects: &Objects, relation: Relation) -> Result<Vec<Exhibit>, CannotPreview> {
        let Some(old) = self.old else { return Ok(unknown(relation)) };
        let dropped = format!("{}..{old}", self.new);
        let mut exhibits = unknown(relation);
        match relation.dropped {
            Some(0) => {}
            Some(count) => {
                let target = Trusted::configured(self.target);
                let title = say!("not a fast-forward: commits that `{}` would lose ({})", target, count);
                exhibits.extend(log(objects, title, &[&dropped]).await?);
            }
            None => {
                let target = Trusted::configured(self.target);
                let title =
                    say!("commits that `{}` would perhaps lose; the list is uncertain, because {}", target, SHALLOW);
                exhibits.extend(log(objects, title, &[&dropped]).await?);
            }
        }
        Ok(exhibits)
    }

    /// The one-line summary of the move. A loss of commits is reported in capitals, because a list of approvals shows
    /// nothing else of the call.
    fn summary(&self, relation: Relation, files: &str) -> Sentence {
        let Self { target, branch, new, .. } = self;
        let (branch, files) = (Trusted::configured(branch), Trusted::configured(files));
        let deploy = say!("deploy {} to {}", Trusted::commit(new), Trusted::configured(target));
        let Some(old) = self.old.map(Trusted::commit) else {
            return say!("{}: creates {}, which does not exist yet; {}", deploy, branch, files);
        };
        let moves = say!("moves {} from {}", branch, old);
        let what = match (relation.dropped, relation.added) {
            (Some(0), Some(added)) => say!("{} by {}", moves, commits(added)),
            (Some(0), None) => {
                say!("{}, a fast-forward; the number of commits is NOT KNOWN, because {}", moves, SHALLOW)
            }
            (Some(lost), Some(added)) => {
                let (lost, added) = (commits(lost), commits(added));
                say!("NOT A FAST-FORWARD, {}, which loses {} and gains {}", moves, lost, added)
            }
            (Some(lost), None) => say!("NOT A FAST-FORWARD, {}, which loses {}", moves, commits(lost)),
            (None, _) => say!("{}; the lost and gained commits are NOT KNOWN, because {}", moves, SHALLOW),
        };
        say!("{}: {}; {}", deploy, what, files)
    }
}

/// Advice to an agent whose diff is too large.
const INSTEAD: &str =
    "deploy a revision closer to the target's current commit, or ask the operator to move the branch by hand";

/// An exhibit that says that the repository is a shallow clone. There is none if all numbers of commits are known.
fn unknown(relation: Relation) -> Vec<Exhibit> {
    let is = |known: bool| if known { "known" } else { "NOT KNOWN" };
    let text = say!(
        "The repository is a shallow clone: the parents of its oldest commits are missing.\n\
         Commits that the target would gain: {}; commits that the target would lose: {}. The lists may contain commits that both sides have.\n\
         The diff below compares whole commits, and is complete. `git fetch --unshallow` in the repository brings the rest of the history.\n",
        is(relation.added.is_some()),
        is(relation.dropped.is_some()),
    );
    if relation.is_known() { Vec::new() } else { vec![Exhibit::text(say!("the history is NOT KNOWN"), text)] }
}

/// The newest commits of a range by id and subject.
async fn named(objects: &Objects, range: &str) -> Result<Vec<Value>, GitError> {
    let (max, format) = (format!("-{COMMITS_MAX}"), "--format=%H %s");
    let arguments = ["log", "--no-color", "--encoding=UTF-8", &max, format, range];
    let text = objects.git().read(&arguments, EXHIBIT_BYTES_MAX).await?.text();
    let named = text.lines().filter_map(|line| line.split_once(' '));
    let short = |subject: &str| subject.chars().take(SUBJECT_CHARS_MAX).collect::<String>();
    Ok(named.map(|(id, subject)| json!({ "id": id, "subject": short(subject) })).collect())
}

/// Commits with their complete messages.
pub(crate) async fn log(objects: &Objects, title: Sentence, range: &[&str]) -> Result<Vec<Exhibit>, CannotPreview> {
    let plain = ["log", "--no-color", "--no-decorate", "--no-notes", "--no-mailmap", "--encoding=UTF-8", LOG];
    let arguments: Vec<&str> = plain.into_iter().chain(range.iter().copied()).collect();
    let looked = objects.git().read(&arguments, EXHIBIT_BYTES_MAX).await?;
    if !looked.is_whole() {
        return Err(CannotPreview::too_large(&title, looked.bytes_all, INSTEAD));
    }
    let stored = stored(&messages::odd(objects, range).await?)?;
    Ok(stored.into_iter().chain([whole(title, "text/plain", looked.bytes)?]).collect())
}

/// An exhibit of the messages as stored, if git displays some of them differently.
fn stored(odd: &[OddMessage]) -> Result<Option<Exhibit>, CannotPreview> {
    let one = |odd: &OddMessage| {
        let why = match &odd.charset {
            Some(charset) => format!("the message names the character set \"{}\"", charset.escape_debug()),
            None => "the message has NUL bytes, and git ends the message at the first NUL byte".to_owned(),
        };
        [format!("commit {}: {why}\n\n", odd.id).as_bytes(), &odd.message, b"\n\n"].concat()
    };
    let title = say!("messages of {} NOT SHOWN EXACTLY AS STORED", commits(odd.len() as u64));
    let bytes: Vec<u8> = odd.iter().flat_map(one).collect();
    if odd.is_empty() { Ok(None) } else { whole(title, "text/plain", bytes).map(Some) }
}

/// Makes an exhibit of the complete text. If the text is too large, the deployment is refused.
fn whole(title: Sentence, media: &'static str, bytes: Vec<u8>) -> Result<Exhibit, CannotPreview> {
    if bytes.len() > EXHIBIT_BYTES_MAX {
        return Err(CannotPreview::too_large(&title, bytes.len() as u64, INSTEAD));
    }
    Ok(Exhibit::words(REPOSITORY, title, media, bytes))
}
