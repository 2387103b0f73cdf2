//! Errors in the configuration: position, key, and advice.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{path}`: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The file contains an error.
    #[error(transparent)]
    Wrong(Box<ConfigProblem>),
}

/// One error in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{what}", key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
pub struct ConfigProblem {
    /// The file's name as the user gave it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The key with its sections, such as `email.host`.
    pub key: Option<String>,
    /// The error.
    pub what: String,
    pub hint: Option<String>,
}

impl ConfigError {
    /// The advice.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unreadable { .. } => Some(
                "give an existing file with `--config FILE`, or leave out `--config` to use `holdshort.toml` or the defaults",
            ),
            Self::Wrong(problem) => problem.hint.as_deref(),
        }
    }
}

/// A violated rule about several keys.
#[derive(Debug)]
pub(super) struct RuleViolation {
    /// The position of the key or value.
    pub(super) span: Range<usize>,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl RuleViolation {
    /// A violated rule, reported at `at`.
    pub(super) fn at<T>(at: &Spanned<T>, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { span: at.span(), what: what.into(), hint: Some(hint.into()) }
    }
}

pub(super) fn from_wrong(wrong: RuleViolation, text: &str, file: &Path) -> ConfigError {
    let RuleViolation { span, what, hint } = wrong;
    ConfigError::Wrong(Box::new(ConfigProblem::at(text, file, span.start, what, hint)))
}

pub(super) fn from_toml(error: &toml::de::Error, text: &str, file: &Path) -> ConfigError {
    ConfigError::Wrong(Box::new(ConfigProblem::of_toml(error, text, file)))
}

impl ConfigProblem {
    /// An error that the TOML library found in `text`, which is the configuration or another file of the user.
    pub fn of_toml(error: &toml::de::Error, text: &str, file: &Path) -> Self {
        let (what, hint) = in_our_words(error.message());
        Self::at(text, file, error.span().map_or(0, |span| span.start), what, hint)
    }

    /// An error at the byte `offset` of `text`.
    pub fn at(text: &str, file: &Path, offset: usize, what: String, hint: Option<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.display().to_string(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            key: DeTable::parse(text).ok().and_then(|table| key_at(table.get_ref(), offset)),
            what,
            hint,
        }
    }
}

/// The full key whose name or value contains `offset`. If keys of several nested tables contain the
/// offset, this is the deepest of them.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    table.iter().find_map(|(name, value)| {
        let spelled = if super::value::is_name(name.get_ref()) && !name.get_ref().contains('.') {
            name.get_ref().to_string()
        } else {
            format!("{:?}", name.get_ref())
        };
        let deeper = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, offset),
            DeValue::Array(items) => {
                let item = items.iter().any(|item| item.span().contains(&offset)).then(String::new);
                // Of a table under `[[…]]`, only the head is the item's place.
                item.or_else(|| {
                    let table = |item: &Spanned<DeValue<'_>>| {
                        let DeValue::Table(inner) = item.get_ref() else { return None };
                        key_at(inner, offset)
                    };
                    items.iter().find_map(table)
                })
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => None,
        };
        match deeper {
            Some(deeper) if deeper.is_empty() => Some(spelled),
            Some(deeper) => Some(format!("{spelled}.{deeper}")),
            None if name.span().contains(&offset) || value.span().contains(&offset) => Some(spelled),
            None => None,
        }
    })
}

/// Rewrites the TOML library's message without Rust type names, and adds advice.
///
/// The library gives its error only as text, with names in backticks. Tests provoke every kind of
/// message, so a change of the library's texts is noticed.
fn in_our_words(message: &str) -> (String, Option<String>) {
    let mut names = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let found = names.next().unwrap_or_default().to_owned();
        let known: Vec<&str> = names.collect();
        let hint = match nearest(&found, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("settings of this section: {}", known.join(", ")),
        };
        return ("unknown setting".into(), Some(hint));
    }
    if message.starts_with("unknown variant") {
        let found = names.next().unwrap_or_default().to_owned();
        let known: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        return (format!("`{found}` is not a valid value"), Some(format!("write {}", known.join(" or "))));
    }
    if message.starts_with("missing field") {
        let missing = names.next().unwrap_or_default();
        return (format!("`{missing}` is missing"), Some(format!("add `{missing} = …` to this section")));
    }
    if message.ends_with(", expected nothing") {
        // The library read a number or a date and then found more characters.
        let hint = "put text in quotes, such as `listen = \"127.0.0.1:7411\"`";
        return ("this is not a TOML value".into(), Some(hint.into()));
    }
    let mut what = message.to_owned();
    if let Some((found, expected)) = message
        .split_once(": ")
        .and_then(|(kind, rest)| kind.starts_with("invalid").then_some(rest)?.split_once(", expected "))
    {
        what = format!("expected {}, found {found}", plain_type(expected));
    }
    let hint = (what == message && !message.contains("; "))
        .then(|| "`host/CONFIGURATION.md` shows how to write each setting".to_owned());
    (what, hint)
}

fn plain_type(expected: &str) -> &str {
    match expected {
        "a sequence" => "an array",
        "a map" => "a table",
        "a boolean" => "true or false",
        "path string" => "a path in quotes",
        "a string" => "text in quotes",
        other => other,
    }
}
