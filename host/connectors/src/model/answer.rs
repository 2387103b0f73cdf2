//! The result of a question, and its JSON form.

use serde_json::{Map, Value, json};

use super::uncertainty::rounded;
use crate::secret::Mask;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) finish: Finish,
    pub(super) usage: Usage,
    pub(super) model: String,
    /// How unsure the model was, if it was measured.
    pub(super) uncertainty: Option<f64>,
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
    /// In millionths of the currency of the prices; `None` without prices.
    pub(super) cost: Option<u64>,
    /// Whether the server stated them.
    pub(super) is_stated: bool,
}

/// The prices of a million tokens, in millionths of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub input: u64,
    pub output: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Problem {
    Invalid(String),
    OverBudget(String),
    TooLong(String),
    Refused(String),
    Unavailable(String),
    Malformed(String, Usage),
}

/// The maximum size of a name or an id in an answer, and of a reason why it cannot be used.
const NAME_BYTES_MAX: usize = 200;
const REASON_CHARS_MAX: usize = 1_000;

impl Answer {
    /// The same answer if it is within the limits, without secrets. They are removed here too, because some texts of an
    /// answer were escaped twice, and some were in parts.
    pub(super) fn checked(self, mask: &Mask, bytes_max: u64) -> Result<Self, Problem> {
        let Self { text, calls, usage, model, .. } = &self;
        let names = calls.iter().flat_map(|call| [&call.id, &call.name]);
        if let Some(long) = names.map(String::len).find(|len| *len > NAME_BYTES_MAX) {
            return Err(Problem::Malformed(
                format!("the model asks for a tool by a name or an id of {long} bytes"),
                *usage,
            ));
        }
        if self.bytes() > bytes_max {
            let why = format!("the answer has more than {bytes_max} bytes; ask for less, or set `max-tokens`");
            return Err(Problem::Malformed(why, *usage));
        }
        let call = |ToolCall { id, name, arguments }: &ToolCall| {
            let text = Value::Object(arguments.clone()).to_string();
            let arguments = serde_json::from_str(&mask.text(&text));
            let why = "the arguments of a tool are no JSON object without the secret in them";
            let arguments = arguments.map_err(|_| Problem::Malformed(why.into(), *usage))?;
            Ok(ToolCall { id: mask.text(id), name: mask.text(name), arguments })
        };
        let calls = calls.iter().map(call).collect::<Result<_, _>>()?;
        let (text, model) = (mask.text(text), mask.text(model).chars().take(NAME_BYTES_MAX).collect());
        // A cut answer is not the one that the model would have given.
        let uncertainty = self.uncertainty.filter(|_| !matches!(self.finish, Finish::Length));
        Ok(Self { text, calls, model, uncertainty, ..self })
    }

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
            "uncertainty": self.uncertainty.map(rounded),
        } })
    }
}

impl ToolCall {
    fn arguments_text(&self) -> String {
        Value::Object(self.arguments.clone()).to_string()
    }
}

impl Usage {
    /// The same tokens with their cost, rounded up.
    pub(super) fn priced(self, price: Option<Price>) -> Self {
        let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let whole = |price: Price| part(self.input_tokens, price.input) + part(self.output_tokens, price.output);
        let cost = price.map(|price| whole(price).div_ceil(1_000_000));
        Self { cost: cost.map(|cost| u64::try_from(cost).unwrap_or(u64::MAX)), ..self }
    }

    /// The tokens of two answers.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost: None,
            is_stated: self.is_stated && other.is_stated,
        }
    }

    fn into_json(self) -> Value {
        let Self { input_tokens, output_tokens, cost, is_stated: _ } = self;
        json!({
            "input-tokens": input_tokens.to_string(),
            "output-tokens": output_tokens.to_string(),
            "cost": cost.map(|cost| cost.to_string()),
        })
    }
}

impl Problem {
    /// What the answer took, if there was one.
    pub(super) fn usage(&self) -> Option<Usage> {
        if let Self::Malformed(_, usage) = self { Some(*usage) } else { None }
    }

    /// The reason.
    pub(super) fn into_why(self) -> String {
        match self {
            Self::Invalid(why)
            | Self::OverBudget(why)
            | Self::TooLong(why)
            | Self::Refused(why)
            | Self::Unavailable(why)
            | Self::Malformed(why, _) => why,
        }
    }

    /// The same problem with the cost of what was answered.
    pub(super) fn priced(self, price: Option<Price>) -> Self {
        if let Self::Malformed(why, usage) = self { Self::Malformed(why, usage.priced(price)) } else { self }
    }

    /// The same problem without secrets. A long reason is cut.
    pub(super) fn checked(self, mask: &Mask) -> Self {
        let cut = |why: String| mask.text(&why).chars().take(REASON_CHARS_MAX).collect();
        match self {
            Self::Invalid(why) => Self::Invalid(why),
            Self::OverBudget(why) => Self::OverBudget(why),
            Self::TooLong(why) => Self::TooLong(why),
            Self::Refused(why) => Self::Refused(cut(why)),
            Self::Unavailable(why) => Self::Unavailable(cut(why)),
            Self::Malformed(why, usage) => Self::Malformed(cut(why), usage),
        }
    }

    pub(super) fn into_json(self) -> Value {
        json!({ "err": match self {
            Self::Invalid(why) => json!({ "invalid": why }),
            Self::OverBudget(why) => json!({ "over-budget": why }),
            Self::TooLong(why) => json!({ "too-long": why }),
            Self::Refused(why) => json!({ "refused": why }),
            Self::Unavailable(why) => json!({ "unavailable": why }),
            Self::Malformed(reason, usage) => {
                json!({ "malformed": { "reason": reason, "usage": usage.into_json() } })
            }
        } })
    }
}
