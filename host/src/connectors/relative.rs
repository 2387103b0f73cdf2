//! A path that an agent gave, which cannot lead out of the folder that it is relative to.
//!
//! What it leads to is opened one name at a time, each within the last and never through a symbolic link. So nothing outside can be reached, not even
//! by somebody who changes the folder meanwhile; what was opened is what is looked at and read.

use std::os::fd::OwnedFd;
use std::str::FromStr;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The longest path, in bytes: Linux's own limit.
const PATH_BYTES_MAX: usize = 4_096;

/// One or more names with `/` between them: not absolute, without `.`, `..`, empty names, backslashes and control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelativePath(String);

impl RelativePath {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// Opens what the names lead to from `top`, each within the last.
pub fn walk<'a>(top: &OwnedFd, mut names: impl Iterator<Item = &'a str>) -> Result<OwnedFd, Errno> {
    names.try_fold(open(top, ".")?, |folder, name| open(&folder, name))
}

/// Opens one name in a folder: no link is followed, and a pipe is not waited for.
pub fn open(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// The path could lead elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a path within the folder; write names with `/` between them, without `.`, `..` and a leading `/`, `-` or `:`"
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
