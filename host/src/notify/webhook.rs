//! Sends one request to one webhook: only to the configured URL, only to permitted addresses,
//! without following redirects.

use std::io::Read;
use std::time::{Duration, SystemTime};

use holdshort_gate::Time;
use tracing::subscriber::NoSubscriber;
use ureq::http::Uri;

use super::message::{Format, body};
use super::notice::Notice;
use super::sign::Secret;
use holdshort_common::outbound::{Addresses, Attempt};

/// The time limit for one request.
const TIME_OUT: Duration = Duration::from_secs(15);
/// The limit for the body of an answer.
const ANSWER_BYTES_MAX: u64 = 1024;

/// A configured webhook.
#[derive(Clone)]
pub struct Webhook {
    /// The URL with scheme, host and path. The path may be a secret, so the URL is never shown.
    pub url: Uri,
    /// The signing secret, if configured.
    pub secret: Option<Secret>,
    pub format: Format,
    /// The network addresses to which the webhook's host name may resolve.
    pub addresses: Addresses,
}

/// The longest pause that a target may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// The reason why a notification was not delivered, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDelivered {
    /// The reason, without the target's address.
    pub why: String,
    /// The target's wish for the next attempt.
    pub again: RetryTime,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryTime {
    /// By the usual schedule.
    AsUsual,
    /// After this pause (`Retry-After`), an hour at most.
    After(Duration),
    /// Not at all, also for other notifications (status 410).
    Never,
}

impl From<String> for NotDelivered {
    fn from(why: String) -> Self {
        Self { why, again: RetryTime::AsUsual }
    }
}

/// A target's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookResponse {
    pub status: u16,
    /// The beginning of the body, unescaped.
    pub body: String,
}

impl Webhook {
    /// Sends one notification once. An error says why it is unknown whether the target got the notification. Of the
    /// URL, the error contains only the host.
    pub async fn send(&self, notice: &Notice, base: &str, now: Time) -> Result<WebhookResponse, NotDelivered> {
        let (webhook, id, body) = (self.clone(), notice.id.clone(), body(notice, base, self.format));
        let (reply, answer) = tokio::sync::oneshot::channel();
        // The thread is separate, so that a host that stops does not wait for a silent target.
        std::thread::spawn(move || {
            // The library would log the complete URL, whose path may be a secret.
            let _quiet = tracing::subscriber::set_default(NoSubscriber::default());
            drop(reply.send(webhook.post(&id, now.0 / 1_000_000, &body)));
        });
        answer.await.unwrap_or_else(|_| Err("the attempt was interrupted".to_owned().into()))
    }

    fn post(&self, id: &str, timestamp: u64, body: &str) -> Result<WebhookResponse, NotDelivered> {
        let attempt = Attempt::new(&self.addresses, TIME_OUT);
        let mut request = attempt
            .agent
            .post(&self.url)
            .content_type("application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string());
        if let Some(secret) = &self.secret {
            request = request.header("webhook-signature", secret.sign(id, timestamp, body));
        }
        let mut response = request.send(body).map_err(|error| {
            NotDelivered::from(attempt.refused().unwrap_or_else(|| self.without_path(&error.to_string())))
        })?;
        let status = response.status().as_u16();
        let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let again = match (status, asked.and_then(|asked| pause(asked, timestamp))) {
            (410, _) => RetryTime::Never,
            (_, Some(pause)) => RetryTime::After(pause),
            (_, None) => RetryTime::AsUsual,
        };
        let mut answer = Vec::new();
        // Only the status counts, so it does not matter if the body breaks off.
        drop(response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut answer));
        let answer = WebhookResponse { status, body: String::from_utf8_lossy(&answer).into_owned() };
        if (200..300).contains(&status) { Ok(answer) } else { Err(NotDelivered { why: answer.refusal(), again }) }
    }

    fn without_path(&self, text: &str) -> String {
        let path = self.url.path_and_query().map_or("", |path| path.as_str());
        if path.len() > 1 { text.replace(path, "/…") } else { text.to_owned() }
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date (RFC 9110, 10.2.3). `now` is in seconds since
/// 1970.
pub(super) fn pause(asked: &str, now: u64) -> Option<Duration> {
    let asked = asked.trim();
    let digits = !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit());
    let pause = if digits {
        // A number too large for the type exceeds the longest pause anyway.
        Duration::from_secs(asked.parse().unwrap_or(u64::MAX))
    } else {
        let then = httpdate::parse_http_date(asked).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        then.saturating_sub(Duration::from_secs(now))
    };
    Some(pause.min(PAUSE_MAX))
}

impl WebhookResponse {
    fn refusal(&self) -> String {
        let what = if (300..400).contains(&self.status) { ", a redirect, which is not followed" } else { "" };
        format!("the target answered {}{what}", self.status)
    }
}
