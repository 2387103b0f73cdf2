//! Answers mail: drafts a reply to each message in the workspace, and asks a person where it is unsure.
//!
//! Task: the folder of the messages, such as `inbox`; empty for the whole workspace. A message is a file `*.eml`, as mail programs save
//! them. Messages are answered in the order of their paths. One that cannot be read or answered does not stop the others, and what a
//! machine has written, or a list has sent on, is never answered (RFC 3834).

wit_bindgen::generate!({ world: "agent", path: "../../wit" });

use holdshort::agent::log::{Level, log};
use holdshort::agent::types::{ClaimedExhibit, Rationale, Refusal};
use holdshort::agent::{email, guidance, workspace};
use mail_parser::{Address, Message, MessageParser};

/// Below this the agent asks before it writes to anybody.
const SURE: f32 = 0.7;
/// The two answers that are offered. A person may also write the reply themselves.
const SEND: &str = "Send the draft";
const SKIP: &str = "Do not answer";
/// Lines and characters of a message that a reviewer is shown: the host takes no call with more than 400 lines or 64 KiB.
const SHOWN_MAX: (usize, usize) = (200, 10_000);

/// What a message is about if it has one of the words, how sure that makes the agent, and what it would answer.
/// A language model would stand here. What matters is that it knows what it does not know. The first match counts: doubt comes first.
const TOPICS: &[(&[&str], f32, &str)] = &[
    (&["refund", "refunds", "money back"], 0.4, "We are sorry to hear that. We will refund you within five days."),
    (&["legal", "lawyer", "lawyers", "court"], 0.2, "Thank you for your message. We have passed it on."),
    (&["invoice", "invoices", "receipt"], 0.8, "Your invoice is in your account under Billing, as a PDF."),
    (&["password", "log in", "login"], 0.9, "You can set a new password with the link on the sign-in page."),
    (&["thank", "thanks"], 0.9, "Thank you for the kind words. We have passed them on."),
];
/// The answer to what is about nothing known.
const UNKNOWN: (f32, &str) = (0.3, "Thank you for your message. We will look into it.");

/// Parts of the addresses of machines, whose mail nobody reads, and of those of lists. An address begins with `<`.
const MACHINES: [&str; 6] = ["<mailer-daemon@", "<postmaster@", "no-reply@", "noreply@", "not-reply@", "notreply@"];
const LISTS: [&str; 4] = ["<bounce", "-bounces", "<owner-", "-request@"];

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let (mut lines, mut sent) = (Vec::new(), 0);
        for workspace::File { path, .. } in workspace::list_files()? {
            if !path.to_ascii_lowercase().ends_with(".eml") || !std::path::Path::new(&path).starts_with(task.trim()) {
                continue;
            }
            // Most messages are text. The bytes of one in another coding are asked for, of which the host hands over fewer.
            let read = workspace::read_file(&path).map(String::into_bytes).or_else(|_| workspace::read_bytes(&path));
            let outcome = read.and_then(|bytes| answer(&path, &bytes));
            let outcome = outcome.inspect_err(|why| log(Level::Warn, &format!("{path}: {why}")));
            sent += usize::from(outcome.is_ok());
            let told = outcome.map_or_else(|why| format!("not answered: {why}"), |id| format!("answered with {id}"));
            lines.push(format!("{path}: {told}"));
        }
        Ok(format!("answered {sent} of {} messages\n{}", lines.len(), lines.join("\n")).trim_end().into())
    }
}

/// Answers one message; the id of the reply, or why there is none.
fn answer(path: &str, bytes: &[u8]) -> Result<String, String> {
    let mail = MessageParser::default().parse(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let mail = mail.ok_or("it is not a message")?;
    // Whom to answer: `Reply-To`, else `From`.
    let senders: Vec<_> = [mail.reply_to(), mail.from()].into_iter().filter_map(first).collect();
    let to = senders.first().ok_or("it names no sender")?;
    // The subject goes into a header of the reply, where the host takes no line breaks and nothing that is still coded.
    let subject: String = mail.subject().unwrap_or_default().replace(char::is_control, " ").chars().take(200).collect();
    let subject = if subject.contains("=?") { "Your message" } else { subject.trim() };
    log(Level::Info, &format!("{path}: from {to}: {subject}"));
    if let Some(sign) = automatic(&mail, &senders) {
        return Err(format!("a machine or a list has sent it: {sign}"));
    }

    // What it quotes of an earlier message is not what it is about.
    let text = mail.body_text(0).unwrap_or_default();
    let lines = text.lines().take_while(|line| !line.contains("-Original Message-"));
    let own = lines.filter(|line| !line.starts_with('>')).take(SHOWN_MAX.0).collect::<Vec<_>>().join("\n");
    // Whole words count: "courtesy" is not about a court.
    let said = format!(" {subject} {own} ").to_lowercase().replace(|c: char| !c.is_alphanumeric(), " ");
    let topic = TOPICS.iter().find(|(words, ..)| words.iter().any(|word| said.contains(&format!(" {word} "))));
    let (confidence, draft) = topic.map_or(UNKNOWN, |(_, confidence, draft)| (*confidence, *draft));

    // The message is somebody else's words, and might be written to mislead. A reviewer sees it beside the reply, as a claim.
    let exhibit = ClaimedExhibit { title: format!("from {to}"), text: own.trim().chars().take(SHOWN_MAX.1).collect() };
    let summary = format!("A reply to a message from {to}.");
    let mut why = Rationale { summary, confidence: Some(confidence), exhibits: vec![exhibit] };
    let mut body = draft.to_owned();
    if confidence < SURE {
        let text = format!("How shall I answer \"{subject}\" from {to}? My draft:\n\n{draft}");
        // A question holds short like any other consequential call, and comes back with what the person wrote.
        match guidance::ask(&guidance::Question { text, choices: vec![SEND.into(), SKIP.into()] }, &why) {
            Ok(choice) if choice == SEND => {}
            Ok(choice) if choice == SKIP => return Err("a person decided so".into()),
            Ok(words) => body = words,
            Err(refusal) => return Err(format!("asked a person: {}", explain(refusal))),
        }
        why.summary.push_str(" A person told me what to answer.");
        why.confidence = None;
    }
    let subject = if subject.to_lowercase().starts_with("re:") { subject.into() } else { format!("Re: {subject}") };
    // As the host takes one. A reply to a message without it starts a new thread.
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>".contains(&byte);
    let usable = |id: &&str| id.contains('@') && id.len() < 240 && id.bytes().all(plain);
    let in_reply_to = mail.message_id().filter(usable).map(|id| format!("<{id}>"));
    let to = vec![to.clone()];
    let reply = email::Message { to, cc: vec![], bcc: vec![], subject, body, in_reply_to, attachments: vec![] };
    email::send_email(&reply, &why).map(|receipt| receipt.message_id).map_err(explain)
}

/// The first address of a field, if it has one.
fn first(field: Option<&Address>) -> Option<String> {
    Some(field?.first()?.address()?.trim().to_owned()).filter(|address| address.contains('@'))
}

/// The sign by which a message is a machine's, a list's or the agent's own: two machines that answer each other do so for ever.
fn automatic(mail: &Message, senders: &[String]) -> Option<String> {
    let senders: Vec<_> = senders.iter().map(|from| format!("<{}>", from.to_lowercase())).collect();
    let unread = |from: &String| MACHINES.iter().chain(&LISTS).any(|part| from.contains(part));
    let sign = mail.headers_raw().find(|(name, value)| {
        let (name, value) = (name.to_lowercase(), value.trim().to_lowercase());
        match name.as_str() {
            "auto-submitted" => value.split([';', ' ', '(']).next() != Some("no"),
            "precedence" => ["bulk", "list", "junk", "auto_reply"].contains(&value.as_str()),
            "return-path" => value == "<>",
            "content-type" => value.starts_with("multipart/report"),
            "x-auto-response-suppress" => ["all", "oof", "autoreply"].iter().any(|word| value.contains(word)),
            "from" | "reply-to" => senders.iter().any(unread),
            // Who wrote it also got it.
            "to" | "delivered-to" => senders.iter().any(|from| value.ends_with(from) || format!("<{value}>") == *from),
            _ => ["list-", "x-autore", "x-loop"].iter().any(|start| name.starts_with(start)),
        }
    });
    sign.map(|(name, value)| format!("{name}: {}", value.trim()))
}

/// Every way a consequential call can end without being done.
fn explain(refusal: Refusal) -> String {
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
