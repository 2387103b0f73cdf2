//! What a model's server is sent, and what an agent makes of all that a server can say.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::endpoint::{Endpoint, Says, text, tool};
use crate::support::evidence::figure;
use crate::support::{Folder, component};
use crate::{EMAIL, result};

const KEY: &str = "marked-key-of-a-model-Rb6";

/// A folder with this model and its secret.
fn folder(endpoint: &Endpoint, api: &str, more: &str) -> Folder {
    let section = endpoint.section("m", api, &format!("credential = \"key\"\n{more}"));
    let folder = Folder::new(&[], "");
    folder.write("key", &format!("{KEY}\n"));
    std::fs::create_dir(folder.path().join("files")).unwrap();
    let agent = format!("[agents.think]\ncomponent = \"{}\"\nworkspace = \"files\"\n", component("think").display());
    folder.configure(&format!("{agent}{section}[credentials.key]\nfile = \"key\"\n"));
    folder
}

#[test]
fn every_part_of_a_question_is_sent_in_the_form_of_its_server() {
    let picture = b"\x89PNG\r\n\x1a\n";
    let sha256: String = Sha256::digest(picture).iter().map(|byte| format!("{byte:02x}")).collect();
    let task = format!(
        "{EMAIL}\nsystem Be brief.\nuser Look.\nimage image/png AAAA\nfile image/png a.png {sha256}\n\
         schema {{\"type\":\"object\"}}\ntokens 77\nask"
    );
    let endpoint = Endpoint::start([text("seen")]);
    let folder = folder(&endpoint, "openai", "");
    std::fs::write(folder.path().join("files/a.png"), picture).unwrap();
    let host = folder.serve();
    assert_eq!(result(&host, &host.start("think", &task)), "stop 1000+200 by scripted-1: seen");
    let got = &endpoint.got()[0];
    assert_eq!(got.path, "/v1/chat/completions");
    assert!(got.headers.contains(&format!("authorization: Bearer {KEY}\n")), "{}", got.headers);
    let schema =
        json!({ "type": "object", "properties": { "to": { "type": "string" }, "body": { "type": "string" } } });
    let image =
        |data: &str| json!({ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": data } }] });
    assert_eq!(
        got.body,
        json!({
            "model": "mock-1",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "Look." },
                image("data:image/png;base64,AAAA"),
                image("data:image/png;base64,iVBORw0KGgo="),
            ],
            "tools": [{ "type": "function", "function": {
                "name": "send_email", "description": "Does what its name says.", "parameters": schema,
            } }],
            "response_format": { "type": "json_schema", "json_schema": { "name": "answer", "schema": { "type": "object" } } },
            "max_tokens": 77,
        })
    );

    let block = json!({ "type": "text", "text": "seen" });
    let usage = json!({ "input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5 });
    let said = json!({ "model": "claude", "content": [block], "stop_reason": "end_turn", "usage": usage });
    let endpoint = Endpoint::start([Says::new(200, said.to_string())]);
    let folder = self::folder(&endpoint, "anthropic", "");
    std::fs::write(folder.path().join("files/a.png"), picture).unwrap();
    let host = folder.serve();
    assert_eq!(result(&host, &host.start("think", &task)), "stop 7+5 by claude: seen");
    let got = &endpoint.got()[0];
    assert_eq!(got.path, "/v1/messages");
    for header in [format!("x-api-key: {KEY}\n"), "anthropic-version: 2023-06-01\n".into()] {
        assert!(got.headers.contains(&header), "{}", got.headers);
    }
    let image = |data: &str| json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": data } });
    assert_eq!(
        got.body,
        json!({
            "model": "mock-1",
            "system": "Be brief.",
            "messages": [{ "role": "user", "content": [
                { "type": "text", "text": "Look." }, image("AAAA"), image("iVBORw0KGgo="),
            ] }],
            "tools": [{
                "name": "send_email", "description": "Does what its name says.", "input_schema": schema,
            }],
            "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } },
            "max_tokens": 77,
        })
    );
}

/// Each pair is what a server says, one after the other, and how the agent's line begins.
#[test]
fn whatever_a_server_says_is_an_answer_that_the_agent_can_read() {
    let busy = |status: u16| Says { headers: "retry-after: 1\r\n".into(), ..Says::new(status, "{}") };
    let html = |status: u16| Says {
        headers: "content-type: text/html\r\n".into(),
        ..Says::new(status, "<html>Sign in to the proxy</html>")
    };
    let refused =
        |status: u16, what: &str| format!("refused: the model's server answered with status {status}: {what}");
    let key = json!({ "error": { "message": format!("Incorrect API key provided: {KEY}") } }).to_string();
    let million = "y".repeat(1 << 20);
    let cases: Vec<(Vec<Says>, String)> = vec![
        (vec![busy(429), text("at last")], "stop 1000+200 by scripted-1: at last".into()),
        (vec![busy(503), busy(529), text("at last")], "stop 1000+200 by scripted-1: at last".into()),
        (
            vec![Says { headers: "retry-after: 3600\r\n".into(), ..Says::new(429, "slow down") }],
            "unavailable: the model's server answered with status 429: slow down; it may be asked again in 3600 s"
                .into(),
        ),
        (vec![html(200)], "malformed 0+0: the answer of the model's server, `text/html`, is not as expected".into()),
        (vec![html(403)], refused(403, "<html>Sign in")),
        (
            vec![Says::new(401, key)],
            refused(401, r#"{"error":{"message":"Incorrect API key provided: [credential key]"}}"#),
        ),
        (vec![Says { headers: "location: /x\r\n".into(), ..Says::new(302, "") }], refused(302, "")),
        (vec![Says::new(400, "no such model")], refused(400, "no such model")),
        (
            vec![tool("send_email", r#"{"to": "ada"#)],
            "malformed 1000+200: the model asks for the tool `send_email` with arguments that are no JSON object"
                .into(),
        ),
        (vec![tool("send_email", "[1]")], "malformed 1000+200: ".into()),
        (vec![Says::new(200, r#"{"choices": []}"#)], "malformed 0+0: the answer has no choice".into()),
        (vec![text(&million)], "stop 1000+200 by scripted-1: 1048576 bytes".into()),
        (vec![text(&(million.clone() + "z"))], "malformed 1000+200: the answer has more than 1048576 bytes".into()),
        (vec![text(&million.repeat(7))], "too long: the answer has more than 1048576 bytes".into()),
        (
            vec![Says { after: Duration::from_secs(20), ..text("late") }],
            "unavailable: the model's server gave no whole answer within 3s".into(),
        ),
    ];
    let endpoint = Endpoint::start([]);
    let folder = folder(&endpoint, "openai", "timeout = \"3s\"\n");
    let host = folder.serve();
    let mut seen = String::new();
    for (says, expected) in &cases {
        endpoint.says(says.clone());
        let before = endpoint.got().len();
        let run = host.start("think", &format!("{EMAIL}\nuser hello\nask"));
        let said = result(&host, &run);
        assert!(said.starts_with(expected.as_str()), "{}, not {expected}", &said[..said.len().min(400)]);
        assert_eq!(endpoint.got().len() - before, says.len(), "{expected}");
        seen += &Value::from(host.events(&run)).to_string();
    }
    figure("T45", "answers of a model's server that an agent can read", cases.len() as u64);

    // The secret is in the requests and nowhere else.
    assert!(endpoint.got().iter().all(|got| got.headers.contains(KEY)));
    let config = folder.run(&["config"]);
    seen += &String::from_utf8_lossy(&[config.stdout, config.stderr].concat());
    seen += &host.said();
    for entry in std::fs::read_dir(folder.path().join(".holdshort")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            seen += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
        }
    }
    assert!(seen.contains("[credential key]") && !seen.contains(KEY));
}

#[test]
fn a_question_that_makes_no_sense_is_not_sent() {
    let endpoint = Endpoint::start([text("x")]);
    let folder = folder(&endpoint, "openai", "");
    std::fs::write(folder.path().join("files/a.png"), "x").unwrap();
    let host = folder.serve();
    for (task, expected) in [
        ("model other\nuser x\nask", "invalid: no model `other`; this host has `m`"),
        ("ask", "invalid: the request has no message for the model"),
        ("system x\nask", "invalid: the request has no message for the model"),
        ("tool t {\nuser x\nask", "invalid: `{` is no JSON object: "),
        ("schema [1]\nuser x\nask", "invalid: `[1]` is no JSON object: "),
        ("image text/html AAAA\nask", "invalid: `text/html` is no media type of an image"),
        ("file image/png ../key 00\nask", "invalid: the image `../key`: "),
        ("file image/png b.png 00\nask", "invalid: the image `b.png`: "),
        ("file image/png a.png 00\nask", "invalid: the image `a.png`: its digest is sha256:"),
    ] {
        let said = result(&host, &host.start("think", task));
        assert!(said.starts_with(expected), "{task}: {said}");
    }
    assert_eq!(endpoint.got().len(), 0);
    // A long conversation is one call, although no other call may be so long.
    assert!(result(&host, &host.start("think", "user @1000000\nask")).starts_with("stop "));
    let over = host.over(&host.start("think", "user @3000000\nask"));
    assert!(over.to_string().contains("one call passes more than 2097152 bytes"), "{over}");
    let over = host.over(&host.start("think", "send ada@example.com @1100000"));
    assert!(over.to_string().contains("one call passes more than 1048576 bytes"), "{over}");
}

#[test]
fn without_a_model_the_agent_is_refused_at_load_with_what_to_do() {
    let folder = Folder::new(&["think"], "");
    let check = folder.run(&["check", component("think").to_str().unwrap()]);
    let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no model is named that agents may ask: name one with a section such as `[models.default]`"),
        "{said}"
    );
}
