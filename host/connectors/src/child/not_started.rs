//! Why a child was never started, in words.

use std::io;
use std::path::PathBuf;

use crate::{Known, Sentence, error_said, quote, say};

/// A child that was never started.
#[derive(Debug)]
pub enum NotStarted {
    /// There is nothing to run.
    EmptyCommand,
    /// A child of the same name still runs.
    Busy(PathBuf),
    /// Its files cannot be made.
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program cannot be run.
    Program {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
}

impl NotStarted {
    /// In words.
    pub fn sentence(&self) -> Sentence {
        match self {
            Self::EmptyCommand => say!("the command is empty; name a program"),
            Self::Busy(path) => say!("an earlier child still runs and holds `{}`", Known::path(path)),
            Self::Files { path, source } => say!("`{}` cannot be written: {}", Known::path(path), quote(source)),
            Self::Program { program, source } => {
                say!("`{}` cannot be run: {}", Known::configured(program), quote(source))
            }
        }
    }
}

error_said!(NotStarted);
