//! `/v1/approvals/{id}/exhibits/{digest}`: an exhibit of the evidence, byte for byte.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use holdshort_gate::Digest;

use super::limits::Path;
use super::problem::{Details, Problem};
use super::refusals::Refusals;
use super::shapes::ApprovalIdShape;
use super::{Api, ApiResult, approvals, ids};

/// Shows an exhibit.
///
/// The approval must currently include the exhibit: a digest alone gives no access, because
/// components and payloads are stored by digest too. It is always served as plain text, so that a
/// browser never renders a page inside a diff.
#[utoipa::path(get, path = "/v1/approvals/{id}/exhibits/{digest}", operation_id = "show-exhibit", tag = "approvals",
    params(("id" = ApprovalIdShape, Path),
        ("digest" = Digest, Path, description = "The digest of an exhibit of the approval")),
    responses(Refusals,
    (status = 200, body = String, content_type = "text/plain; charset=utf-8"),
    (status = 404, body = Details, content_type = "application/problem+json")))]
pub(super) async fn show(State(api): State<Api>, Path((id, digest)): Path<(String, String)>) -> ApiResult {
    let (run, number) = ids::approval(&id)?;
    let missing = || Problem::not_found(format_args!("exhibit `{}` of approval `{id}`", super::shortened(&digest)));
    let wanted = digest.parse::<Digest>().map_err(|_| missing())?;
    let (_, call) = approvals::load(&api, &run, number).await?;
    let exhibits = call.proposal().map(|proposal| proposal.exhibits.as_slice()).unwrap_or_default();
    if !exhibits.iter().any(|exhibit| exhibit.digest == wanted) {
        return Err(missing());
    }
    let bytes = api.journal().blob(&wanted).await?.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], bytes).into_response())
}
