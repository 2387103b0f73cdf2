//! The report on an agent's imports, and the refusals of imports, word for word: one transcript for each component in
//! `tests/data/any_import`.
//!
//! `HOLDSHORT_BLESS=1` writes the transcripts. Read the changes before you commit them.

use std::fs;
use std::process::Output;

use serde_json::json;

use crate::crm::{CONTACTS, RULES, data};
use crate::support::{Folder, Repository, component, top};

/// The interfaces of the fixtures that are refused.
const REFUSED: [&str; 5] =
    ["acme:later/orders", "acme:promises/orders", "acme:vault/safes", "acme:siren/alarm", "acme:feed/posts"];

/// Classifies all of these, so that only the form of the import can be the reason of the refusal.
fn classified() -> String {
    let section = |name| format!("[capabilities.\"{name}@1.0.0#*\"]\nclass = \"consequential\"\ncommand = [\"act\"]\n");
    "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned() + &REFUSED.map(section).concat()
}

/// A command line and its output, without the parts that differ between folders and builds.
fn entry(folder: &Folder, shown: &str, output: &Output) -> String {
    let mut text = format!("$ holdshort {shown}\n");
    for out in [&output.stdout, &output.stderr] {
        text += std::str::from_utf8(out).unwrap();
    }
    let text = text
        .replace(top().join("guest-examples/built").to_str().unwrap(), "…")
        .replace(folder.path().to_str().unwrap(), ".");
    let mut parts = text.split("sha256:");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = part.chars().take_while(char::is_ascii_hexdigit).count();
        plain += &format!("sha256:{}{}", if digits == 64 { "…" } else { &part[..digits] }, &part[digits..]);
    }
    plain + &format!("exit status {}\n\n", output.status.code().unwrap())
}

fn check(folder: &Folder, name: &str, file: &str, runs: bool) {
    let path = component(name);
    let path = path.to_str().unwrap();
    let mut found = String::new();
    for (shown, arguments) in [("inspect", vec!["inspect", path]), ("inspect --json", vec!["inspect", "--json", path])]
    {
        found += &entry(folder, &format!("{shown} {name}.wasm"), &folder.run(&arguments));
    }
    if !runs {
        found += &entry(folder, &format!("run {name}.wasm --task x"), &folder.run(&["run", path, "--task", "x"]));
    }
    let expected = data(&format!("{file}.txt"));
    if std::env::var_os("HOLDSHORT_BLESS").is_some() {
        fs::write(&expected, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&expected).unwrap_or_default(), "{}", expected.display());
}

#[test]
fn what_cannot_be_gated_is_refused_by_name() {
    let folder = Folder::new(&[], &classified());
    for name in ["refuses-async", "refuses-future", "refuses-resource", "refuses-silent", "refuses-stream"] {
        check(&folder, name, name, false);
    }
}

#[test]
fn what_nobody_classified_is_refused_with_the_section_to_add() {
    let folder = Folder::new(&["third-party"], "[server]\nlisten = \"127.0.0.1:0\"\n");
    check(&folder, "third-party", "third-party-unclassified", false);
    let host = folder.serve();
    let (status, answer) = host.post("/v1/runs", &json!({ "agent": "third-party", "task": "delete 7" }));
    assert_eq!((status, answer["type"].as_str()), (422, Some("urn:holdshort:problem:cannot-run")), "{answer}");
    let detail = answer["detail"].as_str().unwrap();
    for function in ["delete-contact", "update-contact", "find-contact"] {
        assert!(detail.contains(&format!("[capabilities.\"{CONTACTS}#{function}\"]")), "{function}: {detail}");
    }
    assert_eq!(host.get("/v1/runs")["runs"], json!([]), "no run was made");
}

#[test]
fn what_is_classified_has_its_class() {
    let folder = Folder::new(&[], RULES);
    check(&folder, "third-party", "third-party-classified", true);
}

/// `inspect` reads only the configuration and the component. It must allow exactly the agents that a host starts.
#[test]
fn an_inspection_and_a_host_say_the_same() {
    let agents =
        ["release", "inbox", "third-party", "trap", "flood", "overreach", "prowl", "refuses-silent", "refuses-stream"];
    let folder = Folder::new(&agents, "");
    let sections = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    Repository::bare(&folder.path().join("repository.git"));
    let repository = "[deployment]\nrepository = \"repository.git\"\n";
    let mut allowed = Vec::new();
    for (more, name) in
        [("", "nothing"), (repository, "a repository"), (RULES, "the crm"), (&classified(), "everything refused")]
    {
        folder.configure(&(more.to_owned() + &sections));
        let host = folder.serve();
        for agent in agents {
            let inspected = folder.run(&["inspect", component(agent).to_str().unwrap()]).status.success();
            let (status, answer) = host.post("/v1/runs", &json!({ "agent": agent, "task": "x" }));
            assert_eq!(status, if inspected { 201 } else { 422 }, "{agent} with {name}: {answer}");
            allowed.extend(inspected.then(|| format!("{agent} with {name}")));
        }
    }
    for (agent, name) in
        [("release", "a repository"), ("third-party", "the crm"), ("inbox", "nothing"), ("prowl", "nothing")]
    {
        assert!(allowed.contains(&format!("{agent} with {name}")), "{agent} with {name}: {allowed:?}");
    }
    let never = |agent: &str| !allowed.iter().any(|allowed| allowed.starts_with(agent));
    assert!(
        never("overreach") && never("refuses") && !allowed.contains(&"release with nothing".to_owned()),
        "{allowed:?}"
    );
}

#[test]
fn an_inspection_tells_what_our_agents_and_hostile_ones_could_do() {
    let folder = Folder::new(&[], "");
    // `inspect` only reads the configuration. It does not run git.
    fs::create_dir(folder.path().join(".git")).unwrap();
    for name in ["release", "bills", "inbox", "deep", "escape", "flood", "hoard", "overreach", "prowl", "spin", "trap"]
    {
        check(&folder, name, name, true);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "an inspection leaves nothing");
}
