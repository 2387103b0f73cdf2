//! A credential's secret reaches the system that it is for, and nobody else: not the agent, not a reviewer, not a file or
//! an output of the host.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::requests::lines;
use crate::server::Server;
use crate::support::evidence::figure;
use crate::support::{Folder, Host};

const SECRET: &str = "MARKED-9f2c/T0ken+and=more";
/// The secret of a client, and what the tokens of this client begin with.
pub const CLIENT_SECRET: &str = "MARKED-c1ient/s3cret+of=it";
pub const TOKEN: &str = "MARKED-t0ken/for+the=client-";

fn folder(server: &Server, more: &str) -> Folder {
    let host = server.host();
    let rules = format!(
        "[http.\"{host}\"]\nroutine = [\"GET\"]\nconsequential = [\"POST\"]\nallow-http = true\nallow-private = true\n\
         timeout = \"2s\"\n[credentials.shop]\nfile = \"key\"\nhosts = [\"{host}\"]\npaths = [\"/v1/\"]\n{more}"
    );
    let folder = Folder::new(&["fetch"], &rules);
    folder.write("key", &format!("{SECRET}\n"));
    folder
}

/// The forms in which a secret could stand in an output.
fn forms() -> Vec<Vec<u8>> {
    let of = |secret: &str| {
        let url = secret.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let base64 = STANDARD.encode(secret).trim_end_matches('=').to_owned();
        // The last character depends on what follows.
        let base64 = base64[..base64.len() - 1].to_owned();
        [secret.to_owned(), url, hex, base64].map(String::into_bytes)
    };
    [SECRET, CLIENT_SECRET, TOKEN].into_iter().flat_map(of).collect()
}

fn has_none(what: &str, bytes: &[u8], searched: &mut u64) {
    *searched += 1;
    for form in forms() {
        let found = bytes.windows(form.len()).any(|window| window == form);
        assert!(!found, "{what} has the secret as {}", String::from_utf8_lossy(&form));
    }
}

fn all_files(folder: &Path, searched: &mut u64) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all_files(&entry.path(), searched),
            kind if kind.is_file() && entry.file_name() != "key" => {
                has_none(&entry.path().display().to_string(), &std::fs::read(entry.path()).unwrap(), searched);
            }
            _ => {}
        }
    }
}

#[test]
fn a_secret_is_sent_and_stands_nowhere_else() {
    let server = Server::start();
    let folder = folder(&server, "");
    let host = folder.serve_with(&[("RUST_LOG", "trace")]);
    let url = |path: &str| server.url(path);
    // These paths repeat the headers that they got, each in a way of its own.
    let echoes = ["plain", "json", "url", "hex", "base64", "header", "inside-base64"];
    let gets: Vec<String> = echoes.iter().map(|form| format!("GET {}", url(&format!("/v1/echo-{form}")))).collect();
    let task = format!(
        "header authorization Bearer placeholder\n{}\nPOST {} order\nPOST {} order\nGET {}\nGET {}",
        gets.join("\n"),
        url("/v1/echo-plain"),
        url("/v1/echo-broken"),
        url("/v2/echo-recalled"),
        url("/v2/echo-plain")
    );
    let run = host.start("fetch", &task);
    let approval = host.held(&run);
    let proposal = &approval["proposal"];
    assert_eq!(proposal["facts"]["credentials"], json!(["shop"]));
    assert_eq!(proposal["action"]["arguments"]["headers"], json!([["authorization", "Bearer placeholder"]]));
    let titles: Vec<&str> =
        proposal["exhibits"].as_array().unwrap().iter().map(|exhibit| exhibit["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["the credential shop", "earlier in this run (7 calls)"]);
    let digest = proposal["exhibits"][0]["digest"].as_str().unwrap();
    assert_eq!(
        host.get(&format!("/v1/approvals/{}/exhibits/{digest}", approval["id"].as_str().unwrap())),
        "the host adds the secret of the credential shop as the header authorization, in place of the agent's value"
    );
    let mut searched = 0;
    let browser = host.sign_in();
    let shown = host.page(&browser, &format!("/approvals/{}", approval["id"].as_str().unwrap()));
    assert!(shown.contains("the credential shop"));
    has_none("the page", shown.as_bytes(), &mut searched);
    host.approve(&approval);
    // An answer that breaks off is in doubt, with what the other system said.
    let approval = host.held(&run);
    let id = approval["id"].as_str().unwrap().to_owned();
    host.approve(&approval);
    let effect = host.effect(&id, "in-doubt");
    has_none("the doubt", effect.to_string().as_bytes(), &mut searched);
    let (run_id, number) = id.rsplit_once('.').unwrap();
    let abandon = json!({ "type": "abandon", "attempt": 1, "message": "enough" });
    assert_eq!(host.post(&format!("/v1/runs/{run_id}/calls/{number}/resolution"), &abandon).0, 200);
    let found = lines(&host, &run);
    assert_eq!(found.len(), echoes.len() + 4);
    assert!(found[echoes.len() + 2].contains("Bearer [credential shop]"), "a secret of another path: {found:?}");
    for (line, form) in found.iter().zip(echoes).filter(|(_, form)| *form != "header") {
        assert!(line.contains("[credential shop]"), "{form}: {line}");
    }
    assert!(found.last().unwrap().contains("Bearer placeholder"), "another path gets what the agent sent: {found:?}");
    // The system got the secret, in place of the placeholder.
    let got = server.got();
    let with_secret =
        got.iter().filter(|got| got.headers.contains(&format!("authorization: Bearer {SECRET}\n"))).count();
    assert_eq!(with_secret, echoes.len() + 2);
    assert!(got.iter().filter(|got| got.line.contains("/v1/")).all(|got| !got.headers.contains("placeholder")));
    outputs(&host, &folder, &run, ("[credential shop]", 7), &mut searched);
    figure("T20", "outputs searched for the secret of a credential", searched);
}

/// Everything that the host says and keeps.
pub fn outputs(host: &Host, folder: &Folder, run: &str, (mark, least): (&str, usize), searched: &mut u64) {
    let events: Vec<Value> = host.events(run);
    let masked = events.iter().filter(|event| event.to_string().contains(mark)).count();
    assert!(masked >= least, "{masked} events have a masked answer");
    has_none("the events", json!(events).to_string().as_bytes(), searched);
    for path in ["/v1/runs", "/v1/approvals", "/v1/decisions", "/v1/agents", "/v1/stats"] {
        has_none(path, host.get(path).to_string().as_bytes(), searched);
    }
    for start in ["holdshort", "http"] {
        has_none("/metrics", host.metric_lines(start).join("\n").as_bytes(), searched);
    }
    has_none("the log", host.said().as_bytes(), searched);
    assert!(host.said().len() > 10_000, "the log of everything is short");
    for command in [&["config"][..], &["inspect", "fetch"], &["config", "--json"]] {
        let output = folder.run(command);
        has_none(&command.join(" "), &[output.stdout, output.stderr].concat(), searched);
    }
    all_files(folder.path(), searched);
}

#[test]
fn a_credential_that_changed_is_decided_on_again() {
    let server = Server::start();
    let folder = folder(&server, "");
    let host = folder.serve();
    let run = host.start("fetch", &format!("POST {} x", server.url("/v1/x")));
    let approval = host.held(&run);
    host.kill();
    let text = std::fs::read_to_string(folder.path().join("holdshort.toml")).unwrap();
    folder.configure(&text.replace("[credentials.shop]", "[credentials.other]"));
    let host = folder.serve();
    host.approve(&approval);
    let again = crate::support::until("the call is held again", || {
        let row = host.approval(approval["id"].as_str().unwrap());
        (row["state"] == "held" && row["revision"] == 2).then_some(row)
    });
    assert!(again.to_string().contains("the credentials of the request were"), "{again}");
    assert_eq!(again["proposal"]["facts"]["credentials"], json!(["other"]));
    assert_eq!(server.got().len(), 0);
    host.approve(&again);
    assert_eq!(lines(&host, &run), ["200 got x"]);
}

#[test]
fn a_secret_that_cannot_be_used_stops_the_start() {
    let server = Server::start();
    for (secret, more, why) in [
        (None, "", "key"),
        (Some("short\n"), "", "[credentials.shop]: the secret has fewer than 8 characters"),
        (
            Some("two lines\nof a secret\n"),
            "",
            "[credentials.shop]: the secret has characters that a header cannot contain",
        ),
        (
            Some("long enough"),
            "[credentials.b]\nenvironment = \"NO_SUCH_KEY\"\nheader = \"x-key\"\nHOSTS",
            "`NO_SUCH_KEY`",
        ),
    ] {
        let more = more.replace("HOSTS", &format!("hosts = [\"{}\"]\n", server.host()));
        let folder = folder(&server, &more);
        match secret {
            None => std::fs::remove_file(folder.path().join("key")).unwrap(),
            Some(secret) => drop(folder.write("key", secret)),
        }
        let output = folder.run(&["run", "fetch", "--task", "GET http://x/"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert!(!secret.is_some_and(|secret| said.contains(secret.trim())), "{said}");
    }
    // Without TLS a secret goes to this machine alone.
    let more = "[http.\"plain.test\"]\nroutine = [\"GET\"]\nallow-http = true\nallow-private = true\n\
                [credentials.plain]\nfile = \"key\"\nhosts = [\"plain.test\"]\n";
    let (_folder, host) = folder(&server, more).into_served();
    let run = host.start("fetch", "GET http://plain.test/");
    assert!(lines(&host, &run)[0].contains("could read the secret of a credential"), "{:?}", lines(&host, &run));
}
