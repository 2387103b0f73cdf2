//! A reviewer of a request sees what differs from the last such request that was performed.

use serde_json::{Value, json};

use crate::requests::folder;
use crate::server::Server;
use crate::support::Host;

/// What a reviewer is shown of a request's evidence with this title, if there is such evidence.
fn evidence(host: &Host, approval: &Value, title: &str) -> Option<String> {
    let exhibits = approval["proposal"]["exhibits"].as_array().unwrap();
    let exhibit = exhibits.iter().find(|exhibit| exhibit["title"] == title)?;
    let (id, digest) = (approval["id"].as_str().unwrap(), exhibit["digest"].as_str().unwrap());
    Some(host.get(&format!("/v1/approvals/{id}/exhibits/{digest}")).as_str().unwrap().to_owned())
}

#[test]
fn a_reviewer_is_shown_what_differs_from_the_last_such_request() {
    let server = Server::start();
    let folder = folder(&server.host(), "");
    let host = folder.serve();
    let order = |host: &Host, query: &str, body: &str| {
        let task =
            format!("header content-type application/json\nPOST {} {body}", server.url(&format!("/orders{query}")));
        let run = host.start("fetch", &task);
        (run.clone(), host.held(&run))
    };
    let what = |id: &str| format!("what differs from the last such request, call {id}, answered with status 200");
    let id = |approval: &Value| approval["id"].as_str().unwrap().to_owned();
    let (run, first) = order(&host, "?dry=yes", r#"{"to":"Ada","amount":12}"#);
    host.approve(&first);
    host.over(&run);
    // One that was rejected, and one to another place, were not performed there.
    let (_, rejected) = order(&host, "", "{}");
    assert!(evidence(&host, &rejected, &what(&id(&first))).is_some());
    assert_eq!(host.decide(&rejected, "reject", &json!({ "message": "no" })).0, 200);
    let (run, other) = order(&host, "/7", r#"{"to":"Bob"}"#);
    assert!(!other.to_string().contains("what differs"), "{other}");
    host.approve(&other);
    host.over(&run);
    host.kill();
    let host = folder.serve();
    let (run, second) = order(&host, "?dry=no", r#"{"amount":1200,"note":"\" before","to":"Ada"}"#);
    assert_eq!(
        evidence(&host, &second, &what(&id(&first))).unwrap(),
        "query parameter \"dry\": \"yes\" before, \"no\" now\nJSON member \"/amount\": 12 before, 1200 now\n\
         JSON member \"/note\" is new: \"\\\" before\"\n"
    );
    // An edit is compared too.
    let mut arguments = second["proposal"]["action"]["arguments"].clone();
    arguments["body"] = json!({ "text": r#"{"amount":12,"to":"Ada"}"# });
    assert_eq!(host.decide(&second, "edit", &json!({ "arguments": arguments })).0, 202);
    let edited = host.held(&run);
    let differs = evidence(&host, &edited, &what(&id(&first))).unwrap();
    assert_eq!(
        differs,
        "query parameter \"dry\": \"yes\" before, \"no\" now\nbody: each JSON member is the same, in another layout\n"
    );
    host.approve(&edited);
    host.over(&run);
    // What is compared with is what was performed.
    let (_, third) = order(&host, "?dry=no", r#"{"amount":12,"to":"Ada"}"#);
    assert_eq!(evidence(&host, &third, &what(&id(&second))).unwrap(), "nothing\n");
}
