//! The one check for every answer: does the answer match `/openapi.json`?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::client::{Reply, Request};

/// Headers that every answer has.
const HEADERS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
];
/// Headers that every answer of the endpoint has in addition.
const ENDPOINT: [(&str, &str); 3] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
];
/// Headers that every page has in addition: a page may have a script, a style and forms of the host.
const PAGE: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Headers that no answer has: other origins get no permission, and the answer does not say which software is
/// installed.
const NEVER: [&str; 6] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-private-network",
    "server",
    "x-powered-by",
    "refresh",
];

/// Whether a target belongs to the pages: every target outside of the endpoint.
pub fn is_page(target: &str) -> bool {
    let target = target.split_once("://").map_or(target, |(_, rest)| &rest[rest.find('/').unwrap_or(0)..]);
    let path = target.split('?').next().unwrap();
    let version = path.strip_prefix("/v").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !version && !["/healthz", "/readyz", "/metrics", "/openapi.json"].contains(&path)
}

/// The schema that the host serves.
pub struct Schema(pub Value);

impl Schema {
    /// The part of the schema for a path, and the path as the schema writes it.
    fn path<'a>(&'a self, target: &str) -> Option<(&'a str, &'a Value)> {
        // A target in absolute form begins with the host.
        let target = target.split_once("://").map_or(target, |(_, rest)| &rest[rest.find('/').unwrap_or(0)..]);
        let path: Vec<&str> = target.split('?').next().unwrap().split('/').collect();
        let fits = |pattern: &str| {
            let pattern: Vec<&str> = pattern.split('/').collect();
            pattern.len() == path.len()
                && pattern
                    .iter()
                    .zip(&path)
                    .all(|(part, found)| part == found || (part.starts_with('{') && !found.is_empty()))
        };
        self.0["paths"]
            .as_object()
            .unwrap()
            .iter()
            .find(|(pattern, _)| fits(pattern))
            .map(|(pattern, item)| (pattern.as_str(), item))
    }

    /// Fails unless the schema describes the answer, and the answer has the headers that every answer has.
    pub fn check(&self, request: &Request, reply: &Reply) {
        let what = format!("{} {} -> {} {}", request.method, request.target, reply.status, reply.text());
        if is_page(&request.target) {
            return self.check_page(reply, &what);
        }
        self.check_headers(reply, &what);
        let media = reply.header("content-type").unwrap_or_else(|| panic!("no content type: {what}"));
        assert_eq!(reply.status >= 400, media == "application/problem+json", "{what}");
        if reply.status >= 400 {
            self.check_problem(reply, &what);
        }
        // The schema writes methods in lower case. HTTP knows them in upper case only.
        let method = if request.method == "HEAD" { "GET" } else { &request.method };
        let method = method.replace(char::is_lowercase, "-").to_ascii_lowercase();
        let operation =
            self.path(&request.target).map(|(_, item)| &item[method]).filter(|operation| operation.is_object());
        let Some(operation) = operation else {
            // A target that is not in the schema is answered with 404 or 405, after the client has been identified.
            assert!([400, 401, 403, 404, 405, 421, 429].contains(&reply.status), "not in the schema: {what}");
            return;
        };
        if reply.status < 400 {
            self.check_request(operation, request, &what);
        }
        let response = &operation["responses"][reply.status.to_string()];
        assert!(response.is_object(), "the schema does not describe this status: {what}");
        let content = response["content"].as_object().unwrap_or_else(|| panic!("no content described: {what}"));
        let described = content.get(media).unwrap_or_else(|| panic!("`{media}` is not described: {what}"));
        if media.contains("json") && request.method != "HEAD" {
            self.validate(&described["schema"], &reply.json(), &what);
        }
    }

    /// Fails unless the schema describes the request that was accepted: its body, and each parameter in the path, the
    /// query and the headers.
    fn check_request(&self, operation: &Value, request: &Request, what: &str) {
        let asked = operation["requestBody"]["content"]["application/json"]["schema"].clone();
        if asked.is_object() {
            let body = serde_json::from_slice(&request.body).unwrap_or_else(|error| panic!("{error}: {what}"));
            self.validate(&asked, &body, what);
        }
        let (pattern, _) = self.path(&request.target).unwrap();
        let target = &request.target[request.target.find("/v1").unwrap_or(0)..];
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let in_path = pattern.split('/').zip(path.split('/')).filter(|(part, _)| part.starts_with('{'));
        let in_path = in_path.map(|(part, text)| ("path", part.trim_matches(['{', '}']).to_owned(), text.to_owned()));
        let in_query = form_urlencoded::parse(query.as_bytes()).map(|(name, text)| ("query", name.into(), text.into()));
        let headers = request.headers.iter().map(|(name, text)| ("header", name.clone(), text.clone()));
        for (place, name, text) in in_path.chain(in_query).chain(headers) {
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let is_it =
                |known: &&Value| known["in"] == place && known["name"].as_str().unwrap().eq_ignore_ascii_case(&name);
            let Some(known) = parameters.iter().find(is_it) else {
                assert_eq!(place, "header", "`{name}` is not described, and was accepted: {what}");
                continue;
            };
            let read = serde_json::from_str(&text).unwrap_or(Value::Null);
            let fits = self.fits(&known["schema"], &Value::String(text)) || self.fits(&known["schema"], &read);
            assert!(fits, "`{name}` is not as described, and was accepted: {what}");
        }
    }

    /// Fails unless the answer has the headers that every answer of the endpoint has, and none of the forbidden
    /// headers.
    pub fn check_headers(&self, reply: &Reply, what: &str) {
        self.check_common(reply, &ENDPOINT, what);
        assert_eq!(reply.header("set-cookie"), None, "a cookie of {what}");
        assert!(!(300..400).contains(&reply.status), "{what}");
        assert_eq!(reply.header("location").is_some(), reply.status == 201, "only what was made has a place: {what}");
    }

    /// Like `check_headers`, for a page. Unlike other answers, a page may redirect, but only within this host. It may
    /// also set a cookie, which scripts and other sites cannot use.
    pub fn check_page(&self, reply: &Reply, what: &str) {
        self.check_common(reply, &PAGE, what);
        let kept = reply.header("cache-control");
        assert!(kept == Some("no-store") || what.contains("/assets/"), "{kept:?} of {what}");
        let location = reply.header("location");
        assert_eq!(location.is_some(), reply.status == 303, "{what}");
        assert!(location.is_none_or(|to| to.starts_with('/') && !to.starts_with("//")), "{location:?} of {what}");
        if let Some(cookie) = reply.header("set-cookie") {
            let flags: BTreeSet<&str> = cookie
                .split("; ")
                .skip(1)
                .filter(|flag| !flag.contains("=0") && !flag.starts_with("Expires"))
                .collect();
            assert_eq!(flags, BTreeSet::from(["HttpOnly", "SameSite=Strict", "Path=/"]), "{what}");
            assert!(cookie.starts_with("holdshort-") && reply.status == 303, "{cookie} of {what}");
        }
        if !reply.body.is_empty() && reply.status != 303 && !what.contains("/assets/") && !what.contains("/live") {
            assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{what}");
        }
    }

    fn check_common(&self, reply: &Reply, of_side: &[(&str, &str)], what: &str) {
        for (name, value) in HEADERS.iter().chain(of_side) {
            assert_eq!(reply.header(name), Some(*value), "{name} of {what}");
        }
        for name in NEVER {
            assert_eq!(reply.header(name), None, "{name} of {what}");
        }
    }

    fn check_problem(&self, reply: &Reply, what: &str) {
        if reply.body.is_empty() {
            return;
        }
        let problem = reply.json();
        self.validate(&json!({"$ref": "#/components/schemas/Problem"}), &problem, what);
        assert_eq!(problem["status"], reply.status, "{what}");
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| text.len() > 3), "no {member}: {what}");
        }
        assert_eq!(reply.status == 401, reply.header("www-authenticate").is_some(), "{what}");
        assert!(reply.status != 429 || reply.header("retry-after").is_some(), "{what}");
    }

    /// A validator for `schema`, whose references point into the document. Each validator is made once, because there
    /// is only one document.
    pub fn validator(&self, schema: &Value) -> Arc<jsonschema::Validator> {
        static MADE: Mutex<BTreeMap<String, Arc<jsonschema::Validator>>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(schema.to_string()).or_insert_with(|| Arc::new(self.make(schema))).clone()
    }

    fn make(&self, schema: &Value) -> jsonschema::Validator {
        let root = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "components": self.0["components"], "allOf": [schema]});
        jsonschema::options().should_validate_formats(true).build(&root).unwrap()
    }

    /// Whether `value` is valid against `schema`.
    pub fn fits(&self, schema: &Value, value: &Value) -> bool {
        self.validator(schema).is_valid(value)
    }

    /// Fails unless `value` is valid against `schema`.
    pub fn validate(&self, schema: &Value, value: &Value, what: &str) {
        let validator = self.validator(schema);
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{} at `{}`", error, error.instance_path())).collect();
        assert!(wrong.is_empty(), "{what}\ndoes not fit the schema:\n{}", wrong.join("\n"));
    }
}
