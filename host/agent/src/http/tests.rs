//! The forms of HTTP requests and answers. `tests/any_import/requests.rs` sends real requests.

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Method, Scheme};

use super::exchange::{Head, Response, handle, is_handle};

fn head(authority: Option<&str>, path: Option<&str>, headers: &HeaderMap) -> Result<Value, ErrorCode> {
    let head = Head::new(&Method::Post, Some(&Scheme::Https), authority, path.map(str::to_owned), headers)?;
    Ok(head.arguments(b"x".to_vec()))
}

#[test]
fn a_request_is_one_value_of_the_functions_type() {
    let (capability, ty) = handle().unwrap();
    assert!(is_handle(&capability));
    assert_eq!(capability.to_string(), "wasi:http/outgoing-handler#handle");
    let mut headers = HeaderMap::new();
    for (name, value) in [("b", "2"), ("accept", "one"), ("content-length", "7"), ("a", "1"), ("accept", "two")] {
        headers.append(name, HeaderValue::from_static(value));
    }
    let found = head(Some("api.test:8080"), Some("?q=1"), &headers).unwrap();
    // The headers are sorted by name. Two headers of one name keep the guest's order.
    let sorted = json!([["a", "1"], ["accept", "one"], ["accept", "two"], ["b", "2"]]);
    let expected =
        json!({ "method": "POST", "url": "https://api.test:8080/?q=1", "headers": sorted, "body": { "text": "x" } });
    assert_eq!(found, expected);
    assert_eq!(ty.normalise_arguments(&found).unwrap(), expected);
    assert!(head(None, None, &HeaderMap::new()).is_err());
    headers.insert("b", HeaderValue::from_bytes(&[0xe4]).unwrap());
    assert!(head(Some("api.test"), None, &headers).is_err(), "a header that is no text cannot be shown");
}

#[test]
fn every_result_is_an_answer() {
    let ty = handle().unwrap().1.result.unwrap();
    let normal = |result: &Value| ty.normalise(result).unwrap();
    for (case, text, status) in [
        ("rejected", json!("no"), 403),
        ("expired", Value::Null, 403),
        ("cancelled", Value::Null, 403),
        ("forbidden", json!("no"), 403),
        ("invalid", json!("no"), 403),
        ("failed", json!("no"), 502),
        ("unresolved", json!("no"), 403),
    ] {
        let answer = Response::of(&normal(&json!({ "err": { case: text } }))).unwrap();
        assert_eq!((answer.status, answer.headers["x-should-retry"].to_str().unwrap()), (status, "false"), "{case}");
    }
    let headers = json!([["x-id", "1"], ["x-id", "2"], ["bad name", "3"]]);
    let answer = json!({ "ok": { "status": 201, "headers": headers, "body": { "bytes": "//4=" } } });
    let answer = Response::of(&normal(&answer)).unwrap();
    let ids: Vec<_> = answer.headers.get_all("x-id").iter().collect();
    assert_eq!((answer.status, ids.len(), answer.headers.len()), (201, 2, 2));
    assert!(Response::of(&json!("text")).is_err());
}
