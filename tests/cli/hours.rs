//! Policies that use the time: a call that they forbid at a time can be neither approved nor performed at that time,
//! and can be at another time.

use std::fs;

use serde_json::{Value, json};

use crate::said::holdshort;
use crate::scene::{letters, post_office};
use crate::support::{Folder, until};

/// Writes a policy that forbids email after a moment. Its zone is 14 hours ahead of UTC, so its date often differs.
fn closed_from(folder: &Folder, moment: &str) {
    let text = format!(
        "@id(\"closed\") @why(\"nobody is in the office\")
        forbid (principal, action == Action::\"call\", resource is email::SendEmail)
        when {{ context.now > datetime(\"{moment}\") && context.local.zone == \"Pacific/Kiritimati\" }};
        permit (principal, action == Action::\"decide\", resource);\n"
    );
    folder.write("hours.cedar", &text);
}

#[allow(
    clippy::disallowed_methods,
    reason = "the host goes by the machine's clock, and so does what is written for it"
)]
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

const LATER: &str = "2999-01-01T00:00:00Z";

#[test]
fn what_policy_forbids_at_a_time_is_neither_approved_nor_done_then() {
    let folder = post_office("[policy]\nfiles = [\"hours.cedar\"]\ntime-zone = \"Pacific/Kiritimati\"\n");
    closed_from(&folder, LATER);
    let host = folder.serve();
    let run = host.start("scripted", "email ann@example.org Hello");
    let approval = host.held(&run);
    let id = approval["id"].as_str().unwrap().to_owned();
    let said = holdshort(&folder, &["policy", "explain", &id]).exits(0).out;
    assert!(
        said.contains("some policies depend on the time; the time of the recorded verdict was ")
            && said.contains(" in Pacific/Kiritimati"),
        "{said}"
    );
    host.stop();

    // The policy now forbids the call: it cannot be approved, it stays held, and it may still be rejected.
    closed_from(&folder, &now());
    let host = folder.serve();
    let (status, problem) = host.decide(&approval, "approve", &json!({}));
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert_eq!((status, problem["type"].as_str()), (409, Some("urn:holdshort:problem:not-now")), "{problem}");
    assert!(
        detail.starts_with("policy forbids the call: nobody is in the office (the time is ")
            && detail.ends_with("approve the call at another time"),
        "{detail}"
    );
    assert_eq!((host.approval(&id)["state"].as_str(), letters(&folder)), (Some("held"), 0));
    let refused = host.start("scripted", "email ann@example.org Hello again");
    assert!(
        host.over(&refused)["result"].to_string().contains("nobody is in the office"),
        "an agent that asks now is told so"
    );
    host.stop();

    // The call is approved while the policy permits it, and the host dies before the effect starts. When the host is
    // back, the policy forbids the call.
    closed_from(&folder, LATER);
    let host = folder.serve_with(&[("HOLDSHORT_KILL_AT", "after-decision-made")]);
    let body = json!({ "type": "approve", "digest": approval["digest"] });
    drop(host.try_request(&host.token, &format!("/v1/approvals/{id}/decisions"), Some(&body)));
    host.ended();
    closed_from(&folder, &now());
    let host = folder.serve();
    let again = until("the call is held again", || {
        let again = host.approval(&id);
        (again["state"] == "held").then_some(again)
    });
    let events: Vec<Value> = host.events(&run).into_iter().filter(|event| event["type"] == "call-reheld").collect();
    let reason = events[0]["data"]["reason"].as_str().unwrap();
    assert_eq!((again["revision"].as_u64(), events.len(), letters(&folder)), (Some(2), 1, 0), "{again}");
    assert!(reason.starts_with("policy forbids the call: nobody is in the office (the time is "), "{reason}");
    host.stop();

    // The policy permits the call again: one approval is enough, and the effect happens once.
    closed_from(&folder, LATER);
    let host = folder.serve();
    host.approve(&again);
    host.over(&run);
    assert_eq!(letters(&folder), 1);
}

/// A requirement that nobody can meet, and a comparison of a decimal with `>=`, stop `policy check` and the host with the
/// same words. `config` refuses a misspelled time zone and suggests the right one.
#[test]
fn what_check_says_stops_the_host_too() {
    let folder = post_office("[policy]\nfiles = [\"hours.cedar\"]\n[groups]\nempty = []\n");
    let decide = "permit (principal, action == Action::\"decide\", resource);\n";
    for (text, expected) in [
        (
            "@id(\"two\") @quorum(\"2\") permit (principal, action == Action::\"review\", resource);",
            "`two`: the requirement cannot be met",
        ),
        (
            "@id(\"none\") @reviewers(\"empty\") permit (principal, action == Action::\"review\", resource);",
            "stage 1 needs 1 person, but 0 are eligible",
        ),
        (
            "permit (principal, action == Action::\"call\", resource) when { context has confidence && context.confidence >= 0.7 };",
            "context.confidence.greaterThanOrEqual(decimal(\"0.7\"))",
        ),
    ] {
        folder.write("hours.cedar", &format!("{text}\n{decide}"));
        let checked = holdshort(&folder, &["policy", "check"]).exits(2).err;
        let served = holdshort(&folder, &["serve"]).exits(2).err;
        assert!(checked.contains(expected) && checked.contains("hours.cedar:1"), "{checked}");
        assert_eq!(checked, served);
    }
    fs::write(folder.path().join("hours.cedar"), decide).unwrap();
    holdshort(&folder, &["policy", "check"]).exits(0);
    let file = folder.path().join("holdshort.toml");
    let configured = fs::read_to_string(&file).unwrap();
    let zoned =
        |zone: &str| configured.replace("[\"hours.cedar\"]", &format!("[\"hours.cedar\"]\ntime-zone = \"{zone}\""));
    fs::write(&file, zoned("zagreb")).unwrap();
    let said = holdshort(&folder, &["config"]).exits(2).err;
    assert!(said.contains("did you mean `Europe/Zagreb`?") && said.contains("policy.time-zone"), "{said}");
    fs::write(&file, zoned("Europe/Zagreb")).unwrap();
    assert!(holdshort(&folder, &["config"]).exits(0).out.contains("time-zone = \"Europe/Zagreb\""));
}
