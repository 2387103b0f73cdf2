//! The form of OpenAI's chat completions, which Gemini, Ollama, vLLM, llama.cpp and many others serve too.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Model;
use super::answer::{Answer, Finish, Problem, ToolCall, Usage};
use super::request::{Call, Message, Request, Tool, object, temperature, tools};
use super::send::Reply;
use super::uncertainty::{Token, Uncertainty, of_tokens};

/// OpenAI's own server refuses the older name `max_tokens` for its newer models; other servers know only the older one.
const OPENAI: &str = "https://api.openai.com/";

/// The body of a request.
pub(super) fn body(model: &Model, request: &Request) -> Value {
    let messages: Vec<Value> = request.messages.iter().map(message).collect();
    let schema = request
        .json_schema
        .as_ref()
        .map(|schema| json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema.0 } }));
    let tokens = if model.url.starts_with(OPENAI) { "max_completion_tokens" } else { "max_tokens" };
    object([
        ("model", Some(model.model.as_str().into())),
        ("messages", Some(messages.into())),
        ("tools", tools(request, tool)),
        ("response_format", schema),
        (tokens, request.max_tokens.map(Value::from)),
        ("logprobs", Some(true.into()).filter(|_| model.uncertainty == Uncertainty::Logprobs)),
        ("temperature", temperature(model, request)),
    ])
}

fn message(message: &Message) -> Value {
    match message {
        Message::System(text) => json!({ "role": "system", "content": text }),
        Message::User(text) => json!({ "role": "user", "content": text }),
        Message::Image(image) => {
            let url = format!("data:{};base64,{}", image.media_type, image.base64());
            json!({ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": url } }] })
        }
        Message::Assistant(turn) if turn.calls.is_empty() => json!({ "role": "assistant", "content": turn.text }),
        Message::Assistant(turn) => {
            let call = |Call { id, name, arguments }: &Call| {
                let arguments = Value::Object(arguments.0.clone()).to_string();
                json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
            };
            let calls: Vec<Value> = turn.calls.iter().map(call).collect();
            json!({ "role": "assistant", "content": turn.text, "tool_calls": calls })
        }
        Message::ToolResult(result) => json!({ "role": "tool", "tool_call_id": result.id, "content": result.text }),
    }
}

fn tool(Tool { name, description, parameters }: &Tool) -> Value {
    json!({ "type": "function", "function": { "name": name, "description": description, "parameters": parameters.0 } })
}

#[derive(Deserialize)]
struct Completion {
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Tokens>,
}

#[derive(Clone, Copy, Deserialize)]
struct Tokens {
    prompt_tokens: u64,
    /// Absent where nothing was written.
    completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Logprobs {
    content: Option<Vec<LogprobToken>>,
}

#[derive(Deserialize)]
struct LogprobToken {
    token: String,
    logprob: f64,
}

#[derive(Deserialize)]
struct Said {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<Asked>>,
}

/// Some servers give the text in parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: Option<Value>,
}

/// Reads an answer.
pub(super) fn answer(reply: &Reply) -> Result<Answer, Problem> {
    let Completion { model, choices, usage } = reply.json()?;
    let usage = usage.map_or_else(Usage::default, |tokens| Usage {
        input_tokens: tokens.prompt_tokens,
        output_tokens: tokens.completion_tokens.unwrap_or(0),
        cost: None,
        is_stated: true,
    });
    let choice = choices.into_iter().next();
    let Choice { message, finish_reason, logprobs } =
        choice.ok_or_else(|| Problem::Malformed("the answer has no choice".into(), usage))?;
    let text = match message.content {
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => parts.into_iter().filter_map(|part| part.text).collect(),
        None => message.refusal.clone().unwrap_or_default(),
    };
    let asked = message.tool_calls.unwrap_or_default();
    let written = |Asked { function, .. }: &Asked| {
        (function.name.clone(), function.arguments.as_ref().map(text_of).unwrap_or_default())
    };
    let written: Vec<(String, String)> = asked.iter().map(written).collect();
    let tokens = logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default().into_iter();
    let tokens: Vec<Token> = tokens.map(|token| Token { text: token.token, logprob: token.logprob }).collect();
    let asked = asked.into_iter().enumerate();
    let calls: Vec<ToolCall> = asked.map(|(at, asked)| tool_call(at, asked, usage)).collect::<Result<_, _>>()?;
    let finish = match finish_reason.as_deref() {
        _ if message.refusal.is_some() => Finish::Refused,
        Some("content_filter") => Finish::Refused,
        Some("length") => Finish::Length,
        // Some servers say `stop` after a tool call too.
        _ if !calls.is_empty() => Finish::Calls,
        _ => Finish::Stop,
    };
    Ok(Answer {
        text,
        calls,
        finish,
        usage,
        model: model.unwrap_or_default(),
        uncertainty: of_tokens(&tokens, &written),
    })
}

/// Arguments as the server wrote them.
fn text_of(arguments: &Value) -> String {
    arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned)
}

/// Some servers leave out the id, and some the arguments of a tool without parameters.
fn tool_call(at: usize, Asked { id, function }: Asked, usage: Usage) -> Result<ToolCall, Problem> {
    let Function { name, arguments } = function;
    let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call-{at}"));
    let parsed = match arguments {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(arguments)) => Ok(arguments),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Some(other) => Err(format!("they are {other}")),
    };
    match parsed {
        Ok(arguments) => Ok(ToolCall { id, name, arguments }),
        Err(why) => {
            let why = format!("the model asks for the tool `{name}` with arguments that are no JSON object: {why}");
            Err(Problem::Malformed(why, usage))
        }
    }
}
