//! Old decisions: every state of a call × every digest that an old decision may name. Each old decision is refused and
//! changes nothing. A decision that was made before and is sent again gets its first answer, and changes nothing.

use holdshort_gate::clearance::Clearance;
use holdshort_gate::command::{
    AttemptOutcome, CancelRun, Choice, Decide, Expire, Finish, FirstVerdict, Propose, Resolve, Revision, Start,
};
use holdshort_gate::{
    Call, CallState, Digest, EffectClass, JournalId, Phase, Proposal, RefusalReason, Resolution, RunId, Time,
};
use serde_json::{Value, json};

use crate::client::{Reply, get, post};
use crate::evidence;
use crate::world::{How, World, decide, proposal};

/// A call with a history, in a given phase. It is the second call of its run, and the first call had the same bytes.
struct Seasoned {
    run: RunId,
    /// The digests that old decisions may name, each with its origin.
    old: Vec<(&'static str, Digest)>,
    /// The decisions that count in the present phase, each with its reviewer.
    made: Vec<(&'static str, Value)>,
}

impl Seasoned {
    const CALL: u32 = 2;

    fn id(&self) -> String {
        format!("{}.{}", self.run, Self::CALL)
    }

    async fn call(&self, world: &World) -> Call {
        world.journal.subject(&self.run, Some(Self::CALL)).await.unwrap().unwrap().call.unwrap()
    }

    /// Notes the current digest, which a later step makes old.
    async fn remember(&mut self, world: &World, what: &'static str) -> Digest {
        let digest = self.call(world).await.clearance.unwrap();
        self.old.push((what, digest));
        digest
    }

    async fn decide(&mut self, world: &World, reviewer: &'static str, choice: Choice) {
        let clearance = self.call(world).await.clearance.unwrap();
        let body = match &choice {
            Choice::Approve => json!({"type": "approve"}),
            Choice::Grant(grant) => json!({"type": "approve", "grant": grant}),
            Choice::Reject => json!({"type": "reject", "message": "no"}),
            Choice::Respond(answer) => json!({"type": "respond", "answer": answer}),
            Choice::Edit(revision) => json!({"type": "edit", "arguments": revision.proposal.action.arguments()}),
        };
        let message = body["message"].as_str().map(str::to_owned);
        let decide = Decide { message, ..decide(reviewer, clearance, choice) };
        let _ = world.submit(&self.run, Some(Self::CALL), decide).await.unwrap();
        let mut body = body;
        body["digest"] = json!(clearance);
        self.made.push((reviewer, body));
    }

    async fn finish(&self, world: &World, outcome: AttemptOutcome) {
        let attempt = self.call(world).await.attempts;
        let finish = Finish { attempt, outcome, evidence: None };
        let _ = world.submit(&self.run, Some(Self::CALL), finish).await.unwrap();
    }

    async fn start(&self, world: &World) {
        let _ = world.submit(&self.run, Some(Self::CALL), Start { perform_within_ms: 1_000 }).await.unwrap();
    }

    /// A run whose first call, with the same bytes, was rejected.
    async fn begin(world: &World, how: &How, proposed: FirstVerdict) -> Self {
        let run = world.run().await;
        let twin = Propose { call: 1, proposed: FirstVerdict::Hold(Box::new(proposal("hello", how))) };
        let _ = world.submit(&run, None, twin).await.unwrap();
        let clearance = world.digest(&run).await.unwrap();
        let reject = decide("alice", clearance, Choice::Reject);
        let _ = world.submit(&run, Some(1), reject).await.unwrap();
        let _ = world.submit(&run, None, Propose { call: Self::CALL, proposed }).await.unwrap();
        Self { run, old: vec![("another call of the run, with the same bytes", clearance)], made: Vec::new() }
    }

    /// A held call that was edited, edited back, approved, and held again because a fact had changed.
    async fn held(world: &World, how: &How) -> Self {
        let first = proposal("hello", how);
        let mut call = Self::begin(world, how, FirstVerdict::Hold(Box::new(first.clone()))).await;
        let before = call.remember(world, "before an edit").await;
        let edit = |proposal: Proposal| Choice::Edit(Box::new(Revision { proposal }));
        call.decide(world, "alice", edit(proposal("goodbye", how))).await;
        call.remember(world, "an edit that was edited back").await;
        call.decide(world, "carol", edit(first.clone())).await;
        let back = call.remember(world, "before the facts changed").await;
        assert_ne!(before, back, "the same bytes again are another revision");
        call.decide(world, "alice", Choice::Approve).await;
        assert_eq!(call.call(world).await.phase.state().as_str(), "approved");
        call.start(world).await;
        let changed = Proposal { preconditions: json!({"tip": "2"}), ..first };
        call.finish(
            world,
            AttemptOutcome::FactsChanged { reason: "the tip moved".into(), proposal: Box::new(changed) },
        )
        .await;
        assert_eq!(call.call(world).await.phase, Phase::Held);
        // The decisions so far no longer count.
        call.made.clear();
        call
    }

    async fn approved(world: &World, how: &How) -> Self {
        let mut call = Self::held(world, how).await;
        call.decide(world, "alice", Choice::Approve).await;
        call.decide(world, "bob", Choice::Approve).await;
        call
    }

    async fn finished(world: &World, how: &How, outcome: AttemptOutcome) -> Self {
        let call = Self::approved(world, how).await;
        call.start(world).await;
        call.finish(world, outcome).await;
        call
    }

    /// A call in the phase of this name, in its own world. In a shared world, calls of other phases with the same
    /// action would wait beside it, and its edits would need more approvals. A phase that is missing here has no rows
    /// in the table, and the test fails.
    async fn in_phase(world: &World, phase: &str) -> Self {
        let two = &How { quorum: 2, ..How::PLAIN };
        let mut call = match phase {
            "refused" => {
                let refusal = RefusalReason::Forbidden("never".into());
                Self::begin(world, two, FirstVerdict::Refuse(Box::new(proposal("hello", two).action), refusal, None))
                    .await
            }
            "cleared" => Self::begin(world, two, FirstVerdict::Clear(Box::new(proposal("hello", two)))).await,
            "held" => Self::held(world, two).await,
            "approved" => Self::approved(world, two).await,
            "started" => {
                let call = Self::approved(world, two).await;
                call.start(world).await;
                call
            }
            "in-doubt" => Self::finished(world, two, AttemptOutcome::Unknown("the reply was lost".into())).await,
            "succeeded" => Self::finished(world, two, AttemptOutcome::Happened(json!("sent"))).await,
            "failed" => Self::finished(world, two, AttemptOutcome::DidNotHappen("no such address".into())).await,
            "unresolved" => {
                let call = Self::finished(world, two, AttemptOutcome::Unknown("the reply was lost".into())).await;
                let attempt = call.call(world).await.attempts;
                let resolve = Resolve { attempt, by: "alice".into(), resolution: Resolution::Abandon, message: None };
                let _ = world.submit(&call.run, Some(Self::CALL), resolve).await.unwrap();
                call
            }
            "rejected" => {
                let mut call = Self::held(world, two).await;
                call.decide(world, "alice", Choice::Reject).await;
                call
            }
            "answered" => {
                let question = &How { class: EffectClass::Question, ..How::PLAIN };
                let held = FirstVerdict::Hold(Box::new(proposal("hello", question)));
                let mut call = Self::begin(world, question, held).await;
                call.decide(world, "alice", Choice::Respond(json!("yes"))).await;
                call
            }
            "expired" => {
                let soon = Time(world.clock.load(std::sync::atomic::Ordering::Relaxed) + 1_000_000);
                let mut call = Self::held(world, &How { expires_at: Some(soon), ..two.clone() }).await;
                call.decide(world, "alice", Choice::Approve).await;
                world.clock.fetch_add(2_000_000, std::sync::atomic::Ordering::Relaxed);
                let _ = world.submit(&call.run, Some(Self::CALL), Expire).await.unwrap();
                call
            }
            "cancelled" => {
                let mut call = Self::held(world, two).await;
                call.decide(world, "alice", Choice::Approve).await;
                let _ = world.submit(&call.run, None, CancelRun { by: "olga".into(), reason: None }).await.unwrap();
                call
            }
            other => panic!("no rows for the phase {other}"),
        };
        let state = call.call(world).await;
        assert_eq!(state.phase.state().as_str(), phase);
        if phase == "held" {
            let current = state.proposal().unwrap();
            assert!(call.old.iter().all(|(_, old)| Some(*old) != state.clearance), "one of the old ones is current");
            assert_eq!(current.action, proposal("hello", two).action, "the bytes are those of the first revision");
        } else if let Some(own) = state.clearance {
            call.old.push(("its own", own));
        }
        call.old.push(("another run, with the same bytes", world.held(two).await.digest));
        let proposal = state.proposal().cloned().unwrap_or_else(|| proposal("hello", two));
        let journal = JournalId("another".into());
        let (number, revision) = (Self::CALL, state.revision);
        let elsewhere = Clearance { journal: &journal, run: &call.run, call: number, revision, proposal: &proposal };
        call.old.push(("another journal, with the same bytes", elsewhere.digest()));
        call.old.push(("nothing", Digest::of(b"another")));
        call
    }
}

/// The state of everything, so that a test can compare before and after.
async fn everything(world: &World, id: &str) -> (Vec<(RunId, holdshort_gate::Event)>, Value) {
    (world.written().await, world.ask(&get(&format!("/v1/approvals/{id}"))).await.json())
}

/// Sends a decision without a check of the answer's form, which other tests check. Here it would be most of the work.
async fn send(world: &World, id: &str, who: &str, body: &Value) -> Reply {
    post(&format!("/v1/approvals/{id}/decisions"), body).by(who).send(world.at).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_decision_decides_nothing() {
    let mut refused = 0;
    for phase in CallState::ALL.map(CallState::as_str) {
        let world = World::new().await;
        let call = Seasoned::in_phase(&world, phase).await;
        let id = call.id();
        let before = everything(&world, &id).await;
        for (origin, digest) in &call.old {
            for who in ["bob", "alice", "carol"] {
                for more in [
                    json!({"type": "approve"}),
                    json!({"type": "reject", "message": "stop"}),
                    json!({"type": "edit", "arguments": {"text": "goodbye"}}),
                    json!({"type": "edit", "arguments": {"text": "hello"}}),
                    json!({"type": "respond", "answer": "no"}),
                ] {
                    let mut body = more;
                    body["digest"] = json!(digest);
                    if call.made.iter().any(|(maker, made)| *maker == who && *made == body) {
                        continue;
                    }
                    let reply = send(&world, &id, who, &body).await;
                    let what = format!("{who} decides on {origin} of a call that is {phase}: {body}: {}", reply.text());
                    let stale = if phase == "expired" { 410 } else { 409 };
                    assert_eq!(reply.status, stale, "{what}");
                    let problem = reply.json();
                    let current = if phase == "held" { json!(call.call(&world).await.clearance) } else { Value::Null };
                    assert_eq!(problem["current_digest"], current, "{what}");
                    refused += 1;
                }
            }
            assert!(everything(&world, &id).await == before, "{origin}: a call that is {phase} has changed");
        }
        world.stop().await;
    }
    assert!(refused > 13 * 4 * 15, "{refused} are too few");
    evidence::figure("T11", "stale decisions refused", refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_was_made_is_not_made_again() {
    let mut repeated = 0;
    for phase in CallState::ALL.map(CallState::as_str) {
        let world = World::new().await;
        let call = Seasoned::in_phase(&world, phase).await;
        let id = call.id();
        let before = everything(&world, &id).await;
        for (who, body) in &call.made {
            let reply = send(&world, &id, who, body).await;
            let answer = reply.json();
            let told = (reply.status, &answer["repeated"], &answer["state"]);
            assert_eq!(told, (200, &json!(true), &json!(phase)), "{who} again: {body}: {}", reply.text());
            repeated += 1;
        }
        assert!(everything(&world, &id).await == before, "a call that is {phase} has changed");
        world.stop().await;
    }
    assert!(repeated >= 16, "{repeated} are too few");
    evidence::figure("T11", "decisions sent again", repeated);
}
