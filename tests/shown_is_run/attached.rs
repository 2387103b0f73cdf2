//! Attachments come only from the workspace of the agent whose run sends the mail.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Folder, Host, component, until};
use crate::{assert_digests, evidence, hex};

/// Two agents whose folders contain a file with the same name, and one agent without a folder.
fn office() -> Folder {
    let folder = Folder::new(&[], "");
    let section = |name: &str, more: &str| {
        format!("[agents.{name}]\ncomponent = \"{}\"\n{more}", component("scripted").display())
    };
    let workspace = |name: &str| section(name, &format!("workspace = \"files/{name}\"\n"));
    fs::create_dir(folder.path().join(".git")).unwrap();
    folder.configure(&[workspace("ann"), workspace("ben"), section("cleo", "")].concat());
    for (name, text) in
        [("ann/report.txt", "Ann's report"), ("ann/plan.txt", "Ann's plan"), ("ben/report.txt", "Ben's")]
    {
        folder.write(&format!("files/{name}"), text);
    }
    folder
}

/// Edits the held email of an agent so that it attaches a file with the content `text`. Returns the approval after the
/// edit, and the status and the body of the answer.
fn attach(host: &Host, agent: &str, path: &str, text: &str) -> (Value, u16, Value) {
    let held = host.held(&host.start(agent, "email bob@example.org Report"));
    let mut arguments = held["proposal"]["action"]["arguments"].clone();
    arguments["message"]["attachments"] = json!([{ "path": path, "sha256": hex(&Sha256::digest(text)) }]);
    let (status, answer) = host.decide(&held, "edit", &json!({ "arguments": arguments }));
    (host.approval(held["id"].as_str().unwrap()), status, answer)
}

fn letters(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join(".holdshort/mail/new")).unwrap();
    entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn a_file_is_taken_from_the_workspace_of_the_agent_that_asks() {
    let folder = office();
    let host = folder.serve();
    // Each row: the agent, the content of its file, and that content in base64, as it is attached.
    for (agent, text, encoded) in [("ann", "Ann's report", "QW5uJ3MgcmVwb3J0"), ("ben", "Ben's", "QmVuJ3M=")] {
        let (approval, status, answer) = attach(&host, agent, "report.txt", text);
        assert_eq!(status, 202, "nobody has seen the evidence yet: {answer}");
        let listed = evidence(&host, &approval, &format!("attachments, from the workspace of `{agent}`"));
        assert_eq!(
            listed,
            format!(
                "\"report.txt\": text/plain; charset=utf-8, {} bytes, sha256:{}\n",
                text.len(),
                hex(&Sha256::digest(text))
            )
        );
        assert_digests(&folder, &host, &approval);
        host.approve(&approval);
        host.effect(approval["id"].as_str().unwrap(), "succeeded");
        let sent = letters(&folder).iter().filter(|letter| letter.contains(encoded)).count();
        assert_eq!(sent, 1, "{agent}: {:?}", letters(&folder));
    }
}

#[test]
fn no_agent_attaches_what_is_in_anothers_workspace() {
    let folder = office();
    let host = folder.serve();
    for (agent, path, text, why) in [
        ("ben", "report.txt", "Ann's report", "the attachment \"report.txt\" has the digest sha256:"),
        ("ben", "plan.txt", "Ann's plan", "there is no attachment \"plan.txt\""),
        ("ben", "../ann/plan.txt", "Ann's plan", "is not a path inside the agent's workspace"),
        ("cleo", "plan.txt", "Ann's plan", "this agent has no workspace; ask the operator for a workspace"),
    ] {
        let (approval, status, answer) = attach(&host, agent, path, text);
        assert_eq!(status, 422, "{agent} {path}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(why), "{agent} {path}: {answer}");
        assert_eq!(approval["revision"], 1, "nothing was changed");
    }
    assert_eq!(letters(&folder), [""; 0]);
}

/// A file that changed after it was shown is noticed in the right workspace, although the other workspace still has the
/// old content.
#[test]
fn a_file_that_changed_is_not_sent() {
    let folder = office();
    folder.write("files/ben/plan.txt", "Ann's plan");
    let host = folder.serve();
    let (approval, _, _) = attach(&host, "ann", "plan.txt", "Ann's plan");
    folder.write("files/ann/plan.txt", "another plan");
    host.approve(&approval);
    let failed = until("failed effect", || {
        Some(host.approval(approval["id"].as_str().unwrap())["effect"].clone())
            .filter(|effect| effect["state"] == "failed")
    });
    assert!(
        failed["reason"].as_str().unwrap().contains("the attachment \"plan.txt\" has the digest sha256:"),
        "{failed}"
    );
    assert_eq!(letters(&folder), [""; 0]);
}
