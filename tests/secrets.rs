//! Secrets do not leak. Each secret is marked, a host runs with them through successes and failures, and everything
//! that the host puts out is searched for the marks.
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
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use holdshort::connectors::secret::Secret;
use holdshort::connectors::smtp::{Encryption, Login, Relay};
use holdshort_gate::{RunId, Time};
use holdshort_journal::Journal;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{Folder, Host, Repository, component, evidence, until};

/// The log at the finest level of every crate that a secret passes through. Compilers are left out: they log so much
/// that the rest could not be read, and they see only components.
const TRACE: &str = "info,holdshort=trace,holdshort_journal=trace,hyper=trace,hyper_util=trace,axum=trace,tower=trace,tokio=trace,mio=trace,lettre=trace,ureq=trace,ureq_proto=trace,rustls=trace";
const PASSWORD: &str = "marked-password-Zq7";
const REVIEWER: &str = "marked-token-of-alice-Kx3";
const STRANGER: &str = "marked-token-of-nobody-Wv9";
const VARIABLE: &str = "marked-variable-Jt5";
const WEBHOOK: &str = "marked-webhook-key-of-24-bytes-Lp8";
const CHAT: &str = "marked-path-of-a-chat-Qd6";

/// The local operator's token, in the form that a token has.
fn operator() -> String {
    format!("holdshort_{}", URL_SAFE_NO_PAD.encode(b"marked-token-of-the-operator-Ng2"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A secret, in every form in which it might be put out.
struct Marked {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Marked {
    fn new(name: &'static str, secret: &[u8]) -> Self {
        let lower = hex(secret);
        let mut forms = vec![secret.to_vec(), lower.to_uppercase().into_bytes(), lower.into_bytes()];
        // Base64 of a text that contains the secret depends on the secret's offset modulo three. The inner characters
        // are the same each time, so they are searched for.
        for before in 0..3 {
            let padded = [vec![0; before], secret.to_vec()].concat();
            for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let text = alphabet.encode(&padded);
                let begin = (before * 8).div_ceil(6);
                forms.push(text.as_bytes()[begin..text.len() - 1].to_vec());
            }
        }
        // The secret as a list of numbers, the form in which `Debug` prints bytes.
        forms.push(secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes());
        Self { name, forms }
    }

    fn stands_in(&self, output: &[u8]) -> bool {
        self.forms.iter().any(|form| output.windows(form.len()).any(|window| window == form))
    }
}

/// Every output that is searched, with its name.
#[derive(Default)]
struct Outputs(Vec<(String, Vec<u8>)>);

impl Outputs {
    fn add(&mut self, name: impl Into<String>, output: impl Into<Vec<u8>>) {
        self.0.push((name.into(), output.into()));
    }

    /// Runs a command, and keeps everything that it prints.
    fn run(&mut self, folder: &Folder, arguments: &[&str]) {
        let output = folder.command(arguments).env("RUST_LOG", TRACE).env("MARKED", VARIABLE).output().unwrap();
        self.add(format!("{arguments:?}"), [output.stdout, output.stderr].concat());
    }

    fn ask(&mut self, host: &Host, token: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, answer) = host.request(token, path, body);
        self.add(path, answer.to_string());
        (status, answer)
    }

    fn assert_clean(&self, secrets: &[Marked]) {
        for (name, output) in &self.0 {
            for secret in secrets {
                let text = String::from_utf8_lossy(output);
                assert!(!secret.stands_in(output), "{} stands in {name}:\n{text}", secret.name);
            }
        }
    }
}

/// A relay that refuses every login and quotes in its answer what the client sent.
fn indiscreet() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            stream.write_all(b"220 hello\r\n").unwrap();
            for line in lines.map_while(Result::ok) {
                let answer = match line.split(' ').next().unwrap() {
                    "EHLO" => "250-relay\r\n250 AUTH PLAIN LOGIN\r\n".into(),
                    "AUTH" => format!("535 no: `{line}` is not {PASSWORD}\r\n"),
                    _ => "221 bye\r\n".into(),
                };
                drop(stream.write_all(answer.as_bytes()));
            }
        }
    });
    port
}

/// An operator's folder in which every secret is marked.
fn office() -> Folder {
    let folder = Folder::new(&[], "");
    let private = |name: &str, text: &str| {
        let path = folder.write(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    private(".holdshort/token", &operator());
    private("password", PASSWORD);
    private("webhook", &format!("whsec_{}\n", STANDARD.encode(WEBHOOK)));
    private("chat", &format!("http://127.0.0.1:9/{CHAT}?{CHAT}"));
    fs::set_permissions(folder.path().join(".holdshort"), fs::Permissions::from_mode(0o700)).unwrap();
    Repository::bare(&folder.path().join("shop.git"));
    // Each program writes down what it can see: its own environment, its arguments, and the host's environment and
    // arguments.
    let spy = |name: &str| {
        let file = folder.path().join(name);
        let script = format!(
            "env > '{0}'; tr '\\\\0' ' ' < /proc/$$/cmdline >> '{0}'; tr '\\\\0' ' ' < /proc/$PPID/cmdline >> '{0}'",
            file.display()
        );
        format!("[\"sh\", \"-c\", \"{script}\"]")
    };
    folder.configure(&format!(
        "[agents.scripted]\ncomponent = \"{}\"\n\n[deployment]\nrepository = \"shop.git\"\n\n\
         [email]\nconnector = \"smtp\"\nhost = \"localhost\"\ntls = \"none\"\nport = {}\nfrom = \"agent@localhost\"\nusername = \"agent\"\npassword-file = \"password\"\n\n\
         [checks.blind]\ncommand = {}\nconfinement = \"off\"\n\n[checks.told]\ncommand = {}\nconfinement = \"off\"\nenvironment = [\"MARKED\"]\n\n\
         [notify.ops]\nurl = \"http://127.0.0.1:9/{CHAT}\"\nsecret-file = \"webhook\"\nallow-http = true\nallow-private = true\nretries = 1\nretry-after = \"1ms\"\n\n\
         [notify.chat]\nurl-file = \"chat\"\nformat = \"chat\"\nallow-http = true\n\n\
         [reviewers.alice]\ntoken-sha256 = \"{}\"\nemail = \"alice@localhost\"\n",
        component("scripted").display(),
        indiscreet(),
        spy("blind.seen"),
        spy("told.seen"),
        hex(&Sha256::digest(REVIEWER)),
    ));
    folder
}

/// Every value of every table, except the row that keeps the journal's secret.
fn rows(journal: &Path, outputs: &mut Outputs) {
    let file = Connection::open_with_flags(journal, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let names: Vec<String> = file
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(names.iter().any(|name| name == "meta") && names.len() > 3, "{names:?}");
    for name in names {
        let but = if name == "meta" { "WHERE key <> 'secret'" } else { "" };
        let mut statement = file.prepare(&format!("SELECT * FROM {name} {but}")).unwrap();
        let columns = statement.column_count();
        let mut found = statement.query([]).unwrap();
        let mut bytes = Vec::new();
        while let Some(row) = found.next().unwrap() {
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    ValueRef::Text(text) => bytes.extend(text),
                    ValueRef::Blob(blob) => bytes.extend(blob),
                    ValueRef::Integer(number) => bytes.extend(number.to_string().bytes()),
                    ValueRef::Real(_) | ValueRef::Null => {}
                }
                bytes.push(b'\n');
            }
        }
        outputs.add(format!("the journal's table {name}"), bytes);
    }
}

/// Every file below a folder, except the files in `but`.
fn files(folder: &Path, but: &[&str], outputs: &mut Outputs) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            files(&path, but, outputs);
        } else if path.is_file() && !but.contains(&name.as_str()) {
            outputs.add(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
}

/// The secrets of the journal: the one in its file, and the one derived from it.
fn kept(folder: &Folder, run: &str) -> [Marked; 2] {
    let file = Connection::open_with_flags(folder.journal(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let secret: Vec<u8> = file.query_row("SELECT value FROM meta WHERE key = 'secret'", [], |row| row.get(0)).unwrap();
    drop(file);
    let journal = Journal::open(&folder.journal(), Arc::new(|| Time(0))).unwrap();
    let seed = journal.seed(&RunId(run.into()));
    [Marked::new("the journal's secret, which effect keys are made with", &secret), Marked::new("a run's seed", &seed)]
}

#[test]
fn no_secret_comes_out() {
    let folder = office();
    let mut outputs = Outputs::default();
    let good = fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();

    // Configurations that contain a secret in several forbidden ways.
    for wrong in [
        good.replace("password-file = \"password\"", &format!("password = \"{PASSWORD}\"")),
        good.replace(&hex(&Sha256::digest(REVIEWER)), REVIEWER),
        good.replace("environment = [\"MARKED\"]", &format!("environment = [\"MARKED={VARIABLE}\"]")),
        good.replace("secret-file = \"webhook\"", &format!("secret = \"{WEBHOOK}\"")),
        good.replace("url-file = \"chat\"", &format!("url = \"{CHAT}\"")),
        good.replace("environment = [\"MARKED\"]", &format!("environment = {{ MARKED = \"{VARIABLE}\" }}")),
    ] {
        assert_ne!(wrong, good);
        folder.configure(&wrong);
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["config"], &["runs"]] {
            outputs.run(&folder, command);
            assert!(String::from_utf8_lossy(&outputs.0.last().unwrap().1).contains("error: "), "{wrong}");
        }
    }
    folder.configure(&good);

    let host = folder.serve_with(&[("RUST_LOG", TRACE), ("MARKED", VARIABLE)]);
    assert_eq!(host.token, operator());
    // A request with an unknown token, and a request for a run that does not exist.
    let (status, _) = outputs.ask(&host, STRANGER, "/v1/runs", None);
    assert_eq!(status, 401);
    outputs.ask(&host, REVIEWER, "/v1/runs/none", None);

    let run = host.start("scripted", "check blind main\ncheck told main\nemail ann@localhost Report\nask Well");
    let approval = host.held(&run);
    let id = approval["id"].as_str().unwrap().to_owned();
    let decision = json!({ "type": "approve", "digest": approval["digest"] });
    let (status, _) = outputs.ask(&host, REVIEWER, &format!("/v1/approvals/{id}/decisions"), Some(&decision));
    assert_eq!(status, 200);
    let failed = host.effect(&id, "failed");
    assert!(failed.to_string().contains("not signed in") && failed.to_string().contains("535"), "{failed}");
    assert!(failed.to_string().contains("(secret)"), "the relay quoted it: {failed}");
    let question = until("question", || {
        let row = host.show_run(&run);
        let call = row["waiting_for"].as_u64()?;
        Some(host.approval(&format!("{run}.{call}"))).filter(|approval| approval["state"] == "held")
    });
    let reject = json!({ "type": "reject", "digest": question["digest"], "message": "no" });
    outputs.ask(
        &host,
        REVIEWER,
        &format!("/v1/approvals/{}/decisions", question["id"].as_str().unwrap()),
        Some(&reject),
    );
    host.over(&run);

    // Both programs ran, and the program that was given the variable saw it.
    let seen = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(seen("blind.seen").contains("PATH=") && seen("told.seen").contains(&format!("MARKED={VARIABLE}")));
    for path in [
        "/v1/runs",
        "/v1/approvals?state=all",
        "/v1/agents",
        "/metrics",
        "/v1/stats",
        "/openapi.json",
        "/",
        "/v1/health",
        "/livez",
        "/readyz",
        &format!("/v1/runs/{run}"),
        &format!("/v1/runs/{run}/events"),
        &format!("/v1/runs/{run}/logs"),
        &format!("/v1/approvals/{id}"),
    ] {
        outputs.ask(&host, &host.token.clone(), path, None);
    }
    for command in [
        &["config"][..],
        &["config", "--json"],
        &["notify", "test", "ops"],
        &["notify", "test", "chat"],
        &["notify", "test", "alice"],
        &["runs"],
        &["runs", "show", &run],
        &["runs", "events", &run, "--json"],
        &["runs", "logs", &run],
        &["approvals", "show", &id],
        &["approvals", "show", &id, "--json"],
        &["approvals", "list", "--state", "all"],
        &["approvals", "approve", &id, "--yes"],
        &["run", "scripted", "--task", "list"],
        &["runs", "--url", "http://127.0.0.1:1"],
        &["runs", "--token-file", "password"],
    ] {
        outputs.run(&folder, command);
    }
    let process = PathBuf::from(format!("/proc/{}", host.pid()));
    outputs.add("the host's arguments", fs::read(process.join("cmdline")).unwrap());
    let environment = fs::read(process.join("environ")).unwrap();
    outputs.add("the host's log", host.said());
    assert!(host.stop().success());
    // The command starts its own host in the same process, so that client and host write to the same log.
    outputs.run(&folder, &["run", "scripted", "--task", "list\nfail well"]);

    let [secret, seed] = kept(&folder, &run);
    let told = Marked::new("a variable that a program is given", VARIABLE.as_bytes());
    let secrets = [
        Marked::new("the relay's password", PASSWORD.as_bytes()),
        Marked::new("a reviewer's token", REVIEWER.as_bytes()),
        Marked::new("somebody else's token", STRANGER.as_bytes()),
        Marked::new("the operator's token", operator().as_bytes()),
        Marked::new("the bytes of the operator's token", b"marked-token-of-the-operator-Ng2"),
        secret,
        seed,
        Marked::new("a webhook's secret", WEBHOOK.as_bytes()),
        Marked::new("a chat's address", CHAT.as_bytes()),
        told,
    ];
    // The secrets are found where they belong. So the search works, and its empty results elsewhere mean something.
    assert!(secrets[0].stands_in(&fs::read(folder.path().join("password")).unwrap()));
    assert!(secrets[3].stands_in(&fs::read(folder.path().join(".holdshort/token")).unwrap()));
    assert!(secrets[5].stands_in(&fs::read(folder.journal()).unwrap()));
    assert!(secrets[7].stands_in(&fs::read(folder.path().join("webhook")).unwrap()));
    assert!(secrets[9].stands_in(&environment));
    assert!(!secrets[..9].iter().any(|secret| secret.stands_in(&environment)), "in the host's environment");

    rows(&folder.journal(), &mut outputs);
    let searched = outputs.0.len();
    let but = [
        "password",
        "token",
        "journal.db",
        "journal.db-wal",
        "journal.db-shm",
        "told.seen",
        "webhook",
        "chat",
        "holdshort.toml",
    ];
    files(folder.path(), &but, &mut outputs);
    assert!(outputs.0.len() > searched + 10, "no files were searched");
    outputs.add("what a program sees that is given the variable", seen("told.seen").replace(VARIABLE, ""));
    outputs.assert_clean(&secrets);
    evidence::figure("T20", "outputs searched", searched.try_into().unwrap());
}

/// A value that contains a secret can be printed with `Debug`, and the secret is not shown.
#[test]
fn debug_shows_no_secret() {
    let login = Login { user: "agent".into(), password: Secret::new(PASSWORD.into()) };
    let relay = Relay {
        host: "localhost".into(),
        port: 25,
        encryption: Encryption::None,
        authority: None,
        login: Some(login.clone()),
        hello: "host".into(),
        time_out: std::time::Duration::from_secs(1),
        retry_after: std::time::Duration::from_secs(60),
    };
    let secret = Marked::new("the relay's password", PASSWORD.as_bytes());
    for shown in [format!("{:?}", login.password), format!("{login:?}"), format!("{relay:?}"), format!("{relay:#?}")] {
        assert!(shown.contains("(secret)") && !secret.stands_in(shown.as_bytes()), "{shown}");
    }
}

/// A type that derives `Debug` must not hold a secret as plain text or bytes.
#[test]
fn no_secret_is_a_bare_field_of_what_debug_prints() {
    let mut folders = vec![support::top().join("host")];
    let (mut types, mut wrong) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                types += text.matches("Debug").count();
                wrong.extend(bare(&text).into_iter().map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    assert!(types > 100 && wrong.is_empty(), "{}", wrong.join("\n"));
    let found = bare(
        "#[derive(Clone, Debug)]\npub struct Login {\n    pub password: String,\n    pub token_file: PathBuf,\n}\n",
    );
    assert_eq!(found, ["pub password: String,"]);
    assert!(bare("pub struct Client {\n    token: String,\n}\n").is_empty());
}

/// The fields of a file's types with `Debug` that are named like a secret and are plain text or bytes.
fn bare(text: &str) -> Vec<&str> {
    let derived = text.split("#[derive(").skip(1).filter(|part| part.split(")]").next().unwrap().contains("Debug"));
    let bodies = derived.map(|part| part.split("\n}").next().unwrap()).filter(|body| body.contains("struct "));
    let is_bare = |line: &&str| {
        let Some((name, ty)) = line.split_once(": ") else { return false };
        let name = name.trim_start_matches("pub ").trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ");
        let secret = ["password", "secret", "token", "seed", "passphrase"].contains(&name);
        secret && (ty.starts_with("String") || ty.starts_with("[u8") || ty.starts_with("Vec<u8"))
    };
    bodies.flat_map(|body| body.lines().map(str::trim)).filter(is_bare).collect()
}
