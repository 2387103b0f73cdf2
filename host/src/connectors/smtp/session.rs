//! One conversation with a relay, command by command, so that at every point it is known what the relay may have taken.

use std::future::Future;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::response::{Response, Severity};

use super::{Encryption, Relay, Secret};
use crate::connectors::message::Letter;

/// How long a relay gets to say goodbye; nothing depends on it.
const GOODBYE: Duration = Duration::from_millis(500);
/// Characters of a relay's answer that are passed on.
const REPLY_CHARS_MAX: usize = 300;

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// The relay accepted it, in these words.
    Accepted(String),
    /// It was not accepted and cannot be any more.
    Refused(String),
    /// It was handed over, wholly or in part, and the relay's answer is lost.
    Unclear(String),
}

/// Hands one message over, to all recipients or to none.
pub(super) async fn hand_over(relay: &Relay, letter: &Letter) -> Handed {
    let mut connection = match connect(relay).await {
        Ok(connection) => connection,
        Err(why) => return Handed::Refused(why),
    };
    let handed = match prepare(&mut connection, relay, letter).await {
        Ok(()) => content(&mut connection, relay, letter).await,
        Err(why) => Handed::Refused(why),
    };
    // What is known is known; a relay that does not say goodbye changes nothing.
    let _ = tokio::time::timeout(GOODBYE, async {
        let _ = connection.command(Quit).await;
    })
    .await;
    handed
}

/// Connects, protects the connection and signs in.
async fn connect(relay: &Relay) -> Result<AsyncSmtpConnection, String> {
    let tls = relay.tls().map_err(|error| error.to_string())?;
    let hello = relay.hello();
    let (first, later) = match relay.encryption {
        Encryption::Implicit => (tls, None),
        Encryption::StartTls => (None, tls),
        Encryption::None => (None, None),
    };
    let address = (relay.host.as_str(), relay.port);
    let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(relay.time_out), &hello, first, None);
    let mut connection =
        answered(relay, connecting).await.map_err(|failed| format!("no connection: {}", failed.text()))?;
    if let Some(tls) = later {
        let upgrading = connection.starttls(tls, &hello);
        answered(relay, upgrading).await.map_err(|failed| format!("no TLS: {}", failed.text()))?;
    }
    if let Some(login) = &relay.login {
        let Secret(password) = &login.password;
        let credentials = Credentials::new(login.user.clone(), password.clone());
        let signing_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
        answered(relay, signing_in).await.map_err(|failed| format!("not signed in: {}", failed.text()))?;
    }
    Ok(connection)
}

/// Names sender and recipients and asks leave to send. Until this has returned, the relay has nothing that it could deliver.
async fn prepare(connection: &mut AsyncSmtpConnection, relay: &Relay, letter: &Letter) -> Result<(), String> {
    let mail = connection.command(Mail::new(letter.envelope.from().cloned(), Vec::new()));
    answered(relay, mail).await.map_err(|failed| format!("the sender was refused: {}", failed.text()))?;
    let mut refused = Vec::new();
    for recipient in letter.envelope.to() {
        let rcpt = connection.command(Rcpt::new(recipient.clone(), Vec::new()));
        match answered(relay, rcpt).await {
            Ok(_) => {}
            Err(Failed::Answer(answer)) => refused.push(format!("{recipient}: {answer}")),
            Err(failed @ Failed::Silence(_)) => return Err(format!("{recipient}: {}", failed.text())),
        }
    }
    if !refused.is_empty() {
        // A reviewer cleared the message to all of them; sending it to some is something else.
        let _ = answered(relay, connection.command(Rset)).await;
        return Err(format!("sent to nobody, because these were refused: {}", refused.join("; ")));
    }
    let answer = answered(relay, connection.command(Data)).await;
    let answer = answer.map_err(|failed| format!("`DATA` was refused: {}", failed.text()))?;
    if answer.has_code(354) { Ok(()) } else { Err(format!("`DATA` was answered with {}", words(relay, &answer))) }
}

/// Sends the message itself.
async fn content(connection: &mut AsyncSmtpConnection, relay: &Relay, letter: &Letter) -> Handed {
    match answered(relay, connection.message(&letter.bytes)).await {
        Ok(answer) if answer.code().severity == Severity::PositiveCompletion => Handed::Accepted(words(relay, &answer)),
        Ok(answer) => Handed::Unclear(format!("it answered {}", words(relay, &answer))),
        Err(Failed::Answer(answer)) => Handed::Refused(format!("the message was refused: {answer}")),
        Err(Failed::Silence(why)) => Handed::Unclear(why),
    }
}

/// Why a command did not succeed.
enum Failed {
    /// The relay answered with a refusal.
    Answer(String),
    /// There was no answer, or none that could be understood.
    Silence(String),
}

impl Failed {
    fn text(self) -> String {
        match self {
            Self::Answer(text) | Self::Silence(text) => text,
        }
    }
}

async fn answered<T>(relay: &Relay, command: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
    match tokio::time::timeout(relay.time_out, command).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if error.status().is_some() => Err(Failed::Answer(clean(relay, &error.to_string()))),
        Ok(Err(error)) => Err(Failed::Silence(clean(relay, &error.to_string()))),
        Err(_) => Err(Failed::Silence(format!("no answer within {} s", relay.time_out.as_secs_f32()))),
    }
}

/// A relay's answer in one line.
fn words(relay: &Relay, answer: &Response) -> String {
    let lines: Vec<&str> = answer.message().collect();
    clean(relay, &format!("{} {}", answer.code(), lines.join(" ")))
}

/// What came over the network, without what could mislead in a log, and without the password: some relays quote the command that they refuse.
fn clean(relay: &Relay, text: &str) -> String {
    let mut text = text.to_owned();
    for form in relay.login.iter().flat_map(|login| login.forms()) {
        text = text.replace(&form, "(secret)");
    }
    let cleaned = text.chars().take(REPLY_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    cleaned.trim().to_owned()
}
