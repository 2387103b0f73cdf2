//! The reasons why the host cannot offer an import, with messages for the component's author.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum length of a component's name in a message. [`CAUSE_CHARS_MAX`] is the maximum length of a library's
/// message about a component.
const NAME_CHARS_MAX: usize = 100;
const CAUSE_CHARS_MAX: usize = 400;

/// Shortens a name from a component, because it could have megabytes.
pub(super) fn short(name: &str) -> String {
    bounded(name, NAME_CHARS_MAX)
}

/// A library's message about a component, as one line. It is shortened, because it may quote the component.
pub(super) fn cause(error: &dyn fmt::Display) -> String {
    bounded(&format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "), CAUSE_CHARS_MAX)
}

fn bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}… ({} bytes)", text.get(..at).unwrap_or_default(), text.len()),
        None => text.to_owned(),
    }
}

/// One reason why a component cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProblem {
    /// The import, as `package:name/interface@version#function` or the interface alone.
    pub item: String,
    pub what: ProblemKind,
}

/// Why the host cannot offer an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProblemKind {
    /// The function passes a resource, which can be neither shown nor recorded.
    Resource,
    Stream,
    Future,
    /// The function is an `async func`, or the component was built for asynchronous calls.
    AsyncFunction,
    /// The function uses a type that has no JSON form here. The text is the type's WIT keyword.
    UnsupportedType(Cow<'static, str>),
    /// The function's type is too large, or nested too deep, to be shown or stored.
    TypeTooLarge,
    /// The import is a WASI interface or version outside the host's deterministic subset.
    UnknownWasi,
    /// The import is a function of the world itself, without the name of an interface.
    WorldFunction,
    /// The function's name cannot be written in a configuration or read by a person.
    Name,
    /// The number of further problems that are not listed.
    More(usize),
}

impl fmt::Display for ImportProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = &self.item;
        match &self.what {
            ProblemKind::Resource => write!(
                f,
                "`{item}` uses a resource, and a reviewer cannot be shown the value of a resource; pass records, ids or strings instead"
            ),
            ProblemKind::Stream => write!(f, "`{item}` passes a stream; pass a list, or a path and a digest, instead"),
            ProblemKind::Future => {
                write!(f, "`{item}` passes a future; return the value itself: a call may take a long time")
            }
            ProblemKind::AsyncFunction => write!(
                f,
                "`{item}` is an async function; declare the function as `func`: a call may take days, and costs nothing while it waits"
            ),
            ProblemKind::UnsupportedType(word) => {
                write!(
                    f,
                    "`{item}` uses the type `{word}`, which cannot be shown to a reviewer; use a list, a record or a string"
                )
            }
            ProblemKind::TypeTooLarge => {
                write!(
                    f,
                    "`{item}` has a type that is too large or too deeply nested; use fewer nested types, fields and cases"
                )
            }
            ProblemKind::UnknownWasi => write!(
                f,
                "`{item}` is not offered; agents get a deterministic subset of WASI 0.2 without network or files: build the agent without this import, or use an interface that the operator has configured"
            ),
            ProblemKind::WorldFunction => {
                write!(
                    f,
                    "`{item}` is imported by the world itself; move the function into an interface, so that the configuration can name it"
                )
            }
            ProblemKind::More(count) => write!(f, "`{item}` is one of {count} more imports that cannot be offered"),
            ProblemKind::Name => {
                write!(f, "`{item}` cannot be written in the configuration; use short names of letters, digits and `-`")
            }
        }
    }
}
