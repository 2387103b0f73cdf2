//! A script that was checked: every function is one of the agent's, and every value has its type.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use holdshort_gate::{Capability, Consequence, EffectClass, FunctionType, MODEL_UNCERTAINTY, PolicyVerdict, WitType};
use serde_json::Value;
use toml::Spanned;

use super::file::{self, Decision, End, File};
use super::outcomes::Outcome;
use super::values;
use crate::agent::Manifest;
use crate::cli::exit::{Exit, Failure};
use crate::cli::inspect::By;
use crate::config::{ConfigProblem, nearest};
use crate::connectors::Previewed;
use crate::connectors::descriptor::Effect;
use crate::runs::{BoundOffer, Catalogue};
use holdshort_words::say;

/// A checked script.
pub(super) struct Steps {
    /// The calls in their order, and behind them those that may come at any time.
    pub(super) all: Vec<Step>,
    /// The number of calls in their order.
    pub(super) ordered: usize,
    pub(super) end: End,
}

/// A checked step.
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) capability: Capability,
    pub(super) ty: FunctionType,
    pub(super) arguments: Value,
    pub(super) contains: Value,
    pub(super) absent: Vec<String>,
    pub(super) verdict: Option<PolicyVerdict>,
    pub(super) because: Option<String>,
    pub(super) facts: Value,
    pub(super) consequence: Consequence,
    pub(super) decisions: Vec<Decision>,
    pub(super) outcome: Option<Outcome>,
    pub(super) times: Option<u64>,
}

/// How a function is served.
pub(super) enum Kind {
    Routine,
    Question(Effect),
    Effect(Effect),
}

/// The text of a script, for the places of errors.
pub(super) struct Source<'a> {
    text: &'a str,
    path: &'a Path,
    manifest: &'a Manifest,
    catalogue: &'a Catalogue<(), By>,
}

/// Reads a script, without the checks that need the agent.
pub(super) fn read(path: &Path) -> Result<(File, String), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot read the script `{}`: {error}", path.display()))
            .hint("`host/TESTING.md` shows how to write a script; `holdshort runs record RUN` prints one")
    })?;
    let file = toml::from_str(&text).map_err(|error| usage(ConfigProblem::of_toml(&error, &text, path)))?;
    Ok((file, text))
}

fn usage(problem: ConfigProblem) -> Failure {
    Failure { exit: Exit::Usage, message: problem.to_string(), hint: problem.hint }
}

impl Steps {
    /// Checks a script for an agent with these imports.
    pub(super) fn check(
        (file, text): (File, &str),
        path: &Path,
        manifest: &Manifest,
        catalogue: &Catalogue<(), By>,
    ) -> Result<Self, Failure> {
        let source = Source { text, path, manifest, catalogue };
        let ordered = file.call.len();
        let mut all = Vec::new();
        for (index, step) in file.call.into_iter().chain(file.whenever).enumerate() {
            if index < ordered && step.times.is_some() {
                return Err(source.wrong(
                    step.function.span(),
                    "`times` is only for `[[whenever]]`",
                    "write the call once for each time",
                ));
            }
            all.push(source.step(step)?);
        }
        let ends = [
            file.end.ok.is_some() || file.end.ok_contains.is_some(),
            file.end.err.is_some() || file.end.err_contains.is_some(),
            file.end.trapped.is_some(),
        ];
        if ends.into_iter().filter(|end| *end).count() > 1 {
            let at = text.find("[end]").unwrap_or_default();
            return Err(source.wrong(
                at..at,
                "a run ends in one way: `ok`, `err` or `trapped`",
                "leave out the others",
            ));
        }
        if all.is_empty() && ends == [false; 3] && file.end.calls.is_none() {
            return Err(source.wrong(
                0..0,
                "the script has no steps",
                "write a `[[call]]` for each call of the agent, or `[end]` with `calls = 0`",
            ));
        }
        Ok(Self { all, ordered, end: file.end })
    }
}

impl Source<'_> {
    pub(super) fn wrong(&self, span: Range<usize>, what: impl Display, hint: &str) -> Failure {
        usage(ConfigProblem::at(self.text, self.path, span.start, what.to_string(), Some(hint.into())))
    }

    fn step(&self, step: file::Step) -> Result<Step, Failure> {
        let (capability, ty) = self.function(&step.function)?;
        let kind = self.kind(&step.function, &capability, &ty)?;
        let arguments = match &step.arguments {
            Some(written) => self.typed(written, |value| {
                values::partial_arguments(&ty, &values::table(value)?).map_err(|wrong| wrong.to_string())
            })?,
            None => Value::Null,
        };
        let contains = match &step.contains {
            Some(written) => self.typed(written, values::table)?,
            None => Value::Null,
        };
        self.check_decisions(&step, &kind)?;
        let outcome = self.outcome(&step, &kind, &ty)?;
        let facts = match (&step.facts, &kind) {
            (Some(written), Kind::Effect(effect) | Kind::Question(effect)) => {
                self.typed(written, |value| declared(effect, values::table(value)?))?
            }
            _ => Value::Null,
        };
        let before = self.text.get(..step.function.span().start).unwrap_or_default();
        for place in &step.absent {
            values::place(&ty, place.get_ref()).map_err(|why| {
                self.wrong(place.span(), why, "name an argument, or a member of one, such as `message.in-reply-to`")
            })?;
        }
        let decisions = step.decide.into_iter().map(|decision| Decision {
            edit: decision.edit.map(|edit| values::table(&edit).unwrap_or(edit)),
            ..decision
        });
        Ok(Step {
            line: before.matches('\n').count() + 1,
            capability,
            ty,
            arguments,
            contains,
            absent: step.absent.into_iter().map(Spanned::into_inner).collect(),
            verdict: step.verdict.map(Spanned::into_inner),
            because: step.because,
            facts,
            consequence: step.consequence.unwrap_or_default(),
            decisions: decisions.collect(),
            outcome,
            times: step.times,
        })
    }

    /// Decisions are for consequential calls only, and each is one decision.
    fn check_decisions(&self, step: &file::Step, kind: &Kind) -> Result<(), Failure> {
        let wrong = |what: &str, hint: &str| Err(self.wrong(step.function.span(), what, hint));
        let told = step.because.is_some() || step.consequence.is_some();
        let judged = !step.decide.is_empty() || step.verdict.is_some() || step.facts.is_some() || told;
        if matches!(kind, Kind::Routine) && (judged || step.in_doubt.is_some() || step.impossible.is_some()) {
            return wrong(
                "this function is routine: it is answered at once, and nobody decides on it",
                "leave out `decide`, `verdict`, `because`, `facts`, `consequence`, `in-doubt` and `impossible`",
            );
        }
        for Decision { approve, reject, answer, edit, .. } in &step.decide {
            let said = [approve.is_some(), reject.is_some(), answer.is_some(), edit.is_some()];
            if said.into_iter().filter(|one| *one).count() != 1 || *approve == Some(false) {
                return wrong(
                    "a decision is one of `approve = true`, `reject`, `answer` and `edit`",
                    "write `decide = \"approve\"` or `decide = { reject = \"Shorter.\" }`",
                );
            }
            if reject.is_none() && answer.is_some() != matches!(kind, Kind::Question(_)) {
                return wrong(
                    "a question is answered, and every other call is approved",
                    "write `decide = { answer = \"yes\" }` for a question only",
                );
            }
        }
        Ok(())
    }

    /// The agent's import with this name.
    fn function(&self, name: &Spanned<String>) -> Result<(Capability, FunctionType), Failure> {
        let asked = name.get_ref();
        let short = |capability: &Capability| {
            let (interface, _) = capability.interface().split_once('@').unwrap_or((capability.interface(), ""));
            let interface = interface.rsplit('/').next().unwrap_or_default();
            if interface.is_empty() {
                capability.function().to_owned()
            } else {
                format!("{interface}#{}", capability.function())
            }
        };
        let imports = &self.manifest.imports;
        let found: Vec<_> = imports
            .iter()
            .filter(|import| import.capability.to_string() == *asked || short(&import.capability) == *asked)
            .collect();
        let names: Vec<String> = imports.iter().map(|import| short(&import.capability)).collect();
        match found[..] {
            [import] => Ok((import.capability.clone(), import.ty.clone())),
            [] => {
                let hint = match nearest(asked, names.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if names.is_empty() => "the agent imports no function".into(),
                    None => format!("the agent imports {}", names.join(", ")),
                };
                Err(self.wrong(name.span(), format!("the agent imports no function `{asked}`"), &hint))
            }
            _ => Err(self.wrong(
                name.span(),
                format!("the agent imports several functions `{asked}`"),
                "write the full name, as `holdshort inspect` prints it",
            )),
        }
    }

    fn kind(&self, name: &Spanned<String>, capability: &Capability, ty: &FunctionType) -> Result<Kind, Failure> {
        let import = crate::agent::Import { capability: capability.clone(), ty: ty.clone() };
        match self.catalogue.classify(&import) {
            Ok(BoundOffer::Routine(())) => Ok(Kind::Routine),
            Ok(BoundOffer::Consequential((_, effect), _) | BoundOffer::ByCall((), (_, effect), _)) => {
                Ok(if effect.class == EffectClass::Question { Kind::Question(effect) } else { Kind::Effect(effect) })
            }
            Ok(BoundOffer::Log) => Err(self.wrong(name.span(), "a line for the log is no call", "remove the step")),
            Err(error) => Err(self.wrong(name.span(), error, "add the section to the configuration")),
        }
    }

    /// A written value, converted. An error gets its place.
    pub(super) fn typed(
        &self,
        written: &Spanned<Value>,
        convert: impl FnOnce(&Value) -> Result<Value, String>,
    ) -> Result<Value, Failure> {
        convert(written.get_ref())
            .map_err(|why| self.wrong(written.span(), why, "the JSON form of each type is in `wit/README.md`"))
    }
}

/// The type of a successful result.
pub(super) fn ok_type(ty: &FunctionType) -> Option<&WitType> {
    match &ty.result {
        Some(WitType::Result { ok, .. }) => ok.as_deref(),
        _ => None,
    }
}

/// Facts that the connector declares.
fn declared(effect: &Effect, facts: Value) -> Result<Value, String> {
    if facts.get(MODEL_UNCERTAINTY).is_some() {
        return Err(format!(
            "the host itself measures `{MODEL_UNCERTAINTY}`: give the answer of the model its `uncertainty`"
        ));
    }
    let previewed = Previewed {
        summary: say!("scripted"),
        exhibits: Vec::new(),
        preconditions: Value::Null,
        facts,
        consequence: Consequence::default(),
    };
    match &effect.undeclared(&previewed)[..] {
        [] => Ok(previewed.facts),
        undeclared => Err(format!("the connector `{}` does not declare {}", effect.connector, undeclared.join(", "))),
    }
}
