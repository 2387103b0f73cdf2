//! A classified import: its call is held, shown in the one JSON form, performed exactly as approved, and answered.

use std::fs;

use holdshort_gate::Digest;
use serde_json::{Value, json};

use crate::crm::{CONTACTS, Crm, RULES, data, delete, result};
use crate::support::{Host, until};

/// A program that prints the contact of its input, as the function's `ok` value.
const ECHO_CONTACT: &str =
    r#"python3 -c 'import json; print(json.dumps(json.load(open("got-act"))["arguments"]["contact"]))'"#;

fn exhibit(host: &Host, approval: &Value, at: usize) -> (String, Value) {
    let exhibit = &approval["proposal"]["exhibits"][at];
    let path =
        format!("/v1/approvals/{}/exhibits/{}", approval["id"].as_str().unwrap(), exhibit["digest"].as_str().unwrap());
    (exhibit["title"].as_str().unwrap().to_owned(), host.get(&path))
}

#[test]
fn what_a_person_approves_is_what_the_program_reads() {
    let crm = Crm::new(ECHO_CONTACT, "exit 9");
    let host = crm.0.serve();
    let run = host.start("third-party", "update Ada");
    let approval = host.held(&run);
    assert_eq!(crm.got("find").split_once(",\"capability\":").unwrap().0, r#"{"arguments":{"name":"Ada"}"#);

    // Every type is in the form that `wit/README.md` documents.
    let action = &approval["proposal"]["action"];
    let expected: Value = serde_json::from_str(&fs::read_to_string(data("update.json")).unwrap()).unwrap();
    assert_eq!(action["arguments"], expected);
    assert_eq!(action["capability"], format!("{CONTACTS}#update-contact"));
    let (summary, class) = (approval["proposal"]["summary"].as_str().unwrap(), &approval["proposal"]["class"]);
    assert!(
        summary.starts_with(
            "acme:crm/contacts@1.0.0#update-contact(contact: \"{\\\"balance\\\":\\\"-9007199254740994\\\""
        ),
        "{summary}"
    );
    assert_eq!((class, approval["proposal"]["connector"].as_str()), (&json!("reconcilable"), Some("command")));
    let (title, text) = exhibit(&host, &approval, 0);
    assert_eq!(title, format!("the preview from `{}`", crm.0.path().join("tools/preview").display()));
    assert_eq!(text, json!(format!("the contact, as {CONTACTS}#update-contact would find it\n")));
    assert_eq!(exhibit(&host, &approval, 1).1["argv"], json!([crm.0.path().join("tools/act")]));
    assert_eq!(crm.ran("act", &run), 0, "nothing has happened yet");

    host.approve(&approval);
    let told = result(&host, &run);
    // The program received exactly the bytes whose digest was approved.
    let got = crm.got("act");
    let component = action["component"].as_str().unwrap();
    let canonical = fs::read_to_string(data("update.canonical")).unwrap().trim_end().replace("COMPONENT", component);
    assert_eq!(got, canonical);
    assert_eq!(
        Digest::tagged("holdshort/action", got.as_bytes()).to_string(),
        approval["action_digest"].as_str().unwrap()
    );
    assert_eq!((crm.ran("act", &run), crm.ran("lookup", &run)), (1, 0));
    // The program's output reached the agent as values of their types.
    let told = told["ok"].as_str().unwrap();
    for part in [
        "balance: -9007199254740994",
        "visits: 18446744073709551615",
        "score: 0.0",
        "photo: [251, 255, 0, 255]",
        "nickname: Some(None)",
        "origin: Origin::Fair((\"Hannover\", 2026))",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_rejection_and_a_failure_reach_the_agent_as_the_functions_own_error() {
    let crm = Crm::new("echo 'there is no contact' >&2; exit 4", "exit 9");
    let host = crm.0.serve();
    let (run, approval) = delete(&host, "7");
    let (status, answer) = host.decide(&approval, "reject", &json!({ "message": "keep her" }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(result(&host, &run), json!({ "err": "rejected: keep her" }));
    assert_eq!(crm.ran("act", &run), 0);

    let (run, approval) = delete(&host, "7");
    host.approve(&approval);
    assert_eq!(result(&host, &run), json!({ "err": "failed: exit status 4: \"there is no contact\"" }));
    let failed = host.effect(approval["id"].as_str().unwrap(), "failed");
    assert_eq!(failed["effect"]["reason"], "exit status 4: \"there is no contact\"");
    assert_eq!(crm.ran("act", &run), 1);
}

#[test]
fn an_edit_is_what_is_performed() {
    let crm = Crm::new("echo '\"gone\"'", "exit 9");
    let host = crm.0.serve();
    let (run, approval) = delete(&host, "7");
    let path = format!("/v1/approvals/{}/decisions", approval["id"].as_str().unwrap());
    let wrong = json!({ "type": "edit", "digest": approval["digest"], "arguments": { "id": 8, "reason": "x" } });
    let (status, answer) = host.post(&path, &wrong);
    assert_eq!(status, 422, "{answer}");
    let arguments = json!({ "id": "8", "reason": "asked to be forgotten" });
    let (status, answer) = host.decide(&approval, "edit", &json!({ "arguments": arguments }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(result(&host, &run), json!({ "ok": "gone" }));
    let (got, edited) = (crm.got("act"), host.approval(approval["id"].as_str().unwrap()));
    assert!(got.starts_with(r#"{"arguments":{"id":"8","reason":"asked to be forgotten"}"#), "{got}");
    let digest = Digest::tagged("holdshort/action", got.as_bytes()).to_string();
    assert_eq!((edited["action_digest"].as_str(), edited["revision"].as_u64()), (Some(digest.as_str()), Some(2)));
    assert_ne!(approval["action_digest"], edited["action_digest"]);
}

#[test]
fn a_preview_can_say_that_a_call_makes_no_sense_and_one_that_fails_lets_nothing_through() {
    let crm = Crm::new("echo '\"gone\"'", "exit 9");
    crm.program("preview", "echo 'contact 7 is a person of the board' >&2; exit 4");
    let host = crm.0.serve();
    let run = host.start("third-party", "delete 7 x");
    assert_eq!(
        result(&host, &run),
        json!({ "err": format!("invalid: the preview program `{}` says: \"contact 7 is a person of the board\"", crm.0.path().join("tools/preview").display()) })
    );

    // The remote system cannot be reached for a while. Meanwhile there is no approval, because a reviewer could only
    // approve blindly.
    crm.program("preview", "echo 'no route' >&2; test -e there && echo the contact");
    let run = host.start("third-party", "delete 7 x");
    until("preview that is tried again", || (crm.ran("preview", "") > 2).then_some(()));
    assert_eq!(host.get("/v1/approvals")["approvals"], json!([]));
    crm.0.write("there", "");
    let approval = host.held(&run);
    assert_eq!(exhibit(&host, &approval, 0).1, json!("the contact\n"));
    assert_eq!(crm.ran("act", &run), 0);
}

#[test]
fn a_routine_program_answers_errs_or_is_asked_again() {
    let crm = Crm::new("", "");
    crm.program("find", "echo 'nobody is called that' >&2; exit 1");
    let host = crm.0.serve();
    assert_eq!(result(&host, &host.start("third-party", "find Bob")), json!({ "err": "nobody is called that" }));
    // This output does not have the right type. The agent does not see it, and gets an answer when the operator has
    // repaired the program.
    crm.program("find", "echo '{\"ok\": {\"id\": 7}}'");
    let run = host.start("third-party", "find Ada");
    until("program that is asked again", || (crm.ran("find", &run) > 1).then_some(()));
    crm.program("find", "cat found.json");
    let found = result(&host, &run);
    assert!(found["ok"].as_str().unwrap().contains("standing: Standing::Customer"), "{found}");
    assert_eq!(host.get("/v1/approvals?state=all")["approvals"], json!([]), "nothing was put before a person");
}

/// The operator replaces the program after a reviewer has seen which program would run.
#[test]
fn what_was_approved_is_not_performed_by_another_program() {
    let crm = Crm::new("echo '\"gone\"'", "exit 9");
    let host = crm.0.serve();
    let (run, approval) = delete(&host, "7");
    assert!(host.stop().success());
    crm.program("other", "echo '\"gone by other\"'");
    let agent = crate::support::component("third-party");
    crm.0.configure(&format!(
        "[agents.third-party]\ncomponent = '{}'\n{}",
        agent.display(),
        RULES.replace("tools/act", "tools/other")
    ));
    let host = crm.0.serve();
    host.approve(&approval);
    let again = until("call that is held again", || {
        Some(host.approval(approval["id"].as_str().unwrap())).filter(|now| now["revision"] == 2)
    });
    let reason = again["reheld"].as_str().unwrap();
    assert!(
        reason.contains("tools/act\"] when the call was shown and is [") && reason.ends_with("tools/other\"] now"),
        "{reason}"
    );
    assert_eq!((crm.ran("act", &run), crm.ran("other", &run)), (0, 0));
    host.approve(&again);
    assert_eq!(result(&host, &run), json!({ "ok": "gone by other" }));
}
