//! The event stream: every event once, in order, and only events on disk. A client can resume it, it sends heartbeats,
//! and it ends.

use std::time::{Duration, Instant};

use holdshort::api::Limits;
use holdshort_journal::Position;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, Request, get, head};
use crate::hardening::sign_in;
use crate::world::{How, World};

/// An open stream.
struct Stream {
    socket: TcpStream,
    /// Bytes that have arrived and were not read yet.
    rest: String,
}

fn events() -> Request {
    get("/v1/events").with("Accept", "text/event-stream")
}

impl Stream {
    async fn open(world: &World, request: &Request) -> Self {
        let mut socket = TcpStream::connect(world.at).await.unwrap();
        socket.write_all(&request.bytes()).await.unwrap();
        let mut stream = Self { socket, rest: String::new() };
        let answer = stream.until("\r\n\r\n").await;
        let (status, headers) = head(answer.as_bytes());
        assert_eq!(status, 200, "{answer}");
        assert!(headers.contains(&("content-type".into(), "text/event-stream".into())), "{answer}");
        stream
    }

    /// The text before `end`. Fails if `end` does not come or the stream ends.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some((before, after)) = self.rest.split_once(end) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.rest = after;
                return before;
            }
            let mut bytes = [0; 4096];
            let count =
                tokio::time::timeout(PATIENCE, self.socket.read(&mut bytes)).await.expect("something comes").unwrap();
            assert_ne!(count, 0, "the stream ended");
            self.rest.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
    }

    /// The id, name and data of the next event. Heartbeats are skipped.
    async fn event(&mut self, world: &World) -> (u64, String, Value) {
        loop {
            // Each event is one HTTP chunk. So the length of the chunk is on a line of its own, which is no field.
            let frame = self.until("\n\n").await;
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let Some(data) = field("data: ") else { continue };
            let data: Value = serde_json::from_str(&data).unwrap();
            world.schema.validate(&json!({"$ref": "#/components/schemas/FeedEvent"}), &data, "an event of the stream");
            return (field("id: ").unwrap().parse().unwrap(), field("event: ").unwrap(), data);
        }
    }

    async fn ended(mut self) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, self.socket.read_to_end(&mut rest)).await.is_ok_and(|read| read.is_ok())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_resumes_without_gap_or_repetition() {
    let world = World::new().await;
    for _ in 0..50 {
        world.held(&How::PLAIN).await;
    }
    let mut seen = Vec::new();
    let mut stream = Stream::open(&world, &get("/v1/events?after=0")).await;
    for _ in 0..70 {
        seen.push(stream.event(&world).await);
    }
    drop(stream);
    for _ in 0..10 {
        world.held(&How::PLAIN).await;
    }
    let resume = get("/v1/events?after=0").with("Last-Event-ID", &seen.last().unwrap().0.to_string());
    let mut stream = Stream::open(&world, &resume).await;
    for _ in 70..120 {
        seen.push(stream.event(&world).await);
    }
    let all = world.journal.feed(Position(0), 1000).await.unwrap();
    assert_eq!(all.len(), 120);
    for (entry, (id, name, data)) in all.iter().zip(&seen) {
        assert_eq!((entry.position.0, &entry.run.0), (*id, &data["run"].as_str().unwrap().to_owned()));
        assert_eq!(
            (json!(id), json!(name), json!(entry.recorded.seq)),
            (data["position"].clone(), data["type"].clone(), data["seq"].clone())
        );
    }
    let held = world.held(&How::PLAIN).await;
    let (_, name, data) = stream.event(&world).await;
    assert_eq!((name.as_str(), &data["run"]), ("run-created", &json!(held.run)), "and what happens now follows");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_now_unless_it_is_told_otherwise() {
    let world = World::new().await;
    world.held(&How::PLAIN).await;
    let mut stream = Stream::open(&world, &events()).await;
    let held = world.held(&How::PLAIN).await;
    assert_eq!(stream.event(&world).await.2["run"], json!(held.run));
    let (_, name, data) = stream.event(&world).await;
    assert_eq!((name.as_str(), &data["data"]["clearance"]), ("call-held", &json!(held.digest)));
    world.stop().await;
}

/// The stream of a page belongs to a session and ends with it. The stream of another session goes on.
#[tokio::test(flavor = "multi_thread")]
async fn the_pages_stream_ends_with_its_session() {
    let world = World::new().await;
    let live = |cookie: &str| get("/live").without("Authorization").with("Cookie", cookie);
    let (out, stays) = (sign_in(&world, "alice").await, sign_in(&world, "alice").await);
    let mut goes_on = Stream::open(&world, &live(&stays)).await;
    let streams = [Stream::open(&world, &live(&out)).await, Stream::open(&world, &live(&out)).await];
    let page = get("/").without("Authorization").with("Cookie", &out).send(world.at).await.text();
    let seal = page.split("name=\"seal\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = get("/sign-out").method("POST").without("Authorization").with("Origin", "http://holdshort.test");
    let form = form.with("Content-Type", "application/x-www-form-urlencoded").with("Cookie", &out);
    assert_eq!(form.body(format!("seal={seal}")).send(world.at).await.status, 303);
    for stream in streams {
        assert!(stream.ended().await);
    }
    let again = live(&out).send(world.at).await;
    assert_eq!(again.status, 303, "and cannot be opened again");
    let forgets = again.headers.iter().filter(|(name, value)| name == "set-cookie" && value.contains("Max-Age=0"));
    assert_eq!(forgets.count(), 2, "`/` and `/live`: {again:?}");
    let held = world.held(&How::PLAIN).await;
    assert!(goes_on.until("\n\n").await.contains(held.run.0.as_str()));
    // When one person has many sessions, the oldest session ends, and its stream with it.
    for _ in 0..20 {
        sign_in(&world, "alice").await;
    }
    assert!(goes_on.ended().await);
    world.stop().await;
}

/// A reviewer may have at most a quarter of all streams, so that the other reviewers have some too.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_has_a_share_of_the_streams() {
    let world = World::new().await;
    let mut all = Vec::new();
    for who in ["alice", "bob", "carol", "olga"] {
        let of_them = events().by(who);
        for _ in 0..Limits::STANDARD.streams_max / 4 {
            all.push(Stream::open(&world, &of_them).await);
        }
        let reply = world.ask(&of_them).await;
        assert_eq!((reply.status, &reply.json()["max"]), (429, &json!(16)), "{who}: {}", reply.text());
        let cookie = sign_in(&world, who).await;
        let live = get("/live").without("Authorization").with("Cookie", &cookie);
        assert_eq!(live.send(world.at).await.status, 429, "a page's stream is one of them");
        assert_eq!(world.ask(&get("/v1/agents").by(who)).await.status, 200);
    }
    let figures = world.ask(&get("/metrics")).await.text();
    assert!(figures.contains(&format!("holdshort_http_event_streams {}\n", Limits::STANDARD.streams_max)), "{figures}");
    world.stop().await;
}

/// A browser makes six connections to a host. The host keeps the newest four streams of the browser's pages. An older
/// stream says why it ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_streams_of_a_browser_leave_it_connections() {
    let world = World::new().await;
    let live = |cookie: &str| get("/live").without("Authorization").with("Cookie", cookie);
    let (one, other) = (sign_in(&world, "alice").await, sign_in(&world, "alice").await);
    let mut beside = Stream::open(&world, &live(&other)).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(Stream::open(&world, &live(&one)).await);
    }
    for mut stream in streams.drain(..6) {
        assert!(stream.until("\n\n").await.contains("event: displaced"));
        assert!(stream.ended().await);
    }
    let held = world.held(&How::PLAIN).await;
    for stream in streams.iter_mut().chain([&mut beside]) {
        assert!(
            stream.until("\n\n").await.contains(held.run.0.as_str()),
            "the newest go on, and those of other browsers"
        );
    }
    // The host first drops a stream that the client has closed. Only if there is none, it ends another stream.
    drop(streams.pop());
    let gone = format!("holdshort_http_event_streams {}\n", 4);
    let start = Instant::now();
    while !world.ask(&get("/metrics")).await.text().contains(&gone) {
        assert!(start.elapsed() < PATIENCE);
        world.held(&How::PLAIN).await;
    }
    let _newest = Stream::open(&world, &live(&one)).await;
    let held = world.held(&How::PLAIN).await;
    while !streams[0].until("\n\n").await.contains(held.run.0.as_str()) {}
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_few_beat_and_end_with_the_host() {
    let limits = Limits { streams_max: 2, heartbeat: Duration::from_millis(50), ..Limits::STANDARD };
    let world = World::with(limits).await;
    let mut first = Stream::open(&world, &events()).await;
    let second = Stream::open(&world, &events()).await;
    let reply = world.ask(&events()).await;
    assert_eq!((reply.status, &reply.json()["type"]), (429, &json!("urn:holdshort:problem:too-many")));
    first.until(":\n\n").await;
    first.until(":\n\n").await;
    drop(second);
    // The host notices at the next heartbeat that the client is gone.
    let mut third = None;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if world.ask(&get("/metrics")).await.text().contains("holdshort_http_event_streams 1\n") {
            third = Some(Stream::open(&world, &events()).await);
            break;
        }
    }
    let third = third.expect("a stream that was left makes room");
    let start = Instant::now();
    world.stop().await;
    assert!(first.ended().await && third.ended().await, "streams end, so that the host can");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
