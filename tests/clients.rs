//! T38: a program can use the endpoint with no more than its OpenAPI document. Two generators make clients from
//! `/openapi.json`. The clients do what reviewers and operators do, against the real program. schemathesis sends
//! requests that the document allows and requests that it forbids, and must find no fault.
//!
//! `tests/run` installs the generators in fixed versions under `target/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::evidence::figure;
use support::skipped::skipped;
use support::{Folder, Host, Repository, top, until};

/// The token of Rita, who may make grants.
const TOKEN: &str = "holdshort_token-of-rita";

/// A host whose mail goes to a folder, and whose deployments end in doubt.
fn host() -> (Folder, Host) {
    let folder = Folder::new(&[], "");
    Repository::bare(&folder.path().join("shop.git"));
    let hash: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    folder.configure(&format!(
        "[agents.scripted]\ncomponent = \"{}\"\n\n[approval]\ngrantors = [\"rita\"]\n\n[reviewers.rita]\ntoken-sha256 = \"{hash}\"\n\n\
         [email]\npath = \"mail\"\nown-domains = [\"example.org\"]\n\n\
         [deployment]\nconnector = \"command\"\ncommand = [\"sh\", \"-c\", \"exit 9\"]\nrepository = \"shop.git\"\n\
         targets = {{ production = \"production\" }}\n\n[repository]\npath = \"shop.git\"\n",
        support::component("scripted").display()
    ));
    folder.into_served()
}

/// The path where `tests/run` has installed a tool, from the variable that names it. Without the tool it returns `None`
/// and notes that the test was skipped.
fn installed(variable: &str, what: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    if path.is_none() {
        skipped(&format!("{what}; tests/run installs it, or name its folder in {variable}"));
    }
    path
}

/// The examples of `host/API.md` in one language. The first line of a code block names its language.
fn examples(language: &str) -> Vec<String> {
    let page = fs::read_to_string(top().join("host/API.md")).unwrap();
    let blocks = page.split("\n```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(&format!("{language}\n")).map(str::to_owned)).collect()
}

/// Runs a command of `host/API.md` in a folder, with the programs of `bin` on the path.
fn run(folder: &Path, bin: &Path, host: &Host, line: &str) -> Output {
    let path = std::env::join_paths(
        [bin.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).env("PATH", path.unwrap()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("HOLDSHORT_URL", &host.url).env("HOLDSHORT_TOKEN", TOKEN).output().unwrap()
}

/// Like `run`, but fails unless the command succeeds. Returns the command's output.
fn succeeds(folder: &Path, bin: &Path, host: &Host, line: &str) -> String {
    let output = run(folder, bin, host, line);
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{line}\n{out}\n{err}\n{}", host.said());
    assert!(!err.contains("Warning(s)") && !out.contains("Unable to"), "{line}\n{out}\n{err}");
    out
}

/// A folder with the document, as the host serves it.
fn document(host: &Host) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let document = host.get("/openapi.json");
    fs::write(folder.path().join("openapi.json"), document.to_string()).unwrap();
    folder
}

/// Notes what a client has done, from the last line that it printed.
fn done(printed: &str, client: &str) {
    let last = printed.lines().last().unwrap();
    let count: u64 = last.strip_suffix(" operations done").unwrap_or_else(|| panic!("{printed}")).parse().unwrap();
    figure("T38", &format!("operations done by a client generated for {client}"), count);
}

#[test]
fn a_client_for_python() {
    let Some(tools) = installed("HOLDSHORT_PYTHON_CLIENTS", "a generated client for Python: no openapi-python-client")
    else {
        return;
    };
    let (_folder, host) = host();
    let (work, bin) = (document(&host), tools.join("bin"));
    let [generate, ..] =
        &examples("sh").into_iter().filter(|text| text.contains("openapi-python-client generate")).collect::<Vec<_>>()
            [..]
    else {
        panic!("host/API.md does not say how a client is made")
    };
    let generate = generate.lines().find(|line| line.starts_with("openapi-python-client generate")).unwrap();
    succeeds(work.path(), &bin, &host, generate);
    fs::copy(top().join("tests/clients/work.py"), work.path().join("work.py")).unwrap();
    done(&succeeds(work.path(), &bin, &host, "python work.py"), "Python");
    for (number, example) in examples("python").iter().enumerate() {
        fs::write(work.path().join(format!("example{number}.py")), example).unwrap();
        let waiting = host.start("scripted", "email ann@example.org Hello");
        host.held(&waiting);
        succeeds(work.path(), &bin, &host, &format!("python example{number}.py"));
        assert_eq!(host.over(&waiting)["state"], "finished", "the example approved it");
    }
}

#[test]
fn a_client_for_typescript() {
    let Some(modules) = installed("HOLDSHORT_TYPESCRIPT", "a generated client for TypeScript: no openapi-typescript")
    else {
        return;
    };
    let (_folder, host) = host();
    let (work, bin) = (document(&host), modules.join(".bin"));
    std::os::unix::fs::symlink(&modules, work.path().join("node_modules")).unwrap();
    fs::write(work.path().join("package.json"), json!({ "type": "module" }).to_string()).unwrap();
    let commands = examples("sh");
    let generate =
        commands.iter().flat_map(|text| text.lines()).find(|line| line.starts_with("npx openapi-typescript"));
    succeeds(work.path(), &bin, &host, generate.expect("host/API.md says how the types are made"));
    fs::copy(top().join("tests/clients/work.ts"), work.path().join("work.ts")).unwrap();
    let mut files = vec!["work".to_owned()];
    for (number, example) in examples("ts").iter().enumerate() {
        fs::write(work.path().join(format!("example{number}.ts")), example).unwrap();
        files.push(format!("example{number}"));
    }
    let sources: String = files.iter().map(|file| format!(" {file}.ts")).collect();
    succeeds(work.path(), &bin, &host, &format!("{TSC}{sources}"));
    done(&succeeds(work.path(), &bin, &host, "node out/work.js"), "TypeScript");
    for file in &files[1..] {
        let waiting = host.start("scripted", "email ann@example.org Hello");
        host.held(&waiting);
        succeeds(work.path(), &bin, &host, &format!("node out/{file}.js"));
        assert_eq!(host.over(&waiting)["state"], "finished", "the example approved it");
    }
}

/// The types are checked as strictly as the compiler can. The client uses `process` of Node and nothing else.
const TSC: &str = "echo 'declare const process: { env: Record<string, string | undefined> };' > node.d.ts && \
     tsc --strict --noUncheckedIndexedAccess --skipLibCheck --target es2022 --module nodenext --moduleResolution nodenext --lib es2022,dom,dom.iterable --outDir out node.d.ts";

/// Runs every check of schemathesis on a host that has a run, an approval, a grant and so on.
#[test]
fn schemathesis_finds_nothing() {
    let Some(tools) = installed("HOLDSHORT_PYTHON_CLIENTS", "what the document allows, sent by schemathesis") else {
        return;
    };
    let (_folder, host) = host();
    seed(&host);
    let work = tempfile::tempdir().unwrap();
    fs::copy(top().join("tests/clients/schemathesis.toml"), work.path().join("schemathesis.toml")).unwrap();
    let line = "schemathesis --config-file schemathesis.toml run \"$HOLDSHORT_URL/openapi.json\" --report ndjson --report-dir report";
    let output = run(work.path(), &tools.join("bin"), &host, line);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", host.said());
    let cases: u64 = said
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_suffix(" generated, 0 found")
                .or(line.trim().split_once(" generated, ").map(|(count, _)| count))
        })
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("{said}"));
    assert!(cases > 1_000, "{said}");
    // The number of requests depends on what schemathesis finds, so the figure is the number of operations.
    let tested = said.lines().find_map(|line| line.trim().strip_prefix("Tested: ")).unwrap_or_else(|| panic!("{said}"));
    figure("T38", "operations tried by schemathesis", tested.parse().unwrap());
}

/// Starts runs that are held, decided, cleared by a grant, in doubt, or waiting for the answer to a question.
fn seed(host: &Host) {
    let held = |task: &str| host.held(&host.start("scripted", task));
    held("email ann@example.org First");
    held("ask Which?\nask And now?");
    let decided = held("email ann@example.org Second");
    let (status, draft) = host.request(
        TOKEN,
        &format!("/v1/approvals/{}/grant", decided["id"].as_str().unwrap()),
        Some(&json!({ "calls": 3, "lasts_ms": 3_600_000 })),
    );
    assert_eq!(status, 200, "{draft}");
    let decision = json!({ "type": "approve", "digest": decided["digest"], "grant": draft["grant"] });
    let path = format!("/v1/approvals/{}/decisions", decided["id"].as_str().unwrap());
    let (status, answer) = host.request(TOKEN, &path, Some(&decision));
    assert_eq!(status, 200, "{answer}");
    let doubtful = held("deploy main production notes");
    host.approve(&doubtful);
    until("evidence", || {
        let approval: Value = host.approval(doubtful["id"].as_str().unwrap());
        (!approval["effect"]["evidence"].is_null()).then_some(())
    });
}
