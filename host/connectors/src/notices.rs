//! Sends the host's own emails, through the relay or into the Maildir that the operator configured.
//!
//! These emails are no effects and need no clearance: no agent chooses whether an email is sent, to whom, or
//! with which subject.
//!
//! **Invariant:** the headers of these emails contain no words of an agent.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use holdshort_gate::Time;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, SinglePart};
use lettre::{Address, Message};

use super::maildir;
use super::message::{ComposedMessage, automatic};
use super::smtp::Relay;

/// An email before it is written.
#[derive(Clone, Debug)]
pub struct NoticeDraft {
    /// The part of the `Message-ID` before the `@`, which is the same for every attempt.
    pub id: String,
    pub to: String,
    /// The subject: one line in the host's own words.
    pub subject: String,
    pub text: String,
}

/// The ways to send an email.
#[derive(Clone, Debug)]
pub enum MailTransport {
    /// The email is written into a Maildir, whose folders exist.
    Maildir(PathBuf),
    /// The email is sent through a relay.
    Relay(Box<Relay>),
}

/// Sends the host's emails.
#[derive(Clone, Debug)]
pub struct NoticeSender {
    from: Address,
    way: MailTransport,
}

impl NoticeSender {
    /// Makes a sender from a bare address.
    pub fn new(from: &str, way: MailTransport) -> Result<Self, String> {
        let from = from.parse().map_err(|error| format!("`{}` is not an address: {error}", from.escape_debug()))?;
        Ok(Self { from, way })
    }

    /// Makes one attempt to send an email. Returns the relay's answer, or the reason why it is not certain that the
    /// email was delivered.
    pub async fn send(&self, draft: NoticeDraft, now: Time) -> Result<String, String> {
        let id = draft.id.clone();
        let composed = self.compose(draft, now).map_err(|error| format!("the email cannot be written: {error}"))?;
        match &self.way {
            MailTransport::Relay(relay) => relay.post(&composed).await,
            MailTransport::Maildir(folder) => {
                let folder = folder.clone();
                let delivered = tokio::task::spawn_blocking(move || maildir::deliver(&folder, &id, composed.bytes));
                delivered.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
            }
        }
    }

    fn compose(
        &self,
        draft: NoticeDraft,
        now: Time,
    ) -> Result<ComposedMessage, Box<dyn std::error::Error + Send + Sync>> {
        let to: Address = draft.to.parse()?;
        let envelope = Envelope::new(Some(self.from.clone()), vec![to.clone()])?;
        let body = Body::new_with_encoding(draft.text, ContentTransferEncoding::QuotedPrintable);
        let message = Message::builder()
            .from(Mailbox::new(Some("Holdshort".into()), self.from.clone()))
            .to(Mailbox::new(None, to))
            .subject(draft.subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_micros(now.0))
            .message_id(Some(format!("<{}@{}>", draft.id, self.from.domain())))
            .envelope(envelope.clone())
            // The next two headers have the same meaning. Most programs read the first (RFC 3834), and Exchange reads
            // the second, which is Microsoft's own.
            .raw_header(automatic("auto-generated"))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("X-Auto-Response-Suppress"), "All".into()))
            .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body.unwrap_or_else(Body::new)))?;
        Ok(ComposedMessage { envelope, bytes: message.formatted() })
    }
}
