//! What the host measures of models, and what policies make of it: uncertainty and cost.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, tool, tool_with};
use crate::support::evidence::figure;
use crate::support::{Folder, Host, top};
use crate::{EMAIL, result};

const MAIL: &str = "[email]\nfrom = \"agent@example.com\"\n";
const DECIDE: &str = "permit (principal, action == Action::\"decide\", resource);\n";
const ADA: &str = r#"{"to":"ada@customer.example","body":"hello"}"#;

/// An email that the model asks for, whose tokens have these probabilities.
fn email(probabilities: [f64; 3]) -> crate::endpoint::Says {
    let parts = ["I write. ", &ADA[..20], &ADA[20..]];
    let token = |(text, probability): (&str, f64)| json!({ "token": text, "logprob": probability.ln(), "bytes": null });
    let tokens: Vec<Value> = parts.into_iter().zip(probabilities).map(token).collect();
    tool_with("send_email", ADA, json!({ "content": tokens }))
}

/// A folder with a model, and with policies.
fn folder(endpoint: &Endpoint, model: &str, more: &str, policies: &str) -> Folder {
    let section = endpoint.section("m", "openai", model);
    let folder = Folder::new(&["think"], &format!("{section}{MAIL}[policy]\nfiles = [\"p.cedar\"]\n{more}"));
    folder.write("p.cedar", &format!("{policies}{DECIDE}"));
    folder
}

/// The facts and the shown evidence of an approval, the evidence by title.
fn shown(host: &Host, approval: &Value) -> String {
    let id = approval["id"].as_str().unwrap();
    let mut text = String::new();
    for exhibit in approval["proposal"]["exhibits"].as_array().unwrap() {
        let content = host.get(&format!("/v1/approvals/{id}/exhibits/{}", exhibit["digest"].as_str().unwrap()));
        text += &format!("{}\n{}\n", exhibit["title"].as_str().unwrap(), content.as_str().unwrap_or_default());
    }
    text
}

/// Both calls claim a confidence of 0.9. The shipped policy clears one of them.
#[test]
fn of_two_calls_that_claim_the_same_the_one_of_an_unsure_model_is_held() {
    let endpoint = Endpoint::start([email([0.3, 0.99, 0.95]), email([0.99, 0.99, 0.41])]);
    let policies = std::fs::read_to_string(top().join("host/policies/unsure-model.cedar")).unwrap();
    let host = folder(&endpoint, "uncertainty = \"logprobs\"\n", "", &policies).into_served();
    let host = &host.1;
    let task = format!("{EMAIL}\nsystem Be brief.\nuser Greet Ada.\nask");
    let sure = result(host, &host.start("think", &task));
    assert!(
        sure.contains(" uncertainty 0.05: \nsend_email ") && sure.contains("sent to ada@customer.example"),
        "{sure}"
    );
    assert_eq!(endpoint.got()[0].body["logprobs"], true);

    let run = host.start("think", &task);
    let approval = host.held(&run);
    let proposal = &approval["proposal"];
    assert_eq!(proposal["action"]["arguments"]["rationale"]["confidence"], 0.9);
    assert_eq!(proposal["facts"]["model-uncertainty"], 0.59);
    assert!(approval.to_string().contains("the host measured that the model was not sure"), "{approval}");
    // A reviewer sees what the agent told the model, and what the model said.
    let shown = shown(host, &approval);
    for part in [
        "the last words of the model \"scripted-1\" before this call\n",
        "The host measured how unsure the model was, from 0 to 1: 0.59.\n",
        "  rules:\n    \"Be brief.\"\n",
        "  text:\n    \"Greet Ada.\"\n",
        "  It asks for the tool \"send_email\" with:\n",
        r#""{\"to\":\"ada@customer.example\",\"body\":\"hello\"}""#,
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    host.approve(&approval);
    assert!(result(host, &run).contains("sent to ada@customer.example"));

    // Without a question to a model there is no figure, and the call is held.
    let approval = host.held(&host.start("think", "send ada@customer.example hello"));
    assert_eq!(approval["proposal"]["facts"].get("model-uncertainty"), None);
    figure("T45", "calls with one claimed confidence, of which policy cleared the measured one", 2);
}

#[test]
fn a_later_easy_answer_does_not_hide_an_unsure_one() {
    let easy = crate::endpoint::text("yes");
    let endpoint = Endpoint::start([email([1.0, 0.5, 1.0]), easy]);
    let (_folder, host) = folder(&endpoint, "uncertainty = \"logprobs\"\n", "", "").into_served();
    // The email of the second run follows an answer that has no probabilities: nothing is known.
    let run = host.start("think", &format!("{EMAIL}\nuser x\nask\nask\nsend ada@example.com y"));
    let first = host.held(&run);
    assert_eq!(first["proposal"]["facts"]["model-uncertainty"], 0.5);
    host.approve(&first);
    let second = host.held(&run);
    assert_eq!(second["proposal"]["facts"].get("model-uncertainty"), None);
    assert!(shown(&host, &second).contains("How unsure the model was is not known.\n"));
}

#[test]
fn answers_that_differ_are_uncertain() {
    let bob = || tool("send_email", r#"{"to":"bob@example.com","body":"hello"}"#);
    let eve = || tool("send_email", r#"{"to":"eve@example.com","body":"hello"}"#);
    let ada = || tool("send_email", ADA);
    let endpoint = Endpoint::start([ada(), ada(), ada(), ada(), bob(), eve()]);
    let model = "uncertainty = \"sample\"\nsamples = 3\nprice = { input = \"1.00 USD\", output = \"10 USD\" }\n";
    let (_folder, host) = folder(&endpoint, model, "", "").into_served();
    for expected in [0.0, 1.0] {
        let approval = host.held(&host.start("think", &format!("{EMAIL}\nuser x\nask")));
        assert_eq!(approval["proposal"]["facts"]["model-uncertainty"], expected);
        // All three answers are paid for.
        let events = host.events(approval["run"].as_str().unwrap());
        let answer = &events.iter().find(|event| event["type"] == "routine-returned").unwrap()["data"]["result"]["ok"];
        assert_eq!(answer["usage"], json!({ "input-tokens": "3000", "output-tokens": "600", "cost": "9000" }));
    }
    assert_eq!(endpoint.got().len(), 6);
}

/// A question costs 3,000 millionths of a dollar. The totals are in the journal: neither `kill -9` nor a new projection of
/// the events changes them.
#[test]
fn a_budget_ends_the_questions_of_a_run_and_of_an_agents_day() {
    let endpoint = Endpoint::start([crate::endpoint::text("yes")]);
    let price = "price = { input = \"1.00 USD\", output = \"10.00 USD\" }\n";
    let budget = "[model-budget]\nrun = \"0.005 USD\"\nagent-day = \"0.009 USD\"\n";
    let folder = folder(&endpoint, price, budget, "");
    let host = folder.serve();
    let said = result(&host, &host.start("think", "user x\nask\nask\nask"));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["stop 1000+200=3000 by scripted-1: yes"; 2]);
    assert_eq!(lines[2], "over budget: models have cost 0.006000 USD for this run, and the limit is 0.005000 USD");
    let day = "over budget: models have cost 0.009000 USD for this agent today, and the limit is 0.009000 USD";
    let said = result(&host, &host.start("think", "user x\nask\nask"));
    assert_eq!(said, format!("stop 1000+200=3000 by scripted-1: yes\n{day}"));
    host.kill();
    let host = folder.serve();
    assert_eq!(result(&host, &host.start("think", "user x\nask")), day);
    assert!(host.stop().success());
    let journal = Connection::open(folder.journal()).unwrap();
    journal.execute_batch("DELETE FROM totals; UPDATE meta SET value = x'00' WHERE key = 'projection'").unwrap();
    drop(journal);
    let host = folder.serve();
    assert_eq!(result(&host, &host.start("think", "user x\nask")), day);
    assert_eq!(endpoint.got().len(), 3);
}

#[test]
fn a_policy_reads_what_models_have_cost() {
    let endpoint = Endpoint::start([tool("send_email", ADA)]);
    let price = "price = { input = \"1.00 USD\", output = \"10.00 USD\" }\n";
    let cheap = "@id(\"cheap\")\npermit (principal, action == Action::\"call\", resource) when \
                 { context.totals.model_cost.run <= 3000 && context.totals.model_tokens.agent_today <= 1200 };\n";
    let (_folder, host) = folder(&endpoint, price, "", cheap).into_served();
    // The first email is cleared; before the second, the run has asked twice.
    let approval = host.held(&host.start("think", &format!("{EMAIL}\nuser x\nask\nask")));
    assert_eq!(approval["call"], 4, "{approval}");
}
