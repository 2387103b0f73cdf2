//! Email through a relay. SMTP has no key by which a relay could recognise a second attempt, so an attempt cannot be
//! repeated safely. Therefore, after every error, this code determines whether the relay can have accepted the message.
//!
//! In two cases the relay has certainly not accepted the message: it cannot take the message now (4xx), or it was
//! unreachable before the message was sent. Then the host tries again under the same clearance, as relays expect.
//!
//! Commands are sent one by one, because lettre's own transport does not tell which command failed. Until the relay has
//! answered `DATA`, no byte of the message has been sent. From the message's first byte on, only the relay's own
//! refusal proves that the message was not accepted. Silence proves nothing.
//!
//! **Invariant:** when a relay's words are repeated, the password is removed from them, in every form in which it
//! crossed the network, because some relays quote the refused command.

mod session;

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_gate::{Action, AgentName, EffectClass};
use holdshort_journal::Authorized;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use serde_json::Value;

use super::descriptor::{Class, DeclaredFacts, Descriptor, Effect};
use super::message::{self, Bcc, ComposedMessage, Composer, NotComposed};
use super::{Attempt, CannotPreview, Clock, Finding, Inquiry, Perform, Preview, Previewed, Trusted, quote, say};
use crate::secret::Secret;
use session::SendOutcome;

/// The maximum wait before the next attempt. A relay that defers a message expects the next attempt within minutes.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "[email]",
    interface: Some("holdshort:agent/email@0.1.0"),
    functions: &["send-email"],
    class: Class::Consequential(EFFECT),
};

const EFFECT: Effect = Effect {
    connector: "smtp",
    class: EffectClass::OneShot,
    evidence: "a relay cannot be asked about accepted messages; look for the message id in the relay's log or in a recipient's mailbox",
    facts: DeclaredFacts::Fixed(message::FACTS),
    preconditions: message::PRECONDITIONS,
};

/// Sends email through one relay.
#[derive(Clone)]
pub struct Smtp {
    composer: Composer,
    relay: Relay,
    clock: Clock,
}

/// The operator's relay.
#[derive(Clone, Debug)]
pub struct Relay {
    /// The relay's host name. Its certificate must be for this name.
    pub host: String,
    /// The port: 465 for [`Encryption::Implicit`], 587 for [`Encryption::StartTls`].
    pub port: u16,
    pub encryption: Encryption,
    /// A certificate authority (PEM) to trust instead of the system's authorities.
    pub authority: Option<Vec<u8>>,
    /// The login, if configured.
    pub login: Option<Login>,
    /// The name by which the host introduces itself to the relay (`EHLO`). Some relays check it.
    pub hello: String,
    /// The time limit for each answer.
    pub time_out: Duration,
    /// The wait before the second attempt at a deferred message. Each further wait is twice as long,
    /// up to [`RETRY_AFTER_MAX`].
    pub retry_after: Duration,
}

/// The encryption of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the start.
    Implicit,
    /// `STARTTLS`. If the relay does not offer it, nothing is sent.
    StartTls,
    /// No encryption. This is permitted only for a relay on this machine.
    None,
}

/// The login at the relay.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: Secret,
}

impl Login {
    /// The password in each form in which it crosses the network. An empty form is left out, because it would
    /// match every text.
    fn forms(&self) -> Vec<String> {
        let password = self.password.text();
        let plain = format!("\0{}\0{password}", self.user);
        let forms = [STANDARD.encode(plain), STANDARD.encode(password), password.to_owned()];
        forms.into_iter().filter(|form| !form.is_empty()).collect()
    }
}

/// The operator's settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The message and the password would cross a network unencrypted.
    #[error("`{0}` is not on this machine: without TLS, only `localhost`, `127.0.0.1` and `::1` are allowed")]
    PlainToAnotherMachine(String),
    /// The authority's certificate is invalid.
    #[error("the file of the relay's certificate authority cannot be read; give a PEM file")]
    Authority(#[source] lettre::transport::smtp::Error),
    /// TLS cannot be set up.
    #[error("TLS for `{host}` cannot be set up")]
    Tls { host: String, source: lettre::transport::smtp::Error },
}

impl Smtp {
    /// Checks the relay's settings without connecting.
    pub fn new(relay: Relay, composer: Composer, clock: Clock) -> Result<Self, RelayError> {
        if relay.encryption == Encryption::None && !is_local(&relay.host) {
            return Err(RelayError::PlainToAnotherMachine(relay.host));
        }
        relay.tls()?;
        Ok(Self { composer, relay, clock })
    }

    async fn attempt(&self, authorized: Authorized) -> Attempt {
        let (composer, now) = (self.composer.clone(), (self.clock)());
        let composed = tokio::task::spawn_blocking(move || {
            let (action, preconditions) = (authorized.action(), authorized.preconditions());
            let composed =
                composer.compose(authorized.agent(), action, preconditions, authorized.key(), now, Bcc::Remove);
            (composed, authorized)
        });
        let (composed, authorized) = match composed.await {
            Ok((Ok(composed), authorized)) => (composed, authorized),
            Ok((Err(NotComposed::Impossible(why)), _)) => return Attempt::NotDone(why),
            Ok((Err(NotComposed::FactsChanged(why)), _)) => return Attempt::FactsChanged(why),
            Err(error) => return Attempt::NotDone(say!("the message could not be written: {}", quote(error))),
        };
        let receipt = |reply: &str| {
            let accepted_by = format!("accepted by the relay {}: {reply}", self.relay);
            self.composer.receipt(authorized.action(), authorized.key(), &accepted_by)
        };
        self.send(&composed, authorized.attempt(), receipt).await
    }

    /// The wait after the given attempt: twice the wait before it, up to the maximum.
    fn again_in(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.relay.retry_after.saturating_mul(doubled).min(RETRY_AFTER_MAX)
    }

    async fn send(&self, composed: &ComposedMessage, attempt: u32, receipt: impl Fn(&str) -> Option<Value>) -> Attempt {
        let (relay, named) = (&self.relay, Trusted::configured(&self.relay));
        match session::hand_over(relay, composed).await {
            SendOutcome::Accepted(reply) => receipt(&reply).map_or_else(
                || {
                    Attempt::Unknown(say!(
                        "the relay {} accepted the message: {}; no receipt can be written, because the action has no `message`",
                        named,
                        quote(&reply)
                    ))
                },
                Attempt::Done,
            ),
            SendOutcome::PutOff(why) => {
                Attempt::Postponed(say!("not yet sent through the relay {}: {}", named, why), self.again_in(attempt))
            }
            SendOutcome::Refused(why) => Attempt::NotDone(say!("not sent through the relay {}: {}", named, why)),
            SendOutcome::Unclear(why) => Attempt::Unknown(say!(
                "the message was sent to the relay {}, which may have accepted it: {}",
                named,
                why
            )),
        }
    }
}

impl Preview for Smtp {
    fn effect(&self) -> Effect {
        EFFECT
    }

    fn preview<'a>(
        &'a self,
        agent: &'a AgentName,
        action: &'a Action,
    ) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        let (composer, agent, action) = (self.composer.clone(), agent.clone(), action.clone());
        async move {
            let preview = tokio::task::spawn_blocking(move || composer.preview(&agent, &action));
            preview
                .await
                .unwrap_or_else(|error| Err(CannotPreview::Unavailable(say!("the preview failed: {}", quote(error)))))
        }
        .boxed()
    }
}

impl Perform for Smtp {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        self.attempt(authorized).boxed()
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        let id = self.composer.message_id(&inquiry.key);
        let evidence = say!(
            "the relay {} cannot be asked about the message; look for the message id `{}` in the relay's log or in a recipient's mailbox",
            Trusted::configured(&self.relay),
            Trusted::label(id)
        );
        async move { Finding::Unknown { evidence } }.boxed()
    }

    fn receipt(&self, inquiry: &Inquiry) -> Option<Value> {
        let accepted_by = format!(
            "accepted by the relay {}: the answer was lost, but a reviewer found that the message was sent",
            self.relay
        );
        self.composer.receipt(&inquiry.action, &inquiry.key, &accepted_by)
    }
}

impl Relay {
    fn tls(&self) -> Result<Option<TlsParameters>, RelayError> {
        use lettre::transport::smtp::client::CertificateStore;
        if self.encryption == Encryption::None {
            return Ok(None);
        }
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(pem) = &self.authority {
            let certificate = Certificate::from_pem(pem).map_err(RelayError::Authority)?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
        }
        builder.build().map(Some).map_err(|source| RelayError::Tls { host: self.host.clone(), source })
    }

    /// Sends an email of the host. An error does not always mean that the email was not delivered.
    pub(super) async fn post(&self, composed: &ComposedMessage) -> Result<String, String> {
        match session::hand_over(self, composed).await {
            SendOutcome::Accepted(reply) => Ok(format!("accepted by the relay {self}: {reply}")),
            SendOutcome::PutOff(why) | SendOutcome::Refused(why) | SendOutcome::Unclear(why) => {
                Err(format!("the relay {self}: {why}"))
            }
        }
    }

    fn hello(&self) -> ClientId {
        ClientId::Domain(self.hello.clone())
    }
}

impl std::fmt::Display for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests;
