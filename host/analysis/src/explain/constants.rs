//! Collects the constants that policies compare with.

use std::collections::BTreeSet;

use serde_json::Value;

use holdshort_policy::CedarPolicy;

/// The constants with which a set of policies compares.
#[derive(Default)]
pub(super) struct Constants {
    pub(super) numbers: BTreeSet<i128>,
    /// Decimals in ten-thousandths.
    pub(super) decimals: BTreeSet<i128>,
    pub(super) texts: BTreeSet<String>,
    /// Times in milliseconds since 1970.
    pub(super) moments: BTreeSet<i128>,
    /// The agents that policies name.
    pub(super) agents: BTreeSet<String>,
}

impl Constants {
    /// The constants of policies that can affect a verdict.
    pub(super) fn of(policy: &CedarPolicy) -> Self {
        let mut found = Self::default();
        for policy in policy.decisive() {
            ["principal", "resource", "conditions"]
                .iter()
                .filter_map(|part| policy.get(part))
                .for_each(|part| found.add(part));
        }
        found
    }

    /// Adds the constants in a part of a policy, in Cedar's JSON form.
    fn add(&mut self, part: &Value) {
        match part {
            Value::Object(fields) => {
                if let (Some("Agent"), Some(id)) = (text(part, "type"), text(part, "id")) {
                    self.agents.insert(id.into());
                }
                for (name, value) in fields {
                    match name.as_str() {
                        "decimal" => self.decimals.extend(argument(value).and_then(ten_thousandths)),
                        "datetime" => self.moments.extend(argument(value).and_then(moment)),
                        // The text of a `like` pattern is tried as a value. It surely matches the pattern if the
                        // pattern has only one piece of text.
                        "Value" | "Literal" => self.value(value),
                        _ => self.add(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Number(number) => self.numbers.extend(number.as_i64().map(i128::from)),
            Value::String(text) => drop(self.texts.insert(text.clone())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => self.add(value),
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// The single constant argument of a function.
fn argument(arguments: &Value) -> Option<&str> {
    text(arguments.get(0)?, "Value")
}

/// Converts a decimal such as `0.75` to ten-thousandths, such as 7500.
fn ten_thousandths(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.')?;
    format!("{whole}{fraction:0<4}").parse().ok()
}

/// Converts a time such as `2026-01-01` or `2026-01-01T12:00:00Z` to milliseconds since 1970.
fn moment(text: &str) -> Option<i128> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    whole.parse::<jiff::Timestamp>().ok().map(|at| i128::from(at.as_millisecond()))
}
