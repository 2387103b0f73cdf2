//! `holdshort config`: prints all settings in force with their defaults.

use std::path::Path;

use holdshort_gate::{Digest, ReviewerName};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::{Config, defaults};

/// All settings and all reviewers.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    config: &'a Config,
    reviewers: Vec<ConfiguredReviewer<'a>>,
}

/// A reviewer and one token: the file of the local operator's token, or the hash of another
/// reviewer's token.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ConfiguredReviewer<'a> {
    name: &'a ReviewerName,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_sha256: Option<Digest>,
}

impl<'a> Report<'a> {
    fn of(config: &'a Config) -> Self {
        let operator =
            ConfiguredReviewer { name: &config.operator, token_file: Some(&config.token_file), token_sha256: None };
        let others = config.reviewers.iter().map(|reviewer| ConfiguredReviewer {
            name: &reviewer.name,
            token_file: None,
            token_sha256: Some(reviewer.token_sha256),
        });
        Self { config, reviewers: std::iter::once(operator).chain(others).collect() }
    }
}

/// Prints all settings.
pub(super) fn run(config: &Config, output: &Output) -> Result<Exit, Failure> {
    if output.json {
        let value = serde_json::to_value(Report::of(config)).map_err(unprintable)?;
        output.json(&value)?;
    } else {
        let from = match &config.source {
            Some(file) => format!("from {} and the defaults", file.display()),
            None => format!("the defaults for this folder, which has no {}", defaults::FILE_NAME),
        };
        let settings = toml::to_string(&Report::of(config)).map_err(unprintable)?;
        output.text(&format!(
            "# The settings in force: {from}.\n\
             # This is a report, not a file to load: times are in milliseconds, sizes in bytes, and paths are complete.\n\
             # host/CONFIGURATION.md shows how to write each setting.\n\n{settings}"
        ))?;
    }
    Ok(Exit::Done)
}

fn unprintable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("cannot print the configuration: {error}"))
}
