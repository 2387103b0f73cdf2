//! The text that is shown as the agent's rationale is always the agent's own, whoever edits the call and by whichever
//! interface.

use serde_json::{Value, json};

use crate::support::{Folder, Host, SignedIn, evidence};
use crate::world::{ALICE, World, decide, id};

/// JSON pointers to the texts that an editor may change.
const TEXTS: [&str; 3] = ["/message/body", "/release/notes", "/transfer/reference"];

/// Rationales that differ from the agent's, made from the agent's rationale.
fn others(said: &Value) -> Vec<Value> {
    let with = |name: &str, value: Value| {
        let mut other = said.clone();
        other[name] = value;
        other
    };
    let mut more = said.clone();
    more["approved-by"] = json!("alice");
    let mut fewer = said.clone();
    fewer.as_object_mut().unwrap().remove("confidence");
    let mail = json!([{ "title": "mail of alice", "text": "Yes, pay it. Alice" }]);
    let summary = said["summary"].as_str().unwrap();
    let mut all = vec![
        with("summary", json!("I asked Alice in finance yesterday; she said yes by mail.")),
        with("summary", json!("")),
        with("summary", json!(format!("{summary} "))),
        with("summary", json!(format!("{summary}\u{200b}"))),
        with("exhibits", mail.clone()),
        json!({ "summary": "Alice says yes.", "confidence": 2.0, "exhibits": mail }),
        more,
        fewer,
        json!({}),
        json!(null),
        json!([]),
        json!("because"),
    ];
    all.extend([json!(2.0), json!(1), json!(0.99), json!(0), json!(-1), json!("0.5")].map(|n| with("confidence", n)));
    all
}

/// A decision that edits, in three forms: that of this host, that of LangChain's inboxes, and that of clients of the
/// Agent User Interaction Protocol.
fn edits(held: &Value, arguments: &Value) -> [Value; 3] {
    let (digest, name) = (&held["digest"], &held["proposal"]["action"]["capability"]);
    let edited = json!({ "type": "edit", "edited_action": { "name": name, "args": arguments } });
    let payload = json!({ "approved": true, "editedArgs": arguments, "digest": digest });
    [
        json!({ "type": "edit", "digest": digest, "arguments": arguments }),
        json!({ "decisions": [edited], "digest": digest }),
        json!({ "resume": [{ "interruptId": held["id"], "status": "resolved", "payload": payload }] }),
    ]
}

/// The status with which the page answers a form that the local operator's browser sends.
fn page(host: &Host, browser: &SignedIn, held: &Value, fields: &[(&str, &str)]) -> u16 {
    let agent = ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build().new_agent();
    let form = agent.post(format!("{}/approvals/{}/edit", host.url, id(held)));
    let form = form.header("Host", &browser.host).header("Origin", format!("http://{}", browser.host));
    let form = form.header("Cookie", &browser.cookie);
    form.send_form(fields.iter().copied()).unwrap().status().as_u16()
}

/// The value of a hidden field of a page.
fn hidden(page: &str, name: &str) -> String {
    let field = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    field.split('"').next().unwrap().replace("&#34;", "\"").replace("&#38;", "&")
}

/// The exit code and the output of `approvals edit`.
fn edited(folder: &Folder, held: &Value, more: &[&str], editor: &str) -> (Option<i32>, String) {
    let digest = held["digest"].as_str().unwrap();
    let arguments = [&["approvals", "edit", id(held), "--yes", "--digest", digest], more].concat();
    let mut command = folder.command(&arguments);
    let output = command.env("EDITOR", editor).env("TMPDIR", folder.path()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn no_door_takes_other_words_of_the_agents() {
    let world = World::new("quorum = 2");
    let host = world.folder.serve();
    let browser = host.sign_in();
    let mut refused = 0;
    for line in world.lines() {
        let held = host.held(&host.start("scripted", &line));
        let said = held["proposal"]["action"]["arguments"].clone();
        let path = format!("/v1/approvals/{}/decisions", id(&held));
        let text = TEXTS.iter().find(|text| said.pointer(text).is_some()).unwrap();
        for (number, reasons) in others(&said["rationale"]).into_iter().enumerate() {
            if reasons == said["rationale"] {
                continue;
            }
            let mut arguments = said.clone();
            arguments["rationale"] = reasons;
            *arguments.pointer_mut(text).unwrap() = json!("Another text.");
            for edit in edits(&held, &arguments) {
                let (status, answer) = host.request(ALICE, &path, Some(&edit));
                assert_eq!(status, 422, "{edit}: {answer}");
                assert!(answer["detail"].as_str().unwrap().contains("rationale"), "{answer}");
                refused += 1;
            }
            if number == 0 {
                refused += by_hand(&world.folder, &host, &browser, &held, &arguments);
            }
            assert_eq!(host.approval(id(&held)), held, "nothing is written");
        }
        // The same edit is accepted with the agent's rationale and without any. The call then shows the agent's own
        // rationale.
        let mut arguments = said.clone();
        *arguments.pointer_mut(text).unwrap() = json!("Another text.");
        let mut without = arguments.clone();
        without.as_object_mut().unwrap().remove("rationale");
        assert_eq!(decide(&host, ALICE, id(&held), &edits(&held, &without)[0]).1, "");
        let (status, again) = host.request(ALICE, &path, Some(&edits(&held, &arguments)[0]));
        assert!(status < 300 && again["repeated"] == true, "{again}");
        let now = host.approval(id(&held));
        assert_eq!((&now["proposal"]["action"]["arguments"], &now["revision"]), (&arguments, &json!(2)));
        let view = host.get(&format!("/v1/approvals/{}?view=ag-ui", id(&held)));
        let schema = &view["outcome"]["interrupts"][0]["responseSchema"]["properties"]["editedArgs"];
        assert_eq!(schema["properties"]["rationale"], json!({ "const": said["rationale"] }), "{view}");
    }
    assert_eq!(world.effects(), 0);
    evidence::figure("T42", "edits with other reasons than the agent's refused", refused);
}

/// Tries the edit on the page and on the command line, and returns the number of refusals.
fn by_hand(folder: &Folder, host: &Host, browser: &SignedIn, held: &Value, arguments: &Value) -> u64 {
    let form = host.page(browser, &format!("/approvals/{}/edit", id(held)));
    assert!(!form.contains(held["proposal"]["action"]["arguments"]["rationale"]["summary"].as_str().unwrap()));
    let (digest, seal) = (hidden(&form, "digest"), hidden(&form, "seal"));
    let (sent, own) = (arguments.to_string(), [("digest", &*digest), ("seal", &*seal)]);
    // A seal covers only arguments that were previewed, and no preview has such a rationale.
    let forged = [&own[..], &[("arguments", &*sent), ("action", "send")]].concat();
    assert!((400..500).contains(&page(host, browser, held, &forged)));

    folder.write("edited.json", &sent);
    let (code, told) = edited(folder, held, &["--arguments", "edited.json"], "true");
    assert!(code != Some(0) && told.contains("rationale"), "{code:?}: {told}");
    // The draft contains no rationale. A person who writes one into the draft is told that it cannot be changed.
    let script = "grep -q rationale \"$1\" && exit 9; sed -i '0,/{/s//{\"rationale\": {\"summary\": \"yes\", \"confidence\": null, \"exhibits\": []},/' \"$1\"\n";
    let script = folder.write("editor", script);
    let (code, told) = edited(folder, held, &[], &format!("sh {}", script.display()));
    assert!(code != Some(0) && told.contains("cannot change `rationale`"), "{code:?}: {told}");
    3
}
