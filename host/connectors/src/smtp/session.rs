//! One SMTP session, command by command, so that the relay's possible state is known at every
//! point.

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

use super::{Encryption, Relay, Secret};
use crate::message::Letter;
use crate::{Known, Sentence, quote, say};

/// The time for the relay's reply to QUIT; nothing depends on it.
const GOODBYE: Duration = Duration::from_millis(500);
/// At most this many characters of a relay's answer are repeated.
const REPLY_CHARS_MAX: usize = 300;

/// The outcome of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// The relay accepted it, in these words.
    Accepted(String),
    /// It was not accepted, and this attempt can no longer deliver it. A later attempt may succeed.
    PutOff(Sentence),
    /// It was not accepted, and this attempt can no longer deliver it.
    Refused(Sentence),
    /// It was sent completely or partly, and the relay's answer is lost.
    Unclear(Sentence),
}

/// Sends one message to all recipients or to none.
pub(super) async fn hand_over(relay: &Relay, letter: &Letter) -> Handed {
    let mut connection = match connect(relay).await {
        Ok(connection) => connection,
        Err(failed) => return failed.not_handed_over(),
    };
    let handed = match prepare(&mut connection, relay, letter).await {
        Ok(()) => content(&mut connection, relay, letter).await,
        Err(failed) => failed.not_handed_over(),
    };
    // The outcome is known already, whether or not the relay replies to QUIT.
    let _ = tokio::time::timeout(GOODBYE, async {
        let _ = connection.command(Quit).await;
    })
    .await;
    handed
}

/// Connects, starts TLS, and signs in.
async fn connect(relay: &Relay) -> Result<AsyncSmtpConnection, Failed> {
    let tls = relay.tls().map_err(|error| Failed::for_good(quote(error).into()))?;
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
        let Secret(password) = &login.password;
        let credentials = Credentials::new(login.user.clone(), password.clone());
        let signing_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
        answered(relay, signing_in).await.map_err(|failed| failed.when("not signed in"))?;
    }
    Ok(connection)
}

/// Sends sender and recipients, and asks to send. Until this returns, the relay has nothing to
/// deliver.
async fn prepare(connection: &mut AsyncSmtpConnection, relay: &Relay, letter: &Letter) -> Result<(), Failed> {
    let mail = connection.command(Mail::new(letter.envelope.from().cloned(), Vec::new()));
    answered(relay, mail).await.map_err(|failed| failed.when("the sender was refused"))?;
    let mut refused = Vec::new();
    for recipient in letter.envelope.to() {
        let rcpt = connection.command(Rcpt::new(recipient.clone(), Vec::new()));
        match answered(relay, rcpt).await {
            Ok(_) => {}
            Err(failed) if failed.answered => refused.push(failed.of(recipient)),
            Err(failed) => return Err(failed.of(recipient)),
        }
    }
    if !refused.is_empty() {
        // A reviewer cleared the message to all recipients; sending it to some would be another
        // effect.
        let _ = answered(relay, connection.command(Rset)).await;
        let passing = refused.iter().all(|failed| failed.passing);
        let each = Sentence::join(refused.into_iter().map(|failed| failed.text), "; ");
        let text = say!("not sent, because the relay refused these recipients: {}", each);
        return Err(Failed { text, answered: true, passing });
    }
    let answer = answered(relay, connection.command(Data)).await;
    let answer = answer.map_err(|failed| failed.when("`DATA` was refused"))?;
    if answer.has_code(354) {
        return Ok(());
    }
    Err(Failed::for_good(say!("`DATA` was answered with {}", quote(words(relay, &answer)))))
}

/// Sends the message itself.
async fn content(connection: &mut AsyncSmtpConnection, relay: &Relay, letter: &Letter) -> Handed {
    match answered(relay, connection.message(&letter.bytes)).await {
        Ok(answer) if answer.code().severity == Severity::PositiveCompletion => Handed::Accepted(words(relay, &answer)),
        Ok(answer) => Handed::Unclear(say!("the relay answered {}", quote(words(relay, &answer)))),
        Err(failed) if failed.answered => failed.when("the message was refused").not_handed_over(),
        Err(failed) => Handed::Unclear(failed.text),
    }
}

/// A command failed.
struct Failed {
    /// The error as a sentence.
    text: Sentence,
    /// The relay answered with a refusal. Otherwise there was no understandable answer.
    answered: bool,
    /// A later attempt may succeed: the relay said so (4xx), or it was unreachable.
    passing: bool,
}

impl Failed {
    fn for_good(text: Sentence) -> Self {
        Self { text, answered: false, passing: false }
    }

    fn when(self, what: &'static str) -> Self {
        Self { text: say!("{}: {}", what, self.text), ..self }
    }

    fn of(self, recipient: &Address) -> Self {
        Self { text: say!("{}: {}", Known::address(recipient), self.text), ..self }
    }

    /// The outcome if the message was not sent, or was refused after sending.
    fn not_handed_over(self) -> Handed {
        if self.passing { Handed::PutOff(self.text) } else { Handed::Refused(self.text) }
    }
}

async fn answered<T>(relay: &Relay, command: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
    match tokio::time::timeout(relay.time_out, command).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let answered = error.status().is_some();
            // A wrong certificate, or a missing feature of the relay, will be the same at the next
            // attempt. A closed connection may work at the next attempt.
            let unreachable = !error.is_tls() && !error.is_client() && !is_untrusted(&error);
            let passing = if answered { error.is_transient() } else { unreachable };
            Err(Failed { text: quote(clean(relay, &error.to_string())).into(), answered, passing })
        }
        Err(_) => {
            let text = say!("no answer within {} s", Known::number(relay.time_out.as_secs_f64()));
            Err(Failed { text, answered: false, passing: true })
        }
    }
}

/// Whether TLS failed, for example with an untrusted certificate. Lettre reports this as a broken
/// connection, and rustls below it as invalid data.
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

/// Network text without characters that could mislead in a log, and without the password: some
/// relays quote the refused command.
fn clean(relay: &Relay, text: &str) -> String {
    let mut text = text.to_owned();
    for form in relay.login.iter().flat_map(|login| login.forms()) {
        text = text.replace(&form, "(secret)");
    }
    let cleaned = text.chars().take(REPLY_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    cleaned.trim().to_owned()
}
