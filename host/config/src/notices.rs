//! Whom the host tells, and of what.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use ureq::http::Uri;

/// What a message is about. The host's messages have these names as their `type`.
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
    /// What a webhook is told unless the operator says otherwise: all but that a run has ended as it should.
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
    /// What a reviewer is written of: what asks something of people.
    pub const MAIL: [Self; 4] = [Self::Held, Self::Reminder, Self::InDoubt, Self::Delayed];
}

/// The form of a webhook's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`standard` or `chat`")]
pub enum NoticeFormat {
    /// For programs.
    Standard,
    /// For chat services.
    Chat,
}

/// A webhook that is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NoticeTarget {
    /// Where it is, unless that stands in a file.
    pub url: Option<WebUrl>,
    /// The file in which that stands, because whoever knows it may write there.
    pub url_file: Option<PathBuf>,
    /// The file of the secret that messages are signed with, if they are.
    pub secret_file: Option<PathBuf>,
    /// In which form.
    pub format: NoticeFormat,
    /// Of what.
    pub events: Vec<NoticeEvent>,
    /// How long before a deadline it is reminded.
    pub remind_before_ms: u64,
    /// How often a message is tried again.
    pub retries: u32,
    /// About how long before the first of these; each next wait is twice as long, up to 15 minutes.
    pub retry_after_ms: u64,
    /// Whether it may be reached without TLS.
    pub allow_http: bool,
    /// Whether it may be reached in a network of the operator's own.
    pub allow_private: bool,
}

/// Where a webhook is. Its path may be a secret, so that only its host is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl(pub Uri);

/// Repeats nothing of the text, which may be a secret.
impl FromStr for WebUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || "this is not the address of a webhook; write it like `https://hooks.example.org/holdshort`";
        let uri: Uri = text.parse().map_err(|_| refuse())?;
        let whole =
            matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some_and(|host| !host.is_empty());
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if whole && plain && !text.contains('#') { Ok(Self(uri)) } else { Err(refuse().into()) }
    }
}

impl WebUrl {
    /// Refuses one without TLS, unless the operator allows it.
    pub fn with_tls(&self, allow_http: bool) -> Result<(), &'static str> {
        let clear = self.0.scheme_str() == Some("http") && !allow_http;
        if clear { Err("without TLS anybody on the way could read and change the messages") } else { Ok(()) }
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
