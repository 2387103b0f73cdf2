//! `holdshort config`: what is in force, so that no default is a secret.

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::{Config, defaults};

/// Prints every setting.
pub(super) fn run(config: &Config, output: &Output) -> Result<Exit, Failure> {
    if output.json {
        let value = serde_json::to_value(config).map_err(unprintable)?;
        output.json(&value)?;
    } else {
        let from = match &config.source {
            Some(file) => format!("from {} and the defaults", file.display()),
            None => format!("the defaults for this folder, which has no {}", defaults::FILE_NAME),
        };
        let settings = toml::to_string(config).map_err(unprintable)?;
        output.text(&format!(
            "# What is in force: {from}. host/CONFIGURATION.md tells how each setting is written.\n\n{settings}"
        ))?;
    }
    Ok(Exit::Done)
}

fn unprintable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("cannot print the configuration: {error}"))
}
