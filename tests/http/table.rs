//! Decisions and resolutions in states that need more than one request. Tests with a single request are in
//! `hardening.rs`.

use holdshort_gate::{EffectClass, Reviewers, Time};
use serde_json::json;

use crate::client::{Request, get, post};
use crate::world::{How, World};

/// The description of a request, the request, its status, and the name of the problem if there is one.
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
