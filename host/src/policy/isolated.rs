//! Policies are read in a child before the host reads them. Their text may come over HTTP, and Cedar's parser recurses: a stack that overflows takes its process along.
//!
//! The child has a smaller stack than the host's reading thread, and limits of memory and CPU time, so what it gets through the host gets through as well.
//! There is no second reader of the text, which could see other comments or strings than Cedar does.

use std::path::PathBuf;

use holdshort_gate::{Capability, FunctionType, Requirement, Reviewers};
use holdshort_words::beginning;
use serde::{Deserialize, Serialize};

use super::load::{Problem, Problems, Source};
use super::schema::Types;
use super::{Base, CedarPolicy, People};
use crate::isolate::{Input, Isolate, Limits};

/// The stack on which a child reads policies; in a debug build it is enough for a hundred brackets within each other.
const CHILD_STACK_BYTES: usize = super::cedar::STACK_BYTES / 2;

/// As much of the names of files as stands before what is wrong with one of them.
const NAMES_CHARS_MAX: usize = 200;

/// Where policies are tried before they are read.
#[derive(Clone, Debug)]
pub struct Reader(Option<(Isolate, Limits)>);

/// All that reading policies depends on.
#[derive(Serialize, Deserialize)]
struct Order {
    sources: Vec<Source>,
    types: Vec<(Capability, FunctionType)>,
    people: People,
}

impl Reader {
    /// In a child with these limits.
    pub fn isolated(isolate: Isolate, limits: Limits) -> Self {
        Self(Some((isolate, limits)))
    }

    /// Nowhere: for tests, whose policies are their own.
    pub fn in_process() -> Self {
        Self(None)
    }

    /// Whether these policies can be read and are sound. What ends the child is in one of `new`: the others have been read before.
    pub(super) fn check(
        &self,
        sources: &[Source],
        new: &[Source],
        types: &Types,
        people: &People,
    ) -> Result<(), Problems> {
        let Some((isolate, limits)) = &self.0 else { return Ok(()) };
        let named: Vec<String> = new.iter().map(|source| source.path.display().to_string()).collect();
        let path = PathBuf::from(beginning(&named.join(" or "), NAMES_CHARS_MAX));
        let failed = |what: String| Problems(vec![Problem { path: path.clone(), line: 0, what }]);
        let types = types.iter().map(|(capability, ty)| (capability.clone(), ty.clone())).collect();
        let order = Order { sources: sources.to_vec(), types, people: people.clone() };
        let order = serde_json::to_vec(&order).map_err(|error| failed(error.to_string()))?;
        let answer = isolate
            .ask(&["policies".as_ref()], Input::Bytes(&order), limits)
            .map_err(|fault| failed(fault.to_string()))?;
        let answer: Result<Result<(), Vec<Problem>>, _> = serde_json::from_slice(&answer);
        answer.map_err(|error| failed(error.to_string()))?.map_err(Problems)
    }
}

/// What a child answers to an order: that the policies are sound, or all that is wrong with them.
pub fn answer(order: &[u8]) -> Result<(), Vec<Problem>> {
    let order: Order = serde_json::from_slice(order)
        .map_err(|error| vec![Problem { path: "".into(), line: 0, what: error.to_string() }])?;
    let types = order.types.into_iter().collect();
    // Nobody is asked anything here, so what would be demanded of a call does not matter.
    let nothing = Base::new(|_| Requirement {
        stages: Vec::new(),
        four_eyes: false,
        rejections: 1,
        expires_at: None,
        escalations: Vec::new(),
        grantors: Reviewers::Any,
        sign_in_within_ms: None,
        start_within_ms: 0,
    });
    let read = CedarPolicy::load_on(CHILD_STACK_BYTES, &order.sources, &types, order.people, nothing);
    read.map(drop).map_err(|Problems(problems)| problems)
}
