//! An agent's HTTP request is a call: answered at once, held or refused as the operator says, sent once, and in the
//! journal with its answer.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;
use crate::support::evidence::figure;
use crate::support::{Folder, Host, until};

/// A folder whose agents may send requests to `host`, by these rules.
pub fn folder(host: &str, more: &str) -> Folder {
    let rules = format!(
        "[http.\"{host}\"]\nroutine = [\"GET\", \"HEAD\"]\nconsequential = [\"POST\", \"DELETE\"]\nallow-http = true\n\
         allow-private = true\ntimeout = \"2s\"\nanswer-kib = 64\n{more}"
    );
    Folder::new(&["fetch"], &rules)
}

/// The lines that the agent returns.
pub fn lines(host: &Host, run: &str) -> Vec<String> {
    let over = host.over(run);
    assert_eq!(over["state"], "finished", "{over}: {}", host.said());
    let result = over["result"]["ok"].as_str().unwrap_or_else(|| panic!("{over}"));
    result.lines().map(str::to_owned).collect()
}

/// The answer that an agent gets instead of one from the network.
pub fn refusal(status: u16, kind: &str, message: &str) -> String {
    format!("{status} false {}", json!({ "error": { "type": format!("holdshort.{kind}"), "message": message } }))
}

fn events(host: &Host, run: &str) -> Vec<String> {
    host.events(run).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_routine_request_is_answered_at_once_and_a_replay_sends_nothing() {
    let server = Server::start();
    let folder = folder(&server.host(), "[limits]\nlinger-ms = 0\n");
    let host = folder.serve();
    let (one, two) = (server.url("/one?q=1"), server.url("/two"));
    let run = host.start("fetch", &format!("header accept text/plain\nGET {one}\nPOST {two} hello\nGET {one}"));
    let approval = host.held(&run);
    assert_eq!((server.count("GET /one?q=1"), server.got().len()), (1, 1));
    let got = &server.got()[0];
    for header in ["accept: text/plain\n", "accept-encoding: identity\n", &format!("host: {}\n", server.host())] {
        assert!(got.headers.contains(header), "{header}: {}", got.headers);
    }
    // The agent is gone from memory, and then the host is killed. Both bring the agent back by replay.
    host.all_parked();
    host.kill();
    let host = folder.serve();
    host.approve(&approval);
    assert_eq!(lines(&host, &run), ["200 got ", "200 got hello", "200 got "]);
    assert_eq!((server.count("GET /one?q=1"), server.count("POST /two")), (2, 1));
    let recorded = host.events(&run);
    let routine: Vec<&Value> = recorded.iter().filter(|event| event["type"] == "routine-returned").collect();
    assert_eq!(routine.len(), 2);
    let data = &routine[0]["data"];
    assert_eq!(data["arguments"]["url"], one, "{data}");
    assert_eq!(data["result"]["ok"]["body"], json!({ "text": "got " }), "{data}");
}

#[test]
fn a_consequential_request_is_shown_and_sent_exactly_as_approved() {
    let server = Server::start();
    let (_folder, host) = folder(&server.host(), "").into_served();
    let url = server.url("/orders/7?dry=no");
    let body = r#"{"amount": 12.5, "to": "Ada", "note": "a\"b"}"#;
    let task = format!("header content-type application/json\nheader authorization Bearer guess\nPOST {url} {body}");
    let run = host.start("fetch", &task);
    let approval = host.held(&run);
    let proposal = &approval["proposal"];
    assert_eq!(server.got().len(), 0, "nothing is sent before the approval");
    assert_eq!(proposal["action"]["capability"], "wasi:http/outgoing-handler#handle");
    assert_eq!(
        proposal["action"]["arguments"],
        json!({
            "method": "POST", "url": url, "body": { "text": body },
            "headers": [["authorization", "Bearer guess"], ["content-type", "application/json"]],
        })
    );
    assert_eq!(proposal["summary"], format!("POST \"{url}\" with {} bytes", body.len()));
    assert_eq!((&proposal["connector"], &proposal["class"]), (&json!("http"), &json!("one-shot")));
    let facts = &proposal["facts"];
    assert_eq!(facts["host"], server.host());
    assert_eq!((&facts["method"], &facts["path"]), (&json!("POST"), &json!("/orders/7")));
    assert_eq!((&facts["query"], &facts["bytes"]), (&json!("dry=no"), &json!(body.len())));
    let exhibit = &proposal["exhibits"][0];
    assert_eq!((&exhibit["title"], &exhibit["media"]), (&json!("the body as JSON"), &json!("application/json")));
    let (id, digest) = (approval["id"].as_str().unwrap(), exhibit["digest"].as_str().unwrap());
    assert_eq!(
        host.get(&format!("/v1/approvals/{id}/exhibits/{digest}")),
        json!({ "amount": 12.5, "note": "a\"b", "to": "Ada" })
    );
    host.approve(&approval);
    assert_eq!(lines(&host, &run), [format!("200 got {body}")]);
    let got = server.got();
    assert_eq!((got.len(), got[0].line.as_str()), (1, "POST /orders/7?dry=no"));
    assert_eq!(String::from_utf8_lossy(&got[0].body), body);
    assert!(got[0].headers.contains("authorization: Bearer guess\n"), "{}", got[0].headers);
}

#[test]
fn what_a_reviewer_decides_is_the_answer() {
    let server = Server::start();
    let (_folder, host) = folder(&server.host(), "").into_served();
    let url = server.url("/x");
    // A rejection is an answer that no client repeats.
    let run = host.start("fetch", &format!("DELETE {url}"));
    let (status, answer) = host.decide(&host.held(&run), "reject", &json!({ "message": "keep it" }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(lines(&host, &run), [refusal(403, "rejected", "keep it")]);
    assert_eq!(server.got().len(), 0);

    // An edited body is what is sent.
    let run = host.start("fetch", &format!("POST {url} wrong"));
    let approval = host.held(&run);
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["body"] = json!({ "text": "right" });
    let (status, answer) = host.decide(&approval, "edit", &json!({ "arguments": arguments }));
    assert_eq!(status, 202, "{answer}");
    host.approve(&host.held(&run));
    assert_eq!(lines(&host, &run), ["200 got right"]);
    assert_eq!(server.got()[0].body, b"right");
    // An edit cannot lead elsewhere.
    let run = host.start("fetch", &format!("POST {url} x"));
    let approval = host.held(&run);
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["url"] = json!("http://127.0.0.2:9/x");
    let (status, answer) = host.decide(&approval, "edit", &json!({ "arguments": arguments }));
    assert_eq!(status, 422, "{answer}");

    // A body that is no text is shown by its digest.
    let run = host.start("fetch", &format!("POST {url} #"));
    let approval = host.held(&run);
    let exhibit = approval["proposal"]["exhibits"][0]["digest"].as_str().unwrap();
    let shown = host.get(&format!("/v1/approvals/{}/exhibits/{exhibit}", approval["id"].as_str().unwrap()));
    let digest = approval["proposal"]["facts"]["sha256"].as_str().unwrap();
    assert_eq!(shown, json!(format!("256 bytes that are no text, with the digest {digest}")));
    host.approve(&approval);
    host.over(&run);
    assert_eq!(server.got()[1].body, (0..=255).collect::<Vec<u8>>());
}

#[test]
fn a_request_that_nobody_allowed_is_refused_before_anybody_is_asked() {
    let server = Server::start();
    let more = "[http.\"localhost\"]\nconsequential = [\"POST\"]\n[http.\"tls.test\"]\nroutine = [\"GET\"]\n";
    let (_folder, host) = folder(&server.host(), more).into_served();
    let port = server.port;
    let named = |host: &str| format!("no request is sent to \"{host}\": this host has no section `[http.HOST]` for it");
    let method = |method: &str| {
        format!("\"{method}\" to \"127.0.0.1:{port}\" is not allowed: the section of the host lists other methods")
    };
    for (request, message) in [
        ("GET https://example.org/".into(), named("example.org")),
        (format!("GET http://LOCALHOST:{port}/"), named(&format!("localhost:{port}"))),
        (format!("GET http://127.0.0.2:{port}/"), named(&format!("127.0.0.2:{port}"))),
        (format!("PUT http://127.0.0.1:{port}/ x"), method("PUT")),
        ("GET http://tls.test/".into(), "without TLS others on the network could read and change the request; use `https://`".into()),
        (format!("GET http://127.0.0.1:{port}/ body"), "\"GET\" has no body; use another method, or the query of the URL".into()),
        (
            "POST https://localhost/ x".into(),
            "127.0.0.1, the address of `localhost`, is refused: the address is this machine; if this is intended, write `allow-private = true` for this target".into(),
        ),
    ] {
        let run = host.start("fetch", &request);
        let found = lines(&host, &run);
        let ours = refusal(403, "invalid", &message);
        // The system may have another address of `localhost` first.
        assert_eq!(found, [ours.replace("127.0.0.1, the", if found[0].contains("::1") { "::1, the" } else { "127.0.0.1, the" })], "{request}");
        assert_eq!(events(&host, &run), ["run-created", "call-refused", "run-finished"], "{request}");
    }
    // A request that the host would have to keep beside the guest's memory is never made.
    for request in [
        format!("BREW http://127.0.0.1:{port}/"),
        format!("GET http://{}/", "a".repeat(301)),
        format!("GET http://127.0.0.1:{port}/{}", "a".repeat(8 * 1024)),
        format!("header x {}\nGET http://127.0.0.1:{port}/", "a".repeat(8 * 1024)),
    ] {
        let run = host.start("fetch", &request);
        let over = host.over(&run);
        let failed = over.to_string().contains("is no request") || over["state"] == "trapped";
        assert!(failed, "{}: {over}", &request[..20]);
        assert_eq!(events(&host, &run).len(), 2, "{over}");
    }
    let run = host.start("fetch", &format!("GET http://127.0.0.1:{port}/{}", "a".repeat(8 * 1024 - 2)));
    assert_eq!(lines(&host, &run), ["200 got "]);
    // A body that is too long to show is refused by the display limit, and one that is too long for a call is none.
    let run = host.start("fetch", &format!("POST {} @70000", server.url("/x")));
    let found = lines(&host, &run);
    assert!(found[0].starts_with("403 false ") && found[0].contains("a reviewer is shown at most"), "{found:?}");
    let run = host.start("fetch", &format!("POST {} @1100000", server.url("/x")));
    assert_eq!(lines(&host, &run), ["ErrorCode::HttpRequestBodySize(Some(1052672))"]);
    assert_eq!(events(&host, &run), ["run-created", "run-finished"]);
    assert_eq!(server.got().len(), 1);
}

#[test]
fn an_answer_that_was_lost_is_in_doubt_and_nothing_is_sent_again() {
    let server = Server::start();
    let folder = folder(&server.host(), "");
    let mut host = folder.serve();
    for (path, why) in [
        ("/silent", "the request was sent, and no whole answer came: "),
        ("/slow", "the request was sent, and no whole answer came: "),
        ("/short", "the request was sent, and no whole answer came: \"the answer 200 broke off"),
        ("/no-http", "the request was sent, and no whole answer came: "),
    ] {
        let run = host.start("fetch", &format!("POST {} x", server.url(path)));
        let approval = host.held(&run);
        let id = approval["id"].as_str().unwrap().to_owned();
        host.approve(&approval);
        let effect = host.effect(&id, "in-doubt")["effect"]["reason"].clone();
        assert!(effect.as_str().unwrap().starts_with(why), "{path}: {effect}");
        host.kill();
        host = folder.serve();
        until("lookup", || host.approval(&id)["effect"]["evidence"]["text"].as_str().map(drop));
        let number = id.rsplit_once('.').unwrap().1;
        let resolve = format!("/v1/runs/{run}/calls/{number}/resolution");
        let (status, answer) = host.post(&resolve, &json!({ "type": "send-again", "attempt": 1 }));
        assert_eq!(status, 422, "{answer}");
        let (resolution, told) = if path == "/silent" {
            let receipt = json!({ "status": 201, "headers": [["x-found-by", "olivia"]], "body": { "text": "made" } });
            (json!({ "type": "done", "attempt": 1, "receipt": receipt }), "201 made".to_owned())
        } else {
            let abandon = json!({ "type": "abandon", "attempt": 1, "message": "who knows" });
            (abandon, refusal(403, "unresolved", "who knows"))
        };
        let (status, answer) = host.post(&resolve, &resolution);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(lines(&host, &run), [told], "{path}");
        assert_eq!(server.count(&format!("POST {path}")), 1, "{path}");
    }
}

#[test]
fn what_the_other_system_answers_is_the_agents_answer() {
    let server = Server::start();
    let (_folder, host) = folder(&server.host(), "").into_served();
    let paths = ["/moved", "/fails", "/bytes", "/cookie"];
    let task: String = paths.iter().map(|path| format!("GET {}\n", server.url(path))).collect();
    let run = host.start("fetch", &task);
    assert_eq!(lines(&host, &run), ["302 ", "500 broken", "200 \u{fffd}\u{fffd}\0", "200 seen"]);
    assert_eq!(server.got().len(), paths.len(), "redirects are not followed, and a status is no failure");
    let events = host.events(&run);
    let mut answers = events.iter().filter(|event| event["type"] == "routine-returned").map(Value::to_string);
    let cookie = answers.find(|answer| answer.contains("/cookie")).unwrap();
    assert!(cookie.contains("x-id") && !cookie.contains("set-cookie"), "{cookie}");
    // An answer over the bound is left unread, and says so.
    for path in ["/large", "/endless"] {
        let run = host.start("fetch", &format!("GET {}", server.url(path)));
        assert_eq!(lines(&host, &run), ["200 HTTP response body size exceeds limit: 65536 bytes"], "{path}");
    }
    // Without an answer, a request that changes nothing is tried again, and then the agent is told.
    let run = host.start("fetch", &format!("GET {}", server.url("/short")));
    let found = lines(&host, &run);
    assert!(found[0].starts_with("502 false ") && found[0].contains("holdshort.failed"), "{found:?}");
    assert_eq!(server.count("GET /short"), 4);
    // Nobody listens there any more, so nothing was sent.
    let port = free_port();
    let host = self::folder(&format!("127.0.0.1:{port}"), "").into_served();
    let run = host.1.start("fetch", &format!("POST http://127.0.0.1:{port}/ x"));
    host.1.approve(&host.1.held(&run));
    let found = lines(&host.1, &run);
    assert!(found[0].starts_with("502 false ") && found[0].contains("the request was not sent"), "{found:?}");
}

#[test]
fn several_requests_are_answered_in_their_order_and_a_wait_takes_no_time_of_the_agents() {
    let server = Server::start();
    let (_folder, host) = folder(&server.host(), "[limits]\nlinger-ms = 0\n").into_served();
    let url = |path: &str| server.url(path);
    let task = format!(
        "start GET {}\nstart POST {} a\nstart POST {} b\ndrop\nstart GET {}\nwait\nclock",
        url("/1"),
        url("/2"),
        url("/never"),
        url("/3")
    );
    let run = host.start("fetch", &task);
    let approval = host.held(&run);
    assert_eq!(approval["proposal"]["action"]["arguments"]["url"], url("/2"));
    assert_eq!(server.count("GET /3"), 0, "the later request waits for the earlier one");
    std::thread::sleep(Duration::from_secs(2));
    host.approve(&approval);
    let found = lines(&host, &run);
    assert_eq!(found[..3], ["200 got ", "200 got a", "200 got "]);
    let (monotonic, wall) = found[3].split_once(' ').unwrap();
    assert_eq!(monotonic, "0", "a call is no time by the monotonic clock");
    assert!(wall.parse::<u64>().unwrap() >= 2, "{found:?}");
    let order: Vec<String> = server.got().into_iter().map(|got| got.line).collect();
    assert_eq!(order, ["GET /1", "POST /2", "GET /3"], "a request that was given up is never sent");
}

/// The host dies at every moment of a request's life that has a name. Whatever was sent is sent once.
#[test]
fn a_killed_host_sends_no_request_twice() {
    let server = Server::start();
    let points = ["before-answer", "after-answer", "before-perform", "after-perform"];
    for point in points {
        let folder = folder(&server.host(), "");
        let host = folder.serve();
        let path = format!("/{point}");
        let run = host.start("fetch", &format!("GET {}\nPOST {} x", server.url(&path), server.url(&path)));
        let approval = host.held(&run);
        let id = approval["id"].as_str().unwrap().to_owned();
        host.kill();
        let host = folder.serve_with(&[("HOLDSHORT_KILL_AT", point)]);
        drop(host.try_request(
            &host.token,
            &format!("/v1/approvals/{id}/decisions"),
            Some(&json!({ "type": "approve", "digest": approval["digest"] })),
        ));
        host.ended();
        let host = folder.serve();
        let row = until("the end or a doubt", || {
            if host.approval(&id)["state"] == "held" {
                host.approve(&host.approval(&id));
            }
            let (row, effect) = (host.show_run(&run), host.approval(&id)["effect"]["state"].clone());
            (row["state"] == "finished" || effect == "in-doubt").then_some(row)
        });
        let sent = server.count(&format!("POST {path}"));
        assert_eq!(server.count(&format!("GET {path}")), 1, "{point}");
        assert_eq!(sent, usize::from(point != "before-perform"), "{point}: {row}");
    }
    figure("T43", "moments at which a killed host sent no request twice", points.len() as u64);
}

/// Python's own server, which nobody here wrote.
#[test]
fn a_server_of_pythons_answers_as_it_does_to_others() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("page.txt"), "a page").unwrap();
    let port = free_port();
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]).current_dir(site.path());
    let _python = served(python.stdout(Stdio::null()).stderr(Stdio::null()), port);
    let (_folder, host) = folder(&format!("127.0.0.1:{port}"), "").into_served();
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let run = host.start("fetch", &format!("GET {}\nHEAD {}\nPOST {} x", url("/page.txt"), url("/page.txt"), url("/")));
    host.approve(&host.held(&run));
    let found = lines(&host, &run);
    assert_eq!(found[..3], ["200 a page", "200 ", "501 <!DOCTYPE HTML>"], "{found:?}");
}

/// A port on which nobody listens.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server and waits until it listens.
pub fn served(server: &mut Command, port: u16) -> Running {
    let running = Running(server.spawn().unwrap());
    let start = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < crate::support::PATIENCE, "{server:?} serves nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

/// A program that ends with the test.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
