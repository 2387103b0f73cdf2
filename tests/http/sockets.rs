//! Slow heads, slow bodies, many sockets and too many requests: the host closes or refuses their senders, and still
//! serves the reviewers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use holdshort::api::{Limits, Rate};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::{PATIENCE, Reply, get, post};
use crate::evidence;
use crate::hardening::sign_in;
use crate::world::{How, World};

/// Waits until the other end closes, and returns how long that took.
async fn closed(socket: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("the host closes");
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_not_waited_for() {
    let world = World::with(Limits { header_time_max: Duration::from_millis(400), ..Limits::STANDARD }).await;
    for beginning in ["", "GET /v1/approvals HTTP/1.1\r\nHost: hold"] {
        let mut socket = TcpStream::connect(world.at).await.unwrap();
        socket.write_all(beginning.as_bytes()).await.unwrap();
        let took = closed(&mut socket).await;
        assert!(took > Duration::from_millis(300) && took < Duration::from_secs(5), "{beginning:?}: {took:?}");
    }
    // A byte from time to time does not keep the connection open.
    let mut socket = TcpStream::connect(world.at).await.unwrap();
    let start = Instant::now();
    while socket.write_all(b"G").await.is_ok() && start.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // A request that was answered does not keep the connection open either, if no further request comes.
    let mut socket = TcpStream::connect(world.at).await.unwrap();
    socket.write_all(&get("/healthz").without("Connection").bytes()).await.unwrap();
    assert!(closed(&mut socket).await < Duration::from_secs(5));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_not_waited_for() {
    let world = World::with(Limits { body_time_max: Duration::from_millis(300), ..Limits::STANDARD }).await;
    let request = post("/v1/runs", &json!({"agent": "release", "task": "write to them"}));
    let mut socket = TcpStream::connect(world.at).await.unwrap();
    socket.write_all(&request.head()).await.unwrap();
    socket.write_all(&request.body[..5]).await.unwrap();
    let reply = Reply::read(&mut socket).await;
    world.schema.check(&request, &reply);
    assert_eq!((reply.status, &reply.json()["type"]), (408, &json!("urn:holdshort:problem:too-slow")));
    // The host does not wait for the body of a request without a token.
    let request = request.without("Authorization");
    let mut socket = TcpStream::connect(world.at).await.unwrap();
    socket.write_all(&request.head()).await.unwrap();
    let reply = Reply::read(&mut socket).await;
    world.schema.check(&request, &reply);
    assert_eq!(reply.status, 401);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_bounded_too() {
    let world = World::with(Limits { body_bytes_max: 1000, ..Limits::STANDARD }).await;
    let request = post("/v1/runs", &json!({})).without("Content-Length").with("Transfer-Encoding", "chunked");
    let mut socket = TcpStream::connect(world.at).await.unwrap();
    socket.write_all(&request.head()).await.unwrap();
    let chunk = [b"1f4\r\n".as_slice(), &[b' '; 500], b"\r\n"].concat();
    for _ in 0..3 {
        socket.write_all(&chunk).await.unwrap();
    }
    let reply = Reply::read(&mut socket).await;
    world.schema.check(&request, &reply);
    assert_eq!((reply.status, &reply.json()["max"]), (413, &json!(1000)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_or_no_http_ends_the_connection() {
    let world = World::new().await;
    let large = get("/healthz").with("X-Large", &"x".repeat(64 * 1024));
    let many = (0..100).fold(get("/healthz"), |request, number| request.and("X-Many", &number.to_string()));
    let smuggled = post("/v1/runs", &json!({}))
        .with("Transfer-Encoding", "chunked")
        .with("Content-Length", "5")
        .and("Content-Length", "6");
    // Bytes that are not a request get no answer from the host's own code: the HTTP library answers with a status
    // alone, as `host/API.md` says, and closes. The last row is a request, but its body is not what its head says.
    for (status, is_ours, bytes) in [
        (431, false, large.bytes()),
        (431, false, many.bytes()),
        (400, false, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        (400, false, b"GET / HTTP/9.9\r\n\r\n".to_vec()),
        (400, true, smuggled.bytes()),
    ] {
        let mut socket = TcpStream::connect(world.at).await.unwrap();
        let _ = socket.write_all(&bytes).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the host closes");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!((!body.is_empty(), head.contains("nosniff")), (is_ours, is_ours), "{answer}");
    }
    assert_eq!(world.ask(&get("/healthz")).await.status, 200);
    world.stop().await;
}

/// A connection that stays open.
struct Kept(TcpStream);

impl Kept {
    /// Asks for the list of agents and reads the beginning of the answer, or asks for events, whose answer has no end.
    async fn open(world: &World, target: &str) -> Self {
        let mut kept = Self(TcpStream::connect(world.at).await.unwrap());
        assert!(kept.asks(target).await);
        kept
    }

    /// Sends another request, and returns whether the connection is still served.
    async fn asks(&mut self, target: &str) -> bool {
        let _ = self.0.write_all(&get(target).without("Connection").bytes()).await;
        let mut answer = [0; 4096];
        let count = tokio::time::timeout(PATIENCE, self.0.read(&mut answer)).await.expect("an answer or an end");
        count.is_ok_and(|count| answer[..count].starts_with(b"HTTP/1.1 200"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_answered_is_not_closed_to_make_room() {
    let world = World::with(Limits { connections_max: 4, ..Limits::STANDARD }).await;
    // This connection is the oldest and sends nothing. The host keeps it only because it is busy.
    let mut stream = Kept::open(&world, "/v1/events").await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(Kept::open(&world, "/v1/agents").await);
    }
    // On a busy machine, the client of the last closed connection notices the end only at its next request.
    for tries in 0.. {
        let mut served = 0;
        for kept in &mut idle {
            served += u32::from(kept.asks("/v1/agents").await);
        }
        if served == 3 {
            break;
        }
        assert!(served > 3 && tries < 100, "of the idle ones the latest three are left, and not {served}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.held(&How::PLAIN).await;
    let mut event = [0; 4096];
    let count = tokio::time::timeout(PATIENCE, stream.0.read(&mut event)).await.expect("an event").unwrap();
    assert!(String::from_utf8_lossy(&event[..count]).contains("run-created"));
    // A request whose body has not arrived takes no place. When every place serves a request, the next client waits
    // until one of these requests ends.
    let start = post("/v1/runs", &json!({"agent": "release", "task": "write to them"})).without("Connection");
    let mut slow = TcpStream::connect(world.at).await.unwrap();
    slow.write_all(&start.head()).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Kept::open(&world, "/v1/events").await);
    }
    closed(&mut slow).await;
    let (request, at) = (get("/v1/agents"), world.at);
    let waiting = tokio::spawn(async move { request.send(at).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    drop(streams.pop());
    // The host notices a closed stream when it next has something to send.
    world.held(&How::PLAIN).await;
    world.held(&How::PLAIN).await;
    let served = tokio::time::timeout(PATIENCE, waiting).await;
    assert_eq!(served.expect("served as soon as one ends").unwrap().status, 200);
    drop((stream, streams));
    world.stop().await;
}

/// However many requests one reviewer sends at once, they get at most half of all places, and other reviewers are
/// served beside them.
#[tokio::test(flavor = "multi_thread")]
async fn one_reviewers_requests_leave_places_for_others() {
    let world = World::with(Limits { connections_max: 20, ..Limits::STANDARD }).await;
    // Requests that lack only the last byte of their bodies keep no place yet. Then all the last bytes are sent at
    // once.
    let start = post("/v1/runs", &json!({"agent": "release", "task": "write to them"})).without("Connection");
    let (bytes, mut begun) = (start.bytes(), Vec::new());
    for _ in 0..9 {
        let mut socket = TcpStream::connect(world.at).await.unwrap();
        socket.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
        begun.push(socket);
    }
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(Kept::open(&world, "/v1/events").await);
    }
    let mut refused = 0;
    let more =
        [get("/v1/agents"), get("/metrics"), get("/v1/events"), post("/v1/runs", &json!({})), get("/v1/no-such")];
    for request in &more {
        let reply = request.send(world.at).await;
        assert_eq!((reply.status, &reply.json()["max"]), (429, &json!(10)), "{}: {}", request.target, reply.text());
        assert!(reply.text().contains("you have 10 requests in progress") && reply.header("retry-after").is_some());
        refused += 1;
    }
    for mut socket in begun {
        // The host may have closed the connection to make room.
        if socket.write_all(&bytes[bytes.len() - 1..]).await.is_ok() {
            let mut answer = Vec::new();
            let mut piece = [0; 4096];
            while !answer.ends_with(b"}") {
                match tokio::time::timeout(PATIENCE, socket.read(&mut piece)).await.expect("an answer or an end") {
                    Ok(count @ 1..) => answer.extend_from_slice(&piece[..count]),
                    Ok(0) | Err(_) => break,
                }
            }
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 429 "), "{}", String::from_utf8_lossy(&answer));
            refused += 1;
        }
    }
    for who in ["bob", "carol", "olga"] {
        for _ in 0..20 {
            assert_eq!(world.ask(&get("/v1/agents").by(who)).await.status, 200, "{who}");
        }
    }
    assert!(!sign_in(&world, "bob").await.is_empty());
    assert!(refused >= more.len());
    // When the reviewer has a free place again, they are served as before.
    drop(streams.pop());
    let start = Instant::now();
    while world.ask(&get("/v1/agents")).await.status != 200 {
        assert!(start.elapsed() < PATIENCE);
        world.held(&How::PLAIN).await;
    }
    world.stop().await;
}

/// A new connection has time to send its request before other connections may take its place, however many there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_heard() {
    let limits = Limits { connections_max: 4, newcomer_time: PATIENCE, ..Limits::STANDARD };
    let world = World::with(limits).await;
    let mut late = Kept(TcpStream::connect(world.at).await.unwrap());
    let mut burst = Vec::new();
    for _ in 0..50 {
        burst.push(TcpStream::connect(world.at).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(late.asks("/v1/agents").await, "fifty others have come since");
    drop(burst);
    world.stop().await;
}

/// If one holder of a token keeps more than half of all places, the host closes their connections before those of a
/// client without a token, who may be a reviewer on a slow line.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_fill_the_house() {
    let limits = Limits { connections_max: 8, newcomer_time: Duration::ZERO, ..Limits::STANDARD };
    let world = World::with(limits).await;
    let mut many = Vec::new();
    for _ in 0..6 {
        many.push(Kept::open(&world, "/v1/agents").await);
    }
    let mut slow = Kept(TcpStream::connect(world.at).await.unwrap());
    for _ in 0..10 {
        many.push(Kept::open(&world, "/v1/agents").await);
    }
    assert!(slow.asks("/v1/agents").await, "it was there before the last ten");
    assert!(many.last_mut().unwrap().asks("/v1/agents").await, "and they are served as well");
    world.stop().await;
}

/// The host does not wait for a client that asks and does not read: neither to send the next answer nor to send an
/// event.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_not_waited_for() {
    let world = World::with(Limits { write_time_max: Duration::from_millis(400), ..Limits::STANDARD }).await;
    let open = || async {
        let figures = world.ask(&get("/metrics")).await.text();
        figures.lines().find_map(|line| line.strip_prefix("holdshort_http_connections ")).unwrap().to_owned()
    };
    let mut reader = TcpStream::connect(world.at).await.unwrap();
    let schema = get("/openapi.json").without("Connection").bytes();
    // More answers than the buffers of any system can hold, and the client reads none of them. The host stops reading
    // too, so that perhaps not all requests can be sent.
    let asking = tokio::time::timeout(Duration::from_millis(200), reader.write_all(&schema.repeat(10_000))).await;
    let mut events = Kept::open(&world, "/v1/events").await;
    drop(asking);
    let start = Instant::now();
    while open().await != "2" {
        assert!(start.elapsed() < PATIENCE, "{} connections", open().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // An event stream without events gives its reader nothing to read. The reader is not slow, and the host keeps the
    // stream.
    world.held(&How::PLAIN).await;
    let mut event = [0; 4096];
    let count = tokio::time::timeout(PATIENCE, events.0.read(&mut event)).await.expect("an event").unwrap();
    assert!(String::from_utf8_lossy(&event[..count]).contains("run-created"));
    world.stop().await;
}

/// The limits have the shipped values. If a time were longer or missing, no other test of this file would fail.
#[test]
fn the_limits_that_are_shipped() {
    let Limits { header_time_max, body_time_max, write_time_max, connections_max, streams_max, body_bytes_max, .. } =
        Limits::STANDARD;
    let seconds = [header_time_max, body_time_max, write_time_max].map(|time| time.as_secs());
    assert_eq!((seconds, connections_max, streams_max, body_bytes_max), ([10, 30, 30], 256, 64, 256 * 1024));
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_and_looping_are_slowed_down() {
    let slow = Rate { per_second: 1, burst: 5 };
    let world = World::with(Limits { failures: slow, ..Limits::STANDARD }).await;
    let guess = get("/v1/approvals").by("mallory");
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(world.ask(&guess).await.status);
    }
    assert_eq!((&statuses[..5], statuses[9]), ([401; 5].as_slice(), 429));
    assert_eq!(world.ask(&get("/v1/approvals")).await.status, 200, "who has a token is not kept out by who has none");
    assert!(!sign_in(&world, "alice").await.is_empty(), "nor from signing in");
    world.stop().await;

    let world = World::with(Limits { requests: slow, ..Limits::STANDARD }).await;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(world.ask(&get("/v1/agents")).await.status);
    }
    assert_eq!((statuses[0], statuses[9]), (200, 429));
    assert_eq!(world.ask(&get("/v1/agents").by("bob")).await.status, 200, "each has their own");
    world.stop().await;
}

/// A request without a secret is not a guess, and does not count against the limit. So a foreign page that makes a
/// browser send many requests keeps nobody from signing in. All loopback addresses count as one peer.
#[tokio::test(flavor = "multi_thread")]
async fn who_brings_no_secret_takes_nothing_from_who_does() {
    let world = World::with(Limits { failures: Rate { per_second: 1, burst: 5 }, ..Limits::STANDARD }).await;
    let bare = |path: &str| get(path).without("Authorization");
    for path in ["/", "/runs", "/approvals/r.1", "/live", "/sign-in", "/v1/approvals", "/metrics", "/openapi.json"] {
        for _ in 0..20 {
            let status = bare(path).send(world.at).await.status;
            assert!([200, 303, 401].contains(&status), "{path}: {status}");
        }
    }
    let told = |statuses: &[u16]| statuses.iter().filter(|status| **status != 429).count();
    let mut statuses = Vec::new();
    let start = Instant::now();
    for last in 1..=40_u8 {
        let from = TcpSocket::new_v4().unwrap();
        from.bind(SocketAddr::from(([127, 0, last, last], 0))).unwrap();
        let mut stream = from.connect(world.at).await.unwrap();
        stream.write_all(&get("/v1/approvals").by("mallory").bytes()).await.unwrap();
        statuses.push(Reply::read(&mut stream).await.status);
    }
    assert!(statuses.starts_with(&[401; 5]), "who brought none had taken nothing: {statuses:?}");
    assert!(told(&statuses) <= 6 + usize::try_from(start.elapsed().as_secs()).unwrap(), "{statuses:?}");
    for path in ["/", "/runs", "/sign-in"] {
        let status = bare(path).send(world.at).await.status;
        assert!([200, 303].contains(&status), "a page shows how to sign in while others guess: {path}: {status}");
    }
    assert!(!sign_in(&world, "alice").await.is_empty(), "and that works");
    world.stop().await;
}

/// Guesses by every way of signing in, in turn: one limit covers all of them.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_gains_nothing_by_going_from_one_way_to_the_next() {
    let slow = Rate { per_second: 1, burst: 30 };
    let world = World::with(Limits { failures: slow, ..Limits::STANDARD }).await;
    let cookie = sign_in(&world, "alice").await;
    let form = |path: &str, body: &str| {
        let form = get(path).method("POST").without("Authorization").with("Origin", "http://holdshort.test");
        form.with("Content-Type", "application/x-www-form-urlencoded").body(body)
    };
    let page = |path: &str| get(path).without("Authorization");
    let name = cookie.split('=').next().unwrap();
    let ways = [
        get("/v1/approvals").by("mallory"),
        get("/v1/runs").with("Authorization", "Bearer x"),
        get("/v1/approvals").with("Authorization", "Basic YWxpY2U6YWxpY2U="),
        get("/v1/approvals").without("Authorization"),
        get("/v1/approvals").and("Authorization", "Bearer token-of-alice"),
        get("/metrics").by("mallory"),
        get("/openapi.json").by("mallory"),
        post("/v1/runs", &json!({})).by("mallory"),
        post("/v1/sign-in-links", &json!({})).by("mallory"),
        page("/sign-in?code=guessed"),
        page("/sign-in?code=guessed&next=/runs"),
        form("/sign-in", "token=guessed"),
        form("/sign-in", "token=token-of-mallory&next=/runs"),
        form("/sign-in", "code=guessed"),
        page("/").with("Cookie", &format!("{name}=guessed")),
        page("/runs").with("Cookie", &format!("{name}=guessed")),
        page("/live").with("Cookie", &format!("{name}=guessed")),
        form("/sign-out", "seal=x").with("Cookie", &format!("{name}=guessed")),
        form("/sign-out", "seal=guessed").with("Cookie", &cookie),
        form("/grants/r.1/revocation", "seal=guessed").with("Cookie", &cookie),
        form("/runs/r/cancel", "seal=guessed").with("Cookie", &cookie),
        form("/policy/cases", "seal=guessed").with("Cookie", &cookie),
        form("/backtest", "seal=guessed").with("Cookie", &cookie),
    ];
    let start = Instant::now();
    let mut told = 0;
    for way in ways.iter().cycle().take(3 * ways.len()) {
        let reply = way.send(world.at).await;
        assert!([303, 307, 401, 403, 429, 200].contains(&reply.status), "{}: {}", way.target, reply.status);
        // A request without a secret is not a guess.
        let bare = way.target.starts_with("/v1") && way.headers.iter().all(|(name, _)| name != "Authorization");
        told += u64::from(reply.status != 429 && !bare);
    }
    assert!(told >= 30, "{told}");
    assert!(told <= 31 + start.elapsed().as_secs(), "{told} guesses were answered in {:?}", start.elapsed());
    // The limit is reached for every way, and not only for the last ones.
    for way in &ways {
        let mut statuses = Vec::new();
        for _ in 0..5 {
            statuses.push(way.send(world.at).await.status);
        }
        assert!(statuses.contains(&429), "{}: {statuses:?}", way.target);
    }
    // A correct secret is accepted by every way.
    assert_eq!(world.ask(&get("/v1/approvals")).await.status, 200);
    assert_eq!(page("/").with("Cookie", &cookie).send(world.at).await.status, 200);
    assert_eq!(page("/sign-in").send(world.at).await.status, 200, "and whoever has nothing yet can come in");
    assert_eq!(form("/sign-in", "token=token-of-bob").send(world.at).await.status, 303);
    assert!(!sign_in(&world, "carol").await.is_empty(), "by a link");
    evidence::figure("T33", "ways to try a secret", ways.len() as u64);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_being_answered_ends_before_the_host_does() {
    let world = World::new().await;
    let request = post("/v1/runs", &json!({"agent": "release", "task": "write to them"}));
    let mut socket = TcpStream::connect(world.at).await.unwrap();
    socket.write_all(&request.head()).await.unwrap();
    socket.write_all(&request.body[..5]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let idle = TcpStream::connect(world.at).await.unwrap();
    let at = world.at;
    let stopped = tokio::spawn(world.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(TcpStream::connect(at).await.is_err(), "nobody new is taken");
    socket.write_all(&request.body[5..]).await.unwrap();
    assert_eq!(Reply::read(&mut socket).await.status, 201);
    stopped.await.unwrap();
    drop(idle);
}
