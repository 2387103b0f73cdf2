//! From policy files to what calls are judged by. Whatever could make a policy mean something else than it seems to is refused here, with file and line.
//!
//! **Invariant:** A policy names its actions. `permit (principal, action, resource)` would clear everything and admit everybody to decide.

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
use super::annotations::{ANY, Asks, MATERIAL, material};
use super::apart::can_be_about;
use super::depth::too_deep;
use super::hints::decimal_hint;

/// A file of policies, read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Something that is wrong with the policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// In which file.
    pub path: PathBuf,
    /// On which line, from 1; 0 if it is about all of it.
    pub line: usize,
    /// What is wrong, and what to write.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All that is wrong with the policies.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Where a policy stands, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which file.
    pub path: PathBuf,
    /// On which line it begins, from 1.
    pub line: usize,
    /// The policy as it is written, annotations included.
    pub text: String,
    /// What it is about: `call`, `review`, `decide`, `grant`.
    pub actions: Vec<&'static str>,
    /// Why it is there, in the operator's words.
    pub why: Option<String>,
}

/// How many problems are told, and how long the words about one are: they may quote the policy, which may come from anybody with a token.
const PROBLEMS_MAX: usize = 50;
const PROBLEM_CHARS_MAX: usize = 1_000;

/// The policies for each question, with what the `review` ones ask for.
pub(super) struct Loaded {
    pub(super) call: PolicySet,
    pub(super) review: PolicySet,
    pub(super) decide: PolicySet,
    pub(super) grant: PolicySet,
    pub(super) asks: BTreeMap<PolicyId, Asks>,
    /// The facts that each marks as material.
    pub(super) material: BTreeMap<String, Vec<String>>,
    /// All policies by name, in the order of the files.
    pub(super) places: Vec<(String, Place)>,
    /// Whether any of them speaks of running totals.
    pub(super) uses_totals: bool,
    /// Whether any of them speaks of the time.
    pub(super) goes_by_time: bool,
    /// Attributes of the context that cost something to make, and whether any policy speaks of them.
    pub(super) speaks_of: [(&'static str, bool); 4],
    /// The digest of the files' texts, in order.
    pub(super) digest: Digest,
    /// What is likely to be a mistake, and is none for certain.
    pub(super) warnings: Vec<Problem>,
}

/// What policies call the facts of each type of call.
pub(super) type Facts = BTreeMap<EntityTypeName, BTreeSet<String>>;

/// The actions a policy can be about.
pub(super) const ACTIONS: [&str; 4] = ["call", "review", "decide", "grant"];

impl Loaded {
    pub(super) fn new(sources: &[Source], schema: &Schema, people: &People, facts: &Facts) -> Result<Self, Problems> {
        let mut loaded = Self {
            call: PolicySet::new(),
            review: PolicySet::new(),
            decide: PolicySet::new(),
            grant: PolicySet::new(),
            asks: BTreeMap::new(),
            material: BTreeMap::new(),
            places: Vec::new(),
            uses_totals: false,
            goes_by_time: false,
            speaks_of: ["now", "local", "totals", "confidence"].map(|name| (name, false)),
            digest: digest(sources),
            warnings: Vec::new(),
        };
        let validator = Validator::new(schema.clone());
        let (mut problems, mut seen) = (Vec::new(), BTreeMap::new());
        for source in sources {
            let Some(set) = loaded.parse(source, &validator, &mut problems) else { continue };
            let mut policies: Vec<&Policy> = set.policies().collect();
            // Cedar numbers them in their order.
            policies.sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<u32>().ok());
            let mut read = 0;
            for policy in policies {
                let (line, text) = next(source, policy, &mut read);
                let name = match policy.annotation("id") {
                    Some(id) if !id.trim().is_empty() => id.trim().to_owned(),
                    _ => format!("{}:{line}", file_name(&source.path)),
                };
                let problem = |what| Problem { path: source.path.clone(), line, what };
                if let Some(other) = seen.insert(name.clone(), line) {
                    problems.push(problem(format!("two policies are called `{name}`; the other is on line {other}")));
                    continue;
                }
                match loaded.add(policy, &name, people, facts) {
                    Err(what) if name.ends_with(&format!(":{line}")) => problems.push(problem(what)),
                    Err(what) => problems.push(problem(format!("`{name}`: {what}"))),
                    Ok(actions) => {
                        let why = policy.annotation("why").map(str::to_owned);
                        let place = Place { path: source.path.clone(), line, text, actions, why };
                        loaded.places.push((name, place));
                    }
                }
            }
        }
        if loaded.decide.is_empty() && problems.is_empty() {
            let what = "no policy permits `decide`, so nobody may decide, and every call that would be held is refused; \
                        write `permit (principal, action == Action::\"decide\", resource);`";
            let path = sources.first().map(|source| source.path.clone()).unwrap_or_default();
            loaded.warnings.push(Problem { path, line: 0, what: what.into() });
        }
        problems.truncate(PROBLEMS_MAX);
        if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
    }

    /// Parses and validates one file.
    fn parse(&mut self, source: &Source, validator: &Validator, problems: &mut Vec<Problem>) -> Option<PolicySet> {
        let set = match PolicySet::from_str(&source.text) {
            Ok(set) => set,
            Err(errors) => {
                problems.extend(errors.iter().map(|error| located(source, error)));
                return None;
            }
        };
        if set.num_of_templates() > 0 {
            let what = "templates (`?principal`, `?resource`) are nothing here: nobody would fill them in".to_owned();
            problems.push(Problem { path: source.path.clone(), line: 0, what });
            return None;
        }
        let deep: Vec<String> = set.policies().filter_map(too_deep).collect();
        if !deep.is_empty() {
            problems.extend(deep.into_iter().map(|what| Problem { path: source.path.clone(), line: 0, what }));
            return None;
        }
        let result = validator.validate(&set, ValidationMode::Strict);
        problems.extend(result.validation_errors().map(|error| located(source, error)));
        for warning in result.validation_warnings() {
            let never = matches!(
                warning,
                ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
            );
            // A `forbid` that can never apply would forbid nothing, and nobody would notice.
            if never { &mut *problems } else { &mut self.warnings }.push(located(source, warning));
        }
        result.validation_passed().then_some(set)
    }

    /// Puts a policy where it is asked, and says where that is.
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
                    "it is about every action, deciding included; name the action: `action == Action::\"call\"`".into(),
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
                        "a `forbid` on `review` would say nothing; to refuse calls, `forbid` the action `call`".into(),
                    );
                }
                self.asks.insert(id.clone(), Asks::read(policy, people)?);
            } else if let Some((other, _)) = policy.annotations().find(|(name, _)| {
                let clears = *action == "call" && policy.effect() == Effect::Permit;
                !(ANY.contains(name) || clears && *name == MATERIAL)
            }) {
                return Err(format!("`@{other}` says something of reviewers, and belongs to a policy on `review`"));
            }
            let set = match *action {
                "call" => &mut self.call,
                "review" => &mut self.review,
                "grant" => &mut self.grant,
                _ => &mut self.decide,
            };
            // In this form every name stands as it is, however it is spelt in the file.
            let text = policy.to_json().map_err(|error| error.to_string())?.to_string();
            self.uses_totals |= text.contains("totals");
            for (name, is) in &mut self.speaks_of {
                *is |= text.contains(&format!("\"{name}\""));
            }
            self.goes_by_time |= self.speaks_of.iter().any(|(name, is)| *is && ["now", "local"].contains(name));
            set.add(policy.new_id(id.clone())).map_err(|error| error.to_string())?;
        }
        Ok(actions)
    }
}

/// Whether all people and groups that a policy names are there: of nobody it would say nothing, and nobody would notice.
fn names_nobody_unknown(policy: &Policy, people: &People) -> Result<(), String> {
    for literal in policy.entity_literals() {
        let (ty, id) = (literal.type_name().to_string(), literal.id().unescaped());
        let known = match ty.as_str() {
            "Group" => people.groups.contains_key(id),
            "Person" => people.names().iter().any(|name| name == id),
            _ => true,
        };
        if !known {
            return Err(people.nobody(id));
        }
    }
    Ok(())
}

/// The files as they are, so that a verdict tells which ones it is of.
fn digest(sources: &[Source]) -> Digest {
    let each: Vec<u8> = sources.iter().flat_map(|source| *Digest::of(source.text.as_bytes()).bytes()).collect();
    Digest::tagged("holdshort/policy", &each)
}

/// A file without its folder.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// An error of Cedar's with the line that it points at, and its advice.
fn located(source: &Source, error: &dyn Diagnostic) -> Problem {
    let offset = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let line = offset.map_or(0, |offset| source.text.get(..offset).unwrap_or_default().matches('\n').count() + 1);
    let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
    // Cedar names a policy by a number of its own, which stands in no file.
    let what = error.to_string();
    let what = what.split_once("`, ").filter(|_| what.starts_with("for policy `")).map_or(&*what, |(_, rest)| rest);
    let mut what = format!("{what}{help}");
    what += &offset.and_then(|offset| decimal_hint(&source.text, offset, &what)).unwrap_or_default();
    if let Some((at, _)) = what.char_indices().nth(PROBLEM_CHARS_MAX) {
        what.truncate(at);
        what.push('…');
    }
    Problem { path: source.path.clone(), line, what }
}

/// The line on which a policy begins, be it with an annotation, and its text. `read` is how far into the file the policies before it go.
fn next(source: &Source, policy: &Policy, read: &mut usize) -> (usize, String) {
    // A policy keeps its own text, with the annotations in front.
    let text = policy.to_string().trim().to_owned();
    let at = source.text.get(*read..).and_then(|rest| rest.find(&text)).map_or(*read, |at| at + *read);
    *read = at + text.len();
    (source.text.get(..at).unwrap_or_default().matches('\n').count() + 1, text)
}
