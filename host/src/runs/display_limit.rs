//! The display limit and the check of the claimed confidence.

use holdshort_gate::{Action, LIMIT};
use holdshort_words::{Sentence, configured, say};
use serde_json::Value;

use crate::agent::is_ours;

/// The display limit: how much of a consequential call a reviewer can be asked to read. A larger call is never truncated:
/// policy clears it, or it is refused.
#[derive(Clone, Copy, Debug)]
pub struct DisplayLimit {
    /// Bytes of the canonical arguments.
    pub bytes_max: usize,
    /// Lines of the texts in the arguments.
    pub lines_max: usize,
}

impl DisplayLimit {
    /// Checks that the arguments are within the display limit, so that a reviewer can be shown all of them.
    pub(super) fn admits(&self, action: &Action) -> Result<(), Sentence> {
        let (bytes, lines) = (action.canonical_arguments().len(), lines(action.arguments()));
        let Self { bytes_max, lines_max } = *self;
        if bytes > bytes_max || lines > lines_max {
            return Err(say!(
                "{}: the arguments are {} bytes and {} lines, but a reviewer is shown at most {} bytes and {} lines; \
                 use shorter arguments or several calls, or ask the operator for a policy that clears the call, or to raise `arguments-bytes-max` and `arguments-lines-max`",
                LIMIT,
                bytes,
                lines,
                bytes_max,
                lines_max
            ));
        }
        Ok(())
    }
}

/// Checks that the confidence in a rationale is from 0 to 1, because policies can clear calls by it. Only the host's
/// own functions are checked.
pub(super) fn believable(action: &Action) -> Result<(), Sentence> {
    let claimed = action.arguments().pointer("/rationale/confidence").and_then(Value::as_f64);
    match claimed.filter(|claimed| is_ours(action.capability()) && !(0.0..=1.0).contains(claimed)) {
        Some(claimed) => Err(say!("`rationale.confidence` is {}; write a number from 0 to 1", configured(claimed))),
        None => Ok(()),
    }
}

/// The number of lines of a value, with each scalar on a line of its own.
fn lines(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => text.split('\n').count(),
        Value::Array(items) => items.iter().map(lines).sum(),
        Value::Object(fields) => fields.values().map(lines).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdshort_gate::{Digest, FunctionType, WitType};
    use serde_json::json;

    fn action(text: &str) -> Action {
        let ty = FunctionType { params: vec![("text".into(), WitType::String)], result: None };
        Action::new(Digest::of(b""), "a:b/c#d".parse().unwrap(), &ty, &json!({ "text": text })).unwrap()
    }

    #[test]
    fn what_cannot_be_shown_whole_is_refused() {
        let limit = DisplayLimit { bytes_max: 100, lines_max: 4 };
        assert_eq!(limit.admits(&action("short")), Ok(()));
        assert_eq!(limit.admits(&action("1\n2\n3\n4")), Ok(()));
        assert!(limit.admits(&action("1\n2\n3\n4\n5")).unwrap_err().contains("5 lines"));
        assert!(limit.admits(&action(&"x".repeat(100))).unwrap_err().contains("at most 100 bytes"));
    }

    /// Policies can clear calls by the confidence that an agent claims, so it must be valid. A member of this name in a
    /// third-party function is not checked.
    #[test]
    fn a_confidence_is_from_nothing_to_certain() {
        let confidence = WitType::Option(Box::new(WitType::F64));
        let rationale = WitType::Record(vec![("confidence".into(), confidence)]);
        let ty = FunctionType { params: vec![("rationale".into(), rationale)], result: None };
        let claims = |capability: &str, claimed: &Value| {
            let arguments = json!({ "rationale": { "confidence": claimed } });
            let action = Action::new(Digest::of(b""), capability.parse().unwrap(), &ty, &arguments).unwrap();
            believable(&action)
        };
        let ours = "holdshort:agent/email@0.1.0#send-email";
        for claimed in [json!(null), json!(0), json!(-0.0), json!(1e-300), json!(0.5), json!(1), json!(1.0)] {
            assert_eq!(claims(ours, &claimed), Ok(()), "{claimed}");
        }
        for claimed in
            [json!(1.000_000_1), json!(2.0), json!(-1e-9), json!(-1), json!(70), json!(1e300), json!(f64::MAX)]
        {
            let why = claims(ours, &claimed).unwrap_err();
            assert!(why.contains("from 0 to 1"), "{why}");
            assert_eq!(claims("acme:crm/contacts@1.0.0#delete", &claimed), Ok(()));
        }
    }
}
