//! Somebody else's customer system: the agent `third-party`, an operator's folder, and programs that write down what they get.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Folder, Host, top};

/// The interface of `guest-examples/fixtures/third-party/wit/crm.wit`.
pub const CONTACTS: &str = "acme:crm/contacts@1.0.0";

/// Every function is consequential, except one that has a section of its own.
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
    /// With programs that do as `act` and `lookup` say; each starts by writing down for which attempt it ran, and what it got.
    pub fn new(act: &str, lookup: &str) -> Self {
        Self::within(Folder::new(&["third-party"], RULES), act, lookup)
    }

    /// The same in a folder with a configuration of its own.
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

    /// A shell script in `tools/`.
    pub fn program(&self, name: &str, script: &str) {
        let recording = format!(
            "#!/bin/sh\ncat > got-{name}\necho \"$HOLDSHORT_RUN $HOLDSHORT_ATTEMPT $HOLDSHORT_KEY\" >> ran-{name}\n"
        );
        executable(&self.0.write(&format!("tools/{name}"), &(recording + script + "\n")));
    }

    /// How often a program ran for a run.
    pub fn ran(&self, name: &str, run: &str) -> usize {
        self.attempts(name, run).len()
    }

    /// For each time that a program ran for a run: the run, the attempt and the key.
    pub fn attempts(&self, name: &str, run: &str) -> Vec<String> {
        let ran = fs::read_to_string(self.0.path().join(format!("ran-{name}"))).unwrap_or_default();
        ran.lines().filter(|line| line.starts_with(run)).map(str::to_owned).collect()
    }

    /// What a program read when it ran last.
    pub fn got(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(format!("got-{name}"))).unwrap()
    }
}

/// Starts `delete ID REASON` and waits until it is held.
pub fn delete(host: &Host, id: &str) -> (String, Value) {
    let run = host.start("third-party", &format!("delete {id} moved away"));
    let approval = host.held(&run);
    (run, approval)
}

/// What the agent returned in the end.
pub fn result(host: &Host, run: &str) -> Value {
    host.over(run)["result"].clone()
}

pub fn executable(path: &PathBuf) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn data(name: &str) -> PathBuf {
    top().join("tests/data/any_import").join(name)
}
