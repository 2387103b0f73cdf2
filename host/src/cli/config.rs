//! `holdshort config`: what is in force, so that no default is a secret.

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::Config;

/// Prints every setting.
pub(super) fn run(config: &Config, output: &Output) -> Result<Exit, Failure> {
    if output.json {
        let value = serde_json::to_value(config).map_err(unprintable)?;
        output.json(&value)?;
    } else {
        output.text(&toml::to_string(config).map_err(unprintable)?)?;
    }
    Ok(Exit::Done)
}

fn unprintable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("cannot print the configuration: {error}"))
}
