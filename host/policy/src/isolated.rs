//! Reads policies in a child process before the host reads them. Their text may come over HTTP, and Cedar's parser is
//! recursive: a text that is nested too deep overflows the stack, which ends the process.
//!
//! Candidates are also judged in such a child.
//!
//! The child has a smaller stack than the host's reading thread, and limits of memory and CPU time.
//! So the host can safely read policies that the child could read. Both use the same parser, so they
//! cannot read comments or strings differently.

use std::collections::BTreeMap;
use std::path::PathBuf;

use holdshort_gate::{Requirement, Reviewers, Time};
use serde::{Deserialize, Serialize};

use super::batch::{OwnedQuestion, judge_all};
use super::load::{PolicyProblem, Problems, Source};
use super::schema::Types;
use super::{CedarPolicy, Defaults, Judgement, People, Policy};
use holdshort_common::isolate::{Input, Isolate, Limits};

/// The size of the stack on which a child reads. In a debug build it suffices for a hundred nested
/// brackets.
const CHILD_STACK_BYTES: usize = super::cedar::STACK_BYTES / 2;

/// An error that may be in any of several files begins with the list of their names. This is the list's maximum length.
const NAMES_CHARS_MAX: usize = 200;

/// The size of the stack on which a child judges. The host's threads have a stack of the same size.
const JUDGING_STACK_BYTES: usize = 2 << 20;

/// Reads policies in a child, to try them before the host reads them.
#[derive(Clone, Debug)]
pub struct Reader(Option<(Isolate, Limits)>);

/// The input for reading policies.
#[derive(Serialize, Deserialize)]
struct ReadingInput {
    sources: Vec<Source>,
    types: Types,
    people: People,
}

impl ReadingInput {
    fn new(sources: &[Source], types: &Types, people: &People) -> Self {
        Self { sources: sources.to_vec(), types: types.clone(), people: people.clone() }
    }
}

impl Reader {
    /// Makes a reader that uses children under these limits.
    pub fn isolated(isolate: Isolate, limits: Limits) -> Self {
        Self(Some((isolate, limits)))
    }

    /// Makes a reader without children, for tests with their own policies.
    pub fn in_process() -> Self {
        Self(None)
    }

    /// Checks that policies can be read and are valid. If the child crashes, the error names only
    /// the `new` files, because the other files were read before.
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
        let failed = |what: String| Problems(vec![PolicyProblem { path: path.clone(), line: 0, what }]);
        let reading = serde_json::to_vec(&ReadingInput::new(sources, types, people))
            .map_err(|error| failed(error.to_string()))?;
        let answer = isolate
            .ask(&["policies".as_ref()], Input::Bytes(&reading), limits)
            .map_err(|fault| failed(fault.to_string()))?;
        let answer: Result<Result<(), Vec<PolicyProblem>>, _> = serde_json::from_slice(&answer);
        answer.map_err(|error| failed(error.to_string()))?.map_err(Problems)
    }
}

/// The input of a child that judges calls.
#[derive(Serialize, Deserialize)]
struct JudgingInput {
    reading: ReadingInput,
    /// The name of the policies' time zone.
    zone: String,
    /// The configured requirement for each time at which a call is judged.
    floor: Vec<(Time, Requirement)>,
    questions: Vec<OwnedQuestion>,
}

impl Reader {
    /// The verdicts on the questions. A child computes them. Its policies have been checked before.
    pub(super) fn judge(
        &self,
        sources: &[Source],
        policy: &CedarPolicy,
        types: &Types,
        questions: &[OwnedQuestion],
    ) -> Result<Vec<Judgement>, Problems> {
        let Some((isolate, limits)) = self.0.as_ref().filter(|_| !questions.is_empty()) else {
            return Ok(judge_all(policy, types, questions));
        };
        let failed = |what: &str| {
            let what = what.replacen("reading the file", "judging calls by these policies", 1);
            Problems(vec![PolicyProblem { path: "the candidate".into(), line: 0, what }])
        };
        let floor = questions.iter().map(|question| (question.now, policy.floor(question.now))).collect();
        let (zone, questions) = (policy.zone().name().to_owned(), questions.to_vec());
        let judging_input =
            JudgingInput { reading: ReadingInput::new(sources, types, policy.people()), zone, floor, questions };
        let judging_input = serde_json::to_vec(&judging_input).map_err(|error| failed(&error.to_string()))?;
        let answer = isolate.ask(&["judge".as_ref()], Input::Bytes(&judging_input), limits);
        let answer = answer.map_err(|fault| failed(&fault.to_string()))?;
        let answer: Result<Result<Vec<Judgement>, String>, _> = serde_json::from_slice(&answer);
        answer.map_err(|error| failed(&error.to_string()))?.map_err(|what| failed(&what))
    }
}

/// Runs in the child: reads the policies in this input, and judges its calls.
pub fn judged(judging_input: &[u8]) -> Result<Vec<Judgement>, String> {
    let JudgingInput { reading, zone, floor, questions } =
        serde_json::from_slice(judging_input).map_err(|error| error.to_string())?;
    let (types, floor) = (reading.types, floor.into_iter().collect::<BTreeMap<_, _>>());
    let base = Defaults::new(move |now| floor.get(&now).cloned().unwrap_or_else(nothing)).in_zone(zone.parse()?);
    let policy =
        CedarPolicy::load(&reading.sources, &types, reading.people, base).map_err(|error| error.to_string())?;
    let judging = std::thread::Builder::new().stack_size(JUDGING_STACK_BYTES);
    let judging = judging.spawn(move || judge_all(&policy, &types, &questions)).map_err(|error| error.to_string())?;
    judging.join().map_err(|_| "the judging thread panicked".into())
}

/// A requirement without demands.
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

/// Runs in the child: reads the policies in this input. Returns their errors, if there are any.
pub fn answer(reading: &[u8]) -> Result<(), Vec<PolicyProblem>> {
    let reading: ReadingInput = serde_json::from_slice(reading)
        .map_err(|error| vec![PolicyProblem { path: "".into(), line: 0, what: error.to_string() }])?;
    // Nothing is judged here, so the requirement does not matter.
    let base = Defaults::new(|_| nothing());
    let read = CedarPolicy::load_on(CHILD_STACK_BYTES, &reading.sources, &reading.types, reading.people, base);
    read.map(drop).map_err(|Problems(problems)| problems)
}
