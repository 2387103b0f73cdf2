//! People with a browser: one-time links that sign in, and the sessions that they open.
//!
//! A link's code and a session's cookie are 256 random bits each, of which the host keeps hashes only, in memory: a host that starts anew asks
//! everybody to sign in again. A session also has a key, from which the page's forms get their seals: what a form may do is bound to the session
//! and to what was shown, so no other page can make a browser send it, and nobody can decide on what was not opened.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use hmac::{Hmac, KeyInit, Mac};
use holdshort_gate::Digest;
use sha2::Sha256;
use tokio::sync::{Notify, watch};

use super::auth::Reviewer;
use super::names;
use super::problem::{Kind, Problem};
use super::secrets::Tries;

/// How long a link waits to be followed.
pub(crate) const LINK_TIME: Duration = Duration::from_secs(10 * 60);
/// How long a session lasts without a request, and in all.
const IDLE_TIME_MAX: Duration = Duration::from_secs(8 * 3600);
const SESSION_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// Links that wait and sessions that are open, of one person; the oldest goes when there is one more.
const OF_ONE_PERSON_MAX: usize = 20;
/// Streams of one session's pages. A browser has six connections for a host, and those that streams hold load no page.
const STREAMS_MAX: usize = 4;
/// Longer than the value of any cookie of ours.
const VALUE_BYTES_MAX: usize = 64;
/// Paths for which a browser is told at once to forget a cookie: more than any page of ours has above it.
const PATHS_MAX: usize = 16;

/// The page's cookie.
#[derive(Clone, Debug)]
pub struct SessionCookie {
    name: String,
    secure: bool,
    /// Each session has a name of its own, and is found under that alone.
    named: bool,
}

impl SessionCookie {
    /// With TLS (a proxy's) the browser is told to keep it for TLS, and for this very host alone. Without, hosts on other ports of this machine share
    /// its cookies, so the port is part of the name.
    pub fn new(tls: bool, port: u16) -> Self {
        let name = if tls { "__Host-holdshort".into() } else { format!("holdshort-{port}") };
        Self { name, secure: tls, named: false }
    }

    /// The same where each session has a name of its own; behind TLS the page's name is nobody else's anyway.
    #[must_use]
    pub fn with_names(self) -> Self {
        Self { named: !self.secure, ..self }
    }

    /// Whether each session has a name of its own.
    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    /// The name under which a page is asked for, where sessions have names.
    pub(super) fn session_name<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let host = headers.get(header::HOST).filter(|_| self.named)?;
        names::in_host(host.to_str().ok()?)
    }

    /// Whether the page is reached with TLS.
    pub(crate) fn secure(&self) -> bool {
        self.secure
    }

    /// The header that has a browser keep `value`, or, without one, forget it.
    fn header(&self, value: Option<&str>) -> Result<HeaderValue, Problem> {
        self.header_below("/", value)
    }

    fn header_below(&self, path: &str, value: Option<&str>) -> Result<HeaderValue, Problem> {
        let mut cookie = Cookie::build((self.name.as_str(), value.unwrap_or_default()))
            .path(path)
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
        let mut values = self.values(headers);
        let value = values.next().filter(|value| value.len() <= VALUE_BYTES_MAX)?;
        values.next().is_none().then_some(value)
    }

    fn values<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let named = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
        named.filter(|cookie| cookie.name() == self.name).filter_map(|cookie| cookie.value_raw())
    }

    /// The headers that have a browser forget cookies of our name that were not taken, at a request for `path`.
    ///
    /// Without TLS another port of this machine can set one. A browser keeps one for each path above the one that is asked for: ours is that of `/`, which
    /// stays where it is one of several, and the others are not ours.
    pub(super) fn forgotten(&self, headers: &HeaderMap, path: &str) -> Vec<HeaderValue> {
        let brought = self.values(headers).count();
        let ends = path.match_indices('/').flat_map(|(at, _)| [at, at + 1]).chain([path.len()]);
        let above: BTreeSet<&str> = ends.filter_map(|end| path.get(..end)).filter(|path| path.len() > 1).collect();
        let own = (brought == 1).then_some("/");
        let all = own.into_iter().chain(above).take(if brought == 0 { 0 } else { PATHS_MAX });
        all.filter_map(|path| self.header_below(path, None).ok()).collect()
    }
}

/// A person who has signed in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    reviewer: Reviewer,
    /// Under which it was opened and is found.
    name: Option<String>,
    since: Instant,
    key: Key,
    /// What whoever uses it has tried in vain; unknown while nobody does.
    tries: Option<Tries>,
    /// Whose other end goes with the session.
    open: watch::Receiver<()>,
    streams: Streams,
}

/// What tells the streams of a session's pages that a newer one takes their place; the oldest first.
type Streams = Arc<Mutex<Vec<Arc<Notify>>>>;

/// One of the streams of a session's pages, as long as this lives.
pub(crate) struct PageStream {
    all: Streams,
    own: Arc<Notify>,
}

impl PageStream {
    /// Waits until newer streams of the session have its place.
    pub(crate) async fn displaced(&self) {
        self.own.notified().await;
    }
}

impl Drop for PageStream {
    fn drop(&mut self) {
        lock(&self.all).retain(|other| !Arc::ptr_eq(other, &self.own));
    }
}

/// A session that is kept, and what tells those who hold it that it is kept no more.
type Open = (Session, Arc<watch::Sender<()>>);

/// Whom a link signs in, and under which name.
#[derive(Clone, Debug)]
struct Link {
    reviewer: Reviewer,
    name: Option<String>,
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

    /// Waits until it is over: by signing out, by a newer session in its place, or by its time. What began with its last use waits no longer than
    /// it lasts without use.
    pub(crate) async fn over(mut self) {
        let left = SESSION_TIME_MAX.saturating_sub(self.since.elapsed()).min(IDLE_TIME_MAX);
        let _ = tokio::time::timeout(left, self.open.changed()).await;
    }

    /// One more stream of this session's pages; the oldest goes for it if there are too many.
    pub(crate) fn stream(&self) -> PageStream {
        let own = Arc::new(Notify::new());
        let mut all = lock(&self.streams);
        if all.len() >= STREAMS_MAX {
            all.remove(0).notify_one();
        }
        all.push(own.clone());
        PageStream { all: self.streams.clone(), own }
    }

    /// The seal of a form that may do `what`.
    pub(crate) fn seal(&self, what: &str) -> String {
        self.mac(what).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())).unwrap_or_default()
    }

    /// Whether the seal is of `what`. A form that may do one of several things asks this; it has to [`check`](Self::check) the last of them.
    pub(crate) fn sealed(&self, what: &str, seal: &str) -> bool {
        let sealed = URL_SAFE_NO_PAD.decode(seal).ok().zip(self.mac(what));
        sealed.is_some_and(|(seal, mac)| mac.verify_slice(&seal).is_ok())
    }

    /// Whether a form that does `what` came from a page of this session.
    pub(crate) fn check(&self, what: &str, seal: &str) -> Result<(), Problem> {
        let fits = self.sealed(what, seal);
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
    links: Mutex<Kept<Link>>,
    open: Mutex<Kept<Open>>,
}

impl Sessions {
    /// A code that signs `reviewer` in, once, under the name.
    pub(super) fn link(&self, reviewer: &Reviewer, name: Option<&str>, now: Instant) -> Result<String, Problem> {
        let code = random()?;
        let link = Link { reviewer: reviewer.clone(), name: name.map(str::to_owned) };
        lock(&self.links).put(Digest::of(code.as_bytes()), reviewer, link, now);
        Ok(code)
    }

    /// Whom a code would sign in under the name; it stays as it is.
    pub(super) fn whose(&self, code: &str, name: Option<&str>, now: Instant) -> Option<Reviewer> {
        let link = lock(&self.links).get(&Digest::of(code.as_bytes()), LINK_TIME, LINK_TIME, now)?;
        (link.name.as_deref() == name).then_some(link.reviewer)
    }

    /// Uses a code up. Under another name it is nobody's, and stays.
    pub(super) fn follow(&self, code: &str, name: Option<&str>, now: Instant) -> Option<Reviewer> {
        let reviewer = self.whose(code, name, now)?;
        // Of two who follow it at once one takes it.
        lock(&self.links).0.remove(&Digest::of(code.as_bytes())).map(|_| reviewer)
    }

    /// Signs `reviewer` in under a name: the header that their browser is to get.
    pub(super) fn open(
        &self,
        reviewer: &Reviewer,
        name: Option<&str>,
        cookie: &SessionCookie,
        now: Instant,
    ) -> Result<HeaderValue, Problem> {
        let (value, mut key) = (random()?, [0; 32]);
        getrandom::fill(&mut key).map_err(no_randomness)?;
        let (ends, open) = watch::channel(());
        let (reviewer, name) = (reviewer.clone(), name.map(str::to_owned));
        let (key, streams) = (Key(key), Streams::default());
        let session = Session { reviewer: reviewer.clone(), name, since: now, key, tries: None, open, streams };
        lock(&self.open).put(Digest::of(value.as_bytes()), &reviewer, (session, Arc::new(ends)), now);
        cookie.header(Some(&value))
    }

    /// The session of a cookie's value, under the name under which it was opened.
    pub(super) fn find(&self, value: &str, name: Option<&str>, now: Instant) -> Option<Session> {
        let digest = Digest::of(value.as_bytes());
        let (found, _) = lock(&self.open).get(&digest, IDLE_TIME_MAX, SESSION_TIME_MAX, now)?;
        let found = Some(found).filter(|found| found.name.as_deref() == name)?;
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

pub(super) fn no_randomness(error: getrandom::Error) -> Problem {
    tracing::error!(%error, "the operating system gives no random numbers");
    Problem::new(Kind::Unavailable, "the host has no random numbers for a secret just now")
}

#[cfg(test)]
mod tests;
