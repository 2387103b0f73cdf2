//! The host is killed in every state that a call can be in. After a restart the call is in the same state, or in the
//! state that recovery gives it. Decisions on it still work, the run goes on and ends, and its effect happens once.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use holdshort_gate::command::{CreateRun, FirstVerdict, Propose};
use holdshort_gate::{CallState, Digest, Event, RunId, Time};
use holdshort_journal::{Fence, Journal};
use serde_json::{Value, json};

use crate::operator::Operator;
use crate::outside::{self, Branch, Maildir, Outside};
use crate::support::{Folder, until};

const MAIL: &str = "email ann@localhost The report";
const DEPLOY: &str = "deploy main production Two commits";
const QUESTION: &str = "ask Go on?";

/// One state of a call: how the call gets there, and what must be true after the kill.
struct Case {
    /// The task of the agent.
    task: &'static str,
    /// The kill points of the hosts. If empty, the host is killed from outside after `act`.
    kills: &'static [&'static str],
    /// What people do to bring the call into the state.
    act: Act,
    /// The state of the call after a restart.
    recovered: &'static str,
    /// What people do after the restart.
    then: Act,
    /// What the agent is told at the end; `None` if the run was cancelled.
    told: Option<&'static str>,
    /// The number of effects that arrived in the end.
    arrived: usize,
}

/// What people do.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Nothing,
    Approve,
    Reject,
    Answer,
    Cancel,
    /// A reviewer resolves an effect in doubt.
    Settle(&'static str),
    /// A reviewer approves, the outcome is lost, and a reviewer resolves the effect.
    ApproveAndSettle(&'static str),
    /// A policy clears the call. The test writes this with the journal's own code, because the host's policy holds
    /// everything.
    Clear,
}

/// The case for each state. A state without a case fails the test.
fn case(state: &str) -> Case {
    let plain = Case {
        task: MAIL,
        kills: &["before-answer"],
        act: Act::Nothing,
        recovered: "",
        then: Act::Nothing,
        told: None,
        arrived: 0,
    };
    let delivered = Case { recovered: "succeeded", told: Some("ok EmailReceipt {"), arrived: 1, ..plain };
    match state {
        "refused" => Case {
            task: "email nobody The report",
            kills: &["after-call-refused"],
            recovered: "refused",
            told: Some("err Refusal::Invalid(\"\\\"nobody\\\" is not a valid mail address"),
            ..plain
        },
        "cleared" => Case { act: Act::Clear, kills: &["before-effect-started"], ..delivered },
        "held" => Case { kills: &[], recovered: "held", then: Act::Approve, ..delivered },
        "approved" => Case { act: Act::Approve, kills: &["before-effect-started"], ..delivered },
        "started" => Case {
            act: Act::Approve,
            kills: &["before-perform"],
            recovered: "in-doubt",
            then: Act::Settle("send-again"),
            ..delivered
        },
        "in-doubt" => Case {
            act: Act::Approve,
            kills: &["before-perform", "after-effect-in-doubt"],
            recovered: "in-doubt",
            then: Act::Settle("not-done"),
            told: Some("err Refusal::Failed(\"I looked.\")"),
            ..plain
        },
        "succeeded" => Case { act: Act::Approve, ..delivered },
        "failed" => Case {
            task: DEPLOY,
            act: Act::Approve,
            recovered: "failed",
            told: Some("err Refusal::Failed(\"git did not move the branch"),
            ..plain
        },
        "unresolved" => Case {
            act: Act::ApproveAndSettle("abandon"),
            kills: &["before-perform", "after-effect-resolved"],
            recovered: "unresolved",
            told: Some("err Refusal::Unresolved(\"I looked.\")"),
            ..plain
        },
        "rejected" => {
            let told = Some("err Refusal::Rejected(\"Shorter, please.\")");
            Case { act: Act::Reject, recovered: "rejected", told, ..plain }
        }
        "answered" => {
            let told = Some("ok \"yes\"");
            Case { task: QUESTION, act: Act::Answer, recovered: "answered", told, ..plain }
        }
        "expired" => {
            Case { kills: &["after-call-expired"], recovered: "expired", told: Some("err Refusal::Expired"), ..plain }
        }
        "cancelled" => Case { act: Act::Cancel, kills: &["after-run-cancelled"], recovered: "cancelled", ..plain },
        other => panic!("no kill test for the state `{other}` of a call: add one here"),
    }
}

#[test]
fn every_state_of_a_call_survives_a_kill() {
    for state in CallState::ALL.map(CallState::as_str) {
        println!("{state}");
        survives(state, &case(state));
    }
}

fn survives(state: &str, case: &Case) {
    let outside_host = tempfile::tempdir().unwrap();
    let mail = Maildir(outside_host.path().join("mail"));
    let branch = Branch::new(&outside_host.path().join("shop.git"));
    if state == "failed" {
        // Leaves a lock file, as another person's git does while it works on the branch or after it died there.
        std::fs::write(branch.0.0.join("refs/heads/production.lock"), "").unwrap();
    }
    let expires = if state == "expired" { "[approval]\nexpires-after = \"1s\"\n" } else { "" };
    let limits = "[limits]\nlinger-ms = 50\n";
    let folder = outside::folder(&mail, &format!("{limits}{expires}{}", branch.section()));
    let mut operator = Operator::new(&folder, case.kills);

    let run = if case.act == Act::Clear { cleared(&folder, case.task) } else { operator.start("scripted", case.task) };
    let id = format!("{run}.1");
    act(&mut operator, case.act, &id);
    if case.kills.is_empty() {
        operator.held(&id);
        operator.kill();
    }
    // At any request the operator notices that the host is dead, and starts the next host.
    until(&format!("kill in the state {state}"), || {
        operator.run(&run);
        (operator.deaths >= case.kills.len().max(1)).then_some(())
    });
    assert_eq!(operator.left.last().unwrap(), state, "what was on the disk when the host was killed");

    let standing = until(&format!("state {} after {state}", case.recovered), || {
        Some(operator.approval(&id)).filter(|approval| standing(approval) == case.recovered)
    });
    if state == case.recovered && case.then == Act::Nothing {
        let again = operator.approval(&id);
        assert_eq!(standing, again, "{state}: nobody has touched it since");
    }
    act(&mut operator, case.then, &id);
    let row = operator.over(&run);
    match case.told {
        Some(told) => {
            let result = row["result"]["ok"].as_str().unwrap_or_else(|| panic!("{state}: {row}"));
            assert!(result.contains(told), "{state}: {result}");
        }
        None => assert_eq!(row["state"], "cancelled", "{state}: {row}"),
    }
    assert_eq!(mail.count() + branch.count(), case.arrived, "{state}");
}

/// The state of a call in one word, as lists show it.
fn standing(approval: &Value) -> &str {
    approval["effect"]["state"].as_str().or(approval["state"].as_str()).unwrap()
}

fn act(operator: &mut Operator<'_>, act: Act, id: &str) {
    match act {
        Act::Nothing | Act::Clear => {}
        Act::Approve => {
            let approval = operator.held(id);
            operator.decide(&approval, "approve", &json!({}));
        }
        Act::Reject => {
            let approval = operator.held(id);
            operator.decide(&approval, "reject", &json!({ "message": "Shorter, please." }));
        }
        Act::Answer => {
            let approval = operator.held(id);
            operator.decide(&approval, "respond", &json!({ "answer": "yes" }));
        }
        Act::Cancel => {
            operator.held(id);
            let (run, _) = id.split_once('.').unwrap();
            let (status, answer) = operator.ask(&format!("/v1/runs/{run}/cancel"), Some(&json!({})));
            assert_eq!(status, 200, "{answer}");
        }
        Act::Settle(how) => operator.resolve(id, how, 1),
        Act::ApproveAndSettle(how) => {
            self::act(operator, Act::Approve, id);
            operator.effect(id, &["in-doubt"]);
            operator.resolve(id, how, 1);
        }
    }
}

/// A run whose call a policy has cleared. A first host proposes the same call, so that the cleared call has the
/// proposal of the real connector.
fn cleared(folder: &Folder, task: &str) -> String {
    let mut first = Operator::new(folder, &[]);
    let held = first.start("scripted", task);
    first.held(&format!("{held}.1"));
    first.kill();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(clear(folder, RunId(held)))
}

async fn clear(folder: &Folder, held: RunId) -> String {
    #[allow(clippy::disallowed_methods, reason = "this stands in for a host, which asks the system for the time")]
    let clock = || Time(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros().try_into().unwrap());
    let journal = Journal::open(&folder.journal(), Arc::new(clock)).unwrap();
    let events = journal.events(&held, 0, 2).await.unwrap().events;
    let (Event::RunCreated { agent, component, task, started_by, limits, .. }, Event::CallHeld { proposal, .. }) =
        (&events[0].event, &events[1].event)
    else {
        panic!("{events:?}")
    };
    let run = RunId("cleared".into());
    let create = CreateRun {
        agent: agent.clone(),
        component: *component,
        task: task.clone(),
        started_by: started_by.clone(),
        limits: limits.clone(),
        seed: Digest::of(&journal.seed(&run)),
    };
    drop(journal.submit(&run, None, Fence::None, create).await.unwrap());
    let propose = Propose { call: 1, proposed: FirstVerdict::Clear(proposal.clone()) };
    drop(journal.submit(&run, None, Fence::None, propose).await.unwrap());
    run.0
}
