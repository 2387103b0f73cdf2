//! A path from an agent that cannot lead out of its base folder.
//!
//! The names of the path are opened one by one, each in the folder opened before it and never through a symbolic link.
//! So no file outside is reachable, even if another program changes the folder meanwhile. Type, size and content of the
//! file are read from the open file, because its path could lead to another file by then.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::str::FromStr;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;

/// The maximum length of a path in bytes: Linux's own limit.
const PATH_BYTES_MAX: usize = 4_096;

/// One or more names separated by `/`: not absolute, without `.`, `..`, empty names, backslashes
/// and control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelativePath(String);

impl RelativePath {
    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// The maximum length of a [`spelled`] path in bytes: 64 names of 255 bytes, each byte as `\xHH`.
const SPELLED_BYTES_MAX: usize = 64 * (4 * 255 + 1);

/// A path as [`spelled`] writes it. Every file on Linux has exactly one spelled path, whatever bytes its name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpelledPath {
    text: String,
    names: Vec<Vec<u8>>,
}

impl SpelledPath {
    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(Vec::as_slice)
    }
}

impl FromStr for SpelledPath {
    type Err = NotWithin;

    /// Accepts only the spelling that [`spelled`] writes, so that no file has two names.
    fn from_str(text: &str) -> Result<Self, NotWithin> {
        let wrong = || NotWithin(text.chars().take(200).collect());
        let names: Vec<Vec<u8>> = text.split('/').map(bytes).collect();
        let plain = |name: &Vec<u8>| ![&b""[..], b".", b".."].contains(&name.as_slice()) && !name.contains(&0);
        let canonical = names.iter().map(|name| spelled(name)).collect::<Vec<_>>().join("/");
        if text.len() > SPELLED_BYTES_MAX || !names.iter().all(plain) || canonical != text {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), names })
    }
}

/// A file's name as text: control characters and bytes outside UTF-8 as `\xHH`, everything else unchanged. A backslash
/// in the name that looks like the beginning of such an escape is written as `\x5C`.
pub fn spelled(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            let after = chunk.valid().get(at..).unwrap_or_default();
            if c.is_control() || escaped(after.as_bytes()).is_some() {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape(byte, &mut text));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(*byte, &mut text));
    }
    text
}

/// The bytes of a name, read back from the text that [`spelled`] wrote.
fn bytes(text: &str) -> Vec<u8> {
    let (mut found, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match escaped(rest) {
            Some(byte) => (byte, rest.get(4..).unwrap_or_default()),
            None => (*first, after),
        };
        found.push(byte);
        rest = after;
    }
    found
}

/// The byte of the escape (`\xHH`, capital digits) at the beginning of a text; `None` if there is no escape.
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', digits @ ..] = text.get(..4)? else { return None };
    let capital = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    if capital { u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok() } else { None }
}

fn escape(byte: u8, text: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\\x{byte:02X}");
}

/// Opens a file below `top`: each name is opened in the folder that the name before it opened.
pub fn walk(top: &OwnedFd, mut names: impl Iterator<Item: Arg>) -> Result<OwnedFd, Errno> {
    names.try_fold(open(top, ".")?, |folder, name| open(&folder, name))
}

/// Opens one name in a folder, without following a link or waiting at a pipe.
pub fn open(folder: &OwnedFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// The path could lead out of the folder, or is not written as required.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a path inside the folder; write names with `/` between them, without `.` and `..`, and without `/`, `-` or `:` at the beginning"
)]
pub struct NotWithin(String);

impl FromStr for RelativePath {
    type Err = NotWithin;

    fn from_str(text: &str) -> Result<Self, NotWithin> {
        let names_are_plain = text.split('/').all(|name| !["", ".", ".."].contains(&name));
        let odd = |c: char| c.is_control() || c == '\\';
        if !names_are_plain || text.len() > PATH_BYTES_MAX || text.starts_with(['-', ':']) || text.contains(odd) {
            return Err(NotWithin(text.chars().take(200).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_spelling_and_every_spelling_one_name() {
        for (name, expected) in [
            (&b"plain \xc3\xa4.txt"[..], "plain ä.txt"),
            (b"caf\xe9.txt", "caf\\xE9.txt"),
            (b"caf\\xE9.txt", "caf\\x5CxE9.txt"),
            (b"caf\\xe9.txt", "caf\\xe9.txt"),
            (b"a\\b", "a\\b"),
            (b"a\\\\b", "a\\\\b"),
            (b"\\\xe9", "\\\\xE9"),
            (b"\\x5C", "\\x5Cx5C"),
            (b"\\", "\\"),
            (b"a\nb", "a\\x0Ab"),
            (b"\xc2\x85", "\\xC2\\x85"),
            (b"\xff\xfe", "\\xFF\\xFE"),
            (b"\xe2\x80", "\\xE2\\x80"),
            (b"-x", "-x"),
            (b":(top)x", ":(top)x"),
        ] {
            assert_eq!(spelled(name), expected);
            let path: SpelledPath = expected.parse().unwrap();
            assert_eq!(path.names().collect::<Vec<_>>(), [name], "{expected}");
        }
        // All names of five bytes that consist of these bytes, which can make two names look alike.
        let odd = b"\\x5CE9\n\xe9\xc3\xa9a";
        let mut spellings = std::collections::BTreeMap::new();
        for number in 0..odd.len().pow(5) {
            let name: Vec<u8> = (0..5).map(|place| odd[number / odd.len().pow(place) % odd.len()]).collect();
            let text = spelled(&name);
            assert_eq!(bytes(&text), name, "{text}");
            assert!(spellings.insert(text.clone(), name).is_none_or(|other| bytes(&text) == other), "{text}");
        }
        for bad in [
            "\\x61",
            "\\x2F",
            "a\\x2Fb",
            "\\x2E\\x2E",
            "\\x00",
            "a/\\x2E",
            "\\xC3\\xA9",
            "..",
            "a//b",
            "/a",
            "",
            "a\nb",
            "a/../b",
        ] {
            assert!(bad.parse::<SpelledPath>().is_err(), "{bad}");
        }
        let deepest = vec![&[0xff; 255][..]; 64].iter().map(|name| spelled(name)).collect::<Vec<_>>().join("/");
        assert!(deepest.parse::<SpelledPath>().is_ok());
    }

    #[test]
    fn only_names_within_the_folder_pass() {
        for good in ["a", "a/b.txt", "src/..hidden", ".github/x", "ä/ö", "a b"] {
            assert_eq!(good.parse::<RelativePath>().unwrap().as_str(), good);
        }
        for bad in
            ["", "/", "/etc/passwd", "..", "a/../b", "./a", "a//b", "a/", "-x", ":(top)a", "a\0b", "a\nb", "a\\b"]
        {
            assert!(bad.parse::<RelativePath>().is_err(), "{bad:?}");
        }
        assert_eq!("a/b".parse::<RelativePath>().unwrap().names().collect::<Vec<_>>(), ["a", "b"]);
        assert!("x".repeat(5_000).parse::<RelativePath>().is_err());
    }
}
