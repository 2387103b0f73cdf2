//! The section `[credentials.NAME]`: a secret that the host adds to requests of agents and to
//! questions to models. This file has the section's keys,
//! the types that other packages use, and the code that resolves the section.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use ureq::http::HeaderName;

use super::http::{HttpHost, Method};
use super::models::Model;
use super::{Folder, RuleViolation, plain_name};
use crate::value::{Named, Variable};

/// `[credentials.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct Section {
    pub(crate) file: Option<Spanned<PathBuf>>,
    pub(crate) environment: Option<Spanned<Variable>>,
    pub(crate) hosts: Option<Vec<Spanned<String>>>,
    pub(crate) methods: Option<Vec<Spanned<Method>>>,
    pub(crate) paths: Option<Vec<Spanned<String>>>,
    pub(crate) header: Option<Spanned<String>>,
    pub(crate) prefix: Option<Spanned<String>>,
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
    pub source: SecretSource,
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
            let hint = "name a host that has a section `[http.\"HOST\"]`: `hosts = [\"api.example.org\"]`";
            return Err(RuleViolation::at(&name, "this credential is for no host", hint));
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
    let source = match (section.file, section.environment) {
        (Some(file), None) => SecretSource::File(folder.path(file.into_inner())),
        (None, Some(variable)) => SecretSource::Environment(variable.into_inner().into()),
        (Some(_), Some(both)) => {
            return Err(RuleViolation::at(&both, "the secret has two sources", "keep `file` or `environment`"));
        }
        (None, None) => {
            let hint = "add `file = \"/run/secrets/NAME\"`, or the name of a variable: `environment = \"API_KEY\"`";
            return Err(RuleViolation::at(name, "the source of the secret is missing", hint));
        }
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
    let looks_up = |host: &HttpHost| host.idempotency.as_ref().is_some_and(|key| key.lookup.is_some());
    let allowed = |method: &Method| {
        named().any(|host| {
            host.routine.contains(method)
                || host.consequential.contains(method)
                || *method == Method::Get && looks_up(host)
        })
    };
    let methods = match section.methods {
        None => Method::ALL.into_iter().filter(allowed).collect(),
        Some(methods) => {
            if let Some(unused) = methods.iter().find(|method| !allowed(method.get_ref())) {
                let what = format!("no host of this credential allows `{}`", unused.get_ref());
                let hint = "remove the method, or allow it in the section of the host";
                return Err(RuleViolation::at(unused, what, hint));
            }
            methods.into_iter().map(Spanned::into_inner).collect()
        }
    };
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

/// A path as it stands in a URL. A path with other characters would match no request.
fn path(path: Spanned<String>) -> Result<String, RuleViolation> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,=:@%".contains(c);
    if path.get_ref().starts_with('/') && path.get_ref().chars().all(plain) {
        return Ok(path.into_inner());
    }
    let hint = "write it as in a URL, such as `/v1/orders`, or `/v1/` for everything below it";
    Err(RuleViolation::at(&path, "this is not the path of a URL", hint))
}
