//! Policies are read in a child before the host reads them. Their text may come over HTTP, and Cedar's parser recurses: a stack that overflows takes its process along.
//!
//! What a candidate says of calls is found out in such a child too.
//!
//! The child has a smaller stack than the host's reading thread, and limits of memory and CPU time, so what it gets through the host gets through as well.
//! There is no second reader of the text, which could see other comments or strings than Cedar does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use holdshort_gate::{Requirement, Reviewers, Time};
use serde::{Deserialize, Serialize};

use super::candidate::{Put, judge_all};
use super::load::{Problem, Problems, Source};
use super::schema::Types;
use super::{Base, CedarPolicy, Judgement, People, Policy};
use holdshort_common::isolate::{Input, Isolate, Limits};

/// The stack on which a child reads policies; in a debug build it is enough for a hundred brackets within each other.
const CHILD_STACK_BYTES: usize = super::cedar::STACK_BYTES / 2;

/// As much of the names of files as stands before what is wrong with one of them.
const NAMES_CHARS_MAX: usize = 200;

/// The stack on which a child judges: that of a thread of the host which does.
const JUDGING_STACK_BYTES: usize = 2 << 20;

/// Where policies are tried before they are read.
#[derive(Clone, Debug)]
pub struct Reader(Option<(Isolate, Limits)>);

/// All that reading policies depends on.
#[derive(Serialize, Deserialize)]
struct Order {
    sources: Vec<Source>,
    types: Types,
    people: People,
}

impl Order {
    fn new(sources: &[Source], types: &Types, people: &People) -> Self {
        Self { sources: sources.to_vec(), types: types.clone(), people: people.clone() }
    }
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
        let path = PathBuf::from(named.join(" or ").chars().take(NAMES_CHARS_MAX).collect::<String>());
        let failed = |what: String| Problems(vec![Problem { path: path.clone(), line: 0, what }]);
        let order =
            serde_json::to_vec(&Order::new(sources, types, people)).map_err(|error| failed(error.to_string()))?;
        let answer = isolate
            .ask(&["policies".as_ref()], Input::Bytes(&order), limits)
            .map_err(|fault| failed(fault.to_string()))?;
        let answer: Result<Result<(), Vec<Problem>>, _> = serde_json::from_slice(&answer);
        answer.map_err(|error| failed(error.to_string()))?.map_err(Problems)
    }
}

/// All that judging calls depends on.
#[derive(Serialize, Deserialize)]
struct Trial {
    order: Order,
    /// The zone whose clock policies read, by its name.
    zone: String,
    /// What the configuration asks of a call that is held at a time.
    floor: Vec<(Time, Requirement)>,
    puts: Vec<Put>,
}

impl Reader {
    /// What these policies, which have been read, say of calls.
    pub(super) fn judge(
        &self,
        sources: &[Source],
        policy: &CedarPolicy,
        types: &Types,
        puts: &[Put],
    ) -> Result<Vec<Judgement>, Problems> {
        let Some((isolate, limits)) = self.0.as_ref().filter(|_| !puts.is_empty()) else {
            return Ok(judge_all(policy, types, puts));
        };
        let failed = |what: &str| {
            let what = what.replacen("reading it", "judging calls by it", 1);
            Problems(vec![Problem { path: "the candidate".into(), line: 0, what }])
        };
        let floor = puts.iter().map(|put| (put.now, policy.floor(put.now))).collect();
        let (zone, puts) = (policy.zone().name().to_owned(), puts.to_vec());
        let trial = Trial { order: Order::new(sources, types, policy.people()), zone, floor, puts };
        let trial = serde_json::to_vec(&trial).map_err(|error| failed(&error.to_string()))?;
        let answer = isolate.ask(&["judge".as_ref()], Input::Bytes(&trial), limits);
        let answer = answer.map_err(|fault| failed(&fault.to_string()))?;
        let answer: Result<Result<Vec<Judgement>, String>, _> = serde_json::from_slice(&answer);
        answer.map_err(|error| failed(&error.to_string()))?.map_err(|what| failed(&what))
    }
}

/// What a child answers to a trial.
pub fn judged(trial: &[u8]) -> Result<Vec<Judgement>, String> {
    let Trial { order, zone, floor, puts } = serde_json::from_slice(trial).map_err(|error| error.to_string())?;
    let (types, floor) = (order.types, floor.into_iter().collect::<BTreeMap<_, _>>());
    let base = Base::new(move |now| floor.get(&now).cloned().unwrap_or_else(nothing)).in_zone(zone.parse()?);
    let policy = CedarPolicy::load(&order.sources, &types, order.people, base).map_err(|error| error.to_string())?;
    let judging = std::thread::Builder::new().stack_size(JUDGING_STACK_BYTES);
    let judging = judging.spawn(move || judge_all(&policy, &types, &puts)).map_err(|error| error.to_string())?;
    judging.join().map_err(|_| "the judging thread panicked".into())
}

/// No demands of the configuration.
fn nothing() -> Requirement {
    Requirement {
        stages: Vec::new(),
        four_eyes: false,
        rejections: 1,
        expires_at: None,
        escalations: Vec::new(),
        grantors: Reviewers::Any,
        sign_in_within_ms: None,
        start_within_ms: 0,
    }
}

/// What a child answers to an order: that the policies are sound, or all that is wrong with them.
pub fn answer(order: &[u8]) -> Result<(), Vec<Problem>> {
    let order: Order = serde_json::from_slice(order)
        .map_err(|error| vec![Problem { path: "".into(), line: 0, what: error.to_string() }])?;
    // Nobody is asked anything here, so what would be demanded of a call does not matter.
    let base = Base::new(|_| nothing());
    let read = CedarPolicy::load_on(CHILD_STACK_BYTES, &order.sources, &order.types, order.people, base);
    read.map(drop).map_err(|Problems(problems)| problems)
}
