//! A reviewer's message with an action: a note, guidance, a reason, or an answer in words.
//!
//! Messages are recorded in the journal and shown in every list of decisions, so they must be
//! short. All forms use this type.

use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::limits::Form;
use super::problem::{Kind, Problem};

/// The maximum length in characters, as JSON schemas count them. In bytes this is at most 16 KiB.
const CHARS_MAX: usize = 4_096;

/// A message within the maximum length.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Message(String);

impl TryFrom<String> for Message {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().count() {
            0..=CHARS_MAX => Ok(Self(text)),
            chars => Err(format!("the message has {chars} characters; at most {CHARS_MAX} are allowed")),
        }
    }
}

impl From<Message> for String {
    fn from(Message(text): Message) -> Self {
        text
    }
}

impl Message {
    /// Reads a field of a page's form.
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
