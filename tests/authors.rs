//! T44: an agent's author gets from nothing to a running agent. `holdshort new` writes a project in each language. The
//! project builds with the one command of its README. Its agent runs in the project's folder: its calls are held,
//! answered, approved or rejected, and the run ends with what the agent says. The script of the project tests it.
//!
//! `tests/run` installs the tools of Python and TypeScript under `target/`, in the versions that the projects name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "sdks/assistant.rs"]
mod assistant;
#[path = "sdks/endpoint.rs"]
mod endpoint;
#[path = "authors/requests.rs"]
mod requests;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "models/endpoint.rs"]
mod scripted_model;
#[path = "support/mod.rs"]
mod support;
#[path = "authors/triage.rs"]
mod triage;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use endpoint::Endpoint;
use serde_json::{Value, json};
use support::evidence::figure;
use support::skipped::skipped;
use support::{Folder, Host, top};

/// How long the host may take to compile the engine of a language.
const COMPILED_WITHIN: Duration = Duration::from_secs(600);

/// A folder that holds the project which `new` wrote, and the command that builds it.
fn project(lang: &str, template: &str) -> (Folder, String) {
    let folder = Folder::new(&[], "");
    fs::remove_file(folder.path().join("holdshort.toml")).unwrap();
    let said = folder.run(&["new", "my-agent", "--lang", lang, "--template", template, "--json"]);
    assert!(said.status.success(), "{said:?}");
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let project = folder.path().join("my-agent");
    for entry in fs::read_dir(&project).unwrap().map(Result::unwrap) {
        fs::rename(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    fs::remove_dir(project).unwrap();
    (folder, said["commands"]["build"].as_str().unwrap().to_owned())
}

/// Gives a line to a shell in the folder. Fails unless the line succeeds.
fn succeeds(folder: &Folder, line: &str, variables: &[(&str, String)]) {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder.path()).envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{line}\n{}\n{}", said(&output.stdout), said(&output.stderr));
}

/// A tool's folder below `target/`, if `tests/run` has installed it. Otherwise notes that the test was skipped.
fn installed(path: &str, what: &str) -> Option<PathBuf> {
    let path = top().join("target/authors").join(path);
    if !path.exists() {
        skipped(&format!("an agent in {what}: `tests/run` installs its tools in {}", path.display()));
    }
    Some(path).filter(|path| path.exists())
}

/// Starts the first run. The host compiles the component before, and meanwhile answers each request with status 503.
fn first_run(host: &Host, task: &str) -> String {
    let start = Instant::now();
    loop {
        match host.post("/v1/runs", &json!({ "agent": "my-agent", "task": task })) {
            (201, run) => return run["id"].as_str().unwrap().to_owned(),
            (503, said) => assert!(start.elapsed() < COMPILED_WITHIN, "{said}"),
            (status, said) => panic!("{status}: {said}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Runs the agent of the project twice: a reviewer approves the mail of the first run and rejects the mail of the
/// second run.
fn runs(folder: &Folder, language: &str) {
    let inspected = folder.run(&["inspect", "--json", &component(folder)]);
    assert!(inspected.status.success(), "{inspected:?}");
    scripted(folder, "arguments.message = { to = [\"ann@example.org\"]");
    let host = folder.serve();
    let letters = || fs::read_dir(folder.path().join("mail/new")).map_or(0, Iterator::count);

    let run = first_run(&host, " ann@example.org\n");
    let question = host.held(&run);
    assert_eq!(
        question["proposal"]["action"]["arguments"]["question"]["text"],
        "What shall I write to ann@example.org?"
    );
    let answer = |question: &Value| {
        let (status, said) = host.decide(question, "respond", &json!({ "message": "Grüße, \"it\" is ready." }));
        assert_eq!(status, 200, "{said}");
    };
    answer(&question);
    let mail = host.held(&run);
    let message = &mail["proposal"]["action"]["arguments"]["message"];
    assert_eq!((&message["to"], &message["body"]), (&json!(["ann@example.org"]), &json!("Grüße, \"it\" is ready.")));
    assert_eq!((message["in-reply-to"].is_null(), letters()), (true, 0), "nothing is sent before the approval");
    host.approve(&mail);
    let over = host.over(&run);
    assert_eq!((&over["state"], letters()), (&json!("finished"), 1), "{over}");
    assert_eq!(over["result"]["ok"], "sent to ann@example.org: Grüße, \"it\" is ready.", "{over}");
    assert!(host.logs(&run).contains(&("info".into(), "the recipient is ann@example.org".into())), "the log");

    let run = host.start("my-agent", "ann@example.org");
    answer(&host.held(&run));
    let (status, said) = host.decide(&host.held(&run), "reject", &json!({ "message": "not today" }));
    assert_eq!(status, 200, "{said}");
    let over = host.over(&run);
    assert_eq!((&over["state"], letters()), (&json!("failed"), 1), "{over}");
    assert!(over.to_string().contains("a reviewer rejected the call: not today"), "{over}");
    figure("T44", &format!("runs of an agent that was written in {language}"), 2);
}

/// The script of the project passes, and fails if it expects another email.
fn scripted(folder: &Folder, expected: &str) {
    let tested = folder.run(&["run", "my-agent", "--script", "decisions.toml"]);
    assert!(tested.status.success(), "the test that the project brings: {tested:?}");
    let script = fs::read_to_string(folder.path().join("decisions.toml")).unwrap();
    assert!(script.contains(expected), "{script}");
    folder.write("other.toml", &script.replace(expected, &expected.replace("ann@", "bob@")));
    let tested = folder.run(&["run", "my-agent", "--script", "other.toml"]);
    assert_eq!(tested.status.code(), Some(6), "{tested:?}");
}

/// The assistant of the project, with its own script and with a model of a server that nobody here wrote. The number is
/// that of the server's address.
fn assists(folder: &Folder, language: &str, number: u8) {
    scripted(folder, "to = [\"ann@example.org\"]");
    let address = endpoint::address(number);
    let rules = assistant::rules(json!(12050), json!(6025)).into_iter().map(|(name, mut when, respond)| {
        when["header.authorization"] = format!("Bearer {}", endpoint::KEY).into();
        json!({ "name": name, "when": when, "respond": respond })
    });
    let Some(server) = Endpoint::start(&address, &rules.collect()) else { return };
    let settings = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    let here = settings.replace("https://api.openai.com", &format!("http://{address}"));
    assert_ne!(here, settings);
    folder.configure(&format!("{here}\n[limits]\nlinger-ms = 0\n"));
    assistant::pays(folder, "my-agent", &server);
    figure("T44", &format!("questions of an assistant in {language} to its model, each sent once"), server.requests());
}

/// The component's file, as the project's configuration names it.
fn component(folder: &Folder) -> String {
    let text = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    text.split('"').nth(1).unwrap().to_owned()
}

/// The variables that make cargo use Debian's compiler with its library source, if rustup's target is not there. `None`
/// without both.
fn rust() -> Option<Vec<(&'static str, String)>> {
    let said = |program: &str| Command::new(program).args(["--print", "sysroot"]).output().ok();
    let sysroot = |program: &str| said(program).map(|said| PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    let ours = sysroot("rustc")?.join("lib/rustlib");
    // Compiled dependencies stay in this folder for the next test run, so that only the agent itself is compiled again.
    let mut variables = vec![("CARGO_BUILD_BUILD_DIR", top().join("target/authors/rust").display().to_string())];
    if ours.join("wasm32-unknown-unknown").is_dir() {
        return Some(variables);
    }
    sysroot("/usr/bin/rustc").filter(|debian| debian.join("lib/rustlib/src/rust/library").is_dir())?;
    let linker = fs::read_dir(ours).ok()?.map(|entry| entry.unwrap().path().join("bin"));
    let linker = linker.into_iter().find(|bin| bin.join("wasm-component-ld").exists())?;
    variables.push(("RUSTC", "/usr/bin/rustc".into()));
    variables.push(("RUSTC_BOOTSTRAP", "1".into()));
    variables.push(("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort".into()));
    variables.push(("PATH", format!("{}:{}", linker.display(), std::env::var("PATH").unwrap())));
    Some(variables)
}

/// Builds a project in Rust.
fn build_rust(template: &str, variables: &[(&'static str, String)]) -> Folder {
    let (folder, build) = project("rust", template);
    // Pins the dependencies to the versions of the examples. A machine that has built the examples has these versions.
    fs::copy(top().join("guest-examples/Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    succeeds(&folder, &build, variables);
    folder
}

#[test]
fn agents_in_rust() {
    let Some(variables) = rust() else {
        return skipped("an agent in Rust: no compiler for wasm32-unknown-unknown");
    };
    runs(&build_rust("minimal", &variables), "Rust");
    assists(&build_rust("assistant", &variables), "Rust", 6);
}

#[test]
fn agents_in_python() {
    let Some(tools) = installed("python", "Python") else { return };
    runs(&build_python("minimal", &tools, |_| {}), "Python");
    assists(&build_python("assistant", &tools, |_| {}), "Python", 7);
}

/// What the template gives an agent in Python: arguments of a model are checked before a tool is called, `async` code
/// runs without sockets, and packages without native code can be imported.
#[test]
fn tools_and_async_code_in_python() {
    let Some(tools) = installed("python", "Python") else { return };
    let Some(packages) = installed("packages", "Python") else { return };
    let (folder, build) = project("python", "assistant");
    symlink(tools, folder.path().join(".venv")).unwrap();
    fs::copy(top().join("tests/data/authors/tools.py"), folder.path().join("src/app.py")).unwrap();
    succeeds(&folder, &build.replace("-p src", &format!("-p src -p {}", packages.display())), &[]);
    let keyed = |task: &str| {
        let mut command = folder.command(&["run", "my-agent", "--task", task]);
        command.env("OPENAI_API_KEY", endpoint::KEY).output().unwrap()
    };
    let said = String::from_utf8(keyed("").stdout).unwrap();
    let expected = fs::read_to_string(top().join("tests/data/authors/tools.txt")).unwrap();
    assert_eq!(said, expected);
    let said = keyed("wait");
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(err.contains("failed, as its agent reports: the agent waits for something that cannot happen"), "{err}");
    let checked = expected.lines().filter(|line| line.starts_with("not done: ")).count();
    figure("T44", "arguments of a model that a tool in Python does not take", checked as u64);
}

/// Builds a project in Python, after its types were checked. `change` changes the project before.
fn build_python(template: &str, tools: &Path, change: impl FnOnce(&Folder)) -> Folder {
    let (folder, build) = project("python", template);
    symlink(tools, folder.path().join(".venv")).unwrap();
    change(&folder);
    let notes = fs::read_to_string(folder.path().join("README.md")).unwrap();
    for line in notes.lines().skip_while(|line| !line.contains("type check")).filter(|line| line.starts_with(".venv")) {
        succeeds(&folder, line, &[]);
    }
    assert!(folder.path().join("bindings/wit_world").is_dir(), "the README says how types are checked: {notes}");
    succeeds(&folder, &build, &[]);
    folder
}

#[test]
fn an_agent_in_typescript() {
    let Some(tools) = installed("typescript/node_modules", "TypeScript") else { return };
    let (folder, build) = project("typescript", "minimal");
    symlink(tools, folder.path().join("node_modules")).unwrap();
    succeeds(&folder, &build, &[]);
    runs(&folder, "TypeScript");
    // The build checks the types.
    let source = fs::read_to_string(folder.path().join("src/agent.ts")).unwrap();
    folder.write("src/agent.ts", &source.replace("subject: 'The report'", "subject: 7"));
    let wrong = Command::new("sh").args(["-c", &build]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&wrong.stdout);
    assert!(!wrong.status.success() && said.contains("Type 'number' is not assignable to type 'string'"), "{said}");
}
