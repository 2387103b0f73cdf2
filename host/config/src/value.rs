//! Types that check themselves while they are parsed, so that an error is reported at the value's position.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use holdshort_gate::Digest;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Unexpected, Visitor};
use toml::Spanned;

use super::defaults::{DURATION_MS_MAX, NAME_CHARS_MAX};
use super::fact::FactName;
use super::notices::WebUrl;
use super::zone::Zone;
use holdshort_common::reference::{BranchName, RevisionPattern};

/// Whether `text` can name an agent, reviewer, check or target: it must be safe in paths, headers and commands.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A whole number between two bounds, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between<const MIN: u64, const MAX: u64>(pub(super) u64);

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Between<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded<const MIN: u64, const MAX: u64>;
        impl<const MIN: u64, const MAX: u64> Visitor<'_> for Bounded<MIN, MAX> {
            type Value = u64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }

            /// TOML has only signed 64-bit integers, so this visitor needs no other `visit_` method. For a value that
            /// is no integer, serde itself reports what it expected.
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u64, E> {
                let wrong = || E::invalid_value(Unexpected::Signed(number), &self);
                u64::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number)).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_i64(Bounded::<MIN, MAX>).map(Self)
    }
}

/// An exit code other than success.
pub(super) type ExitCode = Between<1, 255>;
/// Sections whose names the operator chooses.
pub(super) type Named<T> = BTreeMap<Spanned<String>, T>;

/// Implements `Deserialize` for a type: the setting is a string, which the type's `FromStr` parses.
macro_rules! from_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}
from_text!(
    Name, Variable, Span, Address, Authority, Origin, Branch, Revisions, Mailbox, Sender, Host, TokenHash, Text,
    FactName, WebUrl, Zone
);

/// A plain name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(pub(super) String);

// A name is short and plain, because it appears in decisions, file names and terminals.
impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        is_name(text).then(|| Self(text.into())).ok_or_else(|| {
            format!(
                "`{}` is not a valid name; use up to {NAME_CHARS_MAX} letters, digits, `-`, `_` and `.`, with a letter or a digit at the beginning",
                text.escape_debug()
            )
        })
    }
}

/// The name of a variable of the host's environment.
#[derive(Clone, Debug)]
pub(super) struct Variable(String);

// Only the name of a variable is accepted. Its value would be one more place for a secret, and `holdshort config` would
// print it.
impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match text.split_once('=') {
            // The text after the name may be a secret, so the error does not repeat it.
            Some((name, _)) if plain(name) => Err(format!(
                "`{name}=…` contains a value; write only the name, `{name}`: the value comes from the host's own environment"
            )),
            None if !text.is_empty() && plain(text) && !text.starts_with(|c: char| c.is_ascii_digit()) => {
                Ok(Self(text.into()))
            }
            Some(_) | None => Err(format!(
                "`{}` is not the name of a variable; write a name like `CARGO_HOME`, with letters, digits and `_`",
                text.escape_debug()
            )),
        }
    }
}

/// A duration in milliseconds, written `250ms`, `30s`, `10m`, `24h` or `7d`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) u64);

// A number without a unit is refused, because its author may have meant another unit.
impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "`{}` is not a length of time; write a number and a unit, like `250ms`, `30s`, `10m`, `24h` or `7d`",
                text.escape_debug()
            )
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(refuse()),
        };
        // A product beyond 64 bits becomes the largest number, which is then out of range. It must not become a short
        // duration.
        let ms = number.parse::<u64>().map_err(|_| refuse())?.saturating_mul(unit_ms);
        if (1..=DURATION_MS_MAX).contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(format!("`{text}` is out of range; write a time from `1ms` to `3650d`"))
        }
    }
}

/// The address of a socket: an IP address with a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(pub(super) SocketAddr);

// A host name is refused, because its lookup can give another address at the next start.
impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("`{}` is not an address with a port; write an address like `127.0.0.1:7411`", text.escape_debug())
        })
    }
}

/// A value of the `Host` header: a name, and a port if there is one. A text in another form is refused, because it
/// would match no request.
#[derive(Clone, Debug)]
pub(super) struct Authority(String);

// The text is changed to lower case here, because it is compared with `Host` byte by byte.
impl FromStr for Authority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(format!(
            "`{}` is not a value of the `Host` header; write a value like `approvals.example.org` or `localhost:7411`",
            text.escape_debug()
        ))
    }
}

/// A value of the `Origin` header: a scheme and an authority without a path. A slash at the end is refused: no browser
/// sends it, so the origin would never match.
#[derive(Clone, Debug)]
pub(super) struct Origin(String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match rest.map(str::parse::<Authority>) {
            Some(Ok(_)) => Ok(Self(text.to_ascii_lowercase())),
            Some(Err(_)) | None => Err(format!(
                "`{}` is not an origin; write an origin like `https://approvals.example.org`",
                text.escape_debug()
            )),
        }
    }
}

/// Converts a checked text into a plain string.
macro_rules! into_text {
    ($($name:ident),*) => {$(
        impl From<$name> for String {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }
    )*};
}
into_text!(Variable, Authority, Origin, Text);

/// A branch by its name or its full reference.
#[derive(Clone, Debug)]
pub(super) struct Branch(pub(super) BranchName);

impl FromStr for Branch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|why| {
            format!(
                "`{}` is not a branch: {why}; write the name of a branch, or the full reference like `refs/heads/production`",
                text.escape_debug()
            )
        })
    }
}

/// A pattern for the git revisions that a check may run on.
#[derive(Clone, Debug)]
pub(super) struct Revisions(pub(super) RevisionPattern);

impl FromStr for Revisions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|why| {
            format!(
                "`{}` is not a pattern for branches or tags: {why}; write `main` or `release/*` for branches, `refs/tags/v*` for tags, or `*` for any revision",
                text.escape_debug()
            )
        })
    }
}

/// An email address without a display name or quotes, so that a reader of the file sees the address at once.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    /// The whole address.
    pub(super) address: String,
    /// The part after the `@`, in ASCII and lower case.
    pub(super) domain: String,
}

// A list or a group of addresses is refused, because it cannot be a sender.
impl FromStr for Mailbox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("`{}` is not a mail address; write an address like `agent@example.org`", text.escape_debug());
        let (local, domain) = text.rsplit_once('@').ok_or_else(refuse)?;
        let plain = local.chars().all(|c| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c));
        if local.is_empty() || !plain {
            return Err(refuse());
        }
        let Host(domain) = domain.parse().map_err(|_| refuse())?;
        Ok(Self { address: text.into(), domain })
    }
}

/// An email address with an optional display name: `Agents <agent@example.org>`.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// The address with its display name.
    pub(super) shown: String,
    pub(super) mailbox: Mailbox,
}

// The display name has no characters with a meaning in a header, so recipients read it exactly as written.
impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (name.trim(), address),
            None => ("", text),
        };
        if name.chars().any(|c| c.is_control() || "<>()[]:;@\\,\"".contains(c)) || name.contains("=?") {
            return Err(format!(
                "`{}` has no plain display name; write a sender like `Agents <agent@example.org>`",
                text.escape_debug()
            ));
        }
        let mailbox: Mailbox = address.parse()?;
        let shown = if name.is_empty() { address.into() } else { format!("{name} <{address}>") };
        Ok(Self { shown, mailbox })
    }
}

/// A host name or address without a port, in ASCII and lower case.
#[derive(Clone, Debug)]
pub(super) struct Host(pub(super) String);

// The name is converted to ASCII and lower case, so that a look-alike domain does not count as the operator's.
impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ascii = idna::domain_to_ascii_strict(text).ok().filter(|ascii| !ascii.is_empty());
        ascii.map(Self).ok_or_else(|| {
            format!(
                "`{}` is not a host name; write a name like `example.org`, without a scheme, port or path",
                text.escape_debug()
            )
        })
    }
}

/// Tokens that come from examples or from mistakes, such as an unset variable. If the file had the hash of such a
/// token, anybody could decide.
const GUESSED_TOKENS: [&str; 8] = ["", "\n", "test", "test\n", "test2", "test2\n", "token", "password"];

/// The SHA-256 of a reviewer's token. The token itself is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenHash(pub(super) Digest);

// The file has the hash instead of the token, so that other users may read the file.
impl FromStr for TokenHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The error does not repeat the text, because it may be the token itself.
        let hash = format!("sha256:{}", text.strip_prefix("sha256:").unwrap_or(text)).parse().map_err(|_| {
            "this is not the SHA-256 of a token in hexadecimal; make the hash with `printf %s \"$TOKEN\" | sha256sum`, and do not write the token itself into this file"
        })?;
        if let Some(guessed) = GUESSED_TOKENS.into_iter().find(|token| Digest::of(token.as_bytes()) == hash) {
            let token = if guessed.trim().is_empty() {
                "no token at all".into()
            } else {
                format!("the token `{}`", guessed.trim())
            };
            return Err(format!(
                "this is the hash of {token}, which is easy to guess; make a token with `openssl rand -hex 32`, and its hash with `printf %s \"$TOKEN\" | sha256sum`"
            ));
        }
        Ok(Self(hash))
    }
}

/// A text that is not empty and has no control characters.
#[derive(Clone, Debug)]
pub(super) struct Text(pub(super) String);

impl FromStr for Text {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("the value must not be empty".into())
        } else if text.contains(char::is_control) {
            Err("the value must not contain control characters".into())
        } else {
            Ok(Self(text.into()))
        }
    }
}

/// A program and its arguments, run without a shell. Whether the program exists is checked when it is run, because it
/// may be installed after the host starts.
#[derive(Clone, Debug)]
pub(super) struct Argv(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        if words.first().is_none_or(String::is_empty) {
            return Err(D::Error::custom(
                "a command is an array with the program and each argument, like `[\"cargo\", \"test\"]`; there is no shell",
            ));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(D::Error::custom("an argument of a command cannot contain a zero byte"));
        }
        Ok(Self(words))
    }
}
