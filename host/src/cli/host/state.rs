//! Checks the owner and permissions of the host's own files before it opens them.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::file_owners;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::config::{Config, Mail};
use crate::own::{self, NotOurs};

/// The folder of compiled agents. A user who can write there can run code as the host.
pub(super) const CACHE_FOLDER: &str = "compiled";
/// The folder in which running programs leave data for lookups.
pub(super) const CHILDREN_FOLDER: &str = "children";
/// The folder of checkouts for checks.
pub(super) const CHECKOUTS_FOLDER: &str = "checkouts";

/// Makes sure that the host's files belong to its user alone. If other users could access a file of this user, the file
/// is closed to them and a message is printed.
pub(in crate::cli) fn keep_private(config: &Config, output: &Output) -> Result<(), Failure> {
    let refused = |error: &dyn std::error::Error| {
        Failure::new(Exit::Failed, error.to_string()).hint(
            "a person who can change the host's files can act as the host; see \"Files\" in host/CONFIGURATION.md",
        )
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
    let open = file_owners::look(config).map_err(|error| refused(&error))?;
    closed.iter().flatten().chain(&open).for_each(|line| output.note(&format!("note: {line}")));
    Ok(())
}

fn kept_folders(config: &Config) -> Vec<PathBuf> {
    let below = [CACHE_FOLDER, CHILDREN_FOLDER, CHECKOUTS_FOLDER].map(|name| config.state.join(name));
    // A Maildir outside the state folder is meant for other readers, so it is not closed to them.
    let mail = match &config.email.connector {
        Mail::Maildir { path } if path.starts_with(&config.state) => Some(path.clone()),
        Mail::Maildir { .. } | Mail::Smtp(_) => None,
    };
    below.into_iter().chain(mail).collect()
}

/// The databases, with the files that SQLite and the host keep beside each.
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

/// Makes git ignore the state folder: it may be inside the repository that agents read, and it
/// contains a token.
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

/// Reads a secret that the configuration names. If other users can read the file, the host warns
/// and continues, because they may know the secret already.
pub(super) fn secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let (bytes, mode) = own::secret(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot use the secret in `{}`: {error}", path.display()))
    })?;
    if mode & 0o077 != 0 {
        tracing::warn!(
            "other users can read the secret in {} (mode {mode:o}): run `chmod 600` on this file",
            path.display()
        );
    }
    Ok(bytes)
}
