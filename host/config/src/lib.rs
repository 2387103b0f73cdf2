//! Reads the configuration: parses the file (`authored`) and resolves it to the values that the
//! host uses ([`Config`]).
//!
//! The file is `holdshort.toml` in the current folder, or the file given with `--config`. Without a
//! file, the current folder and the values in [`defaults`] apply. Every error names the file, line,
//! column, key and advice. An unknown key is an error. `host/CONFIGURATION.md` documents the
//! settings for operators; a test compares it with this code.
//!
//! Read in this order: [`defaults`], [`resolved`] (the values that the host's other parts use),
//! `authored`, `value` (types that parse themselves), `resolve`, [`error`].
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

mod authored;
mod command;
pub mod defaults;
pub mod error;
mod fact;
mod nearest;
pub mod notices;
mod resolve;
pub mod resolved;
mod value;
mod zone;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use holdshort_gate::ReviewerName;

pub use command::Command;
pub use error::{ConfigError, ConfigProblem};
pub use fact::FactType;
pub use nearest::nearest;
pub use notices::{NoticeEvent, NoticeFormat, NoticeTarget, WebUrl};
pub use resolve::budget::{ModelBudget, ModelCap};
pub use resolve::capabilities::*;
pub use resolve::credentials::{ClientAuth, Credential, OAuth, SecretSource, Source};
pub use resolve::http::{HttpHost, Idempotency, Method};
pub use resolve::models::{Model, ModelAddresses, ModelApi, ModelPrice, ModelUncertainty};
pub use resolved::{
    Account, Agent, Amount, Approval, Check, Config, Confinement, Delegation, Deploy, Deployment, Email, ListenError,
    Mail, Payments, Reviewer, Server, Smtp, Tls,
};
pub use zone::Zone;

/// The inputs that do not come from the file. They are collected here, so that resolving depends
/// only on its arguments.
#[derive(Clone, Debug)]
pub struct ConfigContext {
    /// The base folder of relative paths.
    pub folder: PathBuf,
    /// Whether the base folder is in a git repository.
    pub is_repository: bool,
    /// The local operator's name; see [`user`].
    pub operator: ReviewerName,
}

impl Config {
    /// Reads the file at `path`, or else `holdshort.toml` in `folder`. Without a file it returns
    /// the defaults.
    pub fn load(path: Option<&Path>, folder: &Path) -> Result<Self, ConfigError> {
        let folder = std::path::absolute(folder)
            .map_err(|source| ConfigError::Unreadable { path: folder.to_path_buf(), source })?;
        let file = path.map_or_else(|| folder.join(defaults::FILE_NAME), |path| folder.join(path));
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let home = file.parent().unwrap_or(&folder).to_path_buf();
                Self::parse(&text, Some(&file), &ConfigContext::of(home))
            }
            // A file given by name must exist. The default file may be missing.
            Err(error) if error.kind() == ErrorKind::NotFound && path.is_none() => {
                Self::parse("", None, &ConfigContext::of(folder))
            }
            Err(source) => Err(ConfigError::Unreadable { path: file, source }),
        }
    }

    /// Resolves `text`, read from `source`.
    pub fn parse(text: &str, source: Option<&Path>, context: &ConfigContext) -> Result<Self, ConfigError> {
        let authored: authored::File =
            toml::from_str(text).map_err(|error| error::from_toml(&error, text, source.unwrap_or(Path::new(""))))?;
        resolve::resolve(authored, source, context)
            .map_err(|wrong| error::from_wrong(wrong, text, source.unwrap_or(Path::new(""))))
    }
}

impl ConfigContext {
    /// Collects the context for `folder` and this process.
    ///
    /// The operator's name is the name that the first host in this folder saved. Approvals are
    /// counted by name, so with another name the same token would count as a second reviewer. An
    /// unusable file with the name is no error here: a host checks it at its start, and does not start.
    pub fn of(folder: PathBuf) -> Self {
        let kept = std::fs::read_to_string(folder.join(defaults::STATE_FOLDER).join(defaults::OPERATOR_FILE));
        let kept = kept.ok().map(|name| name.trim().to_owned()).filter(|name| value::is_name(name));
        Self {
            is_repository: folder.join(".git").exists(),
            operator: kept.or_else(user).map_or(defaults::OPERATOR.into(), ReviewerName::new),
            folder,
        }
    }
}

/// Parses a duration such as `4h` into milliseconds.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    text.parse::<value::Span>().map(|span| span.0)
}

/// The user of this process from `$USER`, if it is a plain name.
pub fn user() -> Option<String> {
    std::env::var("USER").ok().filter(|user| value::is_name(user))
}

#[cfg(test)]
mod tests;
