//! An assistant: a language model writes emails and pays invoices, with people who decide.

wit_bindgen::generate!({ world: "agent", path: "../../wit" });

use holdshort::agent::log::{Level, log};
use holdshort::agent::model::{Message, Request, Tool, ToolCall, ToolResult, complete};
use holdshort::agent::types::{Money, Rationale, Refusal};
use holdshort::agent::{email, guidance, guidance::Question, payments};
use serde_json::{Value, json};

const INSTRUCTIONS: &str = "You are an assistant that writes emails and pays invoices. Ask a person if the task leaves \
    something open. People read each email and each payment before it leaves. If they reject one, follow their reason \
    or give up; never propose a rejected one unchanged.";
const TURNS_MAX: usize = 20;

struct Agent;
export!(Agent);

impl Guest for Agent {
    /// The result is the last text of the model. An `Err` ends the run as failed.
    fn run(task: String) -> Result<String, String> {
        let messages = vec![Message::System(INSTRUCTIONS.into()), Message::User(task)];
        let (model, json_schema, max_tokens, temperature) = (None, None, None, None);
        let mut request = Request { model, messages, tools: tools(), json_schema, max_tokens, temperature };
        for _ in 0..TURNS_MAX {
            let turn = complete(&request).map_err(|problem| format!("no answer of the model: {problem:?}"))?.turn;
            if turn.calls.is_empty() {
                return Ok(turn.text);
            }
            request.messages.push(Message::Assistant(turn.clone()));
            for call in turn.calls {
                let text = use_tool(&call).unwrap_or_else(|why| {
                    log(Level::Info, &format!("{}: {why}", call.name));
                    format!("not done: {why}")
                });
                request.messages.push(Message::ToolResult(ToolResult { id: call.id, text }));
            }
        }
        Err(format!("no result after {TURNS_MAX} answers of the model"))
    }
}

/// What the model may ask for.
fn tools() -> Vec<Tool> {
    let field = |kind: &str, description: &str| json!({ "type": kind, "description": description });
    let tool = |name: &str, description: &str, mut fields: Value| {
        fields["why"] = field("string", "Why this is needed, in one sentence for the people who decide");
        let required: Vec<_> = fields.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        let parameters = json!({ "type": "object", "properties": fields, "required": required }).to_string();
        Tool { name: name.into(), description: description.into(), parameters }
    };
    let email = json!({ "to": field("string", "The address of the recipient"),
        "subject": field("string", "The subject, one line"), "body": field("string", "The text") });
    let transfer = json!({ "payee": field("string", "Who is paid"), "currency": field("string", "Its ISO code"),
        "minor_units": field("integer", "The amount in the currency's smallest unit: 12050 for 120.50 EUR"),
        "reference": field("string", "What the payee is told, such as an invoice number") });
    vec![
        tool("send_email", "Sends one email. The answer is the email as it was sent.", email),
        tool("transfer_funds", "Pays from the account `operating`. The answer is the transfer as made.", transfer),
        tool("ask_person", "Asks a person.", json!({ "question": field("string", "The question") })),
    ]
}

/// Calls a tool with the arguments of the model, which the host has not compared with the schema.
fn use_tool(call: &ToolCall) -> Result<String, String> {
    let given: Value = serde_json::from_str(&call.arguments).map_err(|error| error.to_string())?;
    let text =
        |name: &str| given[name].as_str().map(str::to_owned).ok_or(format!("the argument `{name}` is no string"));
    let rationale = Rationale { summary: text("why")?, confidence: None, exhibits: vec![] };
    match call.name.as_str() {
        "send_email" => {
            let (to, subject, body) = (vec![text("to")?], text("subject")?, text("body")?);
            let (cc, bcc, in_reply_to, attachments) = (vec![], vec![], None, vec![]);
            let message = email::Message { to, cc, bcc, subject, body, in_reply_to, attachments };
            let sent = email::send_email(&message, &rationale).map_err(told)?.sent;
            Ok(format!("sent to {}: {}", sent.to.join(", "), sent.body))
        }
        "transfer_funds" => {
            let minor_units = given["minor_units"].as_u64().ok_or("the argument `minor_units` is no integer")?;
            let amount = Money { minor_units, currency: text("currency")? };
            let (source, payee, reference) = ("operating".into(), text("payee")?, text("reference")?);
            let transfer = payments::Transfer { source, payee, amount, reference };
            let payments::Transfer { payee, amount, .. } =
                payments::transfer_funds(&transfer, &rationale).map_err(told)?.transferred;
            Ok(format!("transferred {} {} to {payee}", amount.minor_units, amount.currency))
        }
        "ask_person" => guidance::ask(&Question { text: text("question")?, choices: vec![] }, &rationale).map_err(told),
        other => Err(format!("there is no tool `{other}`")),
    }
}

fn told(refusal: Refusal) -> String {
    match refusal {
        Refusal::Rejected(guidance) => format!("a reviewer rejected the call: {guidance}"),
        Refusal::Unresolved(reason) => format!("the outcome is unknown, so do not call again: {reason}"),
        other => format!("{other:?}"),
    }
}
