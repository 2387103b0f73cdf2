//! The preview of a message, and its facts.

use std::collections::BTreeMap;

use holdshort_gate::{Action, AgentName, Consequence};
use lettre::Address;
use serde_json::{Value, json};

use super::attached::content_type;
use super::{AttachmentError, Composer, LoadedAttachment, MessageDraft};
use crate::descriptor::{Fact, FactType, Precondition};
use crate::{CannotPreview, Exhibit, Previewed, Sentence, Trusted, quote, say};

/// The facts about a message.
pub(crate) const FACTS: &[Fact] = &[
    Fact::new("recipients", FactType::Count, "different addresses"),
    Fact::new("outside-recipients", FactType::Count, "the number of different addresses outside your domains"),
    Fact::new("outside-domains", FactType::TEXTS, "the domains outside yours, in ASCII"),
    Fact::new("attachments", FactType::Count, "files"),
    Fact::new("attachment-bytes", FactType::Count, "the size of all files together in bytes, before encoding"),
];

/// The sender's settings. A change between the preview and the effect holds the call again.
pub(crate) const PRECONDITIONS: &[Precondition] = &[Precondition::same("from"), Precondition::same("reply-to")];

/// The maximum number of recipients in the summary. The exhibit lists all recipients.
const SUMMARY_RECIPIENTS_MAX: usize = 8;

impl Composer {
    /// Previews a message. It reads the attachments, so call it on a thread that may block.
    pub fn preview(&self, agent: &AgentName, action: &Action) -> Result<Previewed, CannotPreview> {
        let draft = MessageDraft::read(action).map_err(CannotPreview::Impossible)?;
        let attachments = self.load(agent, &draft).map_err(|unloaded| match unloaded {
            AttachmentError::Impossible(why) | AttachmentError::Changed(why) => CannotPreview::Impossible(why),
            AttachmentError::Unavailable(why) => CannotPreview::Unavailable(why),
        })?;
        let outside = self.outside(&draft);
        let shown = self.shown(&draft).into_bytes();
        let mut exhibits =
            vec![Exhibit::words("the message", say!("message as it would be sent"), "text/plain", shown)];
        if !outside.is_empty() {
            let list = outside.iter().map(|(one, count)| say!("{}: {}\n", Trusted::host(one), *count)).sum();
            exhibits.push(Exhibit::text(say!("recipients outside {}", self.inside()), list));
        }
        if !attachments.is_empty() {
            let line = |a: &LoadedAttachment| {
                let label = Trusted::label(content_type(&a.path, &a.bytes));
                say!("{}: {}, {} bytes, {}\n", quote(&a.path), label, a.bytes.len(), a.digest)
            };
            let title = say!("attachments, from the workspace of `{}`", Trusted::configured(agent));
            exhibits.push(Exhibit::text(title, attachments.iter().map(line).sum()));
        }
        let (domains, counts): (Vec<&str>, Vec<usize>) =
            outside.iter().map(|(one, count)| (one.domain(), *count)).unzip();
        let (outside_count, bytes) =
            (counts.iter().sum(), attachments.iter().map(|one| one.bytes.len()).sum::<usize>());
        Ok(Previewed {
            summary: self.summary(&draft, outside_count),
            exhibits,
            // The sender is not in the action, because the operator configures it. It is a precondition, because
            // reviewers were shown it.
            preconditions: self.senders(),
            facts: json!({
                "recipients": draft.recipients().len(), "outside-recipients": outside_count, "outside-domains": domains,
                "attachments": attachments.len(), "attachment-bytes": bytes,
            }),
            consequence: if outside.is_empty() { Consequence::Low } else { Consequence::Medium },
        })
    }

    /// The sender's settings. Without a configured `reply-to`, the member is left out, as in older journals.
    pub(super) fn senders(&self) -> Value {
        match &self.reply_to {
            None => json!({ "from": self.from.to_string() }),
            Some(reply_to) => json!({ "from": self.from.to_string(), "reply-to": reply_to.to_string() }),
        }
    }

    /// The inside domains as text.
    fn inside(&self) -> Sentence {
        Sentence::join(self.own_domains.iter().map(|domain| say!("{}", Trusted::configured(domain))), ", ")
    }

    /// Each outside domain, as one of its addresses, with the number of recipients in it.
    fn outside(&self, draft: &MessageDraft) -> Vec<(Address, usize)> {
        let recipients = draft.recipients();
        let mut domains: BTreeMap<&str, (Address, usize)> = BTreeMap::new();
        for recipient in recipients.iter().filter(|recipient| !self.own_domains.contains(recipient.domain())) {
            domains.entry(recipient.domain()).or_insert_with(|| (recipient.clone(), 0)).1 += 1;
        }
        domains.into_values().collect()
    }

    /// The one-line summary. The recipients come before the subject, because a list shows only the beginning of the
    /// line, and the subject is in the agent's words.
    fn summary(&self, draft: &MessageDraft, outside: usize) -> Sentence {
        let count = draft.recipients().len();
        let mut names: Vec<Sentence> = Vec::new();
        for (field, addresses) in draft.fields() {
            let how = match field {
                "Cc" => "cc ",
                "Bcc" => "bcc ",
                _ => "",
            };
            names.extend(addresses.iter().map(|address| say!("{}{}", how, Trusted::address(address))));
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

    /// The message in readable form, with all recipients, including those in `Bcc`.
    fn shown(&self, draft: &MessageDraft) -> String {
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
}
