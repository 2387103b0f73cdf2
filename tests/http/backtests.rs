//! Trials of changed policies on recorded calls: what is counted, what comes first, and what is refused.

use holdshort_gate::Phase;
use serde_json::{Value, json};

use crate::client::{Request, post};
use crate::world::{How, World};

const ALL_DECIDE: &str = "\npermit (principal, action == Action::\"decide\", resource);";
const CLEAR_ALL: &str =
    "@id(\"all\") permit (principal, action == Action::\"call\", resource is acme::mail::send::Send);";

fn candidate(text: &str) -> Request {
    post("/v1/backtests", &json!({"policies": [{"name": "p.cedar", "text": text}]}))
}

fn row(answer: &Value, recorded: &str) -> [u64; 3] {
    let rows = answer["calls"].as_array().unwrap();
    let row = rows.iter().find(|row| row["recorded"] == recorded).unwrap();
    ["clear", "hold", "refuse"].map(|word| row[word].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_rejected_comes_first() {
    let world = World::new().await;
    for phase in Phase::NAMES {
        world.call(phase).await;
    }
    let rejected = world.call("rejected").await;
    let before = world.written().await;
    let answer = world.ask(&candidate(&format!("{CLEAR_ALL}{ALL_DECIDE}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["rejected_but_cleared"]["count"], json!(2));
    let listed = &answer["rejected_but_cleared"]["first"][1];
    assert_eq!(
        (&listed["id"], &listed["by"], &listed["determining"], &listed["why"]),
        (&json!(rejected.id), &json!(["alice"]), &json!(["all"]), &Value::Null)
    );
    assert_eq!(row(&answer, "cleared"), [1, 0, 0]);
    // Approved, and then begun, failed, done, in doubt, or closed.
    assert_eq!(row(&answer, "approved"), [6, 0, 0]);
    assert_eq!(row(&answer, "answered"), [0, 1, 0], "a question is never cleared");
    assert_eq!([row(&answer, "expired"), row(&answer, "cancelled"), row(&answer, "waiting")], [[1, 0, 0]; 3]);
    assert_eq!(row(&answer, "refused"), [0, 0, 0]);
    assert_eq!(answer["without_policy"], json!(1), "the refused one, which policy was not asked about");
    let everybody = &answer["burden"][0];
    assert_eq!(
        (&everybody["group"], &everybody["prompts"], &everybody["prompts_then"]),
        (&Value::Null, &json!(12), &json!(1))
    );

    let refuse =
        "forbid (principal, action == Action::\"call\", resource) when { resource.arguments.text == \"hello\" };";
    let answer = world.ask(&candidate(&format!("{refuse}{ALL_DECIDE}"))).await.json();
    assert_eq!(
        (&answer["rejected_but_cleared"]["count"], &answer["approved_but_refused"]["count"]),
        (&json!(0), &json!(6))
    );
    assert_eq!(row(&answer, "approved"), [0, 0, 6]);
    assert!(world.written().await == before, "a trial writes nothing");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_trial_is_refused() {
    let world = World::new().await;
    world.held(&How::PLAIN).await;
    let none = json!({"policies": []});
    let big = "// ".to_owned() + &"x".repeat(140_000);
    let since = json!({"policies": [{"name": "p.cedar", "text": ALL_DECIDE}], "since": "yesterday"});
    for (request, status, says) in [
        (
            candidate(
                "permit (principal, action == Action::\"call\", resource) when { resource.arguments.texts == 1 };",
            ),
            422,
            "p.cedar:1: ",
        ),
        (candidate("permit nonsense"), 422, "p.cedar:1: "),
        (candidate(&big), 413, "128"),
        (post("/v1/backtests", &since), 400, "`yesterday` is no time"),
        (post("/v1/backtests", &json!({})), 400, "missing field `policies`"),
        (post("/v1/backtests", &none), 400, "no policies"),
    ] {
        let reply = world.ask(&request).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(reply.json()["detail"].as_str().unwrap().contains(says), "{says}: {}", reply.text());
    }
    world.stop().await;
}
