//! Checks that a policy is not nested too deep. Code that later evaluates, compares or drops the
//! policy is recursive and runs on threads with normal stacks.
//!
//! The check measures Cedar's own representation of the policy, and not its text.

use cedar_policy::Policy;
use serde_json::Value;

/// The maximum nesting of operators. A chain of `&&`, of conditions or of attributes nests as deep
/// as the chain is long. A set of texts does not nest.
const LEVELS_MAX: usize = 500;
/// The levels of Cedar's JSON for one operator: an object with the operator's name, and inside it
/// an object with the operands.
const JSON_PER_LEVEL: usize = 2;
/// The JSON lists that do not nest in Cedar: sets, text patterns, actions. Other lists become
/// chains of operators.
const FLAT: [&str; 3] = ["Set", "pattern", "entities"];

/// The error for a policy that is nested too deep; `None` for other policies.
pub(super) fn too_deep(policy: &Policy) -> Option<String> {
    let json = match policy.to_json() {
        Ok(json) => json,
        Err(error) => return Some(format!("the policy cannot be written as JSON: {error}")),
    };
    // This walk is not recursive, because the policy is not yet known to be safe.
    let mut left = vec![("", &json, 0)];
    while let Some((name, value, depth)) = left.pop() {
        if depth > LEVELS_MAX * JSON_PER_LEVEL {
            return Some(format!(
                "the policy has more than {LEVELS_MAX} nested operators: write several policies, or compare with a set"
            ));
        }
        match value {
            Value::Array(items) => {
                let deeper = if FLAT.contains(&name) { 1 } else { items.len() * JSON_PER_LEVEL };
                // A chain is as deep as it is long.
                left.extend(items.iter().map(|item| ("", item, depth + deeper)));
            }
            Value::Object(members) => {
                left.extend(members.iter().map(|(name, member)| (name.as_str(), member, depth + 1)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_how_deep_cedar_has_read_it() {
        for (condition, deep) in [
            ("true && ".repeat(400) + "true", false),
            ("true && ".repeat(600) + "true", true),
            ("if true then true else ".repeat(600) + "true", true),
            ("(".repeat(60) + "true" + &")".repeat(60), false),
            (format!("[{}\"x\"].contains(\"y\")", "\"((\\\"([\", ".repeat(5_000)), false),
            ("[".repeat(30) + &"]".repeat(30) + ".isEmpty()", false),
            ("true } when { ".repeat(400) + "true", false),
            ("true } when { ".repeat(600) + "true", true),
            (format!("context has a{}", ".a".repeat(600)), true),
        ] {
            let read = move || {
                let text = format!("permit (principal, action, resource) when {{ // x\r {condition} }};");
                too_deep(&text.parse().unwrap()).is_some()
            };
            let reader = std::thread::Builder::new().stack_size(64 << 20).spawn(read);
            assert_eq!(reader.unwrap().join().unwrap(), deep);
        }
    }
}
