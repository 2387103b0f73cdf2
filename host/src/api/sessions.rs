//! Browser access: one-time links that sign in, and the sessions that they open.
//!
//! A link's code and a session's cookie are 256 random bits each. The host keeps only their hashes, in memory, so a
//! restart signs everybody out. Each session has a key for the seals of forms. A seal is a MAC that ties a form to the
//! session and to the shown content. So no other page can make a browser send a form, and a reviewer cannot decide on
//! content that they did not open.

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
use super::problem::{Kind, Problem};
use super::secrets::Tries;
use super::session_names;

/// How long a link is valid.
pub(crate) const LINK_TIME: Duration = Duration::from_secs(10 * 60);
/// The time after which a session ends if no request uses it.
const IDLE_TIME_MAX: Duration = Duration::from_secs(8 * 3600);
/// The time after which a session ends even if requests use it.
const SESSION_TIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// The maximum number of links and of sessions of one reviewer. A further link or session replaces the one that was
/// unused longest.
const OF_ONE_PERSON_MAX: usize = 20;
/// The maximum number of streams of one session. A browser has six connections to a host, and streams occupy them.
const STREAMS_MAX: usize = 4;
/// The maximum length of a cookie's value. The values of our cookies are shorter.
const VALUE_BYTES_MAX: usize = 64;
/// The number of paths for which a browser is told to delete a cookie. Our pages have fewer parent paths.
const PATHS_MAX: usize = 16;

/// The page's cookie.
#[derive(Clone, Debug)]
pub struct SessionCookie {
    name: String,
    secure: bool,
    /// Whether each session has a host name of its own and works only under it.
    named: bool,
}

impl SessionCookie {
    /// Makes the cookie's settings. With TLS, which a proxy provides, browsers send it only over TLS and only to this
    /// host. Without TLS, hosts on other ports of this machine share its cookies, so the port is part of the name.
    pub fn new(tls: bool, port: u16) -> Self {
        let name = if tls { "__Host-holdshort".into() } else { format!("holdshort-{port}") };
        Self { name, secure: tls, named: false }
    }

    /// Gives each session a host name of its own. Behind TLS this is not needed, because nobody else has the page's
    /// name.
    #[must_use]
    pub fn with_names(self) -> Self {
        Self { named: !self.secure, ..self }
    }

    /// Whether each session has a host name of its own.
    pub(super) fn is_named(&self) -> bool {
        self.named
    }

    /// The host name of the request's session, if sessions have names.
    pub(super) fn session_name<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let host = headers.get(header::HOST).filter(|_| self.named)?;
        session_names::in_host(host.to_str().ok()?)
    }

    /// Whether the page is reached with TLS.
    pub(crate) fn secure(&self) -> bool {
        self.secure
    }

    /// The header that sets the cookie to `value`, or deletes it.
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

    /// The cookie's value, if the headers have exactly one.
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

    /// Headers that make the browser delete refused cookies with our name, for a request to `path`.
    ///
    /// Without TLS another port of this machine can set such a cookie, one for each parent path of `path`. Our own
    /// cookie has the path `/`. If the browser sent several cookies, our own cookie stays, because the others are
    /// foreign.
    pub(super) fn forgotten(&self, headers: &HeaderMap, path: &str) -> Vec<HeaderValue> {
        let brought = self.values(headers).count();
        let ends = path.match_indices('/').flat_map(|(at, _)| [at, at + 1]).chain([path.len()]);
        let above: BTreeSet<&str> = ends.filter_map(|end| path.get(..end)).filter(|path| path.len() > 1).collect();
        let own = (brought == 1).then_some("/");
        let all = own.into_iter().chain(above).take(if brought == 0 { 0 } else { PATHS_MAX });
        all.filter_map(|path| self.header_below(path, None).ok()).collect()
    }
}

/// A signed-in reviewer's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    reviewer: Reviewer,
    /// The host name under which the session was opened, and works.
    name: Option<String>,
    since: Instant,
    key: SealKey,
    /// The failed attempts of the peer that sent the request; `None` for a stored session.
    tries: Option<Tries>,
    /// Closed when the session ends.
    open: watch::Receiver<()>,
    streams: Streams,
}

/// One handle for each stream of a session, oldest first. It notifies the stream that a newer stream takes its place.
type Streams = Arc<Mutex<Vec<Arc<Notify>>>>;

/// One stream of a session. Dropping this value removes the stream from the session.
pub(crate) struct PageStream {
    all: Streams,
    own: Arc<Notify>,
}

impl PageStream {
    /// Waits until a newer stream of the session takes this stream's place.
    pub(crate) async fn displaced(&self) {
        self.own.notified().await;
    }
}

impl Drop for PageStream {
    fn drop(&mut self) {
        lock(&self.all).retain(|other| !Arc::ptr_eq(other, &self.own));
    }
}

/// A stored session, and a sender. When the sender is dropped, the users of the session learn that the session has
/// ended.
type OpenSession = (Session, Arc<watch::Sender<()>>);

/// The reviewer and host name of a link.
#[derive(Clone, Debug)]
struct Link {
    reviewer: Reviewer,
    name: Option<String>,
}

/// The secret for a session's seals.
#[derive(Clone)]
struct SealKey([u8; 32]);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Session {
    /// The signed-in reviewer.
    pub(crate) fn reviewer(&self) -> &Reviewer {
        &self.reviewer
    }

    /// The session for one request. Failed attempts with this request count in `tries`, which belongs to the peer that
    /// sent it.
    pub(super) fn used_by(self, tries: Tries) -> Self {
        Self { tries: Some(tries), ..self }
    }

    /// Waits for the session's end: by sign-out, by a newer session, or by time. The wait begins with a request, so it
    /// lasts no longer than the idle limit.
    pub(crate) async fn over(mut self) {
        let left = SESSION_TIME_MAX.saturating_sub(self.since.elapsed()).min(IDLE_TIME_MAX);
        let _ = tokio::time::timeout(left, self.open.changed()).await;
    }

    /// Starts a stream of this session. If the session has too many streams, the oldest stream ends.
    pub(crate) fn stream(&self) -> PageStream {
        let own = Arc::new(Notify::new());
        let mut all = lock(&self.streams);
        if all.len() >= STREAMS_MAX {
            all.remove(0).notify_one();
        }
        all.push(own.clone());
        PageStream { all: self.streams.clone(), own }
    }

    /// The seal of a form for the purpose `what`.
    pub(crate) fn seal(&self, what: &str) -> String {
        self.mac(what).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())).unwrap_or_default()
    }

    /// Whether `seal` is the seal for `what`. A wrong seal does not count as a failed attempt here. So a form with
    /// several possible purposes calls this for all but the last, and [`check`](Self::check) for the last.
    pub(crate) fn sealed(&self, what: &str, seal: &str) -> bool {
        let sealed = URL_SAFE_NO_PAD.decode(seal).ok().zip(self.mac(what));
        sealed.is_some_and(|(seal, mac)| mac.verify_slice(&seal).is_ok())
    }

    /// Checks that a form for `what` came from a page of this session.
    pub(crate) fn check(&self, what: &str, seal: &str) -> Result<(), Problem> {
        let fits = self.sealed(what, seal);
        let refused = || {
            Problem::new(
                Kind::OriginNotAllowed,
                "this form does not belong to this session; open the page again, and send the form from the new page",
            )
        };
        match (fits, &self.tries) {
            (true, _) => Ok(()),
            (false, Some(tries)) => Err(tries.failed(refused())),
            (false, None) => Err(refused()),
        }
    }

    /// The HMAC. `None` if the library refuses the key, which it does not do for a key of this length.
    fn mac(&self, what: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).ok()?;
        mac.update(what.as_bytes());
        Some(mac)
    }
}

/// The valid links and open sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    links: Mutex<SecretStore<Link>>,
    open: Mutex<SecretStore<OpenSession>>,
}

impl Sessions {
    /// Makes a code that signs `reviewer` in once, under the host name.
    pub(super) fn link(&self, reviewer: &Reviewer, name: Option<&str>, now: Instant) -> Result<String, Problem> {
        let code = random()?;
        let link = Link { reviewer: reviewer.clone(), name: name.map(str::to_owned) };
        lock(&self.links).put(Digest::of(code.as_bytes()), reviewer, link, now);
        Ok(code)
    }

    /// The reviewer of a code under the host name. The code stays valid.
    pub(super) fn whose(&self, code: &str, name: Option<&str>, now: Instant) -> Option<Reviewer> {
        let link = lock(&self.links).get(&Digest::of(code.as_bytes()), LINK_TIME, LINK_TIME, now)?;
        (link.name.as_deref() == name).then_some(link.reviewer)
    }

    /// Uses up a code. Under another host name the code counts as unknown, and stays valid.
    pub(super) fn follow(&self, code: &str, name: Option<&str>, now: Instant) -> Option<Reviewer> {
        let reviewer = self.whose(code, name, now)?;
        // Of two concurrent uses, only one removes the code.
        lock(&self.links).0.remove(&Digest::of(code.as_bytes())).map(|_| reviewer)
    }

    /// Opens a session for `reviewer` under a host name and returns the header for the browser.
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
        let (key, streams) = (SealKey(key), Streams::default());
        let session = Session { reviewer: reviewer.clone(), name, since: now, key, tries: None, open, streams };
        lock(&self.open).put(Digest::of(value.as_bytes()), &reviewer, (session, Arc::new(ends)), now);
        cookie.header(Some(&value))
    }

    /// The session of a cookie's value, under its host name.
    pub(super) fn find(&self, value: &str, name: Option<&str>, now: Instant) -> Option<Session> {
        let digest = Digest::of(value.as_bytes());
        let (found, _) = lock(&self.open).get(&digest, IDLE_TIME_MAX, SESSION_TIME_MAX, now)?;
        let found = Some(found).filter(|found| found.name.as_deref() == name)?;
        let age = u64::try_from(now.saturating_duration_since(found.since).as_millis()).unwrap_or(u64::MAX);
        Some(Session { reviewer: found.reviewer.clone().signed_in_for(age), ..found })
    }

    /// Ends the session of these headers and returns the header that deletes the cookie.
    pub(super) fn end(&self, headers: &HeaderMap, cookie: &SessionCookie) -> Result<HeaderValue, Problem> {
        if let Some(value) = cookie.value(headers) {
            lock(&self.open).0.remove(&Digest::of(value.as_bytes()));
        }
        cookie.header(None)
    }
}

/// Entries by the hash of their secret: owner, time of creation, time of last use, content.
#[derive(Debug)]
struct SecretStore<T>(HashMap<Digest, (Reviewer, Instant, Instant, T)>);

impl<T> Default for SecretStore<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone> SecretStore<T> {
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
    Problem::new(Kind::Unavailable, "the host has no random numbers for a secret now")
}

#[cfg(test)]
mod tests;
