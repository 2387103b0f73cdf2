//! `Idempotency-Key`: when a request that starts a run is sent again, no second run starts.

use holdshort_gate::Event;
use serde_json::json;

use crate::client::{Request, post};
use crate::world::World;

fn start(key: &str, task: &str) -> Request {
    post("/v1/runs", &json!({ "agent": "release", "task": task })).with("Idempotency-Key", key)
}

async fn runs(world: &World) -> usize {
    world.written().await.iter().filter(|(_, event)| matches!(event, Event::RunCreated { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_again_has_the_first_answer() {
    let world = World::new().await;
    let first = world.ask(&start("pay-monday", "pay")).await;
    assert_eq!(first.status, 201);
    for again in [start("pay-monday", "pay"), start("\"pay-monday\"", "pay")] {
        let again = world.ask(&again).await;
        assert_eq!(
            (again.status, again.json(), again.header("location")),
            (201, first.json(), first.header("location"))
        );
    }
    assert_eq!(runs(&world).await, 1);
    let other = world.ask(&start("pay-monday", "pay twice")).await;
    assert_eq!((other.status, &other.json()["type"]), (422, &json!("urn:holdshort:problem:key-used")));
    // A key belongs to its sender. The same request with another key, or without a key, is another request.
    for another in [
        start("pay-monday", "pay").by("bob"),
        start("pay-tuesday", "pay"),
        start("x", "pay").without("Idempotency-Key"),
    ] {
        let another = world.ask(&another).await;
        assert_eq!(another.status, 201);
        assert_ne!(another.json()["id"], first.json()["id"]);
    }
    assert_eq!(runs(&world).await, 4);
    // A refused request is not remembered, because the same request may succeed later.
    let unknown = post("/v1/runs", &json!({ "agent": "nobody", "task": "pay" })).with("Idempotency-Key", "later");
    assert_eq!(world.ask(&unknown).await.status, 422);
    assert_eq!(world.ask(&start("later", "pay")).await.status, 201);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_starts_a_run() {
    let world = World::new().await;
    let request = start("8e03978e-40d5-43dd-bc93-6894a57f9324", "pay");
    let asked = (0..24).map(|_| world.ask(&request));
    let replies = futures_util::future::join_all(asked).await;
    assert!(replies.iter().all(|reply| reply.status == 201 && reply.json() == replies[0].json()));
    assert_eq!(runs(&world).await, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused() {
    let world = World::new().await;
    for key in ["", "a b", "\"a", "a\"", "\"\"", "a,b", "\"a\";q=1", "é", &"k".repeat(129)] {
        let reply = world.ask(&start(key, "pay")).await;
        assert_eq!((reply.status, &reply.json()["type"]), (400, &json!("urn:holdshort:problem:bad-request")), "{key}");
    }
    let twice = world.ask(&start("a", "pay").and("Idempotency-Key", "a")).await;
    assert_eq!(twice.status, 400);
    assert_eq!(runs(&world).await, 0);
    world.stop().await;
}
