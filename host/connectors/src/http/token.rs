//! Tokens that an authorization server gives to the host as a client, by OAuth 2.0 client credentials (RFC 6749, 4.4).
//!
//! A token is fetched when a request needs one, and stays in memory until shortly before it expires. The whole exchange
//! is a form and a small JSON object, which is less than what an OAuth library would need around it.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use holdshort_common::outbound::{Addresses, Attempt};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use ureq::http::{Request, Uri};

use super::send::apart;
use crate::secret::{MASKED_CHARS_MIN, Mask, Secret};
use crate::{Sentence, quote, quote_start, say};

/// The time limit for fetching a token, beside that of the request.
const TIME_OUT: Duration = Duration::from_secs(10);
/// The maximum size of a token, and of the answer with it.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// The maximum length of the server's error in a sentence.
const ERROR_CHARS_MAX: usize = 300;
/// The lifetime of a token whose server does not state it.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(30);
/// How long after its end by this clock a token may still be good by the server's.
const CLOCKS_DIFFER: Duration = Duration::from_mins(10);
/// How long a token is removed from answers whose server does not state its lifetime.
const MASKED_WITHOUT_LIFETIME: Duration = Duration::from_hours(1);
/// How long the authorization server is not asked again after it gave no token.
const FAILED_TIME: Duration = Duration::from_secs(2);
/// How many tokens of a client are dropped because another system did not accept them, in which time.
const RENEWALS_MAX: usize = 8;
const RENEWALS_TIME: Duration = Duration::from_mins(10);

/// The host as a client of an authorization server.
pub struct Client {
    pub token_url: Uri,
    pub id: String,
    pub secret: Secret,
    /// Whether the secret is in the form, not in the header `authorization`.
    pub secret_in_form: bool,
    pub scope: Option<String>,
    pub audience: Option<String>,
    /// The addresses that the authorization server may have.
    pub addresses: Addresses,
}

/// The tokens of a client: the current one.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) client: Arc<Client>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(tokens)")
    }
}

#[derive(Default)]
struct State {
    current: Option<Token>,
    /// When there was no token, and why. Requests at the same time share the reason, and do not ask one after the other.
    failed: Option<(Instant, Sentence)>,
    /// When other systems did not accept a token, in the last [`RENEWALS_TIME`].
    renewals: Vec<Instant>,
}

struct Token {
    text: Secret,
    good_until: Instant,
    /// Whether an earlier request had it.
    was_used: bool,
}

impl Tokens {
    pub(super) fn new(client: Client) -> Self {
        Self { client: Arc::new(client), state: Arc::default() }
    }

    /// A token that is good for a request. Of requests at the same time, one fetches the token for all.
    pub(super) async fn get(&self, mask: &Arc<Mask>, name: &str) -> Result<Secret, Sentence> {
        let state = tokio::time::timeout(TIME_OUT, self.state.lock()).await;
        let mut state = state.map_err(|_| say!("the token endpoint is slow, and other requests wait for it too"))?;
        if let Some(token) = state.current.as_mut().filter(|token| Instant::now() < token.good_until) {
            token.was_used = true;
            return Ok(token.text.clone());
        }
        if let Some((_, why)) = state.failed.as_ref().filter(|(at, _)| at.elapsed() < FAILED_TIME) {
            return Err(why.clone());
        }
        let (client, masked, asked_at) = (self.client.clone(), mask.clone(), Instant::now());
        let fetched = apart(move || fetch(&client, &masked)).await.map_err(quote)?;
        let Fetched { text, lifetime, is_stated } =
            match fetched.unwrap_or_else(|| Err(say!("the attempt was interrupted"))) {
                Ok(fetched) => fetched,
                Err(why) => {
                    state.failed = Some((Instant::now(), why.clone()));
                    return Err(why);
                }
            };
        let masked_for = if is_stated { lifetime + CLOCKS_DIFFER } else { MASKED_WITHOUT_LIFETIME };
        mask.add(&text, name, Some(asked_at + masked_for));
        let good_until = asked_at + lifetime - MARGIN.min(lifetime / 2);
        state.current = Some(Token { text: text.clone(), good_until, was_used: false });
        Ok(text)
    }

    /// Drops a token that the other system does not accept, so that the next request gets another one, and tells whether
    /// it will. A token that was just fetched stays, because another one would be no better. So does one of an agent that
    /// gets status 401 again and again: each new token costs a request to the authorization server, and stays in the mask.
    pub(super) async fn renew(&self) -> bool {
        let mut state = self.state.lock().await;
        state.renewals.retain(|at| at.elapsed() < RENEWALS_TIME);
        if state.renewals.len() < RENEWALS_MAX && state.current.take_if(|token| token.was_used).is_some() {
            state.renewals.push(Instant::now());
        }
        state.current.is_none()
    }
}

/// What the authorization server answers.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    /// Seconds. Some servers write them as text.
    #[serde(default)]
    expires_in: Value,
}

/// The server's error (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// A new token.
struct Fetched {
    text: Secret,
    lifetime: Duration,
    /// Whether the server states the lifetime.
    is_stated: bool,
}

fn fetch(client: &Client, mask: &Mask) -> Result<Fetched, Sentence> {
    let attempt = Attempt::new(&client.addresses, TIME_OUT);
    let failed = |why: String| match attempt.refused() {
        Some(refused) => say!("the token endpoint: {}", quote(refused)),
        None => say!("the token endpoint has no answer: {}", quote(mask.text(&why))),
    };
    let mut response = attempt.agent.run(request(client)?).map_err(|error| failed(error.to_string()))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let read = response.body_mut().as_reader().take(ANSWER_BYTES_MAX + 1).read_to_end(&mut body);
    read.map_err(|error| failed(format!("it broke off: {error}")))?;
    if body.len() as u64 > ANSWER_BYTES_MAX {
        return Err(say!("the answer of the token endpoint has more than {} bytes", ANSWER_BYTES_MAX));
    }
    if status != 200 {
        let why = serde_json::from_slice(&body).map(|Refusal { error, error_description }| {
            say!(": {}", quote_start(&mask.text(&format!("{error} {error_description}")), ERROR_CHARS_MAX))
        });
        return Err(say!("the token endpoint answers {}{}", status, why.unwrap_or_default()));
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|_| say!("the token endpoint answers 200, but not with a JSON object that has an `access_token`"))?;
    if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(say!("the token endpoint gives a token that is no bearer token"));
    }
    let token = answer.access_token;
    let is_sendable = token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_sendable || !(MASKED_CHARS_MIN..=TOKEN_BYTES_MAX).contains(&token.len()) {
        return Err(say!(
            "the token endpoint gives a token that is not {} to {} visible ASCII characters",
            MASKED_CHARS_MIN,
            TOKEN_BYTES_MAX
        ));
    }
    let seconds = answer.expires_in.as_u64().or_else(|| answer.expires_in.as_str()?.parse().ok());
    // A longer lifetime than a day is of no use to the host, and could be none that a clock has.
    let lifetime = seconds.map_or(LIFETIME, |seconds| Duration::from_secs(seconds.min(86_400)));
    Ok(Fetched { text: Secret::new(token), lifetime, is_stated: seconds.is_some() })
}

/// A text as it stands in a form.
pub(super) fn in_form(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// The request for a token.
fn request(client: &Client) -> Result<Request<String>, Sentence> {
    let secret = client.secret.text();
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    let others = [("scope", &client.scope), ("audience", &client.audience)];
    form.extend_pairs(others.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    let mut request = Request::post(&client.token_url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .header("accept-encoding", "identity");
    if client.secret_in_form {
        form.extend_pairs([("client_id", client.id.as_str()), ("client_secret", secret)]);
    } else {
        let both = STANDARD.encode(format!("{}:{}", in_form(&client.id), in_form(secret)));
        request = request.header("authorization", format!("Basic {both}"));
    }
    request.body(form.finish()).map_err(|error| say!("the request for a token cannot be made: {}", quote(error)))
}
