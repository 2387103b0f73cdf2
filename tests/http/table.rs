//! Requests, right and wrong, and what each is answered with.

use holdshort_gate::{EffectClass, Reviewers, Time};
use serde_json::json;

use crate::client::{Request, get, post};
use crate::world::{How, World};

/// What a request is about, the request, its status, and the name of the problem if it is one.
type Row = (&'static str, Request, u16, &'static str);

async fn check(rows: Vec<Row>, world: &World) {
    for (what, request, status, problem) in rows {
        let reply = world.ask(&request).await;
        let found = if reply.status < 400 || reply.body.is_empty() {
            String::new()
        } else {
            reply.json()["type"].as_str().unwrap().to_owned()
        };
        let found = found.trim_start_matches("urn:holdshort:problem:");
        assert_eq!((reply.status, found), (status, problem), "{what}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door() {
    let world = World::new().await;
    let list = || get("/v1/approvals");
    let far_too_long = "x".repeat(600);
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        ("a token opens", list(), 200, ""),
        ("the scheme is written any way", list().with("Authorization", "bearer token-of-alice"), 200, ""),
        ("no token", list().without("Authorization"), 401, "unauthenticated"),
        ("nobody's token", list().with("Authorization", "Bearer token-of-mallory"), 401, "unauthenticated"),
        ("a token of somebody, cut short", list().with("Authorization", "Bearer token-of-alic"), 401, "unauthenticated"),
        ("another scheme", list().with("Authorization", "Basic dG9rZW4tb2YtYWxpY2U="), 401, "unauthenticated"),
        ("no scheme", list().with("Authorization", "token-of-alice"), 401, "unauthenticated"),
        ("an empty token", list().with("Authorization", "Bearer "), 401, "unauthenticated"),
        ("a very long token", list().with("Authorization", &format!("Bearer {far_too_long}")), 401, "unauthenticated"),
        ("two tokens", list().and("Authorization", "Bearer token-of-bob"), 401, "unauthenticated"),
        ("a token in the query", get("/v1/approvals?token=token-of-alice").without("Authorization"), 401, "unauthenticated"),
        ("a token in a cookie", list().without("Authorization").with("Cookie", "token=token-of-alice"), 401, "unauthenticated"),
        ("metrics need one", get("/metrics").without("Authorization"), 401, "unauthenticated"),
        ("the schema needs one", get("/openapi.json").without("Authorization"), 401, "unauthenticated"),
        ("the root needs one", get("/").without("Authorization"), 401, "unauthenticated"),
        ("what does not exist needs one", get("/v1/nothing").without("Authorization"), 401, "unauthenticated"),
        ("probes do not: there", get("/healthz").without("Authorization"), 200, ""),
        ("probes do not: ready", get("/readyz").without("Authorization"), 200, ""),
        ("probes come by address", get("/readyz").without("Authorization").with("Host", "10.0.0.7:7411"), 200, ""),
        ("the address as host", list().with("Host", &world.at.to_string()), 200, ""),
        ("hosts are written any way", list().with("Host", "HoldShort.Test"), 200, ""),
        ("another host", list().with("Host", "evil.example"), 421, "host-not-served"),
        ("another host, for a stranger", list().with("Host", "evil.example").without("Authorization"), 421, "host-not-served"),
        ("the right host on another port", list().with("Host", "holdshort.test:8080"), 421, "host-not-served"),
        ("a host that begins right", list().with("Host", "holdshort.test.evil.example"), 421, "host-not-served"),
        ("an empty host", list().with("Host", ""), 421, "host-not-served"),
        ("no host", list().without("Host"), 400, "bad-request"),
        ("two hosts", list().and("Host", "evil.example"), 400, "bad-request"),
        ("a forwarded host does not count", list().with("X-Forwarded-Host", "evil.example"), 200, ""),
        ("the host's own page", list().with("Origin", "http://holdshort.test"), 200, ""),
        ("a foreign page", list().with("Origin", "https://evil.example"), 403, "origin-not-allowed"),
        ("a page without origin", list().with("Origin", "null"), 403, "origin-not-allowed"),
        ("the own page under another scheme", list().with("Origin", "https://holdshort.test"), 403, "origin-not-allowed"),
        ("two origins", list().and("Origin", "http://holdshort.test").and("Origin", "https://evil.example"), 403, "origin-not-allowed"),
        ("a foreign page's preflight", list().method("OPTIONS").with("Origin", "https://evil.example"), 403, "origin-not-allowed"),
        ("no preflight is granted", list().method("OPTIONS"), 405, "method-not-allowed"),
        ("no such path", get("/v2/approvals"), 404, "not-found"),
        ("a path is written one way", get("/v1/approvals/"), 404, "not-found"),
        ("a path that climbs", get("/v1/runs/../approvals"), 404, "not-found"),
        ("a path that is no text", get("/v1/runs/%ff"), 404, "not-found"),
        ("deleting", get("/v1/runs").method("DELETE"), 405, "method-not-allowed"),
        ("deciding by GET", get("/v1/approvals/a.1/decisions"), 405, "method-not-allowed"),
        ("ending by GET", get("/v1/runs/a/cancel"), 405, "method-not-allowed"),
        ("putting", get("/v1/approvals").method("PUT"), 405, "method-not-allowed"),
        ("tracing", get("/healthz").method("TRACE"), 405, "method-not-allowed"),
        ("only the head", list().method("HEAD"), 200, ""),
    ];
    check(rows, &world).await;
    let absolute = Request { target: "http://evil.example/v1/approvals".into(), ..list() };
    let reply = absolute.send(world.at).await;
    assert_eq!(reply.status, 421, "a target in absolute form names a host too: {}", reply.text());
    let allowed = get("/v1/approvals").method("DELETE").send(world.at).await;
    assert_eq!(allowed.header("allow"), Some("GET,HEAD"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_queries() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let path = format!("/v1/approvals/{}/decisions", held.id);
    let approve = json!({"type": "approve", "digest": held.digest});
    let decide = |body: serde_json::Value| post(&path, &body);
    let raw = |body: &[u8]| decide(json!({})).body(body);
    let nested = format!(
        "{{\"type\":\"edit\",\"digest\":\"{}\",\"arguments\":{}1{}}}",
        held.digest,
        "[".repeat(200),
        "]".repeat(200)
    );
    let twice = format!("{{\"type\":\"approve\",\"type\":\"reject\",\"digest\":\"{}\"}}", held.digest);
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        ("a form", decide(approve.clone()).with("Content-Type", "application/x-www-form-urlencoded"), 415, "not-json"),
        ("what a page may post unasked", decide(approve.clone()).with("Content-Type", "text/plain"), 415, "not-json"),
        ("no type", decide(approve.clone()).without("Content-Type"), 415, "not-json"),
        ("another charset", decide(approve.clone()).with("Content-Type", "application/json; charset=utf-16"), 415, "not-json"),
        ("nothing", raw(b""), 400, "bad-request"),
        ("half of it", raw(b"{\"type\":\"appr"), 400, "bad-request"),
        ("two of them", raw(b"{} {}"), 400, "bad-request"),
        ("no object", raw(b"[]"), 400, "bad-request"),
        ("no text", raw(b"{\"type\":\"\xff\"}"), 400, "bad-request"),
        ("the same member twice", raw(twice.as_bytes()), 400, "bad-request"),
        ("very deep", raw(nested.as_bytes()), 400, "bad-request"),
        ("too much", raw(&vec![b' '; 256 * 1024 + 1]), 413, "too-large"),
        ("no digest", decide(json!({"type": "approve"})), 400, "bad-request"),
        ("no type of decision", decide(json!({"digest": held.digest})), 400, "bad-request"),
        ("an unknown type", decide(json!({"type": "ignore", "digest": held.digest})), 400, "bad-request"),
        ("an unknown member", decide(json!({"type": "approve", "digest": held.digest, "force": true})), 400, "bad-request"),
        ("somebody else's name", decide(json!({"type": "approve", "digest": held.digest, "reviewer": "bob"})), 400, "bad-request"),
        ("a digest in capitals", decide(json!({"type": "approve", "digest": held.digest.to_string().to_uppercase()})), 400, "bad-request"),
        ("a digest that is none", decide(json!({"type": "approve", "digest": "sha256:00"})), 400, "bad-request"),
        ("approving with arguments", decide(json!({"type": "approve", "digest": held.digest, "arguments": {}})), 400, "bad-request"),
        ("rejecting with an answer", decide(json!({"type": "reject", "digest": held.digest, "answer": null})), 400, "bad-request"),
        ("an edit without arguments", decide(json!({"type": "edit", "digest": held.digest})), 400, "bad-request"),
        ("a response without an answer", decide(json!({"type": "respond", "digest": held.digest})), 400, "bad-request"),
        ("a state that is none", get("/v1/approvals?state=pending"), 400, "bad-request"),
        ("no rows", get("/v1/approvals?limit=0"), 400, "bad-request"),
        ("too many rows", get("/v1/approvals?limit=201"), 400, "bad-request"),
        ("a number that is none", get("/v1/approvals?limit=ten"), 400, "bad-request"),
        ("a cursor that is none", get("/v1/approvals?after=x"), 400, "bad-request"),
        ("an unknown parameter", get("/v1/approvals?agent=x"), 400, "bad-request"),
        ("a parameter twice", get("/v1/approvals?limit=1&limit=2"), 400, "bad-request"),
        ("a state of runs that is none", get("/v1/runs?state=held"), 400, "bad-request"),
        ("a cursor of runs that is none", get("/v1/runs?before=a/b"), 400, "bad-request"),
        ("a cursor of runs that is no run", get("/v1/runs?before=zzz"), 400, "bad-request"),
        ("an empty cursor of runs", get("/v1/runs?before="), 400, "bad-request"),
        ("an id that is none", get("/v1/events?after=-1"), 400, "bad-request"),
        ("a last event that is none", get("/v1/events").with("Last-Event-ID", "x"), 400, "bad-request"),
        ("no such approval", get("/v1/approvals/run-9.1"), 404, "not-found"),
        ("no such call", get(&format!("/v1/approvals/{}.2", held.run)), 404, "not-found"),
        ("a call with a zero before it", get(&format!("/v1/approvals/{}.01", held.run)), 404, "not-found"),
        ("an approval of a run alone", get(&format!("/v1/approvals/{}", held.run)), 404, "not-found"),
        ("deciding on nothing", post("/v1/approvals/run-9.1/decisions", &approve), 404, "not-found"),
        ("deciding on another call", post(&format!("/v1/approvals/{}.2/decisions", held.run), &approve), 404, "not-found"),
        ("no such run", get("/v1/runs/run-9"), 404, "not-found"),
        ("no such run's events", get("/v1/runs/run-9/events"), 404, "not-found"),
        ("no such run's logs", get("/v1/runs/run-9/logs"), 404, "not-found"),
        ("ending no run", post("/v1/runs/run-9/cancel", &json!({})), 404, "not-found"),
        ("settling no call", post("/v1/runs/run-9/calls/1/resolution", &json!({"type": "abandon", "attempt": 1})), 404, "not-found"),
        ("an unknown agent", post("/v1/runs", &json!({"agent": "x", "task": ""})), 422, "unknown-agent"),
        ("an agent that cannot run", post("/v1/runs", &json!({"agent": "broken", "task": ""})), 422, "cannot-run"),
        ("a task that is too long", post("/v1/runs", &json!({"agent": "wordy", "task": "xx"})), 413, "too-large"),
        ("a run too many", post("/v1/runs", &json!({"agent": "late", "task": ""})), 503, "unavailable"),
        ("a run without a task", post("/v1/runs", &json!({"agent": "release"})), 400, "bad-request"),
        ("a run in another's name", post("/v1/runs", &json!({"agent": "release", "task": "", "started_by": "bob"})), 400, "bad-request"),
    ];
    let before = world.written().await;
    check(rows, &world).await;
    assert_eq!(world.written().await, before, "nothing that was refused left a trace");
    let rows = vec![("and what is right is done", decide(approve), 200, "")];
    check(rows, &world).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resolutions() {
    let world = World::new().await;
    let one_shot = How { class: EffectClass::OneShot, ..How::PLAIN };
    let named = How { who: Reviewers::Named(vec!["alice".into()]), ..How::PLAIN };
    let (held, named) = (world.held(&How::PLAIN).await, world.in_doubt(&named).await);
    let (one_shot, done) = (world.in_doubt(&one_shot).await, world.in_doubt(&How::PLAIN).await);
    let settle = |call: &crate::world::Held, body: serde_json::Value| {
        post(&format!("/v1/runs/{}/calls/1/resolution", call.run), &body)
    };
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        ("nothing is in doubt", settle(&held, json!({"type": "abandon", "attempt": 1})), 409, "not-now"),
        ("for others", settle(&named, json!({"type": "abandon", "attempt": 1})).by("bob"), 403, "not-eligible"),
        ("another attempt", settle(&one_shot, json!({"type": "not-done", "attempt": 2})), 409, "not-now"),
        ("sent again what cannot be", settle(&one_shot, json!({"type": "send-again", "attempt": 1})), 422, "wrong-type"),
        ("a receipt is needed", settle(&one_shot, json!({"type": "done", "attempt": 1})), 422, "no-receipt"),
        ("a receipt that does not fit", settle(&one_shot, json!({"type": "done", "attempt": 1, "receipt": 1})), 422, "does-not-fit"),
        ("a receipt for nothing", settle(&one_shot, json!({"type": "not-done", "attempt": 1, "receipt": "x"})), 400, "bad-request"),
        ("no attempt", settle(&one_shot, json!({"type": "not-done"})), 400, "bad-request"),
        ("done, with a receipt", settle(&one_shot, json!({"type": "done", "attempt": 1, "receipt": "x", "message": "I saw it"})), 200, ""),
        ("done, as the connector says", settle(&done, json!({"type": "done", "attempt": 1})), 200, ""),
        ("settled before", settle(&done, json!({"type": "not-done", "attempt": 1})), 409, "already-decided"),
        ("sent again", settle(&named, json!({"type": "send-again", "attempt": 1})), 200, ""),
    ];
    check(rows, &world).await;
    for (call, receipt) in [(&one_shot, "x"), (&done, "found it")] {
        let shown = world.ask(&get(&format!("/v1/approvals/{}", call.id))).await.json();
        assert_eq!((&shown["effect"]["state"], &shown["effect"]["receipt"]), (&json!("succeeded"), &json!(receipt)));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_decide() {
    let world = World::new().await;
    let named = How { who: Reviewers::Named(vec!["alice".into(), "olga".into()]), four_eyes: true, ..How::PLAIN };
    let held = world.held(&named).await;
    let lapsed = world.held(&How { expires_at: Some(Time(1)), ..How::PLAIN }).await;
    let decide = |call: &crate::world::Held| {
        post(&format!("/v1/approvals/{}/decisions", call.id), &json!({"type": "approve", "digest": call.digest}))
    };
    let reject = |call: &crate::world::Held| {
        post(&format!("/v1/approvals/{}/decisions", call.id), &json!({"type": "reject", "digest": call.digest}))
    };
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        ("for others", decide(&held).by("bob"), 403, "not-eligible"),
        ("who started it", decide(&held).by("olga"), 403, "not-eligible"),
        ("lapsed, though nobody has written it down", decide(&lapsed), 410, "expired"),
        ("who started it may say no", reject(&held).by("olga"), 200, ""),
        ("and then it is decided", decide(&held), 409, "already-decided"),
    ];
    check(rows, &world).await;
    world.stop().await;
}
