//! What each function of our own interfaces is: the one list by which policy's schema, `holdshort inspect` and what a host offers go.
//!
//! What is not on it is refused everywhere. A function that is added to the WIT and to nothing else is offered to nobody.

use holdshort_gate::Capability;

use crate::agent;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    /// A line for the operator.
    Log,
    /// Answered at once.
    Routine,
    /// Held until it is cleared.
    Consequential,
}

/// Interface and function by their short names; without a function all of an interface, none of which has any effect.
const KINDS: [(&str, Option<&str>, Kind); 8] = [
    ("checks", None, Kind::Routine),
    ("deployment", Some("deploy"), Kind::Consequential),
    ("email", Some("send-email"), Kind::Consequential),
    ("guidance", Some("ask"), Kind::Consequential),
    ("log", Some("log"), Kind::Log),
    ("payments", Some("transfer-funds"), Kind::Consequential),
    ("repository", None, Kind::Routine),
    ("workspace", None, Kind::Routine),
];

/// The short name of the interface of one of our functions, and what the function is; nothing for anybody else's, and for ours that are not on the list.
pub(in crate::cli) fn kind(capability: &Capability) -> Option<(&'static str, Kind)> {
    let (name, _, kind) = KINDS.iter().find(|(name, function, _)| {
        capability.interface() == agent::interface(name)
            && function.is_none_or(|function| capability.function() == function)
    })?;
    Some((name, *kind))
}
