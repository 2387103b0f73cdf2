//! Questions to reviewers. The reviewer's answer is the result of the call, so there is no evidence to collect and no
//! effect to perform.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, AgentName, Consequence, EffectClass};
use serde_json::Value;

use super::descriptor::{Class, DeclaredFacts, Descriptor, Effect};
use super::{CannotPreview, Preview, Previewed, quote_start, say};

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "",
    interface: Some("holdshort:agent/guidance@0.1.0"),
    functions: &["ask"],
    class: Class::Consequential(EFFECT),
};

const EFFECT: Effect = Effect {
    connector: "guidance",
    class: EffectClass::Question,
    evidence: "a question has no effect, so there is nothing to look up",
    facts: DeclaredFacts::Fixed(&[]),
    preconditions: &[],
};

/// Previews `guidance.ask`, a question to a reviewer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guidance;

/// A list shows at most this many characters of a question. The reviewer sees the whole question in
/// the action.
const SUMMARY_CHARS_MAX: usize = 160;

impl Preview for Guidance {
    fn effect(&self) -> Effect {
        EFFECT
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        async move {
            let question = action.arguments().get("question").and_then(|question| question.get("text"));
            let text = question.and_then(Value::as_str).map(str::trim).unwrap_or_default();
            if text.is_empty() {
                return Err(CannotPreview::Impossible(say!("the question is empty: write what you want to know")));
            }
            Ok(Previewed {
                summary: say!("asks: {}", quote_start(text, SUMMARY_CHARS_MAX)),
                exhibits: Vec::new(),
                preconditions: Value::Null,
                facts: Value::Null,
                consequence: Consequence::Low,
            })
        }
        .boxed()
    }
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
        Guidance.preview(&"inbox".into(), &action).now_or_never().unwrap()
    }

    #[test]
    fn a_question_is_one_line_in_a_list_and_never_empty() {
        assert_eq!(ask(" Which\n one? ").unwrap().summary.as_str(), r#"asks: "Which\n one?""#);
        assert!(ask(&"long ".repeat(100)).unwrap().summary.as_str().ends_with("\" and 339 more characters"));
        assert!(matches!(ask(" \n"), Err(CannotPreview::Impossible(why)) if why.contains("empty")));
    }

    #[test]
    fn a_question_never_goes_on_with_the_hosts_words() {
        use crate::exhibit::tests::{host_words, words};
        for words in words() {
            if let Ok(previewed) = ask(&format!("a{words}")) {
                let [host] = host_words(&previewed).try_into().unwrap();
                assert!(
                    host == "asks: " || host.starts_with("asks:  and ") && host.ends_with(" more characters"),
                    "{host}"
                );
            }
        }
    }
}
