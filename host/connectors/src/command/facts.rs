//! Facts of a call that an operator's program finds before the verdict, so that policies can use
//! them.

use std::collections::BTreeMap;

use holdshort_gate::WitType;
use serde_json::{Map, Value};

use super::super::child::ChildOutput;
use super::super::{Sentence, quote, say};
use super::context::printed_json;

/// A program that prints facts, and their declared types.
#[derive(Clone, Debug)]
pub struct FactsProgram {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The type of each fact by name.
    pub types: BTreeMap<String, WitType>,
}

impl FactsProgram {
    /// Reads the printed facts, and returns them in the normal form of their types. For a fact that it does not know,
    /// the program prints `null` or nothing.
    pub(super) fn read(&self, output: &ChildOutput) -> Result<Value, Sentence> {
        let Some(Value::Object(found)) = printed_json(output)? else {
            return Err("the program printed no JSON object of facts, such as `{\"open-orders\": 3}`".into());
        };
        let mut facts = Map::new();
        for (name, value) in found.into_iter().filter(|(_, value)| !value.is_null()) {
            let Some(ty) = self.types.get(&name) else {
                return Err(say!("the program printed the fact {}, which `fact-types` does not declare", quote(name)));
            };
            let value = ty.normalise(&value).map_err(|error| say!("the fact {}: {}", quote(&name), quote(error)))?;
            facts.insert(name, value);
        }
        Ok(Value::Object(facts))
    }
}
