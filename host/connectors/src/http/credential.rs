//! Secrets of the operator that the host adds to requests of agents.
//!
//! **Invariant:** a secret is in the request that the host sends, and nowhere else. It is added at the last moment, after
//! the approval, and it is removed from the answer, because some systems repeat what they were sent.

use std::sync::Arc;

use ureq::http::{HeaderName, HeaderValue};

use super::request::Request;
use super::token::{Client, Tokens, in_form};
use crate::secret::{MASKED_CHARS_MIN, Mask, Secret};
use crate::{Exhibit, Sentence, Trusted, say};

/// A secret, and the requests that get it.
#[derive(Clone, Debug)]
pub struct Credential {
    pub name: String,
    /// The hosts, by the names of their sections.
    pub hosts: Vec<String>,
    pub methods: Vec<String>,
    /// The paths. A path that ends with `/` stands for everything below it too.
    pub paths: Vec<String>,
    header: HeaderName,
    /// The text before the secret.
    prefix: String,
    source: Source,
}

/// Where the secret of a request comes from.
#[derive(Clone, Debug)]
enum Source {
    Fixed(Secret),
    Tokens(Tokens),
}

/// A secret cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("the secret has fewer than {MASKED_CHARS_MIN} characters, so it could not be removed from answers")]
    TooShort,
    #[error("the secret has characters that a header cannot contain: use visible ASCII characters on one line")]
    NotForHeaders,
}

impl Credential {
    /// The credential `name`, in the header `header`, after `prefix`.
    pub fn new(
        name: String,
        (hosts, methods, paths): (Vec<String>, Vec<String>, Vec<String>),
        (header, prefix): (&str, &str),
        secret: &str,
    ) -> Result<Self, CredentialError> {
        if secret.chars().count() < MASKED_CHARS_MIN {
            return Err(CredentialError::TooShort);
        }
        let header = header.parse().map_err(|_| CredentialError::NotForHeaders)?;
        if !secret.chars().chain(prefix.chars()).all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(CredentialError::NotForHeaders);
        }
        let source = Source::Fixed(Secret::new(secret.into()));
        Ok(Self { name, hosts, methods, paths, header, prefix: prefix.into(), source })
    }

    /// The same with the tokens that this client gets, in place of its secret.
    #[must_use]
    pub fn with_tokens(self, client: Client) -> Self {
        Self { source: Source::Tokens(Tokens::new(client)), ..self }
    }

    /// Whether a request gets this credential.
    pub(super) fn is_for(&self, request: &Request) -> bool {
        self.is_for_host(request.authority())
            && self.methods.iter().any(|method| method == request.method())
            && request.is_within(&self.paths)
    }

    /// The header with its secret.
    pub(crate) async fn header(&self, mask: &Arc<Mask>) -> Result<(HeaderName, HeaderValue), Sentence> {
        let secret = match &self.source {
            Source::Fixed(secret) => Ok(secret.clone()),
            Source::Tokens(tokens) => tokens.get(mask, &self.mark()).await,
        };
        let of = |why: Sentence| say!("the credential {}: {}", Trusted::configured(&self.name), why);
        let value = HeaderValue::try_from(format!("{}{}", self.prefix, secret.map_err(of)?.text()));
        let mut value = value.map_err(|_| of(say!("the secret cannot stand in a header")))?;
        value.set_sensitive(true);
        Ok((self.header.clone(), value))
    }

    /// After the answer that the secret is not accepted: whether the next request has another one.
    pub(crate) async fn renew(&self) -> bool {
        match &self.source {
            Source::Fixed(_) => false,
            Source::Tokens(tokens) => tokens.renew().await,
        }
    }

    /// Whether a request to this host can get this credential, by its method and path.
    pub(super) fn is_for_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|one| one == host)
    }

    /// Makes the mask replace the secret with the name of the credential.
    pub(crate) fn mask(&self, mask: &Mask) {
        let add = |secret: &Secret| mask.add(secret, &self.mark(), None);
        match &self.source {
            Source::Fixed(secret) => add(secret),
            Source::Tokens(tokens) => {
                let secret = &tokens.client.secret;
                add(secret);
                // As it stands in the Base64 of the request for a token.
                let in_form = in_form(secret.text());
                if in_form != secret.text() {
                    add(&Secret::new(in_form));
                }
            }
        }
    }

    fn mark(&self) -> String {
        format!("[credential {}]", self.name)
    }

    /// What a reviewer needs to know about it.
    pub(super) fn exhibit(&self, request: &Request) -> Exhibit {
        let (name, header) = (Trusted::configured(&self.name), Trusted::configured(&self.header));
        let replaced = request.headers().iter().any(|(name, _)| *name == self.header.as_str());
        let text: Sentence = if replaced {
            say!(
                "the host adds the secret of the credential {} as the header {}, in place of the agent's value",
                name,
                header
            )
        } else {
            say!("the host adds the secret of the credential {} as the header {}", name, header)
        };
        Exhibit::text(say!("the credential {}", Trusted::configured(&self.name)), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::action;
    use serde_json::json;

    fn credential(paths: &[&str]) -> Credential {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let bounds = (vec!["api.test".into()], vec!["GET".into(), "POST".into()], paths);
        Credential::new("api".into(), bounds, ("authorization", "Bearer "), "s3cret-key").unwrap()
    }

    #[test]
    fn a_credential_is_only_for_its_requests() {
        let is_for = |paths: &[&str], method: &str, url: &str| {
            let request = Request::read(&action(method, url, json!({ "empty": null }))).unwrap();
            credential(paths).is_for(&request)
        };
        for (paths, url) in [
            (&["/"][..], "https://api.test/"),
            (&["/"], "https://api.test/a/b?c=/../d;e"),
            (&["/"], "https://API.test:443/a"),
            (&["/v1/"], "https://api.test/v1/"),
            (&["/v1/"], "https://api.test/v1/x/y.z"),
            (&["/a", "/v1/x"], "https://api.test/v1/x"),
            (&["/v1/"], "https://api.test/v1/..a/b..c"),
        ] {
            assert!(is_for(paths, "GET", url) && is_for(paths, "POST", url), "{url}");
            assert!(!is_for(paths, "DELETE", url), "{url}");
        }
        for (paths, url) in [
            (&["/"][..], "https://other.test/"),
            (&["/"], "https://api.test:444/"),
            (&["/"], "https://sub.api.test/"),
            (&["/v1/"], "https://api.test/v1"),
            (&["/v1/"], "https://api.test/v10/"),
            (&["/v1/"], "https://api.test/V1/"),
            (&["/v1/"], "https://api.test/?/v1/"),
            (&["/v1"], "https://api.test/v1/x"),
            (&["/v1/"], "https://api.test/v1/../admin"),
            (&["/v1/"], "https://api.test/v1/./x"),
            (&["/v1/"], "https://api.test/v1/%2e%2E/admin"),
            (&["/v1/"], "https://api.test/v1/.%2e/admin"),
            (&["/v1/"], "https://api.test/v1/..%2fadmin"),
            (&["/v1/"], "https://api.test/v1/..%5Cadmin"),
            (&["/v1/"], "https://api.test/v1/..;/admin"),
            (&["/v1/"], "https://api.test/v1/%252e%252e/admin"),
            (&["/v1/"], "https://api.test/v1//admin"),
            (&["/v1/"], "https://api.test/v1/..%00x"),
            (&["/v1/"], "https://api.test/v1/..%3Fx"),
            (&["/v1/"], "https://api.test/v1/..%23x"),
        ] {
            assert!(!is_for(paths, "GET", url), "{url}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_sent_or_removed_is_refused() {
        let new = |secret: &str| {
            Credential::new("api".into(), (Vec::new(), Vec::new(), Vec::new()), ("x-api-key", ""), secret).map(drop)
        };
        for secret in ["", "1234567", "sevens\u{e9}"] {
            assert!(matches!(new(secret), Err(CredentialError::TooShort)), "{secret}");
        }
        for secret in ["two\nlines of it", "a tab\tin it", "with \0 in it", "sécret-of-mine"] {
            assert!(matches!(new(secret), Err(CredentialError::NotForHeaders)), "{secret}");
        }
        new("12345678").unwrap();
        assert!(!format!("{:?}", credential(&["/"])).contains("s3cret"));
    }
}
