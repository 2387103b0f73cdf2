//! The door that every request passes: is it for this host, not from a foreign web page, from somebody known, and not too often?
//!
//! A browser can be made to send requests to a loopback address, by any page (which then cannot read the answer, but need not) or, once a name that
//! the page's owner controls resolves to 127.0.0.1, with the page reading answers too (DNS rebinding). The first carries a foreign `Origin`,
//! the second a foreign `Host`. The endpoint's tokens are never cookies, so a browser does not add one by itself. The pages for people take a
//! cookie and nothing else: it is kept from requests of other pages (`SameSite`), what is sent to them must name an `Origin` of this host, and the
//! forms carry a seal.
//!
//! **Invariant:** A person who comes to a page from another site goes on by a click. `SameSite=Strict` keeps the cookie from the first request,
//! so the answer to it is a small page without forms that links to the same address: the other site chose the moment and the keys.

use std::sync::Arc;
use std::time::Instant;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::Api;
use super::auth::Reviewer;
use super::problem::{Kind, Problem};
use super::secrets::{Peer, Tries, no_session};
use super::server::{Busy, Line};
use super::sign_in::is_local;
use crate::kill;

/// What is served to anybody: probes come from machines that know neither token nor name, and learn one word.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Pages that are shown without signing in.
const OPEN_PAGES: [&str; 2] = ["/sign-in", "/assets/"];

/// Headers of every answer: none may be kept, framed or guessed at.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// Beside them those of the endpoint, where nothing is a page.
const ENDPOINT_HEADERS: [(HeaderName, &str); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
];
/// And those of the pages: a script and a style of ours, nothing inline, nothing from elsewhere. With `no-referrer` browsers would send their forms
/// without an `Origin`.
const PAGE_HEADERS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Which side of the host a request is for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side {
    /// Programs, with a token.
    Endpoint,
    /// People, with a session.
    Page,
}

impl Side {
    pub(super) fn of(path: &str) -> Self {
        let endpoint = ["/healthz", "/readyz", "/metrics", "/openapi.json"];
        // Of whichever version: a program that asks for another one is told so as a program.
        let version = path.strip_prefix("/v").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if version || endpoint.contains(&path) { Self::Endpoint } else { Self::Page }
    }

    /// What went wrong, in the form of the side.
    pub(super) fn trouble(self, api: &Api, problem: Problem) -> Response {
        match self {
            Self::Endpoint => problem.into_response(),
            Self::Page => (api.0.pages.trouble)(problem),
        }
    }
}

/// Lets a request through, or not, and finishes the answer.
pub(super) async fn pass(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, side) = (request.method().clone(), Side::of(request.uri().path()));
    // Held until the answer is there: a connection that serves a reviewer is not closed to make room.
    let (mut response, _busy) = match admit(&api, side, &mut request) {
        Ok(Admitted::As(busy)) => (next.run(request).await, busy),
        Ok(Admitted::Elsewhere(response)) => (response, None),
        Err(problem) => (side.trouble(&api, problem), None),
    };
    // What reads a request's parts knows no sides.
    if side == Side::Page
        && let Some(problem) = response.extensions_mut().remove::<Problem>()
    {
        response = side.trouble(&api, problem);
    }
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    api.0.metrics.count(route, &method, response.status().as_u16());
    if cfg!(debug_assertions) && method == Method::POST {
        kill::point(&format!("{}{route}", kill::REPLY));
    }
    let of_side: &[_] = if side == Side::Page { &PAGE_HEADERS } else { &ENDPOINT_HEADERS };
    for (name, value) in HEADERS.iter().chain(of_side) {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A script that leaves the browser: whoever listened here before may have left one there that answers for this host, and the browser asks whether it is
/// still the same.
const LEAVES: &str = "addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil((async () => {
  await registration.unregister();
  for (const page of await clients.matchAll({ type: 'window' })) page.navigate(page.url);
})()));
";

/// The answer to a browser that asks for a script which is to answer for this host. No page of ours has one, so it goes, whatever it is called.
fn no_worker(request: &Request) -> Option<Response> {
    let asks = request.headers().get("service-worker").is_some_and(|value| value == "script");
    let script = ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], LEAVES);
    (asks && request.method() == Method::GET).then(|| script.into_response())
}

/// What the door does with a request that it does not refuse.
enum Admitted {
    /// It goes on, for somebody known unless it is for what everybody may see.
    As(Option<Arc<Busy>>),
    /// Its sender gets another page first: how to sign in, or where they are led from a foreign page.
    Elsewhere(Response),
}

fn admit(api: &Api, side: Side, request: &mut Request) -> Result<Admitted, Problem> {
    let path = request.uri().path();
    if PROBES.contains(&path) {
        return Ok(Admitted::As(None));
    }
    if let Some(leaves) = no_worker(request) {
        return Ok(Admitted::Elsewhere(leaves));
    }
    let open = side == Side::Page
        && OPEN_PAGES.iter().any(|page| path == *page || page.ends_with('/') && path.starts_with(page));
    let line = request.extensions().get::<Arc<Line>>().cloned();
    // No web page reaches the socket in the state folder, whatever it is called by.
    if line.as_ref().is_none_or(|line| line.peer() != Peer::Local) {
        check_host(api, side, request)?;
    }
    check_origin(api, side, request.headers())?;
    check_fetch(request.headers())?;
    check_coding(request.headers())?;
    if side == Side::Page && ![Method::GET, Method::HEAD].contains(request.method()) {
        has_origin(request.headers())?;
    }
    if side == Side::Page && is_foreign(request.headers()) {
        return Ok(Admitted::Elsewhere(go_on(request)));
    }
    let tries = api.0.secrets.tries(line.as_ref());
    let reviewer = match identify(api, side, request, &tries) {
        Ok(Some(reviewer)) => reviewer,
        // A wrong cookie counts here too, and what it opens is nothing: whoever has a link or a token can sign in while others guess.
        Ok(None) | Err(_) if open => return Ok(Admitted::As(None)),
        found => {
            // Without a cookie nothing was tried, so nothing is counted.
            let problem = found.err().unwrap_or_else(no_session);
            return if side == Side::Page && request.method() == Method::GET && problem.kind() != Kind::TooMany {
                let mut to = to_sign_in(request);
                for forgotten in api.0.secrets.forgotten(request.headers(), request.uri().path()) {
                    to.headers_mut().append(header::SET_COOKIE, forgotten);
                }
                Ok(Admitted::Elsewhere(to))
            } else {
                Err(problem)
            };
        }
    };
    if !api.0.requests.take(&reviewer, Instant::now()) {
        return Err(too_many("too many requests with this token"));
    }
    let busy = line.map(|line| Arc::new(line.asked_by(&reviewer, api)));
    request.extensions_mut().insert(reviewer);
    if let Some(busy) = &busy {
        if request.body().is_end_stream() {
            busy.begin()?;
        }
        request.extensions_mut().insert(busy.clone());
    }
    Ok(Admitted::As(busy))
}

/// Who asks; nobody if a page is asked for without a cookie. A cookie opens no endpoint, and a token no page: a browser adds the one by itself, and nobody
/// reads the other off a page.
fn identify(api: &Api, side: Side, request: &mut Request, tries: &Tries) -> Result<Option<Reviewer>, Problem> {
    if side == Side::Endpoint {
        return api.0.secrets.bearer(request.headers(), tries).map(Some);
    }
    let Some(session) = api.0.secrets.session(request.headers(), tries)? else { return Ok(None) };
    let reviewer = session.reviewer().clone();
    request.extensions_mut().insert(session);
    Ok(Some(reviewer))
}

/// The path and query that are asked for, or those of the inbox.
fn asked(request: &Request) -> &str {
    request.uri().path_and_query().map(|path| path.as_str()).filter(|path| is_local(path)).unwrap_or("/")
}

/// What a page elsewhere (a mail, say) leads to: a page without forms or script, from which a person goes on by a click.
///
/// Whoever leads somebody here picks the moment, and may have them press or click before they see what for. And a browser keeps the cookie from such
/// a request, but not from the one that the click leads to.
fn go_on(request: &Request) -> Response {
    let path = asked(request).replace('&', "&amp;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Holdshort</title>\
         <p>Another page has led you to Holdshort. <a href=\"{path}\">Go on</a></p></html>"
    );
    Html(page).into_response()
}

/// Where somebody unknown is sent who wants to see a page, to come back to it.
fn to_sign_in(request: &Request) -> Response {
    let path = asked(request);
    let next = form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
    let to = if path == "/" { "/sign-in".to_owned() } else { format!("/sign-in?{next}") };
    Redirect::to(&to).into_response()
}

fn too_many(detail: &str) -> Problem {
    Problem::new(Kind::TooMany, detail).retry_after_s(1)
}

/// Exactly one `Host`, and an allowed one, or for a page the name of a session; a target in absolute form names a host too, and that one counts as well.
fn check_host(api: &Api, side: Side, request: &Request) -> Result<(), Problem> {
    let mut values = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (values.next(), values.next()) else {
        return Err(Problem::new(Kind::BadRequest, "send `Host` exactly once"));
    };
    let authority = request.uri().authority().map(|authority| authority.as_str());
    for named in [host.to_str().ok(), authority.or(host.to_str().ok())] {
        let known = named.is_some_and(|named| {
            let is_name = side == Side::Page && api.0.secrets.is_name(named, &api.0.hosts);
            is_name || api.0.hosts.contains(&named.to_ascii_lowercase())
        });
        if !known {
            let named = super::shortened(named.unwrap_or("(not text)"));
            let detail =
                format!("this host does not answer to `{named}`; the operator can add it to `server.allowed-hosts`");
            return Err(Problem::new(Kind::HostNotServed, detail));
        }
    }
    Ok(())
}

/// No `Origin`, or allowed ones only. To the pages, to which a browser adds a cookie, only that of the page itself: the one that the request is sent to.
/// Another name of this host may be another program's, on another of its addresses.
fn check_origin(api: &Api, side: Side, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = format!("{}://{host}", api.0.secrets.scheme()).to_ascii_lowercase();
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("(not text)");
        let named = origin.to_ascii_lowercase();
        let known = api.0.origins.contains(&named) || api.0.secrets.is_name(host, &api.0.hosts);
        if !known || side == Side::Page && named != own {
            let detail = format!(
                "requests from pages of `{}` are not answered; the operator can add it to `server.allowed-origins`",
                super::shortened(origin)
            );
            return Err(Problem::new(Kind::OriginNotAllowed, detail));
        }
    }
    Ok(())
}

/// What changes something from a page says which page it is: an allowed one, which [`check_origin`] has seen to.
fn has_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let detail = "a form of the page is sent by a browser, which says from which page: `Origin` is missing";
    headers.contains_key(header::ORIGIN).then_some(()).ok_or_else(|| Problem::new(Kind::OriginNotAllowed, detail))
}

/// Whether a browser says that a page of another origin led to this request. One of another port of this machine is of the same site.
fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// What a browser loads for a foreign page carries no `Origin` if the page may not read it, but says where it comes from. Only a link that a person
/// follows may lead here.
fn check_fetch(headers: &HeaderMap) -> Result<(), Problem> {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    let followed = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    if is_foreign(headers) && !followed && !headers.contains_key(header::ORIGIN) {
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
