//! Parses ids in paths. A malformed id is answered like an id that does not exist, without a
//! lookup.

use holdshort_gate::{CallNumber, RunId};

use super::problem::{Kind, Problem};

/// The maximum length of a run's id.
const RUN_CHARS_MAX: usize = 64;

/// Parses a run's id: letters, digits and `-`.
pub(crate) fn run(text: &str) -> Result<RunId, Problem> {
    let plain = (1..=RUN_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain { Ok(RunId(text.into())) } else { Err(no_run(text)) }
}

/// Parses a run's id in a query. A malformed id is a bad request (400) here; in a path it is not
/// found (404).
pub(super) fn asked(text: &str) -> Result<RunId, Problem> {
    let wrong = |_| Problem::new(Kind::BadRequest, format!("`{}` is not a run id", super::shortened(text)));
    run(text).map_err(wrong)
}

/// Parses a call's number. Only its usual spelling is accepted: `+1` and `01` are refused.
pub(crate) fn call(run: &RunId, text: &str) -> Result<CallNumber, Problem> {
    let number = text.parse::<CallNumber>().ok().filter(|number| *number > 0 && number.to_string() == text);
    number.ok_or_else(|| no_call(run, text))
}

/// Parses an approval's id: the run, a dot, and the call's number.
pub(crate) fn approval(text: &str) -> Result<(RunId, CallNumber), Problem> {
    let wrong = || Problem::not_found(format_args!("approval `{}`", super::shortened(text)));
    let (id, number) = text.split_once('.').ok_or_else(wrong)?;
    let id = run(id).map_err(|_| wrong())?;
    let number = call(&id, number).map_err(|_| wrong())?;
    Ok((id, number))
}

/// The error that the run does not exist.
pub(crate) fn no_run(text: &str) -> Problem {
    Problem::not_found(format_args!("run `{}`", super::shortened(text)))
}

/// The error that the consequential call does not exist.
pub(crate) fn no_call(run: &RunId, number: impl std::fmt::Display) -> Problem {
    let number = super::shortened(&number.to_string());
    Problem::not_found(format_args!("consequential call `{number}` in run `{run}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_one_name() {
        assert_eq!(approval("0k3v-9.12").unwrap(), (RunId("0k3v-9".into()), 12));
        for wrong in
            ["", ".", "a.", ".1", "a.0", "a.01", "a.+1", "a.-1", "a.1.1", "a.4294967296", "a/b.1", "é.1", "a. 1"]
        {
            assert!(approval(wrong).is_err(), "{wrong}");
        }
        assert!(run(&"a".repeat(RUN_CHARS_MAX)).is_ok());
        assert!(run(&"a".repeat(RUN_CHARS_MAX + 1)).is_err());
    }
}
