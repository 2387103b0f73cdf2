//! No attack gets out of the sandbox: not by an import, not through WASI, and not by an argument. No secret is found
//! inside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::{decide_honest, folder, honest};

/// A secret in the operator's environment.
const SECRET: &str = "marked-secret-4711";

#[test]
fn an_unclassified_import_keeps_an_agent_out_and_is_named() {
    let folder = folder(&["many-calls", "overreach"], "");
    let host = folder.serve();
    let import = "acme:shell/exec@1.0.0#run";
    let said = host.says("the agent `overreach` cannot be started");
    assert!(said.contains(import), "{said}");
    let (status, problem) = host.post("/v1/runs", &json!({ "agent": "overreach", "task": "id" }));
    assert_eq!(status, 422, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(import) && detail.contains("holdshort.toml"), "{detail}");
    assert_eq!(host.get("/v1/runs")["runs"], json!([]), "there is no run");
    decide_honest(&host, &honest(&host));
}

#[test]
fn prowling_finds_nothing() {
    let folder = folder(&["prowl"], "");
    let host = folder.serve_with(&[("OPERATORS_SECRET", SECRET)]);
    let row = host.over(&host.start("prowl", ""));
    let names = ["environment", "working folder", "files", "network", "names"];
    let expected: Vec<String> = names.iter().map(|name| format!("{name}: nothing")).collect();
    assert_eq!(row["result"]["ok"], expected.join("\n"), "{row}");
}

/// Every argument that tries to act as more than an argument, and every effect that must not follow from it.
#[test]
fn arguments_stay_arguments() {
    let folder = folder(&["escape", "prowl"], "");
    let escaped = Path::new("/tmp/escaped");
    assert!(!escaped.exists(), "`{}` must not be there before this test", escaped.display());
    let host = folder.serve_with(&[("OPERATORS_SECRET", SECRET)]);
    let before = files(folder.path());
    for (task, said) in [
        ("path", "is not a path"),
        ("revision", "revision"),
        ("wrong-attachment", "Invalid("),
        ("headers", "Invalid("),
        ("bidi", "Invalid("),
        ("invisible", "Invalid("),
        ("escapes", "Invalid("),
        ("money", "Invalid("),
    ] {
        let row = host.over(&host.start("escape", task));
        let result = row["result"]["ok"].as_str().unwrap_or_else(|| panic!("{task}: {row}"));
        assert!(result.starts_with("Err(") && result.contains(said), "{task}: {result}");
        assert!(!result.contains("root:"), "{task}: {result}");
    }
    assert!(!escaped.exists(), "git wrote where the agent told it to");
    assert_eq!(files(folder.path()), before, "nothing outside of the host's own folder changed");
    let everything = format!("{}{}{}", host.get("/v1/runs"), host.get("/v1/approvals?state=all"), host.said());
    assert!(!everything.contains(SECRET) && !everything.contains(&host.token));
    let token = host.token.clone();
    assert!(host.stop().success());
    for file in fs::read_dir(folder.path().join(".holdshort")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() && !file.ends_with("token") {
            let bytes = fs::read(&file).unwrap();
            for secret in [SECRET, &token] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "`{}` holds a secret", file.display());
            }
        }
    }
}

/// Every file below a folder, except the host's own files.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with(".holdshort") {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}
