//! T38: the host accepts exactly those bodies that the document allows. Bodies with every combination of members, right
//! and wrong, are judged by the document and by the host.

use std::collections::BTreeSet;

use holdshort::api::problem::Problem;
use holdshort_gate::command::CancelRun;
use holdshort_gate::{Digest, EffectClass};
use serde_json::{Map, Value, json};

use crate::client::{get, post};
use crate::evidence::figure;
use crate::world::{Held, How, World};

/// Values that people or programs might write as `type`.
const TYPES: [Option<&str>; 7] =
    [Some("approve"), Some("edit"), Some("reject"), Some("respond"), Some("accept"), Some(""), None];

/// The members that may stand beside `type`, each with a right value, null, and a value of another type.
fn members(digest: &Value) -> Vec<(&'static str, Vec<Value>)> {
    let approve = json!([{ "type": "approve" }]);
    let resume = json!([{ "interruptId": "run-0000.1", "status": "resolved", "payload": { "approved": false, "digest": digest } }]);
    vec![
        ("digest", vec![digest.clone(), Value::Null, json!("sha256:12")]),
        ("message", vec![json!("no"), Value::Null, json!(1)]),
        ("arguments", vec![json!({ "text": "a" }), Value::Null, json!([])]),
        ("answer", vec![json!("yes"), Value::Null, json!({ "a": 1 })]),
        ("stands_for", vec![json!("alice"), Value::Null, json!(true)]),
        ("decisions", vec![approve.clone(), json!([]), json!([{ "type": "edit" }])]),
        ("resume", vec![resume, json!([]), json!([{ "interruptId": "run-0000.1", "status": "cancelled" }])]),
        ("clearance", vec![digest.clone()]),
    ]
}

/// Every body: each member is left out or has one of its values.
fn bodies(digest: &Value) -> Vec<Value> {
    let mut all = vec![Map::new()];
    for (name, values) in members(digest) {
        let with = all.iter().flat_map(|body| {
            values.iter().map(move |value| {
                let mut body = body.clone();
                body.insert(name.into(), value.clone());
                body
            })
        });
        all = all.iter().cloned().chain(with.collect::<Vec<_>>()).collect();
        // More than four members at once would show nothing new.
        all.retain(|body| body.len() <= 4);
    }
    let typed = |body: &Map<String, Value>, word: Option<&str>| {
        let mut body = body.clone();
        body.extend(word.map(|word| ("type".to_owned(), json!(word))));
        Value::Object(body)
    };
    all.iter().flat_map(|body| TYPES.map(|word| typed(body, word))).collect()
}

/// The host's reader is called directly, without a socket, because there are many bodies.
#[tokio::test(flavor = "multi_thread")]
async fn every_body_of_a_decision_is_judged_alike() {
    let world = World::new().await;
    let digest = json!(Digest::of(b"shown"));
    let bodies = bodies(&digest);
    let schema = json!({ "$ref": "#/components/schemas/DecisionRequest" });
    let validator = world.schema.validator(&schema);
    let mut taken = 0;
    for body in &bodies {
        let read = holdshort::api::decisions::check("run-0000.1", body.to_string().as_bytes());
        assert_eq!(validator.is_valid(body), read.is_ok(), "{body}: {read:?}");
        taken += usize::from(read.is_ok());
    }
    assert!(taken > 50, "{taken} of {}", bodies.len());
    figure("T38", "bodies of a decision judged by document and host", bodies.len() as u64);
    world.stop().await;
}

/// Every form accepts a message of 4,096 characters, whatever their bytes, and refuses a longer one. Document and host
/// agree.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_a_longest() {
    let world = World::new().await;
    let digest = json!(Digest::of(b"shown"));
    let of = |kind: &str, message: &str| json!({ "type": kind, "digest": digest, "message": message });
    let edited = json!({ "name": "a:b/c#d", "args": {} });
    let forms = |message: &str| -> Vec<Value> {
        let mut edit = of("edit", message);
        edit["arguments"] = json!({});
        let mut answer = of("respond", message);
        answer["answer"] = json!("yes");
        let langchain = |kind: &str| {
            let mut one = json!({ "type": kind, "message": message });
            if kind == "edit" {
                one["edited_action"] = edited.clone();
            }
            json!({ "decisions": [one], "digest": digest })
        };
        let ag_ui = |mut payload: Value| {
            payload["digest"] = digest.clone();
            payload["message"] = json!(message);
            json!({ "resume": [{ "interruptId": "run-0000.1", "status": "resolved", "payload": payload }] })
        };
        let own = [of("approve", message), edit, of("reject", message), of("respond", message), answer];
        let theirs = ["approve", "edit", "reject", "respond"].map(langchain);
        let others =
            [json!({"approved": true}), json!({"approved": false}), json!({"approved": true, "editedArgs": {}})];
        own.into_iter().chain(theirs).chain(others.map(ag_ui)).collect()
    };
    let schema = json!({ "$ref": "#/components/schemas/DecisionRequest" });
    let validator = world.schema.validator(&schema);
    for sign in ["a", "\u{e9}", "\u{4e2d}", "\u{1f600}", "\u{202e}", "\n", "\""] {
        for length in [0, 1, 4_095, 4_096, 4_097, 10_000] {
            for body in forms(&sign.repeat(length)) {
                let read = holdshort::api::decisions::check("run-0000.1", body.to_string().as_bytes());
                assert_eq!(
                    (read.is_ok(), validator.is_valid(&body)),
                    (length <= 4_096, length <= 4_096),
                    "{length}: {read:?}"
                );
                let named = |problem: Problem| body.get("resume").is_some() || problem.detail().contains("message");
                assert!(read.map_or_else(named, |()| true), "{length}: it is named");
            }
        }
    }
    let doubtful = world.in_doubt(&How::PLAIN).await;
    let resolution = |message: &str| json!({ "type": "not-done", "attempt": 1, "message": message });
    let requests = |text: &str| {
        [
            post(&format!("/v1/runs/{}/calls/1/resolution", doubtful.run), &resolution(text)),
            post(&format!("/v1/runs/{}/cancel", doubtful.run), &json!({ "reason": text })),
        ]
    };
    for (text, status) in [("x".repeat(4_097), 400), ("\u{4e2d}".repeat(4_096), 200)] {
        for request in requests(&text) {
            let reply = world.ask(&request).await;
            assert_eq!(reply.status, status, "{}: {}", request.target, reply.text());
        }
    }
    world.stop().await;
}

/// The error says which member is wrong and which values are allowed.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_member() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let (decide, digest) = (format!("/v1/approvals/{}/decisions", held.id), json!(held.digest));
    let grant = format!("/v1/approvals/{}/grant", held.id);
    for (path, body, says) in [
        ("/v1/runs", json!({ "agent": 1, "task": "x" }), "`agent`: invalid type: integer `1`, expected a string"),
        ("/v1/runs", json!({ "agent": "a" }), "missing field `task`"),
        ("/v1/runs", json!({ "agent": "a", "task": "x", "job": 1 }), "unknown field `job`, expected `agent` or `task`"),
        ("/v1/runs", json!(["scripted", "x"]), "expected an object"),
        (
            &*decide,
            json!({ "type": "approve", "digest": digest, "grant": [] }),
            "`grant`: invalid type: sequence, expected an object",
        ),
        (&*decide, json!({ "type": "approve", "digest": digest, "arguments": {} }), "unknown field `arguments`"),
        (&*decide, json!({ "type": "accept", "digest": digest }), "`approve`, `edit`, `reject` or `respond`"),
        (&*decide, json!({ "digest": digest }), "missing field `type`"),
        (&*decide, json!({ "type": "approve", "digest": "x" }), "`digest`: "),
        (&*decide, json!({ "type": "approve", "digest": digest, "grant": { "calls": "x" } }), "`grant`: `calls`: "),
        (
            &*grant,
            json!({ "calls": 1.5, "lasts_ms": 1 }),
            "`calls`: invalid value: 1.5, expected a whole number of 0 or more",
        ),
        (&*grant, json!({ "calls": -1, "lasts_ms": 1 }), "`calls`: invalid value: -1"),
    ] {
        let reply = world.ask(&post(path, &body)).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("the request body is invalid: ") && detail.contains(says), "{body}: {detail}");
        assert!(!["struct", "u64", "variant"].iter().any(|word| detail.contains(word)), "{detail}");
    }
    let twice = format!("{{\"type\":\"reject\",\"type\":\"approve\",\"digest\":{digest}}}");
    let reply = world.ask(&post(&decide, &json!({})).body(twice)).await;
    assert!(reply.status == 400 && reply.text().contains("`type` appears twice"), "{}", reply.text());
    let nested = format!("{{\"type\":\"edit\",\"digest\":{digest},\"arguments\":{{\"text\":\"a\",\"text\":\"b\"}}}}");
    assert_eq!(world.ask(&post(&decide, &json!({})).body(nested)).await.status, 400);
    // JSON has only one kind of number.
    let whole = world.ask(&post(&grant, &json!({ "calls": 2.0, "lasts_ms": 60_000.0 }))).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    world.stop().await;
}

/// Values that fit a JSON schema, for the features that the schemas of views use. Each alternative of each part is
/// tried, one at a time.
fn samples(schema: &Value) -> Vec<Value> {
    let of = |list: &Value| list.as_array().unwrap().iter().flat_map(samples).collect::<Vec<_>>();
    if let Some(value) = schema.get("const") {
        return vec![value.clone()];
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.clone();
    }
    if let Some(list) = schema.get("oneOf").or(schema.get("anyOf")) {
        return of(list);
    }
    match schema["type"].as_str().unwrap() {
        "boolean" => vec![json!(true), json!(false)],
        "null" => vec![Value::Null],
        "string" => ["", "a", "\u{202e}x", "two\nlines", "0", "AA=="].map(Value::from).to_vec(),
        "integer" => vec![schema["minimum"].clone(), schema["maximum"].clone()],
        "number" => vec![json!(0), json!(1.5), json!(-1e30)],
        "array" => {
            let items = samples(&schema["items"]);
            vec![json!([]), json!(items)]
        }
        "object" => objects(schema),
        other => panic!("no samples of {other}"),
    }
}

/// Objects with and without each optional member, and with each sample of each member.
fn objects(schema: &Value) -> Vec<Value> {
    let required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut all = vec![Map::new()];
    for (name, member) in schema["properties"].as_object().unwrap() {
        let values = samples(member);
        let with = all.iter().flat_map(|object| {
            values.iter().map(move |value| {
                let mut object = object.clone();
                object.insert(name.clone(), value.clone());
                object
            })
        });
        let with: Vec<_> = with.collect();
        all = if required.contains(&name.as_str()) { with } else { all.into_iter().chain(with).collect() };
    }
    all.into_iter().map(Value::Object).collect()
}

async fn decide(world: &World, held: &Held, body: &Value) -> (u16, String) {
    let reply = world.ask(&post(&format!("/v1/approvals/{}/decisions", held.id), body)).await;
    (reply.status, reply.text())
}

/// The host accepts every answer that a view's schema allows. Each answer is made from the schema and sent for a call
/// of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_view_promises_is_taken() {
    let world = World::new().await;
    let question = How { class: EffectClass::Question, ..How::PLAIN };
    let (mut sent, mut led_to) = (0, BTreeSet::new());
    for how in [&How::PLAIN, &question] {
        let (mut next, mut count) = (0, 1);
        while next < count {
            let held = world.held(how).await;
            let event = world.ask(&get(&format!("/v1/approvals/{}?view=ag-ui", held.id))).await.json();
            let interrupt = &event["outcome"]["interrupts"][0];
            let validator = jsonschema::validator_for(&interrupt["responseSchema"]).unwrap();
            let answers: Vec<Value> =
                samples(&interrupt["responseSchema"]).into_iter().filter(|answer| validator.is_valid(answer)).collect();
            count = answers.len();
            let answer = &answers[next];
            let resume =
                json!({ "resume": [{ "interruptId": interrupt["id"], "status": "resolved", "payload": answer }] });
            let (status, text) = decide(&world, &held, &resume).await;
            assert!([200, 202].contains(&status), "{resume}: {text}");
            led_to.insert(serde_json::from_str::<Value>(&text).unwrap()["state"].as_str().unwrap().to_owned());
            // The run is cancelled. Otherwise this call would wait beside a later edit to the same text, and the
            // editor's approval would not count, because the editor had not seen this call.
            let cancel = CancelRun { by: "olga".into(), reason: None };
            let _ = world.submit(&held.run, None, cancel).await.unwrap();
            (next, sent) = (next + 1, sent + 1);
        }
    }
    assert_eq!(led_to, ["answered", "approved", "rejected"].map(str::to_owned).into());
    for (how, word) in [
        (&How::PLAIN, "approve"),
        (&How::PLAIN, "edit"),
        (&How::PLAIN, "reject"),
        (&question, "respond"),
        (&question, "reject"),
    ] {
        let held = world.held(how).await;
        let shown = world.ask(&get(&format!("/v1/approvals/{}?view=langchain", held.id))).await.json();
        let allowed = shown["review_configs"][0]["allowed_decisions"].as_array().unwrap();
        assert!(allowed.contains(&json!(word)), "{allowed:?}");
        let call = &shown["action_requests"][0];
        let decision = match word {
            "edit" => json!({ "type": word, "edited_action": { "name": call["name"], "args": call["args"] } }),
            _ => json!({ "type": word, "message": "so" }),
        };
        let (status, text) =
            decide(&world, &held, &json!({ "decisions": [decision], "digest": shown["digest"] })).await;
        assert_eq!(status, 200, "{word}: {text}");
        sent += 1;
    }
    figure("T38", "answers made from the schemas of views and taken", sent);
    world.stop().await;
}

/// An answer that the view's schema does not allow is refused.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_view_promises_is_refused() {
    let world = World::new().await;
    let (held, other) = (world.held(&How::PLAIN).await, world.held(&How::PLAIN).await);
    let entry = |id: &str, payload: Value| json!({ "interruptId": id, "status": "resolved", "payload": payload });
    let yes = json!({ "approved": true, "digest": held.digest });
    let edit = json!({ "approved": false, "digest": held.digest, "editedArgs": { "text": "a" } });
    for (resume, expected) in [
        (json!([]), 400),
        (json!([entry(&held.id, yes.clone()), entry(&held.id, yes.clone())]), 400),
        (json!([{ "interruptId": held.id, "status": "cancelled" }]), 400),
        (json!([entry(&held.id, json!({ "approved": true }))]), 400),
        (json!([entry(&held.id, json!(true))]), 400),
        (json!([entry(&held.id, edit)]), 400),
        (json!([entry(&other.id, yes.clone())]), 422),
        (json!([entry(&held.id, json!({ "approved": true, "digest": other.digest }))]), 409),
        (json!([entry(&held.id, json!({ "answer": "x", "digest": held.digest }))]), 422),
    ] {
        let (status, text) = decide(&world, &held, &json!({ "resume": resume })).await;
        assert_eq!(status, expected, "{resume}: {text}");
    }
    let shown = world.ask(&get(&format!("/v1/approvals/{}", held.id))).await.json();
    assert_eq!((&shown["state"], &shown["decisions"]), (&json!("held"), &json!([])));
    world.stop().await;
}
