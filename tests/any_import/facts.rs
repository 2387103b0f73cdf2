//! Facts that an operator's program finds about a call: policies use them, reviewers see them, and an unknown fact
//! clears nothing.

use serde_json::{Value, json};

use crate::crm::{Crm, RULES, delete, executable, result};
use crate::support::evidence;
use crate::support::{Folder, Host, until};

const FACTS: &str = r#"
[capabilities."acme:crm/contacts@1.0.0#delete-contact"]
class = "consequential"
command = ["tools/act"]
not-done-codes = [4]
facts = ["tools/facts"]
fact-types = { visits = "s64", standing = "string", score = "f64", tags = "list<string>", known = "bool" }

[policy]
files = ["calls.cedar"]
"#;

const POLICIES: &str = r#"
permit (principal, action == Action::"decide", resource);
@id("strangers") permit (principal, action == Action::"call", resource is acme::crm::contacts::DeleteContact)
when { resource.facts.visits == 0 };
@id("reviewed") @material("visits") permit (principal, action == Action::"review", resource is acme::crm::contacts::DeleteContact);
"#;

/// Prints the file that is named after the contact. One of these files is missing.
const FIND: &str = r#"#!/bin/sh
id=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["arguments"]["id"])')
cat found-$id || exit 75
test "$id" != gone || { echo "there is no such contact" >&2; exit 4; }
"#;

fn world() -> Crm {
    let folder = Folder::new(&["third-party"], &(FACTS.to_owned() + RULES));
    let crm = Crm::within(folder, "echo '\"deleted\"'", "exit 4");
    executable(&crm.0.write("tools/facts", FIND));
    crm.0.write("calls.cedar", POLICIES);
    crm
}

fn exhibit(host: &Host, approval: &Value) -> (String, Value) {
    let exhibits = approval["proposal"]["exhibits"].as_array().unwrap();
    let exhibit = exhibits.iter().find(|one| one["title"].as_str().unwrap().starts_with("the facts from")).unwrap();
    let (id, digest) = (approval["id"].as_str().unwrap(), exhibit["digest"].as_str().unwrap());
    (exhibit["title"].as_str().unwrap().to_owned(), host.get(&format!("/v1/approvals/{id}/exhibits/{digest}")))
}

/// What each program prints, and what happens to the call.
const PRINTED: [(&str, &str, &str); 20] = [
    ("none", "{\"visits\": 0}", "cleared"),
    ("digits", "{\"visits\": \"0\"}", "cleared"),
    (
        "all",
        "{\"visits\": 0, \"standing\": \"lead\", \"score\": 0.5, \"tags\": [\"a\"], \"known\": true}\n\n",
        "cleared",
    ),
    ("beside-nothing", "{\"visits\": 0, \"standing\": null}", "cleared"),
    ("some", "{\"visits\": 3, \"standing\": \"customer\"}", "held"),
    ("less", "{\"visits\": -1}", "held"),
    ("unknown", "{}", "held"),
    ("nothing", "{\"visits\": null}", "held"),
    ("another", "{\"standing\": \"lead\"}", "held"),
    ("gone", "{\"visits\": 0}", "there is no such contact"),
    ("silent", "", "the program printed no JSON object of facts"),
    ("a-list", "[0]", "the program printed no JSON object of facts"),
    ("a-text", "visits: 0", "the output is not JSON"),
    ("two", "{\"visits\": 3} {\"visits\": 0}", "the output is not JSON"),
    ("cut", "{\"visits\": 0", "the output is not JSON"),
    ("a-word", "{\"visits\": \"none\"}", "the fact \"visits\""),
    ("a-fraction", "{\"visits\": 0.0}", "the fact \"visits\""),
    ("too-many", "{\"visits\": 9223372036854775808}", "the fact \"visits\""),
    (
        "undeclared",
        "{\"visits\": 0, \"visitors\": 0}",
        "the program printed the fact \"visitors\", which `fact-types` does not declare",
    ),
    ("twice", "{\"visits\": 3, \"visits\": 0}", "twice"),
];

#[test]
fn policies_rest_on_what_a_program_finds_and_on_nothing_else() {
    let crm = world();
    for (id, printed, _) in PRINTED {
        crm.0.write(&format!("found-{id}"), printed);
    }
    let host = crm.0.serve();
    let runs = PRINTED.map(|(id, ..)| host.start("third-party", &format!("delete {id} moved away")));
    for ((id, _, becomes), run) in PRINTED.iter().zip(&runs) {
        match *becomes {
            "cleared" => assert_eq!(result(&host, run), json!({ "ok": "deleted" }), "{id}"),
            "held" => drop(host.held(run)),
            "there is no such contact" => {
                assert_eq!(
                    result(&host, run),
                    json!({ "err": format!("invalid: the facts program `{}` says: \"there is no such contact\"", crm.0.path().join("tools/facts").display()) }),
                    "{id}"
                );
            }
            why => {
                let row = until(id, || Some(host.show_run(run)).filter(|row| row["state"] == "delayed"));
                assert!(row["reason"].as_str().unwrap().contains(why), "{id}: {row}");
                assert_eq!(crm.ran("act", run), 0, "{id}");
            }
        }
    }
    evidence::figure("T17", "outputs of a program that finds facts", PRINTED.len() as u64);

    // The facts are shown, and the program's output is an exhibit.
    let approval = host.held(&runs[4]);
    assert_eq!(approval["proposal"]["facts"], json!({ "visits": "3", "standing": "customer" }));
    let (title, text) = exhibit(&host, &approval);
    assert_eq!(title, format!("the facts from `{}`", crm.0.path().join("tools/facts").display()));
    assert_eq!(text, approval["proposal"]["facts"]);
}

#[test]
fn a_material_fact_is_found_again_before_the_effect() {
    let crm = world();
    crm.0.write("found-7", "{\"visits\": 3}");
    let host = crm.0.serve();
    let (run, approval) = delete(&host, "7");
    crm.0.write("found-7", "{\"visits\": 4}");
    host.approve(&approval);
    let again = until("held again", || {
        Some(host.held(&run)).filter(|held| held["proposal"]["facts"] == json!({ "visits": "4" }))
    });
    assert!(again.to_string().contains("`visits` was \\\"3\\\" and is now \\\"4\\\""), "{again}");
    assert_eq!(crm.ran("act", &run), 0);
    host.approve(&again);
    assert_eq!((result(&host, &run), crm.ran("act", &run)), (json!({ "ok": "deleted" }), 1));
}

#[test]
fn policies_are_checked_against_the_declared_types() {
    let crm = world();
    let schema = crm.0.run(&["policy", "schema"]);
    let schema = String::from_utf8(schema.stdout).unwrap();
    for line in ["\"visits\": Long", "\"score\": decimal", "\"known\": Bool"] {
        assert!(schema.contains(line), "{line}: {schema}");
    }
    for (condition, said) in [
        ("resource.facts.visit == 0", "did you mean `visits`?"),
        ("resource.facts.visits == \"0\"", "Long"),
        ("resource.facts.tags.contains(\"a\")", "items"),
    ] {
        crm.0.write("calls.cedar", &POLICIES.replace("resource.facts.visits == 0", condition));
        let output = crm.0.run(&["policy", "check"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(said), "{condition}: {text}");
    }
    crm.0.write("calls.cedar", POLICIES);
    let case = |facts: &str, expect: &str| {
        format!(
            "[[case]]\nname = \"{expect}\"\ncall = \"acme::crm::contacts::DeleteContact\"\narguments = {{ id = \"7\", reason = \"\" }}\n{facts}expect = \"{expect}\"\n"
        )
    };
    let cases = case("facts = { visits = 0 }\n", "clear") + &case("", "hold");
    crm.0.write("cases.toml", &cases);
    let output = crm.0.run(&["policy", "test", "cases.toml"]);
    assert!(output.status.success(), "{output:?}");
}
