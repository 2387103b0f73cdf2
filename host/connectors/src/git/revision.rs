//! Resolves a git revision: the only place where a text becomes a commit.
//!
//! A text is the full name of a reference, the name of a branch or tag, or the full id of a commit.
//! Git's other spellings are refused (`main~1`, `v1-0-g1f3a…`, `@{upstream}`, short ids), because a
//! policy or pattern would be compared with the text, while git would resolve it to another commit.
//! **Invariant:** only [`Git::resolve`] makes a [`Resolved`], and it looks names up exactly. An
//! agent's text is never passed to `rev-parse`.

use super::{CommitId, Git, GitError, Reference};
use crate::{Sentence, quote, quote_start, say, sentence_error};
use holdshort_common::reference::{NotAName, ReferenceName, is_an_id, short};

/// An error repeats at most this many characters of a text.
const TOLD_CHARS_MAX: usize = 120;

/// A commit, and the reference by which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    reference: Option<ReferenceName>,
    commit: CommitId,
}

impl Resolved {
    /// The full name of the branch or tag; `None` if the commit was named by its id.
    pub fn reference(&self) -> Option<&ReferenceName> {
        self.reference.as_ref()
    }

    /// The commit that the text resolved to.
    pub fn commit(&self) -> &CommitId {
        &self.commit
    }
}

/// Why a text does not resolve to a commit. The author of the text reads the reason.
#[derive(Debug)]
pub enum NotResolved {
    /// The text cannot be a name.
    NotAName { text: Sentence, why: Sentence },
    /// The repository has no reference of this name.
    Unknown(Sentence),
    /// The repository has no such commit.
    NoCommit(Sentence),
    /// The text has several meanings.
    Ambiguous {
        text: Sentence,
        /// The possible meanings.
        could: Sentence,
    },
    /// The reference is symbolic, so its target can change without a trace.
    Symbolic {
        name: ReferenceName,
        /// The target of the reference.
        target: String,
    },
    /// The object is no commit.
    NotACommit(Sentence),
    /// Git failed.
    Git(GitError),
}

impl NotResolved {
    /// The reason as a sentence.
    pub fn sentence(&self) -> Sentence {
        let said = |text: &Sentence| text.clone();
        match self {
            Self::NotAName { text, why } => say!(
                "{} does not name a git revision: {}; give the full name of a branch or a tag, or the full id of a commit",
                said(text),
                said(why)
            ),
            Self::Unknown(text) => say!(
                "there is no branch or tag {}; give the full name of an existing branch or tag, or the full id of a commit",
                said(text)
            ),
            Self::NoCommit(text) => say!(
                "there is no commit {}; give the full id of an existing commit, or the full name of a branch or a tag",
                said(text)
            ),
            Self::Ambiguous { text, could } => {
                say!("{} is ambiguous: it could be {}; give the full name", said(text), said(could))
            }
            Self::Symbolic { name, target } => {
                say!("{} is a symbolic reference to {}; give the name of the target", quote(name), quote(target))
            }
            Self::NotACommit(text) => say!(
                "{} does not point to a commit; give a branch, a tag of a commit, or the full id of a commit",
                said(text)
            ),
            Self::Git(error) => error.sentence(),
        }
    }
}

sentence_error!(NotResolved);

impl From<GitError> for NotResolved {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

impl Git {
    /// Finds the commit that a text means now.
    pub async fn resolve(&self, text: &str) -> Result<Resolved, NotResolved> {
        let not_a_name = |why: &NotAName| NotResolved::NotAName { text: quoted_start(text), why: why.why().into() };
        if text.starts_with("refs/") {
            let name: ReferenceName = text.parse().map_err(|why| not_a_name(&why))?;
            let [found] = self.references([name.as_str()]).await?;
            let found = found.ok_or_else(|| NotResolved::Unknown(quoted_start(text)))?;
            return self.by_reference(name, &found).await;
        }
        short(text).map_err(|why| not_a_name(&why))?;
        // The references that git itself would try for the text, in git's order. If several exist, the text is
        // ambiguous, because an operator's program that passes the text to git could get any of them.
        let spaces =
            [("refs", ""), ("refs/tags", ""), ("refs/heads", ""), ("refs/remotes", ""), ("refs/remotes", "/HEAD")];
        let names = spaces.map(|(space, end)| format!("{space}/{text}{end}"));
        let found = self.references(names.each_ref().map(String::as_str)).await?;
        let found = names.iter().zip(found).filter_map(|(name, found)| Some((name.as_str(), found?)));
        let found: Vec<(&str, Reference)> = found.collect();
        let could = |first: Option<&'static str>| {
            let found = found.iter().map(|(name, _)| quote(name).into());
            let could = Sentence::join(first.into_iter().map(Sentence::from).chain(found), " or ");
            NotResolved::Ambiguous { text: quoted_start(text), could }
        };
        if is_an_id(text) {
            return if found.is_empty() { self.by_id(text).await } else { Err(could(Some("a commit id"))) };
        }
        let [_, tag, branch, ..] = &names;
        match &found[..] {
            [(name, reference)] if name == tag || name == branch => {
                let name = name.parse().map_err(|why: NotAName| not_a_name(&why))?;
                self.by_reference(name, reference).await
            }
            found if found.iter().any(|(name, _)| name.parse::<ReferenceName>().is_ok()) => Err(could(None)),
            _ => Err(NotResolved::Unknown(quoted_start(text))),
        }
    }

    /// The commit of a reference. A tag of a tag is followed to its commit.
    async fn by_reference(&self, name: ReferenceName, found: &Reference) -> Result<Resolved, NotResolved> {
        if let Some(target) = found.symbolic.clone() {
            return Err(NotResolved::Symbolic { name, target });
        }
        let wanted = format!("{}^{{commit}}", found.id);
        let looked = self.look(&["rev-parse", "--quiet", "--verify", "--end-of-options", &wanted], 256).await?;
        match looked.text().trim().parse() {
            Ok(commit) if looked.status == 0 => Ok(Resolved { reference: Some(name), commit }),
            _ => {
                // If the object is missing or damaged, this command fails. That is a failure of the host, and not an
                // error in the agent's text.
                self.read(&["cat-file", "-t", found.id.as_str()], 64).await?;
                Err(NotResolved::NotACommit(quote(&name).into()))
            }
        }
    }

    /// The commit of an id. The id must have the full length of the repository's hash function, because git would take
    /// a shorter id for an abbreviation.
    async fn by_id(&self, text: &str) -> Result<Resolved, NotResolved> {
        let not_a_name = |why: Sentence| NotResolved::NotAName { text: quoted_start(text), why };
        let commit: CommitId =
            text.parse().map_err(|()| not_a_name(say!("write the digits of an id in lower case")))?;
        let format = self.read(&["rev-parse", "--show-object-format=storage"], 64).await?;
        let digits = if format.text().trim() == "sha256" { 64_usize } else { 40 };
        if text.len() != digits {
            return Err(not_a_name(say!("ids of this repository have {} digits", digits)));
        }
        let looked = self.look(&["cat-file", "-t", commit.as_str()], 64).await?;
        match (looked.status, looked.text().trim()) {
            (0, "commit") => Ok(Resolved { reference: None, commit }),
            (0, _) => Err(NotResolved::NotACommit(quoted_start(text))),
            _ => Err(NotResolved::NoCommit(quoted_start(text))),
        }
    }
}

/// The beginning of an agent's text as a quotation. A long text would make an error hard to read.
fn quoted_start(text: &str) -> Sentence {
    quote_start(text, TOLD_CHARS_MAX)
}

#[cfg(test)]
mod tests;
