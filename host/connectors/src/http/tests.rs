//! Tests without a network, except for a listener that must not be reached.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdshort_common::outbound::{address, anywhere};
use holdshort_gate::{Digest, FunctionType, RunId, Time, WitType};

use super::*;
use crate::exhibit::tests::{host_words, words};

/// The parameters of `handle`, as `holdshort_agent` has them.
pub(super) fn action(method: &str, url: &str, body: Value) -> Action {
    with_headers(method, url, json!([]), body)
}

pub(super) fn with_headers(method: &str, url: &str, headers: Value, body: Value) -> Action {
    let pair = WitType::Tuple(vec![WitType::String, WitType::String]);
    let bytes = WitType::List(Box::new(WitType::U8));
    let cases =
        [("empty", None), ("text", Some(WitType::String)), ("bytes", Some(bytes))].map(|(name, ty)| (name.into(), ty));
    let params = [
        ("method", WitType::String),
        ("url", WitType::String),
        ("headers", WitType::List(Box::new(pair))),
        ("body", WitType::Variant(cases.into())),
    ];
    let ty = FunctionType { params: params.map(|(name, ty)| (name.to_owned(), ty)).into(), result: None };
    let arguments = json!({ "method": method, "url": url, "headers": headers, "body": body });
    Action::new(Digest::of(b""), "wasi:http/outgoing-handler#handle".parse().unwrap(), &ty, &arguments).unwrap()
}

fn host(allow_http: bool, private: bool) -> Host {
    Host {
        routine: vec!["GET".into()],
        routine_paths: None,
        routine_bytes_max: None,
        consequential: vec!["POST".into()],
        allow_http,
        addresses: Addresses { rule: if private { anywhere } else { address::refused }, lookup: None },
        time_out: Duration::from_secs(5),
        answer_bytes_max: 1024,
        idempotency: None,
    }
}

fn http(named: &[(&str, Host)]) -> Http {
    Http::new(named.iter().map(|(name, host)| ((*name).to_owned(), host.clone())).collect(), Vec::new(), Arc::default())
}

fn refused(http: &Http, method: &str, url: &str) -> Option<String> {
    http.read(&action(method, url, json!({ "empty": null }))).err().map(super::super::Sentence::into_string)
}

#[test]
fn only_a_named_host_by_its_exact_name_gets_a_request() {
    let http = http(&[("api.test", host(false, false)), ("plain.test:81", host(true, false))]);
    for url in [
        "https://api.test/",
        "https://API.test/",
        "https://api.test:443/x?y=1",
        "https://plain.test:81/",
        "http://plain.test:81/a/../b",
    ] {
        assert_eq!(refused(&http, "GET", url), None, "{url}");
    }
    for url in [
        "https://api.test./",
        "https://api.test:80/",
        "https://other.test/",
        "https://sub.api.test/",
        "https://api.test.evil.test/",
        "https://plain.test/",
        "http://api.test:443/",
    ] {
        let why = refused(&http, "GET", url).unwrap_or_else(|| panic!("{url}"));
        assert!(why.contains("no section `[http.HOST]`"), "{url}: {why}");
    }
    for url in [
        "https://user@api.test/",
        "https://api.test@evil.test/",
        "https://api.test\\@evil.test/",
        "ftp://api.test/",
        "https:///path",
        "api.test",
        "/path",
        "",
        "https://api.test/#part",
        "https://api.test/a b",
        "https://api.test/\r\nhost: evil.test",
    ] {
        let why = refused(&http, "GET", url).unwrap_or_else(|| panic!("{url}"));
        assert!(why.ends_with("is no URL of a host"), "{url}: {why}");
    }
    assert!(refused(&http, "GET", "http://api.test/").unwrap().starts_with("without TLS"));
    for method in ["get", "PUT", "CONNECT", "TRACE", "", "GET "] {
        assert!(refused(&http, method, "https://api.test/").unwrap().contains("is not allowed"), "{method}");
    }
}

#[test]
fn a_header_that_would_change_the_request_is_refused() {
    let credential = |paths: &str| {
        let bounds = (vec!["api.test".into()], vec!["GET".into()], vec![paths.into()]);
        Credential::new("api".into(), bounds, ("x-api-key", ""), "s3cret-key").unwrap()
    };
    let hosts = [("api.test", host(false, false)), ("other.test", host(false, false))];
    let hosts: BTreeMap<String, Host> = hosts.map(|(name, host)| (name.to_owned(), host)).into();
    let http = Http::new(hosts, vec![credential("/v1/")], Arc::default());
    let refused = |url: &str, name: &str, value: &str| {
        let action = with_headers("GET", url, json!([[name, value]]), json!({ "empty": null }));
        http.read(&action).err().map(super::super::Sentence::into_string)
    };
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "TE",
        "trailer",
        "connection",
        "A-IM",
        "expect",
        "upgrade",
        "keep-alive",
        "X-HTTP-Method-Override",
        "x-http-method",
        "x-method-override",
        "X-Original-URL",
        "x-rewrite-url",
        "Content-Encoding",
        "proxy-authorization",
        "X-Forwarded-Prefix",
        "x-http-verb",
        "forwarded",
        // Many servers read these as the names with `-`, also the header of the credential.
        "x_http_method_override",
        "transfer_encoding",
        "X_Api-Key",
    ] {
        let why = refused("https://other.test/", name, "x").unwrap_or_else(|| panic!("{name}"));
        assert!(why.contains("is not sent for an agent"), "{why}");
    }
    for name in ["x-stainless-os", "content-type", "anthropic-version", "if-none-match", "x-api-key"] {
        assert_eq!(refused("https://other.test/", name, "x"), None, "{name}");
    }
    for (name, value) in [("bad name", ""), ("", "x"), ("x", "a\r\nhost: evil"), ("x", "\0"), ("x:", "y"), ("ü", "x")]
    {
        let why = refused("https://other.test/", name, value).unwrap_or_else(|| panic!("{name}"));
        assert!(why.contains("that HTTP does not allow"), "{why}");
    }
    for name in ["range", "If-Range"] {
        assert!(refused("https://api.test/v2/", name, "bytes=0-5").unwrap().contains("cut a secret in two"), "{name}");
        assert_eq!(refused("https://other.test/", name, "bytes=0-5"), None, "{name}");
    }
    assert_eq!(refused("https://api.test/v1/", "accept", "text/plain"), None);
}

#[test]
fn the_class_of_a_request_is_that_of_its_method_at_its_host() {
    let http = http(&[("api.test", host(false, false))]);
    for (method, url, routine) in [
        ("GET", "https://api.test/", true),
        ("POST", "https://api.test/", false),
        ("GET", "https://other.test/", false),
        ("PUT", "https://api.test/", false),
    ] {
        assert_eq!(http.answers(&action(method, url, json!({ "empty": null }))), routine, "{method} {url}");
    }
}

/// A name whose address changes between the preview and the request reaches nothing: the address of the connection is
/// judged.
#[tokio::test]
async fn a_private_address_is_never_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://api.test:{port}/");
    let asked = AtomicUsize::new(0);
    let lookup = move |_: &str, port: u16| {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        let ip = if first { [93, 184, 216, 34] } else { [127, 0, 0, 1] };
        Ok(vec![(std::net::IpAddr::from(ip), port).into()])
    };
    let addresses = Addresses { rule: address::refused, lookup: Some(Arc::new(lookup)) };
    let http = http(&[(&format!("api.test:{port}"), Host { addresses, ..host(true, false) })]);
    let post = action("POST", &url, json!({ "text": "x" }));
    let previewed = http.preview(&AgentName::new("fetch"), &post).await.unwrap();
    assert_eq!(previewed.summary.as_str(), format!("POST \"{url}\" with 1 bytes"));
    let Attempt::NotDone(why) = http.attempt(&post, &previewed.preconditions, &EffectKey("key".into())).await else {
        panic!("it was sent")
    };
    assert!(
        why.contains("127.0.0.1, the address of `api.test`, is refused: the address is this machine"),
        "{}",
        why.as_str()
    );
    let get = http.answer(&action("GET", &url, json!({ "empty": null }))).await;
    assert!(get["err"]["forbidden"].as_str().unwrap().contains("the address is this machine"), "{get}");
    assert!(matches!(http.preview(&AgentName::new("fetch"), &post).await, Err(CannotPreview::Impossible(_))));
    assert!(listener.accept().is_err(), "somebody connected");
}

/// A policy for a path decides only about requests that no server reads as requests for another path.
#[tokio::test]
async fn the_path_is_a_fact_only_if_every_server_reads_it_in_the_same_way() {
    let http = http(&[("127.0.0.1", host(false, true))]);
    for (path, is_fact) in [("/v1/notes/a%20b", true), ("/v1/notes/../pay", false), ("/v1/notes/..%2fpay", false)] {
        let post = action("POST", &format!("https://127.0.0.1{path}"), json!({ "empty": null }));
        let previewed = http.preview_now(&post).await.unwrap();
        assert_eq!(previewed.facts.get("path"), is_fact.then(|| json!(path)).as_ref(), "{path}");
        let shown = previewed.exhibits.iter().any(|exhibit| exhibit.title() == "the path");
        assert_eq!(shown, !is_fact, "{path}");
        assert_eq!(previewed.facts["host"], "127.0.0.1");
    }
}

/// A body is shown as UTF-8, so it is sent only if the other system reads it as UTF-8.
#[test]
fn a_body_in_another_coding_is_refused() {
    let http = http(&[("api.test", host(false, false))]);
    let refused = |media: &str, body: &str| {
        let post = with_headers("POST", "https://api.test/", json!([["content-type", media]]), json!({ "text": body }));
        http.read(&post).err().map(super::super::Sentence::into_string)
    };
    for media in ["application/json; charset=utf-16", "text/plain;Charset=\"UTF-7\"", "a/b; x=y; charset = ibm037"] {
        assert!(refused(media, "x").unwrap().contains("is another coding than UTF-8"), "{media}");
    }
    assert!(refused("text/plain; charset=iso-8859-1", "ü").is_some());
    for media in ["text/plain; charset=iso-8859-1", "text/plain; charset=\"utf-8\"", "a/b; charset=US-ASCII", "charset"]
    {
        assert_eq!(refused(media, "x"), None, "{media}");
    }
    assert_eq!(refused("text/plain; charset=utf-8", "ü"), None);
}

/// A key that the other system recognised when the request was approved, and no longer recognises.
#[tokio::test]
async fn a_key_that_is_forgotten_since_the_approval_is_not_sent_again() {
    let with = |is_idempotent: bool| {
        let key = Idempotency { header: "idempotency-key".parse().unwrap(), is_idempotent, lookup: None };
        http(&[("127.0.0.1:9", Host { idempotency: Some(key), ..host(true, true) })])
    };
    let post = action("POST", "http://127.0.0.1:9/", json!({ "text": "x" }));
    let shown = with(true).preview_now(&post).await.unwrap().preconditions;
    let attempt = async |http: Http| http.attempt(&post, &shown, &EffectKey("key".into())).await;
    let Attempt::FactsChanged(why) = attempt(with(false)).await else { panic!("it was sent") };
    assert!(why.contains("`idempotent` of the host was true and is not now"), "{}", why.as_str());
    assert!(matches!(attempt(with(true)).await, Attempt::NotDone(_)), "nobody listens there");
}

/// Without the header the other system did not get the key, so an answer about the key would say nothing.
#[tokio::test]
async fn a_key_is_asked_for_only_if_it_was_sent() {
    let key = Idempotency {
        header: "idempotency-key".parse().unwrap(),
        is_idempotent: true,
        lookup: Some("/by-key/{key}".into()),
    };
    let http = http(&[("127.0.0.1:9", Host { idempotency: Some(key), ..host(true, true) })]);
    let post = action("POST", "http://127.0.0.1:9/", json!({ "text": "x" }));
    let get = action("GET", "http://127.0.0.1:9/", json!({ "empty": null }));
    assert_eq!(http.effect_of(&post).class, EffectClass::Idempotent);
    assert_eq!(http.effect_of(&get).class, EffectClass::OneShot);
    let changed = "the header with the key of the call was null and is 'idempotency-key' now";
    let shown = json!({ "credentials": [], "idempotent": true });
    let Attempt::FactsChanged(why) = http.attempt(&post, &shown, &EffectKey("key".into())).await else {
        panic!("it was sent")
    };
    assert_eq!(why, changed);
    let inquiry = Inquiry {
        run: RunId("r".into()),
        call: 1,
        attempt: 1,
        started_at: Time(1),
        action: post,
        preconditions: shown,
        key: EffectKey("key".into()),
    };
    let Finding::Unknown { evidence } = http.lookup(&inquiry).await else { panic!("it was asked for") };
    assert_eq!(evidence, format!("the lookup request was not made: {changed}"));
}

#[test]
fn json_is_laid_out_only_if_nothing_is_lost() {
    let shown_as = |media: &str, body: &str| {
        let http = http(&[("api.test", host(false, true))]);
        let read = with_headers("POST", "https://api.test/", json!([["content-type", media]]), json!({ "text": body }));
        let Allowed { request, .. } = http.read(&read).unwrap();
        request.exhibits().first().map(|exhibit| String::from_utf8(exhibit.bytes().to_vec()).unwrap())
    };
    let shown = |body: &str| shown_as("application/json; charset=UTF-8", body);
    // The other system would read it as something else.
    for media in ["application/x-www-form-urlencoded", "text/plain", "application/yaml", ""] {
        assert_eq!(shown_as(media, "{}"), None, "{media}");
    }
    assert_eq!(shown_as("Application/Problem+JSON", "{}").unwrap(), "{}\n");
    assert_eq!(
        shown(r#"{"a":"x1e9","b":[1,-2.5]}"#).unwrap(),
        "{\n  \"a\": \"x1e9\",\n  \"b\": [\n    1,\n    -2.5\n  ]\n}\n"
    );
    for exact in ["[true, null, false]", r#"{"e":"\"12345678901234567890123"}"#, "[18446744073709551615]", "[]"] {
        assert!(shown(exact).is_some(), "{exact}");
    }
    for lossy in ["[12345678901234567890123]", "[1.10]", "[1e2]", r#"{"a":1,"a":2}"#, "7", "{", "hello", "[0.1,-0]"] {
        assert_eq!(shown(lossy), None, "{lossy}");
    }
}

/// The size of a body in the journal and in evidence is a small multiple of its size, whatever it consists of.
#[test]
fn a_body_costs_little_more_than_its_size() {
    let sparse = [&b"\0"[..], &[b'\n'; 15]].concat();
    for (pattern, is_text) in [
        (&b"\0"[..], false),
        (b"\x1b[0m", false),
        (b"\0\"\"\"\"\"\"", false),
        (b"\xff\0", false),
        (&sparse, true),
        (b"\"", true),
        (b"\\", true),
        (b"\r\n\t", true),
        (b"{\"a\":\"b\"},", true),
        ("ü\u{7f}\u{2028}".as_bytes(), true),
    ] {
        let body = pattern.repeat((1 << 20) / pattern.len());
        let (len, kept) = (body.len(), send::content(body));
        let size = kept.to_string().len();
        assert!(size <= len * 9 / 4 + 64, "{pattern:?}: {size} bytes for {len}");
        assert_eq!(kept.get("text").is_some(), is_text, "{pattern:?}");
    }
    let http = http(&[("api.test", host(false, true))]);
    let deep =
        |depth: usize, items: usize| format!("{}{}{}", "[".repeat(depth), "1,".repeat(items) + "1", "]".repeat(depth));
    for (body, is_laid_out) in [(deep(2, 30_000), true), (deep(100, 30_000), false), (deep(100, 2), true)] {
        let json = json!([["content-type", "application/json"]]);
        let read = with_headers("POST", "https://api.test/", json, json!({ "text": body }));
        let Allowed { request, .. } = http.read(&read).unwrap();
        let sizes: Vec<usize> = request.exhibits().iter().map(|exhibit| exhibit.bytes().len()).collect();
        assert_eq!(sizes.len(), usize::from(is_laid_out), "{sizes:?}");
        assert!(sizes.iter().all(|size| *size <= (8 * body.len()).max(64 * 1024)), "{sizes:?}");
    }
}

#[tokio::test]
async fn a_url_never_goes_on_with_the_hosts_words() {
    let http = http(&[("127.0.0.1", host(false, true))]);
    let mut tried = 0;
    for words in words() {
        let path: String = words.chars().filter(char::is_ascii_graphic).collect();
        let json = json!([["content-type", "application/json"]]);
        let post = with_headers("POST", &format!("https://127.0.0.1/{path}"), json, json!({ "text": words }));
        let Ok(previewed) = http.preview_now(&post).await else { continue };
        tried += 1;
        let host = host_words(&previewed);
        assert!(host[0].starts_with("POST ") && host[0].ends_with(" bytes"), "{host:?}");
        assert!(
            host[1..].iter().all(|line| ["the body as JSON", "the path"].contains(&line.as_str())
                || line.starts_with("a server could read this path")),
            "{host:?}"
        );
    }
    assert!(tried > 100, "{tried}");
}
