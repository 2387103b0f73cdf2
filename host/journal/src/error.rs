//! Errors of the journal, in words for the person who must act.

use std::path::{Path, PathBuf};

use holdshort_gate::Refused;

/// The journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another host has the journal open.
    #[error(
        "the journal `{}` is in use by another host{}: stop that host first, or start this host in another folder",
        path.display(),
        holder.as_ref().map(|holder| format!(" ({holder})")).unwrap_or_default()
    )]
    Locked {
        /// The path of the journal.
        path: PathBuf,
        /// The other host, if it has identified itself.
        holder: Option<String>,
    },
    /// A newer version of Holdshort wrote the journal.
    #[error("the journal `{}` has format {found}, but this version of Holdshort reads formats up to {known}: use the version that wrote the journal, or a newer version", path.display())]
    Newer {
        /// The path of the journal.
        path: PathBuf,
        /// The format of the journal.
        found: i64,
        /// The newest format that this version knows.
        known: i64,
    },
    /// The file is not a journal.
    #[error("`{}` is not a Holdshort journal: {why}; move the file away, or use another state folder", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// The reason why it is not a journal.
        why: String,
    },
    /// The contents of the journal contradict each other.
    #[error("the journal `{}` is damaged: {why}; restore it from a backup", path.display())]
    Damaged {
        /// The path of the journal.
        path: PathBuf,
        /// Where the damage was found.
        why: String,
    },
    /// The file system reported an error.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// SQLite reported an error.
    #[error("cannot open the journal `{}`: {why}", path.display())]
    Sqlite {
        /// The path of the journal.
        path: PathBuf,
        /// The message of SQLite.
        why: String,
    },
}

impl OpenError {
    /// The error for a file that could be opened but whose contents cannot be used.
    pub(crate) fn unreadable(path: &Path, error: ReadError) -> Self {
        let (ReadError::Damaged(why) | ReadError::Store(why)) = error;
        Self::Damaged { path: path.into(), why }
    }
}

/// A command was not written, or it is unknown whether the command was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// The step is not legal on the journaled state.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The lease is no longer valid: it was dropped, or a newer lease of the run exists.
    #[error("another task has taken over the run")]
    Fenced,
    /// Nothing was written; the same command may be submitted again.
    #[error("the journal could not be written: {0}")]
    NotWritten(String),
    /// The command may have been written. The caller must read the journal again before it does anything else.
    #[error("the outcome of the write to the journal is unknown: {0}")]
    Unknown(String),
}

/// The journal could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store reported an error.
    #[error("the journal could not be read: {0}")]
    Store(String),
    /// The contents of the journal contradict each other.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}
