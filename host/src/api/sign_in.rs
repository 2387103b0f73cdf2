//! `/v1/sign-in-links`: makes one-time links that sign a browser in.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Reviewer;
use super::json::Json;
use super::limits::Input;
use super::problem::{Details, Kind, Problem};
use super::refusals::{Posted, Refusals};
use super::sessions::LINK_TIME;
use super::shapes::PagePathShape;
use super::{Api, ApiResult};

/// The page that the link leads to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkRequest {
    /// A path of the page, such as `/approvals/0k3v9m2e8q1c4z7d.5`; the inbox by default.
    #[schema(value_type = Option<PagePathShape>)]
    next: Option<String>,
}

/// A link for one browser.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct LinkMade {
    /// The address of the link. It opens a form, and sending the form signs in, once. Anybody with the link can sign
    /// in, so it is as secret as a token. Without TLS its host is a new name below `localhost`, which browsers resolve
    /// to this machine.
    pub(crate) url: String,
    /// How long the link is valid, in seconds.
    pub(crate) expires_in_s: u64,
}

/// Makes a link that signs the token's owner in to the review page.
#[utoipa::path(post, path = "/v1/sign-in-links", operation_id = "make-sign-in-link", tag = "host", request_body = LinkRequest, responses(Refusals, Posted,
    (status = 201, body = LinkMade),
    (status = 400, body = Details, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(api): State<Api>,
    reviewer: Reviewer,
    headers: HeaderMap,
    Input(request): Input<LinkRequest>,
) -> ApiResult {
    let next = request.next.unwrap_or_else(|| "/".into());
    if !is_local(&next) {
        let detail = format!(
            "`{}` is not a path of the review page; write a path like `/approvals/RUN.CALL`",
            super::shortened(&next)
        );
        return Err(Problem::new(Kind::BadRequest, detail));
    }
    // `Host` is one of this host's names, because the admission check has compared it with them.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let made = LinkMade { url: api.0.secrets.link(&reviewer, host, &next)?, expires_in_s: LINK_TIME.as_secs() };
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Whether a text is a path of this host, and so may be the target after sign-in.
pub(crate) fn is_local(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~?=&%:".contains(c);
    path.starts_with('/') && !path.starts_with("//") && path.len() <= 512 && path.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_host_are_followed() {
        for path in ["/", "/approvals/0k3v9m2e8q1c4z7d.5", "/history?search=a%20b&after=3"] {
            assert!(is_local(path), "{path}");
        }
        for path in
            ["", "//evil.example", "/\\evil.example", "https://evil.example/", "/\r\nSet-Cookie: a=b", "/\u{e9}"]
        {
            assert!(!is_local(path), "{path:?}");
        }
    }
}
