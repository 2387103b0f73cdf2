//! `run`: it prints for each held call the commands that decide it, prints only the result on stdout, ends on Ctrl-C,
//! and uses a host that already runs.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::Value;

use crate::said::{Said, fails, holdshort, normal};
use crate::scene::{SHOP, in_file, letters, post_office, shop};
use crate::support::{Folder, HOLDSHORT, component, until};

/// A command that runs in the background and writes its output into files.
struct Running(Child);

impl Running {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        Self(folder.command(arguments).stdout(file("out")).stderr(file("err")).spawn().unwrap())
    }

    /// Waits for the command that `run` prints for the next decision, and returns it.
    fn printed(folder: &Folder, begins: &str) -> String {
        in_file(begins, &folder.path().join("err"), |said| {
            let complete = said.rfind('\n')?;
            said[..complete].lines().map(str::trim).rfind(|line| line.starts_with(begins)).map(str::to_owned)
        })
    }

    fn ended(mut self, folder: &Folder) -> Said {
        let status = until("end of the command", || self.0.try_wait().unwrap());
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        Said { code: status.code(), out: read("out"), err: read("err") }
    }

    fn interrupt(&self) {
        assert!(Command::new("kill").args(["-s", "INT", &self.0.id().to_string()]).status().unwrap().success());
    }
}

/// Runs a printed line, as a person does who copies it.
fn in_shell(folder: &Folder, line: &str) -> Said {
    let programs = Path::new(HOLDSHORT).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-c", line]).current_dir(folder.path()).env("PATH", path).output().unwrap();
    Said::from(output)
}

#[test]
fn a_file_is_not_the_agent_that_is_called_like_it() {
    let folder = post_office("");
    let section = "[agents.scripted]\n";
    let config = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    folder.configure(&config.replace(section, &format!("{section}workspace = \"files\"\n")));
    folder.write("files/plan.txt", "secret");
    std::fs::copy(component("scripted"), folder.path().join("scripted.wasm")).unwrap();
    let listed = |agent: &str| holdshort(&folder, &["run", agent, "--task", "list"]).exits(0).out;
    assert!(listed("scripted").contains("plan.txt"));
    assert!(!listed("scripted.wasm").contains("plan.txt"), "the workspace is the configured agent's alone");
}

#[test]
fn the_printed_curl_line_moves_the_branch() {
    let (folder, repository) = shop(&[]);
    let wanted = repository.tip("main");
    let release = component("release");
    let run = Running::start(&folder, &["run", release.to_str().unwrap(), "--task", "main to production"]);
    let curl = Running::printed(&folder, "curl ");
    let answer = in_shell(&folder, &curl).exits(0).json();
    assert_eq!(answer["state"], "approved", "{answer}");
    let said = run.ended(&folder).exits(0);
    assert_eq!(repository.tip("production"), wanted);
    let short = &wanted[..12];
    assert!(said.out.starts_with(&format!("deployed {short} to production")), "the result alone: {said:?}");
    assert_eq!(said.out.lines().count(), 1, "{said:?}");
    assert!(!folder.path().join(".holdshort/journal.db.address").exists(), "nobody is sent to where nobody is");
    for part in [
        "deploy COMMIT12 to production: moves ",
        "RUN.4 is held. To approve exactly this:\n",
        "RUN.4 is approved by olivia\n",
        "RUN.4 is done\n",
    ] {
        assert!(normal(&said.err, &folder).contains(part), "{part}: {}", said.err);
    }
    assert!(!said.err.contains('\u{1b}') && !said.err.contains('\r'), "no colours without a terminal: {said:?}");
}

#[test]
fn the_printed_holdshort_lines_decide() {
    let (folder, repository) = shop(&[]);
    // A configuration file with another name. The printed commands must reach the same host.
    std::fs::rename(folder.path().join("holdshort.toml"), folder.path().join("the shop.toml")).unwrap();
    let release = component("release");
    let arguments = ["--config", "the shop.toml", "run", release.to_str().unwrap(), "--task", "", "--json"];
    let run = Running::start(&folder, &arguments);
    let reject = Running::printed(&folder, "holdshort --config 'the shop.toml' approvals reject ");
    in_shell(&folder, &reject.replace("what to change", "keep it short")).exits(0);
    let first = reject.split_whitespace().find(|word| word.ends_with(".4")).unwrap().to_owned();
    let second = first.replace(".4", ".5");
    let approve = Running::printed(&folder, &format!("holdshort --config 'the shop.toml' approvals approve {second}"));
    // The printed command asks a question, so it needs a terminal. The program `script` provides one.
    let typed = format!("echo y | script --quiet --return --command \"{approve}\" /dev/null");
    in_shell(&folder, &typed).exits(0);
    let said = run.ended(&folder).exits(0);
    assert_eq!(repository.tip("production"), repository.tip("main"));
    assert_eq!(said.json()["state"], "finished");
    assert!(said.err.contains(&format!("{first} is rejected by olivia: \"keep it short\"")), "{said:?}");
}

#[test]
fn a_question_is_printed_with_how_to_answer() {
    let (folder, _) = shop(&[]);
    let scripted = component("scripted");
    let run = Running::start(&folder, &["run", scripted.to_str().unwrap(), "--task", "ask Shall I?\nask Again?"]);
    let respond = Running::printed(&folder, "holdshort approvals respond ");
    in_shell(&folder, &respond.replace("your answer", "yes")).exits(0);
    let second = respond.split_whitespace().nth(3).unwrap().replace(".1", ".2");
    Running::printed(&folder, &format!("holdshort approvals respond {second} "));
    let path = format!("/v1/approvals/{second}/decisions ");
    let curl =
        until("line for the second", || Some(Running::printed(&folder, "curl ")).filter(|line| line.contains(&path)));
    let answer = in_shell(&folder, &curl.replace("your answer", "not now")).exits(0).json();
    assert_eq!(answer["state"], "answered", "{answer}");
    let said = run.ended(&folder).exits(0);
    assert_eq!(said.out, "ok \"yes\"\nok \"not now\"\n");
    assert!(!said.err.contains("approvals approve"), "{said:?}");
}

#[test]
fn what_the_agent_says_on_the_way_stands_between_what_happens() {
    let (folder, _) = shop(&[]);
    let scripted = component("scripted");
    let task = "log before\u{1b}[2J\u{202e}\nask Shall I?\nlog after";
    let run = Running::start(&folder, &["run", scripted.to_str().unwrap(), "--task", task, "--json"]);
    let respond = Running::printed(&folder, "holdshort approvals respond ");
    in_shell(&folder, &respond).exits(0);
    let said = run.ended(&folder).exits(0);
    assert_eq!(said.json()["state"], "finished", "the result alone on stdout");
    assert!(!said.err.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    let told = normal(&said.err, &folder);
    let place = |part: &str| told.find(part).unwrap_or_else(|| panic!("{part}: {told}"));
    let parts = [
        "\nRUN says (info): before<U+001B>[2J<U+202E>\n",
        "\nRUN.1 is a question, and the agent waits for the answer:\n",
        "\nRUN.1 is answered by olivia: \"your answer\"\n",
        "\nRUN says (info): after\n",
    ];
    assert!(parts.windows(2).all(|two| place(two[0]) < place(two[1])), "{told}");
    assert_eq!(told.matches(" says (").count(), 2, "each line once: {told}");
}

#[test]
fn whoever_starts_a_host_with_checks_is_told_that_they_are_trusted() {
    let note = "note: checks run the repository's own code unconfined, as the host's user";
    let (folder, _) = shop(&[]);
    let scripted = component("scripted");
    let said = holdshort(&folder, &["run", scripted.to_str().unwrap(), "--task", "log hello"]).exits(0);
    assert!(said.err.starts_with(note) && said.err.matches("note: ").count() == 1, "{said:?}");
    // Without configured checks there is no note.
    let folder = Folder::new(&[], "");
    let command = component("command");
    let said = holdshort(&folder, &["run", command.to_str().unwrap(), "--task", "hello"]).exits(0);
    assert!(!said.err.contains("note: "), "{said:?}");
}

#[test]
fn a_run_that_fails_says_why_and_prints_no_result() {
    let (folder, _) = shop(&[]);
    let scripted = component("scripted");
    let file = scripted.to_str().unwrap();
    fails("run-fails", &folder, &["run", file, "--task", "fail there is nothing to do"]).exits(3);
    fails("run-traps", &folder, &["run", file, "--task", "panic"]).exits(3);
    let said = holdshort(&folder, &["run", file, "--task", "fail no", "--json"]).exits(3);
    assert_eq!(said.json()["result"]["err"], "no");
}

#[test]
fn a_result_is_shown_as_it_is_and_commands_no_terminal() {
    let (folder, _) = shop(&[]);
    folder.write("files/a.txt", "one\u{1b}[2Jtwo\u{202e}");
    folder.configure(&format!(
        "{SHOP}[agents.scripted]\ncomponent = \"{}\"\nworkspace = \"files\"\n",
        component("scripted").display()
    ));
    let said = holdshort(&folder, &["run", "scripted", "--task", "read a.txt"]).exits(0);
    assert!(!said.out.contains(['\u{1b}', '\u{202e}']) && said.out.starts_with("ok \"one"), "{said:?}");
}

#[test]
fn ctrl_c_leaves_the_run_parked_and_serve_goes_on_with_it() {
    let folder = post_office("");
    let run = Running::start(&folder, &["run", "scripted", "--task", "email bob@example.org Hello"]);
    let approve = Running::printed(&folder, "holdshort approvals approve ");
    let id = approve.split_whitespace().last().unwrap().to_owned();
    run.interrupt();
    let said = run.ended(&folder).exits(130);
    assert!(!folder.path().join(".holdshort/journal.db.address").exists(), "nobody is sent to where nobody is");
    let parked = "RUN is parked, and nothing is lost. Start `holdshort serve` here to continue the run; then `holdshort runs show RUN` shows its state.\n";
    assert!(normal(&said.err, &folder).ends_with(parked) && said.out.is_empty(), "{said:?}");
    let host = folder.serve();
    host.approve(&host.approval(&id));
    host.effect(&id, "succeeded");
    let row = host.over(id.split('.').next().unwrap());
    assert_eq!((row["state"].as_str(), letters(&folder)), (Some("finished"), 1));
}

#[test]
fn a_host_that_is_there_already_runs_it() {
    let folder = post_office("");
    let host = folder.serve();
    let run = Running::start(&folder, &["run", "scripted", "--task", "email bob@example.org Hello"]);
    let curl = Running::printed(&folder, "curl ");
    assert!(curl.contains(&host.url), "{curl}");
    in_shell(&folder, &curl).exits(0);
    let said = run.ended(&folder).exits(0);
    assert!(said.err.starts_with(&format!("the host at {} runs the agent as ", host.url)), "{said:?}");
    assert!(said.out.starts_with("ok EmailReceipt") && letters(&folder) == 1, "{said:?}");

    let said = holdshort(&folder, &["run", "scripted", "--task", "email bob@example.org Again", "--detach"]).exits(0);
    let id = said.out.trim();
    assert!(said.err.is_empty() && id.len() == 16, "the id alone: {said:?}");
    host.held(id);
    let said = holdshort(&folder, &["run", "scripted", "--task", "list", "--detach", "--json"]).exits(0);
    assert_eq!(host.over(said.json()["id"].as_str().unwrap())["state"], "finished");

    // A component file that is not an agent of the running host is refused, even if the file exists.
    let trap = component("trap");
    fails("run-beside-a-host", &folder, &["run", trap.to_str().unwrap(), "--task", "x"]).exits(4);
}

#[test]
fn ctrl_c_beside_a_host_ends_the_watching_alone() {
    let folder = post_office("");
    let host = folder.serve();
    let run = Running::start(&folder, &["run", "scripted", "--task", "email bob@example.org Hello"]);
    let approve = Running::printed(&folder, "holdshort approvals approve ");
    let id = approve.split_whitespace().last().unwrap().to_owned();
    run.interrupt();
    let said = run.ended(&folder).exits(130);
    let goes_on = "RUN continues at the host; `holdshort runs show RUN` shows its state.\n";
    assert!(normal(&said.err, &folder).ends_with(goes_on), "{said:?}");
    host.approve(&host.approval(&id));
    host.effect(&id, "succeeded");
}

#[test]
fn progress_leaves_nothing_behind() {
    let folder = post_office("");
    let steps = [("To reject it:", "\u{3}")];
    let seen = crate::terminal::on_terminal(
        &folder,
        100,
        &["run", "scripted", "--task", "email bob@example.org Hello"],
        &steps,
    );
    assert_eq!(seen.code, 130, "{}", seen.screen);
    assert!(seen.raw.contains("compiling scripted"), "a sign of life: {}", seen.raw);
    let screen = seen.without_residue().screen;
    assert!(screen.contains("is parked, and nothing is lost."), "{screen}");
    assert!(screen.starts_with("note: checks run") && screen.contains("\nemail to bob@example.org"), "{screen}");
    assert!(!["compiling", "is running", ".1 is held   "].iter().any(|left| screen.contains(left)), "{screen}");
}

#[test]
fn json_stays_json_whatever_happens() {
    let (folder, _) = shop(&["scripted"]);
    let said = holdshort(&folder, &["run", "scripted", "--task", "log hello", "--json"]).exits(0);
    let row: Value = said.json();
    assert_eq!((&row["state"], &row["agent"]), (&"finished".into(), &"scripted".into()));
}
