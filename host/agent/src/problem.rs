//! What a component asks for that the host cannot give, each named so that its author can change it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The characters of a component's own text that are told: of a name, and of what a library says about it.
const NAME_CHARS_MAX: usize = 100;
const CAUSE_CHARS_MAX: usize = 400;

/// A component's name of something, bounded; a name may be megabytes long.
pub(super) fn short(name: &str) -> String {
    bounded(name, NAME_CHARS_MAX)
}

/// What a library says of a component, on a line and bounded, because it may quote it.
pub(super) fn cause(error: &dyn fmt::Display) -> String {
    bounded(&format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "), CAUSE_CHARS_MAX)
}

fn bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}… ({} bytes)", text.get(..at).unwrap_or_default(), text.len()),
        None => text.to_owned(),
    }
}

/// One thing that keeps a component from being run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The import, as `package:name/interface@version#function`, or the interface alone.
    pub item: String,
    /// What is wrong with it.
    pub what: ProblemKind,
}

/// Why the host cannot offer an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProblemKind {
    /// It passes a resource, whose value could be neither shown nor journaled.
    Resource,
    /// It passes a stream.
    Stream,
    /// It passes a future.
    Future,
    /// It is an `async func`, or belongs to a component built for asynchronous calls.
    AsyncFunction,
    /// It uses a type that has no JSON form here; its WIT word.
    UnsupportedType(Cow<'static, str>),
    /// Its type, written out, is too large or nested too deep to be shown or stored.
    TypeTooLarge,
    /// A WASI interface, or a version of one, that is outside the host's deterministic subset.
    UnknownWasi,
    /// A function that the world imports by itself, so that no interface names it.
    WorldFunction,
    /// Its name is not one that configuration could write, or a person could read.
    Name,
    /// There are more problems of this kind or another than are told; so many.
    More(usize),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = &self.item;
        match &self.what {
            ProblemKind::Resource => write!(
                f,
                "`{item}` uses a resource, which has no value that a reviewer could be shown; pass records, ids or strings instead"
            ),
            ProblemKind::Stream => write!(f, "`{item}` passes a stream; pass a list, or a path and a digest, instead"),
            ProblemKind::Future => {
                write!(f, "`{item}` passes a future; return the value itself: a call may take its time")
            }
            ProblemKind::AsyncFunction => write!(
                f,
                "`{item}` is an async function; declare it as `func`: a call may take days without costing anything"
            ),
            ProblemKind::UnsupportedType(word) => {
                write!(
                    f,
                    "`{item}` uses the type `{word}`, which has no form that could be shown; use a list, a record or a string"
                )
            }
            ProblemKind::TypeTooLarge => {
                write!(
                    f,
                    "`{item}` has a type that is too large or too deep when written out; use smaller or fewer nested types, fields and cases"
                )
            }
            ProblemKind::UnknownWasi => write!(
                f,
                "`{item}` is not offered; agents get a deterministic subset of WASI 0.2 without network or files: build without it, or ask through an interface that the operator gates"
            ),
            ProblemKind::WorldFunction => {
                write!(
                    f,
                    "`{item}` is imported by the world itself; put it into an interface, so that configuration can name it"
                )
            }
            ProblemKind::More(count) => write!(f, "`{item}` is one of {count} more imports that cannot be offered"),
            ProblemKind::Name => {
                write!(f, "`{item}` cannot be written in the configuration; use short names of letters, digits and `-`")
            }
        }
    }
}
