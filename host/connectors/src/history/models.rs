//! What language models said in a run, for the calls that follow.
//!
//! **Invariant:** the figure that a call gets is the highest of the answers since the consequential call before it, or
//! that call's own if no model was asked since then: a question with an easy answer does not hide a doubtful one. If one
//! of these answers was not measured, there is no figure, and a policy that asks for it holds the call.

use holdshort_gate::{MODEL_UNCERTAINTY, WitType};
use serde_json::{Value, json};

use super::super::{Exhibit, Previewed, Sentence, Trusted, quote, say};

/// The type of the fact with the figure, which every consequential call can have.
pub fn model_uncertainty_type() -> WitType {
    WitType::Option(Box::new(WitType::F32))
}

/// A longer text is named by its size; the events of the run have it whole.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// A longer exchange is named by its number of messages.
const MESSAGES_MAX: usize = 50;

/// The answers of models.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ModelAnswers {
    /// The highest figure; `None` if an answer was not measured.
    highest: Option<f64>,
    /// Whether a consequential call was made after the last answer.
    is_used: bool,
    last: Option<Exchange>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq)]
struct Exchange {
    /// The messages after the model's turn before.
    asked: Vec<Value>,
    answer: Value,
}

impl ModelAnswers {
    /// Adds an answer.
    pub(super) fn add(&mut self, arguments: &Value, result: &Value) {
        let Some(answer) = result.get("ok") else { return };
        let figure = answer.get("uncertainty").and_then(Value::as_f64);
        self.highest = match (&self.last, self.is_used) {
            (None, _) | (Some(_), true) => figure,
            (Some(_), false) => self.highest.zip(figure).map(|(one, other)| one.max(other)),
        };
        self.is_used = false;
        let messages = arguments.pointer("/request/messages").and_then(Value::as_array);
        let messages = messages.map(Vec::as_slice).unwrap_or_default();
        let own = messages.iter().rposition(|message| message.get("assistant").is_some());
        let asked = messages.get(own.map_or(0, |own| own + 1)..).unwrap_or_default().to_vec();
        self.last = Some(Exchange { asked, answer: answer.clone() });
    }

    /// A consequential call was made.
    pub(super) fn used(&mut self) {
        self.is_used = true;
    }

    /// Adds the figure and the last exchange to a call.
    pub(super) fn add_to(&self, previewed: &mut Previewed) {
        let Some(Exchange { asked, answer }) = &self.last else { return };
        let mut text = match self.highest {
            Some(highest) => {
                previewed.fact(MODEL_UNCERTAINTY, json!(highest));
                say!("The host measured how unsure the model was, from 0 to 1: {}.\n", Trusted::number(highest))
            }
            None => say!("How unsure the model was is not known.\n"),
        };
        let listed = asked.len().saturating_sub(MESSAGES_MAX);
        text += say!("The agent sent it, since its turn before:\n");
        if listed > 0 {
            text += say!("  (the last {} of {} messages)\n", MESSAGES_MAX, asked.len());
        }
        asked.iter().skip(listed).for_each(|message| text += sent(message));
        text += say!("The model answered:\n");
        text += lines(answer.pointer("/turn/text"));
        for call in answer.pointer("/turn/calls").and_then(Value::as_array).into_iter().flatten() {
            let part = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default();
            text += say!("  It asks for the tool {} with:\n", quote(part("name")));
            text += lines(call.get("arguments"));
        }
        let model = quote(answer.get("model").and_then(Value::as_str).unwrap_or_default());
        previewed.exhibits.push(Exhibit::text(say!("the last words of the model {} before this call", model), text));
    }
}

/// A message of the agent's to the model.
fn sent(message: &Value) -> Sentence {
    let kind = message.as_object().and_then(|message| message.iter().next());
    match kind.map(|(kind, value)| (kind.as_str(), value)) {
        Some(("system", rules)) => say!("  rules:\n") + lines(Some(rules)),
        Some(("tool-result", result)) => say!("  the result of a tool:\n") + lines(result.get("text")),
        Some(("image", _)) => say!("  an image\n"),
        Some((_, text)) => say!("  text:\n") + lines(Some(text)),
        None => Sentence::default(),
    }
}

/// Somebody else's text, each line a quotation.
fn lines(text: Option<&Value>) -> Sentence {
    let text = text.and_then(Value::as_str).unwrap_or_default();
    if text.len() > TEXT_BYTES_MAX {
        return say!("    (a text of {} bytes; the events of the run have it)\n", text.len());
    }
    text.lines().map(|line| say!("    {}\n", quote(line))).sum()
}
