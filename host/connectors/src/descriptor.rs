//! The static description of a connector: one [`Descriptor`], a constant beside the connector's code.
//!
//! All other code reads this description: the registry and `holdshort inspect` (the class of an import), policy's
//! schema (the facts), the dispatcher and the clearance (the connector's name and class), and the tables in
//! `host/CONFIGURATION.md`, which a test writes.
//!
//! **Invariant:** a connector declares every fact and every precondition of its proposals. A preview with an undeclared
//! fact or precondition ([`Effect::undeclared`]) is not shown; a debug build panics, so the tests find it.

use std::collections::BTreeMap;

use holdshort_gate::condition::Condition;
use holdshort_gate::{Capability, EffectClass, WitType};
use serde_json::Value;

use super::Previewed;

/// The description of one connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The section of the configuration for this connector; empty if the connector has no settings.
    pub section: &'static str,
    /// The published interface that the connector serves, with its version. `None` for third-party interfaces,
    /// which the configuration names.
    pub interface: Option<&'static str>,
    /// The functions that the connector serves. A function without a descriptor is refused, even if other functions of
    /// its interface are served.
    pub functions: &'static [&'static str],
    /// The class of these functions.
    pub class: Class,
}

/// The class of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Writes a line to the operator's log.
    Log,
    /// The calls are answered at once.
    Routine,
    /// The calls are held until they are cleared, and then performed.
    Consequential(Effect),
}

/// The effect of a consequential call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The connector's name, as it stands in the configuration and in every clearance, such as `git` or `maildir`.
    pub connector: &'static str,
    /// The effect class: what a lookup can find out about an effect in doubt.
    pub class: EffectClass,
    /// How the host looks up an effect in doubt: a sentence for operators and reviewers.
    pub evidence: &'static str,
    /// The facts that a preview finds.
    pub facts: DeclaredFacts,
    /// The values that must still hold when the effect starts.
    pub preconditions: &'static [Precondition],
}

/// The facts of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredFacts {
    /// Exactly these facts. A proposal leaves out a fact that is unknown for its call.
    Fixed(&'static [Fact]),
    /// The facts that the configuration declares (`fact-types`). They are checked when the operator's program prints
    /// them.
    Configured,
}

/// A value that a connector finds before policy gives its verdict on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The name, such as `old-commit`; policies write `old_commit`.
    pub name: &'static str,
    /// The type.
    pub ty: FactType,
    /// The readers of the fact.
    pub readers: FactReaders,
    /// The meaning, as `host/CONFIGURATION.md` says it.
    pub means: &'static str,
}

/// The readers of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactReaders {
    /// Policies and the readers of the proposal.
    All,
    /// The readers of the proposal alone: policies cannot compare the value.
    Programs,
    /// Policies alone: the fact is derived from another fact and is not part of the proposal.
    Policies,
}

/// The type of a fact, with its form as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactType {
    /// `true` or `false`.
    Bool,
    /// A number.
    Count,
    /// An amount of money in the currency's smallest unit, as a string of digits.
    Amount,
    /// A string.
    Text,
    /// An array of values of this type.
    List(&'static FactType),
    /// `null`, or a value of this type.
    Maybe(&'static FactType),
    /// An object with exactly these members.
    Record(&'static [(&'static str, FactType)]),
}

/// A value that was shown to reviewers and must still hold when the effect starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// The name of the precondition in a proposal.
    pub name: &'static str,
    /// The allowed difference.
    pub compares: Comparison,
}

/// The allowed difference between the shown value and the value at the start of the effect; see [`Condition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The value may not change.
    Same,
    /// The value may change, but not below a bound.
    AtLeast,
    /// The value may grow, but only by the effects of the similar calls that were shown with the call.
    NothingNew,
}

impl Descriptor {
    /// The published functions that the connector serves.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        let named = |function| move |interface| Capability::new(interface, function).ok();
        self.functions.iter().filter_map(move |function| self.interface.and_then(named(function)))
    }

    /// The facts for policies, with their types.
    pub fn facts(&self) -> BTreeMap<String, WitType> {
        match self.class {
            Class::Consequential(Effect { facts: DeclaredFacts::Fixed(facts), .. }) => {
                let asked = facts.iter().filter(|fact| fact.readers != FactReaders::Programs);
                asked.map(|fact| (fact.name.to_owned(), fact.ty.wit())).collect()
            }
            Class::Consequential(_) | Class::Log | Class::Routine => BTreeMap::new(),
        }
    }
}

impl Effect {
    /// The facts and preconditions of a preview that differ from the declared ones.
    pub fn undeclared(&self, previewed: &Previewed) -> Vec<String> {
        let fits = |fact: &&Fact, name: &str, value: &Value| {
            fact.name == name && fact.readers != FactReaders::Policies && fact.ty.fits(value)
        };
        let facts = members(&previewed.facts).filter(|(name, value)| match self.facts {
            DeclaredFacts::Fixed(facts) => !facts.iter().any(|fact| fits(&fact, name, value)),
            DeclaredFacts::Configured => false,
        });
        let preconditions = members(&previewed.preconditions).filter(|(name, value)| {
            let compares = Comparison::of(value);
            !self.preconditions.iter().any(|declared| declared.name == *name && declared.compares == compares)
        });
        let told = |what: &str, (name, value): (&String, &Value)| format!("the {what} `{name}`: {value}");
        facts.map(|one| told("fact", one)).chain(preconditions.map(|one| told("precondition", one))).collect()
    }
}

impl Fact {
    /// A fact for all readers.
    pub const fn new(name: &'static str, ty: FactType, means: &'static str) -> Self {
        Self { name, ty, readers: FactReaders::All, means }
    }

    /// The same fact, but only for these readers.
    #[must_use]
    pub const fn only_for(self, readers: FactReaders) -> Self {
        Self { readers, ..self }
    }
}

impl FactType {
    /// A list of strings.
    pub const TEXTS: Self = Self::List(&Self::Text);

    /// The type as WIT has it.
    pub fn wit(self) -> WitType {
        match self {
            Self::Bool => WitType::Bool,
            Self::Count | Self::Amount => WitType::U64,
            Self::Text => WitType::String,
            Self::List(item) => WitType::List(Box::new(item.wit())),
            Self::Maybe(inner) => WitType::Option(Box::new(inner.wit())),
            Self::Record(fields) => {
                WitType::Record(fields.iter().map(|(name, ty)| ((*name).to_owned(), ty.wit())).collect())
            }
        }
    }

    /// Whether a value has this type, in the JSON form of a proposal.
    pub fn fits(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean(),
            Self::Count => value.is_u64(),
            Self::Amount => value.as_str().is_some_and(|digits| digits.parse::<u64>().is_ok()),
            Self::Text => value.is_string(),
            Self::List(item) => value.as_array().is_some_and(|items| items.iter().all(|value| item.fits(value))),
            Self::Maybe(inner) => value.is_null() || inner.fits(value),
            Self::Record(fields) => value.as_object().is_some_and(|members| {
                let fits = |(name, ty): &(&str, Self)| members.get(*name).is_some_and(|value| ty.fits(value));
                members.len() == fields.len() && fields.iter().all(fits)
            }),
        }
    }
}

impl Precondition {
    /// A value that must be the same.
    pub const fn same(name: &'static str) -> Self {
        Self { name, compares: Comparison::Same }
    }
}

impl Comparison {
    /// The allowed difference, as a proposal's preconditions state it.
    fn of(stated: &Value) -> Self {
        match Condition::read(stated) {
            Condition::Same(_) => Self::Same,
            Condition::AtLeast { .. } => Self::AtLeast,
            Condition::NothingNew { .. } => Self::NothingNew,
        }
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}
