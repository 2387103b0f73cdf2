//! Reads the operator's repository for an agent: `repository.log`, `repository.diff` and `repository.read-file`.
//!
//! Everything comes from commits, never from a work tree. No answer is shortened: if an answer is too large, the agent
//! gets an error with the size. Bytes outside UTF-8 in names, messages and diffs become U+FFFD, and a diff with such
//! bytes begins with a line that says so.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::Action;
use serde_json::{Value, json};

use super::descriptor::{Class, Descriptor};
use super::git::diff::Diff;
use super::git::objects::Objects;
use super::git::revision::NotResolved;
use super::git::{CommitId, Git, GitError, GitOutput};
use super::relative::{NotWithin, RelativePath};
use super::{Routine, RoutineCall, Unavailable, quote};

/// The maximum size of an answer, because the guest's memory and the journal must have room for it.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The maximum number of commits in an answer.
const COMMITS_MAX: u64 = 500;
/// The fields of each commit, in the order of [`commit`].
const COMMIT: &str = "--format=%H%x00%an <%ae>%x00%aI%x00%s%x00%b";

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "[repository]",
    interface: Some("holdshort:agent/repository@0.1.0"),
    functions: &["log", "diff", "read-file"],
    class: Class::Routine,
};

/// Answers the calls of `repository` from one repository.
#[derive(Clone, Debug)]
pub struct Repository {
    git: Git,
}

/// Why there is no answer: an error for the agent, or a failure of the host.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    NotResolved(NotResolved),
    #[error(transparent)]
    NotWithin(#[from] NotWithin),
    #[error("there is no `{path}` at {commit}")]
    NoFile { path: String, commit: CommitId },
    #[error("`{path}` is {what}, not a file; only files can be read")]
    NotAFile { path: String, what: &'static str },
    #[error("`{path}` is not UTF-8 text, so the file cannot be read as text")]
    NotText { path: String },
    #[error("the {what} is {bytes} bytes, more than the {ANSWER_BYTES_MAX} bytes that can be read at once; {advice}")]
    TooLarge { what: &'static str, bytes: u64, advice: &'static str },
    #[error(
        "there are more than {COMMITS_MAX} commits, and at most {COMMITS_MAX} are listed at once; use a `limit` of at most {COMMITS_MAX}"
    )]
    TooManyCommits,
    #[error("{0}; make a smaller request")]
    TooSlow(GitError),
    #[error(transparent)]
    Unsound(GitError),
    #[error("`{0}` is not a function of `repository`, or its arguments do not fit the function")]
    NotOurs(String),
    /// A failure of the host. The agent does not see it.
    #[error(transparent)]
    Host(GitError),
}

impl From<GitError> for NoAnswer {
    fn from(error: GitError) -> Self {
        match error {
            // A further try would reach the same limit.
            GitError::TimedOut { .. } | GitError::TooLarge { .. } => Self::TooSlow(error),
            GitError::Unsound { .. } => Self::Unsound(error),
            GitError::NotARepository(_)
            | GitError::NotRun(_)
            | GitError::NotWorkedOut(_)
            | GitError::NoFolder(_)
            | GitError::Failed { .. } => Self::Host(error),
        }
    }
}

impl From<NotResolved> for NoAnswer {
    fn from(error: NotResolved) -> Self {
        if let NotResolved::Git(error) = error { error.into() } else { Self::NotResolved(error) }
    }
}

impl Repository {
    /// Answers from the repository of `git`.
    pub fn new(git: Git) -> Self {
        Self { git }
    }

    /// Calls the method for the action's function. The arguments have the function's type, so `NotOurs` is an error in
    /// the host's own code.
    async fn result(&self, action: &Action) -> Result<Value, NoAnswer> {
        let arguments = action.arguments();
        let not_ours = || NoAnswer::NotOurs(action.capability().to_string());
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        match action.capability().function() {
            "log" => {
                let to = text("to").ok_or_else(not_ours)?;
                let limit = arguments.get("limit").and_then(Value::as_u64).ok_or_else(not_ours)?;
                self.log(text("from"), to, limit).await
            }
            "diff" => {
                let (from, to) = text("from").zip(text("to")).ok_or_else(not_ours)?;
                self.diff(from, to).await
            }
            "read-file" => {
                let (revision, path) = text("revision").zip(text("path")).ok_or_else(not_ours)?;
                self.read_file(revision, path).await
            }
            _ => Err(not_ours()),
        }
    }

    /// The commits in `to` and not in `from`, newest first.
    async fn log(&self, from: Option<&str>, to: &str, limit: u64) -> Result<Value, NoAnswer> {
        let to = self.commit(to).await?;
        let range = match from {
            Some(from) => format!("{}..{to}", self.commit(from).await?),
            None => to.to_string(),
        };
        // One commit more than the maximum is requested. If git returns it, the answer would be incomplete.
        let count = format!("--max-count={}", limit.min(COMMITS_MAX + 1));
        let plain = ["log", "-z", "--no-color", "--no-decorate", "--no-notes", "--no-mailmap", "--encoding=UTF-8"];
        let arguments: Vec<&str> = plain.into_iter().chain([COMMIT, count.as_str(), range.as_str()]).collect();
        let looked = self.git.read(&arguments, ANSWER_BYTES_MAX).await?;
        whole(&looked, "log", "lower the `limit`")?;
        let text = looked.text();
        let fields: Vec<&str> = text.split_terminator('\0').collect();
        let commits: Vec<Value> = fields.chunks_exact(5).filter_map(commit).collect();
        if commits.len() as u64 > COMMITS_MAX {
            return Err(NoAnswer::TooManyCommits);
        }
        Ok(commits.into())
    }

    /// The changes between two commits, as the same diff that reviewers see for a deployment.
    async fn diff(&self, from: &str, to: &str) -> Result<Value, NoAnswer> {
        let (from, to) = (self.commit(from).await?, self.commit(to).await?);
        let Diff { patch, patch_bytes, .. } = Diff::between(&Objects::of(&self.git).await?, Some(&from), &to).await?;
        if patch_bytes > ANSWER_BYTES_MAX as u64 {
            let advice = "use git revisions that are closer to each other, or read single files";
            return Err(NoAnswer::TooLarge { what: "diff", bytes: patch_bytes, advice });
        }
        Ok(match String::from_utf8(patch) {
            Ok(text) => text.into(),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                format!("# Bytes that are not UTF-8 are shown as U+FFFD.\n{text}").into()
            }
        })
    }

    /// A file of a commit. The path is a separate argument after `--`, and git must list exactly this name. The tree is
    /// read before the file, because it says whether the path is a link and how large the file is. So no link is
    /// followed, and no file is read that is too large.
    async fn read_file(&self, revision: &str, path: &str) -> Result<Value, NoAnswer> {
        let path: RelativePath = path.parse()?;
        let (path, commit) = (path.as_str(), self.commit(revision).await?);
        let owned = || path.to_owned();
        let arguments = ["ls-tree", "-z", "--long", "--full-tree", commit.as_str(), "--", path];
        let listed = self.git.read(&arguments, 16 * 1024).await?.text();
        let (mode, id, bytes) =
            entry(&listed, path).ok_or_else(|| NoAnswer::NoFile { path: owned(), commit: commit.clone() })?;
        let what = match mode {
            "100644" | "100755" => None,
            "120000" => Some("a symbolic link"),
            "040000" => Some("a folder"),
            "160000" => Some("a submodule"),
            _ => Some("something else"),
        };
        if let Some(what) = what {
            return Err(NoAnswer::NotAFile { path: owned(), what });
        }
        if bytes > ANSWER_BYTES_MAX as u64 {
            return Err(NoAnswer::TooLarge { what: "file", bytes, advice: "the file cannot be read" });
        }
        let looked = self.git.read(&["cat-file", "blob", id], ANSWER_BYTES_MAX).await?;
        let text = String::from_utf8(looked.bytes).map_err(|_| NoAnswer::NotText { path: owned() })?;
        Ok(text.into())
    }

    /// Resolves a revision to a commit, once for each argument. If the branch moves between two git commands, both
    /// still read the same commit.
    async fn commit(&self, revision: &str) -> Result<CommitId, NoAnswer> {
        Ok(self.git.resolve(revision).await?.commit().clone())
    }
}

impl Routine for Repository {
    /// The answer, or the reason why the host must try again. An error of the agent is an answer. After a failure of
    /// the host, the call is retried.
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async move {
            match self.result(call.action).await {
                Ok(value) => Ok(json!({ "ok": value })),
                Err(NoAnswer::Host(error)) => Err(Unavailable(quote(error).into())),
                Err(why) => Ok(json!({ "err": why.to_string() })),
            }
        }
        .boxed()
    }
}

/// Refuses an incomplete output. The error gives the agent the full size, and advice for a smaller request.
fn whole(looked: &GitOutput, what: &'static str, advice: &'static str) -> Result<(), NoAnswer> {
    if looked.is_whole() { Ok(()) } else { Err(NoAnswer::TooLarge { what, bytes: looked.bytes_all, advice }) }
}

/// A commit from the fields of [`COMMIT`].
fn commit(fields: &[&str]) -> Option<Value> {
    let [id, author, date, subject, body] = fields else { return None };
    Some(json!({ "id": id, "author": author, "date": date, "subject": subject, "body": body.trim_end() }))
}

/// The mode, id and size of exactly this path, from lines of `MODE TYPE ID SIZE\tPATH`. A folder's
/// size is `-`.
fn entry<'a>(listed: &'a str, path: &str) -> Option<(&'a str, &'a str, u64)> {
    listed.split_terminator('\0').find_map(|line| {
        let (facts, found) = line.split_once('\t')?;
        let mut words = facts.split_whitespace();
        let (mode, _, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (found == path).then_some((mode, id, size.parse().unwrap_or(0)))
    })
}

#[cfg(test)]
mod tests;
