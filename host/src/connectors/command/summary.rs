//! One line about a call whose meaning the host does not know: its name and its arguments, each cut where it would push the others out.

use holdshort_gate::Action;
use serde_json::Value;

/// How much of one argument stands in a list.
const ARGUMENT_CHARS_MAX: usize = 60;
/// How much of all of them does.
const ARGUMENTS_CHARS_MAX: usize = 240;
/// The parameter in which an agent gives its reasons; its words are no part of what would happen.
const RATIONALE: &str = "rationale";

/// The summary of an action; the whole of it is in the arguments that the reviewer sees.
pub(super) fn of(action: &Action) -> String {
    let arguments = action.arguments().as_object().into_iter().flatten();
    let arguments = arguments.filter(|(name, _)| *name != RATIONALE);
    let arguments: Vec<String> = arguments.map(|(name, value)| format!("{name}: {}", argument(value))).collect();
    format!("{}({})", action.capability(), cut(&arguments.join(", "), ARGUMENTS_CHARS_MAX))
}

fn argument(value: &Value) -> String {
    cut(&value.to_string(), ARGUMENT_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => text.get(..at).unwrap_or_default().to_owned() + " …",
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdshort_gate::{Digest, FunctionType, WitType};
    use serde_json::json;

    fn summary(arguments: &[(&str, &str)]) -> String {
        let params = arguments.iter().map(|(name, _)| ((*name).to_owned(), WitType::String)).collect();
        let values: serde_json::Map<String, Value> =
            arguments.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let ty = FunctionType { params, result: None };
        of(&Action::new(Digest::of(b""), "a:b/c@1.0.0#d-e".parse().unwrap(), &ty, &values.into()).unwrap())
    }

    #[test]
    fn a_call_is_one_line_without_the_agents_reasons() {
        assert_eq!(summary(&[]), "a:b/c@1.0.0#d-e()");
        assert_eq!(summary(&[("id", "4\n2"), ("why", "\"")]), r#"a:b/c@1.0.0#d-e(id: "4\n2", why: "\"")"#);
        assert_eq!(summary(&[("id", "42"), ("rationale", "trust me")]), r#"a:b/c@1.0.0#d-e(id: "42")"#);
    }

    #[test]
    fn a_long_argument_is_cut_and_hides_no_other() {
        let long = "x".repeat(1_000);
        assert_eq!(summary(&[("a", &long), ("b", "2")]), format!("a:b/c@1.0.0#d-e(a: \"{} …, b: \"2\")", &long[..59]));
        let many: Vec<(String, &str)> = (0..40).map(|n| (format!("name-{n:02}"), "value")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let line = summary(&many);
        assert!(line.ends_with(" …)") && line.chars().count() < 300, "{line}");
    }
}
