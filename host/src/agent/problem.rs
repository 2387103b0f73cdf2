//! What a component asks for that the host cannot give, each named so that its author can change it.

use std::fmt;

/// One thing that keeps a component from being run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The import, as `package:name/interface@version#function`, or the interface alone.
    pub item: String,
    /// What is wrong with it.
    pub what: ProblemKind,
}

/// Why the host cannot offer an import.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    UnsupportedType(&'static str),
    /// Its type, written out, is too large to be shown or stored.
    TypeTooLarge,
    /// A WASI interface, or a version of one, that is outside the host's deterministic subset.
    UnknownWasi,
    /// A function that the world imports by itself, so that no interface names it.
    WorldFunction,
    /// Its name is not one that configuration could write.
    Name,
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
                    "`{item}` has a type that is too large when written out; use smaller or fewer nested types, fields and cases"
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
            ProblemKind::Name => {
                write!(f, "`{item}` cannot be written in the configuration; use letters, digits and `-` in its names")
            }
        }
    }
}
