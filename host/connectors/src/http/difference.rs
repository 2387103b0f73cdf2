//! The differences between two requests with the same method, host and path.
//!
//! **Invariant:** a difference is shown whole. JSON members are listed only if that is possible within a limit; else both
//! bodies are shown.

use std::collections::BTreeMap;

use serde_json::Value;

use super::request::Request;
use crate::{Sentence, quote, quote_value, say};

/// The maximum size of the paths of all JSON members. A long name of an outer member is in the path of each inner one.
const PATHS_BYTES_MAX: usize = 256 * 1024;

/// Names with their values, in the order of the request.
type Named = Vec<(String, Sentence)>;

/// One line for each difference.
pub(super) fn differences(before: &Request, now: &Request) -> Sentence {
    let of = |request: &Request| (pairs(request.uri().query()), headers(request));
    let ((query_before, headers_before), (query, headers)) = (of(before), of(now));
    let mut lines = listed("query parameter", &query_before, &query) + listed("header", &headers_before, &headers);
    if before.is_plain() != now.is_plain() {
        let scheme = |request: &Request| if request.is_plain() { "http" } else { "https" };
        lines += say!("scheme: {} before, {} now\n", scheme(before), scheme(now));
    }
    if before.body() != now.body() {
        lines += bodies(before, now);
    }
    if lines.is_empty() { say!("nothing\n") } else { lines }
}

fn bodies(before: &Request, now: &Request) -> Sentence {
    let members = |request: &Request| members(&request.json()?);
    let fields = |request: &Request| Some(pairs(Some(request.form()?)));
    let json = members(before).zip(members(now)).map(|both| ("JSON member", both));
    let form = || Some(("form field", fields(before).zip(fields(now))?));
    match json.or_else(form) {
        Some((part, (before, now))) if before != now => listed(part, &before, &now),
        Some((part, _)) => say!("body: each {} is the same, in another layout\n", part),
        None => {
            let whole = |request: &Request| match request.text() {
                Some(text) => quote(text).into(),
                None => say!("{} bytes with the digest {}", request.body().len(), request.digest()),
            };
            say!("body: {} before, {} now\n", whole(before), whole(now))
        }
    }
}

fn headers(request: &Request) -> Named {
    request.headers().iter().map(|(name, value)| (name.clone(), quote(value).into())).collect()
}

/// The pairs of a query or a form, as they are sent.
fn pairs(text: Option<&str>) -> Named {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (name.to_owned(), quote(value).into()),
        None => (pair.to_owned(), say!("no value")),
    };
    text.into_iter().flat_map(|text| text.split('&')).map(pair).collect()
}

/// The innermost members in the order of their paths (RFC 6901); `None` if the paths are too long for a list.
fn members(json: &Value) -> Option<Named> {
    let (mut all, mut room) = (Vec::new(), PATHS_BYTES_MAX);
    add_members(json, String::new(), &mut all, &mut room)?;
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Some(all)
}

fn add_members(value: &Value, path: String, all: &mut Named, room: &mut usize) -> Option<()> {
    *room = room.checked_sub(path.len())?;
    match value {
        Value::Object(members) if !members.is_empty() => members.iter().try_for_each(|(name, member)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            add_members(member, format!("{path}/{name}"), all, room)
        }),
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().try_for_each(|(at, item)| add_members(item, format!("{path}/{at}"), all, room))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            all.push((path, quote_value(value)));
            Some(())
        }
    }
}

/// The names whose values differ. A name may occur several times.
fn listed(part: &'static str, before: &Named, now: &Named) -> Sentence {
    let mut names: BTreeMap<&str, (Vec<Sentence>, Vec<Sentence>)> = BTreeMap::new();
    before.iter().for_each(|(name, value)| names.entry(name).or_default().0.push(value.clone()));
    now.iter().for_each(|(name, value)| names.entry(name).or_default().1.push(value.clone()));
    let values = |values: Vec<Sentence>| Sentence::join(values, ", ");
    let changed = names.into_iter().filter(|(_, (before, now))| before != now);
    let lines: Sentence = changed
        .map(|(name, (before, now))| match (before.is_empty(), now.is_empty()) {
            (true, _) => say!("{} {} is new: {}\n", part, quote(name), values(now)),
            (_, true) => say!("{} {} is gone: {}\n", part, quote(name), values(before)),
            _ => say!("{} {}: {} before, {} now\n", part, quote(name), values(before), values(now)),
        })
        .sum();
    if lines.is_empty() && before != now { say!("{}: the same in another order\n", part) } else { lines }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::tests::with_headers;

    fn shown(before: (&str, Value, Value), now: (&str, Value, Value)) -> String {
        let request = |(url, headers, body): (&str, Value, Value)| {
            Request::read(&with_headers("POST", &format!("https://api.test/x{url}"), headers, body)).unwrap()
        };
        differences(&request(before), &request(now)).into_string()
    }

    fn of_bodies_as(media: &str, before: &str, now: &str) -> String {
        let headers = json!([["content-type", media]]);
        shown(("", headers.clone(), json!({ "text": before })), ("", headers, json!({ "text": now })))
    }

    fn of_bodies(before: &str, now: &str) -> String {
        of_bodies_as("application/json", before, now)
    }

    #[test]
    fn every_part_of_a_request_is_compared() {
        let none = || json!({ "empty": null });
        let query = |before: &str, now: &str| shown((before, json!([]), none()), (now, json!([]), none()));
        assert_eq!(query("?a=1&b", "?a=1&b"), "nothing\n");
        assert_eq!(
            query("?a=1&b=2&c", "?a=1&b=3&d=%20"),
            "query parameter \"b\": \"2\" before, \"3\" now\nquery parameter \"c\" is gone: no value\n\
             query parameter \"d\" is new: \"%20\"\n"
        );
        assert_eq!(query("?a=1&a=2", "?a=2&a=1"), "query parameter \"a\": \"1\", \"2\" before, \"2\", \"1\" now\n");
        assert_eq!(query("?a=1&b=2", "?b=2&a=1"), "query parameter: the same in another order\n");
        assert_eq!(query("", "?"), "query parameter \"\" is new: no value\n");
        let headers = |value: &str| json!([["accept", value], ["x-same", "1"]]);
        assert_eq!(
            shown(("", headers("a"), none()), ("", headers("\" now"), none())),
            "header \"accept\": \"a\" before, \"\\\" now\" now\n"
        );
        let form = json!([["content-type", "application/x-www-form-urlencoded; charset=utf-8"]]);
        assert_eq!(
            shown(("", form.clone(), json!({ "text": "a=1&b=2" })), ("", form, json!({ "text": "a=1&b=20" }))),
            "form field \"b\": \"2\" before, \"20\" now\n"
        );
        let bytes = json!({ "bytes": "/w==" });
        let found = shown(("", json!([]), json!({ "text": "a" })), ("", json!([]), bytes));
        assert!(found.starts_with("body: \"a\" before, 1 bytes with the digest sha256:"), "{found}");
        let scheme = |url: &str| Request::read(&with_headers("POST", url, json!([]), none())).unwrap();
        let found = differences(&scheme("https://api.test/"), &scheme("http://api.test/"));
        assert_eq!(found, "scheme: https before, http now\n");
    }

    #[test]
    fn members_of_json_are_compared_by_their_paths() {
        assert_eq!(
            of_bodies(
                r#"{"to":"Ada","amount":12.5,"a/b~":[{"x":1},{"x":2}],"old":{}}"#,
                r#"{"amount": 1250, "to": "Ada","a/b~":[{"x":1},{"x":"2"},[]]}"#
            ),
            "JSON member \"/amount\": 12.5 before, 1250 now\nJSON member \"/a~1b~0/1/x\": 2 before, \"2\" now\n\
             JSON member \"/a~1b~0/2\" is new: []\nJSON member \"/old\" is gone: {}\n"
        );
        assert_eq!(
            of_bodies(r#"{"a":1,"b":2}"#, "{\"b\": 2,\n\"a\": 1}"),
            "body: each JSON member is the same, in another layout\n"
        );
        // What the other system does not read as JSON is not compared as JSON.
        let (before, now) = (r#"{"q":"a\u0026to=bob"}"#, r#"{"q":"a&to=bob"}"#);
        let form = of_bodies_as("application/x-www-form-urlencoded", before, now);
        assert!(form.contains("form field \"to\" is new: \"bob\\\"}\""), "{form}");
        for media in ["text/plain", "application/yaml", ""] {
            assert!(of_bodies_as(media, "[1]", "[ 1]").starts_with("body: \"[1]\" before"), "{media}");
        }
        // What a parser would round, and what it would drop, is compared as text.
        for (before, now) in [("[1.10]", "[1.1]"), (r#"{"a":1}"#, r#"{"a":1,"a":2}"#), ("[1]", "no JSON")] {
            let [before_quoted, now_quoted] = [before, now].map(|text| quote(text).to_string());
            assert_eq!(of_bodies(before, now), format!("body: {before_quoted} before, {now_quoted} now\n"));
        }
    }

    /// A name that stands in the paths of many members does not make a list of many times the body's size.
    #[test]
    fn a_list_of_members_is_bounded() {
        let body = |last: u32| {
            let items: Vec<u32> = (0..10_000).chain([last]).collect();
            json!({ "a".repeat(10_000): items }).to_string()
        };
        let (before, now) = (body(1), body(2));
        let found = of_bodies(&before, &now);
        assert!(found.starts_with("body: \"{") && found.len() < 2 * (before.len() + now.len()), "{}", found.len());
        assert!(found.contains("9999,1]") && found.contains("9999,2]"), "both bodies are whole");
    }
}
