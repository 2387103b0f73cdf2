//! The form of Anthropic's messages.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Model;
use super::answer::{Answer, Finish, Problem, ToolCall, Usage};
use super::request::{Call, Message, Request, Tool, object, temperature, tools};
use super::send::Reply;

/// The version of the form, which each request names in a header.
pub(super) const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// The maximum number of tokens if the agent names none: this form requires one.
const MAX_TOKENS: u32 = 4_096;

/// The body of a request. Messages of one side that follow each other become one message, as this form has it.
pub(super) fn body(model: &Model, request: &Request) -> Result<Value, Problem> {
    let (mut system, mut messages) = (Vec::new(), Vec::<(&str, Vec<Value>)>::new());
    for message in &request.messages {
        let (role, blocks) = match message {
            Message::System(text) => {
                system.push(text.as_str());
                continue;
            }
            Message::Assistant(turn) => {
                let text = Some(&turn.text).filter(|text| !text.is_empty());
                let text = text.map(|text| json!({ "type": "text", "text": text }));
                ("assistant", text.into_iter().chain(turn.calls.iter().map(call)).collect())
            }
            Message::User(text) => ("user", vec![json!({ "type": "text", "text": text })]),
            Message::Image(image) => {
                let source = json!({ "type": "base64", "media_type": image.media_type, "data": image.base64() });
                ("user", vec![json!({ "type": "image", "source": source })])
            }
            Message::ToolResult(result) => {
                ("user", vec![json!({ "type": "tool_result", "tool_use_id": result.id, "content": result.text })])
            }
        };
        match messages.last_mut() {
            Some((last, content)) if *last == role => content.extend(blocks),
            _ => messages.push((role, blocks)),
        }
    }
    if messages.first().is_some_and(|(role, _)| *role != "user") {
        return Err(Problem::Invalid("the first message is the model's own: begin with `user`".into()));
    }
    let said: Vec<Value> =
        messages.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
    let system = Some(system.join("\n\n")).filter(|system| !system.is_empty());
    let schema = request.json_schema.as_ref();
    let schema = schema.map(|schema| json!({ "format": { "type": "json_schema", "schema": schema.0 } }));
    Ok(object([
        ("model", Some(model.model.as_str().into())),
        ("system", system.map(Value::from)),
        ("messages", Some(said.into())),
        ("max_tokens", Some(request.max_tokens.unwrap_or(MAX_TOKENS).into())),
        ("tools", tools(request, tool)),
        ("output_config", schema),
        ("temperature", temperature(model, request)),
    ]))
}

fn call(Call { id, name, arguments }: &Call) -> Value {
    json!({ "type": "tool_use", "id": id, "name": name, "input": arguments.0 })
}

fn tool(Tool { name, description, parameters }: &Tool) -> Value {
    json!({ "name": name, "description": description, "input_schema": parameters.0 })
}

#[derive(Deserialize)]
struct Completion {
    model: Option<String>,
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Option<Tokens>,
}

#[derive(Clone, Copy, Deserialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    /// Tokens of the request that a cache of the server took or gave; the first number leaves them out.
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Value,
    },
    /// The model's thoughts, and blocks of later versions.
    #[serde(other)]
    Other,
}

/// Reads an answer.
pub(super) fn answer(reply: &Reply) -> Result<Answer, Problem> {
    let Completion { model, content, stop_reason, usage } = reply.json()?;
    let usage = usage.map_or_else(Usage::default, |tokens| {
        let cached = [tokens.cache_creation_input_tokens, tokens.cache_read_input_tokens].into_iter().flatten();
        Usage {
            input_tokens: cached.fold(tokens.input_tokens, u64::saturating_add),
            output_tokens: tokens.output_tokens,
            cost: None,
            is_stated: true,
        }
    });
    let (mut text, mut calls) = (String::new(), Vec::new());
    for block in content {
        match block {
            Block::Text { text: part } => text += &part,
            Block::ToolUse { id, name, input } => calls.push(tool_call(id, name, input, usage)?),
            Block::Other => {}
        }
    }
    let finish = match stop_reason.as_deref() {
        Some("refusal") => Finish::Refused,
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        _ if !calls.is_empty() => Finish::Calls,
        _ => Finish::Stop,
    };
    Ok(Answer { text, calls, finish, usage, model: model.unwrap_or_default(), uncertainty: None })
}

fn tool_call(id: String, name: String, input: Value, usage: Usage) -> Result<ToolCall, Problem> {
    match input {
        Value::Object(arguments) => Ok(ToolCall { id, name, arguments }),
        Value::Null => Ok(ToolCall { id, name, arguments: Map::new() }),
        other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            let why = format!(
                "the model asks for the tool `{name}` with arguments that are no JSON object: they are {other}"
            );
            Err(Problem::Malformed(why, usage))
        }
    }
}
