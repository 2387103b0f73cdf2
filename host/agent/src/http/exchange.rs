//! A request and its answer as the arguments and the result of a call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use holdshort_gate::{Capability, FunctionType, WitType};
use http_body_util::{BodyExt as _, Full};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Method, Scheme};
use wasmtime_wasi_http::{Error, WasiBody};

/// The interface of the function that guests call. It has no version, because the function is the same in all
/// releases of 0.2.
pub(crate) const INTERFACE: &str = "wasi:http/outgoing-handler";
/// The function that guests call.
pub(crate) const FUNCTION: &str = "handle";

/// Headers of the guest that are left out: the host writes `content-length` and `host` itself, and `expect` has no
/// meaning for a call.
const COMPUTED: [&str; 3] = ["content-length", "expect", "host"];

/// The function `handle`, whose calls are HTTP requests, with its type.
pub(crate) fn handle() -> Option<(Capability, FunctionType)> {
    Some((Capability::new(INTERFACE, FUNCTION).ok()?, ty()))
}

/// Whether this is the function `handle`, whose calls are HTTP requests.
pub(crate) fn is_handle(capability: &Capability) -> bool {
    capability.interface() == INTERFACE && capability.function() == FUNCTION
}

/// The type of the call:
/// `func(method: string, url: string, headers: list<tuple<string, string>>, body: content) -> result<answer, refusal>`
fn ty() -> FunctionType {
    let text = || WitType::String;
    let headers = || WitType::List(Box::new(WitType::Tuple(vec![text(), text()])));
    let case = |name: &str, ty: Option<WitType>| (name.to_owned(), ty);
    let bytes = || WitType::List(Box::new(WitType::U8));
    let body = || vec![case("empty", None), case("text", Some(text())), case("bytes", Some(bytes()))];
    let field = |name: &str, ty: WitType| (name.to_owned(), ty);
    let answer = WitType::Record(vec![
        field("status", WitType::U16),
        field("headers", headers()),
        // `too-large`: the answer was longer than this limit in bytes, and was not read.
        field("body", WitType::Variant([body(), vec![case("too-large", Some(WitType::U64))]].concat())),
    ]);
    // The cases of `refusal` in `wit/types.wit`.
    let refusal = WitType::Variant(vec![
        case("rejected", Some(text())),
        case("expired", None),
        case("cancelled", None),
        case("forbidden", Some(text())),
        case("invalid", Some(text())),
        case("failed", Some(text())),
        case("unresolved", Some(text())),
    ]);
    FunctionType {
        params: vec![
            field("method", text()),
            field("url", text()),
            field("headers", headers()),
            field("body", WitType::Variant(body())),
        ],
        result: Some(WitType::Result { ok: Some(Box::new(answer)), err: Some(Box::new(refusal)) }),
    }
}

/// A request without its body.
pub(in super::super) struct Head {
    method: String,
    url: String,
    /// The headers, sorted by name. Headers with the same name keep their order.
    headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn new(
        method: &Method,
        scheme: Option<&Scheme>,
        authority: Option<&str>,
        path: Option<String>,
        headers: &HeaderMap,
    ) -> Result<Self, ErrorCode> {
        let scheme = match scheme {
            Some(Scheme::Https) | None => "https",
            Some(Scheme::Http) => "http",
            Some(Scheme::Other(_)) => return Err(ErrorCode::HttpRequestUriInvalid),
        };
        let authority = authority.filter(|authority| !authority.is_empty()).ok_or(ErrorCode::HttpRequestUriInvalid)?;
        let path = path.unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let shown = headers.iter().filter(|(name, _)| !COMPUTED.contains(&name.as_str()));
        // A header value that is not text is refused, because reviewers could not be shown it.
        let mut headers = shown
            .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
            .collect::<Result<Vec<_>, hyper::header::ToStrError>>()
            .map_err(|_| ErrorCode::HttpProtocolError)?;
        headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self { method: name_of(method), url: format!("{scheme}://{authority}{slash}{path}"), headers })
    }

    /// The arguments of the call.
    pub(super) fn arguments(&self, body: Vec<u8>) -> Value {
        let Self { method, url, headers } = self;
        json!({ "method": method, "url": url, "headers": headers, "body": content(body) })
    }
}

fn name_of(method: &Method) -> String {
    match method {
        Method::Get => "GET".into(),
        Method::Head => "HEAD".into(),
        Method::Post => "POST".into(),
        Method::Put => "PUT".into(),
        Method::Delete => "DELETE".into(),
        Method::Connect => "CONNECT".into(),
        Method::Options => "OPTIONS".into(),
        Method::Trace => "TRACE".into(),
        Method::Patch => "PATCH".into(),
        Method::Other(name) => name.clone(),
    }
}

/// A body as a value. It is text if its bytes are UTF-8, so that people can read it.
fn content(body: Vec<u8>) -> Value {
    if body.is_empty() {
        return json!({ "empty": null });
    }
    match String::from_utf8(body) {
        Ok(text) => json!({ "text": text }),
        Err(error) => json!({ "bytes": BASE64.encode(error.as_bytes()) }),
    }
}

/// The answer to a request.
pub(in super::super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: WasiBody,
}

/// The cases of `refusal` in `wit/types.wit`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Refusal {
    Rejected(IgnoredAny),
    Expired,
    Cancelled,
    Forbidden(IgnoredAny),
    Invalid(IgnoredAny),
    Failed(IgnoredAny),
    Unresolved(IgnoredAny),
}

/// The status of a call that was refused. [`FAILED`] is the status of a call that could not be sent or
/// was not answered.
const REFUSED: u16 = 403;
const FAILED: u16 = 502;

impl Response {
    /// Makes the guest's answer from a call's result, which has the function's type.
    ///
    /// A refusal becomes an answer too, and not an error: clients repeat requests that failed, and each would be one
    /// more call for reviewers. `x-should-retry: false` tells clients of language models not to repeat it.
    pub(super) fn of(result: &Value) -> wasmtime::Result<Self> {
        let unexpected = || wasmtime::format_err!("the result of a request has another type");
        let (case, value) = result.as_object().and_then(|cases| cases.iter().next()).ok_or_else(unexpected)?;
        if case == "err" {
            let (case, text) = value.as_object().and_then(|cases| cases.iter().next()).ok_or_else(unexpected)?;
            let refusal = Refusal::deserialize(value).map_err(|_| unexpected())?;
            return Ok(Self::refused(&refusal, case, text.as_str()));
        }
        let status = value.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        let body = value.get("body").and_then(Value::as_object).and_then(|cases| cases.iter().next());
        let headers = value.get("headers").and_then(Value::as_array).into_iter().flatten();
        Ok(Self {
            status: status.ok_or_else(unexpected)?,
            headers: headers.filter_map(header).collect(),
            body: read(body.ok_or_else(unexpected)?),
        })
    }

    fn refused(refusal: &Refusal, case: &str, text: Option<&str>) -> Self {
        let message = text.map_or_else(|| format!("this request was not sent: {case}"), str::to_owned);
        let body = json!({ "error": { "type": format!("holdshort.{case}"), "message": message } }).to_string();
        let fixed = [("content-type", "application/json"), ("x-should-retry", "false")];
        let fixed = fixed.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let status = if matches!(refusal, Refusal::Failed(_)) { FAILED } else { REFUSED };
        Self { status, headers: HeaderMap::from_iter(fixed), body: full(body.into_bytes()) }
    }
}

fn header(pair: &Value) -> Option<(HeaderName, HeaderValue)> {
    let text = |at: usize| pair.get(at).and_then(Value::as_str);
    Some((text(0)?.parse().ok()?, text(1)?.parse().ok()?))
}

/// The body of an answer, as a stream for the guest.
fn read((case, value): (&String, &Value)) -> WasiBody {
    match (case.as_str(), value.as_str()) {
        ("text", Some(text)) => full(text.as_bytes().to_vec()),
        ("bytes", Some(text)) => full(BASE64.decode(text).unwrap_or_default()),
        ("too-large", limit) => {
            let limit = limit.and_then(|limit| limit.parse().ok());
            http_body_util::StreamBody::new(futures_util::stream::once(async move {
                Err(Error::HttpResponseBodySize(limit))
            }))
            .boxed_unsync()
        }
        _ => full(Vec::new()),
    }
}

fn full(bytes: Vec<u8>) -> WasiBody {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
}
