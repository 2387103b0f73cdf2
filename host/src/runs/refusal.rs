//! Finds at load how a function expresses a refusal: the form of its error type.

use holdshort_gate::{Answer, FunctionType, Mismatch, WitType};
use serde_json::{Value, json};

/// The cases of `refusal` in `holdshort:agent/types`; the flag marks those with a text.
const REFUSAL: [(&str, bool); 7] = [
    ("rejected", true),
    ("expired", false),
    ("cancelled", false),
    ("forbidden", true),
    ("invalid", true),
    ("failed", true),
    ("unresolved", true),
];

/// How a consequential function tells its caller that the call was not done.
#[derive(Clone, Debug, PartialEq)]
pub enum RefusalForm {
    /// `result<_, refusal>`: the case says how the call ended.
    Refusal,
    /// `result<_, string>`: one string has the name of the case and the text.
    Text,
    /// A bare `result` or `result<T>`: the agent learns of the refusal without the reason.
    Bare,
    /// Every refusal is the configured value of the function's own error type.
    Constant(Value),
}

/// The reason why a function cannot express a refusal, with advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotRefuse {
    /// The function returns no error, so no configuration helps.
    #[error(
        "the function's result type has no error, so the agent could not be told of a rejection: build the agent against an interface in which the result type is `result<_, refusal>` or `result<_, string>`; if the function has no effect at all, set `class = \"routine\"`"
    )]
    NoError,
    /// A value is configured, but the error type has no value.
    #[error(
        "the error type has no value: remove `refusal` from the section; the agent then gets the error without a reason"
    )]
    NoValue,
    /// The error type is neither a `refusal` nor a string, and no value is configured.
    #[error(
        "the error type is not a string: set `refusal` in the section of the capability to the error value that the agent gets for a refused call"
    )]
    OwnType,
    /// The configured value does not have the error type.
    #[error("the `refusal` in the section of the capability does not have the error type: {0}")]
    OtherType(Mismatch),
}

impl RefusalForm {
    /// The form for `ty`. `constant` is the configured value, for error types that are neither a
    /// `refusal` nor a string.
    pub fn of(ty: &FunctionType, constant: Option<&Value>) -> Result<Self, CannotRefuse> {
        let Some(WitType::Result { err, .. }) = &ty.result else { return Err(CannotRefuse::NoError) };
        let Some(err) = err else {
            return if constant.is_none() { Ok(Self::Bare) } else { Err(CannotRefuse::NoValue) };
        };
        if let Some(constant) = constant {
            return err.normalise(constant).map(Self::Constant).map_err(CannotRefuse::OtherType);
        }
        match &**err {
            WitType::String => Ok(Self::Text),
            WitType::Variant(cases) if is_refusal(cases) => Ok(Self::Refusal),
            WitType::Variant(_)
            | WitType::Bool
            | WitType::U8
            | WitType::U16
            | WitType::U32
            | WitType::U64
            | WitType::S8
            | WitType::S16
            | WitType::S32
            | WitType::S64
            | WitType::F32
            | WitType::F64
            | WitType::Char
            | WitType::List(_)
            | WitType::Tuple(_)
            | WitType::Record(_)
            | WitType::Enum(_)
            | WitType::Flags(_)
            | WitType::Option(_)
            | WitType::Result { .. } => Err(CannotRefuse::OwnType),
        }
    }

    /// The function's complete result for `answer`.
    pub fn result(&self, answer: &Answer) -> Value {
        let (case, text) = match answer {
            Answer::Ok(value) => return json!({ "ok": value }),
            Answer::Rejected(guidance) => ("rejected", Some(guidance)),
            Answer::Expired => ("expired", None),
            Answer::Cancelled => ("cancelled", None),
            Answer::Forbidden(reason) => ("forbidden", Some(reason)),
            Answer::Invalid(reason) => ("invalid", Some(reason)),
            Answer::Failed(reason) => ("failed", Some(reason)),
            Answer::Unresolved(reason) => ("unresolved", Some(reason)),
        };
        match (self, text) {
            (Self::Refusal, text) => json!({ "err": { case: text } }),
            (Self::Text, Some(text)) => json!({ "err": format!("{case}: {text}") }),
            (Self::Text, None) => json!({ "err": case }),
            (Self::Bare, _) => json!({ "err": null }),
            (Self::Constant(value), _) => json!({ "err": value }),
        }
    }
}

fn is_refusal(cases: &[(String, Option<WitType>)]) -> bool {
    cases.len() == REFUSAL.len()
        && REFUSAL.iter().all(|(name, has_text)| {
            let payload = has_text.then_some(WitType::String);
            cases.iter().any(|(case, ty)| case == name && *ty == payload)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returning(err: WitType) -> FunctionType {
        FunctionType { params: Vec::new(), result: Some(WitType::Result { ok: None, err: Some(Box::new(err)) }) }
    }

    fn refusal() -> WitType {
        WitType::Variant(REFUSAL.iter().map(|(name, text)| ((*name).into(), text.then_some(WitType::String))).collect())
    }

    #[test]
    fn each_form_says_no_in_the_functions_own_type() {
        let answers = [
            Answer::Rejected("shorter".into()),
            Answer::Expired,
            Answer::Cancelled,
            Answer::Forbidden("f".into()),
            Answer::Invalid("i".into()),
            Answer::Failed("x".into()),
            Answer::Unresolved("u".into()),
        ];
        let busy = json!("busy");
        let enumeration = WitType::Enum(vec!["busy".into(), "gone".into()]);
        for (err, constant) in [(refusal(), None), (WitType::String, None), (enumeration, Some(&busy))] {
            let ty = returning(err);
            let form = RefusalForm::of(&ty, constant).unwrap();
            for answer in &answers {
                let result = form.result(answer);
                assert_eq!(ty.result.as_ref().unwrap().normalise(&result).unwrap(), result, "{form:?} {answer:?}");
            }
        }
        for ok in [None, Some(Box::new(WitType::String))] {
            let ty = FunctionType { params: Vec::new(), result: Some(WitType::Result { ok, err: None }) };
            let form = RefusalForm::of(&ty, None).unwrap();
            for answer in &answers {
                let result = form.result(answer);
                assert_eq!(ty.result.as_ref().unwrap().normalise(&result).unwrap(), result, "{answer:?}");
                assert_eq!(result, json!({"err": null}));
            }
        }
        let form = RefusalForm::of(&returning(refusal()), None).unwrap();
        assert_eq!(form.result(&answers[0]), json!({"err": {"rejected": "shorter"}}));
    }

    #[test]
    fn a_function_that_cannot_say_no_has_no_form() {
        let why = |ty: &FunctionType, constant: Option<Value>| RefusalForm::of(ty, constant.as_ref()).unwrap_err();
        assert_eq!(why(&returning(WitType::U8), None), CannotRefuse::OwnType);
        let mismatch = why(&returning(WitType::U8), Some(json!("busy"))).to_string();
        assert!(mismatch.ends_with("`value`: expected a whole number from 0 to 255, found \"busy\""), "{mismatch}");
        for result in [Some(WitType::String), None] {
            assert_eq!(why(&FunctionType { params: Vec::new(), result }, Some(json!("busy"))), CannotRefuse::NoError);
        }
        // An error without a value expresses a refusal. A configured value would be ignored, so it is an error.
        let silent = FunctionType { params: Vec::new(), result: Some(WitType::Result { ok: None, err: None }) };
        for configured in [json!("busy"), json!({"denied": null}), Value::Null] {
            assert_eq!(why(&silent, Some(configured)), CannotRefuse::NoValue);
        }
    }
}
