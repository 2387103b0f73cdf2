//! A scripted model, for a demo without a network: a server on this machine that speaks as a model's server does, and
//! says what a script says. It understands nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// The name of the model.
pub(super) const NAME: &str = "scripted";

/// What the model says: a text, or a tool and its arguments.
#[derive(Debug, PartialEq)]
enum Turn {
    Text(String),
    Tool(&'static str, Value),
}

/// Serves the model on a free port of this machine until the program ends.
pub(super) fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, Router::new().route("/v1/chat/completions", post(complete))).await
        })
    };
    thread::Builder::new().name("scripted-model".into()).spawn(serve)?;
    Ok(address)
}

/// Answers a request in OpenAI's form.
async fn complete(body: String) -> Response {
    let Ok(request) = serde_json::from_str::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let messages = request.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (message, finish) = match next(messages) {
        Turn::Text(text) => (json!({ "role": "assistant", "content": text }), "stop"),
        Turn::Tool(name, arguments) => {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            let call = json!({ "id": format!("call-{}", messages.len()), "type": "function", "function": function });
            (json!({ "role": "assistant", "content": null, "tool_calls": [call] }), "tool_calls")
        }
    };
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish });
    let usage = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
    let answer = json!({ "model": NAME, "choices": [choice], "usage": usage });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

/// What the model says after these messages. It reads only how the last result of a tool begins, and the guidance of a
/// reviewer.
fn next(messages: &[Value]) -> Turn {
    let text =
        |message: &Value, place: &str| message.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(result) = messages.iter().rfind(|message| text(message, "/role") == "tool") else {
        let why = "The task asks for it.";
        return Turn::Tool(
            "transfer_funds",
            json!({ "payee": "ACME GmbH", "minor_units": 12_050, "currency": "EUR", "reference": "INV-7", "why": why }),
        );
    };
    let result = text(result, "/content");
    let tools: Vec<String> = messages.iter().map(|message| text(message, "/tool_calls/0/function/name")).collect();
    let emails = tools.iter().filter(|tool| *tool == "send_email").count();
    let email = |body: String| {
        let why = "The task asks to tell Ann.";
        Turn::Tool(
            "send_email",
            json!({ "to": "ann@example.org", "subject": "Invoice INV-7", "body": body, "why": why }),
        )
    };
    let guidance = result.strip_prefix("not done: a reviewer rejected the call: ");
    match (guidance, emails) {
        (None, 0) if result.starts_with("transferred ") => email(format!("Invoice INV-7 is paid: {result}.")),
        (Some(guidance), 0) => email(format!("Invoice INV-7 is not paid. From review: {guidance}")),
        (Some(guidance), 1) => email(format!("This is about invoice INV-7. From review: {guidance}")),
        (None, _) if result.starts_with("sent to ") => Turn::Text(format!("Done. The email was {result}")),
        _ => Turn::Text(format!("I stop here. The last result: {result}")),
    }
}
