//! A run that the host cannot continue is shown with the reason in every view. When the missing thing is back, the run
//! goes on without a request.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use crate::support::{Folder, Host, Repository, component, until};
use crate::{answer, evidence};

/// The agent, the task, the file or folder that is taken away, and words of the reason that is shown.
const CAUSES: [(&str, &str, &str, &str); 8] = [
    ("reads", "list", "files", "No such file or directory"),
    ("scripted", "history production main", "shop.git", "git"),
    ("scripted", "deploy main production notes", "shop.git", "git"),
    ("scripted", "check lint main", "shop.git", "git"),
    ("third-party", "find Ada", "found.json", "find-contact"),
    ("third-party", "delete 7 moved", "preview.txt", "the preview"),
    ("outdated", "delete 7 moved", "its interface", "acme:crm/contacts@1.0.0#delete-contact"),
    ("lost", "ask list", "its component", "does not hold the component"),
];

const ACME: &str = r#"
[capabilities."acme:crm/contacts@1.0.0#find-contact"]
class = "routine"
command = ["tools/find"]
[capabilities."acme:crm/contacts@1.0.0#*"]
class = "consequential"
command = ["false"]
preview = ["tools/preview"]
"#;

/// Writes the operator's configuration; `acme` is the part about interfaces of other companies.
fn configure(folder: &Folder, acme: &str) {
    let agent = |name: &str, file: &Path, files: &str| {
        format!("[agents.{name}]\ncomponent = \"{}\"\nworkspace = \"{files}\"\n", file.display())
    };
    let scripted = component("scripted");
    let agents = [
        agent("reads", &scripted, "files"),
        agent("scripted", &scripted, "other-files"),
        agent("third-party", &component("third-party"), "other-files"),
        agent("outdated", &folder.path().join("outdated.wasm"), "other-files"),
        agent("lost", &folder.path().join("lost.wasm"), "other-files"),
    ];
    folder.configure(&format!(
        r#"{}
[limits]
linger-ms = 0
told-after-tries = 2
[email]
connector = "maildir"
path = "mail"
operator = "olivia@localhost"
own-domains = ["localhost"]
[deployment]
repository = "shop.git"
[checks.lint]
command = ["true"]
{acme}"#,
        agents.concat()
    ));
}

fn rename(folder: &Folder, from: &str, to: &str) {
    fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
}

/// The files and folders that the tests take away and put back.
const THINGS: [&str; 4] = ["files", "shop.git", "found.json", "preview.txt"];

fn take_away(folder: &Folder) {
    THINGS.iter().for_each(|thing| rename(folder, thing, &format!("no-{thing}")));
}

fn put_back(folder: &Folder) {
    THINGS.iter().for_each(|thing| rename(folder, &format!("no-{thing}"), thing));
}

/// A folder in which nothing is missing.
fn world() -> Folder {
    let folder = Folder::new(&[], "");
    configure(&folder, ACME);
    for (name, reads) in [("find", "found.json"), ("preview", "preview.txt")] {
        // Exit status 75 means that the program cannot answer now. Another status would be an answer.
        let script = format!("#!/bin/sh\ncat > /dev/null\ncat {reads} || exit 75\n");
        let path = folder.write(&format!("tools/{name}"), &script);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder.write("found.json", "{\"err\": \"no such contact\"}");
    folder.write("preview.txt", "the contact\n");
    folder.write("files/a", "a");
    folder.write("other-files/a", "a");
    fs::copy(component("third-party"), folder.path().join("outdated.wasm")).unwrap();
    fs::copy(component("clock"), folder.path().join("lost.wasm")).unwrap();
    Repository::bare(&folder.path().join("shop.git"));
    folder
}

/// What the command line prints about a run.
fn shown(folder: &Folder, run: &str) -> String {
    String::from_utf8(folder.run(&["runs", "show", run]).stdout).unwrap()
}

fn is_delayed(folder: &Folder, host: &Host, run: &str, reason: &str) {
    let row = until(&format!("delay because of {reason}"), || {
        let row = host.show_run(run);
        (row["state"] == "delayed" && row["delayed"]["tries"].as_u64() >= Some(2)).then_some(row)
    });
    assert!(row["reason"].as_str().unwrap().contains(reason), "`{reason}` is not in {row}");
    assert!(row["delayed"]["since"].as_str().unwrap().ends_with('Z'), "{row}");
    let cookie = host.sign_in();
    for (path, words) in [(format!("/runs/{run}"), "keeps trying"), ("/runs?state=delayed".into(), run)] {
        let page = host.page(&cookie, &path);
        assert!(page.contains("delayed") && page.contains(words), "{path}: {page}");
    }
    assert!(host.page(&cookie, "/").contains("delayed: the host cannot continue"));
    let said = shown(folder, run);
    assert!(said.contains("delayed since") && said.contains(reason), "{said}");
    let events = host.events(run);
    let told = events.iter().filter(|event| event["type"] == "run-delayed" && event["data"]["told"] == true);
    assert_eq!(told.count(), 1, "{events:?}");
    until("letter", || {
        let letters = fs::read_dir(folder.path().join("mail/new")).unwrap();
        let texts: Vec<String> = letters.filter_map(|letter| fs::read_to_string(letter.unwrap().path()).ok()).collect();
        texts
            .iter()
            .any(|text| text.contains(run) && text.contains("is delayed: the host cannot continue it now"))
            .then_some(())
    });
}

fn delayed_runs(host: &Host) -> u64 {
    host.figure("holdshort_runs{state=\"delayed\"}")
}

#[test]
fn whatever_keeps_the_host_from_it_is_seen_and_then_gone() {
    let folder = world();
    let host = folder.serve();
    let outdated = host.start("outdated", "find Ada");
    assert_eq!(host.over(&outdated)["state"], "failed", "{}", host.show_run(&outdated));
    let held = |host: &Host, agent: &str, task: &str| {
        let run = host.start(agent, task);
        host.held(&run);
        run
    };
    let lost = held(&host, "lost", "ask list");
    let deleted = held(&host, "outdated", "delete 7 moved");
    let digest = host.show_run(&lost)["component"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    host.all_parked();
    host.stop();
    // The configuration and the agent's file are replaced, and the old bytes of the file are gone.
    configure(&folder, "");
    fs::copy(component("scripted"), folder.path().join("lost.wasm")).unwrap();
    let journal = Connection::open(folder.journal()).unwrap();
    assert_eq!(journal.execute(&format!("DELETE FROM blobs WHERE digest = x'{digest}'"), []).unwrap(), 1);
    drop(journal);
    let host = folder.serve();
    answer(&host, &lost, "yes");
    let approval = host.held(&deleted);
    assert_eq!(host.decide(&approval, "reject", &serde_json::json!({ "message": "no" })).0, 200);
    is_delayed(&folder, &host, &deleted, "acme:crm/contacts@1.0.0#delete-contact");
    is_delayed(&folder, &host, &lost, "does not hold the component");
    assert_eq!(delayed_runs(&host), 2);
    host.stop();

    configure(&folder, ACME);
    fs::copy(component("clock"), folder.path().join("lost.wasm")).unwrap();
    let host = folder.serve();
    for (run, state) in [(&lost, "finished"), (&deleted, "failed")] {
        assert_eq!(host.over(run)["state"], state);
    }
    take_away(&folder);
    let causes = CAUSES.iter().filter(|(agent, ..)| !["lost", "outdated"].contains(agent));
    let runs: Vec<_> = causes.map(|cause| (host.start(cause.0, cause.1), cause)).collect();
    for (run, (.., reason)) in &runs {
        is_delayed(&folder, &host, run, reason);
    }
    assert_eq!(delayed_runs(&host), runs.len() as u64);
    put_back(&folder);
    for (run, (_, task, ..)) in &runs {
        if task.starts_with("deploy") || task.starts_with("delete") {
            host.decide(&host.held(run), "reject", &serde_json::json!({ "message": "no" }));
        }
        host.over(run);
        assert!(!shown(&folder, run).contains("delayed"), "{}", shown(&folder, run));
    }
    assert_eq!(delayed_runs(&host), 0);
    assert!(!host.page(&host.sign_in(), "/").contains("delayed: the host cannot continue"));
    evidence::figure("T35", "causes of a delay that is seen", CAUSES.len() as u64);
}
