//! Classifies imports: lists the capabilities that a configuration offers, each with its class.
//!
//! **Invariant:** the default is to refuse. An import outside the catalogue is refused at load, by the host and by
//! `holdshort inspect` alike: both fill a [`Catalogue`] from the same registry and ask
//! [`classify`](Catalogue::classify). The host's entries hold connectors; those of `inspect` hold texts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use holdshort_gate::{Action, Capability, FunctionType};
use holdshort_words::Sentence;
use serde_json::Value;

use super::refusal::{CannotRefuse, RefusalForm};
use crate::agent::{Import, Manifest};
use crate::connectors::{Preview, Routine};

/// How a capability is served. This determines its class.
#[derive(Clone)]
pub enum Offer<R = Arc<dyn Routine>, C = Arc<dyn Preview>> {
    /// A log line for the operator. It is neither numbered nor recorded as a call, because replay produces it again.
    Log,
    /// The calls are answered at once and recorded.
    Routine(R),
    /// The calls are judged by policy, held for reviewers, and performed by the dispatcher only.
    Consequential {
        /// The connector. `runs` uses only its preview.
        connector: C,
        /// The configured error value for a refused call. It is needed if the error type is neither a `refusal` nor a
        /// string.
        refusal: Option<Value>,
    },
    /// Each call is routine or consequential, by its arguments.
    ByCall { routine: R, connector: C },
}

/// An offered capability.
#[derive(Clone)]
pub struct OfferedFunction<R = Arc<dyn Routine>, C = Arc<dyn Preview>> {
    pub offer: Offer<R, C>,
    pub required: RequiredType,
}

/// The type that an agent's import must have.
#[derive(Clone)]
pub enum RequiredType {
    /// Exactly the type of a built-in function.
    Exactly(FunctionType),
    /// Any type of a third-party function that its connector can serve.
    Servable(Servable),
}

/// Checks whether a connector can serve third-party functions of a type. The error says why not.
pub type Servable = Arc<dyn Fn(&FunctionType) -> Result<(), Sentence> + Send + Sync>;

/// All offered capabilities.
#[derive(Clone)]
pub struct Catalogue<R = Arc<dyn Routine>, C = Arc<dyn Preview>> {
    functions: BTreeMap<Capability, OfferedFunction<R, C>>,
    interfaces: BTreeMap<String, OfferedFunction<R, C>>,
    withheld: BTreeMap<Capability, String>,
}

impl<R, C> Default for Catalogue<R, C> {
    fn default() -> Self {
        Self { functions: BTreeMap::new(), interfaces: BTreeMap::new(), withheld: BTreeMap::new() }
    }
}

/// An agent's import, bound to what this host offers for it.
pub struct Bound {
    /// The function's type in the agent.
    pub ty: Arc<FunctionType>,
    pub offer: BoundOffer,
}

/// [`Offer`] with the results of the checks at load.
pub enum BoundOffer<R = Arc<dyn Routine>, C = Arc<dyn Preview>> {
    /// A log line for the operator.
    Log,
    Routine(R),
    /// The calls are judged by policy and held for reviewers.
    Consequential(C, RefusalForm),
    /// Each call is routine or consequential, by its arguments.
    ByCall(R, C, RefusalForm),
}

impl BoundOffer {
    /// The connector that answers `action` at once, if it is a routine call.
    pub(super) fn routine(&self, action: &Action) -> Option<&Arc<dyn Routine>> {
        match self {
            Self::Routine(routine) => Some(routine),
            Self::ByCall(routine, ..) => Some(routine).filter(|routine| routine.answers(action)),
            Self::Log | Self::Consequential(..) => None,
        }
    }

    /// The connector of the consequential calls, with the form of a refusal. `None` if no call is consequential.
    pub(super) fn consequential(&self) -> Option<(&Arc<dyn Preview>, &RefusalForm)> {
        match self {
            Self::Consequential(preview, form) | Self::ByCall(_, preview, form) => Some((preview, form)),
            Self::Log | Self::Routine(_) => None,
        }
    }
}

/// The imports of an agent by capability, each bound to what this host offers for it.
pub type Bindings = HashMap<Capability, Bound>;

/// An import cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The import has no configured class.
    #[error(
        "the import `{0}` is not classified: if this agent may have it, add a section `[capabilities.\"{0}\"]` to holdshort.toml, \
         with `class = \"consequential\"` or `class = \"routine\"` and the `command` that performs or answers it"
    )]
    Unclassified(Capability),
    /// The function is built in, but the configuration lacks what it needs.
    #[error("the import `{0}` is not offered here: {1}")]
    Withheld(Capability, String),
    /// The agent imports a built-in function with another type.
    #[error(
        "the import `{0}` has a different type than on this host: build the agent against the WIT package in `wit/`"
    )]
    OtherType(Capability),
    /// The connector of the import's section cannot serve a function of this type.
    #[error("the import `{0}` cannot be served by the connector that its section of the configuration names: {1}")]
    NotServable(Capability, Sentence),
    /// The function's type cannot report a refusal to the agent.
    #[error("the import `{0}` is consequential, but the function cannot report a refusal: {1}")]
    CannotRefuse(Capability, CannotRefuse),
}

impl<R: Clone, C: Clone> Catalogue<R, C> {
    /// Offers one function.
    pub fn offer(&mut self, capability: Capability, offered: OfferedFunction<R, C>) {
        self.functions.insert(capability, offered);
    }

    /// Offers every function of an interface that is not offered by its own name.
    pub fn offer_interface(&mut self, interface: String, offered: OfferedFunction<R, C>) {
        self.interfaces.insert(interface, offered);
    }

    /// States why one of the host's own functions is not offered, which tells operators more than
    /// "not classified".
    pub fn withhold(&mut self, capability: Capability, why: String) {
        self.withheld.insert(capability, why);
    }

    /// The offer for `capability`.
    pub fn find(&self, capability: &Capability) -> Option<&OfferedFunction<R, C>> {
        self.functions.get(capability).or_else(|| self.interfaces.get(capability.interface()))
    }

    /// The offer for an import, which gives its class, or the reason to refuse the import.
    pub fn classify(&self, Import { capability, ty }: &Import) -> Result<BoundOffer<R, C>, BindError> {
        let missing = || match self.withheld.get(capability) {
            Some(why) => BindError::Withheld(capability.clone(), why.clone()),
            None => BindError::Unclassified(capability.clone()),
        };
        let offered = self.find(capability).ok_or_else(missing)?;
        match &offered.required {
            RequiredType::Exactly(ours) if ours == ty => {}
            RequiredType::Exactly(_) => return Err(BindError::OtherType(capability.clone())),
            RequiredType::Servable(check) => {
                check(ty).map_err(|why| BindError::NotServable(capability.clone(), why))?;
            }
        }
        match &offered.offer {
            Offer::Log => Ok(BoundOffer::Log),
            Offer::Routine(routine) => Ok(BoundOffer::Routine(routine.clone())),
            Offer::Consequential { connector, refusal } => {
                let form = RefusalForm::of(ty, refusal.as_ref());
                let form = form.map_err(|why| BindError::CannotRefuse(capability.clone(), why))?;
                Ok(BoundOffer::Consequential(connector.clone(), form))
            }
            Offer::ByCall { routine, connector } => {
                let form = RefusalForm::of(ty, None);
                let form = form.map_err(|why| BindError::CannotRefuse(capability.clone(), why))?;
                Ok(BoundOffer::ByCall(routine.clone(), connector.clone(), form))
            }
        }
    }
}

impl Catalogue {
    /// The preview of `capability`, if it is consequential.
    pub fn preview(&self, capability: &Capability) -> Option<&Arc<dyn Preview>> {
        match &self.find(capability)?.offer {
            Offer::Consequential { connector, .. } | Offer::ByCall { connector, .. } => Some(connector),
            Offer::Log | Offer::Routine(_) => None,
        }
    }

    /// Binds every import of an agent, or returns all imports that cannot be bound.
    pub fn bind(&self, manifest: &Manifest) -> Result<Bindings, Vec<BindError>> {
        let (mut bindings, mut errors) = (Bindings::new(), Vec::new());
        for import in &manifest.imports {
            match self.bind_one(import) {
                Ok(bound) => drop(bindings.insert(import.capability.clone(), bound)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(bindings) } else { Err(errors) }
    }

    /// Binds one import.
    pub(super) fn bind_one(&self, import: &Import) -> Result<Bound, BindError> {
        Ok(Bound { ty: Arc::new(import.ty.clone()), offer: self.classify(import)? })
    }
}
