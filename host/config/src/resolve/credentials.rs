//! The section `[credentials.NAME]`: a secret that the host adds to requests of agents and to
//! questions to models. This file has the section's keys,
//! the types that other packages use, and the code that resolves the section.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;
use ureq::http::{HeaderName, Uri};

use super::http::{HttpHost, Method, path};
use super::models::Model;
use super::{Folder, RuleViolation, plain_name};
use crate::value::{Named, Text, Variable};

/// `[credentials.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct Section {
    pub(crate) file: Option<Spanned<PathBuf>>,
    pub(crate) environment: Option<Spanned<Variable>>,
    pub(crate) oauth: Option<Spanned<OAuthSection>>,
    pub(crate) hosts: Option<Vec<Spanned<String>>>,
    pub(crate) methods: Option<Vec<Spanned<Method>>>,
    pub(crate) paths: Option<Vec<Spanned<String>>>,
    pub(crate) header: Option<Spanned<String>>,
    pub(crate) prefix: Option<Spanned<String>>,
}

/// `oauth = { … }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct OAuthSection {
    pub(crate) token_url: Spanned<String>,
    pub(crate) client_id: Text,
    pub(crate) client_secret: Spanned<ClientSecret>,
    pub(crate) client_auth: Option<ClientAuth>,
    pub(crate) scope: Option<Text>,
    pub(crate) audience: Option<Text>,
    pub(crate) allow_private: Option<bool>,
}

/// `client-secret = { … }`
#[derive(Debug)]
pub(crate) struct ClientSecret {
    pub(crate) file: Option<Spanned<PathBuf>>,
    pub(crate) environment: Option<Spanned<Variable>>,
}

/// The keys of a [`ClientSecret`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ClientSecretKeys {
    file: Option<Spanned<PathBuf>>,
    environment: Option<Spanned<Variable>>,
}

// A derived implementation would repeat a secret that stands here in its error.
impl<'de> Deserialize<'de> for ClientSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = ClientSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<ClientSecret, E> {
                Err(E::custom(
                    "the secret must not stand here; write the name of its file: `{ file = \"/run/secrets/NAME\" }`",
                ))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClientSecret, A::Error> {
                let ClientSecretKeys { file, environment } = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ClientSecret { file, environment })
            }
        }
        deserializer.deserialize_any(Keys)
    }
}

/// Where the secret of a client stands in its request for a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`basic` or `form`")]
pub enum ClientAuth {
    /// In the header `authorization`.
    #[default]
    Basic,
    /// In the form.
    Form,
}

/// Where the secret of a request comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Tokens of an authorization server.
    Oauth(OAuth),
    #[serde(untagged)]
    Secret(SecretSource),
}

/// The host as a client of an authorization server, by OAuth 2.0 client credentials.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OAuth {
    pub token_url: String,
    pub client_id: String,
    pub client_secret: SecretSource,
    pub client_auth: ClientAuth,
    pub scope: Option<String>,
    pub audience: Option<String>,
    /// Whether the authorization server may have an address in a private network.
    pub allow_private: bool,
}

/// Where the host reads a secret when it starts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    File(PathBuf),
    /// A variable of the host's environment.
    Environment(String),
}

/// A secret that the host adds to requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Credential {
    #[serde(flatten)]
    pub source: Source,
    /// The hosts, each with a section `[http."HOST"]`. A credential of a model may have none.
    pub hosts: Vec<String>,
    /// The methods of the requests.
    pub methods: Vec<Method>,
    /// The paths of the requests. A path that ends with `/` stands for everything below it too.
    pub paths: Vec<String>,
    /// The header that carries the secret, in lower case.
    pub header: String,
    /// The text before the secret in the header's value.
    pub prefix: String,
}

impl Credential {
    /// Whether one request could get a header from both credentials.
    fn overlaps(&self, other: &Self) -> bool {
        let paths = |one: &str, other: &str| one == other || (one.ends_with('/') && other.starts_with(one));
        self.header == other.header
            && self.hosts.iter().any(|host| other.hosts.contains(host))
            && self.methods.iter().any(|method| other.methods.contains(method))
            && self.paths.iter().any(|one| other.paths.iter().any(|other| paths(one, other) || paths(other, one)))
    }
}

/// All credentials by name. Two credentials for one header of one request are refused.
pub(super) fn credentials(
    authored: Option<Named<Section>>,
    (hosts, models): (&BTreeMap<String, HttpHost>, &BTreeMap<String, Model>),
    folder: &Folder,
) -> Result<BTreeMap<String, Credential>, RuleViolation> {
    let mut all: BTreeMap<String, Credential> = BTreeMap::new();
    for (name, section) in authored.into_iter().flatten() {
        let new = credential(&name, section, hosts, folder)?;
        if new.hosts.is_empty() && !models.values().any(|model| model.credential.as_ref() == Some(name.get_ref())) {
            let hint = "add `hosts = [\"api.example.org\"]` with a host that has a section `[http.\"HOST\"]`, or name the credential in a model: `credential = \"NAME\"` in `[models.…]`";
            return Err(RuleViolation::at(&name, "no host and no model uses this credential", hint));
        }
        if let Some((other, _)) = all.iter().find(|(_, other)| other.overlaps(&new)) {
            let what = format!("the credential `{other}` could add the same header `{}` to a request", new.header);
            let hint = "narrow the `hosts`, `methods` or `paths` of one of the two";
            return Err(RuleViolation::at(&name, what, hint));
        }
        all.insert(plain_name(&name)?, new);
    }
    Ok(all)
}

fn credential(
    name: &Spanned<String>,
    section: Section,
    hosts: &BTreeMap<String, HttpHost>,
    folder: &Folder,
) -> Result<Credential, RuleViolation> {
    let source = match section.oauth {
        None => Source::Secret(secret_source(section.file, section.environment, name, folder)?),
        Some(oauth) if section.file.is_some() || section.environment.is_some() => {
            return Err(RuleViolation::at(&oauth, "the secret has two sources", "keep `oauth` or the other one"));
        }
        Some(section) => Source::Oauth(oauth(section.into_inner(), folder)?),
    };
    let hosts_named = section.hosts.unwrap_or_default();
    for host in &hosts_named {
        if !hosts.contains_key(host.get_ref()) {
            let what = format!("`{}` has no section `[http.\"HOST\"]`", host.get_ref().escape_debug());
            return Err(RuleViolation::at(host, what, "add the section, or correct the name"));
        }
    }
    let host_names: Vec<String> = hosts_named.into_iter().map(Spanned::into_inner).collect();
    let named = || host_names.iter().filter_map(|host| hosts.get(host));
    let methods = methods(section.methods, named)?;
    let header = match &section.header {
        None => HeaderName::from_static("authorization"),
        Some(header) => header.get_ref().parse().map_err(|_| {
            RuleViolation::at(header, "this is not the name of a header", "write a name such as `x-api-key`")
        })?,
    };
    let is_key = |host: &HttpHost| host.idempotency.as_ref().is_some_and(|key| header == *key.idempotency_header);
    if named().any(is_key) {
        let what = format!("the header `{header}` carries the key of the call (`idempotency-header`)");
        return Err(RuleViolation::at(name, what, "name another `header`"));
    }
    let prefix = match section.prefix {
        Some(prefix) if !prefix.get_ref().chars().all(|c| c == ' ' || c.is_ascii_graphic()) => {
            return Err(RuleViolation::at(&prefix, "a header cannot contain this text", "use ASCII letters and signs"));
        }
        Some(prefix) => prefix.into_inner(),
        None if header == "authorization" => "Bearer ".into(),
        None => String::new(),
    };
    let paths = section.paths.map_or_else(|| Ok(vec!["/".into()]), |paths| paths.into_iter().map(path).collect());
    Ok(Credential { source, hosts: host_names, methods, paths: paths?, header: header.to_string(), prefix })
}

/// The methods of a credential: some of those that its hosts allow, and `GET` where the host looks up requests.
fn methods<'a, H: Iterator<Item = &'a HttpHost>>(
    authored: Option<Vec<Spanned<Method>>>,
    hosts: impl Fn() -> H,
) -> Result<Vec<Method>, RuleViolation> {
    let looks_up = |host: &HttpHost| host.idempotency.as_ref().is_some_and(|key| key.lookup.is_some());
    let allowed = |method: &Method| {
        hosts().any(|host| {
            host.routine.contains(method)
                || host.consequential.contains(method)
                || *method == Method::Get && looks_up(host)
        })
    };
    let Some(methods) = authored else { return Ok(Method::ALL.into_iter().filter(allowed).collect()) };
    if let Some(unused) = methods.iter().find(|method| !allowed(method.get_ref())) {
        let what = format!("no host of this credential allows `{}`", unused.get_ref());
        return Err(RuleViolation::at(unused, what, "remove the method, or allow it in the section of the host"));
    }
    Ok(methods.into_iter().map(Spanned::into_inner).collect())
}

fn secret_source<T>(
    file: Option<Spanned<PathBuf>>,
    environment: Option<Spanned<Variable>>,
    at: &Spanned<T>,
    folder: &Folder,
) -> Result<SecretSource, RuleViolation> {
    match (file, environment) {
        (Some(file), None) => Ok(SecretSource::File(folder.path(file.into_inner()))),
        (None, Some(variable)) => Ok(SecretSource::Environment(variable.into_inner().into())),
        (Some(_), Some(both)) => {
            Err(RuleViolation::at(&both, "the secret has two sources", "keep `file` or `environment`"))
        }
        (None, None) => {
            let hint = "add `file = \"/run/secrets/NAME\"`, or the name of a variable: `environment = \"API_KEY\"`";
            Err(RuleViolation::at(at, "the source of the secret is missing", hint))
        }
    }
}

/// Without TLS, the secret of the client goes to this machine alone.
fn oauth(section: OAuthSection, folder: &Folder) -> Result<OAuth, RuleViolation> {
    let url: Option<Uri> = section.token_url.get_ref().parse().ok();
    let host = url.as_ref().and_then(Uri::host).unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let scheme = url.as_ref().and_then(Uri::scheme_str);
    if host.is_empty() || !(scheme == Some("https") || scheme == Some("http") && is_here) {
        let hint = "write the URL of the token endpoint, such as `https://login.example.org/oauth2/token`";
        return Err(RuleViolation::at(&section.token_url, "this is not a URL with `https`", hint));
    }
    let ClientSecret { file, environment } = section.client_secret.get_ref();
    let (file, environment) = (file.clone(), environment.clone());
    Ok(OAuth {
        client_secret: secret_source(file, environment, &section.client_secret, folder)?,
        token_url: section.token_url.into_inner(),
        client_id: section.client_id.0,
        client_auth: section.client_auth.unwrap_or_default(),
        scope: section.scope.map(|scope| scope.0),
        audience: section.audience.map(|audience| audience.0),
        allow_private: section.allow_private.unwrap_or(false),
    })
}
