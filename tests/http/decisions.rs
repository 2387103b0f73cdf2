//! Decisions: one decision wins, every other sender is told which one won, the same decision again gets the same
//! answer, and an old decision counts for nothing else.

use holdshort_gate::clearance::Clearance;
use holdshort_gate::command::{Choice, FirstVerdict};
use holdshort_gate::{
    CallState, Demand, Digest, EffectClass, Escalation, JournalId, Phase, Proposal, Reviewers, RunId,
};
use serde_json::{Value, json};

use crate::client::{Reply, Request, get, post};
use crate::world::{EXHIBIT, Held, How, World, proposal};

fn decide(call: &Held, body: Value) -> Request {
    let mut body = body;
    if body.get("digest").is_none() {
        body["digest"] = json!(call.digest);
    }
    post(&format!("/v1/approvals/{}/decisions", call.id), &body)
}

/// The status of a reply, and from its body: the state, how many approvals are still needed, and whether the decision
/// was repeated.
fn said(reply: &Reply) -> (u16, String, u64, bool) {
    let answer = reply.json();
    let state = answer["state"].as_str().unwrap().to_owned();
    (reply.status, state, answer["still_needed"].as_u64().unwrap(), answer["repeated"].as_bool().unwrap())
}

fn done(status: u16, state: &str, still_needed: u64, repeated: bool) -> (u16, String, u64, bool) {
    (status, state.into(), still_needed, repeated)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_of_two() {
    let world = World::new().await;
    let held = world.held(&How { quorum: 2, ..How::PLAIN }).await;
    let approve = decide(&held, json!({"type": "approve", "message": "fine"}));
    assert_eq!(said(&world.ask(&approve).await), done(202, "held", 1, false));
    assert_eq!(said(&world.ask(&approve).await), done(202, "held", 1, true));
    assert_eq!(
        said(&world.ask(&decide(&held, json!({"type": "approve"}))).await),
        done(202, "held", 1, true),
        "a person counts once"
    );
    let shown = world.ask(&get(&format!("/v1/approvals/{}", held.id))).await.json();
    assert_eq!((&shown["still_needed"], &shown["votes"][0]["reviewer"]), (&json!(1), &json!("alice")));
    assert_eq!(said(&world.ask(&approve.clone().by("bob")).await), done(200, "approved", 0, false));
    assert_eq!(said(&world.ask(&approve).await), done(200, "approved", 0, true), "the same again is the same");
    let late = world.ask(&approve.by("carol")).await;
    assert_eq!(
        (late.status, &late.json()["winner"]["reviewer"], &late.json()["state"]),
        (409, &json!("bob"), &json!("approved"))
    );
    world.stop().await;
}

/// How a requirement with stages is shown, who is waited for, and which objections were made.
#[tokio::test(flavor = "multi_thread")]
async fn stages_are_told_one_after_the_other() {
    let world = World::new().await;
    let named = |names: &[&'static str]| Reviewers::Named(names.iter().map(|name| (*name).into()).collect());
    let demand = |names: &[&'static str]| Demand { reviewers: named(names), quorum: 1 };
    let mut staged = proposal("hello", &How::PLAIN);
    staged.requirement.stages = vec![vec![demand(&["alice", "bob"]), demand(&["bob"])], vec![demand(&["carol"])]];
    staged.requirement.rejections = 2;
    staged.requirement.escalations = vec![Escalation { reviewers: named(&["olga"]), within_ms: 60_000 }];
    staged.requirement.sign_in_within_ms = Some(60_000);
    staged.policy.reasons = vec!["more than 500 EUR".into()];
    let held = world.proposed(FirstVerdict::Hold(Box::new(staged))).await;
    let show = || async { world.ask(&get(&format!("/v1/approvals/{}", held.id))).await.json() };
    let approve = decide(&held, json!({"type": "approve"}));
    let shown = show().await;
    let waits = |stage: u32, names: &[&str], more: u32| json!({"stage": stage, "stages": 2, "reviewers": {"named": names}, "more": more});
    assert_eq!(shown["waiting_for"], json!([waits(1, &["alice", "bob"], 1), waits(1, &["bob"], 1)]));
    assert_eq!((&shown["reasons"], &shown["level"]), (&json!(["more than 500 EUR"]), &json!(0)));
    assert_eq!(shown["proposal"]["requirement"]["stages"].as_array().unwrap().len(), 2);

    assert_eq!(world.ask(&approve.clone().by("carol")).await.status, 403, "it is not her turn");
    assert_eq!(said(&world.ask(&approve.clone().by("alice")).await), done(202, "held", 2, false));
    assert_eq!(show().await["waiting_for"], json!([waits(1, &["bob"], 0), waits(1, &["bob"], 1)]));
    let reject = decide(&held, json!({"type": "reject", "message": "no"})).by("carol");
    assert_eq!(world.ask(&reject).await.status, 202, "one of two");
    let shown = show().await;
    assert_eq!((&shown["rejections"][0]["reviewer"], &shown["rejections_needed"]), (&json!("carol"), &json!(1)));
    assert_eq!(said(&world.ask(&approve.clone().by("bob")).await), done(202, "held", 1, false));
    let shown = show().await;
    assert_eq!(shown["waiting_for"], json!([waits(2, &["carol"], 1)]));
    assert_eq!(shown["votes"][1]["stage"], 1);
    assert_eq!(said(&world.ask(&approve.by("carol")).await), done(200, "approved", 0, false), "she thought again");
    assert_eq!(show().await["waiting_for"], json!([]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_wins() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let requests = ["alice", "bob", "carol", "olga"]
        .map(|who| decide(&held, json!({"type": if who < "c" { "approve" } else { "reject" }})).by(who));
    let replies = futures_util::future::join_all(requests.iter().map(|request| world.ask(request))).await;
    let winners: Vec<usize> = (0..4).filter(|at| replies[*at].status == 200).collect();
    let [winner] = winners[..] else { panic!("{winners:?} won") };
    let names = ["alice", "bob", "carol", "olga"];
    for loser in (0..4).filter(|at| *at != winner) {
        assert_eq!((replies[loser].status, &replies[loser].json()["winner"]["reviewer"]), (409, &json!(names[winner])));
    }
    let decisions =
        world.written().await.into_iter().filter(|(_, event)| format!("{event:?}").starts_with("DecisionMade")).count();
    assert_eq!(decisions, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_makes_another_digest() {
    let world = World::new().await;
    let held = world.held(&How { quorum: 2, ..How::PLAIN }).await;
    assert_eq!(world.ask(&decide(&held, json!({"type": "approve"})).by("bob")).await.status, 202);
    let edit = decide(&held, json!({"type": "edit", "arguments": {"text": "goodbye"}, "message": "friendlier"}));
    let reply = world.ask(&edit).await;
    assert_eq!(said(&reply), done(202, "held", 1, false), "bob's vote fell, alice's own counts");
    let new = reply.json()["digest"].clone();
    assert_eq!(new, json!(world.digest(&held.run).await));
    let old = world.ask(&decide(&held, json!({"type": "approve"})).by("carol")).await;
    assert_eq!(
        (old.status, &old.json()["type"], &old.json()["current_digest"]),
        (409, &json!("urn:holdshort:problem:stale-digest"), &new)
    );
    assert_eq!(said(&world.ask(&edit).await), done(202, "held", 1, true), "the same edit again is the same");
    let other = decide(&held, json!({"type": "edit", "arguments": {"text": "something else"}}));
    assert_eq!(world.ask(&other).await.json()["current_digest"], new, "another edit of what is gone is not");
    let agreed = decide(&held, json!({"type": "approve", "digest": new})).by("carol");
    assert_eq!(said(&world.ask(&agreed).await), done(200, "approved", 0, false));
    assert_eq!(said(&world.ask(&edit).await), done(200, "approved", 0, true));
    let shown = world.ask(&get(&format!("/v1/approvals/{}", held.id))).await.json();
    assert_eq!((&shown["revision"], &shown["edited_by"]), (&json!(2), &json!("alice")));
    assert_eq!(shown["proposal"]["action"]["arguments"], json!({"text": "goodbye"}));
    assert_eq!(shown["decisions"].as_array().unwrap().len(), 4);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_approves_what_is_new_to_them_by_itself() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let edit = |text: &str| decide(&held, json!({"type": "edit", "arguments": {"text": text}}));
    let reply = world.ask(&edit("evident")).await;
    assert_eq!(said(&reply), done(202, "held", 1, false), "the evidence has been shown to nobody");
    assert_eq!(said(&world.ask(&edit("evident")).await), done(202, "held", 1, true));
    let approve = decide(&held, json!({"type": "approve", "digest": reply.json()["digest"]}));
    assert_eq!(said(&world.ask(&approve).await), done(200, "approved", 0, false));

    let held = world.held(&How::PLAIN).await;
    let edit = decide(&held, json!({"type": "edit", "arguments": {"text": "goodbye"}}));
    assert_eq!(said(&world.ask(&edit).await), done(200, "approved", 0, false), "nothing is new but what they wrote");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_does_not_do_changes_nothing() {
    let world = World::new().await;
    let held = world.held(&How::PLAIN).await;
    let question = world.held(&How { class: EffectClass::Question, ..How::PLAIN }).await;
    let approved = world.call("approved").await;
    let refused = world.call("refused").await;
    let before = world.written().await;
    let edit = |call: &Held, arguments: Value| decide(call, json!({"type": "edit", "arguments": arguments}));
    for (request, status, kind) in [
        (edit(&held, json!({"text": 1})), 422, "does-not-fit"),
        (edit(&held, json!({"text": "a", "bcc": "b"})), 422, "does-not-fit"),
        (edit(&held, Value::Null), 400, "bad-request"),
        (edit(&held, json!({"text": "impossible"})), 422, "not-possible"),
        (edit(&held, json!({"text": "forbidden"})), 422, "not-allowed"),
        (edit(&held, json!({"text": "away"})), 503, "unavailable"),
        (decide(&held, json!({"type": "respond", "answer": "yes"})), 422, "wrong-type"),
        (decide(&held, json!({"type": "respond", "answer": 1})), 422, "wrong-type"),
        (decide(&question, json!({"type": "respond", "answer": 1})), 422, "does-not-fit"),
        (decide(&question, json!({"type": "respond", "answer": null})), 422, "does-not-fit"),
        (decide(&question, json!({"type": "approve"})), 422, "wrong-type"),
        (edit(&question, json!({"text": "away"})), 422, "wrong-type"),
        (edit(&approved, json!({"text": "impossible"})), 409, "already-decided"),
        (edit(&approved, json!({"text": "goodbye"})), 409, "already-decided"),
        (edit(&refused, json!({"text": "goodbye"})), 409, "not-now"),
    ] {
        let reply = world.ask(&request).await;
        let problem = reply.json();
        assert_eq!(
            (reply.status, &problem["type"]),
            (status, &json!(format!("urn:holdshort:problem:{kind}"))),
            "{problem}"
        );
        assert!(
            kind != "does-not-fit" || ["path", "expected", "found"].iter().all(|member| problem[member].is_string()),
            "{problem}"
        );
    }
    assert_eq!(world.written().await, before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered() {
    let world = World::new().await;
    let how = How { class: EffectClass::Question, ..How::PLAIN };
    for body in [
        json!({"type": "respond", "message": "blue"}),
        json!({"type": "respond", "answer": "blue"}),
        json!({"type": "respond", "answer": "blue", "message": "I like it"}),
    ] {
        let question = world.held(&how).await;
        assert_eq!(said(&world.ask(&decide(&question, body.clone())).await), done(200, "answered", 0, false));
        assert_eq!(said(&world.ask(&decide(&question, body)).await), done(200, "answered", 0, true));
        let subject = world.journal.subject(&question.run, Some(1)).await.unwrap().unwrap();
        assert_eq!(subject.call.unwrap().phase, Phase::Answered { answer: json!("blue") });
    }
    let question = world.held(&how).await;
    assert_eq!(
        said(&world.ask(&decide(&question, json!({"type": "reject", "message": "ask olga"}))).await),
        done(200, "rejected", 0, false)
    );
    world.stop().await;
}

/// Decision and effect are shown separately in every state, and the shown content has the shown digest.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_shows_decision_and_effect() {
    let world = World::new().await;
    for phase in CallState::ALL.map(CallState::as_str) {
        let call = world.call(phase).await;
        let shown = world.ask(&get(&format!("/v1/approvals/{}", call.id))).await.json();
        let effect = ["started", "in-doubt", "succeeded", "failed", "unresolved"].contains(&phase);
        let state = if effect { "approved" } else { phase };
        assert_eq!(
            (&shown["state"], &shown["effect"]["state"]),
            (&json!(state), &if effect { json!(phase) } else { Value::Null }),
            "{phase}"
        );
        assert_eq!(
            (&shown["task"], &shown["started_by"], &shown["agent"]),
            (&json!("write to them"), &json!("olga"), &json!("release"))
        );
        assert_eq!(shown["refused"].is_null(), phase != "refused", "{phase}");
        let listed = world.ask(&get(&format!("/v1/approvals?state={phase}"))).await.json();
        assert!(
            listed["approvals"].as_array().unwrap().iter().any(|row| row["id"] == call.id && row["state"] == phase),
            "{phase}: {listed}"
        );
        if phase == "refused" {
            continue;
        }
        let proposal: Proposal = serde_json::from_value(shown["proposal"].clone()).unwrap();
        let (journal, run) =
            (JournalId(shown["journal"].as_str().unwrap().into()), RunId(shown["run"].as_str().unwrap().into()));
        let revision = shown["revision"].as_u64().unwrap().try_into().unwrap();
        let digest = Clearance { journal: &journal, run: &run, call: 1, revision, proposal: &proposal }.digest();
        assert_eq!(
            (&shown["digest"], &shown["action_digest"]),
            (&json!(digest), &json!(proposal.action.digest())),
            "{phase}"
        );
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhibit_is_bytes_and_belongs_to_its_approval() {
    let world = World::new().await;
    let held = world.decided(&How::PLAIN, "alice", Choice::Approve).await;
    let reply = world.ask(&get(&format!("/v1/approvals/{}/exhibits/{}", held.id, Digest::of(EXHIBIT)))).await;
    assert_eq!(
        (reply.status, reply.body.as_slice(), reply.header("content-type")),
        (200, EXHIBIT, Some("text/plain; charset=utf-8"))
    );
    let elsewhere = world.journal.put_blob(b"a component, or another's payload".to_vec()).await.unwrap();
    for wrong in [elsewhere.to_string(), Digest::of(b"nothing").to_string(), "sha256:00".into(), "..".into()] {
        let reply = world.ask(&get(&format!("/v1/approvals/{}/exhibits/{wrong}", held.id))).await;
        assert_eq!(reply.status, 404, "{wrong}");
    }
    let refused = world.call("refused").await;
    assert_eq!(
        world.ask(&get(&format!("/v1/approvals/{}/exhibits/{}", refused.id, Digest::of(EXHIBIT)))).await.status,
        404
    );
    world.stop().await;
}
