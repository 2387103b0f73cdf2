//! The types of what the host establishes (`facts` of a proposal), so that policies that use it are checked when they are loaded.

use std::collections::BTreeSet;

use holdshort_gate::{Capability, WitType};
use serde_json::{Value, json};

use super::schema::attribute;

/// The facts of a capability, by name. What a connector does not know of a call is missing, and a policy that asks for it errs, which holds.
pub(super) fn of(capability: &Capability) -> Vec<(&'static str, WitType)> {
    let texts = || WitType::List(Box::new(WitType::String));
    let interface = capability.interface().split('@').next().unwrap_or_default();
    match (interface, capability.function()) {
        ("holdshort:agent/deployment", "deploy") => vec![
            ("old-commit", WitType::Option(Box::new(WitType::String))),
            ("new-commit", WitType::String),
            ("commit-count", WitType::U64),
            ("lost-commit-count", WitType::U64),
            ("files-changed", WitType::U64),
            ("lines-added", WitType::U64),
            ("lines-removed", WitType::U64),
            ("checks-passed", texts()),
            ("checks-failed", texts()),
        ],
        ("holdshort:agent/payments", "transfer-funds") => vec![
            ("amount", WitType::U64),
            ("currency", WitType::String),
            ("balance-before", WitType::U64),
            ("balance-after", WitType::U64),
            ("first-payment", WitType::Bool),
            ("payments-before", WitType::U64),
            ("same-amount-and-reference-before", WitType::Bool),
            ("own-account", WitType::Bool),
        ],
        ("holdshort:agent/email", "send-email") => vec![
            ("recipients", WitType::U64),
            ("outside-recipients", WitType::U64),
            ("outside-domains", texts()),
            ("attachments", WitType::U64),
            ("attachment-bytes", WitType::U64),
        ],
        _ => Vec::new(),
    }
}

/// What policies call the facts of these capabilities.
pub(super) fn names<'a>(capabilities: impl Iterator<Item = &'a Capability>) -> BTreeSet<String> {
    capabilities.flat_map(of).map(|(name, _)| attribute(name)).collect()
}

/// Which of these facts differ, with both values; in words, or nothing if they are the same.
pub fn changed(names: &[String], before: &Value, now: &Value) -> Option<String> {
    let (before, now) = (with_checks(before), with_checks(now));
    let all = before.as_object().into_iter().chain(now.as_object()).flatten().map(|(name, _)| name);
    let material: BTreeSet<&String> = all.filter(|name| names.contains(&attribute(name))).collect();
    let value = |facts: &Value, name: &str| facts.get(name).map_or_else(|| "unknown".into(), Value::to_string);
    let differ = material.into_iter().filter(|name| before.get(name.as_str()) != now.get(name.as_str()));
    let differ = differ.map(|name| format!("`{name}` was {} and is {}", value(&before, name), value(&now, name)));
    let differ: Vec<String> = differ.collect();
    (!differ.is_empty()).then(|| differ.join("; "))
}

/// The facts with what policies cannot ask of a list themselves: the names of the checks that passed on this very commit, and of those that failed.
pub(super) fn with_checks(facts: &Value) -> Value {
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
