//! People with a browser: one-time links that sign in, and the sessions that they open.
//!
//! A link's code and a session's cookie are 256 random bits each, of which the host keeps hashes only, in memory: a host that starts anew asks
//! everybody to sign in again. A session also has a key, from which the page's forms get their seals: what a form may do is bound to the session
//! and to what was shown, so no other page can make a browser send it, and nobody can decide on what was not opened.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use hmac::{Hmac, KeyInit, Mac};
use holdshort_gate::Digest;
use sha2::Sha256;

use super::auth::Reviewer;
use super::problem::{Kind, Problem};
use super::secrets::Tries;

/// How long a link waits to be followed.
pub(crate) const LINK_TIME: Duration = Duration::from_secs(10 * 60);
/// How long a session lasts without a request, and in all.
const IDLE_TIME_MAX: Duration = Duration::from_secs(8 * 3600);
const SESSION_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// Links that wait and sessions that are open, of one person; the oldest goes when there is one more.
const OF_ONE_PERSON_MAX: usize = 20;
/// Longer than the value of any cookie of ours.
const VALUE_BYTES_MAX: usize = 64;

/// The page's cookie.
#[derive(Clone, Debug)]
pub struct SessionCookie {
    name: String,
    secure: bool,
}

impl SessionCookie {
    /// With TLS (a proxy's) the browser is told to keep it for TLS, and for this very host alone. Without, hosts on other ports of this machine share
    /// its cookies, so the port is part of the name.
    pub fn new(tls: bool, port: u16) -> Self {
        let name = if tls { "__Host-holdshort".into() } else { format!("holdshort-{port}") };
        Self { name, secure: tls }
    }

    /// Whether the page is reached with TLS.
    pub(crate) fn secure(&self) -> bool {
        self.secure
    }

    /// The header that has a browser keep `value`, or, without one, forget it.
    fn header(&self, value: Option<&str>) -> Result<HeaderValue, Problem> {
        let mut cookie = Cookie::build((self.name.as_str(), value.unwrap_or_default()))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(self.secure)
            .build();
        if value.is_none() {
            cookie.make_removal();
        }
        cookie.to_string().parse().map_err(|_| Problem::new(Kind::Internal, "a cookie could not be written"))
    }

    /// The value that these headers bring, if they bring exactly one.
    pub(super) fn value<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let ours =
            lines.flat_map(Cookie::split_parse).filter_map(Result::ok).filter(|cookie| cookie.name() == self.name);
        let mut values = ours.filter_map(|cookie| cookie.value_raw());
        let value = values.next().filter(|value| value.len() <= VALUE_BYTES_MAX)?;
        values.next().is_none().then_some(value)
    }
}

/// A person who has signed in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    reviewer: Reviewer,
    since: Instant,
    key: Key,
    /// What whoever uses it has tried in vain; unknown while nobody does.
    tries: Option<Tries>,
}

/// The secret of a session's seals.
#[derive(Clone)]
struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Session {
    /// Who.
    pub(crate) fn reviewer(&self) -> &Reviewer {
        &self.reviewer
    }

    /// The same session, for one peer.
    pub(super) fn used_by(self, tries: Tries) -> Self {
        Self { tries: Some(tries), ..self }
    }

    /// The seal of a form that may do `what`.
    pub(crate) fn seal(&self, what: &str) -> String {
        self.mac(what).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())).unwrap_or_default()
    }

    /// Whether a form that does `what` came from a page of this session.
    pub(crate) fn check(&self, what: &str, seal: &str) -> Result<(), Problem> {
        let sealed = URL_SAFE_NO_PAD.decode(seal).ok().zip(self.mac(what));
        let fits = sealed.is_some_and(|(seal, mac)| mac.verify_slice(&seal).is_ok());
        let refused = || {
            Problem::new(
                Kind::OriginNotAllowed,
                "this form is not from a page that this session was shown; open the page again and send it from there",
            )
        };
        match (fits, &self.tries) {
            (true, _) => Ok(()),
            (false, Some(tries)) => Err(tries.failed(refused())),
            (false, None) => Err(refused()),
        }
    }

    /// None if the library refused the key, which has the length that it likes best.
    fn mac(&self, what: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).ok()?;
        mac.update(what.as_bytes());
        Some(mac)
    }
}

/// Links that wait and sessions that are open.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    links: Mutex<Kept<Reviewer>>,
    open: Mutex<Kept<Session>>,
}

impl Sessions {
    /// A code that signs `reviewer` in, once.
    pub(super) fn link(&self, reviewer: &Reviewer, now: Instant) -> Result<String, Problem> {
        let code = random()?;
        lock(&self.links).put(Digest::of(code.as_bytes()), reviewer, reviewer.clone(), now);
        Ok(code)
    }

    /// Whom a code would sign in; it stays as it is.
    pub(super) fn whose(&self, code: &str, now: Instant) -> Option<Reviewer> {
        lock(&self.links).get(&Digest::of(code.as_bytes()), LINK_TIME, LINK_TIME, now)
    }

    /// Uses a code up.
    pub(super) fn follow(&self, code: &str, now: Instant) -> Option<Reviewer> {
        let digest = Digest::of(code.as_bytes());
        let mut links = lock(&self.links);
        let found = links.get(&digest, LINK_TIME, LINK_TIME, now);
        links.0.remove(&digest);
        found
    }

    /// Signs `reviewer` in: the header that their browser is to get.
    pub(super) fn open(
        &self,
        reviewer: &Reviewer,
        cookie: &SessionCookie,
        now: Instant,
    ) -> Result<HeaderValue, Problem> {
        let (value, mut key) = (random()?, [0; 32]);
        getrandom::fill(&mut key).map_err(no_randomness)?;
        let session = Session { reviewer: reviewer.clone(), since: now, key: Key(key), tries: None };
        lock(&self.open).put(Digest::of(value.as_bytes()), reviewer, session, now);
        cookie.header(Some(&value))
    }

    /// The session of a cookie's value.
    pub(super) fn find(&self, value: &str, now: Instant) -> Option<Session> {
        let digest = Digest::of(value.as_bytes());
        let found = lock(&self.open).get(&digest, IDLE_TIME_MAX, SESSION_TIME_MAX, now)?;
        let age = u64::try_from(now.saturating_duration_since(found.since).as_millis()).unwrap_or(u64::MAX);
        Some(Session { reviewer: found.reviewer.clone().signed_in_for(age), ..found })
    }

    /// Ends the session of these headers: the header that has the browser forget it.
    pub(super) fn end(&self, headers: &HeaderMap, cookie: &SessionCookie) -> Result<HeaderValue, Problem> {
        if let Some(value) = cookie.value(headers) {
            lock(&self.open).0.remove(&Digest::of(value.as_bytes()));
        }
        cookie.header(None)
    }
}

/// Things by the hash of their secret: whose, since when, used last.
#[derive(Debug)]
struct Kept<T>(HashMap<Digest, (Reviewer, Instant, Instant, T)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone> Kept<T> {
    fn put(&mut self, digest: Digest, whose: &Reviewer, what: T, now: Instant) {
        let of_them = self.0.iter().filter(|(_, (owner, ..))| owner == whose);
        let oldest = of_them.clone().min_by_key(|(_, (_, _, used, _))| *used).map(|(digest, _)| *digest);
        if of_them.count() >= OF_ONE_PERSON_MAX {
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(digest, (whose.clone(), now, now, what));
    }

    fn get(&mut self, digest: &Digest, idle_max: Duration, time_max: Duration, now: Instant) -> Option<T> {
        let (_, since, used, what) = self.0.get_mut(digest)?;
        let over =
            now.saturating_duration_since(*used) >= idle_max || now.saturating_duration_since(*since) >= time_max;
        let found = (!over).then(|| what.clone());
        *used = now;
        if over {
            self.0.remove(digest);
        }
        found
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random() -> Result<String, Problem> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(no_randomness)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

fn no_randomness(error: getrandom::Error) -> Problem {
    tracing::error!(%error, "the operating system gives no random numbers");
    Problem::new(Kind::Unavailable, "the host has no random numbers for a secret just now")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::auth::Reviewers;

    fn reviewer(name: &str) -> Reviewer {
        Reviewers::new([(name.to_owned(), Digest::of(name.as_bytes()))]).unwrap().owner(name).unwrap()
    }

    fn find(sessions: &Sessions, headers: &HeaderMap, cookie: &SessionCookie, now: Instant) -> Option<Session> {
        sessions.find(cookie.value(headers)?, now)
    }

    /// What a browser sends after it was given this.
    fn brings(given: &HeaderValue) -> HeaderMap {
        let pair = given.to_str().unwrap().split(';').next().unwrap().parse().unwrap();
        HeaderMap::from_iter([(header::COOKIE, pair)])
    }

    #[test]
    fn a_link_signs_in_once_and_in_time() {
        let (sessions, alice, start) = (Sessions::default(), reviewer("alice"), Instant::now());
        let code = sessions.link(&alice, start).unwrap();
        for _ in 0..3 {
            assert_eq!(sessions.whose(&code, start), Some(alice.clone()), "looking uses nothing up");
        }
        assert_eq!(sessions.follow("another", start), None);
        assert_eq!(sessions.follow(&code, start), Some(alice.clone()));
        assert_eq!((sessions.follow(&code, start), sessions.whose(&code, start)), (None, None), "used");
        let (last, over) = (LINK_TIME - Duration::from_millis(1), LINK_TIME);
        let code = sessions.link(&alice, start).unwrap();
        assert_eq!(sessions.whose(&code, start + last), Some(alice.clone()));
        assert_eq!(sessions.follow(&code, start + over), None, "looking at it makes it no younger");
        let code = sessions.link(&alice, start).unwrap();
        assert_eq!(sessions.follow(&code, start + last), Some(alice));
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_after_a_day() {
        let (sessions, cookie, start) = (Sessions::default(), SessionCookie::new(false, 1), Instant::now());
        let open = || brings(&sessions.open(&reviewer("alice"), &cookie, start).unwrap());
        let is_open = |headers: &HeaderMap, after: Duration| find(&sessions, headers, &cookie, start + after).is_some();
        let instant = Duration::from_millis(1);
        let (idle, busy, ended) = (open(), open(), open());
        assert!(is_open(&idle, IDLE_TIME_MAX - instant), "in use again");
        assert!(
            !is_open(&idle, 2 * IDLE_TIME_MAX - instant) && !is_open(&idle, instant),
            "and never after it was over"
        );
        for hours in 1..24 {
            assert!(is_open(&busy, Duration::from_secs(3600) * hours), "{hours} h");
        }
        assert!(is_open(&busy, SESSION_TIME_MAX - instant) && !is_open(&busy, SESSION_TIME_MAX));
        let removal = sessions.end(&ended, &cookie).unwrap();
        assert!(removal.to_str().unwrap().contains("Max-Age=0"), "{removal:?}");
        assert!(!is_open(&ended, instant), "who has signed out is out");
    }

    #[test]
    fn the_oldest_of_a_persons_sessions_goes_and_nobody_elses() {
        let (sessions, cookie, start) = (Sessions::default(), SessionCookie::new(false, 1), Instant::now());
        let open = |name: &str, at: Duration| brings(&sessions.open(&reviewer(name), &cookie, start + at).unwrap());
        let (bob, alice) = (open("bob", Duration::ZERO), open("alice", Duration::ZERO));
        let second = Duration::from_secs(1);
        let others: Vec<HeaderMap> = (1..=20).map(|number| open("alice", second * number)).collect();
        let is_open = |headers: &HeaderMap| find(&sessions, headers, &cookie, start + second * 30).is_some();
        assert_eq!(lock(&sessions.open).0.len(), 1 + OF_ONE_PERSON_MAX);
        assert!(!is_open(&alice) && is_open(&bob) && others.iter().all(is_open));
    }

    #[test]
    fn one_cookie_is_one_session() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let (cookie, other) = (SessionCookie::new(false, 7411), SessionCookie::new(false, 7412));
        let given = sessions.open(&reviewer("alice"), &cookie, start).unwrap();
        let pair = given.to_str().unwrap().split(';').next().unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        let found = |line: &str| {
            find(&sessions, &HeaderMap::from_iter([(header::COOKIE, line.parse().unwrap())]), &cookie, start).is_some()
        };
        for line in [pair.to_owned(), format!("a=b; {pair}; c"), format!("{name}x=1; {pair}")] {
            assert!(found(&line), "{line}");
        }
        let (first, last) = (&value[..42], &value[..1]);
        for line in [
            format!("{pair}; {pair}"),
            format!("{name}=; {pair}"),
            format!("{name}=x; {pair}"),
            format!("{name}={first}"),
            format!("{name}={value}{last}"),
            format!("{name}={}", "x".repeat(8_000)),
            format!("{name}x={value}"),
            value.to_owned(),
            String::new(),
        ] {
            assert!(!found(&line), "{line}");
        }
        let mut twice = brings(&given);
        twice.append(header::COOKIE, pair.parse().unwrap());
        assert!(find(&sessions, &twice, &cookie, start).is_none(), "in two headers");
        assert!(find(&sessions, &brings(&given), &other, start).is_none(), "a host on another port has its own");
    }

    #[test]
    fn a_seal_is_of_one_session_and_one_thing() {
        let (sessions, cookie, start) = (Sessions::default(), SessionCookie::new(false, 1), Instant::now());
        let open = || {
            find(&sessions, &brings(&sessions.open(&reviewer("alice"), &cookie, start).unwrap()), &cookie, start)
                .unwrap()
        };
        let (one, other) = (open(), open());
        let seal = one.seal("this");
        assert!(one.check("this", &seal).is_ok());
        assert_eq!(seal, one.seal("this"));
        for (session, what, seal) in [
            (&one, "that", &*seal),
            (&other, "this", &seal),
            (&one, "this", ""),
            (&one, "this", &seal[1..]),
            (&one, "this", "no base64!"),
        ] {
            assert!(session.check(what, seal).is_err(), "{what} {seal}");
        }
        assert!(!format!("{one:?}").contains(&seal) && format!("{one:?}").contains("(secret)"));
    }

    #[test]
    fn behind_tls_the_cookie_stays_there() {
        let sessions = Sessions::default();
        let given = |cookie: &SessionCookie| {
            sessions.open(&reviewer("alice"), cookie, Instant::now()).unwrap().to_str().unwrap().to_owned()
        };
        let (plain, tls) = (given(&SessionCookie::new(false, 7411)), given(&SessionCookie::new(true, 7411)));
        assert!(plain.starts_with("holdshort-7411=") && !plain.contains("Secure"), "{plain}");
        assert!(tls.starts_with("__Host-holdshort="), "{tls}");
        for flag in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
            assert!(plain.contains(flag) && tls.contains(flag), "{flag}: {plain}");
        }
        assert!(tls.contains("; Secure") && !tls.contains("Domain"), "{tls}");
    }
}
