//! What the system outside answers to a call: read from a step, with the type of the function.

use holdshort_gate::{FunctionType, PolicyVerdict, WitType};
use serde_json::{Value, json};
use toml::Spanned;

use super::file::{Finding, Step};
use super::steps::{Kind, Source, ok_type};
use super::values;
use crate::cli::exit::Failure;

/// What the system outside answers.
#[derive(Clone)]
pub(super) enum Outcome {
    /// The complete result of a routine call.
    Returns(Value),
    /// The effect happened: the written part of its receipt.
    Done(Value),
    NotDone(String),
    /// The connector refuses the call before anybody is asked.
    Impossible(String),
    /// The outcome is unknown at first.
    InDoubt(String, Found),
}

/// How an effect in doubt ends.
#[derive(Clone)]
pub(super) enum Found {
    /// A lookup finds the effect: the written part of its receipt.
    Done(Value),
    /// A lookup finds that the effect did not happen.
    NotDone,
    /// A reviewer resolves it: the type of the resolution, and the reviewer's words.
    ByReviewer(&'static str, String),
}

impl Source<'_> {
    /// What a step says about the answer of the system outside.
    pub(super) fn outcome(&self, step: &Step, kind: &Kind, ty: &FunctionType) -> Result<Option<Outcome>, Failure> {
        let wrong = |what: &str, hint: &str| Err(self.wrong(step.function.span(), what, hint));
        let in_doubt = step.in_doubt.is_some();
        let given = [step.ok.is_some(), step.err.is_some(), step.returns.is_some(), step.impossible.is_some()];
        if given.into_iter().filter(|one| *one).count() > 1 {
            return wrong("the answer is one of `ok`, `err`, `returns`, `impossible`", "leave out the others");
        }
        let fits = match step.found {
            Some(Finding::Done) => in_doubt && step.ok.is_some(),
            Some(Finding::NotDone | Finding::Abandoned) => in_doubt && step.ok.is_none(),
            None => !in_doubt,
        };
        if !fits {
            return wrong(
                "an effect in doubt is found out later",
                "write `found = \"done\"` with `ok`, or `found = \"not-done\"`, or `found = \"abandoned\"`, beside `in-doubt`",
            );
        }
        let outcome = match kind {
            Kind::Routine => return self.returns(step, ty).map(Some),
            Kind::Question(_) | Kind::Effect(_) => self.effect(step, ty)?,
        };
        let cleared = step.verdict.as_ref().is_some_and(|verdict| *verdict.get_ref() == PolicyVerdict::Clear);
        let performed = cleared || step.decide.last().is_some_and(|last| last.reject.is_none());
        match (kind, &outcome) {
            (Kind::Question(_), Some(_)) => {
                wrong("nothing is performed for a question", "leave out `ok`, `err` and `in-doubt`")
            }
            (Kind::Effect(_), None) if performed => {
                let receipt = ok_type(ty).map_or("empty".into(), WitType::name);
                let hint = format!(
                    "add `ok = {{ … }}`, which is {receipt}, or `err = \"the reason\"`, or `in-doubt = \"the reason\"` with `found`"
                );
                wrong("the call is cleared, and the script does not say what the connector answers", &hint)
            }
            _ => Ok(outcome),
        }
    }

    /// The result of a routine call.
    fn returns(&self, step: &Step, ty: &FunctionType) -> Result<Outcome, Failure> {
        let normal = |result: Value| match &ty.result {
            Some(of) => of.normalise(&result).map_err(|wrong| wrong.to_string()),
            None => Ok(Value::Null),
        };
        let (ok_ty, err_ty) = match &ty.result {
            Some(WitType::Result { ok, err }) => (ok.as_deref(), err.as_deref()),
            _ => (None, None),
        };
        let case = |case: &'static str, of| move |value: &Value| normal(json!({ case: values::value(of, value)? }));
        let whole = |value: &Value| normal(values::value(ty.result.as_ref(), value)?);
        match (&step.ok, &step.err, &step.returns) {
            (Some(ok), ..) => self.typed(ok, case("ok", ok_ty)),
            (_, Some(err), _) => self.typed(err, case("err", err_ty)),
            (.., Some(returns)) => self.typed(returns, whole),
            _ => Err(self.wrong(
                step.function.span(),
                "the script does not say what the routine call returns",
                "add `ok = …`, `err = …` or, if the type is no `result`, `returns = …`",
            )),
        }
        .map(Outcome::Returns)
    }

    /// The outcome of an effect.
    fn effect(&self, step: &Step, ty: &FunctionType) -> Result<Option<Outcome>, Failure> {
        let receipt = |written: &Spanned<Value>| {
            self.typed(written, |value| {
                let Some(of) = ok_type(ty) else { return Ok(Value::Null) };
                let value = values::value(Some(of), value)?;
                values::filled(of, &value, ty, None).map(|_| value).map_err(|wrong| wrong.to_string())
            })
        };
        let reason = |written: &Spanned<Value>| match written.get_ref().as_str() {
            Some(reason) => Ok(reason.to_owned()),
            None => Err(self.wrong(written.span(), "a reason is text", "write `err = \"the reason\"`")),
        };
        let words = step.err.as_ref().map(reason).transpose()?;
        let ok = step.ok.as_ref().map(receipt).transpose()?;
        if let Some(why) = step.in_doubt.clone() {
            let found = match (step.found, ok, words) {
                (Some(Finding::Done), Some(ok), _) => Found::Done(ok),
                (Some(Finding::NotDone), _, None) => Found::NotDone,
                (Some(Finding::NotDone), _, Some(words)) => Found::ByReviewer("not-done", words),
                (_, _, words) => Found::ByReviewer("abandon", words.unwrap_or_else(|| "the script gives up".into())),
            };
            return Ok(Some(Outcome::InDoubt(why, found)));
        }
        let impossible = step.impossible.clone().map(Outcome::Impossible);
        Ok(impossible.or(ok.map(Outcome::Done)).or(words.map(Outcome::NotDone)))
    }
}
