//! The routes and their schema, from one list: [`routes()`].

mod complete;
mod objects;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use holdshort_gate::{Digest, RunId};
use holdshort_journal::DecisionKind;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::problem::Details;
use super::refusals::Refusals;
use super::shapes::{
    ApprovalIdShape, CallStateWordShape, IdempotencyKeyShape, InstantShape, PlaceShape, RankedPlaceShape,
    RunStateWordShape,
};
use super::{
    Api, ApiResult, agents, approvals, backtests, decision_history, decisions, events, exhibits, explanations, grants,
    health, history, inbox, resolutions, runs, sign_in, stats,
};

/// The general part of the schema.
#[derive(OpenApi)]
#[openapi(
    info(title = "Holdshort", description = "Calls of agents, and reviewers' decisions on these calls. On every path, a request that is not HTTP is answered with 400, and a request with too large a head with 431, both without a body."),
    // utoipa does not collect the schemas of parameters by itself.
    components(schemas(
        Details, CallStateWordShape, RunStateWordShape, DecisionKind, IdempotencyKeyShape, ApprovalIdShape, RunId, Digest,
        InstantShape, PlaceShape, RankedPlaceShape
    )),
    modifiers(&Token),
    security(("token" = []))
)]
struct Description;

/// Adds the security scheme: a reviewer's token, which a request needs unless the schema says
/// otherwise.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A reviewer's token"));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    }
}

/// All routes with their descriptions and schemas.
fn all() -> Vec<UtoipaMethodRouter<Api>> {
    vec![
        routes!(inbox::list),
        routes!(approvals::show),
        routes!(exhibits::show),
        routes!(explanations::show),
        routes!(decisions::create),
        routes!(grants::draft),
        routes!(grants::list),
        routes!(grants::show),
        routes!(grants::revoke),
        routes!(decision_history::list),
        routes!(runs::list, runs::create),
        routes!(runs::show),
        routes!(runs::cancel),
        routes!(history::events),
        routes!(history::logs),
        routes!(resolutions::create),
        routes!(stats::show),
        routes!(agents::list),
        routes!(backtests::create),
        routes!(events::stream),
        routes!(sign_in::create),
        routes!(health::alive),
        routes!(health::ready),
        routes!(health::metrics),
        routes!(schema),
    ]
}

/// All routes, and their description.
pub(super) fn routes() -> OpenApiRouter<Api> {
    all().into_iter().fold(OpenApiRouter::with_openapi(Description::openapi()), OpenApiRouter::routes)
}

/// The served document, made at the first request.
static SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let mut openapi = routes().into_openapi();
    complete::complete(&mut openapi);
    openapi.components.iter_mut().for_each(objects::plain);
    openapi.to_json().unwrap_or_default()
});

/// Describes this endpoint.
#[utoipa::path(get, path = "/openapi.json", operation_id = "show-schema", tag = "host", responses(Refusals,
    (status = 200, body = Object, content_type = "application/json")))]
pub(super) async fn schema() -> ApiResult {
    Ok(([(header::CONTENT_TYPE, "application/json")], SCHEMA.as_str()).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The document has one schema per name. If two types had the same name, one schema would be
    /// served for both.
    #[test]
    fn no_two_types_have_one_name() {
        let mut known = BTreeMap::new();
        for (name, schema) in all().into_iter().flat_map(|(schemas, ..)| schemas) {
            let before = known.entry(name.clone()).or_insert_with(|| schema.clone());
            assert!(
                *before == schema,
                "two types are called `{name}` in the document: name one of them otherwise with `#[schema(as = …)]`"
            );
        }
        assert!(known.len() > 100, "{}", known.len());
    }
}
