//! Listening: a bounded number of connections, none of which can hold a place by saying nothing.
//!
//! Written on hyper's own connection, because `axum::serve` has no time-out for request heads.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::Api;
use super::auth::Reviewer;
use super::patience::{Patient, Socket};
use super::problem::{Kind, Problem};
use super::secrets::Peer;
use super::shares::{Share, Shares};

/// Bytes of a request's head, and headers in it: tokens are short and there are no cookies. The library reads pieces of up to this size and looks after
/// each whether the head has ended, so the largest head that can be taken is twice as large.
const HEAD_BYTES_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 64;

/// How long to wait before looking again whether a connection can be closed for another.
const NEXT_LOOK: Duration = Duration::from_millis(10);

/// A pause after the operating system refused a connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come from.
#[derive(Debug)]
pub struct Listeners {
    network: TcpListener,
    /// At the other address that a name may lead to.
    twin: Option<TcpListener>,
    /// The socket in the state folder.
    local: Option<UnixListener>,
}

impl From<TcpListener> for Listeners {
    fn from(network: TcpListener) -> Self {
        Self { network, twin: None, local: None }
    }
}

impl Listeners {
    /// All of them; the last is for the host's user alone.
    pub fn new(network: TcpListener, twin: Option<TcpListener>, local: Option<UnixListener>) -> Self {
        Self { network, twin, local }
    }

    async fn accept(&self) -> io::Result<(Box<dyn Socket>, Peer)> {
        let local = async {
            match &self.local {
                Some(local) => local.accept().await,
                None => std::future::pending().await,
            }
        };
        let twin = async {
            match &self.twin {
                Some(twin) => twin.accept().await,
                None => std::future::pending().await,
            }
        };
        let network = async {
            tokio::select! {
                accepted = self.network.accept() => accepted,
                accepted = twin => accepted,
            }
        };
        tokio::select! {
            accepted = network => {
                let (stream, peer) = accepted?;
                // Answers are small and whole; waiting to fill a packet would only delay them.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), peer.ip().into()))
            }
            accepted = local => {
                let (stream, _) = accepted?;
                let peer = stream.peer_cred()?.uid();
                if peer != 0 && peer != rustix::process::geteuid().as_raw() {
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("the user {peer} has come by the local socket")));
                }
                Ok((Box::new(stream), Peer::Local))
            }
        }
    }
}

/// Answers requests until `shutdown` is ready; then lets open ones end, for a while.
pub async fn serve(listeners: impl Into<Listeners>, api: Api, shutdown: impl Future) -> io::Result<()> {
    let listeners = listeners.into();
    let router = api.router();
    let lines = Arc::new(Lines::default());
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            _ = &mut shutdown => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listeners.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::select! {
                    _ = &mut shutdown => break,
                    () = lines.room(&api) => {}
                }
                let line = lines.open(peer);
                let (router, api, lines) = (router.clone(), api.clone(), lines.clone());
                tasks.spawn(async move {
                    api.0.connections.fetch_add(1, Ordering::Relaxed);
                    answer(stream, router, line.clone(), &api).await;
                    api.0.connections.fetch_sub(1, Ordering::Relaxed);
                    lines.close(&line);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listeners);
    api.0.closing.send_replace(true);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(api.limits().shutdown_time_max, ended).await.is_err() {
        tracing::warn!("some requests did not end in time and are cut off");
    }
    Ok(())
}

/// Answers the requests of one connection, until it ends, is closed to make room, or the host shuts down.
async fn answer(stream: Box<dyn Socket>, router: Router, line: Arc<Line>, api: &Api) {
    let extension = line.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        extension.touch();
        request.extensions_mut().insert(extension.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(api.limits().header_time_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, api.limits().write_time_max, line.clone())), service);
    let mut connection = pin!(connection);
    let mut closing = api.0.closing.subscribe();
    let ended = tokio::select! {
        // What has just been answered is written before the connection is closed for another.
        biased;
        ended = &mut connection => ended,
        () = line.close.notified() => return,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = ?line.peer, "a connection ended badly");
    }
}

/// Waits until the host shuts down.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the endpoint itself is gone, which is the same thing.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// One connection, as far as making room is concerned.
#[derive(Debug)]
pub(crate) struct Line {
    id: u64,
    peer: Peer,
    opened: Instant,
    /// Microseconds between its opening and its last request.
    touched: AtomicU64,
    /// The same up to when it was first listened to in vain. How long the host takes to get to that is not the other end's fault.
    listened: AtomicU64,
    /// Who has used it first, if that was somebody known.
    owner: OnceLock<Reviewer>,
    /// Whole requests of somebody known that are being answered, event streams included.
    busy: AtomicUsize,
    close: Notify,
    /// Told when it need not stay open any more.
    freed: Arc<Notify>,
}

/// Somebody known asks. Once the whole request is there, and as long as this lives, its connection is not closed to make room.
///
/// Not before: whoever has a token could hold every place with bodies that never arrive.
#[derive(Debug)]
pub(crate) struct Busy {
    line: Arc<Line>,
    reviewer: Reviewer,
    /// What there is of this reviewer's requests at once, and how many there may be.
    shares: Arc<Shares>,
    most: usize,
    /// The share that it has, once it has begun.
    begun: OnceLock<Share>,
}

impl Busy {
    /// The request is there. One reviewer's requests leave places for those of others.
    pub(super) fn begin(&self) -> Result<(), Problem> {
        if self.begun.get().is_some() {
            return Ok(());
        }
        let share = self.shares.take(&self.reviewer, self.most).ok_or_else(|| {
            let detail = format!("{} requests of yours are being answered; try again when one of them is", self.most);
            Problem::new(Kind::TooMany, detail).max(self.most).retry_after_s(1)
        })?;
        if self.begun.set(share).is_ok() {
            self.line.busy.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.begun.get().is_some() {
            self.line.touch();
            self.line.busy.fetch_sub(1, Ordering::Relaxed);
            self.line.freed.notify_one();
        }
    }
}

impl Line {
    /// The other end.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Somebody known asks for something.
    pub(super) fn asked_by(self: Arc<Self>, reviewer: &Reviewer, api: &Api) -> Busy {
        self.owner.get_or_init(|| reviewer.clone());
        let (shares, most) = (api.0.busy.clone(), api.limits().requests_of_one());
        Busy { line: self, reviewer: reviewer.clone(), shares, most, begun: OnceLock::new() }
    }

    fn touch(&self) {
        self.touched.store(self.age_us(), Ordering::Relaxed);
    }

    /// There was nothing to read.
    pub(super) fn heard_nothing(&self) {
        let _ = self.listened.compare_exchange(0, self.age_us(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Never 0, which stands for never.
    fn age_us(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether it had less than this time to send its first request, and has not.
    fn is_new(&self, time: Duration) -> bool {
        let listened = self.listened.load(Ordering::Relaxed);
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.touched.load(Ordering::Relaxed) == 0 && (listened == 0 || self.age_us().saturating_sub(listened) < time_us)
    }

    fn last_sign(&self) -> Instant {
        self.opened + Duration::from_micros(self.touched.load(Ordering::Relaxed))
    }
}

/// The open connections.
#[derive(Debug, Default)]
struct Lines {
    open: Mutex<HashMap<u64, Arc<Line>>>,
    next: AtomicU64,
    freed: Arc<Notify>,
}

impl Lines {
    /// Waits until there is room for a connection that was accepted.
    ///
    /// Accepting comes first: a thousand silent sockets push each other out, and a reviewer, whose request follows at once, is served.
    async fn room(&self, api: &Api) {
        while !self.make_room(api) {
            // A connection that ends says so; one that is not new any more does not.
            let _ = tokio::time::timeout(NEXT_LOOK, self.freed.notified()).await;
        }
    }

    /// Closes the connection that is missed least if there are too many: strangers' first, then the one that has been silent longest.
    ///
    /// Everybody is a stranger until their first request is read. So that who has a token cannot keep all others in that state,
    /// who holds more than half of all places loses one before a stranger does.
    fn make_room(&self, api: &Api) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() < api.limits().connections_max {
            return true;
        }
        let mut places = HashMap::<&Reviewer, usize>::new();
        open.values().filter_map(|line| line.owner.get()).for_each(|owner| *places.entry(owner).or_default() += 1);
        let has_too_many =
            |owner: &Reviewer| places.get(owner).is_some_and(|count| *count > api.limits().connections_max / 2);
        let rank = |line: &Line| line.owner.get().map_or(1, |owner| if has_too_many(owner) { 0 } else { 2 });
        let newcomer_time = api.limits().newcomer_time;
        let idle = open.values().filter(|line| line.busy.load(Ordering::Relaxed) == 0 && !line.is_new(newcomer_time));
        let victim = idle.min_by_key(|line| (rank(line), line.last_sign())).cloned();
        let Some(victim) = victim else { return false };
        victim.close.notify_one();
        open.remove(&victim.id);
        api.0.metrics.evicted.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn open(&self, peer: Peer) -> Arc<Line> {
        let line = Arc::new(Line {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            peer,
            opened: Instant::now(),
            touched: AtomicU64::new(0),
            listened: AtomicU64::new(0),
            owner: OnceLock::new(),
            busy: AtomicUsize::new(0),
            close: Notify::new(),
            freed: self.freed.clone(),
        });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(line.id, line.clone());
        line
    }

    fn close(&self, line: &Line) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&line.id);
        self.freed.notify_one();
    }
}
