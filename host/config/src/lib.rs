//! The configuration: what the operator wrote (`authored`), made into what the host uses ([`Config`]).
//!
//! There is one file, `holdshort.toml`, in the current folder or where `--config` says. Without it the host works in the current folder
//! with the values in [`defaults`]. Every mistake names the file, the line, the column, the key and what to do; an unknown key is a mistake.
//! `host/CONFIGURATION.md` is the operator's page about the same things, and a test holds it to this code.
//!
//! Read in this order: [`defaults`], [`resolved`] (what the other rooms see), `authored`, `value` (what parses itself), `resolve`, [`error`].
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test fails on whatever it did not expect"))]

mod authored;
pub mod defaults;
pub mod error;
mod fact;
pub mod notices;
mod resolve;
pub mod resolved;
mod value;
mod zone;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use error::nearest;
pub use error::{ConfigError, Problem};
pub use fact::FactType;
pub use notices::{NoticeEvent, NoticeFormat, NoticeTarget, WebUrl};
pub use resolved::{
    Account, Agent, Amount, Approval, CapabilityPattern, CapabilityRule, Check, Command, Config, Confinement,
    Delegation, Deploy, Deployment, Email, ListenError, Mail, Payments, Perform, Reviewer, Server, Smtp, Tls,
};
pub use zone::Zone;

/// What the configuration takes from its surroundings, gathered in one place so that resolving it is a function of its arguments.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// Whether that folder is a git repository.
    pub is_repository: bool,
    /// The name of the person who operates the host; see [`user`].
    pub operator: String,
}

impl Config {
    /// Reads the file at `path`, else `holdshort.toml` in `folder`, else takes the defaults for `folder`.
    pub fn load(path: Option<&Path>, folder: &Path) -> Result<Self, ConfigError> {
        let folder = std::path::absolute(folder)
            .map_err(|source| ConfigError::Unreadable { path: folder.to_path_buf(), source })?;
        let file = path.map_or_else(|| folder.join(defaults::FILE_NAME), |path| folder.join(path));
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let home = file.parent().unwrap_or(&folder).to_path_buf();
                Self::parse(&text, Some(&file), &Surroundings::of(home))
            }
            // A file that was named must be there; the one with the usual name need not.
            Err(error) if error.kind() == ErrorKind::NotFound && path.is_none() => {
                Self::parse("", None, &Surroundings::of(folder))
            }
            Err(source) => Err(ConfigError::Unreadable { path: file, source }),
        }
    }

    /// Resolves `text`, which was read from `source`.
    pub fn parse(text: &str, source: Option<&Path>, around: &Surroundings) -> Result<Self, ConfigError> {
        let authored: authored::File =
            toml::from_str(text).map_err(|error| error::from_toml(&error, text, source.unwrap_or(Path::new(""))))?;
        resolve::resolve(authored, source, around)
            .map_err(|wrong| error::from_wrong(wrong, text, source.unwrap_or(Path::new(""))))
    }
}

impl Surroundings {
    /// What is so in `folder` for whoever runs this process.
    ///
    /// The operator's name is the one that the first host here kept, whoever starts the next one: votes are counted by name, and with another name
    /// the same token would be a second person. A file that cannot be read or holds no name stops the host that starts, not everyone who asks here.
    pub fn of(folder: PathBuf) -> Self {
        let kept = std::fs::read_to_string(folder.join(defaults::STATE_FOLDER).join(defaults::OPERATOR_FILE));
        let kept = kept.ok().map(|name| name.trim().to_owned()).filter(|name| value::is_name(name));
        Self {
            is_repository: folder.join(".git").exists(),
            operator: kept.or_else(user).unwrap_or_else(|| defaults::OPERATOR.into()),
            folder,
        }
    }
}

/// A length of time as the file spells it, such as `4h`, in milliseconds.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    text.parse::<value::Span>().map(|span| span.0)
}

/// Who runs this process, if `$USER` says so with a plain name.
pub fn user() -> Option<String> {
    std::env::var("USER").ok().filter(|user| value::is_name(user))
}

#[cfg(test)]
mod tests;
