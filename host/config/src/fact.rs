//! Declared facts: the values that an operator's program finds out about a call.

use std::str::FromStr;

use holdshort_gate::{MODEL_UNCERTAINTY, WitType};
use serde::{Deserialize, Serialize};

/// The maximum number of facts in a section. All of them are in the schema with which policies are
/// read, so more facts make reading slower.
pub(super) const FACTS_MAX: usize = 64;
/// The maximum length of a fact's name.
const NAME_BYTES_MAX: usize = 64;

/// The name of a fact in WIT's spelling, such as `open-orders`. In policies, this fact is
/// `open_orders`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FactName(pub(super) String);

impl FromStr for FactName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if text.len() > NAME_BYTES_MAX || !text.split('-').all(word) {
            return Err(format!(
                "`{}` is not the name of a fact; write lower-case words with `-` between them, such as `open-orders`",
                text.escape_debug()
            ));
        }
        if text == MODEL_UNCERTAINTY {
            return Err(format!("`{text}` is a fact that the host itself measures; choose another name"));
        }
        Ok(Self(text.into()))
    }
}

/// The types of facts, limited to those that policies can compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactType {
    Bool,
    S64,
    F64,
    String,
    #[serde(rename = "list<string>")]
    Strings,
}

impl FactType {
    /// The type in WIT.
    pub fn wit(self) -> WitType {
        match self {
            Self::Bool => WitType::Bool,
            Self::S64 => WitType::S64,
            Self::F64 => WitType::F64,
            Self::String => WitType::String,
            Self::Strings => WitType::List(Box::new(WitType::String)),
        }
    }
}
