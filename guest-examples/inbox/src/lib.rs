//! Answers mail: drafts a reply to each message in the workspace, and asks a person where it is unsure.
//!
//! Task: the folder of the messages, such as `inbox`; empty for the whole workspace. A message is a file `*.eml`, as mail programs save
//! them. Messages are answered in the order of their paths. One that cannot be read or answered does not stop the others, and what a
//! machine has written, or a list has sent on, is never answered (RFC 3834).

mod mail;

wit_bindgen::generate!({ world: "agent", path: "../../wit" });

use holdshort::agent::email::{self, Message};
use holdshort::agent::guidance::{self, Question};
use holdshort::agent::log::{self, Level};
use holdshort::agent::types::{ClaimedExhibit, Rationale, Refusal};
use holdshort::agent::workspace;
use mail::Mail;

/// Below this the agent asks before it writes to anybody.
const SURE: f32 = 0.7;
/// The two answers that are offered. A person may also write the reply themselves.
const SEND: &str = "Send the draft";
const SKIP: &str = "Do not answer";

/// What a message is about if it has one of the words, how sure that makes the agent, and what it would answer.
/// A language model would stand here. What matters is that it knows what it does not know. The first match counts: doubt comes first.
const TOPICS: &[(&[&str], f32, &str)] = &[
    (
        &["refund", "refunds", "money back"],
        0.4,
        "We are sorry that it did not work out. We will refund you within five days.",
    ),
    (&["legal", "lawyer", "lawyers", "court"], 0.2, "Thank you for your message. We have passed it on."),
    (&["invoice", "invoices", "receipt"], 0.8, "Your invoice is in your account under Billing, as a PDF."),
    (&["password", "log in", "login"], 0.9, "You can set a new password with the link on the sign-in page."),
    (&["thank", "thanks"], 0.9, "Thank you for the kind words. We have passed them on."),
];
/// The answer to what is about nothing known.
const UNKNOWN: (f32, &str) = (0.3, "Thank you for your message. We will look into it.");

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let folder = task.trim().trim_end_matches('/');
        let inside =
            |path: &str| folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let files = workspace::list_files()?;
        let (mut lines, mut sent, mut mails) = (Vec::new(), 0, 0);
        for file in files.iter().filter(|file| file.path.to_ascii_lowercase().ends_with(".eml") && inside(&file.path)) {
            mails += 1;
            // Most messages are text. The bytes of one in another coding are asked for, of which the host hands over fewer.
            let read = workspace::read_file(&file.path).map(String::into_bytes);
            let bytes = read.or_else(|_| workspace::read_bytes(&file.path));
            let outcome = match bytes.and_then(|bytes| answer(&file.path, &bytes)) {
                Ok(message_id) => {
                    sent += 1;
                    format!("answered with {message_id}")
                }
                Err(why) => {
                    log::log(Level::Warn, &format!("{}: {why}", file.path));
                    format!("not answered: {why}")
                }
            };
            lines.push(format!("{}: {outcome}", file.path));
        }
        Ok(format!("answered {sent} of {mails} messages\n{}", lines.join("\n")).trim_end().into())
    }
}

/// Answers one message; the id of the reply, or why there is none.
fn answer(path: &str, bytes: &[u8]) -> Result<String, String> {
    let mail = Mail::read(bytes)?;
    log::log(Level::Info, &format!("{path}: from {}: {}", mail.from, mail.subject));
    if let Some(why) = mail.automatic {
        return Err(why);
    }
    let topic = TOPICS.iter().find(|(words, ..)| words.iter().any(|word| mail.is_about(word)));
    let (confidence, draft) = topic.map_or(UNKNOWN, |(_, confidence, draft)| (*confidence, *draft));

    // The message is somebody else's words, and might be written to mislead. A reviewer sees it beside the reply, as a claim.
    let exhibit = ClaimedExhibit { title: format!("from {}", mail.from), text: mail.body.clone() };
    let summary = format!("A reply to a message from {}.", mail.from);
    let mut why = Rationale { summary, confidence: Some(confidence), exhibits: vec![exhibit] };
    let mut body = draft.to_owned();
    if confidence < SURE {
        let question = Question {
            text: format!("How shall I answer \"{}\" from {}? My draft:\n\n{draft}", mail.subject, mail.from),
            choices: vec![SEND.into(), SKIP.into()],
        };
        // A question holds short like any other consequential call, and comes back with what the person wrote.
        match guidance::ask(&question, &why) {
            Ok(choice) if choice == SEND => {}
            Ok(choice) if choice == SKIP => return Err("a person decided so".into()),
            Ok(words) => body = words,
            Err(refusal) => return Err(format!("asked a person: {}", explain(&refusal))),
        }
        why.summary.push_str(" A person told me what to answer.");
        why.confidence = None;
    }
    let reply = Message {
        to: vec![mail.from.clone()],
        cc: vec![],
        bcc: vec![],
        subject: mail.reply_subject(),
        body,
        in_reply_to: mail.message_id,
        attachments: vec![],
    };
    let receipt = email::send_email(&reply, &why);
    receipt.map(|receipt| receipt.message_id).map_err(|refusal| explain(&refusal))
}

/// Every way a consequential call can end without being done.
fn explain(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Rejected(guidance) => format!("a reviewer rejected it: {guidance}"),
        Refusal::Expired => "nobody decided in time".into(),
        Refusal::Cancelled => "it was cancelled".into(),
        Refusal::Forbidden(reason) => format!("not allowed: {reason}"),
        Refusal::Invalid(reason) => format!("it makes no sense: {reason}"),
        Refusal::Failed(reason) => format!("it was tried and failed: {reason}"),
        Refusal::Unresolved(reason) => format!("whether it happened is unknown: {reason}"),
    }
}
