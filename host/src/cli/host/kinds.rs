//! The class of each function of our own interfaces. Policy's schema, `holdshort inspect` and the
//! host's offer all use this one list.
//!
//! A function outside the list is refused everywhere, so a function added only to the WIT is
//! offered to no agent.

use holdshort_gate::Capability;

use crate::agent;

/// The class of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    /// Writes a line to the operator's log.
    Log,
    /// Answered at once.
    Routine,
    /// Held until it is cleared.
    Consequential,
}

/// Interfaces and functions by their short names. An entry without a function covers an interface
/// without any effect.
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

/// The interface and class of one of our functions; `None` for foreign functions and for those
/// outside the list.
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

    /// Each published function has one class, and any other name has none.
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
