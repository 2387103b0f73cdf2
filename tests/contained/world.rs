//! A machine with a host: its folder with a token and a journal, a repository with a secret branch, an endpoint,
//! sockets, and a process.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use holdshort::agent::functions;
use holdshort::connectors::checks::{Check, Checks};
use holdshort::connectors::child::Children;
use holdshort::connectors::confined::{NoSandbox, Sandbox, SandboxAccess};
use holdshort::connectors::git::Git;
use holdshort::connectors::{Routine, RoutineCall};
use holdshort_gate::{Action, Digest, RunId};
use serde_json::{Value, json};

use super::skipped::skipped;

/// The beginning of every secret that a check must not get. After it comes the name of the place of the secret.
pub const SECRET: &str = "swordfish";

/// The sandbox of this machine, or `None`.
pub fn sandbox() -> Option<Sandbox> {
    static FOUND: LazyLock<Result<Sandbox, NoSandbox>> = LazyLock::new(Sandbox::find);
    match &*FOUND {
        Ok(sandbox) => Some(sandbox.clone()),
        Err(why) => {
            skipped(&format!("the sandbox of checks: {why}; install bubblewrap"));
            None
        }
    }
}

/// The result of a check, as the agent gets it.
#[derive(Debug)]
pub struct Ended {
    pub passed: bool,
    pub status: i64,
    pub output: String,
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub endpoint: TcpListener,
    pub abstract_name: String,
    _sockets: [UnixListener; 2],
    /// A process of the host's user, with a secret in its environment.
    pub victim: Child,
}

impl World {
    pub fn new() -> Self {
        // Descriptors that the test's parent left open must not reach the check. The program closes such descriptors
        // too when it starts.
        close_fds::set_fds_cloexec(3, &[]);
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for made in ["host/.holdshort", "repository", "home"] {
            std::fs::create_dir_all(at(made)).unwrap();
        }
        for (path, place) in
            [("host/.holdshort/token", "token"), ("host/.holdshort/journal.db", "journal"), ("home/key", "home")]
        {
            std::fs::write(at(path), format!("{SECRET}-{place}\n")).unwrap();
        }
        let abstract_name = format!("holdshort-{}", std::process::id());
        let sockets = [
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap())
                .unwrap_or_else(|_| UnixListener::bind(at("other")).unwrap()),
            UnixListener::bind(at("host/.holdshort/socket")).unwrap(),
        ];
        let mut victim = Command::new("sleep");
        victim.arg("600").env("VICTIM", format!("{SECRET}-environment")).stdin(Stdio::null());
        let world = Self {
            endpoint: TcpListener::bind("127.0.0.1:0").unwrap(),
            abstract_name,
            _sockets: sockets,
            victim: victim.spawn().unwrap(),
            folder,
        };
        world.make_repository();
        world
    }

    /// The branch `main` contains a link to the token, and has a tag. The branch `private` has its own file.
    fn make_repository(&self) {
        self.git(&["init", "-q", "-b", "main", "."]);
        let repository = self.path("repository");
        std::os::unix::fs::symlink(self.path("host/.holdshort/token"), repository.join("link")).unwrap();
        std::fs::write(repository.join("a.txt"), "1\n").unwrap();
        std::fs::write(
            repository.join("hello.c"),
            "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n",
        )
        .unwrap();
        self.git(&["add", "--all", "."]);
        self.git(&["commit", "-q", "-m", "one"]);
        self.git(&["tag", "-a", "v1.0", "-m", "the first"]);
        std::fs::write(repository.join("a.txt"), "2\n").unwrap();
        self.git(&["commit", "-q", "-a", "-m", "two"]);
        self.git(&["checkout", "-q", "-b", "private"]);
        std::fs::write(repository.join("private.txt"), format!("{SECRET}-branch\n")).unwrap();
        self.git(&["add", "--all", "."]);
        self.git(&["commit", "-q", "-m", "private"]);
        self.git(&["tag", "private-tag"]);
        self.git(&["checkout", "-q", "main"]);
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(arguments);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.path("home"));
        let output = command.current_dir(self.path("repository")).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Runs `script` as a check on `main`. The words in capitals are replaced by places of this world.
    pub async fn run(&self, script: &str, confined: Option<(Sandbox, SandboxAccess)>, time_out: Duration) -> Ended {
        let argv = ["sh", "-c", &self.filled_in(script)].map(str::to_owned).to_vec();
        self.run_argv(argv, confined, time_out, &[]).await
    }

    pub async fn run_argv(
        &self,
        argv: Vec<String>,
        confined: Option<(Sandbox, SandboxAccess)>,
        time_out: Duration,
        environment: &[&str],
    ) -> Ended {
        let check = Check {
            argv,
            time_out,
            revisions: vec!["main".parse().unwrap()],
            environment: environment.iter().map(|name| (*name).to_owned()).collect(),
            confined,
        };
        let checks = self.checks(check, &self.path("host/.holdshort/checkouts"));
        ended(&checks).await
    }

    pub fn checks(&self, check: Check, scratch: &Path) -> Checks {
        let children = Children::open(&self.path("host/.holdshort/children")).unwrap();
        let named = BTreeMap::from([("tests".to_owned(), check)]);
        Checks::open(Git::at(&self.path("repository")), named, children, scratch.to_owned()).unwrap()
    }

    fn filled_in(&self, script: &str) -> String {
        let text = |path: &str| self.path(path).to_str().unwrap().to_owned();
        [
            ("STATE", text("host/.holdshort")),
            ("HOST", text("host")),
            ("REPOSITORY", text("repository")),
            ("PORT", self.endpoint.local_addr().unwrap().port().to_string()),
            ("ABSTRACT", self.abstract_name.clone()),
            ("VICTIM", self.victim.id().to_string()),
            ("US", std::process::id().to_string()),
            ("PRIVATE", self.git(&["rev-parse", "private:private.txt"])),
        ]
        .into_iter()
        .fold(script.to_owned(), |script, (name, value)| script.replace(name, &value))
    }

    /// Waits until no process of this machine has `text` in its command line. Fails if one remains.
    pub async fn has_lost(&self, text: &str, way: &str) {
        for _ in 0..200 {
            if !self.has_process(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{way}: a process is left");
    }

    fn has_process(&self, text: &str) -> bool {
        std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
            let mut line = Vec::new();
            let read =
                std::fs::File::open(entry.path().join("cmdline")).and_then(|mut file| file.read_to_end(&mut line));
            read.is_ok() && String::from_utf8_lossy(&line).contains(text)
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.victim.kill().unwrap();
        self.victim.wait().unwrap();
    }
}

/// Asks for the check, as an agent does.
pub async fn ended(checks: &Checks) -> Ended {
    let import =
        functions().unwrap().into_iter().find(|import| import.capability.interface().contains("/checks@")).unwrap();
    let arguments = json!({ "name": "tests", "revision": "main" });
    let action = Action::new(Digest::of(b"component"), import.capability, &import.ty, &arguments).unwrap();
    let answer = checks
        .answer(RoutineCall { agent: &"tester".into(), run: &RunId("r1".into()), action: &action })
        .await
        .unwrap();
    let report = answer.get("ok").unwrap_or_else(|| panic!("{answer}"));
    Ended {
        passed: report["passed"] == Value::Bool(true),
        status: report["exit-status"].as_i64().unwrap(),
        output: report["output-tail"].as_str().unwrap().to_owned(),
    }
}
