//! Views for inboxes of other systems: they show the held call, and their answers count like any decision, with the
//! same digest.

use holdshort_gate::{EffectClass, Time};
use serde_json::{Value, json};

use crate::client::{Reply, get, post};
use crate::world::{Held, How, World};

const SEND: &str = "acme:mail/send@1.0.0#send";

async fn view(world: &World, held: &Held, view: &str) -> Reply {
    world.ask(&get(&format!("/v1/approvals/{}?view={view}", held.id))).await
}

/// Decides as LangChain's inboxes do, on the digest that was shown.
async fn decide(world: &World, held: &Held, decisions: Value) -> Reply {
    let body = json!({ "decisions": decisions, "digest": held.digest });
    world.ask(&post(&format!("/v1/approvals/{}/decisions", held.id), &body)).await
}

fn state(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["state"].as_str().unwrap_or_default().to_owned())
}

fn problem(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["type"].as_str().unwrap().trim_start_matches("urn:holdshort:problem:").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_langchain_inbox_reads_and_decides() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let shown = view(&world, &held, "langchain").await.json();
    let text = shown["action_requests"][0]["args"]["text"].as_str().unwrap().to_owned();
    assert_eq!(
        shown,
        json!({
            "action_requests": [{
                "name": SEND,
                "args": { "text": text },
                "description": format!(
                    "send {text} (asked by release; 1 piece of the host's evidence is not shown here; the whole approval: /v1/approvals/{})",
                    held.id
                ),
            }],
            "review_configs": [{ "action_name": SEND, "allowed_decisions": ["approve", "edit", "reject"] }],
            "id": held.id,
            "digest": held.digest,
        })
    );
    let edited = |name: &str| json!([{"type": "edit", "edited_action": {"name": name, "args": {"text": "shorter"}}}]);
    let other = decide(&world, &held, edited("acme:mail/send@1.0.0#delete")).await;
    assert_eq!(problem(&other), (422, "wrong-type".into()));
    assert_eq!(state(&decide(&world, &held, edited(SEND)).await), (200, "approved".into()));

    let held = world.held(&How::PLAIN).await;
    // A decision that is too late gets the error `expired`, whatever else is wrong with it.
    let late = world.held(&How { expires_at: Some(Time(1)), ..How::PLAIN }).await;
    let other = decide(&world, &late, edited("acme:mail/send@1.0.0#delete")).await;
    assert_eq!(problem(&other), (410, "expired".into()));
    let reject = json!([{"type": "reject", "message": "not on a Friday"}]);
    assert_eq!(state(&decide(&world, &held, reject).await), (200, "rejected".into()));
    let whole = world.ask(&get(&format!("/v1/approvals/{}", held.id))).await.json();
    assert_eq!(whole["decisions"][0]["decision"]["message"], json!("not on a Friday"));
    assert_eq!(problem(&view(&world, &held, "langchain").await), (409, "not-now".into()));

    let question = world.held(&How { class: EffectClass::Question, ..How::PLAIN }).await;
    let shown = view(&world, &question, "langchain").await.json();
    assert_eq!(shown["review_configs"][0]["allowed_decisions"], json!(["respond", "reject"]));
    let respond = json!([{"type": "respond", "message": "yes"}]);
    assert_eq!(state(&decide(&world, &question, respond).await), (200, "answered".into()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ag_ui_client_reads() {
    let world = World::new().await;
    let held = world.held(&How { expires_at: Some(Time(4_000_000_000_000_000)), ..How::PLAIN }).await;
    let event = view(&world, &held, "ag-ui").await.json();
    let interrupt = &event["outcome"]["interrupts"][0];
    assert_eq!((&event["type"], &event["runId"]), (&json!("RUN_FINISHED"), &json!(held.run)));
    assert_eq!((&event["outcome"]["type"], &interrupt["reason"]), (&json!("interrupt"), &json!("tool_call")));
    assert_eq!((&interrupt["id"], &interrupt["toolCallId"]), (&json!(held.id), &json!(held.id)));
    assert!(interrupt["expiresAt"].is_string(), "{event}");
    let ours = &interrupt["metadata"]["holdshort"];
    assert_eq!((&ours["name"], &ours["digest"]), (&json!(SEND), &json!(held.digest)));

    let question = world.held(&How { class: EffectClass::Question, ..How::PLAIN }).await;
    let event = view(&world, &question, "ag-ui").await.json();
    assert_eq!(event["outcome"]["interrupts"][0]["reason"], "input_required");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_counts_that_is_not_one_decision_on_what_was_shown() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let path = format!("/v1/approvals/{}/decisions", held.id);
    let approve = json!({"type": "approve"});
    for (what, body, expected) in [
        ("no digest", json!({"decisions": [approve]}), (400, "bad-request")),
        (
            "another digest",
            json!({"decisions": [approve], "digest": "sha256:".to_owned() + &"0".repeat(64)}),
            (409, "stale-digest"),
        ),
        ("none", json!({"decisions": [], "digest": held.digest}), (400, "bad-request")),
        ("two", json!({"decisions": [approve, approve], "digest": held.digest}), (400, "bad-request")),
        ("both forms", json!({"decisions": [approve], "type": "approve", "digest": held.digest}), (400, "bad-request")),
        (
            "a message beside",
            json!({"decisions": [approve], "message": "x", "digest": held.digest}),
            (400, "bad-request"),
        ),
        (
            "an edit without action",
            json!({"decisions": [{"type": "edit"}], "digest": held.digest}),
            (400, "bad-request"),
        ),
        (
            "an approval with one",
            json!({"decisions": [{"type": "approve", "edited_action": {"name": SEND, "args": {}}}], "digest": held.digest}),
            (400, "bad-request"),
        ),
        ("an unknown type", json!({"decisions": [{"type": "accept"}], "digest": held.digest}), (400, "bad-request")),
    ] {
        let reply = world.ask(&post(&path, &body)).await;
        assert_eq!(problem(&reply), (expected.0, expected.1.to_owned()), "{what}: {}", reply.text());
    }
    assert_eq!(problem(&view(&world, &held, "slack").await), (400, "bad-request".into()));
    let whole = world.ask(&get(&format!("/v1/approvals/{}", held.id))).await.json();
    assert_eq!((&whole["state"], &whole["decisions"]), (&json!("held"), &json!([])));
    world.stop().await;
}
