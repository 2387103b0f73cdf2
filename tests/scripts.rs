//! T47: an agent is tested without people and services. A script of decisions and answers plays a run to its end and
//! compares every call with what is expected; nothing outside is reached.
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
use std::net::TcpListener;

use serde_json::{Value, json};
use support::evidence::figure;
use support::{Folder, component};

/// The exit code of a run that is not as its script says.
const DIFFERENT: i32 = 6;

/// The task of the agent `scripted`: one call of each kind.
const TASK: &str = "log hello\nask Shall I?\nemail ann@example.org The report\nemail bob@example.org The report\npay main globex 500 EUR\nlist\ndeploy main production notes";

/// A script in which everything happens that can happen to a call.
const SCRIPT: &str = r#"
[[call]]
function = "guidance#ask"
arguments.question = { text = "Shall I?", choices = ["yes", "no"] }
decide = { answer = "yes" }

[[call]]
function = "email#send-email"
arguments.message.to = ["ann@example.org"]
contains.message.body = "Hello"
absent = ["message.in-reply-to"]
decide = { reject = "Not to Ann." }

[[call]]
function = "holdshort:agent/email@0.1.0#send-email"
contains.message.to = "bob@example.org"
decide = { edit.message.subject = "New", by = "ann" }
ok = { message-id = "<1@example.org>", accepted-by = "the script" }

[[call]]
function = "payments#transfer-funds"
arguments.transfer.amount = { minor-units = 500, currency = "EUR" }
decide = "approve"
in-doubt = "the line broke"
found = "abandoned"

[[whenever]]
function = "workspace#list-files"
ok = [{ path = "a.txt", bytes = 3, sha256 = "00" }]

[[call]]
function = "deployment#deploy"
decide = [{ approve = true, by = "ann" }]
err = "the branch moved"

[end]
ok-contains = "ok"
calls = 6
"#;

/// What the command says: the exit code and the results.
fn plays(folder: &Folder, script: &str, task: &str) -> (Option<i32>, String) {
    folder.write("script.toml", script);
    let component = component("scripted");
    let said = folder.run(&["run", component.to_str().unwrap(), "--script", "script.toml", "--task", task]);
    let text = [&said.stdout, &said.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap()).concat();
    (said.status.code(), text)
}

/// Plays a script that must pass.
fn passes(folder: &Folder, script: &str, task: &str) {
    let (code, said) = plays(folder, script, task);
    assert_eq!(code, Some(0), "{said}");
}

/// Plays a script that must fail and say all of these texts.
fn differs(folder: &Folder, script: &str, task: &str, texts: &[&str]) {
    let (code, said) = plays(folder, script, task);
    assert_eq!(code, Some(DIFFERENT), "{said}");
    for text in texts {
        assert!(said.contains(text), "no `{text}` in {said}");
    }
}

/// A folder without an agent in its configuration.
fn folder() -> Folder {
    Folder::new(&[], "")
}

#[test]
fn a_script_plays_everything_that_can_happen_to_a_call() {
    let folder = folder();
    folder.write("script.toml", &format!("task = '''\n{TASK}'''\n{SCRIPT}"));
    let said = folder.run(&["run", component("scripted").to_str().unwrap(), "--script", "script.toml", "--json"]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said["passed"], &said["calls"], &said["difference"]), (&json!(true), &json!(6), &Value::Null));
    let result = said["result"]["ok"].as_str().unwrap();
    for line in [
        "ok \"yes\"",
        "err Refusal::Rejected(\"Not to Ann.\")",
        "subject: \"New\", body: \"Hello from a test.\"",
        "message-id: \"<1@example.org>\", accepted-by: \"the script\"",
        "err Refusal::Unresolved(\"the script gives up\")",
        "path: \"a.txt\", bytes: 3",
        "err Refusal::Failed(\"the branch moved\")",
    ] {
        assert!(result.contains(line), "no `{line}` in {result}");
    }
    let story = said["story"].as_array().unwrap();
    assert!(story.contains(&json!("call 3 is edited by ann")), "{story:?}");
    figure("T47", "calls of a script in which everything happens that can happen to a call", 6);
}

#[test]
fn what_is_not_as_the_script_says_is_shown_with_the_story() {
    let folder = folder();
    let task = "ask Shall I?\nemail ann@example.org The report";
    let ask = "[[call]]\nfunction = \"guidance#ask\"\ndecide = { answer = \"yes\" }\n";
    let email = "[[call]]\nfunction = \"email#send-email\"\n";
    let sent = "decide = \"approve\"\nok = { message-id = \"1\", accepted-by = \"me\" }\n";
    passes(&folder, &format!("{ask}{email}{sent}"), task);

    let subject =
        "arguments.message = { subject = \"The bill\", to = [\"ann@example.org\"] }\ncontains.message.body = \"Bye\"\n";
    let wrong = [
        (
            format!("{ask}{email}{subject}{sent}"),
            vec![
                "call 1 is answered by",
                "script.toml:5: the run is not as the script says",
                "message.subject: expected \"The bill\", found \"The report\"",
                "message.body: expected \"contains \\\"Bye\\\"\", found \"Hello from a test.\"",
                "what the agent proposed:",
            ],
        ),
        (format!("{email}{sent}"), vec!["script.toml:2:", "expected: `holdshort:agent/email@0.1.0#send-email`", "guidance@0.1.0#ask"]),
        (ask.into(), vec!["expected: no further call", "found:    call 2: `holdshort:agent/email@0.1.0#send-email`"]),
        (format!("{ask}{email}{sent}{email}{sent}"), vec!["script.toml:9:", "the call was made 0 times, and then the agent returns"]),
        (format!("{ask}{email}verdict = \"clear\"\nok = {{ message-id = \"1\", accepted-by = \"me\" }}\n"), vec!["the verdict `clear`", "the verdict `hold`"]),
        (format!("{ask}{email}"), vec!["the call is held; write each decision into `decide`"]),
        (format!("{ask}{email}absent = [\"message.subject\"]\n{sent}"), vec!["message.subject: expected nothing, found \"The report\""]),
        (format!("{ask}{email}{sent}[end]\nok = \"done\"\n"), vec!["expected: the result `done`", "found:    the agent returns"]),
        (format!("{ask}{email}{sent}[end]\nerr-contains = \"no\"\n"), vec!["expected: an error that contains `no`"]),
        (format!("{ask}{email}{sent}[end]\ncalls = 3\n"), vec!["expected: 3 calls", "found:    2 calls"]),
        (
            format!("{ask}{email}decide = {{ edit.message.subject = 7 }}\nok = {{ message-id = \"1\", accepted-by = \"me\" }}\n"),
            vec!["expected: a decision that the host accepts", "message.subject"],
        ),
        (
            format!("{ask}{email}decide = [\"approve\", {{ approve = true, by = \"ann\" }}]\nok = {{ message-id = \"1\", accepted-by = \"me\" }}\n").replace("[\"approve\"", "[{ approve = true }"),
            vec!["expected: 2 decisions", "the call was over after 1"],
        ),
        (
            format!("{ask}[[whenever]]\nfunction = \"email#send-email\"\ntimes = 2\n{sent}"),
            vec!["`holdshort:agent/email@0.1.0#send-email`, 2 times", "the call was made 1 times"],
        ),
        (
            format!("{ask}[[whenever]]\nfunction = \"email#send-email\"\ntimes = 0\n{sent}"),
            vec!["expected: this call 0 times"],
        ),
    ];
    let count = wrong.len();
    for (script, texts) in wrong {
        differs(&folder, &script, task, &texts);
    }
    figure("T47", "ways in which a run can differ from its script", count as u64);

    folder.write("script.toml", ask);
    let said = folder.run(&[
        "run",
        component("scripted").to_str().unwrap(),
        "--script",
        "script.toml",
        "--task",
        task,
        "--json",
    ]);
    assert_eq!(said.status.code(), Some(DIFFERENT), "{said:?}");
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said["passed"], &said["difference"]["expected"]), (&json!(false), &json!("no further call")));
    assert_eq!(said["difference"]["arguments"]["message"]["subject"], "The report");
}

#[test]
fn the_configured_policies_give_the_verdict() {
    let folder = Folder::new(&[], "[policy]\nfiles = [\"calls.cedar\"]\n\n[email]\nown-domains = [\"example.org\"]\n");
    folder.write(
        "calls.cedar",
        r#"
permit (principal, action == Action::"decide", resource);
permit (principal, action == Action::"call", resource is email::SendEmail)
when { resource.facts.outside_recipients == 0 };

@why("never to eve")
forbid (principal, action == Action::"call", resource is email::SendEmail)
when { resource.arguments.message.to.items.contains("eve@example.com") };
"#,
    );
    let step = "[[call]]\nfunction = \"email#send-email\"\n";
    let sent = "ok = { message-id = \"1\", accepted-by = \"me\" }\n";
    let inside = "verdict = \"clear\"\nfacts = { outside-recipients = 0 }\n";
    let outside = "verdict = \"hold\"\nfacts = { outside-recipients = 1 }\ndecide = \"approve\"\n";
    let refused = "verdict = \"refuse\"\nbecause = \"never to eve\"\n";
    let task = "email ann@example.org A\nemail bob@example.com B\nemail eve@example.com C";
    passes(&folder, &format!("{step}{inside}{sent}{step}{outside}{sent}{step}{refused}"), task);
    let cleared = format!("{step}facts = {{ outside-recipients = 0 }}\ndecide = \"approve\"\n{sent}");
    differs(&folder, &cleared, "email ann@example.org A", &["the verdict `hold`", "the verdict `clear`"]);
    differs(
        &folder,
        &format!("{step}{inside}{sent}"),
        "email eve@example.com A",
        &["the verdict `refuse`", "never to eve"],
    );
    let because = format!("{step}verdict = \"refuse\"\nbecause = \"another\"\n");
    differs(&folder, &because, "email eve@example.com A", &["a reason with `another`"]);
}

#[test]
fn a_wrong_script_is_refused_with_its_line_and_key() {
    let folder = folder();
    let call = "[[call]]\nfunction = \"email#send-email\"\n";
    let routine = "[[call]]\nfunction = \"workspace#list-files\"\n";
    let wrong = [
        ("".into(), "the script has no steps"),
        ("[[call]]\nfuncton = \"a\"\n".into(), "script.toml:2:1: `call.functon`: unknown setting"),
        ("[[call]]\nok = 1\n".into(), "`function` is missing"),
        (
            "[[call]]\nfunction = \"email#send-mail\"\n".into(),
            "script.toml:2:12: `call.function`: the agent imports no function `email#send-mail`\nhint: did you mean `email#send-email`?",
        ),
        (
            format!("{call}arguments.message.two = 1\n"),
            "script.toml:3:1: `call.arguments`: `message.two`: expected a member of an object with `to`",
        ),
        (format!("{call}arguments.message.to = 1\n"), "`message.to`: expected an array, found 1"),
        (
            format!("{call}decide = \"approve\"\n"),
            "the script does not say what the connector answers\nhint: add `ok = { … }`, which is an object with `sent`, `message-id`, `accepted-by`",
        ),
        (
            format!("{call}decide = \"approve\"\nok = {{ message-id = \"1\" }}\n"),
            "script.toml:4:6: `call.ok`: `accepted-by`: expected a string, found nothing",
        ),
        (format!("{call}absent = [\"message.in-reply-too\"]\n"), "there is no `in-reply-too` in an object with `to`"),
        (format!("{routine}because = \"nothing\"\n"), "this function is routine"),
        (format!("{call}facts.model-uncertainty = 0.1\n"), "the host itself measures `model-uncertainty`"),
        (format!("{call}decide = \"aprove\"\n"), "script.toml:3:10: `call.decide`: expected \"approve\", a table"),
        (
            format!("{call}decide = {{ answer = \"yes\" }}\n"),
            "a question is answered, and every other call is approved",
        ),
        (format!("{call}decide = {{ approve = true, reject = \"no\" }}\n"), "a decision is one of"),
        (format!("{call}decide = \"approve\"\nin-doubt = \"lost\"\n"), "an effect in doubt is found out later"),
        (format!("{call}verdict = \"held\"\n"), "`held` is not a valid value"),
        (format!("{call}facts = {{ colour = \"red\" }}\n"), "does not declare the fact `colour`"),
        (format!("{call}times = 2\n"), "`times` is only for `[[whenever]]`"),
        (format!("{routine}decide = \"approve\"\nok = []\n"), "this function is routine"),
        (routine.into(), "the script does not say what the routine call returns"),
        (format!("{routine}ok = 7\n"), "`ok`: expected an array, found 7"),
        ("[[call]]\nfunction = \"log#log\"\n".into(), "a line for the log is no call"),
        ("[end]\nok = \"a\"\nerr = \"b\"\n".into(), "a run ends in one way"),
    ];
    let count = wrong.len();
    for (script, text) in wrong {
        let (code, said) = plays(&folder, &script, "list");
        assert_eq!(code, Some(2), "{script}\n{said}");
        assert!(said.contains(text), "no `{text}` in {said}");
    }
    figure("T47", "wrong scripts that are refused with what is wrong", count as u64);

    let scripted = component("scripted");
    let run = |agent: &str, more: &[&str]| {
        let said = folder.run(&[&["run", agent, "--script"], more].concat());
        (said.status.code(), String::from_utf8(said.stderr).unwrap())
    };
    let (code, said) = run(scripted.to_str().unwrap(), &["missing.toml", "--task", "list"]);
    assert!(code == Some(2) && said.contains("cannot read the script `missing.toml`"), "{said}");
    folder.write("script.toml", &format!("{routine}ok = []\n"));
    let (code, said) = run(scripted.to_str().unwrap(), &["script.toml"]);
    assert!(code == Some(2) && said.contains("the script has no task"), "{said}");
    let (code, said) = run(component("third-party").to_str().unwrap(), &["script.toml", "--task", "x"]);
    assert!(code == Some(2) && said.contains("is not classified"), "{said}");
    let (code, said) = run("missing.wasm", &["script.toml", "--task", "x"]);
    assert!(code == Some(2) && said.contains("there is no file `missing.wasm`"), "{said}");
    let (code, said) = run(scripted.to_str().unwrap(), &["script.toml", "--task", "x", "--detach"]);
    assert!(code == Some(2) && said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_run_that_is_stopped_fails_the_script_unless_the_script_says_so() {
    let folder = folder();
    differs(&folder, "[end]\ncalls = 0\n", "panic", &["expected: a run that ends with `ok`", "the agent trapped"]);
    passes(&folder, "[end]\ntrapped = \"unreachable\"\n", "panic");
    differs(&folder, "[end]\ncalls = 0\n", "fail badly", &["the agent reports a failure: \"badly\""]);
    passes(&folder, "[end]\nerr = \"badly\"\n", "fail badly");
    folder.write("script.toml", "task = \"sleep=200000\"\n[end]\ncalls = 0\n");
    let said = folder.run(&["run", component("clock").to_str().unwrap(), "--script", "script.toml"]);
    assert_eq!(said.status.code(), Some(DIFFERENT), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("an agent that does not sleep for long"), "{said:?}");
}

#[test]
fn a_recorded_run_is_a_script_that_passes() {
    let folder = Folder::new(
        &["scripted"],
        "[deployment]\nrepository = \".\"\n[repository]\npath = \".\"\n[payments.accounts.main]\nopening = [\"100.00 EUR\"]\n",
    );
    let host = folder.serve();
    let task = "ask Shall \"I\"?\nemail ann@example.org A\nemail bob@example.org B\nemail cy@example.org C\npay main globex 500 EUR\npay other globex 500 EUR\nlist\nread missing.txt";
    let run = host.start("scripted", task);
    let decide = |how: &str, more: &Value| {
        let (status, said) = host.decide(&host.held(&run), how, more);
        assert_eq!(status / 100, 2, "{said}");
    };
    decide("respond", &json!({ "message": "yes, \"please\"\nnow" }));
    decide("reject", &json!({ "message": "Not to Ann." }));
    let held = host.held(&run);
    let mut arguments = held["proposal"]["action"]["arguments"].clone();
    arguments["message"]["subject"] = json!("Better");
    let (status, said) = host.decide(&held, "edit", &json!({ "arguments": arguments }));
    assert_eq!(status / 100, 2, "{said}");
    // The edit has new evidence, so it is no approval yet.
    let id = format!("{run}.3");
    if host.approval(&id)["state"] == "held" {
        host.approve(&host.approval(&id));
    }
    support::until("the fourth call", || {
        Some(()).filter(|()| {
            host.held(&run)["proposal"]["action"]["arguments"]["message"]["to"] == json!(["cy@example.org"])
        })
    });
    decide("approve", &json!({}));
    decide("approve", &json!({}));
    let over = host.over(&run);
    assert_eq!(over["state"], "finished", "{over}");
    assert_eq!(over["calls"], 8, "{over}");
    let recorded = folder.run(&["runs", "record", &run]);
    assert!(recorded.status.success(), "{recorded:?}");
    let script = String::from_utf8(recorded.stdout).unwrap();
    assert!(
        script.contains("edit.message]\nsubject = \"Better\"") || script.contains("subject = \"Better\""),
        "{script}"
    );
    assert!(script.contains("impossible = "), "an unknown account: {script}");
    folder.write("recorded.toml", &script);
    let play = |more: &[&str]| {
        let said = folder.run(&[&["run", "scripted", "--script", "recorded.toml"], more].concat());
        (
            said.status.code(),
            format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)),
        )
    };
    let (code, said) = play(&[]);
    assert_eq!(code, Some(0), "{said}\n{script}");
    figure("T47", "calls of a recorded run that its script repeats", 8);
    // Another task makes the agent do something else.
    let (code, said) = play(&["--task", &task.replace("cy@example.org C", "cy@example.org D")]);
    assert_eq!(code, Some(DIFFERENT), "{said}");
    assert!(said.contains("message.subject: expected \"C\", found \"D\""), "{said}");

    let open = host.start("scripted", "ask A?");
    host.held(&open);
    let said = folder.run(&["runs", "record", &open]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("cannot become a script: it is not over"), "{said:?}");
}

#[test]
fn another_component_is_compared_with_recorded_runs() {
    let folder = Folder::new(&["diverges-a"], "[deployment]\nrepository = \".\"\n[repository]\npath = \".\"\n");
    let host = folder.serve();
    let [done, open, cancelled] = [(), (), ()].map(|()| host.start("diverges-a", ""));
    for run in [&done, &open, &cancelled] {
        host.held(run);
    }
    let (status, said) = host.decide(&host.held(&done), "respond", &json!({ "message": "yes" }));
    assert_eq!(status, 200, "{said}");
    assert_eq!(host.over(&done)["state"], "finished");
    assert_eq!(host.post(&format!("/v1/runs/{cancelled}/cancel"), &json!({})).0, 200);
    let events = |run: &String| host.events(run).len();
    let before = [&done, &open, &cancelled].map(events);

    let replay = |of: &[&str], with: &str| {
        let with = component(with);
        let said = folder.run(&[&["runs", "replay"], of, &["--with", with.to_str().unwrap()]].concat());
        let text = [&said.stdout, &said.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap()).concat();
        (said.status.code(), text)
    };
    let (code, said) = replay(&["--agent", "diverges-a", "--since", "1h"], "diverges-a");
    assert_eq!(code, Some(0), "{said}");
    for text in [
        "the same: 3 calls",
        "the same as far as the record goes, 3 calls: call 3 has no answer yet",
        "a reviewer cancelled it",
        "3 runs: 1 the same, 2 the same so far, 0 different, 0 not compared",
    ] {
        assert!(said.contains(text), "no `{text}` in {said}");
    }
    let (code, said) = replay(&[&done], "diverges-b");
    assert_eq!(code, Some(DIFFERENT), "{said}");
    for text in
        ["differs at call 2", "holdshort:agent/workspace@0.1.0#read-file", "a.txt", "b.txt", "1 run: 0 the same"]
    {
        assert!(said.contains(text), "no `{text}` in {said}");
    }
    let (code, said) = replay(&["--agent", "diverges-a", "--json"], "scripted");
    assert_eq!(code, Some(DIFFERENT), "{said}");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[3]["summary"], json!({ "same": 0, "same_so_far": 0, "different": 3, "not_compared": 0 }));
    assert_eq!(lines[0]["difference"]["call"], 1);
    figure("T47", "recorded runs that another component was compared with", 3);

    assert_eq!([&done, &open, &cancelled].map(events), before, "nothing is written");
    let (code, said) = replay(&["0000000000000000"], "diverges-b");
    assert!(code == Some(1) && said.contains("there is no such run"), "{said}");
    let (code, said) = replay(&[&done], "third-party");
    assert!(code == Some(2) && said.contains("is not classified"), "{said}");
    let (code, said) = replay(&[], "diverges-b");
    assert!(code == Some(2) && said.contains("required"), "{said}");
}

#[test]
fn policy_is_asked_about_the_call_that_another_component_makes() {
    let more = "[deployment]\nrepository = \".\"\n[repository]\npath = \".\"\n[policy]\nfiles = [\"calls.cedar\"]\n";
    let folder = Folder::new(&["scripted", "diverges-a"], more);
    folder.write(
        "calls.cedar",
        "@why(\"no questions\")\nforbid (principal, action == Action::\"call\", resource is guidance::Ask);\n",
    );
    let host = folder.serve();
    let run = host.start("scripted", "list\nread a.txt\nlist");
    assert_eq!(host.over(&run)["state"], "finished");
    let said = folder.run(&["runs", "replay", &run, "--with", component("diverges-a").to_str().unwrap()]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.contains("differs at call 3") && text.contains("policy on the new call: refuse"), "{text}");
}

/// A configuration with a connector for everything, each of which would leave a trace.
#[test]
fn nothing_of_the_configuration_is_reached() {
    let webhook = TcpListener::bind("127.0.0.1:0").unwrap();
    webhook.set_nonblocking(true).unwrap();
    let (folder, scratch) = (Folder::new(&[], ""), tempfile::tempdir().unwrap());
    folder.configure(&format!(
        r#"
[agents.scripted]
component = "{}"

[email]
path = "mail"

[payments.accounts.main]
opening = ["100.00 EUR"]

[deployment]
repository = "."
targets = {{ production = "refs/heads/main" }}
connector = "command"
command = ["touch", "deployed"]

[notify.chat]
url = "http://{}"
format = "chat"
allow-private = true
allow-http = true
events = ["approval.held", "run.finished"]
"#,
        component("scripted").display(),
        webhook.local_addr().unwrap()
    ));
    let (code, said) = {
        folder.write("script.toml", SCRIPT);
        let mut command = folder.command(&["run", "scripted", "--script", "script.toml", "--task", TASK]);
        let said = command.env("TMPDIR", scratch.path()).output().unwrap();
        (said.status.code(), format!("{said:?}"))
    };
    assert_eq!(code, Some(0), "{said}");
    let mut left: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".holdshort", "holdshort.toml", "script.toml"]);
    let state: Vec<String> = fs::read_dir(folder.path().join(".holdshort"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".gitignore" && name != "compiled")
        .collect();
    assert!(state.is_empty(), "beside the compiled code: {state:?}");
    assert!(webhook.accept().is_err(), "nobody is notified");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the scratch folder is removed");
}

#[path = "scripts/dev.rs"]
mod dev;
