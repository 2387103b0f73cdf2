//! Email from a typed action: checked, previewed, and written as RFC 5322 bytes, for Maildir and SMTP.
//!
//! An agent's text reaches header fields only after these checks: addresses are bare, their hosts are in ASCII (so
//! look-alikes show), and no field has a control character. Display names are refused, because a reviewer would read
//! the name and not the address.

mod address;
mod attached;
mod letter;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use holdshort_gate::{Action, Consequence, Digest, EffectKey};
use lettre::Address;
use lettre::message::Mailbox;
use serde::Deserialize;
use serde_json::{Value, json};

use super::key;
use super::{CannotPreview, Exhibit, Known, Previewed, Sentence, quote, quote_start, say};
use address::address;
use attached::{content_type, read_within};

pub(super) use letter::automatic;
pub use letter::{Bcc, Letter, NotComposed};

/// The maximum number of recipients, which every relay must accept (RFC 5321, 4.5.3.1.8).
pub const RECIPIENTS_MAX: usize = 100;
/// The maximum length of a subject: with the field's name it stays within a line's 998 characters (RFC 5322, 2.1.1).
pub const SUBJECT_CHARS_MAX: usize = 900;
/// The maximum size of all attachments before encoding, as common relays accept.
pub const ATTACHMENTS_BYTES_MAX: u64 = 10 << 20;
/// The number of recipients in the summary. The exhibit lists all.
const SUMMARY_RECIPIENTS_MAX: usize = 8;

/// The operator's settings for every message: sender, inside domains, and the agents' folders for attachments.
#[derive(Clone, Debug)]
pub struct Composer {
    /// The sender of every message; an agent cannot choose it.
    from: Mailbox,
    /// The address for answers, if it differs.
    reply_to: Option<Mailbox>,
    /// The inside domains in ASCII, as recipients' domains are compared.
    own_domains: BTreeSet<String>,
    /// The folders for attachments by agent. Each agent attaches only from its own.
    workspaces: BTreeMap<String, PathBuf>,
}

/// The operator's settings are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposerError {
    /// The sender is no mailbox.
    #[error("`{found}` cannot be the sender: {why}; write `agent@example.com` or `Agents <agent@example.com>`")]
    Sender { found: String, why: String },
    /// A domain is invalid.
    #[error("`{0}` is not a domain; write `example.com`")]
    Domain(String),
}

impl Composer {
    /// Makes a composer. `from` sends every message. `own_domains` count as inside, exactly as named (a subdomain is
    /// outside); without any, the sender's own does. Attachments come from the agent's folder in `workspaces`; without
    /// one, a message with attachments is impossible.
    pub fn new(
        from: &str,
        own_domains: &[String],
        workspaces: BTreeMap<String, PathBuf>,
    ) -> Result<Self, ComposerError> {
        let from = mailbox(from)?;
        let mut own = BTreeSet::new();
        for domain in own_domains {
            own.insert(idna::domain_to_ascii_strict(domain).map_err(|_| ComposerError::Domain(domain.clone()))?);
        }
        if own.is_empty() {
            own.insert(from.email.domain().to_owned());
        }
        Ok(Self { from, reply_to: None, own_domains: own, workspaces })
    }

    /// Sets the address for answers.
    pub fn with_reply_to(self, reply_to: Option<&str>) -> Result<Self, ComposerError> {
        Ok(Self { reply_to: reply_to.map(mailbox).transpose()?, ..self })
    }

    /// Previews a message. It reads the attachments; call it where blocking is allowed.
    pub fn preview(&self, agent: &str, action: &Action) -> Result<Previewed, CannotPreview> {
        let draft = Draft::read(action).map_err(CannotPreview::Impossible)?;
        let attachments = self.load(agent, &draft).map_err(|unloaded| match unloaded {
            Unloaded::Impossible(why) | Unloaded::Changed(why) => CannotPreview::Impossible(why),
            Unloaded::Unavailable(why) => CannotPreview::Unavailable(why),
        })?;
        let outside = self.outside(&draft);
        let shown = self.shown(&draft).into_bytes();
        let mut exhibits =
            vec![Exhibit::words("the message", say!("message as it would be sent"), "text/plain", shown)];
        if !outside.is_empty() {
            let list = outside.iter().map(|(one, count)| say!("{}: {}\n", Known::host(one), *count)).sum();
            exhibits.push(Exhibit::text(say!("recipients outside {}", self.inside()), list));
        }
        if !attachments.is_empty() {
            let line = |a: &Loaded| {
                let label = Known::label(content_type(&a.path, &a.bytes));
                say!("{}: {}, {} bytes, {}\n", quote(&a.path), label, a.bytes.len(), a.digest)
            };
            let title = say!("attachments, from the workspace of `{}`", Known::configured(agent));
            exhibits.push(Exhibit::text(title, attachments.iter().map(line).sum()));
        }
        let (domains, counts): (Vec<&str>, Vec<usize>) =
            outside.iter().map(|(one, count)| (one.domain(), *count)).unzip();
        let (outside_count, bytes) =
            (counts.iter().sum(), attachments.iter().map(|one| one.bytes.len()).sum::<usize>());
        Ok(Previewed {
            summary: self.summary(&draft, outside_count),
            exhibits,
            // The sender is the operator's: it is not in the action, and a reviewer was shown it.
            preconditions: self.senders(),
            facts: json!({
                "recipients": draft.recipients().len(), "outside-recipients": outside_count, "outside-domains": domains,
                "attachments": attachments.len(), "attachment-bytes": bytes,
            }),
            consequence: if outside.is_empty() { Consequence::Low } else { Consequence::Medium },
        })
    }

    /// The sender's address.
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// The sender's settings. `reply-to` is present only if configured, so that older journals read the same.
    fn senders(&self) -> Value {
        match &self.reply_to {
            None => json!({ "from": self.from.to_string() }),
            Some(reply_to) => json!({ "from": self.from.to_string(), "reply-to": reply_to.to_string() }),
        }
    }

    /// The `Message-ID`, the same for every attempt of a call.
    pub fn message_id(&self, key: &EffectKey) -> String {
        format!("<{}@{}>", key::plain(key), self.from.email.domain())
    }

    /// The receipt for the agent.
    pub fn receipt(&self, action: &Action, key: &EffectKey, accepted_by: &str) -> Option<Value> {
        let sent = action.arguments().get("message")?;
        Some(json!({ "sent": sent, "message-id": self.message_id(key), "accepted-by": accepted_by }))
    }

    /// The inside domains as text.
    fn inside(&self) -> Sentence {
        Sentence::join(self.own_domains.iter().map(|domain| say!("{}", Known::configured(domain))), ", ")
    }

    /// One recipient for each outside domain, with the number of its recipients.
    fn outside(&self, draft: &Draft) -> Vec<(Address, usize)> {
        let recipients = draft.recipients();
        let mut domains: BTreeMap<&str, (Address, usize)> = BTreeMap::new();
        for recipient in recipients.iter().filter(|recipient| !self.own_domains.contains(recipient.domain())) {
            domains.entry(recipient.domain()).or_insert_with(|| (recipient.clone(), 0)).1 += 1;
        }
        domains.into_values().collect()
    }

    /// The summary. Recipients come before the subject, because the subject is the agent's and lists show the beginning
    /// of a line.
    fn summary(&self, draft: &Draft, outside: usize) -> Sentence {
        let count = draft.recipients().len();
        let mut names: Vec<Sentence> = Vec::new();
        for (field, addresses) in draft.fields() {
            let how = match field {
                "Cc" => "cc ",
                "Bcc" => "bcc ",
                _ => "",
            };
            names.extend(addresses.iter().map(|address| say!("{}{}", how, Known::address(address))));
        }
        if names.len() > SUMMARY_RECIPIENTS_MAX {
            let more = names.len() - SUMMARY_RECIPIENTS_MAX;
            names.truncate(SUMMARY_RECIPIENTS_MAX);
            names.push(say!("and {} more", more));
        }
        let outside = if outside == 0 { say!("none") } else { say!("{}", outside) };
        let people = if count == 1 { say!("1 recipient") } else { say!("{} recipients", count) };
        let attachments = match draft.attachments.len() {
            0 => say!(""),
            1 => say!(", 1 attachment"),
            more => say!(", {} attachments", more),
        };
        let (names, inside) = (Sentence::join(names, ", "), self.inside());
        say!(
            "email to {} ({}, {} outside {}{}): {}",
            names,
            people,
            outside,
            inside,
            attachments,
            quote(&draft.subject)
        )
    }

    /// The message in readable form, with all recipients, also hidden ones.
    fn shown(&self, draft: &Draft) -> String {
        let mut shown = format!("From: {}\n", self.from);
        if let Some(reply_to) = &self.reply_to {
            shown.push_str(&format!("Reply-To: {reply_to}\n"));
        }
        for (field, addresses) in draft.fields() {
            if !addresses.is_empty() {
                let addresses: Vec<&str> = addresses.iter().map(AsRef::as_ref).collect();
                shown.push_str(&format!("{field}: {}\n", addresses.join(", ")));
            }
        }
        shown.push_str(&format!("Subject: {}\n", draft.subject));
        if let Some(id) = &draft.in_reply_to {
            shown.push_str(&format!("In-Reply-To: {id}\n"));
        }
        for attachment in &draft.attachments {
            shown.push_str(&format!("Attachment: {}\n", attachment.path));
        }
        shown
            .push_str(&format!("Date: (when it is sent)\nMessage-ID: (the call's key)@{}\n", self.from.email.domain()));
        shown + "\n" + &draft.body
    }

    /// Reads every attachment once and compares digests, so that the hashed bytes are sent.
    fn load(&self, agent: &str, draft: &Draft) -> Result<Vec<Loaded>, Unloaded> {
        if draft.attachments.is_empty() {
            return Ok(Vec::new());
        }
        let Some(folder) = self.workspaces.get(agent) else {
            let why = "attachments come from the agent's workspace, and this agent has none; ask the operator for a workspace";
            return Err(Unloaded::Impossible(why.into()));
        };
        let mut left = ATTACHMENTS_BYTES_MAX;
        let mut loaded = Vec::new();
        for AttachmentField { path, sha256 } in &draft.attachments {
            let digest = digest(sha256).map_err(Unloaded::Impossible)?;
            let bytes = read_within(folder, path, left)?;
            left = left.saturating_sub(bytes.len() as u64);
            let found = Digest::of(&bytes);
            if found != digest {
                return Err(Unloaded::Changed(say!("the attachment {} is {}, not {}", quote(path), found, digest)));
            }
            loaded.push(Loaded { path: path.clone(), bytes, digest });
        }
        Ok(loaded)
    }
}

/// A message with checked fields.
// INVARIANT: only `read` makes one, and checks it. Writing does not check again.
#[derive(Debug)]
struct Draft {
    to: Vec<Address>,
    cc: Vec<Address>,
    bcc: Vec<Address>,
    subject: String,
    body: String,
    in_reply_to: Option<String>,
    attachments: Vec<AttachmentField>,
}

/// The arguments that this connector uses. The rationale is not for the recipient.
#[derive(Deserialize)]
struct Arguments {
    message: MessageField,
}

/// `message` as in `wit/`. It comes from an action, so every field is present.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MessageField {
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    subject: String,
    body: String,
    in_reply_to: Option<String>,
    attachments: Vec<AttachmentField>,
}

#[derive(Debug, Deserialize)]
struct AttachmentField {
    path: String,
    sha256: String,
}

struct Loaded {
    path: String,
    bytes: Vec<u8>,
    digest: Digest,
}

enum Unloaded {
    /// The message is impossible, now and later.
    Impossible(Sentence),
    /// The file's digest differs from the agent's: an error in the proposal, or a changed fact after clearance.
    Changed(Sentence),
    /// The disk did not answer; the message may be valid.
    Unavailable(Sentence),
}

impl Draft {
    /// Reads a message. An error is reported to the agent before a reviewer is asked.
    fn read(action: &Action) -> Result<Self, Sentence> {
        let Arguments { message } = Arguments::deserialize(action.arguments()).map_err(|error| {
            let why = quote(error);
            say!("`{}` does not take the message that this connector sends: {}", action.capability().clone(), why)
        })?;
        let MessageField { to, cc, bcc, subject, body, in_reply_to, attachments } = message;
        let addresses = |list: &[String]| list.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>();
        let draft = Self {
            to: addresses(&to)?,
            cc: addresses(&cc)?,
            bcc: addresses(&bcc)?,
            subject,
            body,
            in_reply_to,
            attachments,
        };
        draft.check()?;
        Ok(draft)
    }

    /// Refuses messages that no relay would accept, or that could inject a header.
    fn check(&self) -> Result<(), Sentence> {
        match self.recipients().len() {
            0 => return Err("the message has no recipients".into()),
            count if count > RECIPIENTS_MAX => {
                return Err(say!("the message has {} recipients; at most {} are possible", count, RECIPIENTS_MAX));
            }
            _ => {}
        }
        if let Some(control) = self.subject.chars().find(|c| c.is_control()) {
            let control = Known::label(format_args!("U+{:04X}", u32::from(control)));
            return Err(say!("the subject holds the control character {}", control));
        }
        if is_encoded_word(&self.subject) {
            return Err("the subject holds `=?…?=`, which mail readers show as something else (RFC 2047)".into());
        }
        if self.subject.chars().count() > SUBJECT_CHARS_MAX {
            return Err(say!("the subject is longer than {} characters", SUBJECT_CHARS_MAX));
        }
        if self.body.contains('\0') {
            return Err("the body holds a NUL character".into());
        }
        // A relay may read it as a line end, so that the following text would be a command.
        if self.body.replace("\r\n", "").contains('\r') {
            return Err("the body holds a carriage return (U+000D) that does not end a line".into());
        }
        if let Some(id) = &self.in_reply_to {
            let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
            let plain = |id: &str| id.chars().all(|c| c.is_ascii_graphic() && !"<>".contains(c)) && id.contains('@');
            if !inner.is_some_and(plain) || id.len() > 250 {
                return Err(say!("{} is not a message id; write `<left@right>`", quote_start(id, 250)));
            }
        }
        Ok(())
    }

    /// The three lists of recipients with their field names.
    fn fields(&self) -> [(&'static str, &[Address]); 3] {
        [("To", &self.to), ("Cc", &self.cc), ("Bcc", &self.bcc)]
    }

    /// Each recipient once.
    fn recipients(&self) -> BTreeSet<Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc).cloned().collect()
    }
}

/// Whether a mail reader could decode a part of this field and show other text.
fn is_encoded_word(field: &str) -> bool {
    field.split_once("=?").is_some_and(|(_, rest)| rest.contains("?="))
}

/// An operator's address, with or without a display name.
fn mailbox(text: &str) -> Result<Mailbox, ComposerError> {
    let refuse = |why: String| ComposerError::Sender { found: text.into(), why };
    let Mailbox { name, email } = text.parse().map_err(|error| refuse(format!("{error}")))?;
    if name.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
        return Err(refuse("its name holds a control character".into()));
    }
    let email = address(email.as_ref()).map_err(|why| refuse(why.into_string()))?;
    Ok(Mailbox::new(name, email))
}

/// `sha256:…` as everywhere, or bare digits as other tools print them.
fn digest(text: &str) -> Result<Digest, Sentence> {
    let full = if text.starts_with("sha256:") { text.to_owned() } else { format!("sha256:{text}") };
    full.parse().map_err(|_| {
        say!("{} is not a SHA-256 digest; write 64 hexadecimal digits in lower case", quote_start(text, 80))
    })
}

#[cfg(test)]
pub(super) mod tests;
