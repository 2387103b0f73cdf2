//! Admits a request or refuses it. A request must name this host, must not come from a foreign web
//! page, must be authenticated, and must stay within the rate limits.
//!
//! Any web page can make a browser send requests to a loopback address, although the page cannot
//! read the answers. If the page's own host name then resolves to 127.0.0.1 (DNS rebinding), the
//! page can read the answers too. A request of the first attack has a foreign `Origin`, a request
//! of the second attack has a foreign `Host`. The endpoint's tokens are never cookies, so a browser
//! does not add them by itself. The review pages accept only a cookie, with three protections:
//! browsers do not send the cookie with requests of other sites (`SameSite`), requests that change
//! something must name an `Origin` of this host, and forms carry a seal (see
//! [`sessions`](super::sessions)).

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
use super::server::{Busy, Connection};
use super::sign_in::is_local;
use crate::kill;

/// Routes that answer everybody. Programs that watch the host know no token and may use any host
/// name. The answers tell only the host's condition.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Pages that need no session. A name with a final `/` stands for all paths below it.
const OPEN_PAGES: [&str; 2] = ["/sign-in", "/assets/"];

/// Headers of every answer. The answer must not be stored, framed, or interpreted as another type.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// Further headers of the endpoint, which serves no pages.
const ENDPOINT_HEADERS: [(HeaderName, &str); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
];
/// Further headers of pages. A page may load only the host's own script and style files: nothing
/// inline, and nothing from elsewhere. `no-referrer` is not possible, because browsers would then
/// hide the `Origin` of forms.
const PAGE_HEADERS: [(HeaderName, &str); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The two sides of the HTTP server: one for programs, one for browsers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side {
    /// The side for programs, which send a token.
    Endpoint,
    /// The side for browsers, which have a session.
    Page,
}

impl Side {
    pub(super) fn of(path: &str) -> Self {
        let endpoint = ["/healthz", "/readyz", "/metrics", "/openapi.json"];
        // Any version counts, so that a program that asks for an unknown version gets an error in a
        // program's form.
        let version = path.strip_prefix("/v").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if version || endpoint.contains(&path) { Self::Endpoint } else { Self::Page }
    }

    /// An error in the form of this side.
    pub(super) fn trouble(self, api: &Api, problem: Problem) -> Response {
        match self {
            Self::Endpoint => problem.into_response(),
            Self::Page => (api.0.pages.trouble)(problem),
        }
    }
}

/// Admits a request or refuses it, and completes the answer.
pub(super) async fn pass(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, side) = (request.method().clone(), Side::of(request.uri().path()));
    // `_busy` is kept until the answer is complete, so that the host does not close this connection
    // meanwhile to make room for others.
    let (mut response, _busy) = match admit(&api, side, &mut request) {
        Ok(Admitted::As(busy)) => (next.run(request).await, busy),
        Ok(Admitted::Elsewhere(response)) => (response, None),
        Err(problem) => (side.trouble(&api, problem), None),
    };
    // The extractors of requests do not know the sides, so their errors are converted here.
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

/// A service worker that removes itself. A program that used this port before may have installed a
/// service worker in the browser, which then answers for this host. The browser regularly asks for
/// a new version of it.
const LEAVES: &str = "addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil((async () => {
  await registration.unregister();
  for (const page of await clients.matchAll({ type: 'window' })) page.navigate(page.url);
})()));
";

/// The answer to a browser that requests a service worker of any name. The host's pages have no
/// service worker, so the browser gets one that removes itself.
fn no_worker(request: &Request) -> Option<Response> {
    let asks = request.headers().get("service-worker").is_some_and(|value| value == "script");
    let script = ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], LEAVES);
    (asks && request.method() == Method::GET).then(|| script.into_response())
}

/// The result of admission, unless the request is refused.
enum Admitted {
    /// The request continues, authenticated unless its route is open to everybody.
    As(Option<Arc<Busy>>),
    /// The request does not reach its route and gets this answer: a redirect to the sign-in page, a page with a link to
    /// the requested page (if a foreign page caused the request), or a service worker that removes itself.
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
    let line = request.extensions().get::<Arc<Connection>>().cloned();
    // No web page can reach the socket in the state folder, so the host name of its requests is not
    // checked.
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
        // An open page needs no session, so the request continues without authentication, even after too many failed
        // attempts. So people can still sign in while somebody guesses cookies. A wrong cookie counts as a failed
        // attempt here too.
        Ok(None) | Err(_) if open => return Ok(Admitted::As(None)),
        found => {
            // A request without a cookie tries no secret, so it does not count as a failed attempt.
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

/// Identifies the sender; `None` for a page without a cookie. A cookie is not accepted at the
/// endpoint, because browsers add cookies by themselves. A token is not accepted for pages.
fn identify(api: &Api, side: Side, request: &mut Request, tries: &Tries) -> Result<Option<Reviewer>, Problem> {
    if side == Side::Endpoint {
        return api.0.secrets.bearer(request.headers(), tries).map(Some);
    }
    let Some(session) = api.0.secrets.session(request.headers(), tries)? else { return Ok(None) };
    let reviewer = session.reviewer().clone();
    request.extensions_mut().insert(session);
    Ok(Some(reviewer))
}

/// The requested path and query, or `/` (the inbox) if they are no path of this host.
fn asked(request: &Request) -> &str {
    request.uri().path_and_query().map(|path| path.as_str()).filter(|path| is_local(path)).unwrap_or("/")
}

/// The answer to a request that a foreign page or a link in an email caused: a page without forms
/// or script, with a link to the requested page.
///
/// A foreign page chooses the moment of such a request. It could show a review page just when the
/// person clicks, before they see what they click on. A browser also withholds the cookie from such
/// a request, but sends it when the person follows the link.
fn go_on(request: &Request) -> Response {
    let path = asked(request).replace('&', "&amp;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Holdshort</title>\
         <p>Another page has sent you to Holdshort. <a href=\"{path}\">Go on</a></p></html>"
    );
    Html(page).into_response()
}

/// Redirects an unauthenticated browser to the sign-in page, which leads back to the requested page
/// afterwards.
fn to_sign_in(request: &Request) -> Response {
    let path = asked(request);
    let next = form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
    let to = if path == "/" { "/sign-in".to_owned() } else { format!("/sign-in?{next}") };
    Redirect::to(&to).into_response()
}

fn too_many(detail: &str) -> Problem {
    Problem::new(Kind::TooMany, detail).retry_after_s(1)
}

/// Checks that there is exactly one `Host` header, and that it names this host or, for pages, a
/// session. A request target in absolute form names a host too, and is checked as well.
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
            let detail = format!(
                "this host does not answer to the name `{named}`; the operator can add the name to `server.allowed-hosts`"
            );
            return Err(Problem::new(Kind::HostNotServed, detail));
        }
    }
    Ok(())
}

/// Checks that `Origin` is missing or accepted. Browsers send a page the session's cookie, so a page accepts only its
/// own origin: another name of this machine can belong to another program on another address.
fn check_origin(api: &Api, side: Side, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = format!("{}://{host}", api.0.secrets.scheme()).to_ascii_lowercase();
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("(not text)");
        let named = origin.to_ascii_lowercase();
        let known = api.0.origins.contains(&named) || api.0.secrets.is_name(host, &api.0.hosts);
        if !known || side == Side::Page && named != own {
            let detail = format!(
                "requests from pages of `{}` are refused; the operator can add this origin to `server.allowed-origins`",
                super::shortened(origin)
            );
            return Err(Problem::new(Kind::OriginNotAllowed, detail));
        }
    }
    Ok(())
}

/// Checks that a page's request that may change something has an `Origin`. [`check_origin`] has already checked the
/// value.
fn has_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let detail = "`Origin` is missing: a browser sends this header with each form";
    headers.contains_key(header::ORIGIN).then_some(()).ok_or_else(|| Problem::new(Kind::OriginNotAllowed, detail))
}

/// Whether the browser reports that a page of another origin caused this request. Pages of other
/// ports of this machine count as `same-site`, so that value is foreign too.
fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Refuses requests with which a foreign page loads a resource. They have no `Origin`, but browsers
/// report where they come from (`Sec-Fetch-Site`). Without `Origin`, only a followed link may come
/// from a foreign page.
fn check_fetch(headers: &HeaderMap) -> Result<(), Problem> {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    let followed = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    if is_foreign(headers) && !followed && !headers.contains_key(header::ORIGIN) {
        return Err(Problem::new(Kind::OriginNotAllowed, "requests made by pages of other sites are refused"));
    }
    Ok(())
}

/// Refuses transfer codings other than chunked. The HTTP library ignores codings before the chunks;
/// a proxy may decode them and so read another body.
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => {
            Err(Problem::new(Kind::BadRequest, "send either one `Transfer-Encoding: chunked` or a `Content-Length`"))
        }
    }
}
