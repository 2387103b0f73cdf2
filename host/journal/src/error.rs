//! Errors of the journal, in words for the person who must act.

use std::path::{Path, PathBuf};

use holdshort_gate::Refused;

/// The journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another host has the journal open.
    #[error(
        "the journal `{}` is in use by another host{}; stop that one first, or give this one a journal of its own",
        path.display(),
        holder.as_ref().map(|holder| format!(" ({holder})")).unwrap_or_default()
    )]
    Locked {
        /// The journal.
        path: PathBuf,
        /// The other host, as far as it has identified itself.
        holder: Option<String>,
    },
    /// A newer version of Holdshort wrote it.
    #[error("the journal `{}` has format {found}, and this version knows formats up to {known}; use the Holdshort that wrote it, or a newer one", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// The file is something else.
    #[error("`{}` is not a Holdshort journal: {why}; move it away or name another file", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// The sign by which that was seen.
        why: String,
    },
    /// Its contents contradict each other.
    #[error("the journal `{}` is damaged: {why}; restore it from a backup", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where.
        why: String,
    },
    /// The file system refused.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("cannot open the journal `{}`: {why}", path.display())]
    Sqlite {
        /// The journal.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
}

impl OpenError {
    /// The error for a file that could be opened and whose contents cannot be used.
    pub(crate) fn unreadable(path: &Path, error: ReadError) -> Self {
        let (ReadError::Damaged(why) | ReadError::Store(why)) = error;
        Self::Damaged { path: path.into(), why }
    }
}

/// A command was not written, or it is not known whether it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// The step is not legal on the journaled state.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A newer lease of the run exists, or the lease is gone.
    #[error("another task has taken over the run")]
    Fenced,
    /// Nothing was written; the same command may be submitted again.
    #[error("the journal could not be written: {0}")]
    NotWritten(String),
    /// It may have been written: read the journal again before anything else.
    #[error("it is not known whether the journal was written: {0}")]
    Unknown(String),
}

/// The journal could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store refused.
    #[error("the journal could not be read: {0}")]
    Store(String),
    /// Its contents contradict each other.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}
