//! Tokens of an authorization server: fetched for a request, kept in memory, renewed, and nowhere else.

use std::time::Duration;

use serde_json::json;

use crate::credentials::{CLIENT_SECRET, outputs};
use crate::requests::{lines, refusal};
use crate::server::Server;
use crate::support::evidence::figure;
use crate::support::{Folder, Host};

fn folder(server: &Server, token_path: &str, more: &str) -> Folder {
    let (host, url) = (server.host(), server.url(token_path));
    let rules = format!(
        "[http.\"{host}\"]\nroutine = [\"GET\"]\nconsequential = [\"POST\"]\nallow-http = true\nallow-private = true\n\
         timeout = \"2s\"\n[credentials.login]\nhosts = [\"{host}\"]\npaths = [\"/v1/\"]\n\
         oauth = {{ token-url = \"{url}\", client-id = \"holdshort\", client-secret = {{ file = \"key\" }}, scope = \"read write\"{more} }}\n"
    );
    let folder = Folder::new(&["fetch"], &rules);
    folder.write("key", &format!("{CLIENT_SECRET}\n"));
    folder
}

const HERE: &str = ", allow-private = true";

fn gets(host: &Host, server: &Server, paths: &[&str]) -> Vec<String> {
    let task: String = paths.iter().map(|path| format!("GET {}\n", server.url(path))).collect();
    lines(host, &host.start("fetch", &task))
}

#[test]
fn a_token_is_sent_and_stands_nowhere_else() {
    let server = Server::start();
    let folder = folder(&server, "/token/3600", HERE);
    let host = folder.serve_with(&[("RUST_LOG", "trace")]);
    let echoes = ["plain", "json", "url", "hex", "base64", "header", "inside-base64", "recalled"];
    let mut task: String =
        echoes.iter().map(|form| format!("GET {}\n", server.url(&format!("/v1/echo-{form}")))).collect();
    task += &format!("GET {}\nPOST {} order", server.url("/v2/echo-recalled"), server.url("/v1/echo-plain"));
    let run = host.start("fetch", &task);
    let approval = host.held(&run);
    assert_eq!(approval["proposal"]["facts"]["credentials"], json!(["login"]));
    host.approve(&approval);
    let found = lines(&host, &run);
    for (line, form) in found.iter().zip(echoes).filter(|(_, form)| *form != "header") {
        assert!(line.contains("[credential login]"), "{form}: {line}");
    }
    assert!(found[echoes.len()].contains("[credential login]"), "a token of another path: {found:?}");
    let form = "grant_type=client_credentials&scope=read+write";
    let asked: Vec<_> = server.got().into_iter().filter(|got| got.line == "POST /token/3600").collect();
    assert_eq!(asked.len(), 1, "one token for all requests");
    assert_eq!(String::from_utf8_lossy(&asked[0].body), form);
    let with_token = server.got().iter().filter(|got| got.headers.contains("authorization: Bearer MARKED")).count();
    assert_eq!(with_token, echoes.len() + 1);
    let mut searched = 0;
    outputs(&host, &folder, &run, ("[credential login]", 8), &mut searched);
    figure("T20", "outputs searched for a token and the secret of its client", searched);
}

#[test]
fn a_token_is_renewed_when_it_expires_and_when_it_is_not_accepted() {
    let server = Server::start();
    let tokens = |path: &str| server.count(&format!("POST {path}"));
    let (_folder, host) = folder(&server, "/token/1", HERE).into_served();
    assert_eq!(gets(&host, &server, &["/v1/x", "/v1/x"]), ["200 got ", "200 got "]);
    assert_eq!(tokens("/token/1"), 1);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(gets(&host, &server, &["/v1/x"]), ["200 got "]);
    assert_eq!(tokens("/token/1"), 2);

    let server = Server::start();
    let tokens = || server.count("POST /token/form");
    let (_folder, host) = folder(&server, "/token/form", &format!("{HERE}, client-auth = \"form\"")).into_served();
    // The first token is in use when the system asks for a second one.
    assert_eq!(gets(&host, &server, &["/v1/x", "/v1/fresh-2"]), ["200 got ", "200 fresh"]);
    assert_eq!((tokens(), server.count("GET /v1/fresh-2")), (2, 2));
    // Another token is no better: the answer is the agent's.
    assert_eq!(gets(&host, &server, &["/v1/fresh-9", "/v1/fresh-9"]), ["401 stale", "401 stale"]);
    assert!(tokens() <= 4 && server.count("GET /v1/fresh-9") <= 4);
    // An effect is never sent again, and the next request has a new token.
    let before = tokens();
    let run = host.start("fetch", &format!("GET {}\nPOST {} x", server.url("/v1/x"), server.url("/v1/fresh-9")));
    host.approve(&host.held(&run));
    assert_eq!(lines(&host, &run), ["200 got ", "401 stale"]);
    assert_eq!((server.count("POST /v1/fresh-9"), tokens()), (1, before));
    assert_eq!(gets(&host, &server, &["/v1/x"]), ["200 got "]);
    assert_eq!(tokens(), before + 1);
}

/// An agent that gets status 401 again and again neither makes the host ask for a token each time, nor makes it forget
/// what to remove from answers.
#[test]
fn many_tokens_are_neither_fetched_nor_forgotten() {
    let server = Server::start();
    let (_folder, host) = folder(&server, "/token/3600", HERE).into_served();
    let refused = [&["/v1/echo-plain"][..], &["/v1/fresh-99"; 40]].concat();
    let found = gets(&host, &server, &refused);
    assert!(found[0].contains("[credential login]"), "{found:?}");
    assert!(found[1..].iter().all(|line| line == "401 stale"), "{found:?}");
    let tokens = server.count("POST /token/3600");
    assert!((2..=9).contains(&tokens), "{tokens} tokens for 40 requests");
    // Each of the tokens is still good, and a system can still repeat it.
    let sent: Vec<String> = server
        .got()
        .iter()
        .filter_map(|got| Some(got.headers.split("Bearer ").nth(1)?.lines().next()?.to_owned()))
        .collect();
    let all: std::collections::BTreeSet<&String> = sent.iter().collect();
    assert_eq!(all.len(), tokens);
    let task: String = all.iter().map(|token| format!("POST {} {token}\n", server.url("/v2/x"))).collect();
    let run = host.start("fetch", &task);
    for _ in 0..tokens {
        host.approve(&host.held(&run));
    }
    let found = lines(&host, &run);
    assert!(found.iter().all(|line| line == "200 got [credential login]"), "{found:?}");
}

#[test]
fn without_a_token_nothing_is_sent_and_a_sentence_says_why() {
    let server = Server::start();
    for (path, more, why) in [
        (
            "/token/wrong",
            HERE,
            "the token endpoint answers 401: \"invalid_client `holdshort:[credential login]` is unknown\"",
        ),
        ("/token/fails", HERE, "the token endpoint answers 503"),
        ("/token/html", HERE, "the token endpoint answers 200, but not with a JSON object that has an `access_token`"),
        ("/token/none", HERE, "the token endpoint answers 200, but not with a JSON object that has an `access_token`"),
        ("/token/large", HERE, "the answer of the token endpoint has more than 65536 bytes"),
        ("/token/mac", HERE, "the token endpoint gives a token that is no bearer token"),
        ("/token/odd", HERE, "the token endpoint gives a token that is not 8 to 8192 visible ASCII characters"),
        ("/token/moved", HERE, "the token endpoint answers 302"),
        ("/token/silent", HERE, "the token endpoint has no answer: "),
        ("/token/slow", HERE, "the token endpoint has no answer: "),
        ("/token/3600", "", "the token endpoint: \"127.0.0.1 is refused: the address is this machine"),
    ] {
        let (_folder, host) = folder(&server, path, more).into_served();
        let found = gets(&host, &server, &["/v1/x"]);
        let why = format!("the credential login: {why}");
        assert!(
            found[0].starts_with("502 false ") && found[0].contains(&why.replace('"', "\\\"")),
            "{path}: {found:?}"
        );
        assert_eq!(server.count(&format!("POST {path}")), usize::from(more == HERE), "{path}: asked once");
    }
    let (_folder, host) = folder(&server, "/token/none", HERE).into_served();
    let run = host.start("fetch", &format!("POST {} x", server.url("/v1/x")));
    host.approve(&host.held(&run));
    let why = "the request was not sent: the credential login: the token endpoint answers 200, but not with a JSON object that has an `access_token`";
    assert_eq!(lines(&host, &run), [refusal(502, "failed", why)]);
    assert!(server.got().iter().all(|got| got.line.starts_with("POST /token/")), "{:?}", server.got());
}
