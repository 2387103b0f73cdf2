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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each published function is of one kind, and whatever else anybody could call ours is of none.
    #[test]
    fn what_is_not_on_the_list_is_of_no_kind() {
        let ours = agent::functions().unwrap();
        assert!(ours.len() > 10, "{}", ours.len());
        for import in &ours {
            assert!(kind(&import.capability).is_some(), "{} is of no kind", import.capability);
        }
        for name in [
            "holdshort:agent/payments@0.1.0#refund",
            "holdshort:agent/email@0.1.0#send",
            "holdshort:agent/email@0.2.0#send-email",
            "holdshort:agent/deployment@0.1.0#rollback",
            "holdshort:agent/guidance@0.1.0#answer",
            "holdshort:agent/log@0.1.0#read",
            "holdshort:agent/secrets@0.1.0#read",
            "holdshort:agent/workspace@0.1.1#write-file",
            "holdshort:agent/repositories@0.1.0#log",
            "holdshort:agents/email@0.1.0#send-email",
            "acme:agent/email@0.1.0#send-email",
            "acme:crm/contacts@1.0.0#delete-contact",
        ] {
            assert_eq!(kind(&name.parse().unwrap()), None, "{name}");
        }
    }
}
