//! A one-line summary of a call whose meaning the host does not know: its name and its arguments. Each argument is
//! shortened, so that all arguments have room.

use holdshort_gate::{Action, RATIONALE};
use serde_json::Value;

use crate::{Sentence, Trusted, quote_start, say};

/// A summary shows at most this many characters of one argument.
const ARGUMENT_CHARS_MAX: usize = 60;
/// A summary shows at most this many characters of all arguments.
const ARGUMENTS_CHARS_MAX: usize = 240;

/// The summary of an action. Reviewers see the complete arguments.
pub(super) fn of(action: &Action) -> Sentence {
    let arguments = action.arguments().as_object().into_iter().flatten();
    // The agent's rationale is left out, because it is no part of the effect.
    let arguments = arguments.filter(|(name, _)| *name != RATIONALE);
    let mut chars = 0;
    let count = arguments.clone().count();
    let arguments = arguments.map(|(name, value)| say!("{}: {}", Trusted::configured(name), argument(value)));
    let shown = arguments.take_while(|argument| {
        chars += argument.as_str().chars().count();
        chars <= ARGUMENTS_CHARS_MAX
    });
    let shown: Vec<Sentence> = shown.collect();
    let left_out = count - shown.len();
    let mut all = Sentence::join(shown, ", ");
    if left_out > 0 {
        all += say!("; {} more", left_out);
    }
    say!("{}({})", *action.capability(), all)
}

/// An argument as text: a string as a quotation, a number unchanged, and any other value as quoted JSON.
fn argument(value: &Value) -> Sentence {
    match value {
        Value::Null => say!("none"),
        Value::Bool(yes) => say!("{}", if *yes { "true" } else { "false" }),
        Value::Number(number) => say!("{}", Trusted::configured(number)),
        Value::String(text) => quote_start(text, ARGUMENT_CHARS_MAX),
        Value::Array(_) | Value::Object(_) => quote_start(&value.to_string(), ARGUMENT_CHARS_MAX),
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
            .into_string()
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
        let cut = format!("a:b/c@1.0.0#d-e(a: \"{}\" and 940 more characters, b: \"2\")", &long[..60]);
        assert_eq!(summary(&[("a", &long), ("b", "2")]), cut);
        let many: Vec<(String, &str)> = (0..40).map(|n| (format!("name-{n:02}"), "value")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let line = summary(&many);
        assert!(line.ends_with("\"value\"; 25 more)") && line.chars().count() < 300, "{line}");
    }

    #[test]
    fn an_argument_never_goes_on_with_the_hosts_words() {
        use crate::exhibit::tests::words;
        use holdshort_words::{Piece, pieces};
        for words in words() {
            let line = summary(&[("a", &words), ("b", "2")]);
            let host: String =
                pieces(&line).iter().filter(|piece| matches!(piece, Piece::Host(_))).map(ToString::to_string).collect();
            let cut = words.chars().count().checked_sub(ARGUMENT_CHARS_MAX).filter(|more| *more > 0);
            let cut = cut.map(|more| format!(" and {more} more characters")).unwrap_or_default();
            assert_eq!(host, format!("a:b/c@1.0.0#d-e(a: {cut}, b: )"), "{words:?}");
        }
    }
}
