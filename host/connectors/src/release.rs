//! Reads a release from the arguments of `deployment.deploy`.

use holdshort_gate::Action;
use holdshort_words::HostText;
use serde_json::{Value, json};

use super::git::revision::{NotResolved, Resolved};
use super::git::{CommitId, Git, GitError};
use super::{CannotPreview, Sentence, Trusted, quote_start, say, sentence_error};

/// A proposed release.
#[derive(Clone, Debug)]
pub struct Release<'a> {
    pub target: &'a str,
    /// The revision in the agent's spelling.
    pub revision: &'a str,
    /// The complete record with its notes, for the receipt.
    pub record: &'a Value,
}

impl<'a> Release<'a> {
    /// Reads an action's arguments.
    pub fn of(action: &'a Action) -> Result<Self, NotARelease> {
        let record = action.arguments().get("release").ok_or(NotARelease)?;
        let text = |name: &str| record.get(name).and_then(Value::as_str).ok_or(NotARelease);
        Ok(Self { target: text("target")?, revision: text("revision")?, record })
    }

    /// Resolves the revision to the commit that it means now.
    pub async fn resolve(&self, git: &Git) -> Result<Resolved, CannotPreview> {
        git.resolve(self.revision)
            .await
            .map_err(|error| if let NotResolved::Git(error) = error { error.into() } else { impossible(&error) })
    }

    /// The receipt: the deployed commit and the previous one.
    pub fn receipt(&self, commit: &CommitId, previous: Option<&CommitId>) -> Value {
        json!({ "deployed": self.record, "commit": commit.as_str(), "previous": previous.map(CommitId::as_str) })
    }
}

/// The error for an unknown target.
pub fn unknown_target<'a>(target: &str, known: impl Iterator<Item = &'a String>) -> CannotPreview {
    let known = Sentence::join(known.map(|name| say!("`{}`", Trusted::configured(name))), ", ");
    CannotPreview::Impossible(say!("there is no target {}; configured: {}", quote_start(target, 80), known))
}

/// A permanent error, which git would repeat, makes the action impossible. After any other error the host tries again.
impl From<GitError> for CannotPreview {
    fn from(error: GitError) -> Self {
        let text = error.sentence();
        if error.is_permanent() { Self::Impossible(text) } else { Self::Unavailable(text) }
    }
}

/// Makes an error into [`CannotPreview::Impossible`].
pub fn impossible(error: &impl HostText) -> CannotPreview {
    CannotPreview::Impossible(say!("{}", *error))
}

/// The arguments belong to another function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARelease;

impl NotARelease {
    /// The reason as a sentence.
    pub fn sentence(self) -> Sentence {
        say!(
            "the arguments have no `release` with `target` and `revision`; this connector serves `holdshort:agent/deployment#deploy`"
        )
    }
}

sentence_error!(NotARelease);
