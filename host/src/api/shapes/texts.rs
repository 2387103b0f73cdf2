//! Texts with one form: ids, cursors, times and paths. Each has a schema with a pattern, so clients
//! can read the accepted form in the document. `tests/http` and `tests/clients.rs` check that
//! pattern and host agree.

use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// The schema of a text with a pattern.
pub(super) fn text(pattern: &str, description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).description(Some(description))
}

/// Defines a named text with a pattern.
macro_rules! texts {
    ($($(#[$doc:meta])* $shape:ident, $name:literal, $pattern:literal, $description:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $shape;

        impl PartialSchema for $shape {
            fn schema() -> RefOr<Schema> {
                text($pattern, $description).into()
            }
        }

        impl ToSchema for $shape {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    )*};
}

texts! {
    DigestShape, "Digest", "^sha256:[0-9a-f]{64}$", "A SHA-256 digest.";
    /// A run's id, as [`ids::run`](crate::api::ids::run) reads it.
    RunIdShape, "RunId", "^[A-Za-z0-9-]{1,64}$", "A run's id.";
    /// An approval's id, as [`ids::approval`](crate::api::ids::approval) reads it.
    ApprovalIdShape, "ApprovalId", r"^[A-Za-z0-9-]{1,64}\.[1-9][0-9]{0,9}$",
    "An approval's id: the run, a dot and the call's number. A grant has the id of the approval that it was made with.";
    /// A capability, as [`Capability`](holdshort_gate::Capability) reads it.
    CapabilityShape, "Capability", r"^[A-Za-z0-9:/@.+-]+#[A-Za-z0-9-]+$",
    "A function, written `package:name/interface@version#function`.";
    /// The cursor of a page of decisions or grants.
    PlaceShape, "Place", "^(0|[1-9][0-9]{0,18})$", "A cursor: `next` of the previous page.";
    /// The cursor of a page of approvals. It works for both orders.
    RankedPlaceShape, "RankedPlace", "^(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})$",
    "A cursor for approvals: `next` of the previous page.";
    /// A path of the review page, as [`is_local`](crate::api::sign_in::is_local) reads it.
    PagePathShape, "PagePath", "^/([A-Za-z0-9._~?=&%:-][A-Za-z0-9/._~?=&%:-]{0,510})?$", "A path of the review page.";
    /// A currency code.
    CurrencyShape, "Currency", "^[A-Z]{3}$", "A currency code.";
    /// An idempotency key, as [`idempotency`](crate::api::idempotency) reads it.
    IdempotencyKeyShape, "IdempotencyKey", r#"^("[A-Za-z0-9._:+/=-]{1,128}"|[A-Za-z0-9._:+/=-]{1,128})$"#,
    "A name of your choice for this request, such as a UUID; with quotes or without, it is the same key.";
}

/// A time in a request, as [`decision_history::time`](crate::api::decision_history::time) reads it.
#[derive(Debug)]
pub struct InstantShape;

impl PartialSchema for InstantShape {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new().schema_type(Type::String).description(Some("A time (RFC 3339)."));
        schema.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl ToSchema for InstantShape {
    fn name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }
}

/// Amounts of money by currency, in minor units.
#[derive(Debug)]
pub struct SumsShape;

impl PartialSchema for SumsShape {
    fn schema() -> RefOr<Schema> {
        let mut sums = ObjectBuilder::new().description(Some("Money in minor units, by currency.")).build();
        let RefOr::T(Schema::Object(currency)) = CurrencyShape::schema() else { return RefOr::T(sums.into()) };
        sums.property_names = Some(Box::new(Schema::Object(currency)));
        sums.additional_properties = Some(Box::new(u64::schema().into()));
        RefOr::T(sums.into())
    }
}

impl ToSchema for SumsShape {
    fn name() -> std::borrow::Cow<'static, str> {
        "Sums".into()
    }
}
