//! Texts of a fixed form: ids, cursors, times and paths. Each has a schema with a pattern, so clients can read the
//! accepted form in the document. `tests/http` and `tests/clients.rs` check that pattern and host agree.

use utoipa::ToSchema;

// `ids::approval` parses this text.
/// An approval's id: the run, a dot and the call's number. The id of a grant is the id of the approval that the grant was made with.
#[derive(Debug, ToSchema)]
#[schema(as = ApprovalId, pattern = r"^[A-Za-z0-9-]{1,64}\.[1-9][0-9]{0,9}$")]
pub struct ApprovalIdShape(pub String);

/// A cursor: `next` of the previous page.
#[derive(Debug, ToSchema)]
#[schema(as = Place, pattern = "^(0|[1-9][0-9]{0,18})$")]
pub struct PlaceShape(pub String);

// This text works for both orders of the list.
/// A cursor for approvals: `next` of the previous page.
#[derive(Debug, ToSchema)]
#[schema(as = RankedPlace, pattern = "^(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})$")]
pub struct RankedPlaceShape(pub String);

// `sign_in::is_local` checks this text.
/// A path of the review page.
#[derive(Debug, ToSchema)]
#[schema(as = PagePath, pattern = "^/([A-Za-z0-9._~?=&%:-][A-Za-z0-9/._~?=&%:-]{0,510})?$")]
pub struct PagePathShape(pub String);

// `idempotency` parses this text.
/// A name of your choice for this request, such as a UUID. The key is the same with and without quotes.
#[derive(Debug, ToSchema)]
#[schema(as = IdempotencyKey, pattern = r#"^("[A-Za-z0-9._:+/=-]{1,128}"|[A-Za-z0-9._:+/=-]{1,128})$"#)]
pub struct IdempotencyKeyShape(pub String);

// `decision_history::time` parses this text.
/// A time (RFC 3339).
#[derive(Debug, ToSchema)]
#[schema(as = Instant, format = DateTime)]
pub struct InstantShape(pub String);
