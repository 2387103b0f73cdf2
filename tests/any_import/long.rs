//! Requests that are too long for a reviewer: policy clears them or they are refused, and nobody is asked.

use serde_json::json;

use crate::requests::lines;
use crate::server::Server;
use crate::support::{Folder, until};

const POLICIES: &str = r#"
permit (principal, action == Action::"decide", resource);
@id("chat") permit (principal, action == Action::"call", resource)
when { resource.facts has path && resource.facts.path == "/chat" };
"#;

fn folder(server: &Server) -> Folder {
    let host = server.host();
    let rules = format!(
        "[http.\"{host}\"]\nconsequential = [\"POST\"]\nallow-http = true\nallow-private = true\n\
         [policy]\nfiles = [\"calls.cedar\"]\n[credentials.shop]\nenvironment = \"KEY\"\nhosts = [\"{host}\"]\n"
    );
    let folder = Folder::new(&["fetch"], &rules);
    folder.write("calls.cedar", POLICIES);
    folder
}

const KEY: [(&str, &str); 1] = [("KEY", "a-secret-of-the-shop")];

/// A conversation with a model grows beyond what a person reads. A policy that clears it needs no person.
#[test]
fn a_long_request_is_cleared_by_policy_or_refused() {
    let server = Server::start();
    let folder = folder(&server);
    let host = folder.serve_with(&KEY);
    let run = host.start("fetch", &format!("POST {} @1000000", server.url("/chat")));
    assert!(lines(&host, &run)[0].starts_with("200 got "));
    assert_eq!(server.got()[0].body.len(), 1_000_000);
    let run = host.start("fetch", &format!("POST {} @70000", server.url("/order")));
    let found = lines(&host, &run);
    assert!(found[0].contains("a reviewer is shown at most 65536 bytes"), "{found:?}");
    assert!(found[0].contains("a policy that clears the call"), "{found:?}");
    assert_eq!(server.got().len(), 1);
}

/// A long request that was cleared would be held again if its facts change. Nobody could read it, so it is not sent.
#[test]
fn a_long_request_is_not_held_again() {
    let server = Server::start();
    let folder = folder(&server);
    let host = folder.serve_with(&[KEY[0], ("HOLDSHORT_KILL_AT", "after-call-cleared")]);
    let task = json!({ "agent": "fetch", "task": format!("POST {} @70000", server.url("/chat")) });
    let run = host.start("fetch", task["task"].as_str().unwrap());
    host.ended();
    let text = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    folder.configure(&text.replace("[credentials.shop]", "[credentials.other]"));
    let host = folder.serve_with(&KEY);
    let row = until("the end", || Some(host.show_run(&run)).filter(|row| row["state"] == "finished"));
    let said = row["result"]["ok"].as_str().unwrap();
    assert!(said.contains("the credentials of the request were"), "{row}");
    assert!(said.contains("cannot be held again"), "{row}");
    assert_eq!(server.got().len(), 0);
}
