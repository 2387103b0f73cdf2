//! Attacks over HTTP requests: an agent that carries data away, and systems that answer in bad faith.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::requests::lines;
use crate::server::Server;
use crate::support::{Folder, Host};

fn folder(server: &Server, more: &str) -> Folder {
    let host = server.host();
    let rules = format!(
        "[http.\"{host}\"]\nroutine = [\"GET\"]\nconsequential = [\"POST\"]\nallow-http = true\nallow-private = true\n\
         timeout = \"2s\"\nanswer-kib = 64\n{more}"
    );
    let folder = Folder::new(&["fetch"], &rules);
    folder.write("key", "a-secret-of-the-operators");
    folder
}

fn credential(server: &Server) -> String {
    format!("[credentials.shop]\nfile = \"key\"\nhosts = [\"{}\"]\n", server.host())
}

fn ask(host: &Host, request: &str) -> Vec<String> {
    lines(host, &host.start("fetch", request))
}

/// A routine request carries what the agent writes into its URL and headers. The operator says how much and where to;
/// what goes beyond is shown to people.
#[test]
fn an_agent_that_carries_data_away_by_routine_requests_is_held() {
    let server = Server::start();
    let (_folder, host) =
        folder(&server, "routine-paths = [\"/v1/search\", \"/v1/items/\"]\nroutine-bytes-max = 200\n").into_served();
    let long = "a".repeat(200);
    for (task, is_routine) in [
        (format!("GET {}", server.url("/v1/search?q=shoes")), true),
        (format!("GET {}", server.url("/v1/items/7")), true),
        (format!("GET {}", server.url("/v1/search/other")), false),
        (format!("GET {}", server.url("/other")), false),
        (format!("GET {}", server.url("/v1/items/../../other")), false),
        (format!("GET {}", server.url("/v1/items/%2e%2e/other")), false),
        (format!("GET {}", server.url(&format!("/v1/search?q={long}"))), false),
        (format!("header x-data {long}\nGET {}", server.url("/v1/search")), false),
    ] {
        let (before, run) = (server.got().len(), host.start("fetch", &task));
        if is_routine {
            assert_eq!(lines(&host, &run), ["200 got "], "{task}");
            continue;
        }
        let approval = host.held(&run);
        assert_eq!(server.got().len(), before, "{task}");
        assert_eq!(approval["proposal"]["facts"]["method"], "GET");
        host.approve(&approval);
        assert_eq!(lines(&host, &run), ["200 got "], "{task}");
    }
}

#[test]
fn a_redirect_takes_no_secret_with_it() {
    let (server, thief) = (Server::start(), Server::start());
    let (_folder, host) = folder(&server, &credential(&server)).into_served();
    let found = ask(&host, &format!("GET {}", server.url(&format!("/to/{}", thief.port))));
    assert_eq!(found, ["307 "]);
    let run = host.start("fetch", &format!("POST {} x", server.url(&format!("/to/{}", thief.port))));
    host.approve(&host.held(&run));
    assert_eq!(lines(&host, &run), ["307 "]);
    assert!(server.got().iter().all(|got| got.headers.contains("authorization: Bearer a-secret")));
    assert_eq!((server.got().len(), thief.got().len()), (2, 0));
}

/// What a guest can do about the length of a request, and about headers within headers, is done before the call is made.
#[test]
fn a_request_is_not_smuggled_within_another_one() {
    let server = Server::start();
    let (_folder, host) = folder(&server, "").into_served();
    let url = server.url("/x");
    for header in [
        "x a\rx-smuggled: 1",
        "x a\u{b}\u{0}",
        "transfer-encoding chunked",
        "connection keep-alive, x-secret",
        "te trailers",
        "upgrade h2c",
        "proxy-connection x",
        "http2-settings x",
        "x:y 1",
    ] {
        let run = host.start("fetch", &format!("header {header}\nGET {url}"));
        let over = host.over(&run).to_string();
        let refused = ["is not sent for an agent", "InvalidSyntax", "Forbidden", "ErrorCode"];
        assert!(refused.iter().any(|why| over.contains(why)), "{header:?}: {over}");
    }
    assert_eq!(server.got().len(), 0);
    // A length that is not true makes the request fail, and a second length is none.
    for (lengths, why) in [
        ("header content-length 0", "HttpRequestBodySize"),
        ("header content-length 22\nheader content-length 99", "InvalidSyntax"),
        ("header content-length 22\nheader content-length 22", "InvalidSyntax"),
    ] {
        let found = ask(&host, &format!("{lengths}\nPOST {url} GET /smuggled HTTP/1.1"));
        assert!(found[0].contains(why), "{lengths}: {found:?}");
    }
    assert_eq!(server.got().len(), 0);
}

#[test]
fn an_answer_in_bad_faith_costs_no_more_than_its_limit() {
    bomb();
    let server = Server::start();
    let (_folder, host) = folder(&server, "").into_served();
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.unwrap().trim().parse::<u64>().unwrap()
    };
    ask(&host, &format!("GET {}", server.url("/x")));
    let before = peak();
    for (path, expected, tries) in [
        // 256 MiB in 256 KiB of gzip. The host asks for no encoding, and reads no more of this one than of others.
        ("/bomb", "200 HTTP response body size exceeds limit: 65536 bytes", 1),
        ("/endless", "200 HTTP response body size exceeds limit: 65536 bytes", 1),
        ("/short", "502 false ", 4),
        ("/two-lengths", "502 false ", 4),
        ("/odd-length", "502 false ", 4),
        ("/odd-chunks", "502 false ", 4),
        ("/heads", "502 false ", 4),
        // One byte a second, for ever: the time limit is one for the whole exchange.
        ("/drip", "502 false ", 4),
        ("/longer", "200 ten bytes.", 1),
        ("/busy", "429 busy", 1),
    ] {
        let start = Instant::now();
        let found = ask(&host, &format!("GET {}", server.url(path)));
        assert!(found[0].starts_with(expected), "{path}: {found:?}");
        assert_eq!(server.count(&format!("GET {path}")), tries, "{path}");
        assert!(start.elapsed() < Duration::from_secs(30), "{path}: {:?}", start.elapsed());
    }
    // The agent sees when it may ask again, and decides itself.
    let run = host.start("fetch", &format!("GET {}", server.url("/busy")));
    host.over(&run);
    let answer = host.events(&run).into_iter().find(|event| event["type"] == "routine-returned").unwrap();
    let headers = answer["data"]["result"]["ok"]["headers"].to_string();
    assert!(headers.contains(&json!(["retry-after", "7"]).to_string()), "{headers}");
    assert!(peak() - before < 128 * 1024, "{} KiB more than {before}", peak() - before);
}

/// 256 MiB of one letter, compressed.
pub fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = gzip.stdin.take().unwrap();
        let writer = std::thread::spawn(move || input.write_all(&vec![b'x'; 256 << 20]));
        let output = gzip.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        output.stdout
    })
}
