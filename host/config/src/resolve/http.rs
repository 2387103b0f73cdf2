//! The section `[http."HOST"]`: the requests that agents may send to a host. This file has the section's keys, the types
//! that other packages use, and the code that resolves the section.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use ureq::http::{HeaderName, Uri};

use super::{RuleViolation, defaults};
use crate::value::{Between, Named, Span};

/// A method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", expecting = "the name of a method")]
pub enum Method {
    Get,
    Head,
    Options,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// All methods.
    pub(in super::super) const ALL: [Self; 7] =
        [Self::Get, Self::Head, Self::Options, Self::Post, Self::Put, Self::Patch, Self::Delete];
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        })
    }
}

/// A method that changes nothing by its definition (RFC 9110, 9.2.1).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE", expecting = "the name of a method that changes nothing: `GET`, `HEAD` or `OPTIONS`")]
pub(crate) enum Safe {
    Get,
    Head,
    Options,
}

impl From<Safe> for Method {
    fn from(safe: Safe) -> Self {
        match safe {
            Safe::Get => Self::Get,
            Safe::Head => Self::Head,
            Safe::Options => Self::Options,
        }
    }
}

/// `[http."HOST"]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct Section {
    pub(crate) routine: Option<Vec<Safe>>,
    pub(crate) routine_paths: Option<Vec<Spanned<String>>>,
    pub(crate) routine_bytes_max: Option<Between<1, { defaults::HTTP_HEAD_BYTES_MAX }>>,
    pub(crate) consequential: Option<Vec<Spanned<Method>>>,
    pub(crate) timeout: Option<Span>,
    pub(crate) answer_kib: Option<Between<1, { defaults::HTTP_ANSWER_KIB_MAX }>>,
    pub(crate) allow_http: Option<bool>,
    pub(crate) allow_private: Option<bool>,
    pub(crate) idempotency_header: Option<Spanned<String>>,
    pub(crate) idempotent: Option<Spanned<bool>>,
    pub(crate) lookup: Option<Spanned<String>>,
}

/// A host that agents may send requests to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HttpHost {
    /// The methods of requests that are answered at once.
    pub routine: Vec<Method>,
    /// The paths of these requests, if not all. Requests to other paths are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routine_paths: Option<Vec<String>>,
    /// The maximum size of the URL and the headers of these requests. Larger requests are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routine_bytes_max: Option<u64>,
    /// The methods of requests that are held.
    pub consequential: Vec<Method>,
    /// The time limit for a whole exchange.
    pub timeout_ms: u64,
    /// The maximum size of an answer's body.
    pub answer_bytes_max: u64,
    /// Whether URLs may begin with `http://`, so that requests are sent without TLS.
    pub allow_http: bool,
    /// Whether the host may have an address in a private network.
    pub allow_private: bool,
    /// How the host recognises a held request.
    #[serde(flatten)]
    pub idempotency: Option<Idempotency>,
}

/// How a host recognises a held request that it got before.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Idempotency {
    /// The header that carries the key of the call, in lower case.
    pub idempotency_header: String,
    /// Whether a second request with the same key has no second effect.
    pub idempotent: bool,
    /// The path of the request that asks whether a request with the key `{key}` was done.
    pub lookup: Option<String>,
}

/// All hosts by name.
pub(super) fn hosts(authored: Option<Named<Section>>) -> Result<BTreeMap<String, HttpHost>, RuleViolation> {
    authored.into_iter().flatten().map(|(name, section)| Ok((authority(&name)?, host(&name, section)?))).collect()
}

/// The name of a host as it stands in URLs. The usual ports are left out there, so a name with one of them would match no
/// request.
fn authority(name: &Spanned<String>) -> Result<String, RuleViolation> {
    let text = name.get_ref();
    let uri: Option<Uri> = format!("https://{text}/").parse().ok();
    let found = uri.as_ref().and_then(Uri::authority).map(|authority| authority.as_str());
    let usual = [":443", ":80"].iter().any(|port| text.ends_with(port));
    let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c));
    if found == Some(text.as_str()) && plain && !usual {
        return Ok(text.clone());
    }
    let what = format!("`{}` is not the name of a host", text.escape_debug());
    let hint = "write it as in a URL, in lower case, with a port only if it is not the default port: `[http.\"api.example.org\"]` or `[http.\"localhost:8080\"]`";
    Err(RuleViolation::at(name, what, hint))
}

/// Resolves a section. It lists each method that it allows, in one of the two lists.
fn host(name: &Spanned<String>, section: Section) -> Result<HttpHost, RuleViolation> {
    let routine: Vec<Method> = section.routine.into_iter().flatten().map(Method::from).collect();
    let held = section.consequential.unwrap_or_default();
    if routine.is_empty() && held.is_empty() {
        let hint = "add `routine = [\"GET\"]` or `consequential = [\"POST\"]`";
        return Err(RuleViolation::at(name, "this section allows no request", hint));
    }
    if let Some(both) = held.iter().find(|method| routine.contains(method.get_ref())) {
        let what = format!("`{}` is in `routine` too", both.get_ref());
        return Err(RuleViolation::at(both, what, "keep the method in one of the two lists"));
    }
    let idempotency = idempotency(section.idempotency_header, section.idempotent, section.lookup)?;
    let paths = section.routine_paths.map(|paths| paths.into_iter().map(path).collect());
    Ok(HttpHost {
        routine,
        routine_paths: paths.transpose()?,
        routine_bytes_max: section.routine_bytes_max.map(|most| most.0),
        consequential: held.into_iter().map(Spanned::into_inner).collect(),
        timeout_ms: section.timeout.map_or(defaults::HTTP_TIMEOUT_MS, |span| span.0),
        answer_bytes_max: section.answer_kib.map_or(defaults::HTTP_ANSWER_KIB, |kib| kib.0) * 1024,
        allow_http: section.allow_http.unwrap_or(false),
        allow_private: section.allow_private.unwrap_or(false),
        idempotency,
    })
}

fn idempotency(
    header: Option<Spanned<String>>,
    idempotent: Option<Spanned<bool>>,
    lookup: Option<Spanned<String>>,
) -> Result<Option<Idempotency>, RuleViolation> {
    let Some(header) = header else {
        let places = [idempotent.map(|key| key.span()), lookup.map(|key| key.span())];
        let hint = "add `idempotency-header = \"Idempotency-Key\"`, the header by which this host recognises a request";
        return places.into_iter().flatten().next().map_or(Ok(None), |place| {
            Err(RuleViolation::at(&Spanned::new(place, ()), "this host would not recognise the request", hint))
        });
    };
    let name: HeaderName = header.get_ref().parse().map_err(|_| {
        RuleViolation::at(&header, "this is not the name of a header", "write a name such as `Idempotency-Key`")
    })?;
    Ok(Some(Idempotency {
        idempotency_header: name.to_string(),
        idempotent: idempotent.is_some_and(Spanned::into_inner),
        lookup: lookup.map(lookup_path).transpose()?,
    }))
}

/// A path with the place of the key.
fn lookup_path(path: Spanned<String>) -> Result<String, RuleViolation> {
    let url = format!("https://host{}", path.get_ref().replace("{key}", "0"));
    let is_url = url.parse().is_ok_and(|uri: Uri| uri.to_string() == url);
    if path.get_ref().starts_with('/') && path.get_ref().contains("{key}") && is_url {
        return Ok(path.into_inner());
    }
    let hint = "write a path such as `/v1/orders?key={key}`; the host replaces `{key}` by the key of the request";
    Err(RuleViolation::at(&path, "this is not the path of a URL with `{key}` in it", hint))
}

/// A path as it stands in a URL. A path with other characters would match no request.
pub(super) fn path(path: Spanned<String>) -> Result<String, RuleViolation> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,=:@%".contains(c);
    if path.get_ref().starts_with('/') && path.get_ref().chars().all(plain) {
        return Ok(path.into_inner());
    }
    let hint = "write it as in a URL, such as `/v1/orders`, or `/v1/` for everything below it";
    Err(RuleViolation::at(&path, "this is not the path of a URL", hint))
}
