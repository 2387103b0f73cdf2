//! What language models said in a run, for the calls that follow.
//!
//! **Invariant:** the figure that a call gets is the highest of the answers since the last call that a person approved:
//! neither an easy question nor a call about which nobody decided hides a doubtful answer. If one of these answers was
//! not measured, there is no figure, and a policy that asks for it holds the call.
//!
//! The agent chooses what it asks and what it does with the answer. So the figure helps against a model that is unsure,
//! and not against an agent that hides it.

use holdshort_gate::{MODEL_UNCERTAINTY, WitType};
use serde_json::{Value, json};

use super::super::{Exhibit, Previewed, Sentence, Trusted, quote, quote_start, say};

/// The type of the fact with the figure, which every consequential call can have.
pub fn model_uncertainty_type() -> WitType {
    WitType::Option(Box::new(WitType::F32))
}

/// A longer text is named by its size; the events of the run have it whole.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// A longer exchange is named by its number of messages.
const MESSAGES_MAX: usize = 50;

/// The name of a model is shown up to this length.
const MODEL_CHARS_MAX: usize = 100;

/// The answers of models.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ModelAnswers {
    /// The highest figure; `None` if an answer was not measured.
    highest: Option<f64>,
    /// Whether a person approved a call after the last answer.
    is_settled: bool,
    last: Option<Exchange>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq)]
struct Exchange {
    /// The messages of the agent, without those before the last turn that the host itself got from the model.
    asked: Vec<Value>,
    /// How many messages before that turn are left out.
    left_out: usize,
    tools: Vec<Value>,
    schema: Option<Value>,
    /// The answer, or the reason why the host could not use it.
    answer: Result<Value, String>,
}

impl ModelAnswers {
    /// Adds an answer.
    pub(super) fn add(&mut self, arguments: &Value, result: &Value) {
        let malformed = || result.pointer("/err/malformed/reason").and_then(Value::as_str).map(str::to_owned);
        let answer = match (result.get("ok"), malformed()) {
            (Some(answer), _) => Ok(answer.clone()),
            (None, Some(why)) => Err(why),
            (None, None) => return,
        };
        let figure = answer.as_ref().ok().and_then(|answer| answer.get("uncertainty")?.as_f64());
        self.highest = match (&self.last, self.is_settled) {
            (None, _) | (Some(_), true) => figure,
            (Some(_), false) => self.highest.zip(figure).map(|(one, other)| one.max(other)),
        };
        self.is_settled = false;
        let list = |name: &str| arguments.pointer(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let messages = list("/request/messages");
        // Only a turn that the host got: the agent could have written another one itself.
        let turn = self.last.as_ref().and_then(|last| last.answer.as_ref().ok()?.get("turn"));
        let own = turn.and_then(|turn| messages.iter().rposition(|message| message.get("assistant") == Some(turn)));
        let (before, asked) = messages.split_at_checked(own.map_or(0, |own| own + 1)).unwrap_or_default();
        let rules = before.iter().filter(|message| message.get("system").is_some());
        let asked: Vec<Value> = rules.chain(asked).cloned().collect();
        let left_out = messages.len() - asked.len();
        let schema = arguments.pointer("/request/json-schema").filter(|schema| !schema.is_null()).cloned();
        self.last = Some(Exchange { asked, left_out, tools: list("/request/tools"), schema, answer });
    }

    /// A person approved a call.
    pub(super) fn settled(&mut self) {
        self.is_settled = true;
    }

    /// Adds the figure and the last exchange to a call.
    pub(super) fn add_to(&self, previewed: &mut Previewed) {
        let Some(last) = &self.last else { return };
        let mut text = match self.highest {
            Some(highest) => {
                previewed.fact(MODEL_UNCERTAINTY, json!(highest));
                say!(
                    "How unsure the model was with the questions that the agent asked, from 0 to 1, as the host measured it: {}.\n",
                    Trusted::number(highest)
                )
            }
            None => say!("How unsure the model was is not known.\n"),
        };
        text += last.sent();
        text += last.answered();
        let model = last.answer.as_ref().ok().and_then(|answer| answer.get("model")?.as_str()).unwrap_or_default();
        let title = say!("the last words of the model {} before this call", quote_start(model, MODEL_CHARS_MAX));
        previewed.exhibits.push(Exhibit::text(title, text));
    }
}

impl Exchange {
    /// What the agent sent.
    fn sent(&self) -> Sentence {
        let Self { asked, left_out, tools, schema, .. } = self;
        let mut text = say!("The agent sent:\n");
        if *left_out > 0 {
            text += say!(
                "  ({} messages up to the model's turn before, and this turn; the events of the run have them)\n",
                *left_out
            );
        }
        let skipped = asked.len().saturating_sub(MESSAGES_MAX);
        if skipped > 0 {
            text += say!("  (the last {} of {} messages)\n", MESSAGES_MAX, asked.len());
        }
        asked.iter().skip(skipped).for_each(|message| text += sent(message));
        for tool in tools.iter().take(MESSAGES_MAX) {
            let part = |name: &str| tool.get(name).and_then(Value::as_str).unwrap_or_default();
            text += say!("  a tool that the model may ask for, {}:\n", quote(part("name")));
            text += lines(tool.get("description"));
        }
        if tools.len() > MESSAGES_MAX {
            text += say!("  ({} more tools)\n", tools.len() - MESSAGES_MAX);
        }
        if let Some(schema) = schema {
            text += say!("  the form that the answer must have:\n") + lines(Some(schema));
        }
        text
    }

    /// What the model answered.
    fn answered(&self) -> Sentence {
        let answer = match &self.answer {
            Ok(answer) => answer,
            Err(why) => return say!("The host could not use the answer of the model:\n    {}\n", quote(why)),
        };
        let mut text = say!("The model answered:\n") + lines(answer.pointer("/turn/text"));
        for call in answer.pointer("/turn/calls").and_then(Value::as_array).into_iter().flatten() {
            let part = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default();
            text += say!("  It asks for the tool {} with:\n", quote(part("name")));
            text += lines(call.get("arguments"));
        }
        text
    }
}

/// A message of the agent's to the model.
fn sent(message: &Value) -> Sentence {
    let kind = message.as_object().and_then(|message| message.iter().next());
    match kind.map(|(kind, value)| (kind.as_str(), value)) {
        Some(("system", rules)) => say!("  rules:\n") + lines(Some(rules)),
        Some(("tool-result", result)) => say!("  the result of a tool:\n") + lines(result.get("text")),
        Some(("image", image)) => {
            let file = |name: &str| image.pointer(&format!("/source/file/{name}")).and_then(Value::as_str);
            match file("path").zip(file("sha256")) {
                Some((path, sha256)) => say!("  the image {} with the digest {}\n", quote(path), quote(sha256)),
                None => say!("  an image within the message; the events of the run have it\n"),
            }
        }
        Some(("assistant", turn)) => {
            let calls = turn.get("calls").and_then(Value::as_array).filter(|calls| !calls.is_empty());
            let calls = calls.map(|calls| lines(Some(&Value::from(Value::Array(calls.clone()).to_string()))));
            say!("  a turn of the model as the agent repeats it; the host does not know it as the turn before:\n")
                + lines(turn.get("text"))
                + calls.unwrap_or_default()
        }
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
