//! What a host keeps, and whose it is: looked at before anything of it is opened.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::named;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::config::{Config, Mail};
use crate::own::{self, NotOurs};

/// Compiled agents, below the state folder. Whoever could write there would run code as the host.
pub(super) const CACHE_FOLDER: &str = "compiled";
/// What running programs leave for lookups.
pub(super) const CHILDREN_FOLDER: &str = "children";
/// Checkouts for checks.
pub(super) const CHECKOUTS_FOLDER: &str = "checkouts";

/// Sees to it that all that a host keeps is its user's alone. What was open to others and is ours is closed, and said.
pub(in crate::cli) fn keep_private(config: &Config, output: &Output) -> Result<(), Failure> {
    let refused = |error: &dyn std::error::Error| {
        Failure::new(Exit::Failed, error.to_string())
            .hint("whoever can change what a host keeps can act as the host; see \"Files\" in host/CONFIGURATION.md")
    };
    let failed = |error: NotOurs| refused(&error);
    let mut closed = vec![own::folder(&config.state).map_err(failed)?];
    make_ignored(&config.state)?;
    for folder in kept_folders(config).iter().filter(|folder| folder.exists()) {
        closed.push(own::folder(folder).map_err(failed)?);
    }
    own::within(&config.state.join(CACHE_FOLDER)).map_err(failed)?;
    for file in kept_files(config) {
        closed.push(own::file(&file).map_err(failed)?);
    }
    if let Some(source) = &config.source {
        own::unwritable(source).map_err(failed)?;
    }
    let open = named::look(config).map_err(|error| refused(&error))?;
    closed.iter().flatten().chain(&open).for_each(|line| output.note(&format!("note: {line}")));
    Ok(())
}

fn kept_folders(config: &Config) -> Vec<PathBuf> {
    let below = [CACHE_FOLDER, CHILDREN_FOLDER, CHECKOUTS_FOLDER].map(|name| config.state.join(name));
    // A Maildir elsewhere is also somebody else's, who reads it.
    let mail = match &config.email.connector {
        Mail::Maildir { path } if path.starts_with(&config.state) => Some(path.clone()),
        Mail::Maildir { .. } | Mail::Smtp(_) => None,
    };
    below.into_iter().chain(mail).collect()
}

/// The databases, with what SQLite and the host keep beside each.
fn kept_files(config: &Config) -> Vec<PathBuf> {
    let beside = |path: &Path| {
        ["", "-wal", "-shm", "-journal", ".lock", ".address"].map(|suffix| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        })
    };
    [&config.journal, &config.payments.path].into_iter().flat_map(|path| beside(path)).collect()
}

/// Git is told to leave the state folder alone: it may stand in the very repository that agents read, and it holds a token.
fn make_ignored(folder: &Path) -> Result<(), Failure> {
    let path = folder.join(".gitignore");
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match file.and_then(|mut file| file.write_all(b"*\n")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Failure::new(Exit::Failed, format!("cannot write `{}`: {error}", path.display())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A secret that the configuration names. That others can read it is said and no failure: they know it by now.
pub(super) fn secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let (bytes, mode) = own::secret(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot take the secret in `{}`: {error}", path.display()))
    })?;
    if mode & 0o077 != 0 {
        tracing::warn!("others can read the secret in {} (mode {mode:o}): run `chmod 600` on it", path.display());
    }
    Ok(bytes)
}
