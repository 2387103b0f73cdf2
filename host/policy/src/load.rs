//! Loads policy files. A policy that may not mean what its author expects is refused here; the error
//! names the file and the line.
//!
//! **Invariant:** every policy names its actions. `permit (principal, action, resource)` would
//! clear every call and let everybody decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, Policy, PolicyId, PolicySet, Schema, ValidationMode, ValidationWarning,
    Validator,
};
use holdshort_gate::Digest;
use miette::Diagnostic;
use serde::{Deserialize, Serialize};

use super::People;
use super::annotations::{ANY, MATERIAL, ReviewDemand, material};
use super::depth::too_deep;
use super::hints::decimal_hint;
use super::partition::can_be_about;

/// A policy file that was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

/// An error or a warning about policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyProblem {
    pub path: PathBuf,
    /// The line, counted from 1; 0 for the whole file.
    pub line: usize,
    /// The error, and what to write instead.
    pub what: String,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All errors in the policies.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(PolicyProblem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<PolicyProblem>);

/// The location and text of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLocation {
    pub path: PathBuf,
    /// The first line, counted from 1.
    pub line: usize,
    /// The policy's text with its annotations.
    pub text: String,
    /// The actions: `call`, `review`, `decide`, `grant`.
    pub actions: Vec<&'static str>,
    /// The reason in the operator's words, from the annotation `@why`.
    pub why: Option<String>,
}

/// The maximum number of errors that are reported.
const PROBLEMS_MAX: usize = 50;
/// The maximum length of an error. An error may quote a policy, and any reviewer may send policies of any length.
const PROBLEM_CHARS_MAX: usize = 1_000;

/// The policies by action, with the demands of the `review` policies.
pub(super) struct Loaded {
    pub(super) call: PolicySet,
    pub(super) review: PolicySet,
    pub(super) decide: PolicySet,
    pub(super) grant: PolicySet,
    pub(super) demands: BTreeMap<PolicyId, ReviewDemand>,
    /// The material facts of each policy.
    pub(super) material: BTreeMap<String, Vec<String>>,
    /// All policies by id, in the order of the files.
    pub(super) locations: Vec<(String, PolicyLocation)>,
    /// Whether a policy uses running totals.
    pub(super) uses_totals: bool,
    /// Whether a policy uses what language models have cost.
    pub(super) model_totals: Vec<&'static str>,
    /// Whether a policy uses the time.
    pub(super) depends_on_time: bool,
    /// The expensive attributes of the context, and whether a policy uses them.
    pub(super) reads: [(&'static str, bool); 4],
    /// The digest of the files in order.
    pub(super) digest: Digest,
    /// Probable mistakes.
    pub(super) warnings: Vec<PolicyProblem>,
}

/// For each type of call, the names under which policies find its facts.
pub(super) type Facts = BTreeMap<EntityTypeName, BTreeSet<String>>;

/// The actions of policies.
pub(super) const ACTIONS: [&str; 4] = ["call", "review", "decide", "grant"];

impl Loaded {
    /// The names of the policies that judge calls.
    pub(super) fn names(&self) -> Vec<String> {
        let asked = |(_, place): &&(String, PolicyLocation)| {
            place.actions.iter().any(|action| ["call", "review"].contains(action))
        };
        self.locations.iter().filter(asked).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn new(sources: &[Source], schema: &Schema, people: &People, facts: &Facts) -> Result<Self, Problems> {
        let mut loaded = Self {
            call: PolicySet::new(),
            review: PolicySet::new(),
            decide: PolicySet::new(),
            grant: PolicySet::new(),
            demands: BTreeMap::new(),
            material: BTreeMap::new(),
            locations: Vec::new(),
            uses_totals: false,
            model_totals: Vec::new(),
            depends_on_time: false,
            reads: ["now", "local", "totals", "confidence"].map(|name| (name, false)),
            digest: digest(sources),
            warnings: Vec::new(),
        };
        let validator = Validator::new(schema.clone());
        let (mut problems, mut seen) = (Vec::new(), BTreeMap::new());
        for source in sources {
            let Some(set) = loaded.parse(source, &validator, &mut problems) else { continue };
            let mut policies: Vec<&Policy> = set.policies().collect();
            // Cedar names the policies of a file `policy0`, `policy1` and so on, so the number gives their order in the
            // file.
            policies.sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<u32>().ok());
            let mut read = 0;
            for policy in policies {
                let (line, text) = next(source, policy, &mut read);
                let name = match policy.annotation("id") {
                    Some(id) if !id.trim().is_empty() => id.trim().to_owned(),
                    _ => format!("{}:{line}", file_name(&source.path)),
                };
                let problem = |what| PolicyProblem { path: source.path.clone(), line, what };
                if let Some(other) = seen.insert(name.clone(), line) {
                    problems.push(problem(format!(
                        "two policies have the name `{name}`; the other policy is on line {other}; give each policy a different `@id`"
                    )));
                    continue;
                }
                match loaded.add(policy, &name, people, facts) {
                    Err(what) if name.ends_with(&format!(":{line}")) => problems.push(problem(what)),
                    Err(what) => problems.push(problem(format!("`{name}`: {what}"))),
                    Ok(actions) => {
                        let why = policy.annotation("why").map(str::to_owned);
                        let place = PolicyLocation { path: source.path.clone(), line, text, actions, why };
                        loaded.locations.push((name, place));
                    }
                }
            }
        }
        if loaded.decide.is_empty() && problems.is_empty() {
            let what = "no policy permits `decide`, so nobody may decide, and every call that would be held is refused; \
                        write `permit (principal, action == Action::\"decide\", resource);`";
            let path = sources.first().map(|source| source.path.clone()).unwrap_or_default();
            loaded.warnings.push(PolicyProblem { path, line: 0, what: what.into() });
        }
        problems.truncate(PROBLEMS_MAX);
        if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
    }

    /// Parses and validates one file.
    fn parse(
        &mut self,
        source: &Source,
        validator: &Validator,
        problems: &mut Vec<PolicyProblem>,
    ) -> Option<PolicySet> {
        let set = match PolicySet::from_str(&source.text) {
            Ok(set) => set,
            Err(errors) => {
                problems.extend(errors.iter().map(|error| located(source, error)));
                return None;
            }
        };
        if set.num_of_templates() > 0 {
            let what = "templates (`?principal`, `?resource`) are not supported: write each policy in full".to_owned();
            problems.push(PolicyProblem { path: source.path.clone(), line: 0, what });
            return None;
        }
        let deep: Vec<String> = set.policies().filter_map(too_deep).collect();
        if !deep.is_empty() {
            problems.extend(deep.into_iter().map(|what| PolicyProblem { path: source.path.clone(), line: 0, what }));
            return None;
        }
        let result = validator.validate(&set, ValidationMode::Strict);
        problems.extend(result.validation_errors().map(|error| located(source, error)));
        for warning in result.validation_warnings() {
            let never = matches!(
                warning,
                ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
            );
            // A `forbid` that can never apply forbids nothing, and nobody would notice this. So it
            // is an error, not a warning.
            if never { &mut *problems } else { &mut self.warnings }.push(located(source, warning));
        }
        result.validation_passed().then_some(set)
    }

    /// Adds a policy under its actions, and records its location.
    fn add(
        &mut self,
        policy: &Policy,
        name: &str,
        people: &People,
        facts: &Facts,
    ) -> Result<Vec<&'static str>, String> {
        let id = PolicyId::new(name);
        let named = match policy.action_constraint() {
            ActionConstraint::Any => {
                return Err(
                    "the policy applies to every action, also to `decide`; name one action: `action == Action::\"call\"`"
                        .into(),
                );
            }
            ActionConstraint::Eq(action) => vec![action],
            ActionConstraint::In(actions) => actions,
        };
        names_nobody_unknown(policy, people)?;
        let about = |action: &&str| named.iter().any(|named| named.id().unescaped() == *action);
        let actions: Vec<&'static str> = ACTIONS.into_iter().filter(about).collect();
        let about: Vec<_> = facts.iter().filter(|(ty, _)| can_be_about(policy, ty)).map(|(_, facts)| facts).collect();
        self.material.insert(name.to_owned(), material(policy, &about)?);
        for action in &actions {
            if *action == "review" {
                if policy.effect() == Effect::Forbid {
                    return Err(
                        "a `forbid` on `review` has no effect; to refuse calls, `forbid` the action `call`".into()
                    );
                }
                self.demands.insert(id.clone(), ReviewDemand::read(policy, people)?);
            } else if let Some((other, _)) = policy.annotations().find(|(name, _)| {
                let clears = *action == "call" && policy.effect() == Effect::Permit;
                !(ANY.contains(name) || clears && *name == MATERIAL)
            }) {
                return Err(format!("`@{other}` is allowed only in a policy on `review`"));
            }
            let set = match *action {
                "call" => &mut self.call,
                "review" => &mut self.review,
                "grant" => &mut self.grant,
                _ => &mut self.decide,
            };
            // The text of the file can spell a name in several ways, such as with escapes. Cedar's
            // JSON form has only one spelling.
            let text = policy.to_json().map_err(|error| error.to_string())?.to_string();
            self.uses_totals |= text.contains("totals");
            self.model_totals.extend(["model_cost", "model_tokens"].into_iter().filter(|name| text.contains(name)));
            for (name, is) in &mut self.reads {
                *is |= text.contains(&format!("\"{name}\""));
            }
            self.depends_on_time |= self.reads.iter().any(|(name, is)| *is && ["now", "local"].contains(name));
            set.add(policy.new_id(id.clone())).map_err(|error| error.to_string())?;
        }
        Ok(actions)
    }
}

/// Checks that all reviewers and groups in a policy exist. A policy about an unknown name would
/// have no effect, and nobody would notice this.
fn names_nobody_unknown(policy: &Policy, people: &People) -> Result<(), String> {
    for literal in policy.entity_literals() {
        let (ty, id) = (literal.type_name().to_string(), literal.id().unescaped());
        let known = match ty.as_str() {
            "Group" => people.groups().contains_key(id),
            "Person" => people.names().iter().any(|name| name.as_str() == id),
            _ => true,
        };
        if !known {
            return Err(people.nobody(id));
        }
    }
    Ok(())
}

/// The digest of the files as written, so that a verdict identifies them.
fn digest(sources: &[Source]) -> Digest {
    let each: Vec<u8> = sources.iter().flat_map(|source| *Digest::of(source.text.as_bytes()).bytes()).collect();
    Digest::tagged("holdshort/policy", &each)
}

/// A file's name without its folder.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A Cedar error with its line and advice.
fn located(source: &Source, error: &dyn Diagnostic) -> PolicyProblem {
    let offset = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let line = offset.map_or(0, |offset| source.text.get(..offset).unwrap_or_default().matches('\n').count() + 1);
    let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
    // Cedar's message can begin with an id that Cedar gave the policy. No file contains this id, so it
    // is cut off.
    let what = error.to_string();
    let what = what.split_once("`, ").filter(|_| what.starts_with("for policy `")).map_or(&*what, |(_, rest)| rest);
    let mut what = format!("{what}{help}");
    what += &offset.and_then(|offset| decimal_hint(&source.text, offset, &what)).unwrap_or_default();
    if let Some((at, _)) = what.char_indices().nth(PROBLEM_CHARS_MAX) {
        what.truncate(at);
        what.push('…');
    }
    PolicyProblem { path: source.path.clone(), line, what }
}

/// The line on which the next policy begins with its annotations, counted from 1, and the policy's text. `read` is the
/// byte offset of the previous policy's end, and is moved to the end of this policy.
fn next(source: &Source, policy: &Policy, read: &mut usize) -> (usize, String) {
    // Cedar prints a parsed policy exactly as it is in the file, with its annotations.
    let text = policy.to_string().trim().to_owned();
    let at = source.text.get(*read..).and_then(|rest| rest.find(&text)).map_or(*read, |at| at + *read);
    *read = at + text.len();
    (source.text.get(..at).unwrap_or_default().matches('\n').count() + 1, text)
}
