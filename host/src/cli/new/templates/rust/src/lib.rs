//! Asks a person what to write, and sends the answer by email.

wit_bindgen::generate!({ world: "program", path: "wit", generate_all });

use holdshort::agent::email::{self, Message};
use holdshort::agent::guidance::{self, Question};
use holdshort::agent::log::{self, Level};
use holdshort::agent::types::{Rationale, Refusal};

struct Agent;
export!(Agent);

impl Guest for Agent {
    /// The task is the address to write to.
    fn run(task: String) -> Result<String, String> {
        let to = task.trim();
        log::log(Level::Info, &format!("the recipient is {to}"));

        let question = Question {
            text: format!("What shall I write to {to}?"),
            choices: vec![
                "The report is ready.".into(),
                "The report needs one more day.".into(),
            ],
        };
        let body = guidance::ask(&question, &why("The task names a recipient and no text."))
            .map_err(refused)?;

        // The call takes as long as the reviewers take. The host may stop the agent meanwhile, and later run the agent
        // again from its start with the recorded answers.
        let receipt = email::send_email(&message(to, body), &why("A person gave this text."))
            .map_err(refused)?;

        // A reviewer may have edited the message; the receipt has the message as it was sent.
        Ok(format!(
            "sent to {}: {}",
            receipt.sent.to.join(", "),
            receipt.sent.body
        ))
    }
}

fn message(to: &str, body: String) -> Message {
    Message {
        to: vec![to.into()],
        cc: vec![],
        bcc: vec![],
        subject: "The report".into(),
        body,
        in_reply_to: None,
        attachments: vec![],
    }
}

/// What a reviewer reads as the agent's own reasons.
fn why(summary: &str) -> Rationale {
    Rationale {
        summary: summary.into(),
        confidence: None,
        exhibits: vec![],
    }
}

fn refused(refusal: Refusal) -> String {
    match refusal {
        Refusal::Rejected(guidance) => format!("a reviewer rejected the call: {guidance}"),
        Refusal::Unresolved(reason) => {
            format!("the outcome is unknown, so do not send again: {reason}")
        }
        other => format!("the call was not done: {other:?}"),
    }
}
