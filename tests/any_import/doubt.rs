//! A program that does not report its result leaves the effect in doubt. The host looks the effect up, or a reviewer
//! resolves it. The host never runs the program again by itself.

use serde_json::{Value, json};

use crate::crm::{Crm, delete, result};
use crate::support::{Host, until};

/// The result of the program depends on the contact to delete.
const ACT: &str = r#"
case $(cat got-act) in
    *'"id":"killed'*) echo 'half-way' >&2; kill -9 $$ ;;
    *'"id":"odd'*) echo '{"deleted": true}' ;;
    *'"id":"failing'*) echo 'traceback' >&2; exit 1 ;;
    *'"id":"slow'*) until test -e go || ! test -e tools; do sleep 0.1; done; touch slow-done; echo '"slow"' ;;
esac"#;

/// The result of the lookup depends on the contact too.
const LOOKUP: &str = r#"
case $(cat got-lookup) in
    *happened*) echo '"gone, says the lookup"' ;;
    *undone*) echo 'still there' >&2; exit 4 ;;
    *slow*) test -e slow-done && echo '"slow, says the lookup"' || exit 4 ;;
    *) echo 'no idea' >&2; exit 1 ;;
esac"#;

fn approved(host: &Host, id: &str) -> (String, String) {
    let (run, approval) = delete(host, id);
    host.approve(&approval);
    (run, approval["id"].as_str().unwrap().to_owned())
}

fn event(host: &Host, run: &str, kind: &str) -> Value {
    let events = host.events(run);
    let found = events.iter().find(|event| event.to_string().contains(kind));
    found.unwrap_or_else(|| panic!("no {kind} in {events:#?}")).clone()
}

#[test]
fn a_lost_effect_is_settled_by_the_lookup() {
    let crm = Crm::new(ACT, LOOKUP);
    let host = crm.0.serve();
    for (id, expected, evidence) in [
        ("killed-happened", json!({ "ok": "gone, says the lookup" }), "exit status 0"),
        ("odd-happened", json!({ "ok": "gone, says the lookup" }), "exit status 0"),
        ("failing-happened", json!({ "ok": "gone, says the lookup" }), "exit status 0"),
        (
            "killed-undone",
            json!({ "err": "failed: the attempt was started, but the effect did not happen" }),
            r#"exit status 4: \"still there\""#,
        ),
    ] {
        let (run, _) = approved(&host, id);
        assert_eq!(result(&host, &run), expected, "{id}");
        assert_eq!((crm.ran("act", &run), crm.ran("lookup", &run)), (1, 1), "{id}");
        assert_eq!(crm.got("lookup"), crm.got("act"), "the lookup is about the same action");
        assert_eq!(
            crm.attempts("lookup", &run),
            crm.attempts("act", &run),
            "and about the same attempt, with the same key"
        );
        let kind = if expected.get("ok").is_some() { "effect-succeeded" } else { "effect-failed" };
        let settled = event(&host, &run, kind).to_string();
        assert!(settled.contains(evidence), "{id}: {settled}");
        event(&host, &run, "effect-in-doubt");
    }
}

#[test]
fn what_nobody_can_find_out_waits_for_a_person_and_is_never_repeated() {
    let crm = Crm::new(ACT, LOOKUP);
    let host = crm.0.serve();
    let (odd, odd_id) = approved(&host, "odd");
    let (killed, killed_id) = approved(&host, "killed");
    let shown = host.effect(&odd_id, "in-doubt")["effect"]["reason"].as_str().unwrap().to_owned();
    let expected = r#"exit status 0, but the output is not a value of the function's type: "`value`: expected a string, found {\"deleted\":true}""#;
    assert_eq!(shown, expected);
    assert_eq!(host.effect(&killed_id, "in-doubt")["effect"]["reason"], "ended by signal 9: \"half-way\"");
    until("first lookups", || (crm.ran("lookup", &odd) == 1 && crm.ran("lookup", &killed) == 1).then_some(()));
    // The reviewer who resolves the effect sees what the lookup printed.
    let evidence = |host: &Host, id: &str| {
        until("evidence", || host.approval(id)["effect"]["evidence"]["text"].as_str().map(str::to_owned))
    };
    for id in [&odd_id, &killed_id] {
        let found = evidence(&host, id);
        assert!(found.ends_with("/tools/lookup`: exit status 1: \"no idea\""), "{found}");
        // The evidence also contains the output of the program that performed the call.
        let said = if *id == killed_id { "half-way" } else { r#"{\"deleted\": true}"# };
        assert!(found.contains(said), "{said}: {found}");
    }

    // A restarted host looks the effect up again, and does nothing else.
    host.kill();
    let host = crm.0.serve();
    until("second lookups", || (crm.ran("lookup", &odd) == 2 && crm.ran("lookup", &killed) == 2).then_some(()));
    for (run, id) in [(&odd, &odd_id), (&killed, &killed_id)] {
        assert_eq!((crm.ran("act", run), host.show_run(run)["state"].as_str()), (1, Some("waiting")), "{id}");
        assert_eq!(host.approval(id)["effect"]["state"], "in-doubt", "{id}");
    }

    let settle = |run: &str, id: &str, resolution: Value| {
        let number = id.rsplit_once('.').unwrap().1;
        let (status, answer) = host.post(&format!("/v1/runs/{run}/calls/{number}/resolution"), &resolution);
        (status, answer.to_string())
    };
    let (status, answer) = settle(&odd, &odd_id, json!({ "type": "send-again", "attempt": 1 }));
    assert_eq!((status, answer.contains("only idempotent effects")), (422, true), "{answer}");
    let (status, answer) = settle(&odd, &odd_id, json!({ "type": "done", "attempt": 1 }));
    assert_eq!((status, answer.contains("give `receipt`")), (422, true), "{answer}");
    let (status, answer) = settle(&odd, &odd_id, json!({ "type": "done", "attempt": 1, "receipt": 7 }));
    assert_eq!(status, 422, "{answer}");
    let (status, answer) = settle(&odd, &odd_id, json!({ "type": "done", "attempt": 1, "receipt": "gone, I looked" }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(result(&host, &odd), json!({ "ok": "gone, I looked" }));
    let (status, answer) =
        settle(&killed, &killed_id, json!({ "type": "abandon", "attempt": 1, "message": "who knows" }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(result(&host, &killed), json!({ "err": "unresolved: who knows" }));
    assert_eq!((crm.ran("act", &odd), crm.ran("act", &killed)), (1, 1));
    for run in [&odd, &killed] {
        let looked_up = host.events(run).iter().filter(|event| event["type"] == "effect-looked-up").count();
        assert_eq!(looked_up, 1, "the second lookup found the same");
    }
}

/// The program outlives the host. The next host waits for the program to end before it looks the effect up.
#[test]
fn a_program_that_outlives_a_killed_host_is_waited_for() {
    let crm = Crm::new(ACT, LOOKUP);
    let host = crm.0.serve();
    let (run, id) = approved(&host, "slow");
    until("started program", || (crm.ran("act", &run) == 1).then_some(()));
    host.kill();
    let host = crm.0.serve();
    host.effect(&id, "in-doubt");
    assert_eq!(crm.ran("lookup", &run), 0, "what still runs may act after anyone has looked");
    crm.0.write("go", "");
    assert_eq!(result(&host, &run), json!({ "ok": "slow, says the lookup" }));
    assert_eq!((crm.ran("act", &run), crm.attempts("lookup", &run)), (1, crm.attempts("act", &run)));
    assert_eq!(host.approval(&id)["attempts"], 1);
}
