//! Enums whose variants have names in the API. A variant and its name are written on one line.

/// The text is not the name of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

/// Defines an enum without payload. The name beside a variant is the variant's name in the API, in the journal's tables
/// and on pages.
#[macro_export]
macro_rules! named_enum {
    ($(#[doc = $about:literal])* pub enum $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $enum {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl $enum {
            /// All variants, in the order of their definition.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The variant's name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $enum {
            type Err = $crate::UnknownName;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownName> {
                Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or($crate::UnknownName)
            }
        }

        $crate::named_schema!($enum, $($about)*);
    };
}

/// The schema of an enum that [`named_enum`](crate::named_enum) defines.
#[cfg(feature = "schema")]
#[doc(hidden)]
#[macro_export]
macro_rules! named_schema {
    ($enum:ident, $($about:literal)*) => {
        impl $crate::schema::utoipa::PartialSchema for $enum {
            fn schema() -> $crate::schema::utoipa::openapi::RefOr<$crate::schema::utoipa::openapi::schema::Schema> {
                $crate::schema::names(&Self::ALL.map(Self::as_str), &[$($about),*])
            }
        }

        impl $crate::schema::utoipa::ToSchema for $enum {}
    };
}

/// Without the feature `schema`, the types have no schema.
#[cfg(not(feature = "schema"))]
#[doc(hidden)]
#[macro_export]
macro_rules! named_schema {
    ($($any:tt)*) => {};
}
