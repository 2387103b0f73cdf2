//! All ways to present a secret: a token in a header or form, the code of a link, a session cookie,
//! and the seal of a form.
//!
//! **Invariant:** a secret can be looked up only here. All failed attempts of a peer count in one
//! throttle, so guessing in several ways gains nothing. A request with a valid secret is served
//! even if its peer has used up the failed attempts, because behind a proxy and on this machine all clients are one peer.

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
use super::problem::{Kind, Problem};
use super::server::Connection;
use super::session_names;
use super::sessions::{Session, SessionCookie, Sessions};

/// The other end of a connection, as exactly as the host can tell clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// A process of the host's user, through the socket in the state folder.
    Local,
    /// An address. An IPv6 address counts as its network, because each client has 2^64 addresses
    /// there. All loopback addresses count as one, because every local process can use all of them.
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

/// The failed attempts of all peers.
#[derive(Debug)]
struct Failures {
    throttle: Throttle<Peer>,
    total: AtomicU64,
}

/// Counts the failed attempts of one peer. `peer` is `None` without a connection, as in a test of
/// the pages; then no rate limit applies.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    failures: Arc<Failures>,
    peer: Option<Peer>,
}

impl Tries {
    /// Counts a failed attempt and returns the answer: `problem`, or the error of the rate limit.
    pub(super) fn failed(&self, problem: Problem) -> Problem {
        self.failures.total.fetch_add(1, Ordering::Relaxed);
        if self.peer.is_none_or(|peer| self.failures.throttle.take(&peer, Instant::now())) {
            problem
        } else {
            too_many()
        }
    }

    /// The answer to a request without a secret. The request does not count against the rate limit,
    /// because it tries no secret.
    pub(super) fn without_secret(&self, problem: Problem) -> Problem {
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
        Ok(api.0.secrets.tries(parts.extensions.get::<Arc<Connection>>()))
    }
}

/// The known secrets.
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

    /// The failed attempts of this connection's peer.
    pub(super) fn tries(&self, line: Option<&Arc<Connection>>) -> Tries {
        Tries { failures: self.failures.clone(), peer: line.map(|line| line.peer()) }
    }

    /// The number of requests with a wrong secret, or without one where it is needed.
    pub(super) fn failures(&self) -> u64 {
        self.failures.total.load(Ordering::Relaxed)
    }

    /// The scheme under which browsers reach the page.
    pub(super) fn scheme(&self) -> &'static str {
        if self.cookie.secure() { "https" } else { "http" }
    }

    /// Headers that make a browser delete foreign cookies with the session cookie's name.
    pub(super) fn forgotten(&self, headers: &HeaderMap, path: &str) -> Vec<HeaderValue> {
        self.cookie.forgotten(headers, path)
    }

    /// The reviewer of the token in these headers.
    pub(super) fn bearer(&self, headers: &HeaderMap, tries: &Tries) -> Result<Reviewer, Problem> {
        let brings = headers.contains_key(header::AUTHORIZATION);
        let refused = |problem| if brings { tries.failed(problem) } else { tries.without_secret(problem) };
        self.reviewers.identify(headers).map_err(refused)
    }

    /// The reviewer's session of these headers; `None` if they have no session cookie of this host.
    pub(super) fn session(&self, headers: &HeaderMap, tries: &Tries) -> Result<Option<Session>, Problem> {
        let Some(value) = self.cookie.value(headers) else { return Ok(None) };
        let name = self.cookie.session_name(headers);
        // If sessions have host names of their own, a cookie sent to another host name is not ours:
        // another port of this machine set it.
        if self.cookie.is_named() && name.is_none() {
            return Ok(None);
        }
        let found = self.sessions.find(value, name, Instant::now()).map(|session| session.used_by(tries.clone()));
        found.map(Some).ok_or_else(|| tries.failed(no_session()))
    }

    /// The address of a link that signs `reviewer` in once and continues to `next`. `host` is the
    /// `Host` header with which the reviewer reaches this host.
    pub(super) fn link(&self, reviewer: &Reviewer, host: &str, next: &str) -> Result<String, Problem> {
        let name = self.cookie.is_named().then(session_names::random).transpose()?;
        let code = self.sessions.link(reviewer, name.as_deref(), Instant::now())?;
        let at = name.map_or_else(|| host.to_owned(), |name| session_names::host(&name, host));
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("code", &code).append_pair("next", next).finish();
        Ok(format!("{}://{at}/sign-in?{query}", self.scheme()))
    }

    /// Whether a `Host` header is a session's host name with a known port.
    pub(super) fn is_name(&self, host: &str, hosts: &HashSet<String>) -> bool {
        let here = || hosts.iter().any(|known| session_names::port(known) == session_names::port(host));
        self.cookie.is_named() && session_names::in_host(host).is_some() && here()
    }
}

fn too_many() -> Problem {
    Problem::new(Kind::TooMany, "too many requests without a valid token").retry_after_s(1)
}

/// The answer to a request for a page without a session.
pub(super) fn no_session() -> Problem {
    Problem::new(Kind::Unauthenticated, "sign in first; `holdshort sign-in` prints a link")
}

impl Api {
    /// The reviewer of a token in a form.
    pub(crate) fn owner(&self, token: &str, tries: &Tries) -> Result<Reviewer, Problem> {
        self.0.secrets.reviewers.owner(token).map_err(|problem| tries.failed(problem))
    }

    /// The reviewer whom a link's code would sign in. The code stays valid.
    pub(crate) fn whose(&self, code: &str, headers: &HeaderMap, tries: &Tries) -> Result<Reviewer, Problem> {
        let name = self.0.secrets.cookie.session_name(headers);
        let found = self.0.secrets.sessions.whose(code, name, Instant::now());
        found.ok_or_else(|| tries.failed(used_up()))
    }

    /// Uses up the code of a link, opens a session, and returns the header that sets its cookie.
    pub(crate) fn follow(&self, code: &str, headers: &HeaderMap, tries: &Tries) -> Result<HeaderValue, Problem> {
        let Secrets { sessions, cookie, .. } = &self.0.secrets;
        let (name, now) = (cookie.session_name(headers), Instant::now());
        let reviewer = sessions.follow(code, name, now).ok_or_else(|| tries.failed(used_up()))?;
        sessions.open(&reviewer, name, cookie, now)
    }

    /// Signs in a reviewer who presented a token. If sessions have host names of their own, the
    /// result is a link to a new name, because others may know the present one.
    pub(crate) fn sign_in(&self, reviewer: &Reviewer, headers: &HeaderMap, next: &str) -> Result<SignedIn, Problem> {
        let Secrets { sessions, cookie, .. } = &self.0.secrets;
        if cookie.is_named() {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            return self.0.secrets.link(reviewer, host, next).map(SignedIn::At);
        }
        sessions.open(reviewer, None, cookie, Instant::now()).map(SignedIn::Here)
    }

    /// Ends the session of these headers.
    pub(crate) fn sign_out(&self, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
        self.0.secrets.sessions.end(headers, &self.0.secrets.cookie)
    }
}

/// The way in which a reviewer with a token gets a session.
pub(crate) enum SignedIn {
    /// The session is open; this header sets its cookie.
    Here(HeaderValue),
    /// The browser must follow the link to this address, where the session is opened.
    At(String),
}

fn used_up() -> Problem {
    Problem::new(Kind::Unauthenticated, "this link was used or has expired; `holdshort sign-in` prints a new one")
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
