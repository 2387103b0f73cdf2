//! Whether a policy is shallow enough: whatever evaluates, compares or drops it later recurses, on threads with ordinary stacks.
//!
//! It is measured on what Cedar has read, and not on the text.

use cedar_policy::Policy;
use serde_json::Value;

/// Operators within each other. A chain of `&&`, of conditions or of attributes is as deep as it is long; sets of many texts are flat.
const LEVELS_MAX: usize = 500;
/// In Cedar's JSON an operator is an object of its operands, in an object by its name.
const JSON_PER_LEVEL: usize = 2;
/// The lists in that JSON which are flat for Cedar too: of a set, of a text's pattern, of actions. Any other becomes a chain of operators.
const FLAT: [&str; 3] = ["Set", "pattern", "entities"];

/// That a policy is too deep, and what to do.
pub(super) fn too_deep(policy: &Policy) -> Option<String> {
    let json = match policy.to_json() {
        Ok(json) => json,
        Err(error) => return Some(format!("it cannot be written as JSON: {error}")),
    };
    // Without recursion, which is what has yet to be found harmless.
    let mut left = vec![("", &json, 0)];
    while let Some((name, value, depth)) = left.pop() {
        if depth > LEVELS_MAX * JSON_PER_LEVEL {
            return Some(format!(
                "it has more than {LEVELS_MAX} operators within each other: make several policies of it, or compare with a set"
            ));
        }
        match value {
            Value::Array(items) => {
                let deeper = if FLAT.contains(&name) { 1 } else { items.len() * JSON_PER_LEVEL };
                // A chain is as deep as it is long, be there nothing else in it.
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
