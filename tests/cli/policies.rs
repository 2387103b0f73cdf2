//! Policies and recorded calls: backtests of other policies, and explanations why a call was held.

use serde_json::Value;

use crate::said::holdshort;
use crate::scene::post_office;

const POLICY: &str = "[policy]\nfiles = [\"ours.cedar\"]\n";
const OURS: &str = "// What is ours.
@id(\"within\")
permit (principal, action == Action::\"call\", resource is email::SendEmail) when { resource.facts.outside_recipients == 0 };
@id(\"look\") @why(\"letters are read first\")
permit (principal, action == Action::\"review\", resource is email::SendEmail);
permit (principal, action == Action::\"decide\", resource);
";
const CLEAR: &str = "@id(\"mine\")\npermit (principal, action == Action::\"call\", resource is email::SendEmail);\n";

#[test]
fn other_policies_are_tried_and_a_verdict_is_explained() {
    let folder = post_office(POLICY);
    folder.write("ours.cedar", OURS);
    let host = folder.serve();
    let run = host.start("scripted", "email bob@elsewhere.example Hello");
    let id = host.held(&run)["id"].as_str().unwrap().to_owned();

    let said = holdshort(&folder, &["policy", "explain", &id]).exits(0).out;
    for expected in [
        "recorded: held",
        "why: letters are read first",
        "by look (ours.cedar:4)",
        "permit (principal, action == Action::\"review\", resource is email::SendEmail);",
        "would be cleared if resource.facts.outside_recipients were 0 instead of 1",
        "note: the facts stay as recorded",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let told: Value =
        serde_json::from_str(&holdshort(&folder, &["policy", "explain", &id, "--json"]).exits(0).out).unwrap();
    assert_eq!(
        (&told["recorded"]["verdict"], &told["present"]["same_policies"]),
        (&"hold".into(), &true.into()),
        "{told}"
    );
    let none = holdshort(&folder, &["policy", "explain", "none.1"]).exits(4);
    assert!(none.err.contains("there is no"), "{none:?}");

    host.decide(&host.approval(&id), "reject", &serde_json::json!({"message": "not to them"}));
    folder.write("mine.cedar", CLEAR);
    let said = holdshort(&folder, &["policy", "backtest", "mine.cedar", "--add"]).exits(0).out;
    for expected in [
        "1 call that a reviewer rejected would have been cleared",
        &id,
        "not to them",
        "by mine",
        "rejected",
        "asked 1 → 0 times (-1)",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(
        said.find("a reviewer rejected").unwrap() < said.find("recorded").unwrap(),
        "the worst comes first: {said}"
    );
    let json = holdshort(&folder, &["policy", "backtest", "mine.cedar", "--json"]).exits(0).out;
    let told: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told["rejected_but_cleared"]["first"][0]["id"], Value::from(id.as_str()));
    holdshort(&folder, &["policy", "backtest", "mine.cedar", "--fail-on-rejected"]).exits(1);
    holdshort(&folder, &["policy", "backtest", "ours.cedar", "--fail-on-rejected", "--since", "1h"]).exits(0);

    folder.write("bad.cedar", "permit (principal, action == Action::\"call\", resource is email::SendMail);\n");
    let said = holdshort(&folder, &["policy", "backtest", "bad.cedar"]).exits(4);
    assert!(said.err.contains("bad.cedar:1: "), "{said:?}");
    let said = holdshort(&folder, &["policy", "backtest", "mine.cedar", "--since", "soon"]).exits(2);
    assert!(said.err.contains("soon"), "{said:?}");
    assert!(holdshort(&folder, &["policy", "backtest", "nowhere.cedar"]).exits(2).err.contains("nowhere.cedar"));
    holdshort(&folder, &["policy", "backtest"]).exits(2);
}

#[test]
fn where_no_policies_are_everybody_may_still_decide() {
    let folder = post_office("");
    let host = folder.serve();
    let run = host.start("scripted", "email bob@elsewhere.example Hello");
    host.held(&run);
    let none = "permit (principal, action == Action::\"call\", resource is email::SendEmail) when { resource.facts.outside_recipients > 99 };\n";
    folder.write("none.cedar", none);
    let told = |args: &[&str]| -> (String, Value) {
        let said = holdshort(&folder, &[&["policy", "backtest", "none.cedar"], args].concat()).exits(0).out;
        let json = holdshort(&folder, &[&["policy", "backtest", "none.cedar", "--json"], args].concat()).exits(0).out;
        (said, serde_json::from_str(&json).unwrap())
    };
    let waiting = |told: &Value| {
        let rows = told["calls"].as_array().unwrap();
        rows.iter().find(|row| row["recorded"] == "waiting").unwrap().clone()
    };
    let (said, added) = told(&["--add"]);
    assert_eq!((&waiting(&added)["hold"], &waiting(&added)["refuse"]), (&1.into(), &0.into()), "{added}");
    assert!(!said.contains("no policy permits"), "{said}");
    let (said, alone) = told(&[]);
    assert_eq!(waiting(&alone)["refuse"], 1, "{alone}");
    assert!(said.contains("no policy permits `decide`"), "{said}");
}
