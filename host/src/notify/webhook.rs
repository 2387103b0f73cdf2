//! One request to one target: only to where the operator said, only to addresses that may be reached, and nowhere else from there.
//!
//! **Invariant:** An address is judged in the resolver of the connection itself, so the address that was judged is the address that is connected
//! to. All addresses of a name must be allowed, not only one of them.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use holdshort_gate::Time;
use tracing::subscriber::NoSubscriber;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::address;
use super::message::{Format, body};
use super::notice::Notice;
use super::sign::Secret;

/// How long a target may take for all of it.
const TIME_OUT: Duration = Duration::from_secs(15);
/// Bytes of an answer's head and of its body that are read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const ANSWER_BYTES_MAX: u64 = 1024;

/// Finds the addresses of a host and a port.
pub type Lookup = dyn Fn(&str, u16) -> std::io::Result<Vec<SocketAddr>> + Send + Sync;

/// Where messages go.
#[derive(Clone)]
pub struct Webhook {
    /// With a scheme, a host and a path. The path may be a secret of its own, so that nothing shows it.
    pub url: Uri,
    /// What messages are signed with, if they are.
    pub secret: Option<Secret>,
    /// In which form.
    pub format: Format,
    /// Why an address is not reached, if it is not.
    pub rule: fn(IpAddr) -> Option<&'static str>,
    /// Names are looked up by this; by the system, if there is none.
    pub lookup: Option<Arc<Lookup>>,
}

/// A rule that refuses nothing, for targets of the operator's own network.
pub fn anywhere(_: IpAddr) -> Option<&'static str> {
    None
}

/// The longest pause that a target is given because it asks for one.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// Why a message is not known to have arrived, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTold {
    /// In words, without the target's address.
    pub why: String,
    /// What the target asked for, if it answered.
    pub again: Again,
}

/// When a target wants the message again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It did not say.
    AsUsual,
    /// Not before this has passed (`Retry-After`), an hour at most.
    After(Duration),
    /// Never, and no other message either (410).
    Never,
}

impl From<String> for NotTold {
    fn from(why: String) -> Self {
        Self { why, again: Again::AsUsual }
    }
}

/// What a target answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The beginning of the body, as it came.
    pub body: String,
}

impl Webhook {
    /// Sends one message, once. An error says why it is not known to have arrived, without a word of the address but its host.
    pub async fn send(&self, notice: &Notice, base: &str, now: Time) -> Result<Answer, NotTold> {
        let (webhook, id, body) = (self.clone(), notice.id.clone(), body(notice, base, self.format));
        let (reply, answer) = tokio::sync::oneshot::channel();
        // A thread of its own: a host that ends does not wait for a target that does not answer.
        std::thread::spawn(move || {
            // The library logs the whole address, whose path may be a secret.
            let _quiet = tracing::subscriber::set_default(NoSubscriber::default());
            drop(reply.send(webhook.post(&id, now.0 / 1_000_000, &body)));
        });
        answer.await.unwrap_or_else(|_| Err("the attempt was interrupted".to_owned().into()))
    }

    fn post(&self, id: &str, timestamp: u64, body: &str) -> Result<Answer, NotTold> {
        let refused = Arc::new(Mutex::new(None));
        let agent = self.agent(refused.clone());
        let mut request = agent
            .post(&self.url)
            .content_type("application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string());
        if let Some(secret) = &self.secret {
            request = request.header("webhook-signature", secret.sign(id, timestamp, body));
        }
        let mut response = request.send(body).map_err(|error| {
            let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
            NotTold::from(refused.unwrap_or_else(|| self.without_path(&error.to_string())))
        })?;
        let status = response.status().as_u16();
        let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let again = match (status, asked.and_then(|asked| pause(asked, timestamp))) {
            (410, _) => Again::Never,
            (_, Some(pause)) => Again::After(pause),
            (_, None) => Again::AsUsual,
        };
        let mut answer = Vec::new();
        // The status is what counts; a body that breaks off changes nothing.
        drop(response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut answer));
        let answer = Answer { status, body: String::from_utf8_lossy(&answer).into_owned() };
        if (200..300).contains(&status) { Ok(answer) } else { Err(NotTold { why: answer.refusal(), again }) }
    }

    /// A new one for each attempt, so that no connection and no address is used again. A proxy of the environment would look names up itself.
    fn agent(&self, refused: Arc<Mutex<Option<String>>>) -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("holdshort/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(HEAD_BYTES_MAX)
            .timeout_global(Some(TIME_OUT))
            .build();
        let resolver = Checked { rule: self.rule, lookup: self.lookup.clone(), refused };
        ureq::Agent::with_parts(config, DefaultConnector::default(), resolver)
    }

    fn without_path(&self, text: &str) -> String {
        let path = self.url.path_and_query().map_or("", |path| path.as_str());
        if path.len() > 1 { text.replace(path, "/…") } else { text.to_owned() }
    }
}

/// `Retry-After`: seconds, or a date of HTTP (RFC 9110, 10.2.3), as the time from `now`, which is in seconds since 1970.
pub(super) fn pause(asked: &str, now: u64) -> Option<Duration> {
    let asked = asked.trim();
    let digits = !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit());
    let pause = if digits {
        // More seconds than a number holds are more than the longest pause.
        Duration::from_secs(asked.parse().unwrap_or(u64::MAX))
    } else {
        let then = httpdate::parse_http_date(asked).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        then.saturating_sub(Duration::from_secs(now))
    };
    Some(pause.min(PAUSE_MAX))
}

impl Answer {
    fn refusal(&self) -> String {
        let what = if (300..400).contains(&self.status) { ", a redirect, which is not followed" } else { "" };
        format!("it answered {}{what}", self.status)
    }
}

/// What it returns is what is connected to: nothing is looked up a second time, so a name cannot mean something else by then.
struct Checked {
    rule: fn(IpAddr) -> Option<&'static str>,
    lookup: Option<Arc<Lookup>>,
    refused: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checked")
    }
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let found = match &self.lookup {
            Some(lookup) => {
                let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
                let mut found = self.empty();
                lookup(host, port)?.into_iter().for_each(|address| found.push(address));
                found
            }
            None => DefaultResolver::default().resolve(uri, config, timeout)?,
        };
        address::check(host, &found, self.rule).map_err(|why| {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            ureq::Error::HostNotFound
        })?;
        Ok(found)
    }
}
