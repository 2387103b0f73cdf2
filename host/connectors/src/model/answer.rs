//! The result of a question, and its JSON form.

use serde_json::{Map, Value, json};

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) finish: Finish,
    pub(super) usage: Usage,
    pub(super) model: String,
}

/// A tool that the model asks for.
#[derive(Debug)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Finish {
    Stop,
    Length,
    Calls,
    Refused,
}

/// The tokens of an answer, as the server counts them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Problem {
    Invalid(String),
    TooLong(String),
    Refused(String),
    Unavailable(String),
    Malformed(String, Usage),
}

impl Answer {
    /// The bytes that the agent gets.
    pub(super) fn bytes(&self) -> u64 {
        let calls = self.calls.iter().map(|call| call.id.len() + call.name.len() + call.arguments_text().len());
        (self.text.len() + calls.sum::<usize>()) as u64
    }

    pub(super) fn into_json(self) -> Value {
        let call = |call: &ToolCall| json!({ "id": call.id, "name": call.name, "arguments": call.arguments_text() });
        let calls: Vec<Value> = self.calls.iter().map(call).collect();
        let finish = match self.finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Calls => "calls",
            Finish::Refused => "refused",
        };
        json!({ "ok": {
            "turn": { "text": self.text, "calls": calls },
            "finish": finish,
            "usage": self.usage.into_json(),
            "model": self.model,
            "uncertainty": null,
        } })
    }
}

impl ToolCall {
    fn arguments_text(&self) -> String {
        Value::Object(self.arguments.clone()).to_string()
    }
}

impl Usage {
    fn into_json(self) -> Value {
        let Self { input_tokens, output_tokens } = self;
        json!({ "input-tokens": input_tokens.to_string(), "output-tokens": output_tokens.to_string(), "cost": null })
    }
}

impl Problem {
    pub(super) fn into_json(self) -> Value {
        json!({ "err": match self {
            Self::Invalid(why) => json!({ "invalid": why }),
            Self::TooLong(why) => json!({ "too-long": why }),
            Self::Refused(why) => json!({ "refused": why }),
            Self::Unavailable(why) => json!({ "unavailable": why }),
            Self::Malformed(reason, usage) => {
                json!({ "malformed": { "reason": reason, "usage": usage.into_json() } })
            }
        } })
    }
}
