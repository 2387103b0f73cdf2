//! What would change if a branch were moved, as the repository itself tells it.

use serde_json::{Value, json};

use super::state::Facts;
use crate::connectors::git::{CommitId, Git, GitError, PLAIN_DIFF};
use crate::connectors::history::History;
use crate::connectors::{CannotPreview, EXHIBIT_BYTES_MAX, Exhibit, Previewed};

/// A name is never abridged, however long.
const STAT: &[&str] = &["--stat=4300,4200", "--stat-graph-width=40", "--compact-summary"];
/// A commit's id, author, date and whole message, the message indented so that it cannot look like another commit.
const LOG: &str = "--format=commit %H%nAuthor: %an <%ae>%nDate:   %aI%n%n%w(0,4,4)%B";

/// A number of commits in words.
pub(in crate::connectors) fn commits(count: u64) -> String {
    format!("{count} commit{}", if count == 1 { "" } else { "s" })
}

/// A move of a branch that nobody has made yet.
pub(in crate::connectors) struct Change<'a> {
    pub(in crate::connectors) git: &'a Git,
    /// The target's name, for headings.
    pub(in crate::connectors) target: &'a str,
    pub(in crate::connectors) branch: &'a str,
    pub(in crate::connectors) old: Option<&'a CommitId>,
    pub(in crate::connectors) new: &'a CommitId,
}

/// How much a change is, for a line about it.
pub(in crate::connectors) struct Extent {
    /// Commits that come.
    pub(in crate::connectors) added: u64,
    /// Commits that go: not none if it is no fast-forward.
    pub(in crate::connectors) dropped: u64,
    /// Git's own count of files and lines.
    pub(in crate::connectors) files: String,
    /// Id and subject of the commits that come, the newest first, at most [`COMMITS_MAX`].
    commits: Vec<Value>,
}

/// How many commits are named in the facts of a deployment, which stand in its proposal. All of them are in its evidence.
const COMMITS_MAX: usize = 100;
/// And how much of the subject of each.
const SUBJECT_CHARS_MAX: usize = 200;

/// The facts of a deployment; without an extent nothing is known of what it changes.
pub(in crate::connectors) fn facts(standing: &Facts, extent: Option<&Extent>) -> Value {
    let mut facts =
        json!({ "old-commit": standing.old.as_ref().map(CommitId::as_str), "new-commit": standing.new.as_str() });
    if let (Some(extent), Some(facts)) = (extent, facts.as_object_mut()) {
        let [files, added, removed] = counts(&extent.files);
        let known = [
            ("commit-count", json!(extent.added)),
            ("lost-commit-count", json!(extent.dropped)),
            ("commits", json!(extent.commits)),
            ("files-changed", json!(files)),
            ("lines-added", json!(added)),
            ("lines-removed", json!(removed)),
        ];
        facts.extend(known.map(|(name, value)| (name.to_owned(), value)));
    }
    facts
}

/// What the run did before, the reports on the very commit first.
pub(in crate::connectors) fn recall(history: &History, previewed: &mut Previewed) {
    if let Some(commit) = previewed.facts.get("new-commit").and_then(Value::as_str).map(str::to_owned) {
        history.tell_checks(&commit, previewed);
    }
    history.tell(previewed);
}

/// Files, lines added and lines removed, as `git --shortstat` says them; it leaves out what is none.
fn counts(short_stat: &str) -> [u64; 3] {
    let of = |word: &str| {
        let part = short_stat.split(", ").find(|part| part.contains(word));
        part.and_then(|part| part.split(' ').next()?.parse().ok()).unwrap_or(0)
    };
    ["file", "insertion", "deletion"].map(of)
}

impl Change<'_> {
    /// One line about the move, how much it is, and the evidence for it.
    pub(super) async fn describe(&self) -> Result<(String, Extent, Vec<Exhibit>), CannotPreview> {
        let (extent, exhibits) = self.evidence().await?;
        Ok((self.summary(extent.added, extent.dropped, &extent.files), extent, exhibits))
    }

    /// The commits and the diff, the most telling first.
    pub(in crate::connectors) async fn evidence(&self) -> Result<(Extent, Vec<Exhibit>), CannotPreview> {
        let (new, from) = (self.new.as_str(), self.old.map_or("nothing", CommitId::short));
        let span = format!("{from}..{}", self.new.short());
        let added = self.old.map_or_else(|| new.to_owned(), |old| format!("{old}..{new}"));
        let dropped = self.old.map(|old| format!("{new}..{old}"));
        let added_count = self.count(&added).await.map_err(unavailable)?;
        let dropped_count = match &dropped {
            Some(dropped) => self.count(dropped).await.map_err(unavailable)?,
            None => 0,
        };
        let mut exhibits = Vec::new();
        if let (Some(dropped), 1..) = (&dropped, dropped_count) {
            let title = format!("not a fast-forward: commits that `{}` would lose ({dropped_count})", self.target);
            exhibits.push(self.show(title, "text/plain", &["log", LOG, dropped]).await?);
        }
        exhibits.push(self.show(format!("files {span}"), "text/plain", &self.diff(STAT)).await?);
        let title = format!("commits {span} ({added_count})");
        exhibits.push(self.show(title, "text/plain", &["log", LOG, &added]).await?);
        if let Some(old) = self.old {
            let title = format!("deployed now: {}", old.short());
            exhibits.push(self.show(title, "text/plain", &["log", "-1", LOG, old.as_str()]).await?);
        }
        exhibits.push(self.show(format!("diff {span}"), "text/x-diff", &self.diff(&["-p"])).await?);
        let files = self.short_stat().await.map_err(unavailable)?;
        let commits = self.named(&added).await.map_err(unavailable)?;
        Ok((Extent { added: added_count, dropped: dropped_count, files, commits }, exhibits))
    }

    /// The newest commits of a range by id and subject.
    async fn named(&self, range: &str) -> Result<Vec<Value>, GitError> {
        let (max, format) = (format!("-{COMMITS_MAX}"), "--format=%H %s");
        let arguments = ["log", "--no-color", "--no-mailmap", "--encoding=UTF-8", &max, format, range];
        let text = self.git.read(&arguments, EXHIBIT_BYTES_MAX).await?.text();
        let named = text.lines().filter_map(|line| line.split_once(' '));
        let short = |subject: &str| subject.chars().take(SUBJECT_CHARS_MAX).collect::<String>();
        Ok(named.map(|(id, subject)| json!({ "id": id, "subject": short(subject) })).collect())
    }

    /// Commits that would be lost are told in capitals, because in a list of approvals this line is all that is seen.
    fn summary(&self, added: u64, dropped: u64, files: &str) -> String {
        let Self { target, branch, new, .. } = self;
        let new = new.short();
        match (self.old, dropped) {
            (None, _) => format!("deploy {new} to {target}: makes {branch}, which does not exist yet; {files}"),
            (Some(old), 0) => {
                let old = old.short();
                format!("deploy {new} to {target}: moves {branch} from {old} by {}; {files}", commits(added))
            }
            (Some(old), lost) => format!(
                "deploy {new} to {target}: NOT A FAST-FORWARD, moves {branch} from {}, which loses {} and gains {}; {files}",
                old.short(),
                commits(lost),
                commits(added),
            ),
        }
    }

    async fn short_stat(&self) -> Result<String, GitError> {
        let looked = self.git.read(&self.diff(&["--shortstat"]), 4 * 1024).await?;
        let text = looked.text().trim().to_owned();
        Ok(if text.is_empty() { "no file changes".to_owned() } else { text })
    }

    async fn count(&self, range: &str) -> Result<u64, GitError> {
        let looked = self.git.read(&["rev-list", "--count", range], 64).await?;
        let complaint = || GitError::Failed { command: "rev-list".into(), complaint: looked.text() };
        looked.text().trim().parse().map_err(|_| complaint())
    }

    /// From the tree without files if there is no branch yet, so that everything it would hold is shown as new.
    fn diff<'a>(&'a self, form: &[&'a str]) -> Vec<&'a str> {
        let from = self.old.map_or(self.new.empty_tree(), CommitId::as_str);
        PLAIN_DIFF.iter().chain(form).copied().chain([from, self.new.as_str()]).collect()
    }

    /// An exhibit is whole, or the deployment is refused. What the repository's own settings could add to a log, or change in it, is switched off.
    async fn show(&self, title: String, media: &'static str, arguments: &[&str]) -> Result<Exhibit, CannotPreview> {
        let plain_log = ["log", "--no-color", "--no-decorate", "--no-notes", "--no-mailmap", "--encoding=UTF-8"];
        let arguments: Vec<&str> = match arguments.split_first() {
            Some((&"log", rest)) => plain_log.iter().chain(rest).copied().collect(),
            Some(_) | None => arguments.to_vec(),
        };
        let looked = self.git.read(&arguments, EXHIBIT_BYTES_MAX).await.map_err(unavailable)?;
        if !looked.is_whole() {
            let instead = "deploy a revision that is nearer to what the target has, or ask the operator to move the branch by hand";
            return Err(CannotPreview::too_large(&title, looked.bytes_all, instead));
        }
        Ok(Exhibit { title, media, bytes: looked.bytes })
    }
}

fn unavailable(error: GitError) -> CannotPreview {
    CannotPreview::Unavailable(error.to_string())
}
