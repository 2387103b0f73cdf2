//! What the host measures of models, and what policies make of it: uncertainty and cost.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, Says, says, text, text_with, tool, tool_with};
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
    let price = "price = { input = \"1.00 USD\", output = \"10.00 USD\" }\n";
    let host = folder(&endpoint, &format!("uncertainty = \"logprobs\"\n{price}"), "", &policies).into_served();
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
        "How unsure the model was with the questions that the agent asked, from 0 to 1, as the host measured it: 0.59.\n",
        "  a tool that the model may ask for, \"send_email\":\n",
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

/// Neither an easy question nor a call about which nobody decides hides that the model was unsure before.
#[test]
fn a_later_easy_answer_does_not_hide_an_unsure_one() {
    let plain = |probability: f64| {
        let tokens = json!({ "content": [{ "token": "yes", "logprob": probability.ln(), "bytes": null }] });
        text_with("yes", tokens)
    };
    let endpoint = Endpoint::start([plain(0.25), plain(0.999)]);
    let (_folder, host) = folder(&endpoint, "uncertainty = \"logprobs\"\n", "", "").into_served();
    let task = "user x\nask\nask\nsend nowhere y\nask\nsend ada@example.com y\nask\nsend bob@example.com y";
    let run = host.start("think", task);
    let first = host.held(&run);
    assert_eq!(first["proposal"]["facts"]["model-uncertainty"], 0.75);
    assert_eq!(host.show_run(&run)["calls"], 5, "the email to nowhere was refused");
    // A person saw the figure, and approved. What follows is measured anew.
    host.approve(&first);
    let second = host.held(&run);
    assert_eq!(second["proposal"]["facts"]["model-uncertainty"], 0.001);
    assert_eq!(host.decide(&second, "reject", &json!({ "message": "no" })).0, 200);

    // An answer that was not measured, or that the host could not use.
    for unknown in [text("yes"), tool("send_email", "no JSON")] {
        endpoint.says([plain(0.999), unknown, plain(0.999)]);
        let run = host.start("think", "user x\nask\nask\nask\nsend ada@example.com y");
        let held = host.held(&run);
        assert_eq!(held["proposal"]["facts"].get("model-uncertainty"), None);
        assert!(shown(&host, &held).contains("How unsure the model was is not known.\n"));
    }
}

/// An agent cannot hide what it told the model behind a turn that the model never said.
#[test]
fn a_reviewer_sees_the_question_from_the_last_turn_that_the_host_knows() {
    let endpoint = Endpoint::start([tool("send_email", ADA)]);
    let (_folder, host) = folder(&endpoint, "", "", "").into_served();
    // The agent of this test repeats the model's turn as it was.
    let task = format!("{EMAIL}\nsystem Be brief.\nuser Greet Ada.\nask\nuser Go on.\nask");
    let run = host.start("think", &task);
    host.approve(&host.held(&run));
    let text = shown(&host, &host.held(&run));
    assert!(text.contains("messages up to the model's turn before"), "{text}");
    assert!(text.contains("Go on.") && text.contains("Be brief.") && !text.contains("Greet Ada."), "{text}");
}

/// The model's key is removed from what the host itself decodes or puts together.
#[test]
fn a_key_in_an_answer_is_removed_however_it_is_written() {
    let key = "sk-abcdefgh12345";
    let parts = json!([{ "type": "text", "text": "sk-abcd" }, { "type": "text", "text": "efgh12345" }]);
    let endpoint = Endpoint::start([says(json!({ "role": "assistant", "content": parts }), "stop")]);
    let section = endpoint.section("m", "openai", "credential = \"key\"\n");
    let folder = Folder::new(&["think"], &format!("{section}{MAIL}[credentials.key]\nenvironment = \"KEY\"\n"));
    let host = folder.serve_with(&[("KEY", key)]);
    let said = result(&host, &host.start("think", "user x\nask"));
    assert!(said.contains("[credential key]") && !said.contains(key), "{said}");
    endpoint.says([tool("send_email", "{\"to\":\"nowhere\",\"body\":\"sk-\\u0061bcdefgh12345\"}")]);
    let run = host.start("think", "user x\nask");
    assert!(!result(&host, &run).contains(key));
    let events = Value::Array(host.events(&run)).to_string();
    assert!(events.contains("[credential key]") && !events.contains(key), "{events}");
}

/// What the server states is counted also if the answer cannot be used, and what it does not state is no free answer.
#[test]
fn every_answer_counts() {
    let endpoint = Endpoint::start([text(&"y".repeat(2000))]);
    let price = "price = { input = \"1.00 USD\", output = \"10.00 USD\" }\nanswer-kib = 1\n";
    let (_folder, host) = folder(&endpoint, price, "[model-budget]\nrun = \"0.005 USD\"\n", "").into_served();
    let said = result(&host, &host.start("think", "user x\nask\nask\nask"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("malformed 1000+200") && lines[1] == lines[0], "{said}");
    assert!(lines[2].starts_with("over budget: models have cost 0.006000 USD"), "{said}");
    let unstated = json!({ "choices": [{ "message": { "role": "assistant", "content": "free" } }] }).to_string();
    endpoint.says([Says::new(200, unstated)]);
    let said = result(&host, &host.start("think", "user x\nask"));
    assert!(said.contains("does not say how many tokens"), "{said}");

    // Of three answers the first is of no use; all are paid for.
    let endpoint = Endpoint::start([tool("send_email", "no JSON"), text("yes")]);
    let (_folder, host) = folder(&endpoint, "uncertainty = \"sample\"\nsamples = 3\n", "", "").into_served();
    let said = result(&host, &host.start("think", "user x\nask"));
    assert!(said.contains(" 3000+600"), "{said}");
}

/// Names without a limit would stand in titles and lists.
#[test]
fn a_long_name_in_an_answer_is_cut_or_refused() {
    let named = json!({
        "model": "m".repeat(100_000),
        "choices": [{ "message": { "role": "assistant", "content": "yes" } }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1 },
    });
    let endpoint = Endpoint::start([Says::new(200, named.to_string()), tool(&"t".repeat(100_000), "{}")]);
    let (_folder, host) = folder(&endpoint, "", "", "").into_served();
    let run = host.start("think", "user x\nask\nask\nsend ada@example.com y");
    let held = host.held(&run);
    assert!(held.to_string().len() < 20_000, "{}", held.to_string().len());
    let events = Value::Array(host.events(&run)).to_string();
    assert!(events.contains("a tool by a name or an id of 100000 bytes") && events.len() < 40_000, "{}", events.len());
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
