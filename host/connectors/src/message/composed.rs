//! Writes a checked message as bytes.

use std::time::{Duration, SystemTime};

use holdshort_gate::{Action, AgentName, Digest, EffectKey, Time};
use lettre::Message;
use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};
use serde_json::Value;

use super::{
    AttachmentError, Composer, LoadedAttachment, MessageDraft, Sentence, Trusted, content_type, key, quote, say,
};

/// The end of the year 9999, in microseconds: a `Date` field has four digits for the year.
const DATE_MAX: u64 = 253_402_300_799_000_000;

/// A header that marks a message as automatic, so that no out-of-office reply or list answers it (RFC 3834).
pub(crate) fn automatic(how: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), how.into())
}

/// A message ready for delivery.
#[derive(Clone, Debug)]
pub struct ComposedMessage {
    /// The sender, and each recipient once.
    pub envelope: Envelope,
    /// The message by RFC 5322: ASCII with CR LF line ends.
    pub bytes: Vec<u8>,
}

/// The treatment of the `Bcc` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bcc {
    /// The field is removed, because recipients must not see it. The envelope has the addresses.
    Remove,
    /// The field is kept. A file has no envelope, so without the field the addresses would be lost.
    Keep,
}

/// Why a message was not written. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotComposed {
    /// The message is impossible.
    #[error("{0}")]
    Impossible(Sentence),
    /// A shown fact has changed.
    #[error("{0}")]
    FactsChanged(Sentence),
}

impl Composer {
    /// Writes the message of a cleared action. It reads the attachments, so call it on a thread that may block.
    ///
    /// `Message-ID` and the MIME boundary are made from the key, so a second attempt writes the same message except for
    /// its `Date`, which is `now`.
    pub fn compose(
        &self,
        agent: &AgentName,
        action: &Action,
        preconditions: &Value,
        key: &EffectKey,
        now: Time,
        bcc: Bcc,
    ) -> Result<ComposedMessage, NotComposed> {
        let now_from = self.senders();
        for (field, name) in [("from", "sender"), ("reply-to", "reply address")] {
            let of = |senders: &Value| senders.get(field).and_then(Value::as_str).unwrap_or("nobody").to_owned();
            let (shown, found) = (of(preconditions), of(&now_from));
            if shown != found {
                let (shown, found) = (Trusted::configured(shown), Trusted::configured(found));
                let why = say!("the {} was `{}` when the call was shown and is `{}` now", name, shown, found);
                return Err(NotComposed::FactsChanged(why));
            }
        }
        let draft = MessageDraft::read(action).map_err(NotComposed::Impossible)?;
        let attachments = self.load(agent, &draft).map_err(|unloaded| match unloaded {
            AttachmentError::Impossible(why) | AttachmentError::Unavailable(why) => NotComposed::Impossible(why),
            AttachmentError::Changed(why) => NotComposed::FactsChanged(why),
        })?;
        let failed = |error: lettre::error::Error| {
            NotComposed::Impossible(say!("the message cannot be written: {}", quote(error)))
        };
        let recipients: Vec<Address> = draft.recipients().into_iter().collect();
        let envelope = Envelope::new(Some(self.from().email.clone()), recipients).map_err(failed)?;
        let message = self.message(draft, attachments, key, now, bcc, &envelope).map_err(failed)?;
        Ok(ComposedMessage { envelope, bytes: message.formatted() })
    }

    fn message(
        &self,
        draft: MessageDraft,
        attachments: Vec<LoadedAttachment>,
        key: &EffectKey,
        now: Time,
        bcc: Bcc,
        envelope: &Envelope,
    ) -> Result<Message, lettre::error::Error> {
        let mut builder = Message::builder()
            .from(self.from().clone())
            .subject(draft.subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_micros(now.0.min(DATE_MAX)))
            .message_id(Some(self.message_id(key)))
            .envelope(envelope.clone())
            .raw_header(automatic(if draft.in_reply_to.is_some() { "auto-replied" } else { "auto-generated" }));
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        for to in draft.to {
            builder = builder.to(Mailbox::new(None, to));
        }
        for cc in draft.cc {
            builder = builder.cc(Mailbox::new(None, cc));
        }
        if bcc == Bcc::Keep {
            builder = builder.keep_bcc();
            for address in draft.bcc {
                builder = builder.bcc(Mailbox::new(None, address));
            }
        }
        if let Some(id) = draft.in_reply_to {
            builder = builder.in_reply_to(id.clone()).references(id);
        }
        // Quoted-printable, so that people can read a mostly ASCII text in a pager. By itself, lettre would choose
        // base64 for a short text with a few other letters.
        let body = if draft.body.is_ascii() {
            Body::new(draft.body)
        } else {
            Body::new_with_encoding(draft.body, ContentTransferEncoding::QuotedPrintable).unwrap_or_else(Body::new)
        };
        let body = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body);
        if attachments.is_empty() {
            return builder.singlepart(body);
        }
        // The boundary is made from the key, which nobody outside knows beforehand: no body can contain it.
        let boundary = Digest::tagged("holdshort/boundary", key::plain(key).as_bytes()).to_string();
        let boundary: String = boundary.chars().skip("sha256:".len()).take(40).collect();
        let mut parts = MultiPart::mixed().boundary(boundary).singlepart(body);
        for LoadedAttachment { path, bytes, .. } in attachments {
            let name = path.rsplit('/').next().unwrap_or("attachment").to_owned();
            // An attachment is never shown inline, so an HTML page opens only if the recipient opens it.
            let label = ContentType::parse(&content_type(&path, &bytes)).unwrap_or(ContentType::TEXT_PLAIN);
            // Always base64, so that no relay or mail reader changes a line end: the hashed bytes arrive.
            let body = Body::new_with_encoding(bytes, ContentTransferEncoding::Base64);
            let body = body.unwrap_or_else(Body::new);
            parts = parts.singlepart(Attachment::new(name).body(body, label));
        }
        builder.multipart(parts)
    }
}
