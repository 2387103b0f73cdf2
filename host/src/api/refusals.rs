//! The problems that every request can meet, as parts of the document's operations.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::problem::MEDIA;

/// The errors of requests that need a token.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("400", "The request cannot be understood."),
            ("401", "No token, or an unknown token."),
            ("403", "The request comes from a page of another site, or the reviewer may not do this."),
            ("421", "The host does not answer to the name in `Host`."),
            ("429", "Too many requests; `Retry-After` says when to continue."),
            ("500", "The host failed."),
            (
                "503",
                "The journal, an agent or a connector is not available now; `type` says whether anything was written.",
            ),
        ])
    }
}

/// The errors of requests with a body.
pub(super) struct Posted;

impl IntoResponses for Posted {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("408", "The body did not arrive in time."),
            ("413", "The body is too large."),
            ("415", "The body is not `application/json`."),
        ])
    }
}

fn problems(all: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let problem = |description: &str| ResponseBuilder::new().description(description).content(MEDIA, content()).build();
    all.iter().map(|(status, description)| ((*status).to_owned(), RefOr::T(problem(description)))).collect()
}
