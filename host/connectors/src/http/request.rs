//! A request, read from the arguments of its call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdshort_common::once::once;
use holdshort_gate::{Action, Digest};
use serde_json::{Number, Value};
use ureq::http::{HeaderName, HeaderValue, Uri};

use super::super::{Exhibit, Sentence, quote, quote_start, say};
use super::path;

/// The maximum length of a URL in a message about it.
const URL_CHARS_MAX: usize = 160;

/// Headers that are not sent: those about the connection, the length and the encoding of a body, which an edit could add,
/// and those by which some systems do another method or another path than the shown one.
const NOT_SENT: [&str; 15] = [
    "a-im",
    "connection",
    "content-encoding",
    "content-length",
    "content-transfer-encoding",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The beginnings of further such headers.
const NOT_SENT_BEGINNINGS: [&str; 9] =
    ["proxy-", "x-forwarded-", "x-host", "x-http-", "x-method", "x-original-", "x-override-", "x-proxy-", "x-rewrite-"];

/// Whether the host does not send this header for an agent. Many servers read `_` in a name as `-`, so a name with `_`
/// could be another name of a header that is not sent, or of one that the host adds.
fn is_not_sent(name: &str) -> bool {
    NOT_SENT.contains(&name)
        || NOT_SENT_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || name.contains('_')
}

/// JSON is laid out in at most this many times its size, and in this many bytes if it is small. In a deep nesting, a
/// line can be indented by many times its length. The arguments have the body too, as it is sent.
const LAYOUT_TIMES_MAX: usize = 8;
const LAYOUT_BYTES_MIN: usize = 64 * 1024;

/// Headers that ask for a part of an answer, which could cut a secret in two.
const PARTIAL: [&str; 2] = ["range", "if-range"];

/// A request of an agent. Nobody has judged it.
pub(super) struct Request {
    method: String,
    url: String,
    uri: Uri,
    authority: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    is_text: bool,
}

impl Request {
    /// Reads the arguments of a call. They have the type of the function; the URL may be none.
    pub(super) fn read(action: &Action) -> Result<Self, Sentence> {
        let arguments = action.arguments();
        let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (method, url) = (text("method"), text("url"));
        let no_url = || say!("{} is no URL of a host", quote_start(&url, URL_CHARS_MAX));
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
        // A part before `@` could be read as the host by people.
        let authority = uri.authority().filter(|authority| is_web && !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(no_url)?.as_str().to_ascii_lowercase();
        let usual = if uri.scheme_str() == Some("http") { ":80" } else { ":443" };
        let authority = authority.strip_suffix(usual).unwrap_or(&authority).to_owned();
        // A fragment is not sent, and a space would end the URL.
        if uri.to_string() != url {
            return Err(no_url());
        }
        let content = arguments.get("body").and_then(|body| body.as_object()?.iter().next());
        let (body, is_text) = match content.map(|(case, value)| (case.as_str(), value.as_str().unwrap_or_default())) {
            Some(("text", text)) => (text.as_bytes().to_vec(), true),
            Some(("bytes", text)) => (STANDARD.decode(text).map_err(quote)?, false),
            _ => (Vec::new(), true),
        };
        if super::SAFE.contains(&method.as_str()) && !body.is_empty() {
            return Err(say!("{} has no body; use another method, or the query of the URL", quote(method)));
        }
        let headers = arguments.get("headers").and_then(Value::as_array).into_iter().flatten();
        let of = |pair: &Value, at: usize| pair.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let headers: Vec<_> = headers.map(|pair| (of(pair, 0).to_ascii_lowercase(), of(pair, 1))).collect();
        if let Some((name, _)) = headers.iter().find(|(name, _)| is_not_sent(name)) {
            return Err(say!("the header {} is not sent for an agent; leave it out", quote(name)));
        }
        let is_valid =
            |name: &str, value: &str| HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
        if let Some((name, _)) = headers.iter().find(|(name, value)| !is_valid(name, value)) {
            return Err(say!("the header {} has a name or a value that HTTP does not allow", quote(name)));
        }
        let request = Self { method, url, uri, authority, headers, body, is_text };
        match request.foreign_characters() {
            Some(named) => Err(say!(
                "{} is another coding than UTF-8, in which the body is shown; send the body as UTF-8",
                quote(named)
            )),
            None => Ok(request),
        }
    }

    /// The coding of characters that the request names, if a server would read other characters than those of UTF-8.
    fn foreign_characters(&self) -> Option<&str> {
        let types = self.headers.iter().filter(|(name, _)| name == "content-type");
        let named = types.flat_map(|(_, value)| value.split(';').skip(1)).filter_map(|parameter| {
            let (name, coding) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| coding.trim().trim_matches(['"', '\'']))
        });
        let is_same = |coding: &str| {
            let is = |names: &[&str]| names.iter().any(|name| coding.eq_ignore_ascii_case(name));
            is(&["utf-8", "utf8"]) || (self.body.is_ascii() && is(&["us-ascii", "iso-8859-1", "windows-1252"]))
        };
        named.filter(|coding| self.is_text && !is_same(coding)).last()
    }

    /// The media type of the body, in lower case and without parameters; `None` if the request names none or several.
    fn media_type(&self) -> Option<String> {
        let mut types = self.headers.iter().filter(|(name, _)| name == "content-type");
        let (_, one) = types.next().filter(|_| types.next().is_none())?;
        one.split(';').next().map(|media| media.trim().to_ascii_lowercase())
    }

    /// A request of the host for another path of the same host.
    pub(super) fn get(&self, path: &str) -> Result<Self, Sentence> {
        let url = format!("{}://{}{path}", self.uri.scheme_str().unwrap_or_default(), self.authority);
        let uri = url.parse().map_err(quote)?;
        let (method, authority) = ("GET".to_owned(), self.authority.clone());
        Ok(Self { method, url, uri, authority, headers: Vec::new(), body: Vec::new(), is_text: true })
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host in lower case, with the port if it is not the usual one: the name of the operator's section.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.body)
    }

    /// Whether it would be sent without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.uri.scheme_str() == Some("http")
    }

    /// Whether it asks for a part of the answer.
    pub(super) fn is_for_a_part(&self) -> bool {
        self.headers.iter().any(|(name, _)| PARTIAL.contains(&name.as_str()))
    }

    /// Whether it would not leave this machine.
    pub(super) fn is_for_this_machine(&self) -> bool {
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }

    /// The body, if it is text.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok().filter(|_| self.is_text)
    }

    /// The body as JSON, if the request says that it is JSON, and if it is an object or an array that a layout shows
    /// exactly as it is sent.
    pub(super) fn json(&self) -> Option<Value> {
        self.media_type().filter(|media| media == "application/json" || media.ends_with("+json"))?;
        let text = self.text()?.as_bytes();
        once(text).ok().filter(|json| (json.is_object() || json.is_array()) && has_exact_numbers(text))
    }

    /// The body, if it is a form.
    pub(super) fn form(&self) -> Option<&str> {
        self.media_type().filter(|media| media == "application/x-www-form-urlencoded")?;
        self.text()
    }

    /// The path, if every server finds the same resource by it.
    pub(super) fn plain_path(&self) -> Option<&str> {
        Some(self.uri.path()).filter(|path| path::is_plain(path))
    }

    /// Whether its path is one of the operator's paths. A path that ends with `/` stands for everything below it too.
    pub(super) fn is_within(&self, paths: &[String]) -> bool {
        let below = |path: &str, one: &str| path == one || (one.ends_with('/') && path.starts_with(one));
        self.plain_path().is_some_and(|path| paths.iter().any(|one| below(path, one)))
    }

    /// How much the agent has written into the URL and the headers.
    pub(super) fn head_bytes(&self) -> usize {
        self.headers.iter().fold(self.url.len(), |sum, (name, value)| sum + name.len() + value.len())
    }

    /// What a reviewer needs beside the arguments: the members of a JSON body, each on a line, or the digest of a body
    /// that is no text.
    pub(super) fn exhibits(&self) -> Vec<Exhibit> {
        let exhibit = if self.is_text {
            let text =
                self.json().and_then(|json| laid_out(&json, LAYOUT_BYTES_MIN.max(LAYOUT_TIMES_MAX * self.body.len())));
            text.map(|text| Exhibit::words("the agent", say!("the body as JSON"), "application/json", text))
        } else {
            let text = say!("{} bytes that are no text, with the digest {}", self.body.len(), self.digest());
            Some(Exhibit::text(say!("the body"), text))
        };
        let path = self.plain_path().is_none().then(|| Exhibit::text(say!("the path"), say!("{}", ANOTHER_RESOURCE)));
        path.into_iter().chain(exhibit).collect()
    }
}

/// What reviewers read about a path that is not plain.
const ANOTHER_RESOURCE: &str = "a server could read this path as that of another resource, so policies do not see it, no credential is added for it, and it is not compared with earlier requests";

/// JSON with each member on a line, and a line end; `None` if that is longer than `bytes_max`.
fn laid_out(json: &Value, bytes_max: usize) -> Option<Vec<u8>> {
    let mut text = vec![b'\n'; bytes_max];
    let mut rest = text.as_mut_slice();
    serde_json::to_writer_pretty(&mut rest, json).ok()?;
    let written = bytes_max - rest.len();
    text.truncate(written + 1);
    Some(text)
}

/// Whether every number of a JSON text is shown as it is sent. A layout of JSON rounds the others.
fn has_exact_numbers(json: &[u8]) -> bool {
    let (mut in_text, mut escaped, mut number) = (false, false, String::new());
    let is_exact =
        |number: &str| number.is_empty() || number.parse::<Number>().is_ok_and(|parsed| parsed.to_string() == number);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' if !in_text => number.push(char::from(*byte)),
            _ => {}
        }
        // The letters of `true`, `false` and `null` belong to no number.
        let goes_on = !in_text && matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        if !goes_on {
            if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && !is_exact(&number) {
                return false;
            }
            number.clear();
        }
    }
    !number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) || is_exact(&number)
}
