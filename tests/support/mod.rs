//! A host as its users meet it: the real binary in its own folder, used through its command line and over HTTP.
//!
//! Each test file includes this module (`#[path = "support/mod.rs"] mod support;`) and uses a part of it.
#![allow(dead_code, reason = "each test file uses a part of this")]

pub mod evidence;
pub mod skipped;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a test waits before it gives up. It is far longer than needed, because other programs may slow the machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub const HOLDSHORT: &str = env!("CARGO_BIN_EXE_holdshort");

/// The top folder of this project's repository.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A committed component of `guest-examples/built`.
pub fn component(name: &str) -> PathBuf {
    top().join("guest-examples/built").join(format!("{name}.wasm"))
}

/// Calls `ask` again and again until it returns a value. Panics with `what` if it never does.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "still no {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The values that a signed-in browser sends with each request.
pub struct SignedIn {
    pub cookie: String,
    /// The host name of the session, with the port.
    pub host: String,
}

/// The `Host` of a sign-in link, and the code in the link.
pub fn host_and_code(link: &Value) -> (String, String) {
    let url = link["url"].as_str().unwrap();
    let (host, query) = url.strip_prefix("http://").unwrap().split_once("/sign-in?code=").unwrap();
    (host.to_owned(), query.split('&').next().unwrap().to_owned())
}

/// An operator's folder with a configuration. The folder is removed when this value is dropped.
pub struct Folder(TempDir);

impl Folder {
    /// A folder whose `holdshort.toml` configures these agents (named like their built components), followed by `more`.
    pub fn new(agents: &[&str], more: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let section = |name: &&str| format!("[agents.{name}]\ncomponent = \"{}\"\n\n", component(name).display());
        folder.configure(&(agents.iter().map(section).collect::<String>() + more));
        folder
    }

    /// Replaces the configuration.
    pub fn configure(&self, text: &str) {
        self.write("holdshort.toml", text);
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The journal of the host in this folder.
    pub fn journal(&self) -> PathBuf {
        self.path().join(".holdshort/journal.db")
    }

    /// The command line in this folder, without the variables of the tester's environment that could change the result.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HOLDSHORT);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null()).env("USER", "olivia");
        for name in ["HOLDSHORT_CONFIG", "HOLDSHORT_URL", "HOLDSHORT_TOKEN_FILE", "NO_COLOR", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the command line until it ends.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the host of this folder. The folder is returned too, because it must live as long as the host.
    pub fn into_served(self) -> (Self, Host) {
        let host = self.serve();
        (self, host)
    }

    /// Starts `holdshort serve` here on a free port and waits until it is ready.
    pub fn serve(&self) -> Host {
        self.serve_at("127.0.0.1:0", &[])
    }

    /// Like `serve`, with these environment variables.
    pub fn serve_with(&self, variables: &[(&str, &str)]) -> Host {
        self.serve_at("127.0.0.1:0", variables)
    }

    /// Like `serve_with`, at this address.
    pub fn serve_at(&self, listen: &str, variables: &[(&str, &str)]) -> Host {
        let mut command = self.command(&["serve", "--listen", listen]);
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (heard, lines) = (said.clone(), BufReader::new(child.stderr.take().unwrap()).lines());
        let hearing = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        let url = until("ready host", || {
            // First looks for the end, then for the address: a host may become ready and end between two looks.
            let ended = child.try_wait().unwrap().is_some() && hearing.is_finished();
            let said = said.lock().unwrap().clone();
            let at = said.split("is ready at ").nth(1).filter(|at| at.contains('\n'));
            assert!(at.is_some() || !ended, "the host ended: {said}");
            Some(at?.lines().next().unwrap().trim().to_owned())
        });
        let token = fs::read_to_string(self.path().join(".holdshort/token")).unwrap().trim().to_owned();
        Host { child, url, token, said }
    }
}

/// A running host.
pub struct Host {
    child: Child,
    pub url: String,
    /// The token of the local operator.
    pub token: String,
    said: Arc<Mutex<String>>,
}

impl Drop for Host {
    fn drop(&mut self) {
        // The host may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Host {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The text that the host has printed on stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the host has printed `text` on stderr, and returns everything printed so far.
    pub fn says(&self, text: &str) -> String {
        until(&format!("`{text}` on stderr"), || Some(self.said()).filter(|said| said.contains(text)))
    }

    /// Kills the host with `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{status}");
    }

    /// Kills the host with `kill -9`, for a caller that shares the host with other threads.
    pub fn kill_now(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Waits until the host ends by itself.
    pub fn ended(mut self) -> ExitStatus {
        until("end of the host", || self.child.try_wait().unwrap())
    }

    /// Ends the host as an operator does, with a signal.
    pub fn stop(self) -> ExitStatus {
        assert!(Command::new("kill").arg(self.pid().to_string()).status().unwrap().success());
        self.ended()
    }

    /// Sends a request to `path` as the reviewer with `token`. Returns the status and the JSON document.
    pub fn request(&self, token: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.try_request(token, path, body).unwrap_or_else(|error| panic!("{path}: {error}: {}", self.said()))
    }

    /// Like `request`, but returns an error if no answer comes: a host that is killed gives no answer.
    pub fn try_request(&self, token: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), ureq::Error> {
        self.try_request_once(token, path, body, None)
    }

    /// Like `try_request`, with an idempotency key, by which the host recognises a request that is sent again.
    pub fn try_request_once(
        &self,
        token: &str,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<(u16, Value), ureq::Error> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let (agent, url) = (config.new_agent(), format!("{}{path}", self.url));
        let bearer = format!("Bearer {token}");
        let mut response = match body {
            Some(body) => {
                let request = agent.post(url).header("Authorization", bearer);
                let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
                request.send_json(body)?
            }
            None => agent.get(url).header("Authorization", bearer).call()?,
        };
        let mut text = String::new();
        response.body_mut().as_reader().read_to_string(&mut text)?;
        Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, answer) = self.request(&self.token, path, None);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.request(&self.token, path, Some(body))
    }

    /// Starts a run and returns its id.
    pub fn start(&self, agent: &str, task: &str) -> String {
        let (status, answer) = self.post("/v1/runs", &json!({ "agent": agent, "task": task }));
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Signs in by a link, and returns what the browser sends from then on.
    pub fn sign_in(&self) -> SignedIn {
        let (status, link) = self.post("/v1/sign-in-links", &json!({}));
        assert_eq!(status, 201, "{link}");
        let (host, code) = host_and_code(&link);
        let agent = ureq::Agent::config_builder().max_redirects(0).build().new_agent();
        let form = agent.post(format!("{}/sign-in", self.url)).header("Host", &host);
        let reply = form.header("Origin", format!("http://{host}")).send_form([("code", code)]).unwrap();
        let cookie = reply.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        SignedIn { cookie, host }
    }

    /// A page of the review, as a signed-in browser gets it.
    pub fn page(&self, browser: &SignedIn, path: &str) -> String {
        let page = ureq::get(format!("{}{path}", self.url)).header("Cookie", &browser.cookie);
        let mut reply = page.header("Host", &browser.host).call().unwrap();
        reply.body_mut().read_to_string().unwrap()
    }

    pub fn show_run(&self, run: &str) -> Value {
        self.get(&format!("/v1/runs/{run}"))
    }

    pub fn approval(&self, id: &str) -> Value {
        self.get(&format!("/v1/approvals/{id}"))
    }

    /// Every event of a run.
    pub fn events(&self, run: &str) -> Vec<Value> {
        self.get(&format!("/v1/runs/{run}/events?limit=1000"))["events"].as_array().unwrap().clone()
    }

    /// The log lines of an agent, as `(level, message)`.
    pub fn logs(&self, run: &str) -> Vec<(String, String)> {
        let page = self.get(&format!("/v1/runs/{run}/logs?limit=1000"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        page["lines"].as_array().unwrap().iter().map(|line| (text(&line["level"]), text(&line["message"]))).collect()
    }

    /// The lines of `/metrics` that begin with `start`.
    pub fn metric_lines(&self, start: &str) -> Vec<String> {
        let text = self.get("/metrics");
        text.as_str().unwrap().lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }

    /// The value of a metric without labels in `/metrics`.
    pub fn figure(&self, name: &str) -> u64 {
        let text = self.get("/metrics");
        let line = text.as_str().unwrap().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no `{name}` in {text}")).parse().unwrap()
    }

    /// Waits until no run is in memory.
    pub fn all_parked(&self) {
        until("host without live runs", || (self.figure("holdshort_live_runs") == 0).then_some(()));
    }

    /// Waits until the run has a held call, and returns the approval of that call.
    pub fn held(&self, run: &str) -> Value {
        until("held call", || {
            let row = self.show_run(run);
            let call = row["waiting_for"].as_u64();
            let Some(call) = call else {
                let state = row["state"].as_str().unwrap();
                assert!(["running", "delayed", "sleeping", "waiting"].contains(&state), "{row}: {}", self.said());
                return None;
            };
            Some(self.approval(&format!("{run}.{call}"))).filter(|approval| approval["state"] == "held")
        })
    }

    /// Waits until the run is over, and returns its row.
    pub fn over(&self, run: &str) -> Value {
        until("end of the run", || {
            let row = self.show_run(run);
            let over = ["finished", "failed", "trapped", "cancelled", "diverged"];
            over.contains(&row["state"].as_str().unwrap()).then_some(row)
        })
    }

    /// Waits until the effect of the approval `id` is in `state`, and returns the approval.
    pub fn effect(&self, id: &str, state: &str) -> Value {
        until(&format!("effect that is {state} at {id}"), || {
            Some(self.approval(id)).filter(|approval| approval["effect"]["state"] == state)
        })
    }

    /// Sends a decision of this kind on the revision that `approval` shows, with the fields of `more`.
    pub fn decide(&self, approval: &Value, kind: &str, more: &Value) -> (u16, Value) {
        let mut decision = json!({ "type": kind, "digest": approval["digest"] });
        let fields = decision.as_object_mut().unwrap();
        fields.extend(more.as_object().cloned().unwrap_or_default());
        self.post(&format!("/v1/approvals/{}/decisions", approval["id"].as_str().unwrap()), &decision)
    }

    /// Approves the revision that `approval` shows.
    pub fn approve(&self, approval: &Value) -> Value {
        let (status, answer) = self.decide(approval, "approve", &json!({}));
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

/// A git repository with the branches `main` and, one commit behind it, `production`.
pub struct Repository(pub PathBuf);

impl Repository {
    /// A bare repository at `path`, as a server keeps it.
    pub fn bare(path: &Path) -> Self {
        let work = tempfile::tempdir().unwrap();
        let source = Self(work.path().to_path_buf());
        source.git(&["init", "--quiet", "--initial-branch=main"]);
        for (file, subject) in [("one", "The first commit"), ("two", "The second commit")] {
            fs::write(work.path().join(file), format!("{file}\n")).unwrap();
            source.git(&["add", "."]);
            source.git(&["commit", "--quiet", "--message", subject]);
            if file == "one" {
                source.git(&["branch", "production"]);
            }
        }
        source.git(&["clone", "--quiet", "--bare", ".", path.to_str().unwrap()]);
        Self(path.to_path_buf())
    }

    pub fn tip(&self, branch: &str) -> String {
        self.git(&["rev-parse", &format!("refs/heads/{branch}")])
    }

    /// Runs git without the tester's own settings.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.0)
            .args(["-c", "user.name=Test", "-c", "user.email=test@localhost"])
            .args(arguments)
            .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")])
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
