//! Email from a typed action: checked, previewed, and written as RFC 5322 bytes, for Maildir and SMTP.
//!
//! An agent's text reaches header fields only after these checks: addresses are bare, their hosts are in ASCII (so
//! look-alikes show), and no field has a control character. Display names are refused, because a reviewer would read
//! the name and not the address.

mod address;
mod attached;
mod composed;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use holdshort_gate::{Action, AgentName, Digest, EffectKey};
use lettre::Address;
use lettre::message::Mailbox;
use serde::Deserialize;
use serde_json::{Value, json};

use super::key;
use super::{Sentence, Trusted, quote, quote_start, say};
use address::address;
use attached::{content_type, read_within};

pub(super) use composed::automatic;
pub use composed::{Bcc, ComposedMessage, NotComposed};
pub(super) use shown::{FACTS, PRECONDITIONS};

/// The maximum number of recipients, which every relay must accept (RFC 5321, 4.5.3.1.8).
pub const RECIPIENTS_MAX: usize = 100;
/// The maximum length of a subject: with the field's name it stays within a line's 998 characters (RFC 5322, 2.1.1).
pub const SUBJECT_CHARS_MAX: usize = 900;
/// The maximum size of all attachments together, before encoding. Common relays accept this size.
pub const ATTACHMENTS_BYTES_MAX: u64 = 10 << 20;
/// The operator's settings for every message: the sender, the inside domains, and the agents' folders for attachments.
#[derive(Clone, Debug)]
pub struct Composer {
    /// The sender of every message; an agent cannot choose it.
    from: Mailbox,
    /// The address for replies, if replies should not go to the sender.
    reply_to: Option<Mailbox>,
    /// The inside domains in ASCII. A recipient's domain is converted to ASCII too before the two are compared.
    own_domains: BTreeSet<String>,
    /// The folder for attachments of each agent. An agent attaches only files of its own folder.
    workspaces: BTreeMap<AgentName, PathBuf>,
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
    /// Makes a composer. `from` is the sender of every message. `own_domains` count as inside, exactly as named (a
    /// subdomain is outside); if there are none, only the sender's own domain is inside. Attachments come from the
    /// agent's folder in `workspaces`; for an agent without a folder, a message with attachments is impossible.
    pub fn new(
        from: &str,
        own_domains: &[String],
        workspaces: BTreeMap<AgentName, PathBuf>,
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

    /// Sets the address for replies.
    pub fn with_reply_to(self, reply_to: Option<&str>) -> Result<Self, ComposerError> {
        Ok(Self { reply_to: reply_to.map(mailbox).transpose()?, ..self })
    }

    /// The sender's address.
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// The `Message-ID`, which is the same for every attempt of a call.
    pub fn message_id(&self, key: &EffectKey) -> String {
        format!("<{}@{}>", key::plain(key), self.from.email.domain())
    }

    /// The receipt for the agent.
    pub fn receipt(&self, action: &Action, key: &EffectKey, accepted_by: &str) -> Option<Value> {
        let sent = action.arguments().get("message")?;
        Some(json!({ "sent": sent, "message-id": self.message_id(key), "accepted-by": accepted_by }))
    }

    /// Reads every attachment once, and compares its digest with the agent's. So exactly the bytes that were
    /// hashed are sent.
    fn load(&self, agent: &AgentName, draft: &MessageDraft) -> Result<Vec<LoadedAttachment>, AttachmentError> {
        if draft.attachments.is_empty() {
            return Ok(Vec::new());
        }
        let Some(folder) = self.workspaces.get(agent) else {
            let why = "attachments come from the agent's workspace, but this agent has no workspace; ask the operator for a workspace";
            return Err(AttachmentError::Impossible(why.into()));
        };
        let mut left = ATTACHMENTS_BYTES_MAX;
        let mut loaded = Vec::new();
        for AttachmentField { path, sha256 } in &draft.attachments {
            let digest = digest(sha256).map_err(AttachmentError::Impossible)?;
            let bytes = read_within(folder, path, left)?;
            left = left.saturating_sub(bytes.len() as u64);
            let found = Digest::of(&bytes);
            if found != digest {
                return Err(AttachmentError::Changed(say!(
                    "the attachment {} has the digest {}, but the call names {}",
                    quote(path),
                    found,
                    digest
                )));
            }
            loaded.push(LoadedAttachment { path: path.clone(), bytes, digest });
        }
        Ok(loaded)
    }
}

/// A message with checked fields.
// INVARIANT: only `read` makes a draft, and `read` checks all fields. The code that writes a draft does not check
// again.
#[derive(Debug)]
struct MessageDraft {
    to: Vec<Address>,
    cc: Vec<Address>,
    bcc: Vec<Address>,
    subject: String,
    body: String,
    in_reply_to: Option<String>,
    attachments: Vec<AttachmentField>,
}

/// The arguments that this connector uses. The agent's rationale is left out, because it is not for the recipient.
#[derive(Deserialize)]
struct Arguments {
    message: MessageField,
}

/// The parameter `message`, as `wit/` defines it. The host has checked an action's arguments against the type, so no
/// field is missing.
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

struct LoadedAttachment {
    path: String,
    bytes: Vec<u8>,
    digest: Digest,
}

enum AttachmentError {
    /// The message is impossible, and a further try would fail too.
    Impossible(Sentence),
    /// The file's digest is not the digest that the agent gave. Before a clearance this is an error of the agent, and
    /// after it a changed fact.
    Changed(Sentence),
    /// The file could not be read. The message itself may be valid.
    Unavailable(Sentence),
}

impl MessageDraft {
    /// Reads a message. An error is reported to the agent before a reviewer is asked.
    fn read(action: &Action) -> Result<Self, Sentence> {
        let Arguments { message } = Arguments::deserialize(action.arguments()).map_err(|error| {
            let why = quote(error);
            say!(
                "the arguments of `{}` are not a message that this connector can send: {}",
                action.capability().clone(),
                why
            )
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
                return Err(say!("the message has {} recipients; at most {} are allowed", count, RECIPIENTS_MAX));
            }
            _ => {}
        }
        if let Some(control) = self.subject.chars().find(|c| c.is_control()) {
            let control = Trusted::label(format_args!("U+{:04X}", u32::from(control)));
            return Err(say!("the subject has the control character {}", control));
        }
        if is_encoded_word(&self.subject) {
            return Err("the subject has `=?…?=`, which mail readers show as other text (RFC 2047)".into());
        }
        if self.subject.chars().count() > SUBJECT_CHARS_MAX {
            return Err(say!("the subject is longer than {} characters", SUBJECT_CHARS_MAX));
        }
        if self.body.contains('\0') {
            return Err("the body has a NUL character".into());
        }
        // A relay could take a CR without LF for a line end, and the text after it for a command.
        if self.body.replace("\r\n", "").contains('\r') {
            return Err("the body has a carriage return (U+000D) that does not end a line".into());
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

    /// All recipients. An address in several lists is included once.
    fn recipients(&self) -> BTreeSet<Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc).cloned().collect()
    }
}

/// Whether a field contains an encoded word, which a mail reader could decode and show as other text.
fn is_encoded_word(field: &str) -> bool {
    field.split_once("=?").is_some_and(|(_, rest)| rest.contains("?="))
}

/// An operator's address, with or without a display name.
fn mailbox(text: &str) -> Result<Mailbox, ComposerError> {
    let refuse = |why: String| ComposerError::Sender { found: text.into(), why };
    let Mailbox { name, email } = text.parse().map_err(|error| refuse(format!("{error}")))?;
    if name.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
        return Err(refuse("the name of the file has a control character".into()));
    }
    let email = address(email.as_ref()).map_err(|why| refuse(why.into_string()))?;
    Ok(Mailbox::new(name, email))
}

/// Reads a digest: `sha256:…`, as everywhere in the host, or only the digits, as other tools print them.
fn digest(text: &str) -> Result<Digest, Sentence> {
    let full = if text.starts_with("sha256:") { text.to_owned() } else { format!("sha256:{text}") };
    full.parse().map_err(|_| {
        say!("{} is not a SHA-256 digest; write 64 hexadecimal digits in lower case", quote_start(text, 80))
    })
}

#[cfg(test)]
pub(super) mod tests;
