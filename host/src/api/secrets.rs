//! Every way to try a secret: a token in a header or in a form, a link's code, a session's cookie, the seal of a form.
//!
//! There is no way to look one up but these, and each failure takes from one throttle per peer, so that whoever guesses gains nothing by going from one
//! to the next. What is right is served also when the throttle is empty: behind a proxy, and on this machine, everybody is the same peer.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};

use super::Api;
use super::auth::{Reviewer, Reviewers};
use super::limits::{Rate, Throttle};
use super::names;
use super::problem::{Kind, Problem};
use super::server::Line;
use super::sessions::{Session, SessionCookie, Sessions};

/// The other end of a connection, as far as it can be told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// A process of the host's user, by the socket in the state folder.
    Local,
    /// An address. Of IPv6 the network: whoever has one address there has 2^64. All addresses of loopback are one, because every process here has them all.
    Network(IpAddr),
}

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        Self::Network(match ip.to_canonical() {
            ip if ip.is_loopback() => std::net::Ipv4Addr::LOCALHOST.into(),
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => (ip & std::net::Ipv6Addr::from_bits(u128::MAX << 64)).into(),
        })
    }
}

/// The failures of all peers.
#[derive(Debug)]
struct Failures {
    throttle: Throttle<Peer>,
    total: AtomicU64,
}

/// The failures of one peer; of none where there is no connection, as in a test of the pages.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    failures: Arc<Failures>,
    peer: Option<Peer>,
}

impl Tries {
    /// Counts one, and says what the answer is: what went wrong, or that it goes wrong too often.
    pub(super) fn failed(&self, problem: Problem) -> Problem {
        self.failures.total.fetch_add(1, Ordering::Relaxed);
        if self.peer.is_none_or(|peer| self.failures.throttle.take(&peer, Instant::now())) {
            problem
        } else {
            too_many()
        }
    }

    /// The answer where no secret was brought: nothing was tried, so this takes nothing from who tries one.
    pub(super) fn brought_none(&self, problem: Problem) -> Problem {
        self.failures.total.fetch_add(1, Ordering::Relaxed);
        if self.peer.is_none_or(|peer| self.failures.throttle.has(&peer, Instant::now())) {
            problem
        } else {
            too_many()
        }
    }
}

impl FromRequestParts<Api> for Tries {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Ok(api.0.secrets.tries(parts.extensions.get::<Arc<Line>>()))
    }
}

/// Who is known by which secret.
#[derive(Debug)]
pub(super) struct Secrets {
    reviewers: Reviewers,
    sessions: Sessions,
    cookie: SessionCookie,
    failures: Arc<Failures>,
}

impl Secrets {
    pub(super) fn new(reviewers: Reviewers, cookie: SessionCookie, failures: Rate) -> Self {
        let failures = Arc::new(Failures { throttle: Throttle::new(failures), total: AtomicU64::new(0) });
        Self { reviewers, sessions: Sessions::default(), cookie, failures }
    }

    /// What the other end of this connection has tried in vain.
    pub(super) fn tries(&self, line: Option<&Arc<Line>>) -> Tries {
        Tries { failures: self.failures.clone(), peer: line.map(|line| line.peer()) }
    }

    /// How often a secret was tried in vain, or none was presented where one is needed.
    pub(super) fn failures(&self) -> u64 {
        self.failures.total.load(Ordering::Relaxed)
    }

    /// How people's browsers reach the page: with TLS, or without.
    pub(super) fn scheme(&self) -> &'static str {
        if self.cookie.secure() { "https" } else { "http" }
    }

    /// The headers that have a browser forget what it brings in the place of a session.
    pub(super) fn forgotten(&self, headers: &HeaderMap, path: &str) -> Vec<HeaderValue> {
        self.cookie.forgotten(headers, path)
    }

    /// Whose token these headers bring.
    pub(super) fn bearer(&self, headers: &HeaderMap, tries: &Tries) -> Result<Reviewer, Problem> {
        let brings = headers.contains_key(header::AUTHORIZATION);
        let refused = |problem| if brings { tries.failed(problem) } else { tries.brought_none(problem) };
        self.reviewers.identify(headers).map_err(refused)
    }

    /// Whose session these headers are of; nothing if they have no cookie of ours.
    pub(super) fn session(&self, headers: &HeaderMap, tries: &Tries) -> Result<Option<Session>, Problem> {
        let Some(value) = self.cookie.value(headers) else { return Ok(None) };
        let name = self.cookie.session_name(headers);
        // Where sessions have names, what is brought to another is not ours, but what another port of this machine has set.
        if self.cookie.is_named() && name.is_none() {
            return Ok(None);
        }
        let found = self.sessions.find(value, name, Instant::now()).map(|session| session.used_by(tries.clone()));
        found.map(Some).ok_or_else(|| tries.failed(no_session()))
    }

    /// The address of a link that signs `reviewer` in, once, and leads on to `next`; `host` is by which they reach this one.
    pub(super) fn link(&self, reviewer: &Reviewer, host: &str, next: &str) -> Result<String, Problem> {
        let name = self.cookie.is_named().then(names::random).transpose()?;
        let code = self.sessions.link(reviewer, name.as_deref(), Instant::now())?;
        let at = name.map_or_else(|| host.to_owned(), |name| names::host(&name, host));
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("code", &code).append_pair("next", next).finish();
        Ok(format!("{}://{at}/sign-in?{query}", self.scheme()))
    }

    /// Whether a `Host` is the name of some session, of now or before, at a port at which this host is known.
    pub(super) fn is_name(&self, host: &str, hosts: &HashSet<String>) -> bool {
        let here = || hosts.iter().any(|known| names::port(known) == names::port(host));
        self.cookie.is_named() && names::in_host(host).is_some() && here()
    }
}

fn too_many() -> Problem {
    Problem::new(Kind::TooMany, "too many requests without a valid token").retry_after_s(1)
}

/// For whoever asks for a page without a session.
pub(super) fn no_session() -> Problem {
    Problem::new(Kind::Unauthenticated, "sign in first; `holdshort sign-in` prints a link")
}

impl Api {
    /// Whom a token in a form is of.
    pub(crate) fn owner(&self, token: &str, tries: &Tries) -> Result<Reviewer, Problem> {
        self.0.secrets.reviewers.owner(token).map_err(|problem| tries.failed(problem))
    }

    /// Whom a link's code would sign in; it stays as it is.
    pub(crate) fn whose(&self, code: &str, headers: &HeaderMap, tries: &Tries) -> Result<Reviewer, Problem> {
        let name = self.0.secrets.cookie.session_name(headers);
        let found = self.0.secrets.sessions.whose(code, name, Instant::now());
        found.ok_or_else(|| tries.failed(used_up()))
    }

    /// Uses a link's code up: the header that signs its browser in.
    pub(crate) fn follow(&self, code: &str, headers: &HeaderMap, tries: &Tries) -> Result<HeaderValue, Problem> {
        let Secrets { sessions, cookie, .. } = &self.0.secrets;
        let (name, now) = (cookie.session_name(headers), Instant::now());
        let reviewer = sessions.follow(code, name, now).ok_or_else(|| tries.failed(used_up()))?;
        sessions.open(&reviewer, name, cookie, now)
    }

    /// What signs somebody in who has shown a token. Where sessions have names that is a link to a new one: the name under which they are now may be
    /// known to others.
    pub(crate) fn sign_in(&self, reviewer: &Reviewer, headers: &HeaderMap, next: &str) -> Result<SignedIn, Problem> {
        let Secrets { sessions, cookie, .. } = &self.0.secrets;
        if cookie.is_named() {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            return self.0.secrets.link(reviewer, host, next).map(SignedIn::At);
        }
        sessions.open(reviewer, None, cookie, Instant::now()).map(SignedIn::Here)
    }

    /// Signs the browser of these headers out.
    pub(crate) fn sign_out(&self, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
        self.0.secrets.sessions.end(headers, &self.0.secrets.cookie)
    }
}

/// How somebody gets a session who has shown a token.
pub(crate) enum SignedIn {
    /// By this header.
    Here(HeaderValue),
    /// By the link at this address.
    At(String),
}

fn used_up() -> Problem {
    Problem::new(Kind::Unauthenticated, "this link was used or is too old; `holdshort sign-in` makes another")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_addresses_is_one_peer() {
        let peer = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::2:3:4:5", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("127.0.0.1", "127.0.0.2", true),
            ("127.0.0.1", "127.255.255.254", true),
            ("127.0.0.1", "::1", true),
            ("127.4.5.6", "::ffff:127.0.0.9", true),
            ("127.0.0.1", "126.255.255.255", false),
            ("127.0.0.1", "128.0.0.1", false),
            ("::1", "::2:0:0:0:1", false),
        ] {
            assert_eq!(peer(one) == peer(other), same, "{one} {other}");
        }
    }
}
