//! What a program of the operator's finds out about a call before it is judged, so that policies can rest on it.

use std::collections::BTreeMap;

use holdshort_gate::WitType;
use serde_json::{Map, Value};

use super::super::child::Output;
use super::super::{Sentence, quote, say};
use super::look::printed_json;

/// A program that prints facts, and the facts that it may print.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The type of each fact, by its name.
    pub types: BTreeMap<String, WitType>,
}

impl Facts {
    /// The facts that a program printed, each in the normal form of its type. What it does not know it leaves out, or prints as `null`.
    pub(super) fn read(&self, output: &Output) -> Result<Value, Sentence> {
        let Some(Value::Object(found)) = printed_json(output)? else {
            return Err("it printed no JSON object of facts, such as `{\"open-orders\": 3}`".into());
        };
        let mut facts = Map::new();
        for (name, value) in found.into_iter().filter(|(_, value)| !value.is_null()) {
            let Some(ty) = self.types.get(&name) else {
                return Err(say!("it printed the fact {}, which `fact-types` does not declare", quote(name)));
            };
            let value = ty.normalise(&value).map_err(|error| say!("the fact {}: {}", quote(&name), quote(error)))?;
            facts.insert(name, value);
        }
        Ok(Value::Object(facts))
    }
}
