//! A reviewer's own words beside what they do: a note, guidance, a reason, an answer in words.
//!
//! They are journaled, and stand in every list of decisions, so they are short; whichever way they come, they are of this type.

use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::limits::Form;
use super::problem::{Kind, Problem};

/// Characters of a message, as JSON's schemas count them: at most 16 KiB.
const CHARS_MAX: usize = 4_096;

/// Such words.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Message(String);

impl TryFrom<String> for Message {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().count() {
            0..=CHARS_MAX => Ok(Self(text)),
            chars => Err(format!("{chars} characters; say it in {CHARS_MAX}")),
        }
    }
}

impl From<Message> for String {
    fn from(Message(text): Message) -> Self {
        text
    }
}

impl Message {
    /// What stands in a field of a form of the page.
    pub(crate) fn of(form: &Form, name: &str) -> Result<Option<Self>, Problem> {
        let read = form.field(name).map(|text| Self::try_from(text.to_owned())).transpose();
        read.map_err(|why| Problem::new(Kind::BadRequest, format!("`{name}`: {why}")).max(CHARS_MAX))
    }
}

impl PartialSchema for Message {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).max_length(Some(CHARS_MAX)).into()
    }
}

impl ToSchema for Message {
    fn name() -> std::borrow::Cow<'static, str> {
        "Message".into()
    }
}
