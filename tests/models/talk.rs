//! A conversation with a server that nobody here wrote, in both of its forms, over `kill -9`.

use serde_json::json;

use crate::endpoint::{Endpoint, FakeLlm, Says, section, text, tool};
use crate::support::evidence::figure;
use crate::support::{Folder, until};
use crate::{EMAIL, result};

/// The model asks for an email, and says that it is done when it has the result.
const RULES: &str = "version: 1
rules:
  - name: after the tool
    when: { previous_message_role: assistant }
    respond: { content: It is sent. }
  - name: the tool
    when: { tools_include: send_email }
    respond: { tool_calls: [{ name: send_email, arguments: { to: ada@example.com, body: hello } }] }
";

#[test]
fn a_model_proposes_a_person_approves_and_the_model_goes_on() {
    let mut talked = 0;
    for api in ["openai", "anthropic"] {
        let folder = Folder::new(&["think"], "");
        let Some(model) = FakeLlm::start(&folder, RULES) else { return };
        let config = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
        let section = section("default", api, model.port, "");
        folder.configure(&format!("{config}{section}[limits]\nlinger-ms = 0\n"));
        let host = folder.serve();
        let run = host.start("think", &format!("{EMAIL}\nsystem Be brief.\nuser Greet Ada.\nask\nask"));
        let approval = host.held(&run);
        assert_eq!(approval["proposal"]["action"]["arguments"]["message"]["to"], json!(["ada@example.com"]));
        assert_eq!(model.requests(), 1, "{api}");
        // The agent is replayed twice: it was parked, and then the host is killed. No model is asked for that.
        host.all_parked();
        host.kill();
        let host = folder.serve();
        host.approve(&approval);
        let said = result(&host, &run);
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("calls ") && lines[0].contains(" by mock-1: "), "{api}: {said}");
        assert!(lines[1].starts_with("send_email {") && lines[1].ends_with(": sent to ada@example.com"), "{said}");
        assert!(lines[2].starts_with("stop ") && lines[2].ends_with("It is sent."), "{api}: {said}");
        assert_eq!(model.requests(), 2, "{api}");
        talked += 1;
    }
    figure("T45", "forms of a model's server, with a conversation over `kill -9`", talked);
}

/// A question that was under way when the host died has no answer in the journal, so it is asked again: the one case in
/// which a model is asked twice.
#[test]
fn a_question_without_an_answer_is_asked_again_and_one_with_an_answer_is_not() {
    let slow = Says { after: std::time::Duration::from_secs(20), ..text("too late") };
    let endpoint = Endpoint::start([slow, tool("send_email", r#"{"to":"ada@example.com","body":"x"}"#)]);
    let folder = Folder::new(&["think"], &endpoint.section("m", "openai", ""));
    let host = folder.serve();
    let run = host.start("think", &format!("{EMAIL}\nuser hello\nask"));
    until("first request", || (endpoint.got().len() == 1).then_some(()));
    host.kill();
    let host = folder.serve();
    let approval = host.held(&run);
    assert_eq!(endpoint.got().len(), 2);
    host.kill();
    let host = folder.serve();
    host.approve(&approval);
    assert!(result(&host, &run).contains("sent to ada@example.com"));
    assert_eq!(endpoint.got().len(), 2);
}
