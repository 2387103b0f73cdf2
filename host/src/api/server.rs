//! Accepts a limited number of connections. Silent connections are closed, so that they cannot
//! occupy all places.
//!
//! This file uses hyper's connections directly, because `axum::serve` has no timeout for request
//! heads.

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
use super::problem::{Kind, Problem};
use super::secrets::Peer;
use super::shares::{Share, Shares};
use super::write_timeout::{Socket, WriteTimeout};

/// The maximum bytes of a request's head. Tokens are short. The library reads pieces of up to this size and checks the
/// size after each piece, so the largest possible head is twice as large.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The maximum number of headers of a request.
const HEADERS_MAX: usize = 64;

/// The interval for checking whether a connection can be closed to make room.
const NEXT_LOOK: Duration = Duration::from_millis(10);

/// The pause after the operating system refused a connection, for example without free file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The sources of connections.
#[derive(Debug)]
pub struct Listeners {
    network: TcpListener,
    /// The listener at the other loopback address, to which session names may resolve.
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
    /// All sources. `local` is only for the host's user.
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
                // Answers are small and complete, so waiting to fill a packet would only delay
                // them.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), peer.ip().into()))
            }
            accepted = local => {
                let (stream, _) = accepted?;
                let peer = stream.peer_cred()?.uid();
                if peer != 0 && peer != rustix::process::geteuid().as_raw() {
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("the user {peer} has connected to the local socket")));
                }
                Ok((Box::new(stream), Peer::Local))
            }
        }
    }
}

/// Answers requests until `shutdown` completes, and then gives open requests some time to finish.
pub async fn serve(listeners: impl Into<Listeners>, api: Api, shutdown: impl Future) -> io::Result<()> {
    let listeners = listeners.into();
    let router = api.router();
    let lines = Arc::new(Connections::default());
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
        tracing::warn!("some requests did not end in time and were stopped");
    }
    Ok(())
}

/// Answers the requests of one connection until it ends, is closed to make room, or the host shuts
/// down.
async fn answer(stream: Box<dyn Socket>, router: Router, line: Arc<Connection>, api: &Api) {
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
        .serve_connection(TokioIo::new(WriteTimeout::new(stream, api.limits().write_time_max, line.clone())), service);
    let mut connection = pin!(connection);
    let mut closing = api.0.closing.subscribe();
    let ended = tokio::select! {
        // `biased`: a complete answer is written before the connection is closed to make room.
        biased;
        ended = &mut connection => ended,
        () = line.close.notified() => return,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = ?line.peer, "a connection ended with an error");
    }
}

/// Waits until the host shuts down.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the endpoint no longer exists, which counts as a shutdown.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// The state of a connection that decides whether it can be closed to make room.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    peer: Peer,
    opened: Instant,
    /// The time of the last request, in microseconds after the opening; 0 means none.
    touched: AtomicU64,
    /// The time of the first read that found no data, in microseconds after the opening; 0 means never. The newcomer
    /// time begins at this read: until then, the host had not yet waited for the client.
    listened: AtomicU64,
    /// The first authenticated reviewer on this connection.
    owner: OnceLock<Reviewer>,
    /// The number of authenticated complete requests being answered, including streams.
    busy: AtomicUsize,
    close: Notify,
    /// Notified when the connection may be closed.
    freed: Arc<Notify>,
}

/// An authenticated request. From its complete arrival until this value is dropped, its connection
/// is not closed to make room.
///
/// Before the complete arrival the connection may be closed. Otherwise a reviewer could occupy all
/// connections with bodies that never arrive.
#[derive(Debug)]
pub(crate) struct Busy {
    line: Arc<Connection>,
    reviewer: Reviewer,
    /// The counts of concurrent requests by reviewer.
    shares: Arc<Shares>,
    most: usize,
    /// The request's own share, once the request has arrived completely.
    begun: OnceLock<Share>,
}

impl Busy {
    /// Marks the request as complete. Fails if the reviewer has too many requests in progress,
    /// because one reviewer must leave room for others.
    pub(super) fn begin(&self) -> Result<(), Problem> {
        if self.begun.get().is_some() {
            return Ok(());
        }
        let share = self.shares.take(&self.reviewer, self.most).ok_or_else(|| {
            let detail = format!(
                "you have {} requests in progress, and no more are allowed: wait until one of them is answered",
                self.most
            );
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

impl Connection {
    /// The other end of the connection.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Registers an authenticated request.
    pub(super) fn asked_by(self: Arc<Self>, reviewer: &Reviewer, api: &Api) -> Busy {
        self.owner.get_or_init(|| reviewer.clone());
        let (shares, most) = (api.0.busy.clone(), api.limits().requests_of_one());
        Busy { line: self, reviewer: reviewer.clone(), shares, most, begun: OnceLock::new() }
    }

    fn touch(&self) {
        self.touched.store(self.age_us(), Ordering::Relaxed);
    }

    /// Records the time of the first read that found no data.
    pub(super) fn heard_nothing(&self) {
        let _ = self.listened.compare_exchange(0, self.age_us(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The connection's age; at least 1, because 0 means never.
    fn age_us(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether the client has had less than `time` for its first request.
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
struct Connections {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    freed: Arc<Notify>,
}

impl Connections {
    /// Waits until there is room for an accepted connection.
    ///
    /// The host makes room after it has accepted a connection. So a thousand silent connections
    /// displace each other, while a reviewer's request arrives at once and is served.
    async fn room(&self, api: &Api) {
        while !self.make_room(api) {
            // The end of a connection is notified. The end of a newcomer time is not, so the check is repeated.
            let _ = tokio::time::timeout(NEXT_LOOK, self.freed.notified()).await;
        }
    }

    /// If there are too many connections, closes one that is idle: one of a reviewer who holds more than half of all, or
    /// else an unauthenticated one, or else any. Among these, the one that was silent longest is closed. Returns
    /// whether there is room.
    ///
    /// A connection is unauthenticated until its first request is read. The rule about half of all connections keeps
    /// one reviewer from locking out all others.
    fn make_room(&self, api: &Api) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() < api.limits().connections_max {
            return true;
        }
        let mut places = HashMap::<&Reviewer, usize>::new();
        open.values().filter_map(|line| line.owner.get()).for_each(|owner| *places.entry(owner).or_default() += 1);
        let has_too_many =
            |owner: &Reviewer| places.get(owner).is_some_and(|count| *count > api.limits().connections_max / 2);
        let rank = |line: &Connection| line.owner.get().map_or(1, |owner| if has_too_many(owner) { 0 } else { 2 });
        let newcomer_time = api.limits().newcomer_time;
        let idle = open.values().filter(|line| line.busy.load(Ordering::Relaxed) == 0 && !line.is_new(newcomer_time));
        let victim = idle.min_by_key(|line| (rank(line), line.last_sign())).cloned();
        let Some(victim) = victim else { return false };
        victim.close.notify_one();
        open.remove(&victim.id);
        api.0.metrics.evicted.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn open(&self, peer: Peer) -> Arc<Connection> {
        let line = Arc::new(Connection {
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

    fn close(&self, line: &Connection) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&line.id);
        self.freed.notify_one();
    }
}
