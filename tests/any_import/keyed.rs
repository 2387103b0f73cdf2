//! A request with the key of its call: a lost answer is looked up by the key, or the request is sent again under the same
//! key, as the operator says. The shop is a server in Python (`shop.py`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::requests::{Running, free_port, lines, refusal, served};
use crate::support::evidence::figure;
use crate::support::{Folder, Host, until};

struct Shop {
    port: u16,
    _python: Running,
}

impl Shop {
    fn open() -> Self {
        let (port, program) = (free_port(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/any_import/shop.py"));
        let mut python = Command::new("python3");
        python.arg(program).arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { port, _python: served(&mut python, port) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn folder(&self, more: &str) -> Folder {
        let rules = format!(
            "[http.\"127.0.0.1:{}\"]\nconsequential = [\"POST\"]\nallow-http = true\nallow-private = true\ntimeout = \"500ms\"\n{more}",
            self.port
        );
        Folder::new(&["fetch"], &rules)
    }

    /// The keys of all requests, and of all orders.
    fn book(&self) -> (Vec<Value>, Vec<Value>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /book HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let book: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        (book["requests"].as_array().unwrap().clone(), book["orders"].as_array().unwrap().clone())
    }
}

const KEY: &str = "idempotency-header = \"Idempotency-Key\"\n";
const LOOKUP: &str = "idempotency-header = \"Idempotency-Key\"\nlookup = \"/by-key/{key}\"\n";

fn order(host: &Host, shop: &Shop, path: &str) -> (String, Value) {
    let run = host.start("fetch", &format!("header idempotency-key mine\nPOST {} x", shop.url(path)));
    let approval = host.held(&run);
    (run, approval)
}

fn resolve(host: &Host, approval: &Value, resolution: &Value) -> (u16, Value) {
    let (run, number) = approval["id"].as_str().unwrap().rsplit_once('.').unwrap();
    host.post(&format!("/v1/runs/{run}/calls/{number}/resolution"), resolution)
}

const NOT_DONE: &str = "the attempt was started, but the effect did not happen";

#[test]
fn a_lost_answer_is_looked_up_by_the_key_of_the_call() {
    let shop = Shop::open();
    let (_folder, host) = shop.folder(LOOKUP).into_served();
    let (run, approval) = order(&host, &shop, "/lost");
    let (proposal, id) = (&approval["proposal"], approval["id"].as_str().unwrap());
    assert_eq!(proposal["class"], "reconcilable");
    assert_eq!(proposal["preconditions"], json!({ "credentials": [], "idempotency-header": "idempotency-key" }));
    let exhibit = &proposal["exhibits"][0];
    assert_eq!(exhibit["title"], "the key of the call");
    assert_eq!(
        host.get(&format!("/v1/approvals/{id}/exhibits/{}", exhibit["digest"].as_str().unwrap())),
        "the host adds the key of the call as the header idempotency-key, in place of the agent's value"
    );
    host.approve(&approval);
    let answer = lines(&host, &run);
    let (requests, orders) = shop.book();
    assert_eq!((requests.len(), orders.len()), (1, 1));
    assert_eq!(answer, [format!("200 {}", json!({ "key": orders[0] }).to_string().replace(':', ": "))]);
    assert_eq!(orders[0].as_str().unwrap().len(), 64, "the agent's key is not sent");
    let (run, approval) = order(&host, &shop, "/dropped");
    host.approve(&approval);
    assert_eq!(lines(&host, &run), [refusal(502, "failed", NOT_DONE)]);
    let (requests, orders) = shop.book();
    assert_eq!((requests.len(), orders.len()), (2, 1), "what was not done is not sent again");
    let evidence =
        host.events(&run).iter().map(Value::to_string).find(|event| event.contains("effect-failed")).unwrap();
    assert!(evidence.contains("the lookup request has the answer 404"), "{evidence}");
}

/// Many systems answer 404 to strangers, so without a credential this answer says nothing about a request that had one.
#[test]
fn a_lookup_without_the_credential_of_the_request_proves_nothing() {
    let shop = Shop::open();
    let credential = |methods: &str| {
        format!(
            "{LOOKUP}[credentials.shop]\nenvironment = \"SHOP_KEY\"\nhosts = [\"127.0.0.1:{}\"]\nmethods = [{methods}]\npaths = [\"/\"]\n",
            shop.port
        )
    };
    for (methods, state, evidence) in [
        ("\"POST\"", "in-doubt", "the host has no credential for it, and the lost request had one"),
        ("\"POST\", \"GET\"", "failed", "the lookup request has the answer 404, twice"),
    ] {
        let folder = shop.folder(&credential(methods));
        let host = folder.serve_with(&[("SHOP_KEY", "a-secret-of-the-shop")]);
        let (run, approval) = order(&host, &shop, "/dropped");
        assert_eq!(approval["proposal"]["preconditions"]["credentials"], json!(["shop"]));
        host.approve(&approval);
        host.effect(approval["id"].as_str().unwrap(), state);
        until(evidence, || Value::Array(host.events(&run)).to_string().contains(evidence).then_some(()));
    }
}

#[test]
fn a_reviewer_sends_a_request_again_only_where_the_operator_says_that_the_key_is_recognised() {
    let shop = Shop::open();
    let (_folder, host) = shop.folder(&format!("{KEY}idempotent = true\n")).into_served();
    for (path, orders) in [("/lost", 1), ("/dropped", 2)] {
        let (run, approval) = order(&host, &shop, path);
        assert_eq!(approval["proposal"]["class"], "idempotent");
        host.approve(&approval);
        host.effect(approval["id"].as_str().unwrap(), "in-doubt");
        let (status, answer) = resolve(&host, &approval, &json!({ "type": "send-again", "attempt": 1 }));
        assert_eq!(status, 200, "{answer}");
        assert_eq!(lines(&host, &run), ["201 {\"requests\": 2}"]);
        let book = shop.book();
        assert_eq!((book.0.len(), book.1.len()), (2 * orders, orders), "twice with one key: {book:?}");
    }
    let (_folder, host) = shop.folder(KEY).into_served();
    let (_, approval) = order(&host, &shop, "/lost");
    assert_eq!(approval["proposal"]["class"], "one-shot");
    host.approve(&approval);
    host.effect(approval["id"].as_str().unwrap(), "in-doubt");
    assert_eq!(resolve(&host, &approval, &json!({ "type": "send-again", "attempt": 1 })).0, 422);
    assert_eq!(shop.book().0.len(), 5);
}

/// The host dies between the start of the request and its outcome. The next host asks the shop, and sends nothing.
#[test]
fn after_a_kill_the_shop_is_asked_and_nothing_is_sent_again() {
    let shop = Shop::open();
    let points = [("before-perform", false), ("after-perform", true)];
    for (point, is_done) in points {
        let (requests, orders) = shop.book();
        let folder = shop.folder(LOOKUP);
        let host = folder.serve();
        let (run, approval) = order(&host, &shop, "/orders");
        let id = approval["id"].as_str().unwrap();
        host.kill();
        let host = folder.serve_with(&[("HOLDSHORT_KILL_AT", point)]);
        let decision = json!({ "type": "approve", "digest": approval["digest"] });
        drop(host.try_request(&host.token, &format!("/v1/approvals/{id}/decisions"), Some(&decision)));
        host.ended();
        let host = folder.serve();
        let row = until("the end", || Some(host.show_run(&run)).filter(|row| row["state"] == "finished"));
        let expected = if is_done { "200 {" } else { NOT_DONE };
        assert!(row["result"]["ok"].as_str().unwrap().contains(expected), "{point}: {row}");
        let book = shop.book();
        let new = (book.0.len() - requests.len(), book.1.len() - orders.len());
        assert_eq!(new, (usize::from(is_done), usize::from(is_done)), "{point}");
    }
    figure("T43", "moments at which a killed host asked for the outcome of a request", points.len() as u64);
}
