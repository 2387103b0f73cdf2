//! Differences between facts, and the facts that are derived for policies.

use std::collections::BTreeMap;

use holdshort_words::{Sentence, configured, quote_value, say};
use serde_json::{Value, json};

use super::schema::attribute;

/// The facts that differ, each with both values, as text; `None` if they are equal. If the host
/// does not know one of the facts, this is an error.
pub fn changed(names: &[String], before: &Value, now: &Value) -> Result<Option<Sentence>, Sentence> {
    let of = |facts: &Value| -> BTreeMap<String, Value> {
        let facts = with_checks(facts);
        facts.as_object().into_iter().flatten().map(|(name, value)| (attribute(name), value.clone())).collect()
    };
    let (before, now) = (of(before), of(now));
    if let Some(name) = names.iter().find(|name| !before.contains_key(*name) && !now.contains_key(*name)) {
        return Err(say!("the host has no fact `{}` for the call", configured(name)));
    }
    // Text values, such as names of branches, are somebody else's words and are quoted. Numbers are not.
    let value = |facts: &BTreeMap<String, Value>, name: &str| facts.get(name).map_or("unknown".into(), quote_value);
    let differ = names.iter().filter(|name| before.get(*name) != now.get(*name));
    let differ = differ
        .map(|name| say!("`{}` was {} and is now {}", configured(name), value(&before, name), value(&now, name)))
        .collect::<Vec<Sentence>>();
    Ok((!differ.is_empty()).then(|| Sentence::join(differ, "; ")))
}

/// Adds two lists that policies cannot compute themselves: the names of the checks that passed on
/// the new commit, and of those that failed.
pub fn with_checks(facts: &Value) -> Value {
    let mut facts = facts.clone();
    let named = |passed: bool| {
        let checks = facts.get("checks").and_then(Value::as_array).into_iter().flatten();
        let checks = checks.filter(|check| check.get("passed").and_then(Value::as_bool) == Some(passed));
        checks.filter_map(|check| check.get("name").cloned()).collect::<Vec<_>>()
    };
    let (passed, failed) = (named(true), named(false));
    if facts.get("new-commit").is_some()
        && let Some(facts) = facts.as_object_mut()
    {
        facts.insert("checks-passed".into(), json!(passed));
        facts.insert("checks-failed".into(), json!(failed));
    }
    facts
}
