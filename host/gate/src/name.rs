//! The names of reviewers and agents. Each has its own type, so that code cannot confuse them with each other or with
//! other texts.
//!
//! **Invariant:** New names come from the configuration, which checks them, and from `holdshort run FILE`, which makes
//! a name that no configured agent can have. Every other text, such as a filter in a request, becomes a name only to be
//! compared with names. Reading a journal checks nothing, because an older journal may hold a name that the
//! configuration would refuse today.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Defines a type of names. Its JSON form and its `Debug` form are those of the text: events hold the JSON form, and
/// the digest of a configured requirement is made from the `Debug` form. The default, an empty text, names nobody.
macro_rules! name {
    ($(#[$meta:meta])* pub struct $name:ident;) => {
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String))]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes a name of a text.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        /// Makes a name of a literal of the source code. Other texts need `new`.
        impl From<&'static str> for $name {
            fn from(literal: &'static str) -> Self {
                Self::new(literal)
            }
        }

        /// Lets a map that is keyed by names be searched with a text, and lets a list of names be joined to one text.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<&'static str> for $name {
            fn eq(&self, literal: &&'static str) -> bool {
                *self.0 == **literal
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The name of a person who starts runs and decides on calls.
    pub struct ReviewerName;
}

name! {
    /// The configured name of an agent.
    pub struct AgentName;
}
