//! One SMTP session. Commands are sent one by one, so that at every point it is known whether the relay can have
//! accepted the message.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::response::{Response, Severity};

use super::{Encryption, Relay};
use crate::message::ComposedMessage;
use crate::{Sentence, Trusted, quote, say};

/// How long the host waits for the relay's reply to QUIT. Nothing depends on the reply.
const GOODBYE: Duration = Duration::from_millis(500);
/// At most this many characters of a relay's answer are repeated.
const REPLY_CHARS_MAX: usize = 300;

/// The outcome of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SendOutcome {
    /// The relay accepted the message. The text is its answer.
    Accepted(String),
    /// The relay did not accept the message, and this attempt can no longer deliver it. A later attempt may succeed.
    PutOff(Sentence),
    /// The relay did not accept the message, and this attempt can no longer deliver it.
    Refused(Sentence),
    /// The message was sent completely or partly, and the relay's answer did not arrive or has no clear meaning.
    Unclear(Sentence),
}

/// Sends one message to all recipients or to none.
pub(super) async fn hand_over(relay: &Relay, composed: &ComposedMessage) -> SendOutcome {
    let mut connection = match connect(relay).await {
        Ok(connection) => connection,
        Err(failed) => return failed.not_handed_over(),
    };
    let handed = match prepare(&mut connection, relay, composed).await {
        Ok(()) => content(&mut connection, relay, composed).await,
        Err(failed) => failed.not_handed_over(),
    };
    // An error is ignored, because the outcome does not depend on the reply to QUIT.
    let _ = tokio::time::timeout(GOODBYE, async {
        let _ = connection.command(Quit).await;
    })
    .await;
    handed
}

/// Connects, starts TLS, and signs in.
async fn connect(relay: &Relay) -> Result<AsyncSmtpConnection, RelayFailure> {
    let tls = relay.tls().map_err(|error| RelayFailure::for_good(quote(error).into()))?;
    let hello = relay.hello();
    let (first, later) = match relay.encryption {
        Encryption::Implicit => (tls, None),
        Encryption::StartTls => (None, tls),
        Encryption::None => (None, None),
    };
    let address = (relay.host.as_str(), relay.port);
    let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(relay.time_out), &hello, first, None);
    let mut connection = answered(relay, connecting).await.map_err(|failed| failed.when("no connection"))?;
    if let Some(tls) = later {
        let upgrading = connection.starttls(tls, &hello);
        answered(relay, upgrading).await.map_err(|failed| failed.when("no TLS"))?;
    }
    if let Some(login) = &relay.login {
        let credentials = Credentials::new(login.user.clone(), login.password.text().to_owned());
        let signing_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
        answered(relay, signing_in).await.map_err(|failed| failed.when("not signed in"))?;
    }
    Ok(connection)
}

/// Sends the commands for the sender, the recipients and `DATA`. Until this function returns, the relay has no message
/// that it could deliver.
async fn prepare(
    connection: &mut AsyncSmtpConnection,
    relay: &Relay,
    composed: &ComposedMessage,
) -> Result<(), RelayFailure> {
    let mail = connection.command(Mail::new(composed.envelope.from().cloned(), Vec::new()));
    answered(relay, mail).await.map_err(|failed| failed.when("the sender was refused"))?;
    let mut refused = Vec::new();
    for recipient in composed.envelope.to() {
        let rcpt = connection.command(Rcpt::new(recipient.clone(), Vec::new()));
        match answered(relay, rcpt).await {
            Ok(_) => {}
            Err(failed) if failed.answered => refused.push(failed.of(recipient)),
            Err(failed) => return Err(failed.of(recipient)),
        }
    }
    if !refused.is_empty() {
        // The relay refused a recipient, so nothing is sent. A reviewer cleared the message to all recipients; to send
        // it only to some would be another effect.
        let _ = answered(relay, connection.command(Rset)).await;
        let passing = refused.iter().all(|failed| failed.passing);
        let each = Sentence::join(refused.into_iter().map(|failed| failed.text), "; ");
        let text = say!("not sent, because the relay refused these recipients: {}", each);
        return Err(RelayFailure { text, answered: true, passing });
    }
    let answer = answered(relay, connection.command(Data)).await;
    let answer = answer.map_err(|failed| failed.when("`DATA` was refused"))?;
    if answer.has_code(354) {
        return Ok(());
    }
    Err(RelayFailure::for_good(say!("`DATA` was answered with {}", quote(words(relay, &answer)))))
}

/// Sends the content of the message.
async fn content(connection: &mut AsyncSmtpConnection, relay: &Relay, composed: &ComposedMessage) -> SendOutcome {
    match answered(relay, connection.message(&composed.bytes)).await {
        Ok(answer) if answer.code().severity == Severity::PositiveCompletion => {
            SendOutcome::Accepted(words(relay, &answer))
        }
        Ok(answer) => SendOutcome::Unclear(say!("the relay answered {}", quote(words(relay, &answer)))),
        Err(failed) if failed.answered => failed.when("the message was refused").not_handed_over(),
        Err(failed) => SendOutcome::Unclear(failed.text),
    }
}

/// A command failed.
struct RelayFailure {
    /// The error as a sentence.
    text: Sentence,
    /// Whether the relay answered with a refusal. Otherwise there was no answer, or its meaning is unclear.
    answered: bool,
    /// Whether a later attempt may succeed: the relay said so (4xx), or it was unreachable.
    passing: bool,
}

impl RelayFailure {
    fn for_good(text: Sentence) -> Self {
        Self { text, answered: false, passing: false }
    }

    fn when(self, what: &'static str) -> Self {
        Self { text: say!("{}: {}", what, self.text), ..self }
    }

    fn of(self, recipient: &Address) -> Self {
        Self { text: say!("{}: {}", Trusted::address(recipient), self.text), ..self }
    }

    /// The outcome if the message was not sent, or was refused after sending.
    fn not_handed_over(self) -> SendOutcome {
        if self.passing { SendOutcome::PutOff(self.text) } else { SendOutcome::Refused(self.text) }
    }
}

async fn answered<T>(relay: &Relay, command: impl Future<Output = Result<T, Error>>) -> Result<T, RelayFailure> {
    match tokio::time::timeout(relay.time_out, command).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let answered = error.status().is_some();
            // A closed connection may work at the next attempt. A wrong certificate or a missing feature of the relay
            // will be the same then.
            let unreachable = !error.is_tls() && !error.is_client() && !is_untrusted(&error);
            let passing = if answered { error.is_transient() } else { unreachable };
            Err(RelayFailure { text: quote(clean(relay, &error.to_string())).into(), answered, passing })
        }
        Err(_) => {
            let text = say!("no answer within {} s", Trusted::number(relay.time_out.as_secs_f64()));
            Err(RelayFailure { text, answered: false, passing: true })
        }
    }
}

/// Whether TLS failed, for example because of an untrusted certificate. Lettre reports a broken connection, whose cause
/// is rustls's error for invalid data.
fn is_untrusted(error: &Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData))
}

/// A relay's answer in one line.
fn words(relay: &Relay, answer: &Response) -> String {
    let lines: Vec<&str> = answer.message().collect();
    clean(relay, &format!("{} {}", answer.code(), lines.join(" ")))
}

/// A relay's text without control characters, which could mislead in a log, and without the password, because some
/// relays quote the refused command.
fn clean(relay: &Relay, text: &str) -> String {
    let mut text = text.to_owned();
    for form in relay.login.iter().flat_map(|login| login.forms()) {
        text = text.replace(&form, "(secret)");
    }
    let cleaned = text.chars().take(REPLY_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    cleaned.trim().to_owned()
}
