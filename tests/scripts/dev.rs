//! `holdshort dev` builds and tests again after each change, and ends with all that it started.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Folder, component, until};

const BUILD: &str = "#!/bin/sh\nset -e\ntest ! -f src/slow || { echo $$ >slow; exec sleep 600; }\ngrep -q agent src/agent.txt\necho lock >>build.lock\ncp \"$1\" agent.wasm\n";

fn script(expected: &str) -> String {
    format!("task = \"log hello\"\n\n[end]\nok-contains = \"{expected}\"\n")
}

/// The project of an agent whose build copies a component.
fn project() -> Folder {
    let built = component("scripted");
    let folder = Folder::new(
        &[],
        &format!(
            "[agents.my-agent]\ncomponent = \"agent.wasm\"\nbuild = [\"sh\", \"build.sh\", \"{}\"]\n",
            built.display()
        ),
    );
    folder.write("build.sh", BUILD);
    folder.write("src/agent.txt", "an agent\n");
    folder.write("decisions.toml", &script("ok"));
    folder
}

struct Dev {
    child: Child,
    said: Receiver<String>,
}

impl Dev {
    fn start(folder: &Folder) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdshort"));
        command.arg("dev").current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, said) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Self { child, said }
    }

    /// All lines up to one that contains this text.
    fn until(&self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let line =
                self.said.recv_timeout(Duration::from_secs(120)).unwrap_or_else(|_| panic!("no `{text}` in {all}"));
            all += &line;
            all.push('\n');
            if line.contains(text) {
                return all;
            }
        }
    }

    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap().code()
    }
}

#[test]
fn an_agent_is_built_and_tested_again_after_each_change() {
    let folder = project();
    let dev = Dev::start(&folder);
    assert!(dev.until("waiting for a change").contains("the test passed"));
    // The lock file that the build changes is no reason to build again: the next line is about the next change.
    folder.write("decisions.toml", &script("something else"));
    let said = dev.until("waiting for a change");
    assert!(said.contains("the test failed") && said.matches("building: ").count() == 1, "{said}");
    folder.write("src/agent.txt", "nothing\n");
    let said = dev.until("waiting for a change");
    assert!(said.contains("the build failed") && !said.contains("the test"), "{said}");
    folder.write("src/agent.txt", "an agent again\n");
    folder.write("decisions.toml", &script("ok"));
    dev.until("the test passed");
    let builds = fs::read_to_string(folder.path().join("build.lock")).unwrap().lines().count();
    assert!((3..=4).contains(&builds), "{builds} builds of three states; two files may change one after the other");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn ctrl_c_ends_a_build_too() {
    let folder = project();
    folder.write("src/slow", "");
    let dev = Dev::start(&folder);
    let build = until("the build", || fs::read_to_string(folder.path().join("slow")).ok()?.trim().parse::<i32>().ok());
    assert_eq!(dev.interrupt(), Some(0));
    until("the end of the build", || rustix::process::test_kill_process(Pid::from_raw(build)?).is_err().then_some(()));
}

#[test]
fn a_folder_without_a_project_is_told_what_to_write() {
    let said = |folder: &Folder, arguments: &[&str]| {
        let said = folder.run(&[&["dev"], arguments].concat());
        (said.status.code(), String::from_utf8(said.stderr).unwrap())
    };
    let folder = Folder::new(&[], "[agents.a]\ncomponent = \"a.wasm\"\n");
    for (arguments, why) in [(&[][..], "no agent with a `build`"), (&["b"], "no agent `b` with a `build`")] {
        let (code, text) = said(&folder, arguments);
        assert!(code == Some(2) && text.contains(why) && text.contains("build = ["), "{text}");
    }
    let agent = |name: &str| format!("[agents.{name}]\ncomponent = \"{name}.wasm\"\nbuild = [\"true\"]\n");
    let folder = Folder::new(&[], &(agent("a") + &agent("b")));
    assert!(said(&folder, &[]).1.contains("name one of them"));
    let (code, text) = said(&folder, &["a"]);
    assert!(code == Some(2) && text.contains("there is no script `decisions.toml`"), "{text}");
}
