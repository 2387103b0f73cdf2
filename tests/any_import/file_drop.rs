//! The connector `file-drop` by configuration alone: a call of another company's function puts a file into a folder.

use std::fs;

use serde_json::json;

use crate::crm::{CONTACTS, result};
use crate::support::{Folder, component};

/// The sections for a function that takes the name and the content of the file from these parameters.
fn sections(function: &str, name_from: &str, content_from: &str) -> String {
    format!(
        "[capabilities.\"{CONTACTS}#{function}\"]\nclass = \"consequential\"\nconnector = \"file-drop\"\n\
         folder = \"reports\"\nname-from = \"{name_from}\"\ncontent-from = \"{content_from}\"\n\
         [capabilities.\"{CONTACTS}#*\"]\nclass = \"routine\"\ncommand = [\"false\"]\n"
    )
}

fn folder(sections: &str) -> Folder {
    let folder = Folder::new(&["third-party"], sections);
    fs::create_dir(folder.path().join("reports")).unwrap();
    folder
}

#[test]
fn a_reviewer_sees_the_file_that_is_then_in_the_folder() {
    let folder = folder(&sections("delete-contact", "id", "reason"));
    let reports = folder.path().join("reports");
    let host = folder.serve();
    let run = host.start("third-party", "delete report.txt All is well.");
    let approval = host.held(&run);
    let proposal = &approval["proposal"];
    assert_eq!((&proposal["connector"], &proposal["class"]), (&json!("file-drop"), &json!("reconcilable")));
    let summary = format!("put the file \"report.txt\" (12 bytes) into {}", reports.display());
    assert_eq!(proposal["summary"], summary);
    let digest = proposal["exhibits"][0]["digest"].as_str().unwrap();
    let shown = host.get(&format!("/v1/approvals/{}/exhibits/{digest}", approval["id"].as_str().unwrap()));
    assert_eq!(shown, json!("All is well."));
    assert!(!reports.join("report.txt").exists(), "nothing has happened yet");

    host.approve(&approval);
    assert_eq!(result(&host, &run), json!({ "ok": "report.txt" }));
    assert_eq!(fs::read_to_string(reports.join("report.txt")).unwrap(), "All is well.");

    // Nothing is overwritten, and no name leads out of the folder.
    for (name, why) in [("report.txt", "is already in the folder"), ("../report.txt", "is not a file name")] {
        let told = result(&host, &host.start("third-party", &format!("delete {name} Another.")));
        let told = told["err"].as_str().unwrap();
        assert!(told.starts_with(&format!("invalid: \"{name}\" {why}")), "{told}");
    }
    assert_eq!(fs::read_to_string(reports.join("report.txt")).unwrap(), "All is well.");
}

/// `inspect` and a host refuse the agent. No call is needed to find the mistake.
#[test]
fn a_section_that_does_not_fit_the_function_is_found_when_the_agent_is_loaded() {
    let cases = [
        ("delete-contact", "title", "reason", "the function has no parameter `title` of type string: set `name-from`"),
        (
            "delete-contact",
            "id",
            "text",
            "the function has no parameter `text` of type string or bytes: set `content-from`",
        ),
        ("update-contact", "contact", "contact", "the function has no parameter `contact` of type string"),
        ("find-contact", "name", "name", "after success the function must return a string or nothing"),
    ];
    for (function, name_from, content_from, why) in cases {
        let folder = folder(&sections(function, name_from, content_from));
        let expected = format!(
            "the import `{CONTACTS}#{function}` cannot be served by the connector that its section of the configuration names: {why}"
        );
        let inspected = folder.run(&["inspect", component("third-party").to_str().unwrap()]);
        assert_eq!(inspected.status.code(), Some(1));
        let inspected = String::from_utf8(inspected.stdout).unwrap();
        assert!(inspected.contains(&expected), "{expected}: {inspected}");
        let host = folder.serve();
        let (status, answer) = host.post("/v1/runs", &json!({ "agent": "third-party", "task": "delete a x" }));
        assert_eq!(status, 422, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(&expected), "{expected}: {answer}");
    }
}
