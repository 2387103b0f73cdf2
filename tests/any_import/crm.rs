//! A customer system of another company: the agent `third-party`, an operator's folder, and programs that write down
//! their input.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Folder, Host, top};

/// The interface of `guest-examples/fixtures/third-party/wit/crm.wit`.
pub const CONTACTS: &str = "acme:crm/contacts@1.0.0";

/// All functions of the interface are consequential, except `find-contact`, which is routine.
pub const RULES: &str = r##"
[capabilities."acme:crm/contacts@1.0.0#*"]
class = "consequential"
command = ["tools/act"]
not-done-codes = [4]
lookup = ["tools/lookup"]
preview = ["tools/preview"]

[capabilities."acme:crm/contacts@1.0.0#find-contact"]
class = "routine"
command = ["tools/find"]
"##;

pub struct Crm(pub Folder);

impl Crm {
    /// A folder with two programs that run the scripts `act` and `lookup`. Each program first writes down the attempt
    /// that it ran for, and its input.
    pub fn new(act: &str, lookup: &str) -> Self {
        Self::within(Folder::new(&["third-party"], RULES), act, lookup)
    }

    /// Like `new`, in a folder that already has a configuration.
    pub fn within(folder: Folder, act: &str, lookup: &str) -> Self {
        let crm = Self(folder);
        crm.program("act", act);
        crm.program("lookup", lookup);
        crm.program("preview", "echo \"the contact, as $HOLDSHORT_CAPABILITY would find it\"");
        let found = fs::read_to_string(data("found.json")).unwrap();
        crm.0.write("found.json", &json!({ "ok": serde_json::from_str::<Value>(&found).unwrap() }).to_string());
        crm.program("find", "cat found.json");
        crm
    }

    /// Writes a shell script into `tools/`.
    pub fn program(&self, name: &str, script: &str) {
        let recording = format!(
            "#!/bin/sh\ncat > got-{name}\necho \"$HOLDSHORT_RUN $HOLDSHORT_ATTEMPT $HOLDSHORT_KEY\" >> ran-{name}\n"
        );
        executable(&self.0.write(&format!("tools/{name}"), &(recording + script + "\n")));
    }

    /// How many times the program `name` ran for the run.
    /// One text for each time that the program `name` ran for the run: the run, the attempt and the key.
    pub fn ran(&self, name: &str, run: &str) -> usize {
        self.attempts(name, run).len()
    }

    /// The run, the attempt and the key of each time that a program ran for a run.
    pub fn attempts(&self, name: &str, run: &str) -> Vec<String> {
        let ran = fs::read_to_string(self.0.path().join(format!("ran-{name}"))).unwrap_or_default();
        ran.lines().filter(|line| line.starts_with(run)).map(str::to_owned).collect()
    }

    /// The input of a program when it ran last.
    pub fn got(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(format!("got-{name}"))).unwrap()
    }
}

/// Starts `delete ID` with a reason, and waits until the call is held.
pub fn delete(host: &Host, id: &str) -> (String, Value) {
    let run = host.start("third-party", &format!("delete {id} moved away"));
    let approval = host.held(&run);
    (run, approval)
}

/// What the agent returned at its end.
pub fn result(host: &Host, run: &str) -> Value {
    host.over(run)["result"].clone()
}

pub fn executable(path: &PathBuf) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn data(name: &str) -> PathBuf {
    top().join("tests/data/any_import").join(name)
}
