//! The door that every request passes: is it for this host, not from a foreign web page, from somebody known, and not too often?
//!
//! A browser can be made to send requests to a loopback address, by any page (which then cannot read the answer, but need not) or, once a name that
//! the page's owner controls resolves to 127.0.0.1, with the page reading answers too (DNS rebinding). The first carries a foreign `Origin`,
//! the second a foreign `Host`. Neither carries a token: tokens are never cookies, so a browser does not add one by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::{Kind, Problem};
use super::server::{Busy, Line};
use crate::kill;

/// What is served to anybody: probes come from machines that know neither token nor name, and learn one word.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Headers of every answer. Nothing here is a page, nothing may be kept, framed or guessed at.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Lets a request through, or not, and finishes the answer.
pub(super) async fn pass(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    // Held until the answer is there: a connection that serves a reviewer is not closed to make room.
    let (mut response, _busy) = match admit(&api, &mut request) {
        Ok(busy) => (next.run(request).await, busy),
        Err(problem) => (problem.into_response(), None),
    };
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    api.0.metrics.count(route, &method, response.status().as_u16());
    if cfg!(debug_assertions) && method == Method::POST {
        kill::point(&format!("{}{route}", kill::REPLY));
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn admit(api: &Api, request: &mut Request) -> Result<Option<Arc<Busy>>, Problem> {
    if PROBES.contains(&request.uri().path()) {
        return Ok(None);
    }
    check_host(api, request)?;
    check_origin(api, request.headers())?;
    check_fetch(request.headers())?;
    check_coding(request.headers())?;
    let line = request.extensions().get::<Arc<Line>>().cloned();
    let reviewer = match api.0.reviewers.identify(request.headers()) {
        Ok(reviewer) => reviewer,
        Err(problem) => {
            api.0.metrics.unauthenticated.fetch_add(1, Ordering::Relaxed);
            let often = line.is_some_and(|line| !api.0.failures.take(&line.peer(), Instant::now()));
            return Err(if often { too_many("too many requests without a valid token") } else { problem });
        }
    };
    if !api.0.requests.take(&reviewer, Instant::now()) {
        return Err(too_many("too many requests with this token"));
    }
    let busy = line.map(|line| Arc::new(line.asked_by(&reviewer)));
    request.extensions_mut().insert(reviewer);
    if let Some(busy) = &busy {
        if request.body().is_end_stream() {
            busy.begin();
        }
        request.extensions_mut().insert(busy.clone());
    }
    Ok(busy)
}

fn too_many(detail: &str) -> Problem {
    Problem::new(Kind::TooMany, detail).retry_after_s(1)
}

/// Exactly one `Host`, and an allowed one; a target in absolute form names a host too, and that one counts as well.
fn check_host(api: &Api, request: &Request) -> Result<(), Problem> {
    let mut values = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (values.next(), values.next()) else {
        return Err(Problem::new(Kind::BadRequest, "send `Host` exactly once"));
    };
    let authority = request.uri().authority().map(|authority| authority.as_str());
    for named in [host.to_str().ok(), authority.or(host.to_str().ok())] {
        let known = named.is_some_and(|named| api.0.hosts.contains(&named.to_ascii_lowercase()));
        if !known {
            let named = super::shortened(named.unwrap_or("(not text)"));
            let detail =
                format!("this host does not answer to `{named}`; the operator can add it to `server.allowed-hosts`");
            return Err(Problem::new(Kind::HostNotServed, detail));
        }
    }
    Ok(())
}

/// No `Origin`, or allowed ones only.
fn check_origin(api: &Api, headers: &HeaderMap) -> Result<(), Problem> {
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("(not text)");
        if !api.0.origins.contains(&origin.to_ascii_lowercase()) {
            let detail = format!(
                "requests from pages of `{}` are not answered; the operator can add it to `server.allowed-origins`",
                super::shortened(origin)
            );
            return Err(Problem::new(Kind::OriginNotAllowed, detail));
        }
    }
    Ok(())
}

/// What a browser loads for a foreign page carries no `Origin` if the page may not read it, but says where it comes from. Only a link that a person
/// follows may lead here.
fn check_fetch(headers: &HeaderMap) -> Result<(), Problem> {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    let foreign = says("sec-fetch-site", "cross-site") || says("sec-fetch-site", "same-site");
    let followed = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    if foreign && !followed && !headers.contains_key(header::ORIGIN) {
        return Err(Problem::new(Kind::OriginNotAllowed, "what a foreign page loads by itself is not answered"));
    }
    Ok(())
}

/// A body comes whole or in chunks. The HTTP library passes over any other coding before the chunks, where a proxy in front may not.
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Problem::new(Kind::BadRequest, "send `Transfer-Encoding: chunked`, once, or a length")),
    }
}
