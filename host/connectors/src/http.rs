//! HTTP requests of agents, to the hosts that the operator names. `holdshort_agent` makes a call of each request.
//!
//! The operator's section for a host lists two kinds of methods. A routine request is answered at once; only methods
//! that change nothing by their definition can be routine, and the operator can bound where such a request goes and what
//! it carries. A consequential request is held. Every other request is
//! refused before anybody is asked, as is one to an address that the operator does not allow.
//!
//! A request that was sent without an answer is in doubt, because HTTP has no question "did you get this?". Some systems
//! recognise a key in a header ([`idempotency`]). Whatever the other system answers is the agent's answer, also a status
//! like 500 or a redirect: nothing is sent twice, and nothing is sent elsewhere.

mod credential;
mod difference;
mod idempotency;
mod path;
mod preview;
mod request;
mod send;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdshort_common::outbound::Addresses;
use holdshort_gate::{Action, AgentName, Call, CallId, EffectClass, EffectKey};
use holdshort_journal::Authorized;
use serde_json::{Value, json};

pub use self::credential::{Credential, CredentialError};
pub use self::idempotency::Idempotency;
use self::request::Request;
use self::send::{NoAnswer, send};
pub use self::token::Client;
use super::descriptor::{Class, DeclaredFacts, Descriptor, Effect, Fact, FactType, Precondition};
use super::{
    Attempt, CannotPreview, Finding, Inquiry, Perform, Preview, Previewed, Routine, RoutineCall, Trusted, Unavailable,
    quote, say,
};
use crate::secret::Mask;

/// The connector.
pub const DESCRIPTOR: Descriptor = Descriptor {
    section: "[http]",
    interface: Some("wasi:http/outgoing-handler"),
    functions: &["handle"],
    class: Class::Consequential(EFFECT),
};

const EFFECT: Effect = Effect {
    connector: "http",
    class: EffectClass::OneShot,
    evidence: "HTTP cannot ask for an answer that was lost; look in the other system for what the request should have changed",
    facts: DeclaredFacts::Fixed(&[
        Fact::new("host", FactType::Text, "the host, with the port if the URL has one"),
        Fact::new("method", FactType::Text, "the method, such as `POST`"),
        Fact::new("path", FactType::Text, "the path of the URL; missing if a server could read it as another path"),
        Fact::new("query", FactType::Text, "the query of the URL, empty if it has none"),
        Fact::new("bytes", FactType::Count, "the size of the body"),
        Fact::new("sha256", FactType::Text, "the digest of the body, as `sha256:…`"),
        Fact::new(
            "credentials",
            FactType::List(&FactType::Text),
            "the names of the credentials whose secrets the host adds to the request",
        ),
    ]),
    preconditions: &[
        Precondition::same("credentials"),
        Precondition::same("idempotency-header"),
        Precondition::same("idempotent"),
    ],
};

/// Methods that change nothing by their definition (RFC 9110, 9.2.1), so that they may be routine and may be sent again.
pub const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// How often a routine request is tried again if no answer came, and the first pause; each further one is twice as long.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// The operator's settings for a host.
#[derive(Clone)]
pub struct Host {
    /// The methods that are answered at once; some of [`SAFE`].
    pub routine: Vec<String>,
    /// The paths of requests that are answered at once; all if `None`. Others are held.
    pub routine_paths: Option<Vec<String>>,
    /// The maximum size of the URL and the headers of a request that is answered at once. A larger one is held.
    pub routine_bytes_max: Option<u64>,
    /// The methods that are held.
    pub consequential: Vec<String>,
    /// Whether URLs may begin with `http://`.
    pub allow_http: bool,
    /// The addresses that it may have.
    pub addresses: Addresses,
    /// The time limit for the whole exchange.
    pub time_out: Duration,
    /// The maximum size of an answer's body.
    pub answer_bytes_max: u64,
    /// How it recognises a held request.
    pub idempotency: Option<Idempotency>,
}

impl Host {
    /// Whether a request to this host is answered at once.
    fn is_routine(&self, request: &Request) -> bool {
        self.routine.iter().any(|method| method == request.method())
            && self.routine_paths.as_ref().is_none_or(|paths| request.is_within(paths))
            && self.routine_bytes_max.is_none_or(|most| request.head_bytes() as u64 <= most)
    }
}

/// Whether a request to one of these hosts is answered at once. For a script, which sends nothing.
pub fn is_routine(hosts: &BTreeMap<String, Host>, action: &Action) -> bool {
    let Ok(request) = Request::read(action) else { return false };
    hosts.get(request.authority()).is_some_and(|host| host.is_routine(&request))
}

/// Sends requests to named hosts.
#[derive(Clone)]
pub struct Http {
    /// The hosts as URLs have them, in lower case, with the port if it is not the usual one.
    hosts: Arc<BTreeMap<String, Host>>,
    credentials: Arc<[Credential]>,
    mask: Arc<Mask>,
}

/// A request that the operator's settings allow, with what they add to it.
struct Allowed<'a> {
    request: Request,
    host: &'a Host,
    credentials: Vec<Credential>,
    /// The key of the call, for the header of the host.
    key: Option<EffectKey>,
    mask: Arc<Mask>,
    /// Whether the host could repeat a secret.
    guarded: bool,
}

impl Allowed<'_> {
    /// How the host recognises this request.
    fn idempotency(&self) -> Option<&Idempotency> {
        self.host.idempotency.as_ref().filter(|_| !SAFE.contains(&self.request.method()))
    }

    /// After an answer: whether the next request has another token.
    async fn renew(&self, answer: &Value) -> bool {
        let mut renewed = false;
        if answer.get("status") == Some(&json!(401)) {
            for credential in &self.credentials {
                renewed |= credential.renew().await;
            }
        }
        renewed
    }

    /// What must be the same when the request is sent.
    fn preconditions(&self) -> Value {
        let mut stated = json!({ "credentials": names(&self.credentials) });
        if let (Some(stated), Some(key)) = (stated.as_object_mut(), self.idempotency()) {
            stated.insert("idempotency-header".into(), json!(key.header.as_str()));
            // Without it, a second request with the same key could have a second effect.
            if key.is_idempotent {
                stated.insert("idempotent".into(), json!(true));
            }
        }
        stated
    }

    /// The precondition with this name, as it was shown and as it is now, if it has changed.
    fn both(&self, shown: &Value, name: &str) -> Option<(Trusted, Trusted)> {
        let now = self.preconditions();
        let value = |of: &Value| Trusted::configured(of.get(name).unwrap_or(&Value::Null));
        (shown.get(name) != now.get(name)).then(|| (value(shown), value(&now)))
    }

    /// The header with the key of the call, if it has changed. Without the header the other system did not get the key.
    fn changed_header(&self, shown: &Value) -> Option<super::Sentence> {
        let (shown, now) = self.both(shown, "idempotency-header")?;
        Some(say!("the header with the key of the call was {} and is {} now", shown, now))
    }

    /// A precondition that has changed, with both values.
    fn changed(&self, shown: &Value) -> Option<super::Sentence> {
        if let Some((shown, now)) = self.both(shown, "credentials") {
            return Some(say!("the credentials of the request were {} and are {} now", shown, now));
        }
        let forgotten = self.both(shown, "idempotent").filter(|_| shown.get("idempotent") == Some(&json!(true)));
        let forgotten = forgotten.map(|_| {
            say!("the setting `idempotent` of the host was true and is not now, so a second request could have a second effect")
        });
        self.changed_header(shown).or(forgotten)
    }
}

fn names(credentials: &[Credential]) -> Vec<&str> {
    credentials.iter().map(|credential| credential.name.as_str()).collect()
}

impl Http {
    /// Requests to these hosts and to no others, with these secrets. The mask is that of all credentials and models,
    /// because a system could repeat in one answer what it was sent with another request.
    pub fn new(hosts: BTreeMap<String, Host>, credentials: Vec<Credential>, mask: Arc<Mask>) -> Self {
        credentials.iter().for_each(|credential| credential.mask(&mask));
        Self { hosts: Arc::new(hosts), credentials: credentials.into(), mask }
    }

    /// Reads a request, and checks that the operator's settings allow it.
    fn read<'a>(&'a self, action: &Action) -> Result<Allowed<'a>, super::Sentence> {
        let request = Request::read(action)?;
        let host = self.hosts.get(request.authority());
        let host = host.ok_or_else(|| {
            let named = quote(request.authority());
            say!("no request is sent to {}: this host has no section `[http.HOST]` for it", named)
        })?;
        if request.is_plain() && !host.allow_http {
            return Err(say!("without TLS others on the network could read and change the request; use `https://`"));
        }
        if !host.routine.iter().chain(&host.consequential).any(|method| method == request.method()) {
            return Err(say!(
                "{} to {} is not allowed: the section of the host lists other methods",
                quote(request.method()),
                quote(request.authority())
            ));
        }
        self.with_credentials(request, host)
    }

    /// A request to a host, with the secrets that the host adds.
    fn with_credentials<'a>(&self, request: Request, host: &'a Host) -> Result<Allowed<'a>, super::Sentence> {
        let credentials = self.credentials.iter().filter(|credential| credential.is_for(&request));
        let credentials: Vec<Credential> = credentials.cloned().collect();
        if request.is_plain() && !request.is_for_this_machine() && !credentials.is_empty() {
            return Err(say!(
                "without TLS others on the network could read the secret of a credential; use `https://`"
            ));
        }
        let guarded = self.credentials.iter().any(|credential| credential.is_for_host(request.authority()));
        if guarded && request.is_for_a_part() {
            return Err(say!("an answer in parts could cut a secret in two; leave out `range` and `if-range`"));
        }
        Ok(Allowed { request, host, credentials, key: None, mask: self.mask.clone(), guarded })
    }

    async fn answer(&self, action: &Action) -> Value {
        let allowed = match self.read(action) {
            Ok(allowed) => allowed,
            Err(why) => return json!({ "err": { "forbidden": why.as_str() } }),
        };
        let (mut tries, mut pause, mut renewed) = (0, PAUSE, false);
        loop {
            match send(&allowed).await {
                // The request changes nothing, so it may be sent again.
                Ok(answer) if !renewed && allowed.renew(&answer).await => renewed = true,
                Ok(answer) => return json!({ "ok": answer }),
                Err(NoAnswer::Refused(why)) => return json!({ "err": { "forbidden": why } }),
                Err(NoAnswer::NoToken(why)) => return json!({ "err": { "failed": why.as_str() } }),
                Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why)) if tries >= TRIES => {
                    return json!({ "err": { "failed": why } });
                }
                Err(NoAnswer::NotSent(_) | NoAnswer::Lost(_)) => {
                    tokio::time::sleep(pause).await;
                    tries += 1;
                    pause *= 2;
                }
            }
        }
    }

    async fn attempt(&self, action: &Action, preconditions: &Value, key: &EffectKey) -> Attempt {
        let mut allowed = match self.read(action) {
            Ok(allowed) => allowed,
            Err(why) => return Attempt::NotDone(why),
        };
        if let Some(changed) = allowed.changed(preconditions) {
            return Attempt::FactsChanged(changed);
        }
        allowed.key = Some(key.clone());
        match send(&allowed).await {
            Ok(answer) => {
                // Also this answer is an answer: an effect is not sent again.
                allowed.renew(&answer).await;
                Attempt::Done(answer)
            }
            Err(NoAnswer::NoToken(why)) => Attempt::NotDone(say!("the request was not sent: {}", why)),
            Err(NoAnswer::Refused(why) | NoAnswer::NotSent(why)) => {
                Attempt::NotDone(say!("the request was not sent: {}", quote(why)))
            }
            Err(NoAnswer::Lost(why)) => {
                Attempt::Unknown(say!("the request was sent, and no whole answer came: {}", quote(why)))
            }
        }
    }
}

impl Preview for Http {
    fn effect(&self) -> Effect {
        EFFECT
    }

    fn effect_of(&self, action: &Action) -> Effect {
        let allowed = self.read(action).ok();
        allowed.and_then(|allowed| Some(allowed.idempotency()?.effect())).unwrap_or(EFFECT)
    }

    fn preview<'a>(&'a self, _: &'a AgentName, action: &'a Action) -> BoxFuture<'a, Result<Previewed, CannotPreview>> {
        self.preview_now(action).boxed()
    }

    fn compare(&self, action: &Action, (id, last): (&CallId, &Call), previewed: &mut Previewed) {
        previewed.exhibits.push(preview::compared(action, id, last));
    }
}

impl Routine for Http {
    fn answer<'a>(&'a self, call: RoutineCall<'a>) -> BoxFuture<'a, Result<Value, Unavailable>> {
        async move { Ok(Self::answer(self, call.action).await) }.boxed()
    }

    fn answers(&self, action: &Action) -> bool {
        self.read(action).is_ok_and(|allowed| allowed.host.is_routine(&allowed.request))
    }
}

impl Perform for Http {
    fn perform(&self, authorized: Authorized) -> BoxFuture<'_, Attempt> {
        async move { self.attempt(authorized.action(), authorized.preconditions(), authorized.key()).await }.boxed()
    }

    fn lookup<'a>(&'a self, inquiry: &'a Inquiry) -> BoxFuture<'a, Finding> {
        self.ask(inquiry).boxed()
    }

    /// There is no receipt: it is the answer that was lost.
    fn receipt(&self, _: &Inquiry) -> Option<Value> {
        None
    }
}

#[cfg(test)]
mod tests;
