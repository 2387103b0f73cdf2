//! Requests that succeed: runs, lists and their pages, agents, logs, metrics; and a check that the schema is strict.

use std::collections::BTreeSet;
use std::path::Path;

use holdshort_gate::command::{EndRun, RunEnd};
use holdshort_gate::{Digest, Reviewers, Time};
use holdshort_journal::LogLine;
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::world::{Held, How, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_shown_and_ended() {
    let world = World::new().await;
    let reply = world.ask(&post("/v1/runs", &json!({"agent": "release", "task": "write to them"})).by("bob")).await;
    assert_eq!(reply.status, 201);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), Some(format!("/v1/runs/{id}").as_str()));
    let run = world.ask(&get(&format!("/v1/runs/{id}"))).await.json();
    assert_eq!(
        (&run["state"], &run["started_by"], &run["task"], &run["calls"]),
        (&json!("running"), &json!("bob"), &json!("write to them"), &json!(0))
    );
    let cancel = post(&format!("/v1/runs/{id}/cancel"), &json!({"reason": "enough"})).by("alice");
    for _ in 0..2 {
        let reply = world.ask(&cancel).await;
        assert_eq!(
            (reply.status, reply.json()),
            (200, json!({"id": id, "state": "cancelled"})),
            "asking twice is no error"
        );
    }
    let events = world.ask(&get(&format!("/v1/runs/{id}/events"))).await.json();
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["run-created", "run-cancelled"]);
    assert_eq!(events["events"][1]["data"], json!({"by": "alice", "reason": "enough"}));
    let over = world.run().await;
    let _ = world.submit(&over, None, EndRun(RunEnd::Finished(Err("could not".into())))).await.unwrap();
    let reply = world.ask(&post(&format!("/v1/runs/{over}/cancel"), &json!({}))).await;
    assert_eq!((reply.status, &reply.json()["state"]), (409, &json!("failed")));
    let shown = world.ask(&get(&format!("/v1/runs/{over}"))).await.json();
    assert_eq!((&shown["state"], &shown["result"]), (&json!("failed"), &json!({"err": "could not"})));
    world.stop().await;
}

/// Follows `next` to the last page, and returns the member `key` of every row of all pages.
async fn pages(world: &World, path: &str, cursor: &str, list: &str, key: &str) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), String::new());
    for _ in 0..20 {
        let page = world.ask(&get(&format!("{path}{next}"))).await.json();
        found.extend(page[list].as_array().unwrap().iter().map(|row| row[key].clone()));
        let at = &page["next"];
        if at.is_null() {
            return found;
        }
        next = format!("&{cursor}={}", at.as_str().map_or(at.to_string(), str::to_owned));
    }
    panic!("the pages of {path} do not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let world = World::new().await;
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(world.held(&How::PLAIN).await);
    }
    let approved = world.call("approved").await;
    world.call("rejected").await;
    let ids: Vec<Value> = calls.iter().map(|call| json!(call.id)).collect();
    assert_eq!(
        pages(&world, "/v1/approvals?limit=2", "after", "approvals", "id").await,
        ids,
        "the one that waits longest first"
    );
    let open = [ids.clone(), vec![json!(approved.id)]].concat();
    assert_eq!(pages(&world, "/v1/approvals?state=open&limit=3", "after", "approvals", "id").await, open);
    assert_eq!(pages(&world, "/v1/approvals?state=all&limit=200", "after", "approvals", "id").await.len(), 7);
    let runs = pages(&world, "/v1/runs?limit=3", "before", "runs", "id").await;
    let newest_first: Vec<Value> = (0..7).rev().map(|number| json!(format!("run-{number:04}"))).collect();
    assert_eq!(runs, newest_first);
    assert_eq!(pages(&world, "/v1/runs?state=waiting&limit=50", "before", "runs", "id").await.len(), 6);
    let events = format!("/v1/runs/{}/events?limit=1", approved.run);
    assert_eq!(pages(&world, &events, "after", "events", "type").await, ["run-created", "call-held", "decision-made"]);
    world.stop().await;
}

/// The journal's own tests check the order of these lists. This test checks that the query reaches the lists, and that
/// each page goes on where the page before it ended.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_ranked_and_filtered() {
    let world = World::new().await;
    let ids = |calls: &[&Held]| calls.iter().map(|call| json!(call.id)).collect::<Vec<_>>();
    let plain = world.held(&How::PLAIN).await;
    let soon = world.held(&How { expires_at: Some(Time(world.journal.now().0 + 3_600_000_000)), ..How::PLAIN }).await;
    let bobs = world.held(&How { who: Reviewers::Named(vec!["bob".into()]), ..How::PLAIN }).await;
    let doubtful = world.call("in-doubt").await;
    let list =
        async |query: &str| pages(&world, &format!("/v1/approvals?limit=1&{query}"), "after", "approvals", "id").await;
    assert_eq!(list("order=rank&state=waiting").await, ids(&[&doubtful, &soon, &plain, &bobs]));
    assert_eq!(list("order=rank").await, ids(&[&soon, &plain, &bobs]), "held, if no state is named");
    assert_eq!(list("order=waiting&state=waiting").await, ids(&[&plain, &soon, &bobs, &doubtful]));
    assert_eq!(list("order=rank&mine=true").await, ids(&[&soon, &plain]), "alice asks");
    assert_eq!(list("mine=false").await.len(), 3);
    assert_eq!(list(&format!("run={}", soon.run)).await, ids(&[&soon]));
    assert_eq!(list("capability=acme:mail/send@1.0.0%23send").await.len(), 3);
    assert_eq!(list("capability=acme:mail/send").await.len(), 0);
    assert_eq!((list("agent=release").await.len(), list("agent=another").await.len()), (3, 0));
    let row = world.ask(&get(&format!("/v1/approvals?run={}", plain.run))).await.json()["approvals"][0].clone();
    assert_eq!(
        (&row["consequence"], &row["still_needed"], &row["approved_by"]),
        (&json!("medium"), &json!(1), &json!([]))
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_listed_with_what_they_rested_on() {
    let world = World::new().await;
    let (rejected, approved) = (world.call("rejected").await, world.call("approved").await);
    world.call("expired").await;
    let list = async |query: &str, key: &str| {
        pages(&world, &format!("/v1/decisions?limit=1&{query}"), "before", "decisions", key).await
    };
    assert_eq!(list("", "kind").await, ["expire", "approve", "reject"]);
    let all = world.ask(&get("/v1/decisions")).await.json()["decisions"].clone();
    let (who, at) = (all[2]["by"].as_str().unwrap(), all[1]["at"].as_str().unwrap());
    assert_eq!((&all[2]["approval"]["id"], &all[2]["digest"]), (&json!(rejected.id), &json!(rejected.digest)));
    assert_eq!((&all[2]["exhibits"][0]["title"], &all[0]["by"]), (&json!("the message"), &Value::Null));
    assert_eq!(list("kind=reject", "revision").await, [1]);
    assert_eq!(list(&format!("by={who}&state=rejected&agent=release"), "kind").await, ["reject"]);
    assert_eq!(list(&format!("run={}", approved.run), "kind").await, ["approve"]);
    assert_eq!(list(&format!("from={at}"), "kind").await, ["expire", "approve"]);
    assert_eq!(list(&format!("until={at}"), "kind").await, ["reject"]);
    assert_eq!(list(&format!("search=SEN%20{who}"), "kind").await, ["reject"], "of what is over");
    assert_eq!(list("search=elsewhere", "kind").await.len(), 0);
    for (query, detail) in [
        ("kind=maybe", "`maybe` is not a kind of decision"),
        ("from=now", "`now` is not a time; write a time like `2026-01-31T08:00:00Z`"),
    ] {
        let reply = world.ask(&get(&format!("/v1/decisions?{query}"))).await;
        assert_eq!((reply.status, &reply.json()["detail"]), (400, &json!(detail)));
    }
    world.stop().await;
}

/// Every time that RFC 3339 can write is accepted, up to the last second of the year 9999. The error for a wrong time
/// names it.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_and_the_last_times_are_times() {
    let world = World::new().await;
    world.call("rejected").await;
    let ends = ["23:59:59Z", "23:59:59.999999999Z", "23:59:59-05:00", "00:00:00+00:00", "22:00:01z"];
    let days = ["9999-12-31", "9999-12-30", "2400-02-29", "1970-01-01", "1969-12-31", "0001-01-01", "0000-02-29"];
    for (day, end) in days.iter().flat_map(|day| ends.map(|end| (day, end))) {
        let at = format!("{day}T{end}").replace('+', "%2B");
        for (path, late) in [("decisions?until=", 1), ("decisions?from=", 0)] {
            let reply = world.ask(&get(&format!("/v1/{path}{at}"))).await;
            assert_eq!(reply.status, 200, "{at}: {}", reply.text());
            let found = reply.json()["decisions"].as_array().unwrap().len();
            assert_eq!(found, if *day > "2026" { late } else { 1 - late }, "{path}{at}");
        }
    }
    for none in [
        "9999-12-32T00:00:00Z",
        "9999-13-01T00:00:00Z",
        "9999-02-29T00:00:00Z",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:60:00Z",
        "9999-12-31%2023:59:59Z",
        "9999-12-31T23:59:59",
        "9999-12-31",
        "10000-01-01T00:00:00Z",
        "-9999-01-01T00:00:00Z",
    ] {
        let reply = world.ask(&get(&format!("/v1/decisions?from={none}"))).await;
        assert_eq!(reply.status, 400, "{none}");
        assert!(reply.text().contains("is not a time; write a time like"), "{}", reply.text());
    }
    world.stop().await;
}

/// A grant is drafted from its terms, shown as a policy, made with a decision, listed, and revoked.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_drafted_made_listed_and_taken_back() {
    let world = World::new().await;
    let (held, other) = (world.held(&How::PLAIN).await, world.held(&How::PLAIN).await);
    let draft = |terms: Value| post(&format!("/v1/approvals/{}/grant", held.id), &terms);
    let terms = json!({"calls": 2, "lasts_ms": 60_000, "may_differ": ["/text"]});
    let drafted = world.ask(&draft(terms.clone())).await.json();
    assert_eq!(drafted["grant"]["like"], json!({}));
    let policy = drafted["policy"].as_str().unwrap();
    assert!(policy.contains("resource is acme::mail::send::Send") && policy.contains("granted.calls < 2"), "{policy}");
    let exact = world.ask(&draft(json!({"calls": 2, "lasts_ms": 60_000}))).await.json();
    assert!(exact["policy"].as_str().unwrap().contains("resource.arguments.text == \"hello\""), "{exact}");
    for (request, status) in [
        (draft(json!({"calls": 0, "lasts_ms": 60_000})), 422),
        (draft(json!({"calls": 1, "lasts_ms": 60_000, "may_differ": ["/words"]})), 422),
        (draft(json!({"calls": 1, "lasts_ms": 60_000, "sums": {"eur": 2}})), 422),
        (
            draft(
                json!({"calls": 1, "lasts_ms": 60_000, "sums": {"EUR": 2, "EUR\n// x\npermit (principal, action, resource);": 1}}),
            ),
            422,
        ),
        (draft(json!({"calls": 1})), 400),
        (draft(terms.clone()).by("bob"), 403),
        (post("/v1/approvals/none.1/grant", &terms), 404),
        (get("/v1/grants?before=x"), 400),
        (get(&format!("/v1/grants/{}", held.id)), 404),
    ] {
        assert_eq!(world.ask(&request).await.status, status, "{request:?}");
    }
    let decide = |held: &Held, kind: &str| {
        let body = json!({"type": kind, "digest": held.digest, "message": "no", "grant": drafted["grant"]});
        post(&format!("/v1/approvals/{}/decisions", held.id), &body)
    };
    assert_eq!(world.ask(&decide(&held, "reject")).await.status, 400);
    assert_eq!(world.ask(&decide(&held, "approve").by("bob")).await.status, 403);
    let again = [false, true].map(|repeated| json!(repeated));
    for repeated in again {
        let reply = world.ask(&decide(&held, "approve")).await;
        assert_eq!((reply.status, reply.json()["repeated"].clone()), (200, repeated));
    }
    assert_eq!(world.ask(&draft(terms)).await.status, 409);

    let standing = async || world.ask(&get("/v1/grants?standing=true")).await.json()["grants"].clone();
    let listed = standing().await;
    assert_eq!(
        (&listed[0]["id"], &listed[0]["by"], &listed[0]["standing"]),
        (&json!(held.id), &json!("alice"), &json!(true))
    );
    let shown = world.ask(&get(&format!("/v1/grants/{}", held.id))).await.json();
    assert!(shown["policy"].as_str().unwrap().contains(&format!("@id(\"grant {}\")", held.id)), "{shown}");
    let revoke = |held: &Held| post(&format!("/v1/grants/{}/revocation", held.id), &json!({}));
    assert_eq!(world.ask(&revoke(&other)).await.status, 404);
    for _ in 0..2 {
        assert_eq!(world.ask(&revoke(&held).by("bob")).await.status, 200);
    }
    assert_eq!(standing().await, json!([]));
    let all = world.ask(&get("/v1/grants")).await.json();
    assert_eq!((&all["grants"][0]["revoked_by"], &all["grants"][0]["standing"]), (&json!("bob"), &json!(false)));
    world.stop().await;
}

/// Every list refuses a cursor that no page gave, in the same words. No list takes such a cursor for the end of the
/// list.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_one_that_a_page_gave() {
    let world = World::new().await;
    let run = world.run().await;
    for cursor in ["a/b", "!!", ""] {
        let ask = |path: &str| get(&format!("{path}={cursor}"));
        let runs = world.ask(&ask("/v1/runs?before")).await;
        let approvals = world.ask(&ask("/v1/approvals?after")).await;
        assert_eq!((runs.status, runs.header("content-type")), (400, Some("application/problem+json")), "{cursor}");
        assert_eq!(runs.json()["detail"], format!("`{cursor}` is not a cursor; use `next` of the previous page"));
        for document in [runs.json(), approvals.json()] {
            assert_eq!(document["type"], "urn:holdshort:problem:bad-request", "{cursor}");
            assert_eq!(document["detail"], runs.json()["detail"], "{cursor}");
        }
    }
    assert_eq!(world.ask(&get("/v1/runs?before=zzz")).await.json()["detail"], "there is no run `zzz`");
    let page = world.ask(&get(&format!("/v1/runs?before={run}"))).await;
    assert_eq!((page.status, page.json()["runs"].as_array().map(Vec::len)), (200, Some(0)), "a run's id is one");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_events_ends_early_and_loses_nothing() {
    let world = World::new().await;
    let run = world.run().await;
    let large = "x".repeat(1 << 20);
    for call in 1..=8 {
        let held = crate::world::proposal("hello", &How::PLAIN);
        let record = holdshort_gate::command::RecordRoutine {
            call,
            action: held.action,
            result: json!(large),
            answered_at: Time(1),
        };
        let _ = world.submit(&run, None, record).await.unwrap();
    }
    let first = world.ask(&get(&format!("/v1/runs/{run}/events?limit=1000"))).await;
    let events = first.json()["events"].as_array().unwrap().len();
    assert!((1..9).contains(&events), "{events} events in {} bytes", first.body.len());
    let all = pages(&world, &format!("/v1/runs/{run}/events?limit=1000"), "after", "events", "seq").await;
    assert_eq!(all, (1..=9).map(|seq| json!(seq)).collect::<Vec<_>>());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_logs_and_figures() {
    let world = World::new().await;
    let agents = world.ask(&get("/v1/agents")).await.json();
    assert_eq!(
        agents["agents"][0]["capabilities"][0],
        json!({"capability": "acme:mail/send@1.0.0#send", "class": "consequential"})
    );
    let unready = |name, state, problem: Option<&str>| json!({"name": name, "state": state, "problem": problem, "component": null, "capabilities": []});
    assert_eq!(agents["agents"][0]["state"], "ready");
    assert_eq!(agents["agents"][1], unready("broken", "failed", Some("it is nested too deep")));
    assert_eq!(agents["agents"][2], unready("large", "loading", None));
    let run = world.held(&How::PLAIN).await.run;
    for number in 0..3 {
        world.journal.log(&run, LogLine { at: Time(number), level: "info".into(), message: format!("line {number}") });
    }
    // The host writes log lines with the next batch, so that another event must be written first.
    let _ = world.run().await;
    let lines = pages(&world, &format!("/v1/runs/{run}/logs?limit=2"), "after", "lines", "message").await;
    assert_eq!(lines, ["line 0", "line 1", "line 2"]);
    world.ask(&get("/v1/nothing")).await;
    world.ask(&get("/v1/agents").without("Authorization")).await;
    // More calls than the host may read one by one for one request of `/metrics`.
    for _ in 0..1_200 {
        world.held(&How::PLAIN).await;
    }
    let figures = world.ask(&get("/metrics")).await.text();
    for line in [
        "holdshort_http_requests_total{route=\"/v1/agents\",method=\"GET\",status=\"200\"} 1",
        "holdshort_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1",
        "holdshort_http_unauthenticated_total 1",
        "holdshort_journal_up 1",
        "holdshort_calls{state=\"held\"} 1201",
        "holdshort_runs{state=\"waiting\"} 1201",
        "holdshort_runs{state=\"running\"} 1",
        "holdshort_live_runs 2",
        "holdshort_instances_started_total 7",
        "holdshort_events_replayed_total 40",
        "holdshort_events_recalled_total 11",
    ] {
        assert!(figures.lines().any(|found| found == line), "no `{line}` in\n{figures}");
    }
    assert_eq!(world.ask(&get("/")).await.header("location"), Some("/sign-in"), "a token opens no page");
    assert_eq!(world.ask(&get("/healthz")).await.text(), "ok\n");
    assert_eq!(world.ask(&get("/readyz")).await.text(), "ready\n");
    world.stop().await;
}

/// An answer with a member that the schema does not describe must fail. So every object of the schema must forbid other
/// members.
#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_strict_and_complete() {
    let world = World::new().await;
    let schemas = world.schema.0["components"]["schemas"].as_object().unwrap();
    assert!(schemas.len() > 20, "{} schemas", schemas.len());
    let (mut open, mut free) = (BTreeSet::new(), BTreeSet::new());
    for (name, schema) in schemas {
        takes_more(schema, name, &mut open, &mut free);
    }
    assert_eq!(open, BTreeSet::new(), "take members that they do not name");
    // The schema cannot list the members of these values: the arguments of an action depend on the function, a JSON
    // schema is a language of its own, and a grant refers to paths in those arguments.
    let known = [
        "Action.arguments",
        "AgUiEdit.editedArgs",
        "AgUiInterrupt.responseSchema",
        "EditRequest.arguments",
        "EditedAction.args",
        "Grant.like",
        "RoutineReturnedData.arguments",
    ];
    assert_eq!(free, known.map(str::to_owned).into(), "are objects of which nothing is said");
    let paths = world.schema.0["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 25, "{:?}", paths.keys().collect::<Vec<_>>());
    let mut names = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let open = ["/healthz", "/readyz"].contains(&path.as_str());
            assert_eq!(operation["responses"].get("401").is_none(), open, "{method} {path}");
            assert_eq!(operation.get("security").is_some(), open, "{method} {path}");
            assert_eq!(method == "post", operation["responses"].get("415").is_some(), "{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path} has another's name");
            assert!(operation["summary"].is_string(), "{method} {path} says nothing about itself");
        }
    }
    let text = world.schema.0.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(schemas.contains_key(reference), "`{reference}` is not described");
    }
    world.stop().await;
}

/// Collects the paths at which a schema accepts members that it does not name, and the paths at which it says only that
/// a value is an object.
fn takes_more(schema: &Value, place: &str, open: &mut BTreeSet<String>, free: &mut BTreeSet<String>) {
    let closed = schema["additionalProperties"] == false;
    // An object whose names all have one form and whose values all have one type.
    let named = schema["propertyNames"].is_object() && schema["additionalProperties"].is_object();
    if schema["properties"].is_object() && !closed {
        open.insert(place.to_owned());
    }
    if schema["type"] == "object" && !schema["properties"].is_object() && !closed && !named {
        free.insert(place.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        takes_more(property, &format!("{place}.{name}"), open, free);
    }
    for alternatives in ["oneOf", "anyOf", "allOf", "items"] {
        let list = match &schema[alternatives] {
            Value::Array(list) => list.as_slice(),
            Value::Null => &[],
            one @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                std::slice::from_ref(one)
            }
        };
        list.iter().for_each(|schema| takes_more(schema, place, open, free));
    }
}

/// One event of each kind, as in the gate's golden files, must match the schema of its kind. The same event with a
/// renamed member must not match.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_event_is_described() {
    let world = World::new().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("gate/tests/events");
    let mut kinds = BTreeSet::new();
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let mut events: Vec<Value> = files.map(|text| serde_json::from_str(&text).unwrap()).collect();
    // Members that an event has only sometimes, as in the golden files.
    let digest = Digest::of(b"request");
    for (kind, member, value) in [
        ("effect-succeeded", "changed", json!(["the balance was 9.00, it is 8.00"])),
        ("run-created", "request", json!({"key": digest, "asks": digest})),
    ] {
        let mut event = events.iter().find(|event| event["type"] == kind).unwrap().clone();
        event["data"][member] = value;
        events.push(event);
    }
    for golden in events {
        kinds.insert(golden["type"].as_str().unwrap().to_owned());
        for (name, beside) in [
            ("RunEvent", json!({"seq": 1, "at": "2026-01-01T00:00:00.000001Z"})),
            ("FeedEvent", json!({"seq": 1, "at": "2026-01-01T00:00:00.000001Z", "run": "r", "position": 7})),
        ] {
            let schema = json!({"$ref": format!("#/components/schemas/{name}")});
            let mut event = golden.clone();
            event.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
            world.schema.validate(&schema, &event, name);
            assert!(!world.schema.fits(&schema, &json!({"type": event["type"], "data": event["data"]})), "{event}");
            for (member, value) in golden["data"].as_object().unwrap() {
                let mut wrong = event.clone();
                wrong["data"].as_object_mut().unwrap().remove(member);
                // Members that are not in every event: the policy's reasons for a refusal (a refusal may have another
                // cause), the key of a request, and facts that had changed.
                let sometimes = ["policy", "request", "changed"].contains(&member.as_str());
                assert_eq!(world.schema.fits(&schema, &wrong), sometimes, "without `{member}`: {wrong}");
                wrong["data"][format!("{member}-2")] = value.clone();
                assert!(!world.schema.fits(&schema, &wrong), "with another name for `{member}`: {wrong}");
            }
        }
    }
    for name in ["RunEvent", "FeedEvent"] {
        let mut described = BTreeSet::new();
        for kind in world.schema.0["components"]["schemas"][name]["oneOf"].as_array().unwrap() {
            let word = kind["properties"]["type"]["enum"][0].as_str().unwrap().to_owned();
            // The schema of the kind's data has the kind's name.
            let data = kind["properties"]["data"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            assert_eq!(data.to_lowercase(), format!("{}data", word.replace('-', "")));
            described.insert(word);
        }
        assert_eq!(described, kinds, "{name}");
    }
    world.stop().await;
}

/// An answer with an unknown member fails the schema check.
#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "does not fit the schema")]
async fn an_answer_with_an_unknown_member_would_be_found() {
    let world = World::new().await;
    let call = world.held(&How::PLAIN).await;
    let mut shown = world.ask(&get(&format!("/v1/approvals/{}", call.id))).await.json();
    shown["proposal"]["requirement"]["surprise"] = json!(1);
    world.schema.validate(&json!({"$ref": "#/components/schemas/Approval"}), &shown, "a changed answer");
}
