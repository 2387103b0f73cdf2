//! Keys that several sections have.

use toml::Spanned;

use super::{RuleViolation, values};
use crate::value::{ExitCode, Variable};

/// Reports a key that belongs to a connector other than the chosen one.
pub(super) fn misplaced<T>(key: Option<&Spanned<T>>, belongs_to: &str) -> Result<(), RuleViolation> {
    key.map_or(Ok(()), |key| {
        let what =
            format!("this setting belongs to `connector = \"{belongs_to}\"`, but this section has another connector");
        Err(RuleViolation::at(key, what, format!("remove the setting, or write `connector = \"{belongs_to}\"`")))
    })
}

/// The names of the environment variables that a program gets. It gets no others.
pub(super) fn names(names: Option<Vec<Variable>>) -> Vec<String> {
    names.map(values).unwrap_or_default()
}

/// The exit codes that mean "nothing was done". By default there are none, so every failure leaves
/// the effect in doubt. Every number fits, because `ExitCode` has the range of exit codes.
pub(super) fn codes(codes: Option<Vec<ExitCode>>) -> Vec<u8> {
    codes.into_iter().flatten().filter_map(|code| u8::try_from(code.0).ok()).collect()
}
