//! What this host offers to agents: every capability, classified. An import that is not here is refused at load.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use holdshort_gate::{Capability, FunctionType};
use serde_json::Value;

use super::refusal::{CannotRefuse, RefusalForm};
use crate::agent::{Import, Manifest};
use crate::connectors::{Preview, Routine};

/// How a capability is served, which is its class too.
#[derive(Clone)]
pub enum Offer {
    /// A line for the operator: neither numbered nor journaled as a call, because replay would repeat it.
    Log,
    /// Answered at once and written down.
    Routine(Arc<dyn Routine>),
    /// Put to policy and people; performed by the dispatcher, never from here.
    Consequential {
        /// What the host establishes beforehand.
        preview: Arc<dyn Preview>,
        /// The configured value for a function whose error type is neither a `refusal` nor a string.
        refusal: Option<Value>,
    },
}

/// A capability that the host offers.
#[derive(Clone)]
pub struct Offered {
    /// How it is served.
    pub offer: Offer,
    /// The type that an agent must import it with; any, if absent (a third party's interface brings its own type).
    pub ty: Option<FunctionType>,
}

/// Every capability that the host offers.
#[derive(Clone, Default)]
pub struct Catalogue {
    functions: BTreeMap<Capability, Offered>,
    interfaces: BTreeMap<String, Offered>,
    withheld: BTreeMap<Capability, String>,
}

/// One import of an agent, tied to what serves it.
pub struct Bound {
    /// The function's type, as the agent imports it.
    pub ty: Arc<FunctionType>,
    /// How it is served.
    pub offer: BoundOffer,
}

/// [`Offer`], with what was checked at load.
pub enum BoundOffer {
    /// A line for the operator.
    Log,
    /// Answered at once.
    Routine(Arc<dyn Routine>),
    /// Put to policy and people.
    Consequential(Arc<dyn Preview>, RefusalForm),
}

/// The imports of one agent.
pub type Bindings = HashMap<Capability, Bound>;

/// Why an import cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Nobody said what the import is.
    #[error(
        "the import `{0}` is not classified: if this agent may have it, add a section `[capabilities.\"{0}\"]` to holdshort.toml, \
         with `class = \"consequential\"` or `class = \"routine\"` and the `command` that performs or answers it"
    )]
    Unclassified(Capability),
    /// The host is not set up for it.
    #[error("the import `{0}` is not offered here: {1}")]
    Withheld(Capability, String),
    /// The agent's idea of a built-in function is not the host's.
    #[error(
        "the import `{0}` has another type than the one this host offers: build the agent against the WIT package in `wit/`"
    )]
    OtherType(Capability),
    /// A refusal could not be told to the agent.
    #[error("the import `{0}` is consequential and cannot be told no: {1}")]
    CannotRefuse(Capability, CannotRefuse),
}

impl Catalogue {
    /// Offers one function.
    pub fn offer(&mut self, capability: Capability, offered: Offered) {
        self.functions.insert(capability, offered);
    }

    /// Offers every function of an interface that is not offered by its own name.
    pub fn offer_interface(&mut self, interface: String, offered: Offered) {
        self.interfaces.insert(interface, offered);
    }

    /// Says why one of the host's own functions is not offered, which tells an operator more than that nobody classified it.
    pub fn withhold(&mut self, capability: Capability, why: String) {
        self.withheld.insert(capability, why);
    }

    /// What serves `capability`, if anything does.
    pub fn find(&self, capability: &Capability) -> Option<&Offered> {
        self.functions.get(capability).or_else(|| self.interfaces.get(capability.interface()))
    }

    /// What previews `capability`, if it is consequential here.
    pub fn preview(&self, capability: &Capability) -> Option<&Arc<dyn Preview>> {
        match &self.find(capability)?.offer {
            Offer::Consequential { preview, .. } => Some(preview),
            Offer::Log | Offer::Routine(_) => None,
        }
    }

    /// Ties every import of an agent to what serves it, or names every import that cannot be.
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

    /// Ties one import to what serves it.
    pub(super) fn bind_one(&self, Import { capability, ty }: &Import) -> Result<Bound, BindError> {
        let missing = || match self.withheld.get(capability) {
            Some(why) => BindError::Withheld(capability.clone(), why.clone()),
            None => BindError::Unclassified(capability.clone()),
        };
        let offered = self.find(capability).ok_or_else(missing)?;
        if offered.ty.as_ref().is_some_and(|ours| ours != ty) {
            return Err(BindError::OtherType(capability.clone()));
        }
        let offer = match &offered.offer {
            Offer::Log => BoundOffer::Log,
            Offer::Routine(routine) => BoundOffer::Routine(routine.clone()),
            Offer::Consequential { preview, refusal } => {
                let form = RefusalForm::of(ty, refusal.as_ref());
                let form = form.map_err(|why| BindError::CannotRefuse(capability.clone(), why))?;
                BoundOffer::Consequential(preview.clone(), form)
            }
        };
        Ok(Bound { ty: Arc::new(ty.clone()), offer })
    }
}
