//! Questions to people. The answer is the result: there is nothing to look up beforehand and nothing to perform.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, Consequence, EffectClass};
use serde_json::Value;

use super::{CannotPreview, IfLost, Preview, Previewed};

/// How a lost outcome is settled.
pub const IF_LOST: IfLost =
    IfLost { class: EffectClass::Question, evidence: "a question has no effect, so there is nothing to look up" };

/// Puts `guidance.ask` to a reviewer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guidance;

/// How much of a question stands in a list.
const SUMMARY_CHARS_MAX: usize = 160;

impl Preview for Guidance {
    fn name(&self) -> &str {
        "guidance"
    }

    fn class(&self) -> EffectClass {
        IF_LOST.class
    }

    fn evidence(&self) -> &str {
        IF_LOST.evidence
    }

    fn preview<'a>(&'a self, _: &'a str, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        async move {
            let question = action.arguments().get("question").and_then(|question| question.get("text"));
            let text = question.and_then(Value::as_str).map(str::trim).unwrap_or_default();
            if text.is_empty() {
                return Err(CannotPreview::Impossible("the question is empty: say what you want to know".into()));
            }
            Ok(Previewed {
                summary: format!("asks: {}", first(text)),
                exhibits: Vec::new(),
                preconditions: Value::Null,
                facts: Value::Null,
                consequence: Consequence::Low,
            })
        }
        .boxed()
    }
}

/// The question's beginning, on one line; the whole of it is in the action that the reviewer sees.
fn first(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(SUMMARY_CHARS_MAX).collect();
    if short.len() < line.len() { short + " …" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdshort_gate::{Digest, FunctionType, WitType};
    use serde_json::json;

    fn ask(text: &str) -> Result<Previewed, CannotPreview> {
        let question = WitType::Record(vec![("text".into(), WitType::String)]);
        let ty = FunctionType { params: vec![("question".into(), question)], result: None };
        let arguments = json!({"question": {"text": text}});
        let capability = "holdshort:agent/guidance@0.1.0#ask".parse().unwrap();
        let action = Action::new(Digest::of(b""), capability, &ty, &arguments).unwrap();
        Guidance.preview("inbox", &action).now_or_never().unwrap()
    }

    #[test]
    fn a_question_is_one_line_in_a_list_and_never_empty() {
        assert_eq!(ask(" Which\n one? ").unwrap().summary, "asks: Which one?");
        assert!(ask(&"long ".repeat(100)).unwrap().summary.ends_with(" …"));
        assert!(matches!(ask(" \n"), Err(CannotPreview::Impossible(why)) if why.contains("empty")));
    }
}
