//! What the agent reads of a message.

use mail_parser::{Address, Message, MessageParser, MimeHeaders};

/// Lines and characters of a message that a reviewer is shown: the host takes no call with more than 400 lines or 64 KiB.
const SHOWN_MAX: (usize, usize) = (200, 10_000);
/// The beginnings of addresses that nobody reads.
const UNREAD: [&str; 8] =
    ["mailer-daemon@", "no-reply@", "noreply@", "do-not-reply@", "donotreply@", "bounce", "owner-", "postmaster@"];

pub struct Mail {
    /// Whom to answer: `Reply-To`, else `From`.
    pub from: String,
    pub subject: String,
    /// As the host takes one. A reply to a message without it starts a new thread.
    pub message_id: Option<String>,
    /// Without what it quotes of an earlier message.
    pub body: String,
    /// Why it must not be answered: two machines that answer each other do so for ever.
    pub automatic: Option<String>,
}

impl Mail {
    /// Reads a message with everything that mail programs do to one: a mark for UTF-8, coded headers, several parts, base64.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mail = MessageParser::default().parse(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        let mail = mail.ok_or("it is not a message")?;
        let first =
            |field: Option<&Address>| Some(field?.first()?.address()?.trim().to_owned()).filter(|a| a.contains('@'));
        let (sender, reply_to) = (first(mail.from()), first(mail.reply_to()));
        let from = reply_to.or(sender.clone()).ok_or("it names no sender")?;
        // The subject goes into a header of the reply, where the host takes no line breaks and nothing that is still coded.
        let subject: String =
            mail.subject().unwrap_or_default().replace(char::is_control, " ").chars().take(200).collect();
        let subject = if subject.contains("=?") { "Your message".into() } else { subject.trim().to_owned() };
        let plain = |id: &&str| {
            id.contains('@') && id.len() < 240 && id.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b))
        };
        let message_id = mail.message_id().filter(plain).map(|id| format!("<{id}>"));
        let text = mail.body_text(0).unwrap_or_default();
        let own =
            text.lines().take_while(|line| !line.contains("-Original Message-")).filter(|line| !line.starts_with('>'));
        let body = own.take(SHOWN_MAX.0).collect::<Vec<_>>().join("\n").trim().chars().take(SHOWN_MAX.1).collect();
        let automatic = automatic(&mail, &[from.clone(), sender.unwrap_or_default()])
            .map(|sign| format!("a machine or a list has sent it: {sign}"));
        Ok(Self { from, subject, message_id, body, automatic })
    }

    /// Whether the words stand in the message as whole words: "courtesy" is not about a court.
    pub fn is_about(&self, words: &str) -> bool {
        let text = format!("{}\n{}", self.subject, self.body).to_lowercase();
        let text: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        format!(" {} ", text.join(" ")).contains(&format!(" {words} "))
    }

    pub fn reply_subject(&self) -> String {
        let is_reply = self.subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
        if is_reply { self.subject.clone() } else { format!("Re: {}", self.subject) }
    }
}

/// The sign by which a message is a bounce, an automatic answer, a list's, or the agent's own.
fn automatic(mail: &Message, senders: &[String; 2]) -> Option<String> {
    let senders = senders.each_ref().map(|address| address.to_lowercase());
    let senders = || senders.iter().filter(|address| !address.is_empty());
    for (name, value) in mail.headers_raw() {
        let (field, value) = (name.to_ascii_lowercase(), value.trim().to_ascii_lowercase());
        let found = match field.as_str() {
            "auto-submitted" => value.split([';', ' ', '(']).next() != Some("no"),
            "precedence" => ["bulk", "list", "junk", "auto_reply"].contains(&value.as_str()),
            "return-path" => value == "<>",
            "x-auto-response-suppress" => ["all", "oof", "autoreply"].iter().any(|word| value.contains(word)),
            "x-loop" | "x-autoreply" | "x-autorespond" | "x-autoresponse" => true,
            // The agent's own: who wrote it also got it.
            "to" | "delivered-to" => senders().any(|from| value == *from || value.ends_with(&format!("<{from}>"))),
            other => other.starts_with("list-"),
        };
        if found {
            return Some(format!("{name}: {value}"));
        }
    }
    let report = mail.content_type().is_some_and(|content| content.subtype() == Some("report"));
    let list = |from: &String| from.contains("-request@") || from.contains("-bounces");
    let unread = senders().find(|from| UNREAD.iter().any(|start| from.starts_with(start)) || list(from));
    if report { Some("it is a report".into()) } else { unread.map(|from| format!("it comes from {from}")) }
}
