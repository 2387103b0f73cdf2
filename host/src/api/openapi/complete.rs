//! Completes every operation of the OpenAPI document: descriptions of answers, headers of each
//! status, the schema of problems, and links from an answer to further requests.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{Header, OpenApi, RefOr, Response};

/// A link: the source operation, the status of its answer, the link's name, the target operation,
/// and where its parameters are in the answer.
type Link = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The links. A parameter that is null in an answer, such as `next` on the last page, leads
/// nowhere.
#[rustfmt::skip]
const LINKS: &[Link] = &[
    ("start-run", "201", "run", "show-run", &[("id", "$response.body#/id")]),
    ("start-run", "201", "events", "list-run-events", &[("id", "$response.body#/id")]),
    ("start-run", "201", "logs", "list-run-logs", &[("id", "$response.body#/id")]),
    ("start-run", "201", "cancel", "cancel-run", &[("id", "$response.body#/id")]),
    ("list-runs", "200", "first", "show-run", &[("id", "$response.body#/runs/0/id")]),
    ("list-runs", "200", "cancel", "cancel-run", &[("id", "$response.body#/runs/0/id")]),
    ("list-runs", "200", "next", "list-runs", &[("before", "$response.body#/next")]),
    ("list-run-events", "200", "next", "list-run-events", &[("id", "$request.path.id"), ("after", "$response.body#/next")]),
    ("list-run-logs", "200", "next", "list-run-logs", &[("id", "$request.path.id"), ("after", "$response.body#/next")]),
    ("list-approvals", "200", "first", "show-approval", &[("id", "$response.body#/approvals/0/id")]),
    ("list-approvals", "200", "decide", "decide", &[("id", "$response.body#/approvals/0/id")]),
    ("list-approvals", "200", "explain", "explain-approval", &[("id", "$response.body#/approvals/0/id")]),
    ("list-approvals", "200", "grant", "draft-grant", &[("id", "$response.body#/approvals/0/id")]),
    ("list-approvals", "200", "resolve", "resolve-call", &[("id", "$response.body#/approvals/0/run"), ("n", "$response.body#/approvals/0/call")]),
    ("list-approvals", "200", "next", "list-approvals", &[("after", "$response.body#/next")]),
    ("show-approval", "200", "decide", "decide", &[("id", "$response.body#/id")]),
    ("show-approval", "200", "run", "show-run", &[("id", "$response.body#/run")]),
    ("show-approval", "200", "exhibit", "show-exhibit", &[("id", "$response.body#/id"), ("digest", "$response.body#/proposal/exhibits/0/digest")]),
    ("list-decisions", "200", "approval", "show-approval", &[("id", "$response.body#/decisions/0/approval/id")]),
    ("list-decisions", "200", "next", "list-decisions", &[("before", "$response.body#/next")]),
    ("list-grants", "200", "first", "show-grant", &[("id", "$response.body#/grants/0/id")]),
    ("list-grants", "200", "revoke", "revoke-grant", &[("id", "$response.body#/grants/0/id")]),
    ("list-grants", "200", "next", "list-grants", &[("before", "$response.body#/next")]),
];

/// Completes every operation.
pub(super) fn complete(openapi: &mut OpenApi) {
    for item in openapi.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            let (of, says) = (operation.operation_id.clone().unwrap_or_default(), operation.summary.clone());
            for (status, response) in answers(operation) {
                describe(status, response, says.as_deref());
                response.links = links(&of, status);
            }
        }
    }
}

/// The answers of an operation by status. They are inline, not references.
fn answers(operation: &mut Operation) -> impl Iterator<Item = (&str, &mut Response)> {
    operation.responses.responses.iter_mut().filter_map(|(status, response)| match response {
        RefOr::T(response) => Some((status.as_str(), response)),
        RefOr::Ref(_) => None,
    })
}

fn describe(status: &str, response: &mut Response, says: Option<&str>) {
    if response.description.is_empty() {
        let reason = StatusCode::from_bytes(status.as_bytes()).ok().and_then(|status| status.canonical_reason());
        let says = says.filter(|_| status.starts_with('2')).map(|says| says.trim_end_matches('.').to_owned());
        response.description = says.unwrap_or_else(|| reason.unwrap_or("An answer").to_owned());
    }
    let header = match status {
        "401" => Some(("WWW-Authenticate", header("The required token", Type::String))),
        "409" | "429" | "503" => {
            Some(("Retry-After", header("How many seconds to wait before the next try", Type::Integer)))
        }
        _ => None,
    };
    response.headers.extend(header.map(|(name, header)| (name.to_owned(), RefOr::T(header))));
}

fn header(says: &str, ty: Type) -> Header {
    let schema: Object = ObjectBuilder::new().schema_type(ty).build();
    HeaderBuilder::new().description(Some(says)).schema(Some(schema)).build()
}

fn links(of: &str, status: &str) -> BTreeMap<String, RefOr<utoipa::openapi::link::Link>> {
    let from = LINKS.iter().filter(|(from, with, ..)| (*from, *with) == (of, status));
    from.map(|(_, _, name, to, parameters)| {
        let link = parameters
            .iter()
            .fold(LinkBuilder::new().operation_id(*to), |link, (name, value)| link.parameter(*name, *value));
        ((*name).to_owned(), RefOr::T(link.build()))
    })
    .collect()
}
