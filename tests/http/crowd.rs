//! T14: a thousand slow sockets at a host with the shipped limits, and a reviewer who is still served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdshort::api::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::{get, post};
use crate::evidence;
use crate::world::{How, World};

const SOCKETS: usize = 1_000;

/// How many requests the reviewer sends.
const VISITS: usize = 20;

/// The project promises one second. A busy machine may need longer. Without the limits an answer takes ten to thirty
/// seconds.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// How long a slow socket waits before it connects again.
const REST: Duration = Duration::from_secs(2);

/// How a socket is slow.
#[derive(Clone, Copy, Debug)]
enum Slow {
    /// The socket sends nothing.
    Silent,
    /// The socket sends half a head, and then one byte from time to time.
    Head,
    /// The socket sends a request without a token again and again, one byte at a time.
    Stranger,
    /// The socket has a token, sends a whole head, and then the body one byte at a time.
    Body,
    /// The socket has a token, asks for more than any buffer holds, and reads nothing.
    Reader,
    /// The socket has a token, and keeps a stream of events open.
    Stream,
    /// The socket has a token, has received an answer, and keeps the connection.
    Kept,
}

/// `Body` is listed twice, so that there are about as many sockets of that kind (250) as the host keeps connections
/// (256).
const ALL: [Slow; 8] =
    [Slow::Silent, Slow::Head, Slow::Stranger, Slow::Body, Slow::Body, Slow::Reader, Slow::Stream, Slow::Kept];

impl Slow {
    /// Is slow until the host closes the connection, then connects again, without end.
    async fn forever(self, at: SocketAddr, closed: Arc<AtomicUsize>) {
        loop {
            // Small buffers, so that the host soon notices that the client does not read.
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4_096).unwrap();
            if let Ok(mut stream) = socket.connect(at).await {
                let _ = self.once(&mut stream).await;
                closed.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn once(self, stream: &mut TcpStream) -> std::io::Result<()> {
        let with_token = |target: &str| get(target).by("bob").without("Connection").bytes();
        let body = post("/v1/runs", &json!({"agent": "release", "task": "x".repeat(10_000)})).by("bob");
        match self {
            Self::Silent => {}
            Self::Head => {
                dribble(stream, b"GET /v1/approvals HTTP/1.1\r\nHost: holdshort.test\r\nX-Slow: ", b"x").await?
            }
            Self::Stranger => {
                let request = get("/v1/approvals").without("Authorization").without("Connection").bytes();
                return dribble(stream, &[], &request).await;
            }
            Self::Body => dribble(stream, &body.head(), b" ").await?,
            Self::Reader => {
                stream.write_all(&with_token("/openapi.json").repeat(1_000)).await?;
                std::future::pending::<()>().await;
            }
            Self::Stream => stream.write_all(&with_token("/v1/events")).await?,
            Self::Kept => stream.write_all(&with_token("/v1/agents")).await?,
        }
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.map(drop)
    }
}

/// Sends `first`, and then the bytes of `next` one by one, again and again.
async fn dribble(stream: &mut TcpStream, first: &[u8], next: &[u8]) -> std::io::Result<()> {
    stream.write_all(first).await?;
    for byte in next.iter().cycle() {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream.write_all(&[*byte]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_sockets_keep_nobody_out() {
    let world = World::new().await;
    let closed = Arc::new(AtomicUsize::new(0));
    // A reviewer may have a quarter of the streams, so four reviewers are needed to have all of them: these three and
    // the crowd's.
    let mut streams = Vec::new();
    for who in ["alice", "carol", "olga"] {
        for _ in 0..Limits::STANDARD.streams_max / 4 {
            let mut stream = TcpStream::connect(world.at).await.unwrap();
            stream.write_all(&get("/v1/events").by(who).without("Connection").bytes()).await.unwrap();
            streams.push(stream);
        }
    }
    let crowd: Vec<_> =
        (0..SOCKETS).map(|number| tokio::spawn(ALL[number % ALL.len()].forever(world.at, closed.clone()))).collect();
    let mut worst = (Duration::ZERO, "");
    for _ in 0..VISITS {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let held = world.held(&How::PLAIN).await;
        let decide = json!({"type": "approve", "digest": held.digest});
        for (what, request, status) in [
            ("looked through the list", get("/v1/approvals"), 200),
            ("looked at one", get(&format!("/v1/approvals/{}", held.id)), 200),
            ("decided", post(&format!("/v1/approvals/{}/decisions", held.id), &decide), 200),
        ] {
            let start = Instant::now();
            let reply = tokio::time::timeout(SERVED_WITHIN, request.send(world.at)).await;
            let reply = reply.unwrap_or_else(|_| panic!("{what}: not within {SERVED_WITHIN:?}"));
            assert_eq!(reply.status, status, "{what}: {}", reply.text());
            worst = worst.max((start.elapsed(), what));
        }
    }
    println!("beside {SOCKETS} slow sockets a reviewer {} in {:?} at worst", worst.1, worst.0);
    let figures = world.ask(&get("/metrics")).await.text();
    let figure =
        |name: &str| figures.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse::<usize>().unwrap();
    let Limits { connections_max, streams_max, .. } = Limits::STANDARD;
    // A connection that was told to end may be counted a moment longer.
    assert!(figure("holdshort_http_connections ") <= connections_max + 16, "{figures}");
    assert_eq!(figure("holdshort_http_event_streams "), streams_max, "as many streams as there may be: {figures}");
    // There are more sockets than places, so the host closed the others, and they connected again.
    assert!(figure("holdshort_http_evicted_total ") >= SOCKETS - connections_max, "{figures}");
    assert!(closed.load(Ordering::Relaxed) > 0, "nobody was sent away");
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    evidence::figure("T14", "slow sockets", u64::try_from(SOCKETS).unwrap());
}
