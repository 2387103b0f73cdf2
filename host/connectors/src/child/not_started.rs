//! The reasons why a child process was not started.

use std::io;
use std::path::PathBuf;

use crate::{Sentence, Trusted, quote, say, sentence_error};

/// A child process was not started.
#[derive(Debug)]
pub enum NotStarted {
    /// The command is empty.
    EmptyCommand,
    /// A child of the same name still runs.
    Busy(PathBuf),
    /// The output files of the child cannot be created.
    Files { path: PathBuf, source: io::Error },
    /// The program cannot be run.
    Program { program: String, source: io::Error },
}

impl NotStarted {
    /// The reason as a sentence.
    pub fn sentence(&self) -> Sentence {
        match self {
            Self::EmptyCommand => say!("the command is empty; name a program"),
            Self::Busy(path) => say!("an earlier child process still runs and has locked `{}`", Trusted::path(path)),
            Self::Files { path, source } => say!("`{}` cannot be written: {}", Trusted::path(path), quote(source)),
            Self::Program { program, source } => {
                say!("`{}` cannot be run: {}", Trusted::configured(program), quote(source))
            }
        }
    }
}

sentence_error!(NotStarted);
