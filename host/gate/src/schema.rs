//! The OpenAPI schema of types whose JSON form is not the form of their fields.

use std::borrow::Cow;

pub use utoipa;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::action::Capability;
use crate::approval;
use crate::requirement_json::RequirementJson;

/// The schema of a text that must be one of the names `all`. `about` has the lines of the description.
pub fn names(all: &[&'static str], about: &[&str]) -> RefOr<Schema> {
    let about: Vec<&str> = about.iter().map(|line| line.trim()).collect();
    let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(all.iter().copied()));
    name.description(Some(about.join("\n"))).into()
}

impl PartialSchema for Capability {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[A-Za-z0-9:/@.+-]+#[A-Za-z0-9-]+$"));
        text.description(Some("A function, written `package:name/interface@version#function`.")).into()
    }
}

impl ToSchema for Capability {}

impl PartialSchema for approval::Requirement {
    fn schema() -> RefOr<Schema> {
        RequirementJson::schema()
    }
}

impl ToSchema for approval::Requirement {
    fn name() -> Cow<'static, str> {
        RequirementJson::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RequirementJson::schemas(schemas);
    }
}

/// An agent's result, which is a `Result` in the journal.
#[derive(Debug, ToSchema)]
pub enum Returned {
    /// The agent completed its task.
    Ok(String),
    /// The agent failed, with the reason.
    Err(String),
}

/// Amounts of money by currency, in minor units.
#[derive(Debug)]
pub struct Sums;

impl PartialSchema for Sums {
    fn schema() -> RefOr<Schema> {
        let code = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Z]{3}$"));
        let mut sums = ObjectBuilder::new().description(Some("Money in minor units, by currency.")).build();
        sums.property_names = Some(Box::new(code.description(Some("A currency code.")).into()));
        sums.additional_properties = Some(Box::new(u64::schema().into()));
        RefOr::T(sums.into())
    }
}

impl ToSchema for Sums {}
