//! Files that are not an agent, and agents that may not run here: the error comes before anything is created for them.

use std::fs;

use crate::said::{fails, holdshort, is_expected, normal, prints};
use crate::scene::{post_office, shop};
use crate::support::{Folder, component};

/// Files that cannot run as agents: the name of the expected error text, and the file.
fn wrong(folder: &Folder) -> Vec<(&'static str, String)> {
    let copy = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    copy("notes.txt", b"Buy milk.\n");
    copy("archive.zip", b"PK\x03\x04rest");
    copy("empty.wasm", b"");
    copy("cut.wasm", &fs::read(component("release")).unwrap()[..2_000]);
    fs::create_dir(folder.path().join("folder")).unwrap();
    let built = |name: &str| component(name).to_str().unwrap().to_owned();
    vec![
        ("text-instead-of-component", "notes.txt".into()),
        ("archive-instead-of-component", "archive.zip".into()),
        ("empty-file", "empty.wasm".into()),
        ("truncated-component", "cut.wasm".into()),
        ("missing-file", "missing.wasm".into()),
        ("folder-instead-of-file", "folder".into()),
        ("core-module", built("core-module")),
        ("missing-export", built("no-run-export")),
        ("unclassified-import", built("overreach")),
        ("unclassified-imports", built("third-party")),
        ("resource", built("refuses-resource")),
        ("stream", built("refuses-stream")),
        ("future", built("refuses-future")),
        ("async-function", built("refuses-async")),
        ("no-repository", built("release")),
    ]
}

#[test]
fn what_cannot_run_is_refused_before_anything_is_made() {
    let folder = Folder::new(&[], "");
    for (name, file) in wrong(&folder) {
        fails(&format!("run-{name}"), &folder, &["run", &file, "--task", "x"]).exits(2);
    }
    assert!(!folder.path().join(".holdshort").exists(), "nothing was tried");
}

#[test]
fn inspecting_what_is_no_agent_says_why() {
    let folder = Folder::new(&[], "");
    for (name, file) in wrong(&folder) {
        let said = holdshort(&folder, &["inspect", &file]);
        let checked = holdshort(&folder, &["check", &file]);
        assert_eq!((checked.code, &checked.err), (said.code, &said.err), "`check` refuses the same");
        // `inspect` describes a component that is an agent, and says why it cannot run.
        if said.code == Some(2) {
            fails(&format!("inspect-{name}"), &folder, &["inspect", &file]).exits(2);
        } else {
            let said = said.exits(1);
            assert!(said.out.contains("This agent cannot run here:") && said.err.is_empty(), "{name}: {said:?}");
        }
    }
    assert!(!folder.path().join(".holdshort").exists(), "looking changes nothing");
}

#[test]
fn a_configured_agent_that_cannot_start_keeps_nobody_else_from_it() {
    let folder = post_office("[agents.gone]\ncomponent = \"gone.wasm\"\n");
    let host = folder.serve();
    let warning = "warning: the agent `gone` cannot be started: the agent's file `FOLDER/gone.wasm` cannot be read";
    host.says("cannot be read");
    assert!(normal(&host.said(), &folder).contains(warning), "{}", host.said());
    assert_eq!(host.over(&host.start("scripted", "log hello"))["state"], "finished");
    fails("run-agent-without-file", &folder, &["run", "gone", "--task", "x"]).exits(2);
}

#[test]
fn a_workspace_must_be_there() {
    // The system chooses the port. The host takes its port before it looks for its agents' files, and another test may
    // use the usual port.
    let folder = post_office(&format!(
        "[agents.reader]\ncomponent = \"{}\"\nworkspace = \"files\"\n[server]\nlisten = \"127.0.0.1:0\"\n",
        component("scripted").display()
    ));
    fails("workspace-missing", &folder, &["serve"]).exits(2);
    fails("workspace-missing-run", &folder, &["run", "reader", "--task", "list"]).exits(2);
    folder.write("files", "a file");
    fails("workspace-is-a-file", &folder, &["serve"]).exits(2);
    fs::remove_file(folder.path().join("files")).unwrap();
    folder.write("files/a.txt", "hello");
    let said = holdshort(&folder, &["run", "reader", "--task", "read a.txt"]).exits(0);
    assert_eq!(said.out, "ok \"hello\"\n");
}

#[test]
fn an_agent_is_inspected() {
    let (folder, _) = shop(&[]);
    let release = component("release");
    let release = release.to_str().unwrap();
    let human = prints("inspect", &folder, &["inspect", release]);
    let report = holdshort(&folder, &["inspect", release, "--json"]).exits(0);
    is_expected("cli", "inspect.json", &normal(&report.out, &folder));
    let report = report.json();
    let never: Vec<&str> = report["never"].as_array().unwrap().iter().map(|what| what.as_str().unwrap()).collect();
    for told in [&format!("This agent never gets: {}\n", never.join(", ")), report["notes"][0].as_str().unwrap()] {
        assert!(human.out.contains(told), "people and programs are told the same: {told}");
    }
    assert_eq!((&report["can_run"], &report["entry"], &report["logs"]), (&true.into(), &"run".into(), &true.into()));
    assert_eq!(report["consequential"][0]["capability"], "holdshort:agent/deployment@0.1.0#deploy");
    assert_eq!(report["routine"].as_array().unwrap().len(), 3, "{report}");
    // `inspect` does not list an empty WASI interface among the interfaces that the agent gets, nor the workspace that
    // the agent may read among the things out of its reach.
    let prowl = component("prowl");
    let report = holdshort(&folder, &["inspect", prowl.to_str().unwrap(), "--json"]).exits(0).json();
    let told = holdshort(&folder, &["inspect", prowl.to_str().unwrap()]).exits(0).out;
    let (gets, empty) = told.split_once("WASI interfaces that are empty").unwrap();
    for (member, part) in [("wasi", gets), ("wasi_empty", empty)] {
        let names: Vec<&str> = part.lines().map(str::trim).filter(|line| line.starts_with("wasi:")).collect();
        assert_eq!(report[member], serde_json::json!(names), "{told}");
        let leads_out = |name: &&str| ["wasi:filesystem/", "wasi:sockets/"].iter().any(|out| name.starts_with(out));
        assert_eq!(names.iter().filter(|name| leads_out(name)).count(), if member == "wasi" { 0 } else { 7 }, "{told}");
    }
    // `inspect` says the same as the host about calls whose outcome is unknown.
    let folder = post_office("[payments.accounts.operating]\nopening = [\"10.00 EUR\"]\n");
    let scripted = component("scripted");
    let report = holdshort(&folder, &["inspect", scripted.to_str().unwrap(), "--json"]).exits(0).json();
    let inspected = report["consequential"].as_array().unwrap();
    let host = folder.serve();
    let tasks = ["email bob@example.org Hello", "deploy main production x", "pay operating acme 1 EUR", "ask Go on?"];
    assert_eq!(inspected.len(), tasks.len(), "{report}");
    assert_eq!(report["never"][1], "files, except those of its workspace and repository");
    for task in tasks {
        let held = host.held(&host.start("scripted", task));
        let asked = &held["proposal"]["action"]["capability"];
        let inspected = inspected.iter().find(|one| one["capability"] == *asked).unwrap();
        assert!(held["if_lost"].is_string(), "{held}");
        assert_eq!((&inspected["if_lost"], &inspected["class"]), (&held["if_lost"], &held["proposal"]["class"]));
    }
    let refused = component("overreach");
    let report = holdshort(&folder, &["inspect", refused.to_str().unwrap(), "--json"]).exits(1).json();
    assert_eq!((&report["can_run"], report["refused"].as_array().unwrap().len()), (&false.into(), 1));
}
