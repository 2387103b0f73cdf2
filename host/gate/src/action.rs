//! The action that an agent proposes: a capability, its typed arguments, and the component that makes the call.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Digest;
use crate::wit_type::{FunctionType, Mismatch};

/// The version of the canonical form. It is part of every action digest.
const ACTION_FORMAT: u32 = 1;

/// The name of the parameter that holds the agent's rationale. Reviewers see the rationale as the agent's own words, so
/// an edit may not change it.
pub const RATIONALE: &str = "rationale";

/// One WIT function that the host offers, with its version, written `holdshort:agent/email@0.1.0#send-email`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability {
    interface: String,
    function: String,
}

impl Capability {
    /// The capability that names this function of this interface, with the spelling of the WIT file. `interface` ends
    /// with the version, if the interface has one.
    pub fn new(interface: &str, function: &str) -> Result<Self, NotACapability> {
        format!("{interface}#{function}").parse()
    }

    /// The interface, such as `package:name/interface@version`.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        &self.function
    }
}

/// The text does not name a capability.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` does not name a capability; write `package:name/interface@version#function`")]
pub struct NotACapability(String);

impl FromStr for Capability {
    type Err = NotACapability;

    fn from_str(text: &str) -> Result<Self, NotACapability> {
        let refuse = || NotACapability(text.chars().take(120).collect());
        let (interface, function) = text.split_once('#').ok_or_else(refuse)?;
        let plain = |part: &str, more: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || more.contains(c))
        };
        if plain(interface, ":/@.+") && plain(function, "") {
            Ok(Self { interface: interface.into(), function: function.into() })
        } else {
            Err(refuse())
        }
    }
}

impl TryFrom<String> for Capability {
    type Error = NotACapability;

    fn try_from(text: String) -> Result<Self, NotACapability> {
        text.parse()
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.to_string()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.interface, self.function)
    }
}

/// A capability, its normalised arguments and the component that makes the call. This one value is shown, digested,
/// decided on and executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Action {
    component: Digest,
    capability: Capability,
    /// An object keyed by parameter name, in the normal JSON form of WIT values.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    arguments: Value,
}

impl Action {
    /// Checks `arguments` against the function's type and keeps their normal form.
    pub fn new(
        component: Digest,
        capability: Capability,
        ty: &FunctionType,
        arguments: &Value,
    ) -> Result<Self, Mismatch> {
        Ok(Self { component, capability, arguments: ty.normalise_arguments(arguments)? })
    }

    /// The digest of the component that makes the call.
    pub fn component(&self) -> Digest {
        self.component
    }

    /// The function to be called.
    pub fn capability(&self) -> &Capability {
        &self.capability
    }

    /// An object keyed by parameter name, in normal form.
    pub fn arguments(&self) -> &Value {
        &self.arguments
    }

    /// The agent's rationale, if the function has a parameter for it.
    pub fn reasons(&self) -> Option<&Value> {
        self.arguments.get(RATIONALE)
    }

    /// The arguments of an edit, with the agent's rationale added if the editor left it out.
    pub fn edited(&self, mut arguments: Value) -> Value {
        if let (Some(fields), Some(reasons)) = (arguments.as_object_mut(), self.reasons()) {
            fields.entry(RATIONALE).or_insert_with(|| reasons.clone());
        }
        arguments
    }

    /// The arguments, without the other parts of the action, as canonical JSON (RFC 8785).
    pub fn canonical_arguments(&self) -> String {
        canonical(&self.arguments)
    }

    /// The action as canonical JSON (RFC 8785): arguments, capability, component and format version. The digest covers
    /// this text, and an operator's program reads it.
    pub fn canonical(&self) -> String {
        let head = format!("{{\"arguments\":{},\"capability\":", self.canonical_arguments());
        head + &format!("\"{}\",\"component\":\"{}\",\"format\":{ACTION_FORMAT}}}", self.capability, self.component)
    }

    /// SHA-256 over a domain tag and [`canonical`](Self::canonical).
    pub fn digest(&self) -> Digest {
        Digest::tagged("holdshort/action", self.canonical().as_bytes())
    }
}

/// The canonical text (RFC 8785) of a JSON value. Every JSON value has such a text. If the library refuses a value
/// nevertheless, serde_json's own text is used (deterministic, with sorted keys).
pub(crate) fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| value.to_string())
}
