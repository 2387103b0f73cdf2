//! The kinds of notifications, and the webhooks that get them.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use ureq::http::Uri;

/// The kinds of notifications. Webhooks see these names as `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(expecting = "the name of an event")]
pub enum NoticeEvent {
    #[serde(rename = "approval.held")]
    Held,
    #[serde(rename = "approval.reminder")]
    Reminder,
    #[serde(rename = "approval.decided")]
    Decided,
    #[serde(rename = "approval.expired")]
    Expired,
    #[serde(rename = "approval.cancelled")]
    Withdrawn,
    #[serde(rename = "effect.in-doubt")]
    InDoubt,
    #[serde(rename = "run.delayed")]
    Delayed,
    #[serde(rename = "run.finished")]
    Finished,
    #[serde(rename = "run.failed")]
    Failed,
}

impl NoticeEvent {
    /// The default for webhooks: all kinds except `run.finished`.
    pub const WEBHOOK: [Self; 8] = [
        Self::Held,
        Self::Reminder,
        Self::Decided,
        Self::Expired,
        Self::Withdrawn,
        Self::InDoubt,
        Self::Delayed,
        Self::Failed,
    ];
    /// The default for email: kinds that ask a reviewer to act.
    pub const MAIL: [Self; 4] = [Self::Held, Self::Reminder, Self::InDoubt, Self::Delayed];
}

/// The format of a webhook's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`standard` or `chat`")]
pub enum NoticeFormat {
    /// JSON for programs.
    Standard,
    /// Text for chat services.
    Chat,
}

/// A webhook that gets notifications.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NoticeTarget {
    /// The address; `None` if a file contains it.
    pub url: Option<WebUrl>,
    /// The file with the address. An address can itself be a secret.
    pub url_file: Option<PathBuf>,
    /// The file with the signing secret, if notifications are signed.
    pub secret_file: Option<PathBuf>,
    pub format: NoticeFormat,
    pub events: Vec<NoticeEvent>,
    /// How long before the deadline a reminder is sent.
    pub remind_before_ms: u64,
    /// The maximum number of further attempts after a failed first attempt.
    pub retries: u32,
    /// The approximate wait before the second attempt. Each further wait is twice as long, up to 15 minutes.
    pub retry_after_ms: u64,
    /// Whether the address may begin with `http://`, so that notifications are sent without TLS.
    pub allow_http: bool,
    /// Whether the address may be in a private network.
    pub allow_private: bool,
}

/// The address of a webhook. Its path may be a secret, so only the host name is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl(pub Uri);

/// An error does not repeat the text, which may be a secret.
impl FromStr for WebUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || "this is not the address of a webhook; write an address like `https://hooks.example.org/holdshort`";
        let uri: Uri = text.parse().map_err(|_| refuse())?;
        let whole =
            matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some_and(|host| !host.is_empty());
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if whole && plain && !text.contains('#') { Ok(Self(uri)) } else { Err(refuse().into()) }
    }
}

impl WebUrl {
    /// Refuses an address without TLS, unless the operator allowed it.
    pub fn with_tls(&self, allow_http: bool) -> Result<(), &'static str> {
        let clear = self.0.scheme_str() == Some("http") && !allow_http;
        if clear { Err("without TLS, others on the network can read and change the messages") } else { Ok(()) }
    }
}

impl std::fmt::Display for WebUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}/", self.0.scheme_str().unwrap_or_default())?;
        f.write_str(if self.0.path_and_query().is_none_or(|path| path.as_str() == "/") { "" } else { "…" })
    }
}

impl std::fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for WebUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
