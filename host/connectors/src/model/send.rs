//! One attempt at a question, and the server's reply.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use holdshort_common::outbound::Attempt;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tracing::subscriber::NoSubscriber;
use ureq::http;

use super::answer::{Problem, Usage};
use super::request::Request;
use super::uncertainty::Uncertainty;
use super::{Api, Model, anthropic};
use crate::secret::Mask;

/// The maximum size of a request, as JSON.
pub(super) const REQUEST_BYTES_MAX: usize = 32 << 20;
/// The maximum size of a reply as a multiple of what the agent gets: a character can take six bytes in JSON.
const REPLY_FACTOR: u64 = 6;
/// The same for a reply with the probability of each token, which stands there with its bytes.
const REPLY_FACTOR_LOGPROBS: u64 = 64;
/// A reply's parts beside the text.
const REPLY_BYTES: u64 = 64 << 10;
/// An agent gets at most this many characters of a reply that is no answer.
const TOLD_CHARS_MAX: usize = 500;

/// A reply.
pub(super) struct Reply {
    status: u16,
    /// How long the server asks the host to wait.
    pub(super) retry_after: Option<Duration>,
    media_type: String,
    body: Vec<u8>,
}

/// There is no reply, with the reason.
pub(super) enum NoReply {
    /// The server has an address that the operator does not allow.
    Refused(String),
    /// The time limit was reached, or there is no token for the request. It is not asked again.
    Unavailable(String),
    /// Something else failed: another attempt may succeed.
    Failed(String),
    TooLong,
}

impl Reply {
    pub(super) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether another attempt may succeed.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..600)
    }

    /// The reply in a sentence, for an agent.
    pub(super) fn told(&self) -> String {
        format!("the model's server answered with status {}: {}", self.status, self.start())
    }

    /// The reply as a value.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (media_type, start) = (&self.media_type, self.start());
            let why = format!("the answer of the model's server, `{media_type}`, is not as expected: {error}: {start}");
            Problem::Malformed(why, Usage::default())
        })
    }

    fn start(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(TOLD_CHARS_MAX).collect()
    }
}

/// How many exchanges are made at once, each with a copy of the request on a thread of its own. Others wait.
static EXCHANGES: Semaphore = Semaphore::const_new(128);

/// Sends one question.
pub(super) struct Sender {
    model: Arc<Model>,
    mask: Arc<Mask>,
    request: http::Request<Vec<u8>>,
}

impl Sender {
    pub(super) fn new(model: Arc<Model>, mask: Arc<Mask>, request: &Request) -> Result<Self, Problem> {
        let body = model.api.body(&model, request)?.to_string().into_bytes();
        if body.len() > REQUEST_BYTES_MAX {
            let why = format!("the request has {} bytes with its images, more than {REQUEST_BYTES_MAX}", body.len());
            return Err(Problem::TooLong(why));
        }
        let mut made = http::Request::post(model.api.uri(&model)?)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            // Without compression the host can remove secrets.
            .header("accept-encoding", "identity");
        if model.api == Api::Anthropic {
            made = made.header(anthropic::VERSION.0, anthropic::VERSION.1);
        }
        let request = made.body(body).map_err(|error| Problem::Invalid(error.to_string()))?;
        Ok(Self { model, mask, request })
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn mask(&self) -> &Mask {
        &self.mask
    }

    /// After an answer: whether the next attempt has another token.
    pub(super) async fn renew(&self, reply: &Reply) -> bool {
        match &self.model.credential {
            Some(credential) if reply.status == 401 => credential.renew().await,
            _ => false,
        }
    }

    pub(super) async fn send(&self) -> Result<Reply, NoReply> {
        let turn = EXCHANGES.acquire().await.map_err(|error| NoReply::Failed(error.to_string()))?;
        let (reply, answer) = tokio::sync::oneshot::channel();
        let (model, mask, mut request) = (self.model.clone(), self.mask.clone(), self.request.clone());
        if let Some(credential) = &model.credential {
            let header = credential.header(&mask).await;
            let (name, value) = header.map_err(|why| NoReply::Unavailable(why.into_string()))?;
            request.headers_mut().insert(name, value);
        }
        // A separate thread: a stopping host does not wait for a silent server.
        let thread = std::thread::Builder::new().name("model".into()).spawn(move || {
            let _turn = turn;
            // The library would log the whole request.
            let _quiet = tracing::subscriber::set_default(NoSubscriber::default());
            drop(reply.send(exchange(&model, &mask, request)));
        });
        thread.map_err(|error| NoReply::Failed(error.to_string()))?;
        answer.await.unwrap_or_else(|_| Err(NoReply::Failed("the attempt was interrupted".into())))
    }
}

fn exchange(model: &Model, mask: &Mask, request: http::Request<Vec<u8>>) -> Result<Reply, NoReply> {
    let attempt = Attempt::new(&model.addresses, model.time_out);
    let masked = |text: &str| String::from_utf8_lossy(&mask.apply(text.into())).into_owned();
    let failed = |error: &ureq::Error| match (attempt.refused(), error) {
        (Some(refused), _) => NoReply::Refused(refused),
        (None, ureq::Error::Timeout(_)) => timed_out(model),
        (None, error) => NoReply::Failed(masked(&format!("the model's server gave no answer: {error}"))),
    };
    let mut response = attempt.agent.run(request).map_err(|error| failed(&error))?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = header("retry-after").and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let media_type = masked(header("content-type").unwrap_or("no type"));
    let status = response.status().as_u16();
    let factor = if model.uncertainty == Uncertainty::Logprobs { REPLY_FACTOR_LOGPROBS } else { REPLY_FACTOR };
    let bytes_max = model.answer_bytes_max.saturating_mul(factor).saturating_add(REPLY_BYTES);
    let mut body = Vec::new();
    let read = response.body_mut().as_reader().take(bytes_max.saturating_add(1)).read_to_end(&mut body);
    read.map_err(|error| {
        if error.kind() == std::io::ErrorKind::TimedOut {
            timed_out(model)
        } else {
            NoReply::Failed(masked(&format!("the answer of the model's server broke off: {error}")))
        }
    })?;
    if body.len() as u64 > bytes_max {
        return Err(NoReply::TooLong);
    }
    Ok(Reply { status, retry_after, media_type, body: mask.apply(body) })
}

fn timed_out(model: &Model) -> NoReply {
    NoReply::Unavailable(format!("the model's server gave no whole answer within {:?}", model.time_out))
}
