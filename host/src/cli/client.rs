//! The HTTP client for `/v1`, with the rights of a reviewer.
//!
//! Before it sends a decision, the client computes the digests again from the host's answer
//! ([`verify()`]).

mod connect;
mod local;
mod verify;

use std::borrow::Cow;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Body};

pub use connect::{connect, token};
pub use verify::{Disagrees, Verified, verify};

use local::LocalConnector;

use super::args::{CallId, RunName};
use super::exit::{Exit, Failure};

/// The time limit for an answer. It suffices for an edit, for which the connector makes a new preview.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// The time limit for the answer to a backtest, which reads the whole journal.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(1_200);
/// The time limit for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The size limit for an answer. The largest answers are pages of events with payloads.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The time limit for one stream of events. A dead network is noticed after this time at the
/// latest.
const STREAM_TIME_MAX: Duration = Duration::from_secs(120);

/// The pause before a request is first sent again after a lost answer. Each further pause is twice as long.
const SEND_AGAIN_FIRST: Duration = Duration::from_millis(100);
/// The last pause. If the answer is lost after this pause too, the request is not sent again.
const SEND_AGAIN_LAST: Duration = Duration::from_millis(1_600);

/// A host and the token for it.
pub struct Client {
    agent: Agent,
    base: String,
    token: String,
}

/// An error answer (RFC 9457).
#[derive(Debug, serde::Deserialize)]
struct ProblemDetails {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: Option<String>,
}

impl Client {
    /// A client for the host at `base`, such as `http://127.0.0.1:7411`, with a reviewer's token.
    pub fn new(base: &str, token: &str) -> Self {
        Self::with(Self::config().new_agent(), base, token)
    }

    /// A client for the host of a state folder, through its socket. `base` is the host's address in
    /// messages.
    pub fn local(state: &Path, base: &str, token: &str) -> Self {
        let agent = Agent::with_parts(Self::config(), LocalConnector(state.to_owned()), DefaultResolver::default());
        Self::with(agent, base, token)
    }

    fn with(agent: Agent, base: &str, token: &str) -> Self {
        Self { agent, base: base.trim_end_matches('/').into(), token: token.into() }
    }

    fn config() -> ureq::config::Config {
        Agent::config_builder()
            .http_status_as_error(false)
            // A redirect must not carry the token to another host.
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(ANSWER_TIME_MAX))
            .build()
    }

    /// Fetches a JSON document below `/v1`.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
        let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
        let request = self.agent.get(self.url(path)).query_pairs(pairs).header("Authorization", self.authorization());
        let mut response = request.call().map_err(|error| self.unreachable(&error))?;
        self.refused(path, &mut response)?;
        self.json(&mut response)
    }

    /// Fetches bytes below `/v1`.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let request = self.agent.get(self.url(path)).header("Authorization", self.authorization());
        let mut response = request.call().map_err(|error| self.unreachable(&error))?;
        self.refused(path, &mut response)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        body.map_err(|error| self.unreachable(&error))
    }

    /// Follows the host's stream of changes until it ends. `heard` gets `None` at the start, and
    /// then the run of each event.
    pub fn listen(&self, mut heard: impl FnMut(Option<&str>)) -> Result<(), Failure> {
        let request = self.agent.get(self.url("/events")).header("Authorization", self.authorization());
        let request = request.config().timeout_global(Some(STREAM_TIME_MAX)).build();
        let mut response = request.call().map_err(|error| self.unreachable(&error))?;
        self.refused("/events", &mut response)?;
        heard(None);
        let body = response.into_body().into_with_config().limit(ANSWER_BYTES_MAX).reader();
        for line in BufReader::new(body).lines().map_while(Result::ok) {
            let data = line.strip_prefix("data:").and_then(|data| serde_json::from_str::<Value>(data).ok());
            data.iter().filter_map(|data| data.get("run")?.as_str()).for_each(|run| heard(Some(run)));
        }
        Ok(())
    }

    /// Sends a JSON document below `/v1`.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.authorization());
        let mut response = request.send_json(body).map_err(|error| self.unreachable(&error))?;
        self.refused(path, &mut response)?;
        self.json(&mut response)
    }

    /// Sends a request that creates something, with an idempotency key. While the outcome is
    /// unknown, the same request is sent again with the same key, so it takes effect once.
    pub fn post_once<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let random = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?)));
        let (high, low) = random.map_err(|error| {
            Failure::new(Exit::Failed, format!("the operating system gives no random numbers: {error}"))
        })?;
        let key = format!("\"{high:016x}{low:016x}\"");
        let mut pause = SEND_AGAIN_FIRST;
        loop {
            let request = self.agent.post(self.url(path)).header("Authorization", self.authorization());
            let mut answer = request.header("Idempotency-Key", &key).send_json(body);
            let lost = match &answer {
                Ok(response) => response.status() == StatusCode::SERVICE_UNAVAILABLE,
                // No connection was made, so the request was not sent.
                Err(ureq::Error::ConnectionFailed | ureq::Error::HostNotFound) => false,
                Err(ureq::Error::Io(error)) => error.kind() != std::io::ErrorKind::ConnectionRefused,
                Err(_) => true,
            };
            if lost && pause <= SEND_AGAIN_LAST {
                std::thread::sleep(pause);
                pause *= 2;
                continue;
            }
            let response = answer.as_mut().map_err(|error| self.unreachable(error))?;
            self.refused(path, response)?;
            return self.json(response);
        }
    }

    /// Runs a backtest.
    pub fn backtest(&self, candidate: &Value) -> Result<Value, Failure> {
        let request = self.agent.post(self.url("/backtests")).header("Authorization", self.authorization());
        let request = request.config().timeout_global(Some(TRIAL_TIME_MAX)).build();
        let mut response = request.send_json(candidate).map_err(|error| self.unreachable(&error))?;
        self.refused("/backtests", &mut response)?;
        self.json(&mut response)
    }

    /// One approval with all its parts.
    pub fn approval(&self, id: &CallId) -> Result<Value, Failure> {
        self.get(&format!("/approvals/{id}"), &[])
    }

    /// Sends a decision.
    pub fn decide(&self, id: &CallId, decision: &Value) -> Result<Value, Failure> {
        self.post(&format!("/approvals/{id}/decisions"), decision)
    }

    /// One run.
    pub fn run(&self, id: &RunName) -> Result<Value, Failure> {
        self.get(&format!("/runs/{id}"), &[])
    }

    /// The host's address as the user gave it.
    pub fn base(&self) -> &str {
        &self.base
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1{path}", self.base)
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn json<T: DeserializeOwned>(&self, response: &mut Response<Body>) -> Result<T, Failure> {
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| self.unreachable(&error))?;
        serde_json::from_str(&text).map_err(not_understood)
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::new(Exit::Unreachable, format!("cannot reach the host at `{}`: {error}", self.base))
            .hint("start the host with `holdshort serve`, or name another host with `--url`; if you were sending a decision, you can safely send it again")
    }

    /// Converts an error answer to a failure, in the host's words. `path` is the path of the
    /// request.
    fn refused(&self, path: &str, response: &mut Response<Body>) -> Result<(), Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
        let said =
            serde_json::from_str::<ProblemDetails>(&text).ok().map(|problem| problem.detail.unwrap_or(problem.title));
        let said = said
            .filter(|said| !said.is_empty())
            .unwrap_or_else(|| format!("the host answered with the status {status}"));
        let (exit, hint) = meaning(status, path);
        let failure = Failure::new(exit, said);
        Err(match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        })
    }
}

/// The exit code for an error answer to a request of `path`, and the advice.
fn meaning(status: StatusCode, path: &str) -> (Exit, Option<Cow<'static, str>>) {
    let advice = |text: &'static str| Some(Cow::Borrowed(text));
    match status.as_u16() {
        400 | 415 => (Exit::Usage, None),
        401 => (
            Exit::Refused,
            advice(
                "give your token file with `--token-file`; the local operator's token file is `.holdshort/token` in the host's folder",
            ),
        ),
        403 => (Exit::Refused, None),
        404 if path.starts_with("/grants/") => (Exit::Refused, advice("`holdshort grants --all` lists all grants")),
        404 => (
            Exit::Refused,
            advice("`holdshort approvals --state all` lists all approvals, and `holdshort runs` lists all runs"),
        ),
        409 => (Exit::Refused, Some(look_again(path).into())),
        410 | 413 | 422 => (Exit::Refused, None),
        429 => (Exit::Failed, advice("try again in a moment")),
        300..=399 => (
            Exit::Failed,
            advice(
                "give the host's own address with `--url`; redirects are not followed, because each request carries your token",
            ),
        ),
        _ => (Exit::Failed, advice("the host's log has details")),
    }
}

/// The advice to look again at the subject of a request of `path`.
fn look_again(path: &str) -> String {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "runs", run, "calls", call, ..] => format!("look again with `holdshort approvals show {run}.{call}`"),
        ["", "runs", run, ..] => format!("look again with `holdshort runs show {run}`"),
        ["", "approvals", id, ..] => format!("look again with `holdshort approvals show {id}`"),
        _ => "look again".into(),
    }
}

/// Reads an answer into its type.
pub fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(not_understood)
}

fn not_understood(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the host's answer cannot be read: {error}")).hint(
        "check that the address is that of a Holdshort host, and that the host has the same version as this program",
    )
}

#[cfg(test)]
mod tests;
